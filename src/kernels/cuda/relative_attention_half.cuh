/* SPDX-License-Identifier: Apache-2.0 */
/* relative_attention_half.cuh - attention with relative positions on tensor cores: what both passes share
 *
 * bf16 numbers, heads of 64. A tile of queries and a tile of keys meet 127 rows of positions; 16 queries (or keys) of it meet 79.
 * Their products with the whole window are made first, and then read shifted: all that a row needs is held by four lanes, all
 * that a column needs by eight, which hand it on among themselves. From a tile to the next the window moves by 64 rows, so that
 * these alone are brought. */
#ifndef ACE_KERNELS_CUDA_RELATIVE_ATTENTION_HALF_CUH
#define ACE_KERNELS_CUDA_RELATIVE_ATTENTION_HALF_CUH

#include "kernels/cuda/flash.cuh"
#include "kernels/cuda/relative_attention.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace relative {

using namespace flash;

enum { W = 64, MEET = 80, STEPS = W / 16 };
constexpr uint32_t BYTES = TILE * W * 2, STEP = 16 * W * 2;	/* of a tile, of 16 of its rows */

/* What was fetched is there for all threads, and for Hopper's products. */
template <int LEFT>
__device__ __forceinline__ void
arrived()
{
	mma::fetch_wait<LEFT>();
#if HOPPER
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
	__syncthreads();
}

/* 64 rows of p from row first on; there are 2 Y - 1. */
__device__ __forceinline__ void
fetch_positions(uint32_t tile, const bf16 *p, int64_t ld, int Y, int first)
{
#pragma unroll
	for (int i = 0; i < TILE * W / 8 / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / (W / 8), c = n % (W / 8), at = first + r;
		bool valid = at >= 0 && at < 2 * Y - 1;
		mma::fetch16(mma::at<W>(tile, r, c), p + (valid ? at * ld + 8 * c : 0), valid);
	}
}

/* The first row of p that queries q0 .. and keys k0 .. meet: row 63 - i + j from it on is that of query q0 + i, key k0 + j. */
__device__ __forceinline__ int
window_of(int Y, int q0, int k0)
{
	return Y - 1 - (q0 + TILE - 1) + k0;
}

/* Two tiles of positions that lie apart: rows 0 .. 63 and 64 .. 127. */
struct window {
	uint32_t low, high;

	/* Where a tile of all rows would begin, for one from which row is read. */
	__device__ __forceinline__ uint32_t
	tile(int row) const
	{
		return row < TILE ? low : high - BYTES;
	}
};

/* Which of the keys first .. are there, bit by bit. */
struct keys {
	uint32_t bit[2];

	__device__ __forceinline__
	keys(const float *mask, int first, int count)
	{
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int j = first + 32 * i + ((int)threadIdx.x & 31);
			bit[i] = __ballot_sync(~0u, j < count && mask[j] != 0.f);
		}
	}

	__device__ __forceinline__ bool
	any() const
	{
		return bit[0] | bit[1];
	}

	/* Scores of those that are not there become value. */
	__device__ __forceinline__ void
	hide(float (&s)[8][4], float value, int col) const
	{
		if ((bit[0] & bit[1]) != ~0u)
#pragma unroll
			for (int j = 0; j < 8; j++)
#pragma unroll
				for (int i = 0; i < 4; i++)
					if (!(bit[j / 4] >> (8 * (j % 4) + col + (i & 1)) & 1))
						s[j][i] = value;
	}
};

/* On Hopper products are begun, and there once `finish` has been asked to leave at most so many of them and `ready` was said of the
 * result; elsewhere at once. Rows of results are a warp's own 16 of 64. */
template <int LEFT>
__device__ __forceinline__ void
finish()
{
#if HOPPER
	wg::wait<LEFT>();
#endif
}

template <int N>
__device__ __forceinline__ void
ready([[maybe_unused]] float (&c)[N][4])
{
#if HOPPER
	wg::hold(c);
#endif
}

/* s = the rows of tile a times the transpose of tile b. */
__device__ __forceinline__ void
begin_scores(float (&s)[8][4], uint32_t a, uint32_t b, [[maybe_unused]] struct lane at)
{
#if HOPPER
	wg::begin();
#pragma unroll
	for (int k = 0; k < STEPS; k++)
		wg::product(s, wg::along(a + 32 * k), wg::along(b + 32 * k), k > 0);
	wg::commit();
#else
	scores<W>(s, a, b, 16 * at.warp, at.id);
#endif
}

