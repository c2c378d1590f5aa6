/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_apply.cuh - products of frames by a head's sums, on tensor cores */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_APPLY_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_APPLY_CUH

#include "kernels/cuda/linear_attention_sums.cuh"

namespace linear {

template <int W>
struct apply_stage {
	unsigned char a[TILE * W * 2];
	float den[TILE], delta[TILE];
};

struct apply_side {
	int what;
	const bf16 *a;
	bf16 *out;
	int64_t ld_a, ld_out;
};

struct apply_sides {
	struct apply_side side[3];
	int n;
};

/* Frames' sums over c of a[c] z[c]: eight rows a warp, a lane every fourth chunk of one. */
template <int W>
__device__ __forceinline__ void
row_sums(float *to, const unsigned char *tile, const float *z, int warp, int lane)
{
	constexpr int EACH = TILE / (W / 16);

#pragma unroll
	for (int first = 0; first < EACH; first += 8) {
		int r = EACH * warp + first + lane % 8;
		float sum = 0.f;
#pragma unroll
		for (int i = 0; i < W / 32; i++) {
			int c = 4 * i + lane / 8;
			float v[8], w[8];
			load8(v, reinterpret_cast<const bf16 *>(tile + r * W * 2 + ((c ^ (r & 7)) << 4)));
			load8(w, z + 8 * c);
#pragma unroll
			for (int j = 0; j < 8; j++)
				sum += v[j] * w[j];
		}
		sum += __shfl_xor_sync(~0u, sum, 8);
		sum += __shfl_xor_sync(~0u, sum, 16);
		if (lane < 8)
			to[r] = sum + 1e-15f;
	}
}

/* The warp's 16 columns of rows 16 m .. of the tile, four a lane in rows lane / 4 and + 8. */
template <int W>
__device__ __forceinline__ void
times_sums(float (&y)[2][4], const uint4 (&hi)[W / 16], const uint4 (&lo)[W / 16], uint32_t tile, int m, int lane)
{
	float acc[2][2][4] = {};

#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		uint32_t l[4];
		mma::left<W>(l, tile, 16 * m, k, lane);
		mma::product(acc[0][0], l, lo[k].x, lo[k].y);
		mma::product(acc[0][1], l, lo[k].z, lo[k].w);
		mma::product(acc[1][0], l, hi[k].x, hi[k].y);
		mma::product(acc[1][1], l, hi[k].z, hi[k].w);
	}
#pragma unroll
	for (int r = 0; r < 2; r++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			y[r][i] = acc[0][i / 2][2 * r + i % 2] + acc[1][i / 2][2 * r + i % 2];
}

template <int W, bool BACK>
__device__ __forceinline__ void
fetch_place(struct apply_stage<W> *s, const struct linear_sizes &z, const struct apply_sides &sides, const struct place<TILE> &at,
            const float *den, const float *delta)
{
	const struct apply_side &side = sides.side[at.side];
	int64_t frame = at.frame(z);

	mma::fetch_tile<W, TILE, 2 * W>(mma::shared(s->a), side.a + frame * side.ld_a + at.h * W, side.ld_a, z.T - at.first);
	if (BACK && side.what == QUERIES)
		fetch_frames<TILE>(s->den, s->delta, den + frame * z.H + at.h, delta + frame * z.H + at.h, z.H, z.T - at.first);
}

/* Each block takes a run of all sides' heads' tiles and keeps the sums in registers while the head stays. */
template <int W, bool BACK>
__global__ void __launch_bounds__(2 * W, BLOCKS)
apply(struct linear_sizes z, const __grid_constant__ struct apply_sides sides, float *den, const float *delta, const struct head<W> *heads)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float sz[W], row_den[TILE];
	struct apply_stage<W> *stages = reinterpret_cast<struct apply_stage<W> *>(memory);
	int64_t total = (int64_t)sides.n * z.B * z.H * ((z.T + TILE - 1) / TILE);
	int from = (int)(total * blockIdx.x / gridDim.x), left = (int)(total * (blockIdx.x + 1) / gridDim.x) - from, asked = 0, now = 0;
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, column = 16 * warp + 4 * (lane % 4);
	struct place<TILE> at(z, from), ahead = at;
	bool fresh = true;
	uint4 hi[W / 16], lo[W / 16];
	float4 zs = {};

	auto ask = [&] {
		if (asked < left) {
			fetch_place<W, BACK>(stages + asked % APPLY_STAGES, z, sides, ahead, den, delta);
			ahead.next(z);
		}
		asked++;
		mma::fetch_commit();
	};
	for (int i = 0; i < APPLY_STAGES - 1; i++)
		ask();
	for (; now < left; now++, at.next(z)) {
		const struct apply_stage<W> *s = stages + now % APPLY_STAGES;
		const struct apply_side &side = sides.side[at.side];
		int64_t frame = at.frame(z);
		int rows = z.T - at.first;
		mma::fetch_wait<APPLY_STAGES - 2>();
		__syncthreads();
		ask();
		if (fresh || at.first == 0) {
			const struct head<W> *sums = heads + ((int64_t)at.side * z.B + at.n) * z.H + at.h;
			fresh = false;
#pragma unroll
			for (int k = 0; k < W / 16; k++) {
				hi[k] = sums->factors[warp][k][0][lane];
				lo[k] = sums->factors[warp][k][1][lane];
			}
			if (BACK)
				zs = *reinterpret_cast<const float4 *>(sums->z + column);
			else if (threadIdx.x < W)
				sz[threadIdx.x] = sums->z[threadIdx.x];
			if (!BACK)
				__syncthreads();
		}
		if (!BACK) {
			row_sums<W>(row_den, s->a, sz, warp, lane);
			__syncthreads();
			if ((int)threadIdx.x < min(TILE, rows))
				den[(frame + threadIdx.x) * z.H + at.h] = row_den[threadIdx.x];
		}
		const float *below = BACK ? s->den : row_den;
		int what = BACK ? side.what : OUTPUTS;
		bf16 *out = side.out + frame * side.ld_out + at.h * W + column;
#pragma unroll
		for (int m = 0; m < TILE / 16; m++) {
			float y[2][4];
			times_sums<W>(y, hi, lo, mma::shared(s->a), m, lane);
#pragma unroll
			for (int r = 0; r < 2; r++) {
				int row = 16 * m + lane / 4 + 8 * r;
				float factor = 1.f, weight = what == KEYS ? 1.f : 0.f;
				if (row >= rows)
					continue;
				if (what == OUTPUTS || what == QUERIES)
					factor = __fdividef(1.f, below[row]);
				if (what == QUERIES)
					weight = -s->delta[row];
				*reinterpret_cast<uint2 *>(out + row * side.ld_out) = make_uint2(
					pack_bf16(fmaf(weight, zs.x, y[r][0]) * factor, fmaf(weight, zs.y, y[r][1]) * factor),
					pack_bf16(fmaf(weight, zs.z, y[r][2]) * factor, fmaf(weight, zs.w, y[r][3]) * factor));
			}
		}
	}
}

} // namespace linear
#endif
