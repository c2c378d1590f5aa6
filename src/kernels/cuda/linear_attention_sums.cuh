/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_sums.cuh - a head's sums over frames, k^T v and q^T go / den, on tensor cores; and as products want them */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_SUMS_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_SUMS_CUH

#include "kernels/cuda/linear_attention_tiles.cuh"

namespace linear {

enum { TILE = 64, SUM_STAGES = 3, APPLY_STAGES = 4, ADD_THREADS = 256, BLOCKS = 2 };	/* BLOCKS: a multiprocessor's */

/* What a product of tiles by a head's sums wants, in scratch: the sums as a warp's right factors of 16 columns, hi and lo, and
 * their z. Column n of 8-column block j of a warp's 16 is column 4 (n / 2) + 2 j + n % 2 of them: a lane then has 4
 * neighbours of a result. */
template <int W>
struct head {
	uint4 factors[W / 16][W / 16][2][32];	/* warp, step over rows, hi and lo, lane: block 0's two words, block 1's */
	float z[W];
};

template <int W>
struct part {
	float sum[W * W], z[W];
};

/* Tiles on their way; rows that are not there are zeros. */
template <int W>
struct sum_stage {
	unsigned char a[TILE * W * 2], b[TILE * W * 2];
	float den[TILE], delta[TILE];
};

__device__ __forceinline__ float2
pair(uint32_t x)
{
	float2 v;

	unpack_bf16(x, v.x, v.y);
	return v;
}

struct sum_side {
	const bf16 *a, *b;
	int64_t ld_a, ld_b;
};

/* One k-step's left factor and what it adds to z. Gradients: divided by den; delta weighs. */
template <int W, bool GRADS>
__device__ __forceinline__ void
sum_left(uint32_t (&l)[4], float (&sums)[2], const struct sum_stage<W> *s, uint32_t tile, int warp, int k, int lane)
{
	mma::left_across<W>(l, tile, 2 * warp, k, lane);
#pragma unroll
	for (int i = 0; i < 4; i++) {	/* i: rows l/4 (+8 for odd), frames 2 (l%4) (+8 from 2 on) */
		float2 x = pair(l[i]);
		if (GRADS) {
			int t = 16 * k + 2 * (lane % 4) + 8 * (i / 2);
			float2 den = *reinterpret_cast<const float2 *>(s->den + t), delta = *reinterpret_cast<const float2 *>(s->delta + t);
			x.x = den.x == 0.f ? 0.f : __fdividef(x.x, den.x);	/* no such frame */
			x.y = den.y == 0.f ? 0.f : __fdividef(x.y, den.y);
			sums[i & 1] -= x.x * delta.x + x.y * delta.y;
			l[i] = pack_bf16(x.x, x.y);
		} else {
			sums[i & 1] += x.x + x.y;
		}
	}
}

/* sum [W, W] = a^T b over the part's frames, z = a^T weight. a = k, b = v, weight 1; GRADS: a = q / den, b = go, weight
 * -delta. */
template <int W, bool GRADS>
__device__ __forceinline__ void
sum_frames(const struct linear_sizes &z, struct part<W> *mine, const struct sum_side &side, const float *den, const float *delta)
{
	constexpr int THREADS = 2 * W;
	extern __shared__ __align__(128) unsigned char memory[];
	struct sum_stage<W> *stages = reinterpret_cast<struct sum_stage<W> *>(memory);
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31;
	int from = (int)blockIdx.x * z.rows, to = min(z.T, from + z.rows), tiles = (to - from + TILE - 1) / TILE;
	const bf16 *a = side.a + (int64_t)n * z.T * side.ld_a + (int64_t)h * W;
	const bf16 *b = side.b + (int64_t)n * z.T * side.ld_b + (int64_t)h * W;
	float acc[W / 8][4] = {}, sums[2] = {};

	auto fetch = [&](int i) {
		struct sum_stage<W> *s = stages + i % SUM_STAGES;
		int64_t first = from + i * TILE, frame = ((int64_t)n * z.T + first) * z.H + h;
		int rows = to - (int)first;
		if (i < tiles) {
			mma::fetch_tile<W, TILE, THREADS>(mma::shared(s->a), a + first * side.ld_a, side.ld_a, rows);
			mma::fetch_tile<W, TILE, THREADS>(mma::shared(s->b), b + first * side.ld_b, side.ld_b, rows);
			if (GRADS)
				fetch_frames<TILE>(s->den, s->delta, den + frame, delta + frame, z.H, rows);
		}
		mma::fetch_commit();
	};
	for (int i = 0; i < SUM_STAGES - 1; i++)
		fetch(i);
	for (int i = 0; i < tiles; i++) {
		const struct sum_stage<W> *s = stages + i % SUM_STAGES;
		uint32_t ta = mma::shared(s->a), tb = mma::shared(s->b);
		mma::fetch_wait<SUM_STAGES - 2>();
		__syncthreads();
		fetch(i + SUM_STAGES - 1);
#pragma unroll
		for (int k = 0; k < TILE / 16; k++) {
			uint32_t l[4];
			sum_left<W, GRADS>(l, sums, s, ta, warp, k, lane);
#pragma unroll
			for (int j = 0; j < W / 16; j++) {
				uint32_t r[4];
				mma::right_across<W>(r, tb, j, k, lane);
				mma::product(acc[2 * j], l, r[0], r[1]);
				mma::product(acc[2 * j + 1], l, r[2], r[3]);
			}
		}
	}
	mma::fetch_wait<0>();
	int row = 16 * warp + lane / 4;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		sums[r] += __shfl_xor_sync(~0u, sums[r], 1);
		sums[r] += __shfl_xor_sync(~0u, sums[r], 2);
		if (lane % 4 == 0)
			mine->z[row + 8 * r] = sums[r];
#pragma unroll
		for (int j = 0; j < W / 8; j++)
			*reinterpret_cast<float2 *>(&mine->sum[(row + 8 * r) * W + 8 * j + 2 * (lane % 4)]) =
				make_float2(acc[j][2 * r], acc[j][2 * r + 1]);
	}
}

