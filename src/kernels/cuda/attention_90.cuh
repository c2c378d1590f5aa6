/* SPDX-License-Identifier: Apache-2.0 */
/* attention_90.cuh - softmax attention on Hopper's own instructions: what both passes share
 *
 * One group of warps brings tiles, two multiply 64 rows each. J. Shah et al., FlashAttention-3, 2024. */
#ifndef ACE_KERNELS_CUDA_ATTENTION_90_CUH
#define ACE_KERNELS_CUDA_ATTENTION_90_CUH

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace hopper {

enum { GROUP = 128, THREADS = 3 * GROUP, WIDE = 128, TILE = 64, ROW = 128 };	/* rows resident and passing; bytes of a half's row */
constexpr float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;

__device__ __forceinline__ float
exp2_of(float x)
{
	float y;

	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
}

template <int W, int ROWS>
__device__ __forceinline__ constexpr uint32_t
bytes()
{
	return ROWS * W * 2;
}

/* All halves of a tile of ROWS rows from row first on. */
template <int W, int ROWS>
__device__ __forceinline__ void
fetch_tile(uint32_t to, const CUtensorMap *map, int head, int first, int b, uint32_t barrier)
{
#pragma unroll
	for (int i = 0; i < W / 64; i++)
		wg::fetch(to + i * ROWS * ROW, map, head * W + 64 * i, first, b, barrier);
}

/* c = rows of tile a (of A rows, from row `from` on) times the rows of tile b (of B rows, from `to` on), over all W columns. */
template <int W, int A, int B, int N>
__device__ __forceinline__ void
multiply(float (&c)[N][4], uint32_t a, int from, uint32_t b, int to = 0)
{
#pragma unroll
	for (int k = 0; k < W / 16; k++)
		wg::product(c, wg::along(a + (k / 4) * A * ROW + from * ROW + (k % 4) * 32),
		            wg::along(b + (k / 4) * B * ROW + to * ROW + (k % 4) * 32), k > 0);
}

/* c += p, 16 columns a fragment, times the rows of tile b (of B rows), from row `from` on. */
template <int B, int P, int N>
__device__ __forceinline__ void
multiply_across(float (&c)[N][4], const uint32_t (&p)[P][4], uint32_t b, int from = 0)
{
#pragma unroll
	for (int u = 0; u < P; u++)
		wg::product(c, p[u], wg::across(b + from * ROW + u * 16 * ROW, B * ROW), 1);
}

template <int N>
__device__ __forceinline__ void
pack(uint32_t (&p)[N / 2][4], const float (&s)[N][4])
{
#pragma unroll
	for (int u = 0; u < N / 2; u++)
		mma::left_of(p[u], s[2 * u], s[2 * u + 1]);
}

template <int N>
__device__ __forceinline__ void
clear(float (&c)[N][4])
{
#pragma unroll
	for (int j = 0; j < N; j++)
		c[j][0] = c[j][1] = c[j][2] = c[j][3] = 0.f;
}

/* Rows row and row + 8 of c, times their factors, where they are below rows. */
template <int N>
__device__ __forceinline__ void
store(bf16 *to, int64_t ld, const float (&c)[N][4], int row, int col, int rows, float first, float second)
{
#pragma unroll
	for (int j = 0; j < N; j++) {
		if (row < rows)
			*reinterpret_cast<uint32_t *>(to + row * ld + 8 * j + col) = pack_bf16(c[j][0] * first, c[j][1] * first);
		if (row + 8 < rows)
			*reinterpret_cast<uint32_t *>(to + (row + 8) * ld + 8 * j + col) = pack_bf16(c[j][2] * second, c[j][3] * second);
	}
}

/* Bits of the keys from first on that are there and seen; the same in all lanes. */
template <int N>
__device__ __forceinline__ void
seen_keys(uint32_t (&seen)[N], const float *mask, int first, int count, int lane)
{
#pragma unroll
	for (int i = 0; i < N; i++) {
		int j = first + 32 * i + lane;
		seen[i] = __ballot_sync(~0u, j < count && mask[j] == 1.f);
	}
}

/* The warp is through with what a barrier guards. */
__device__ __forceinline__ void
release(uint32_t barrier, int lane)
{
	__syncwarp();
	if (lane == 0)
		wg::barrier_arrive(barrier);
}

/* x [B, N, columns], rows ld apart, brought box by box of 64 columns and rows rows; what lies beyond is zeros. */
inline bool
map_of(CUtensorMap *map, const void *x, int B, int N, int64_t columns, int64_t ld, int rows)
{
	return tensor_map_of(map, x, sizeof(bf16), B, N, columns, ld, 64, rows);
}

/* Rows and starts as the copy engine wants them. */
inline bool
aligned(const void *x, int64_t ld)
{
	return (uintptr_t)x % 16 == 0 && ld % 8 == 0;
}

} // namespace hopper
#endif
