/* SPDX-License-Identifier: Apache-2.0 */
/* flash.cuh - products of tiles of 64 rows by blocks of four warps, 16 rows each: what attention kernels share */
#ifndef ACE_KERNELS_CUDA_FLASH_CUH
#define ACE_KERNELS_CUDA_FLASH_CUH

#include "kernels/cuda/mma.cuh"

namespace flash {

enum { TILE = 64, THREADS = 128 };	/* rows of queries and of keys */
constexpr float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;

struct lane {
	int warp, id, row, col;		/* row, col: of the first result that it holds */
};

__device__ __forceinline__ struct lane
me()
{
	int id = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;

	return { warp, id, 16 * warp + id / 4, 2 * (id % 4) };
}

/* s [16, 64] = rows row .. row+15 of tile a times the transpose of tile b. */
template <int W>
__device__ __forceinline__ void
scores(float (&s)[8][4], uint32_t a, uint32_t b, int row, int lane)
{
#pragma unroll
	for (int j = 0; j < 8; j++)
		s[j][0] = s[j][1] = s[j][2] = s[j][3] = 0.f;
#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		uint32_t l[4];
		mma::left<W>(l, a, row, k, lane);
#pragma unroll
		for (int j = 0; j < 4; j++) {
			uint32_t r[4];
			mma::right<W>(r, b, 16 * j, k, lane);
			mma::product(s[2 * j], l, r[0], r[1]);
			mma::product(s[2 * j + 1], l, r[2], r[3]);
		}
	}
}

/* acc [16, W] += p [16, 64] times the tile [64, W] */
template <int W>
__device__ __forceinline__ void
accumulate(float (&acc)[W / 8][4], const float (&p)[8][4], uint32_t tile, int lane)
{
#pragma unroll
	for (int k = 0; k < 4; k++) {
		uint32_t l[4];
		mma::left_of(l, p[2 * k], p[2 * k + 1]);
#pragma unroll
		for (int j = 0; j < W / 16; j++) {
			uint32_t r[4];
			mma::right_across<W>(r, tile, j, k, lane);
			mma::product(acc[2 * j], l, r[0], r[1]);
			mma::product(acc[2 * j + 1], l, r[2], r[3]);
		}
	}
}

template <int W>
__device__ __forceinline__ void
clear(float (&acc)[W / 8][4])
{
#pragma unroll
	for (int j = 0; j < W / 8; j++)
		acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
}

/* Rows row and row + 8 of a result, scaled, to numbers ld apart. */
template <int W>
__device__ __forceinline__ void
store(bf16 *to, int64_t ld, const float (&acc)[W / 8][4], struct lane at, int rows, float first, float second)
{
#pragma unroll
	for (int j = 0; j < W / 8; j++) {
		if (at.row < rows)
			*reinterpret_cast<uint32_t *>(to + at.row * ld + 8 * j + at.col) =
				pack_bf16(acc[j][0] * first, acc[j][1] * first);
		if (at.row + 8 < rows)
			*reinterpret_cast<uint32_t *>(to + (at.row + 8) * ld + 8 * j + at.col) =
				pack_bf16(acc[j][2] * second, acc[j][3] * second);
	}
}

/* 2^x by the special function unit: to 2 units in the last place, 0 below 2^-126. */
__device__ __forceinline__ float
power2(float x)
{
	float y;

	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
}

/* Scores s of a tile of keys become probabilities up to a factor. top and sum: of the lane's two rows, in powers of two; shrink:
 * what all that was made before has to be multiplied by. seen: 0, or -infinity for keys that are not there; whole: all are. */
template <int N>
__device__ __forceinline__ void
soften(float (&shrink)[2], float (&top)[2], float (&sum)[2], float (&s)[N][4], const float *seen, bool whole, struct lane at,
       float scale)
{
	float high[2] = { -INFINITY, -INFINITY };

	if (!whole)
#pragma unroll
		for (int j = 0; j < N; j++)
#pragma unroll
			for (int i = 0; i < 4; i++)
				s[j][i] += seen[8 * j + at.col + (i & 1)];
#pragma unroll
	for (int j = 0; j < N; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			high[i / 2] = fmaxf(high[i / 2], s[j][i]);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		float now = fmaxf(high[r], __shfl_xor_sync(~0u, high[r], 1));
		now = fmaxf(top[r], fmaxf(now, __shfl_xor_sync(~0u, now, 2)) * scale);
		float base = now == -INFINITY ? 0.f : now, part = 0.f;
		shrink[r] = power2(top[r] - base);
#pragma unroll
		for (int j = 0; j < N; j++) {
			s[j][2 * r] = power2(fmaf(s[j][2 * r], scale, -base));
			s[j][2 * r + 1] = power2(fmaf(s[j][2 * r + 1], scale, -base));
			part += s[j][2 * r] + s[j][2 * r + 1];
		}
		sum[r] = sum[r] * shrink[r] + part;
		top[r] = now;
	}
}

template <int W>
__device__ __forceinline__ void
rescale(float (&acc)[W / 8][4], const float (&shrink)[2])
{
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			acc[j][i] *= shrink[i / 2];
}

} // namespace flash
#endif
