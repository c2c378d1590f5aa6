/* SPDX-License-Identifier: Apache-2.0 */
/* mma.cuh - bf16 matrix fragments of one warp: m16n8k16 products of tiles that lie swizzled in shared memory
 *
 * A tile is [rows, W] bf16, W a multiple of 64; chunk c (8 numbers) of row r lies at chunk c ^ (r & 7), so that the eight rows
 * a matrix load reads fall into different banks. Lane l holds of a result c[4]: row l/4, columns 2 (l%4) and + 1, then the
 * same of row l/4 + 8 (PTX ISA, mma.m16n8k16). */
#ifndef ACE_KERNELS_CUDA_MMA_CUH
#define ACE_KERNELS_CUDA_MMA_CUH

#include "kernels/cuda/cuda.cuh"

namespace mma {

/* Address in shared memory of chunk c of row r. */
template <int W>
__device__ __forceinline__ uint32_t
at(uint32_t tile, int r, int c)
{
	return tile + (uint32_t)(r * W * 2 + ((c ^ (r & 7)) << 4));
}

__device__ __forceinline__ uint32_t
shared(const void *p)
{
	return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void
load(uint32_t (&r)[4], uint32_t from)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
	             : "r"(from));
}

__device__ __forceinline__ void
load_across(uint32_t (&r)[4], uint32_t from)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
	             : "r"(from));
}

__device__ __forceinline__ void
product(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
	asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
	             : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
	             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Left factor, rows row .. row+15 of a tile, columns 16 step .. + 15. */
template <int W>
__device__ __forceinline__ void
left(uint32_t (&a)[4], uint32_t tile, int row, int step, int lane)
{
	load(a, at<W>(tile, row + (lane & 15), 2 * step + (lane >> 4)));
}

/* Left factor that is the transpose of a tile: element (m, k) is row 16 step + k, column 8 chunk + m of it. */
template <int W>
__device__ __forceinline__ void
left_across(uint32_t (&a)[4], uint32_t tile, int chunk, int step, int lane)
{
	load_across(a, at<W>(tile, 16 * step + (lane & 7) + 8 * (lane >> 4), chunk + ((lane >> 3) & 1)));
}

/* Right factor that is the transpose of a tile: columns n are its rows row .. row+15 (b[0], b[1] the first eight, b[2], b[3]
 * the rest), k its columns 16 step .. + 15. */
template <int W>
__device__ __forceinline__ void
right(uint32_t (&b)[4], uint32_t tile, int row, int step, int lane)
{
	load(b, at<W>(tile, row + (lane & 7) + 8 * (lane >> 4), 2 * step + ((lane >> 3) & 1)));
}

/* Right factor as it lies: k are the tile's rows 16 step .. + 15, n its columns 16 pair .. + 15. */
template <int W>
__device__ __forceinline__ void
right_across(uint32_t (&b)[4], uint32_t tile, int pair, int step, int lane)
{
	load_across(b, at<W>(tile, 16 * step + (lane & 15), 2 * pair + (lane >> 4)));
}

/* Two neighbouring results [16, 8] as the left factor of a product over their 16 columns. */
__device__ __forceinline__ void
left_of(uint32_t (&a)[4], const float (&c0)[4], const float (&c1)[4])
{
	a[0] = pack_bf16(c0[0], c0[1]);
	a[1] = pack_bf16(c0[2], c0[3]);
	a[2] = pack_bf16(c1[0], c1[1]);
	a[3] = pack_bf16(c1[2], c1[3]);
}

/* 16 bytes from device to shared memory, zeros when not valid. */
__device__ __forceinline__ void
fetch16(uint32_t to, const void *from, bool valid)
{
	int bytes = valid ? 16 : 0;

	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes));
}

__device__ __forceinline__ void
fetch_commit()
{
	asm volatile("cp.async.commit_group;");
}

template <int LEFT>
__device__ __forceinline__ void
fetch_wait()
{
	asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

/* A tile of N rows, of which `rows` are there (the others become zeros), from rows ld numbers apart; by THREADS threads. */
template <int W, int N, int THREADS>
__device__ __forceinline__ void
fetch_tile(uint32_t tile, const bf16 *from, int64_t ld, int rows)
{
	constexpr int CHUNKS = W / 8;

#pragma unroll
	for (int i = 0; i < N * CHUNKS / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / CHUNKS, c = n % CHUNKS;
		bool valid = r < rows;
		fetch16(at<W>(tile, r, c), from + (valid ? (int64_t)r * ld + 8 * c : 0), valid);
	}
}

} // namespace mma
#endif