struct factor {
	uint32_t l[TILE / 16][4];
};

__device__ __forceinline__ struct factor
factor_of(const float (&p)[8][4])
{
	struct factor f;

#pragma unroll
	for (int k = 0; k < TILE / 16; k++)
		mma::left_of(f.l[k], p[2 * k], p[2 * k + 1]);
	return f;
}

/* acc += p times the tile. */
__device__ __forceinline__ void
begin_product(float (&acc)[W / 8][4], const struct factor &p, uint32_t tile, [[maybe_unused]] struct lane at)
{
#if HOPPER
	wg::begin();
#pragma unroll
	for (int k = 0; k < TILE / 16; k++)
		wg::product(acc, p.l[k], wg::across(tile + k * STEP, BYTES), 1);
	wg::commit();
#else
#pragma unroll
	for (int k = 0; k < TILE / 16; k++)
#pragma unroll
		for (int j = 0; j < W / 16; j++) {
			uint32_t r[4];
			mma::right_across<W>(r, tile, j, k, at.id);
			mma::product(acc[2 * j], p.l[k], r[0], r[1]);
			mma::product(acc[2 * j + 1], p.l[k], r[2], r[3]);
		}
#endif
}

/* s [16, 64] += c, the warp's queries times rows FROM .. FROM + 79 of the window, each row from its own column on. Of query i
 * column 15 - i + j belongs to key j: 8 and 7 - row columns on for the first eight queries, 7 - row for the others. A lane asks
 * the one `far` on in its quad for an even column, the same or the next one for an odd one; that gives of the eight columns that
 * follow where the asking lane's count has gone round. */
template <int FROM, int N>
__device__ __forceinline__ void
add_shifted(float (&s)[8][4], const float (&c)[N][4], struct lane at)
{
	int on = 7 - at.id / 4, far = on / 2, own = at.id & 3, quad = at.id & ~3;
	bool odd = on & 1, round = own < far, round2 = own < far + odd;
	int first = quad | ((own + far) & 3), second = quad | ((own + far + odd) & 3);

#pragma unroll
	for (int h = 0; h < 2; h++) {
		float x[9], y[9];
#pragma unroll
		for (int j = 0; j < 9; j++) {
			const float (&from)[4] = c[FROM / 8 + 1 - h + j];
			x[j] = odd ? from[2 * h + 1] : from[2 * h];
			y[j] = odd ? from[2 * h] : from[2 * h + 1];
		}
#pragma unroll
		for (int j = 0; j < 8; j++) {
			s[j][2 * h] += __shfl_sync(~0u, round ? x[j + 1] : x[j], first);
			s[j][2 * h + 1] += __shfl_sync(~0u, round2 ? y[j + 1] : y[j], second);
		}
	}
}

/* c = the rows of sw times the positions that they meet: Hopper's products serve 64 rows at once, so all of the window. */
enum { SPAN = HOPPER ? 2 * TILE : MEET };

__device__ __forceinline__ void
begin_positions(float (&c)[SPAN / 8][4], uint32_t sw, struct window p, [[maybe_unused]] struct lane at)
{
#if HOPPER
	begin_scores(reinterpret_cast<float (&)[8][4]>(c[0]), sw, p.low, at);
	begin_scores(reinterpret_cast<float (&)[8][4]>(c[8]), sw, p.high, at);
#else
	clear<MEET>(c);
#pragma unroll
	for (int k = 0; k < STEPS; k++) {
		uint32_t l[4];
		mma::left<W>(l, sw, 16 * at.warp, k, at.id);
#pragma unroll
		for (int j = 0; j < MEET / 16; j++) {
			int row = 48 - 16 * at.warp + 16 * j;
			uint32_t r[4];
			mma::right<W>(r, p.tile(row), row, k, at.id);
			mma::product(c[2 * j], l, r[0], r[1]);
			mma::product(c[2 * j + 1], l, r[2], r[3]);
		}
	}
#endif
}

__device__ __forceinline__ void
add_positions(float (&s)[8][4], const float (&c)[SPAN / 8][4], struct lane at)
{
#if HOPPER
	switch (at.warp) {
	case 0:
		add_shifted<48>(s, c, at);
		break;
	case 1:
		add_shifted<32>(s, c, at);
		break;
	case 2:
		add_shifted<16>(s, c, at);
		break;
	default:
		add_shifted<0>(s, c, at);
	}
#else
	add_shifted<0>(s, c, at);
#endif
}

} // namespace relative
#endif
