/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of the rows of positions from those of scores, F32, heads of 64, on tensor cores: a block 64 rows, a warp 16 of them,
 * over 32 queries at a time. Of scores a step takes one piece of each query's row, from another column on each: transposed it is
 * the left factor. */
#include "kernels/cuda/flash.cuh"
#include "kernels/cuda/mma32.cuh"
#include "kernels/cuda/relative_attention.cuh"

namespace {

using namespace flash;

enum { W = 64, PART = 32 };
constexpr uint32_t HALF = PART * W * sizeof(float);

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

template <bool SPLIT, class P>
__global__ void __launch_bounds__(THREADS, 3)
position_grads(struct relative_sizes z, P *dp, int64_t ld, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int h = (int)blockIdx.y, row = (int)blockIdx.x * TILE, shift = row - (z.Y - 1);
	int low = max(0, -(shift + TILE - 1)) / PART, high = (min(z.Y, z.Y - shift) + PART - 1) / PART;	/* steps that meet it */
	int steps = high - low, all = steps * z.B;
	uint32_t sd = mma::shared(memory), sq = sd + 2 * HALF;
	float acc[W / 8][4], total[2] = { 0.f, 0.f };	/* total: of ds, which bv takes part in */
	struct lane at = me();
	auto fetch = [&](int n) {
		int b = n / steps, query = (low + n % steps) * PART;
		uint32_t to = (uint32_t)(n & 1) * HALF;
		fetch_slanting(sd + to, x.ds + (int64_t)(b * z.H + h) * z.Y * z.Y, z.Y, query, row);
		mma32::fetch_tile<W, PART, THREADS>(sq + to, (const float *)x.q + ((int64_t)b * z.Y + query) * z.ld_q + h * W, z.ld_q,
		                                    z.Y - query);
	};

	clear<W>(acc);
	fetch(0);
	mma::fetch_commit();
	for (int n = 0; n < all; n++) {
		uint32_t now = (uint32_t)(n & 1) * HALF;
		float sum[W / 8][4];
		if (n + 1 < all)
			fetch(n + 1);
		mma::fetch_commit();
		mma::fetch_wait<1>();
		__syncthreads();
		clear<W>(sum);
#pragma unroll
		for (int k = 0; k < PART / 8; k++) {
			auto l = mma32::left_across<W, SPLIT>(sd + now, 2 * at.warp, k, at.id);
#pragma unroll
			for (int i = 0; i < 4; i++)
				total[i & 1] += __uint_as_float(l.hi[i]) + (SPLIT ? __uint_as_float(l.lo[SPLIT ? i : 0]) : 0.f);
#pragma unroll
			for (int j = 0; j < W / 16; j++) {
				mma32::right_factor<SPLIT> r[2];
				mma32::right_across_pair<W>(r, sq + now, j, k, at.id);
				mma32::product(sum[2 * j], l, r[0]);
				mma32::product(sum[2 * j + 1], l, r[1]);
			}
		}
#pragma unroll
		for (int j = 0; j < W / 8; j++)
#pragma unroll
			for (int i = 0; i < 4; i++)
				acc[j][i] += sum[j][i];
		__syncthreads();
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

template <bool SPLIT>
void
launch(const struct relative_sizes &z, cudaStream_t stream, void *dp, int64_t ld, bool half, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(2 * z.Y - 1, TILE), (unsigned)z.H);

	if (half)
		position_grads<SPLIT><<<grid, THREADS, 4 * HALF, stream>>>(z, (bf16 *)dp, ld, p);
	else
		position_grads<SPLIT><<<grid, THREADS, 4 * HALF, stream>>>(z, (float *)dp, ld, p);
}

} // namespace

void
relative_32_positions(const struct relative_sizes &z, bool split, cudaStream_t stream, void *dp, int64_t ld, bool half,
                      const struct relative_pointers &p)
{
	split ? launch<true>(z, stream, dp, ld, half, p) : launch<false>(z, stream, dp, ld, half, p);
}