/* blockIdx.z 0: k^T v, 1: q^T go / den; heads' parts lie in that order. */
template <int W>
__global__ void __launch_bounds__(2 * W, BLOCKS)
sum_part(struct linear_sizes z, struct part<W> *out, struct sum_side kv, struct sum_side grads, const float *den, const float *delta)
{
	struct part<W> *mine = out + ((int64_t)blockIdx.z * gridDim.y + blockIdx.y) * z.splits + blockIdx.x;

	if (blockIdx.z == 0)
		sum_frames<W, false>(z, mine, kv, den, delta);
	else
		sum_frames<W, true>(z, mine, grads, den, delta);
}

/* What becomes of the sums: factor of products as they lie, or (across) of products by the transpose. */
struct sides {
	int of[3];			/* round of parts */
	bool across[3];
};

/* Add the parts of a head; blockIdx.z: side. A block has the columns of 16 or more, which it adds four numbers at a time as they lie in
 * memory, all parts on their way at once, and turns over by shared memory; then a thread has one lane's four words, hi and lo. */
template <int W>
__global__ void __launch_bounds__(ADD_THREADS)
add_parts(struct linear_sizes z, struct head<W> *out, const struct part<W> *in, const __grid_constant__ struct sides sides)
{
	constexpr int COLUMNS = 8 * ADD_THREADS / W, PITCH = COLUMNS + 4, PITCH_ACROSS = W + 4, FOURS = 2;
	constexpr int NUMBERS = W * PITCH > COLUMNS * PITCH_ACROSS ? W * PITCH : COLUMNS * PITCH_ACROSS;
	__shared__ __align__(16) float sum[NUMBERS];
	int thread = (int)threadIdx.x, first = COLUMNS * (int)blockIdx.x;
	const struct part<W> *p = in + ((int64_t)sides.of[blockIdx.z] * gridDim.y + blockIdx.y) * z.splits;
	struct head<W> *to = out + (int64_t)blockIdx.z * gridDim.y + blockIdx.y;
	bool across = sides.across[blockIdx.z];
	int wide = (across ? W : COLUMNS) / 4, pitch = across ? PITCH_ACROSS : PITCH;
	float4 four[FOURS] = {};
	float s = 0.f;

	static_assert(COLUMNS % 16 == 0 && COLUMNS * W == 4 * FOURS * ADD_THREADS && W <= ADD_THREADS, "a block's threads have all its numbers");
#pragma unroll 6
	for (int m = 0; m < z.splits; m++) {
#pragma unroll
		for (int f = 0; f < FOURS; f++) {
			int n = f * ADD_THREADS + thread, y = n / wide, x = n % wide * 4;
			float4 v = *reinterpret_cast<const float4 *>(p[m].sum + (across ? (first + y) * W + x : y * W + first + x));
			four[f].x += v.x, four[f].y += v.y, four[f].z += v.z, four[f].w += v.w;
		}
		if (blockIdx.x == 0 && thread < W)
			s += p[m].z[thread];
	}
#pragma unroll
	for (int f = 0; f < FOURS; f++) {
		int n = f * ADD_THREADS + thread;
		*reinterpret_cast<float4 *>(sum + n / wide * pitch + n % wide * 4) = four[f];
	}
	if (blockIdx.x == 0 && thread < W)
		to->z[thread] = s;
	__syncthreads();
	/* word j: block j / 2's rows 16 k + 2 (l%4), + 1 (+ 8 for odd j), column l / 4 */
	int lane = thread % 32, k = thread / 32 % (W / 16), warp = thread / 32 / (W / 16), n = lane / 4;
	int column = 16 * warp + 4 * (n / 2) + n % 2, row = 16 * k + 2 * (lane % 4), along = across ? 1 : PITCH, aside = across ? PITCH_ACROSS : 1;
	const float *from = sum + row * along + column * aside;
	uint32_t hi[4], lo[4];
#pragma unroll
	for (int j = 0; j < 4; j++) {
		const float *at = from + 8 * (j & 1) * along + 2 * (j / 2) * aside;
		float v0 = at[0], v1 = at[along];
		hi[j] = pack_bf16(v0, v1);
		float2 high = pair(hi[j]);
		lo[j] = pack_bf16(v0 - high.x, v1 - high.y);
	}
	to->factors[first / 16 + warp][k][0][lane] = make_uint4(hi[0], hi[1], hi[2], hi[3]);
	to->factors[first / 16 + warp][k][1][lane] = make_uint4(lo[0], lo[1], lo[2], lo[3]);
}

} // namespace linear
#endif
