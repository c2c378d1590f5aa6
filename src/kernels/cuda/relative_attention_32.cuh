/* SPDX-License-Identifier: Apache-2.0 */
/* relative_attention_32.cuh - tiles of F32 numbers and of positions, and products of them, for attention with relative positions
 *
 * A block has 64 queries (backward over keys: 64 keys), a warp 16 of them, and meets the others 32 at a time: 95 rows of positions,
 * a warp 47 of them. They lie in a ring of 128 rows, of which a step gives up 32 and the next one's 32 arrive. Products with the
 * whole window are made, then read shifted. Biases are added to q as it is read. */
#ifndef ACE_KERNELS_CUDA_RELATIVE_ATTENTION_32_CUH
#define ACE_KERNELS_CUDA_RELATIVE_ATTENTION_32_CUH

#include "kernels/cuda/flash.cuh"
#include "kernels/cuda/mma32.cuh"
#include "kernels/cuda/relative_attention.cuh"

namespace relative32 {

using namespace flash;

enum { W = 64, PART = 32, STEPS = W / 8, MEET = PART + 16, RING = 128 };	/* PART: rows of a step */
constexpr uint32_t LINE = W * sizeof(float), BYTES = TILE * LINE, HALF = PART * LINE;

/* Row of the ring, a multiple of 8, as a tile's first. */
__device__ __forceinline__ uint32_t
ring_row(uint32_t ring, int row)
{
	return ring + (uint32_t)(row & (RING - 1)) * LINE;
}

/* 32 rows of p from row first on; there are 2 Y - 1. */
__device__ __forceinline__ void
fetch_positions(uint32_t tile, const float *p, int64_t ld, int Y, int first)
{
#pragma unroll
	for (int i = 0; i < PART * W / 4 / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / (W / 4), c = n % (W / 4), at = first + r;
		bool valid = at >= 0 && at < 2 * Y - 1;
		mma::fetch16(mma32::at<W>(tile, r, c), p + (valid ? at * ld + 4 * c : 0), valid);
	}
}

/* The head's two biases, one behind the other. */
__device__ __forceinline__ void
fetch_biases(float *bias, const struct relative_pointers &x, int64_t head)
{
	if (threadIdx.x < 2 * W)
		bias[threadIdx.x] = threadIdx.x < W ? x.bu[head + threadIdx.x] : x.bv[head + threadIdx.x - W];
}

/* Which of the keys first .. + 31 are there. */
__device__ __forceinline__ uint32_t
keys_there(const float *mask, int first, int count, int lane)
{
	return __ballot_sync(~0u, first + lane < count && mask[first + lane] != 0.f);
}

/* Left factors of q's rows plus each bias: columns 8 step .. + 7. */
template <bool SPLIT>
__device__ __forceinline__ void
left_biased(mma32::left_factor<SPLIT> &u, mma32::left_factor<SPLIT> &v, uint32_t q, int row, int step, const float *bias, int lane)
{
	uint32_t x[4];

	mma::load(x, mma32::at<W>(q, row + (lane & 15), 2 * step + (lane >> 4)));
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int column = 8 * step + (lane & 3) + 4 * (i / 2);
		u.set(i, __uint_as_float(x[i]) + bias[column]);
		v.set(i, __uint_as_float(x[i]) + bias[W + column]);
	}
}

/* Right factors that are the transpose of q's rows row .. + 15 plus each bias. */
template <bool SPLIT>
__device__ __forceinline__ void
right_biased(mma32::right_factor<SPLIT> (&u)[2], mma32::right_factor<SPLIT> (&v)[2], uint32_t q, int row, int step, const float *bias,
             int lane)
{
	uint32_t x[4];

	mma::load(x, mma32::at<W>(q, row + (lane & 7) + 8 * (lane >> 4), 2 * step + ((lane >> 3) & 1)));
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int column = 8 * step + (lane & 3) + 4 * (i % 2);
		u[i / 2].set(i % 2, __uint_as_float(x[i]) + bias[column]);
		v[i / 2].set(i % 2, __uint_as_float(x[i]) + bias[W + column]);
	}
}

/* Part 0, 1 or 2 of c += a b: the two small products when split, and the great one. Products take turns by parts, so that none waits
 * for the one before. */
template <bool SPLIT>
__device__ __forceinline__ void
part_of(float (&c)[4], int part, const mma32::left_factor<SPLIT> &a, const mma32::right_factor<SPLIT> &b)
{
	if constexpr (SPLIT) {
		if (part == 0)
			mma32::product(c, a.lo, b.hi);
		if (part == 1)
			mma32::product(c, a.hi, b.lo);
	}
	if (part == 2)
		mma32::product(c, a.hi, b.hi);
}

/* c[i] += a b[i] */
template <bool SPLIT, int N>
__device__ __forceinline__ void
products(float (*c)[4], const mma32::left_factor<SPLIT> &a, const mma32::right_factor<SPLIT> (&b)[N][2])
{
#pragma unroll
	for (int part = 0; part < 3; part++)
#pragma unroll
		for (int i = 0; i < 2 * N; i++)
			part_of<SPLIT>(c[i], part, a, b[i / 2][i % 2]);
}

/* s [16, 32] = rows row .. + 15 of tile a times the transpose of tile b. */
template <bool SPLIT>
__device__ __forceinline__ void
scores_of(float (&s)[PART / 8][4], uint32_t a, uint32_t b, int row, int lane)
{
	clear<PART>(s);
#pragma unroll
	for (int k = 0; k < STEPS; k++) {
		auto l = mma32::left<W, SPLIT>(a, row, k, lane);
		mma32::right_factor<SPLIT> r[PART / 16][2];
#pragma unroll
		for (int j = 0; j < PART / 16; j++)
			mma32::right<W, SPLIT>(r[j], b, 16 * j, k, lane);
		products<SPLIT>(s, l, r);
	}
}

