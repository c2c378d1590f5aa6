/* SPDX-License-Identifier: Apache-2.0 */
/* mma32.cuh - f32 matrix fragments of one warp: m16n8k8 products in TF32 of tiles that lie swizzled in shared memory
 *
 * SPLIT: a factor is the sum of two TF32 numbers and a product three (the product of both small ones is left out), so that what is
 * lost is that of f32 sums, about 2^-22 of a product; else left factors are rounded to TF32's 11 bits, and of right ones, of which
 * there are more, the product takes the first 11 bits.
 *
 * A tile is [rows, W] f32, W a multiple of 32; chunk c (4 numbers) of row r lies at chunk c ^ (r & 7). Lane l holds of a result
 * c[4]: row l/4, columns 2 (l%4) and + 1, then the same of row l/4 + 8 (PTX ISA, mma.m16n8k8). Where a product sums over a tile's
 * rows, or over the columns of a result (`across`, `left_of`), the eight of a step are taken in the order 0 2 4 6 1 3 5 7 on both
 * sides: a result is then a factor as it lies, and no two lanes read from one bank. Factors of one product are both of this kind
 * or both not. */
#ifndef ACE_KERNELS_CUDA_MMA32_CUH
#define ACE_KERNELS_CUDA_MMA32_CUH

#include "kernels/cuda/mma.cuh"

namespace mma32 {

/* N numbers a lane: 4 a left factor [16, 8], 2 a right one [8, 8]. */
template <int N, bool SPLIT>
struct factor {
	uint32_t hi[N], lo[SPLIT ? N : 1];

	__device__ __forceinline__ void
	set(int i, float x)
	{
		if (SPLIT) {
			hi[i] = __float_as_uint(x) & 0xffffe000u;
			lo[i] = __float_as_uint(x - __uint_as_float(hi[i]));
		} else if (N == 4) {
			asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(hi[i]) : "f"(x));
		} else {
			hi[i] = __float_as_uint(x);
		}
	}
};

template <bool SPLIT>
using left_factor = factor<4, SPLIT>;
template <bool SPLIT>
using right_factor = factor<2, SPLIT>;

/* Address in shared memory of chunk c of row r. */
template <int W>
__device__ __forceinline__ uint32_t
at(uint32_t tile, int r, int c)
{
	return tile + (uint32_t)(r * W * 4 + ((c ^ (r & 7)) << 4));
}

/* Number column of row r. */
template <int W>
__device__ __forceinline__ float
number(uint32_t tile, int r, int column)
{
	float x;

	asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(at<W>(tile, r, column / 4) + 4 * (column & 3)));
	return x;
}

__device__ __forceinline__ void
product(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
	asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
	             : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
	             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* c += a b */
template <bool SPLIT>
__device__ __forceinline__ void
product(float (&c)[4], const left_factor<SPLIT> &a, const right_factor<SPLIT> &b)
{
	if constexpr (SPLIT) {
		product(c, a.lo, b.hi);
		product(c, a.hi, b.lo);
	}
	product(c, a.hi, b.hi);
}

/* Left factor, rows row .. row + 15 of a tile, columns 8 step .. + 7. */
template <int W, bool SPLIT>
__device__ __forceinline__ left_factor<SPLIT>
left(uint32_t tile, int row, int step, int lane)
{
	left_factor<SPLIT> f;
	uint32_t x[4];

	mma::load(x, at<W>(tile, row + (lane & 15), 2 * step + (lane >> 4)));
#pragma unroll
	for (int i = 0; i < 4; i++)
		f.set(i, __uint_as_float(x[i]));
	return f;
}

/* Two right factors that are the transpose of a tile: columns n are its rows row .. + 7, and row + 8 .. + 15, k its columns 8 step .. + 7. */
template <int W, bool SPLIT>
__device__ __forceinline__ void
right(right_factor<SPLIT> (&f)[2], uint32_t tile, int row, int step, int lane)
{
	uint32_t x[4];

	mma::load(x, at<W>(tile, row + (lane & 7) + 8 * (lane >> 4), 2 * step + ((lane >> 3) & 1)));
#pragma unroll
	for (int i = 0; i < 4; i++)
		f[i / 2].set(i % 2, __uint_as_float(x[i]));
}

/* Left factor that is the transpose of a tile: rows m are its columns 8 eight .. + 15, k its rows 8 step .. + 7. */
template <int W, bool SPLIT>
__device__ __forceinline__ left_factor<SPLIT>
left_across(uint32_t tile, int eight, int step, int lane)
{
	left_factor<SPLIT> f;
	int row = 8 * step + 2 * (lane & 3), column = 8 * eight + (lane >> 2);

#pragma unroll
	for (int i = 0; i < 4; i++)
		f.set(i, number<W>(tile, row + i / 2, column + 8 * (i & 1)));
	return f;
}

/* Right factor as it lies: k are the tile's rows 8 step .. + 7, n its columns 8 eight .. + 7. */
template <int W, bool SPLIT>
__device__ __forceinline__ right_factor<SPLIT>
right_across(uint32_t tile, int eight, int step, int lane)
{
	right_factor<SPLIT> f;
	int row = 8 * step + 2 * (lane & 3), column = 8 * eight + (lane >> 2);

	f.set(0, number<W>(tile, row, column));
	f.set(1, number<W>(tile, row + 1, column));
	return f;
}

/* The same of two neighbouring eights, of which the first has the even columns and the second the odd ones. */
template <int W, bool SPLIT>
__device__ __forceinline__ void
right_across_pair(right_factor<SPLIT> (&f)[2], uint32_t tile, int pair, int step, int lane)
{
	int row = 8 * step + 2 * (lane & 3), column = 16 * pair + 2 * (lane >> 2);

#pragma unroll
	for (int i = 0; i < 2; i++) {
		float x, y;
		asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(x), "=f"(y) : "r"(at<W>(tile, row + i, column / 4) + 4 * (column & 3)));
		f[0].set(i, x);
		f[1].set(i, y);
	}
}

/* A result [16, 8] as the left factor of a product over its columns. */
template <bool SPLIT>
__device__ __forceinline__ left_factor<SPLIT>
left_of(const float (&c)[4])
{
	left_factor<SPLIT> f;

	f.set(0, c[0]);
	f.set(1, c[2]);
	f.set(2, c[1]);
	f.set(3, c[3]);
	return f;
}

/* A tile of N rows, of which `rows` are there (the others become zeros), from rows ld numbers apart; by THREADS threads. 16-byte
 * aligned rows. */
template <int W, int N, int THREADS>
__device__ __forceinline__ void
fetch_tile(uint32_t tile, const float *from, int64_t ld, int rows)
{
	constexpr int CHUNKS = W / 4;

	static_assert(N * CHUNKS % THREADS == 0, "all threads fetch alike");
#pragma unroll
	for (int i = 0; i < N * CHUNKS / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / CHUNKS, c = n % CHUNKS;
		bool valid = r < rows;
		mma::fetch16(at<W>(tile, r, c), from + (valid ? (int64_t)r * ld + 4 * c : 0), valid);
	}
}

} // namespace mma32
#endif
