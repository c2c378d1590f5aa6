/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the rows of positions from those of scores, heads of 64, on tensor cores in TF32: a block 64 rows, a warp 16 of them,
 * over 32 queries at a time, F32 or bf16. Of scores a step takes one piece of each query's row, from another column on each:
 * transposed it is the left factor. */
#include "kernels/cuda/flash.cuh"
#include "kernels/cuda/mma32.cuh"
#include "kernels/cuda/relative_attention.cuh"

namespace {

using namespace flash;

enum { W = 64, PART = 32 };
constexpr uint32_t SCORES = PART * W * sizeof(float), ROOM = 48 << 10;

/* What a step brings to shared memory, scores and then queries, and how many steps have room there. */
template <class N>
constexpr uint32_t STAGE = SCORES + PART * W * sizeof(N);
template <class N>
constexpr int RING = ROOM / STAGE<N>;

using mma::fetch_tile;
using mma32::fetch_tile;

__device__ __forceinline__ void
fetch4(uint32_t to, const float *from, bool valid)
{
	int bytes = valid ? 4 : 0;

	asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(bytes));
}

/* Tile [32 queries, 64 rows of p] of ds [Y, Y]: query i and row r meet at key i + r - (Y - 1). */
__device__ __forceinline__ void
fetch_slanting(uint32_t tile, const float *ds, int Y, int query, int row)
{
#pragma unroll
	for (int n = 0; n < PART * W / THREADS; n++) {
		int i = (int)threadIdx.x / W + n * (THREADS / W), m = (int)threadIdx.x % W;
		int at = query + i, key = at + row + m - (Y - 1);
		bool valid = at < Y && key >= 0 && key < Y;
		fetch4(mma32::at<W>(tile, i, m / 4) + 4 * (m & 3), ds + (valid ? (int64_t)at * Y + key : 0), valid);
	}
}

/* mma32::right_across_pair of the queries of a step. */
template <class N, bool SPLIT>
__device__ __forceinline__ void
queries(mma32::right_factor<SPLIT> (&f)[2], uint32_t tile, int pair, int step, int lane)
{
	int row = 8 * step + 2 * (lane & 3), column = 16 * pair + 2 * (lane >> 2);

	if constexpr (sizeof(N) == sizeof(float)) {
		mma32::right_across_pair<W>(f, tile, pair, step, lane);
	} else {
#pragma unroll
		for (int i = 0; i < 2; i++) {
			uint32_t word;
			float x, y;
			asm volatile("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(mma::at<W>(tile, row + i, column / 8) + 2 * (column & 7)));
			unpack_bf16(word, x, y);
			f[0].set(i, x);
			f[1].set(i, y);
		}
	}
}

/* The i-th of n tiles from the middle one outwards: those that meet most queries come first. */
__device__ __forceinline__ int
outwards(int i, int n)
{
	return (n - 1) / 2 + (i & 1 ? (i + 1) / 2 : -i / 2);
}

template <bool SPLIT, class N, class P>
__global__ void __launch_bounds__(THREADS, sizeof(N) == sizeof(float) ? 3 : 4)
position_grads(struct relative_sizes z, P *dp, int64_t ld, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int h = (int)blockIdx.x, row = outwards((int)blockIdx.y, (int)gridDim.y) * TILE, shift = row - (z.Y - 1);
	int low = max(0, -(shift + TILE - 1)) / PART, high = (min(z.Y, z.Y - shift) + PART - 1) / PART;	/* steps that meet it */
	int all = (high - low) * z.B, b = 0, step = low;		/* b, step: fetched next */
	uint32_t ring = mma::shared(memory);
	float acc[W / 8][4], total[2] = { 0.f, 0.f };	/* total: of ds, which bv takes part in */
	struct lane at = me();
	auto fetch = [&](int n) {
		int query = step * PART;
		uint32_t to = ring + (uint32_t)(n % RING<N>) * STAGE<N>;
		fetch_slanting(to, x.ds + (int64_t)(b * z.H + h) * z.Y * z.Y, z.Y, query, row);
		fetch_tile<W, PART, THREADS>(to + SCORES, (const N *)x.q + ((int64_t)b * z.Y + query) * z.ld_q + h * W, z.ld_q,
		                             z.Y - query);
		if (++step == high)
			step = low, b++;
	};

	clear<W>(acc);
	for (int n = 0; n < RING<N> - 1; n++) {
		if (n < all)
			fetch(n);
		mma::fetch_commit();
	}
	for (int n = 0; n < all; n++) {
		uint32_t scores = ring + (uint32_t)(n % RING<N>) * STAGE<N>;
		float sum[W / 8][4];
		mma::fetch_wait<RING<N> - 2>();
		__syncthreads();		/* and all are done with the step before, whose place is fetched to */
		if (n + RING<N> - 1 < all)
			fetch(n + RING<N> - 1);
		mma::fetch_commit();
		clear<W>(sum);
#pragma unroll
		for (int k = 0; k < PART / 8; k++) {
			auto l = mma32::left_across<W, SPLIT>(scores, 2 * at.warp, k, at.id);
#pragma unroll
			for (int i = 0; i < 4; i++)
				total[i & 1] += __uint_as_float(l.hi[i]) + (SPLIT ? __uint_as_float(l.lo[SPLIT ? i : 0]) : 0.f);
#pragma unroll
			for (int j = 0; j < W / 16; j++) {
				mma32::right_factor<SPLIT> r[2];
				queries<N>(r, scores + SCORES, j, k, at.id);
				mma32::product(sum[2 * j], l, r[0]);
				mma32::product(sum[2 * j + 1], l, r[1]);
			}
		}
#pragma unroll
		for (int j = 0; j < W / 8; j++)
#pragma unroll
			for (int i = 0; i < 4; i++)
				acc[j][i] += sum[j][i];
	}
	mma::fetch_wait<0>();
#pragma unroll
	for (int r = 0; r < 2; r++) {
		total[r] += __shfl_xor_sync(~0u, total[r], 1);
		total[r] += __shfl_xor_sync(~0u, total[r], 2);
	}
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++) {
			int r = row + at.row + 8 * (i / 2), column = h * W + 16 * (j / 2) + 2 * (at.col + (i & 1)) + j % 2;
			P *to = dp + r * ld + column;
			if (r < 2 * z.Y - 1)
				*to = from_float<P>(to_float(*to) + acc[j][i] + total[i / 2] * x.bv[column]);
		}
}

template <bool SPLIT, class N>
void
launch(const struct relative_sizes &z, cudaStream_t stream, void *dp, int64_t ld, bool half, const struct relative_pointers &p)
{
	dim3 grid((unsigned)z.H, cuda_blocks(2 * z.Y - 1, TILE));
	constexpr uint32_t bytes = RING<N> * STAGE<N>;

	if (half)
		position_grads<SPLIT, N><<<grid, THREADS, bytes, stream>>>(z, (bf16 *)dp, ld, p);
	else
		position_grads<SPLIT, N><<<grid, THREADS, bytes, stream>>>(z, (float *)dp, ld, p);
}

} // namespace

bool
relative_32_positions(const struct relative_sizes &z, bool half_q, bool split, cudaStream_t stream, void *dp, int64_t ld, bool half,
                      const struct relative_pointers &p)
{
	if (z.e != W || (uintptr_t)p.q % 16 || z.ld_q % (half_q ? 8 : 4))
		return false;
	auto run = half_q ? launch<false, bf16> : split ? launch<true, float> : launch<false, float>;
	run(z, stream, dp, ld, half, p);
	return true;
}