/* s [16, 32] += c [16, 48], each row from its own column on: of query i column 15 - i + j belongs to key j, that is 8 and 7 - row
 * columns on for the first eight queries, 7 - row for the others. A lane asks the one of its quad that has the column, which gives
 * of the eight columns that follow where the asking lane's count has gone round. */
__device__ __forceinline__ void
add_shifted(float (&s)[PART / 8][4], const float (&c)[MEET / 8][4], struct lane at)
{
	int on = 7 - at.id / 4;
	bool odd = on & 1;

#pragma unroll
	for (int e = 0; e < 2; e++) {
		int from = (at.id & ~3) | ((at.col + e + on) & 7) >> 1;
		bool round = at.col + (odd ? 1 - e : e) < on;
#pragma unroll
		for (int h = 0; h < 2; h++)
#pragma unroll
			for (int j = 0; j < PART / 8; j++) {
				const float (&here)[4] = c[j + 1 - h], (&behind)[4] = c[j + 2 - h];
				float even = round ? behind[2 * h + e] : here[2 * h + e];
				float other = round ? behind[2 * h + 1 - e] : here[2 * h + 1 - e];
				s[j][2 * h + e] += __shfl_sync(~0u, odd ? other : even, from);
			}
	}
}

/* c [16, 48] = s [16, 32], each row shifted the other way, zeros beside it. */
__device__ __forceinline__ void
shift_back(float (&c)[MEET / 8][4], const float (&s)[PART / 8][4], struct lane at)
{
	int on = 7 - at.id / 4;
	bool odd = on & 1;

#pragma unroll
	for (int e = 0; e < 2; e++) {
		int from = (at.id & ~3) | ((at.col + e - on) & 7) >> 1;
		bool round = at.col + (odd ? 1 - e : e) + on > 7;
#pragma unroll
		for (int h = 0; h < 2; h++) {
			float before = 0.f;
			c[h ? MEET / 8 - 1 : 0][2 * h + e] = 0.f;
#pragma unroll
			for (int j = 0; j < PART / 8 + 1; j++) {
				float now = 0.f;
				if (j < PART / 8)
					now = odd ? s[j % (PART / 8)][2 * h + 1 - e] : s[j % (PART / 8)][2 * h + e];
				c[j + 1 - h][2 * h + e] = __shfl_sync(~0u, round ? before : now, from);
				before = now;
			}
		}
	}
}

/* s [16, 32] = the warp's queries times keys and times the positions they meet, of which row `window` of the ring is the first. */
template <bool SPLIT>
__device__ __forceinline__ void
scores_with_positions(float (&s)[PART / 8][4], uint32_t q, const float *bias, uint32_t k, uint32_t ring, int window, struct lane at)
{
	float c[MEET / 8][4];

	clear<PART>(s);
	clear<MEET>(c);
#pragma unroll 2
	for (int i = 0; i < STEPS; i++) {
		mma32::left_factor<SPLIT> u, v;
		mma32::right_factor<SPLIT> r[PART / 16][2], m[MEET / 16][2];
		left_biased<SPLIT>(u, v, q, 16 * at.warp, i, bias, at.id);
#pragma unroll
		for (int j = 0; j < PART / 16; j++)
			mma32::right<W, SPLIT>(r[j], k, 16 * j, i, at.id);
		products<SPLIT>(s, u, r);
#pragma unroll
		for (int j = 0; j < MEET / 16; j++)
			mma32::right<W, SPLIT>(m[j], ring_row(ring, window + 16 * j), 0, i, at.id);
		products<SPLIT>(c, v, m);
	}
	add_shifted(s, c, at);
}

/* acc [16, 64] += s [16, 8 N] times 8 N rows, of which tile_of gives where each eight begin. Tensor cores cut what they add up,
 * where others round: a step's sum is made apart, so that long ones do not shrink. Of two neighbours in acc the first has the even
 * columns of 16, the second the odd ones. */
template <bool SPLIT, int N, class F>
__device__ __forceinline__ void
accumulate_rows(float (&acc)[W / 8][4], const float (&s)[N][4], F tile_of, int lane)
{
	float sum[W / 8][4];

	clear<W>(sum);
#pragma unroll
	for (int k = 0; k < N; k++) {
		auto l = mma32::left_of<SPLIT>(s[k]);
#pragma unroll
		for (int j = 0; j < W / 8; j += 4) {
			mma32::right_factor<SPLIT> r[2][2];
#pragma unroll
			for (int i = 0; i < 2; i++)
				mma32::right_across_pair<W>(r[i], tile_of(k), j / 2 + i, 0, lane);
			products<SPLIT>(sum + j, l, r);
		}
	}
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			acc[j][i] += sum[j][i];
}

/* Rows row and row + 8 of what was accumulated, scaled, to numbers ld apart. */
__device__ __forceinline__ void
write_rows(float *to, int64_t ld, const float (&acc)[W / 8][4], struct lane at, int rows, float first, float second)
{
#pragma unroll
	for (int r = 0; r < 2; r++)
#pragma unroll
		for (int j = 0; j < W / 8; j += 2) {
			float4 *p = reinterpret_cast<float4 *>(to + (at.row + 8 * r) * ld + 8 * j + 2 * at.col);
			float f = r ? second : first;
			if (at.row + 8 * r < rows)
				*p = make_float4(acc[j][2 * r] * f, acc[j + 1][2 * r] * f, acc[j][2 * r + 1] * f, acc[j + 1][2 * r + 1] * f);
		}
}

} // namespace relative32
#endif
