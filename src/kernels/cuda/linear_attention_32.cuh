/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_32.cuh - a head's sums over frames of f32 numbers, k^T v and q^T go / den, on tensor cores */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_32_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_32_CUH

#include "kernels/cuda/linear_attention_tiles.cuh"
#include "kernels/cuda/mma32.cuh"

namespace linear32 {

enum { TILE = 32, STAGES = 3, ADD_THREADS = 256 };

/* Of a head: of a part of the frames, or of all. */
template <int W>
struct sums {
	float sum[W * W], z[W];
};

/* Tiles on their way; rows that are not there are zeros. */
template <int W>
struct sum_stage {
	float a[TILE * W], b[TILE * W], den[TILE], delta[TILE];
};

struct sum_side {
	const float *a, *b;
	int64_t ld_a, ld_b;
};

/* One step's left factor and what it adds to z. Gradients: divided by den; delta weighs. */
template <int W, bool GRADS, bool SPLIT>
__device__ __forceinline__ mma32::left_factor<SPLIT>
sum_left(float (&zs)[2], const struct sum_stage<W> *s, int row, int step, int lane)
{
	mma32::left_factor<SPLIT> f;
	int t = 8 * step + 2 * (lane & 3), column = row + (lane >> 2);
	float factor[2] = { 1.f, 1.f }, weight[2] = { 1.f, 1.f };

#pragma unroll
	for (int i = 0; GRADS && i < 2; i++) {
		float den = s->den[t + i];
		factor[i] = den == 0.f ? 0.f : 1.f / den;	/* no such frame */
		weight[i] = -s->delta[t + i];
	}
#pragma unroll
	for (int i = 0; i < 4; i++) {	/* as mma32::left_across */
		float x = mma32::number<W>(mma::shared(s->a), t + i / 2, column + 8 * (i & 1)) * factor[i / 2];
		zs[i & 1] += x * weight[i / 2];
		f.set(i, x);
	}
	return f;
}

/* sum [W, W] = a^T b over the part's frames, z = a^T weight. a = k, b = v, weight 1; GRADS: a = q / den, b = go, weight
 * -delta. A warp has 16 rows of half the columns. Tensor cores cut off what f32 sums round: they sum 8 frames, then those are added. */
template <int W, bool GRADS, bool SPLIT>
__device__ __forceinline__ void
sum_frames(const struct linear_sizes &z, struct sums<W> *mine, const struct sum_side &side, const float *den, const float *delta)
{
	constexpr int THREADS = 4 * W, EIGHTS = W / 16;	/* EIGHTS: blocks of 8 columns a warp has */
	extern __shared__ __align__(128) unsigned char memory[];
	struct sum_stage<W> *stages = reinterpret_cast<struct sum_stage<W> *>(memory);
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, lane = (int)threadIdx.x & 31;
	int row = (int)threadIdx.x / 64 * 16, eight = (int)threadIdx.x / 32 % 2 * EIGHTS;
	int from = (int)blockIdx.x * z.rows, to = min(z.T, from + z.rows), tiles = (to - from + TILE - 1) / TILE;
	const float *a = side.a + (int64_t)n * z.T * side.ld_a + (int64_t)h * W;
	const float *b = side.b + (int64_t)n * z.T * side.ld_b + (int64_t)h * W;
	float acc[EIGHTS][4] = {}, zs[2] = {};

	auto fetch = [&](int i) {
		struct sum_stage<W> *s = stages + i % STAGES;
		int64_t first = from + i * TILE, frame = ((int64_t)n * z.T + first) * z.H + h;
		int rows = to - (int)first;
		if (i < tiles) {
			mma32::fetch_tile<W, TILE, THREADS>(mma::shared(s->a), a + first * side.ld_a, side.ld_a, rows);
			mma32::fetch_tile<W, TILE, THREADS>(mma::shared(s->b), b + first * side.ld_b, side.ld_b, rows);
			if (GRADS)
				linear::fetch_frames<TILE>(s->den, s->delta, den + frame, delta + frame, z.H, rows);
		}
		mma::fetch_commit();
	};
	for (int i = 0; i < STAGES - 1; i++)
		fetch(i);
	for (int i = 0; i < tiles; i++) {
		const struct sum_stage<W> *s = stages + i % STAGES;
		mma::fetch_wait<STAGES - 2>();
		__syncthreads();
		fetch(i + STAGES - 1);
#pragma unroll 1
		for (int k = 0; k < TILE / 8; k++) {
			mma32::left_factor<SPLIT> l = sum_left<W, GRADS, SPLIT>(zs, s, row, k, lane);
#pragma unroll
			for (int j = 0; j < EIGHTS; j++) {
				float c[4] = {};
				mma32::product<SPLIT>(c, l, mma32::right_across<W, SPLIT>(mma::shared(s->b), eight + j, k, lane));
#pragma unroll
				for (int f = 0; f < 4; f++)
					acc[j][f] += c[f];
			}
		}
	}
	mma::fetch_wait<0>();
	row += lane / 4;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		zs[r] += __shfl_xor_sync(~0u, zs[r], 1);
		zs[r] += __shfl_xor_sync(~0u, zs[r], 2);
		if (eight == 0 && lane % 4 == 0)
			mine->z[row + 8 * r] = zs[r];
#pragma unroll
		for (int j = 0; j < EIGHTS; j++)
			*reinterpret_cast<float2 *>(&mine->sum[(row + 8 * r) * W + 8 * (eight + j) + 2 * (lane % 4)]) =
				make_float2(acc[j][2 * r], acc[j][2 * r + 1]);
	}
}

/* blockIdx.z 0: k^T v, 1: q^T go / den; heads' parts lie in that order. */
template <int W, bool SPLIT>
__global__ void __launch_bounds__(4 * W, 128 / W)
sum_part(struct linear_sizes z, struct sums<W> *out, struct sum_side kv, struct sum_side grads, const float *den, const float *delta)
{
	struct sums<W> *mine = out + ((int64_t)blockIdx.z * gridDim.y + blockIdx.y) * z.splits + blockIdx.x;

	if (blockIdx.z == 0)
		sum_frames<W, false, SPLIT>(z, mine, kv, den, delta);
	else
		sum_frames<W, true, SPLIT>(z, mine, grads, den, delta);
}

/* Add the parts of head blockIdx.y, four numbers a thread; the last block: z. */
template <int W>
__global__ void __launch_bounds__(ADD_THREADS)
add_parts(struct linear_sizes z, struct sums<W> *out, const struct sums<W> *in)
{
	constexpr int FOURS = (int)sizeof(struct sums<W>) / 16;
	int n = (int)(blockIdx.x * ADD_THREADS + threadIdx.x);
	const float4 *from = reinterpret_cast<const float4 *>(in + (int64_t)blockIdx.y * z.splits) + n;
	float4 sum = {};

	if (n >= FOURS)
		return;
#pragma unroll 6
	for (int m = 0; m < z.splits; m++) {
		float4 v = from[(int64_t)m * FOURS];
		sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
	}
	reinterpret_cast<float4 *>(out + blockIdx.y)[n] = sum;
}

} // namespace linear32
#endif
