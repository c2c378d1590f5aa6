/* SPDX-License-Identifier: Apache-2.0 */
/* wgmma.cuh - products of a group of four warps on Hopper's tensor cores, and tiles brought by the copy engine
 *
 * A tile is [rows, W] bf16 as W / 64 halves of rows x 128 bytes; 16-byte chunk c of row r lies at chunk c ^ (r & 7) of its half
 * (the copy engine's 128-byte swizzle). It serves as a factor whose k runs along its rows, or (across) along its columns.
 * Results lie as mma.cuh's: warp w of the group has rows 16 w .. + 15 (PTX ISA, wgmma.mma_async). */
#ifndef ACE_KERNELS_CUDA_WGMMA_CUH
#define ACE_KERNELS_CUDA_WGMMA_CUH

#include "kernels/cuda/mma.cuh"

#include <cuda.h>

/* Whether code for Hopper itself is being made: bodies that need its instructions are empty elsewhere. */
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOPPER 1
#else
#define HOPPER 0
#endif

namespace wg {

/* Descriptor of a factor at addr in shared memory whose k runs along 128-byte rows. */
__device__ __forceinline__ uint64_t
along(uint32_t addr)
{
	return (uint64_t)((addr & 0x3ffffu) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

/* Of one whose k runs down the rows; half: bytes from one half of the tile to the next. */
__device__ __forceinline__ uint64_t
across(uint32_t addr, uint32_t half)
{
	return (uint64_t)((addr & 0x3ffffu) >> 4) | (uint64_t)(half >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

__device__ __forceinline__ void
begin()
{
	asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void
commit()
{
	asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int LEFT>
__device__ __forceinline__ void
wait()
{
	asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

/* Keeps the compiler from moving uses of results across. */
template <int N>
__device__ __forceinline__ void
hold(float (&c)[N][4])
{
#pragma unroll
	for (int j = 0; j < N; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			asm volatile("" : "+f"(c[j][i])::"memory");
}

/* c [64, 64] = or (add) += the group's 64 rows at a, k along them, times 64 rows at b, k along them, or (ACROSS) 64 columns there, k
 * down the rows; 16 of k. */
template <int ACROSS = 0>
__device__ __forceinline__ void
product(float (&c)[8][4], uint64_t a, uint64_t b, int add)
{
	asm volatile(
		"{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
		"%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
		"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
		"%32, %33, p, 1, 1, 0, %35;}"
		:
		  "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
		  "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]),
		  "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),
		  "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3])
		: "l"(a), "l"(b), "r"(add), "n"(ACROSS));
}

/* The same of a left factor in registers, and b across: k runs down its rows. */
__device__ __forceinline__ void
product(float (&c)[8][4], const uint32_t (&a)[4], uint64_t b, int add)
{
	asm volatile(
		"{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
		"%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
		"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
		"{%32, %33, %34, %35}, %36, p, 1, 1, 1;}"
		:
		  "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
		  "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]),
		  "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),
		  "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}

/* c [64, 128] = or (add) += the same with 128 rows or columns at b. */
template <int ACROSS = 0>
__device__ __forceinline__ void
product(float (&c)[16][4], uint64_t a, uint64_t b, int add)
{
	asm volatile(
		"{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
		"%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
		"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
		"%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
		"%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
		"%64, %65, p, 1, 1, 0, %67;}"
		:
		  "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
		  "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]),
		  "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),
		  "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3]),
		  "+f"(c[8][0]), "+f"(c[8][1]), "+f"(c[8][2]), "+f"(c[8][3]), "+f"(c[9][0]), "+f"(c[9][1]), "+f"(c[9][2]), "+f"(c[9][3]),
		  "+f"(c[10][0]), "+f"(c[10][1]), "+f"(c[10][2]), "+f"(c[10][3]), "+f"(c[11][0]), "+f"(c[11][1]), "+f"(c[11][2]), "+f"(c[11][3]),
		  "+f"(c[12][0]), "+f"(c[12][1]), "+f"(c[12][2]), "+f"(c[12][3]), "+f"(c[13][0]), "+f"(c[13][1]), "+f"(c[13][2]), "+f"(c[13][3]),
		  "+f"(c[14][0]), "+f"(c[14][1]), "+f"(c[14][2]), "+f"(c[14][3]), "+f"(c[15][0]), "+f"(c[15][1]), "+f"(c[15][2]), "+f"(c[15][3])
		: "l"(a), "l"(b), "r"(add), "n"(ACROSS));
}

/* The same of a left factor in registers, and b across: k runs down its rows. */
__device__ __forceinline__ void
product(float (&c)[16][4], const uint32_t (&a)[4], uint64_t b, int add)
{
	asm volatile(
		"{.reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
		"%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
		"%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
		"%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
		"%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
		"{%64, %65, %66, %67}, %68, p, 1, 1, 1;}"
		:
		  "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
		  "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]),
		  "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),
		  "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]), "+f"(c[7][2]), "+f"(c[7][3]),
		  "+f"(c[8][0]), "+f"(c[8][1]), "+f"(c[8][2]), "+f"(c[8][3]), "+f"(c[9][0]), "+f"(c[9][1]), "+f"(c[9][2]), "+f"(c[9][3]),
		  "+f"(c[10][0]), "+f"(c[10][1]), "+f"(c[10][2]), "+f"(c[10][3]), "+f"(c[11][0]), "+f"(c[11][1]), "+f"(c[11][2]), "+f"(c[11][3]),
		  "+f"(c[12][0]), "+f"(c[12][1]), "+f"(c[12][2]), "+f"(c[12][3]), "+f"(c[13][0]), "+f"(c[13][1]), "+f"(c[13][2]), "+f"(c[13][3]),
		  "+f"(c[14][0]), "+f"(c[14][1]), "+f"(c[14][2]), "+f"(c[14][3]), "+f"(c[15][0]), "+f"(c[15][1]), "+f"(c[15][2]), "+f"(c[15][3])
		: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}

/* c [64, 8] = or (add) += the group's 64 rows at a times 8 rows at b, k along both; 16 of k. */
__device__ __forceinline__ void
product(float (&c)[1][4], uint64_t a, uint64_t b, int add)
{
	asm volatile("{.reg .pred p; setp.ne.b32 p, %6, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3}, %4, %5, p, 1, 1, 0, 0;}"
	             : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3])
	             : "l"(a), "l"(b), "r"(add));
}

/* c [64, 16], [64, 32] or [64, 48] += the group's 64 rows at a times as many rows as c has columns at b, k along both, or (ACROSS) down
 * the rows of both; 16 of k. */
template <int ACROSS>
__device__ __forceinline__ void
thin_product(float (&c)[2][4], uint64_t a, uint64_t b)
{
	asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7}, %8, %9, 1, 1, 1, %10, %10;"
	             : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3])
	             : "l"(a), "l"(b), "n"(ACROSS));
}

template <int ACROSS>
__device__ __forceinline__ void
thin_product(float (&c)[4][4], uint64_t a, uint64_t b)
{
	asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, %16, %17, 1, 1, 1, %18, %18;"
	             : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
	               "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3])
	             : "l"(a), "l"(b), "n"(ACROSS));
}

template <int ACROSS>
__device__ __forceinline__ void
thin_product(float (&c)[6][4], uint64_t a, uint64_t b)
{
	asm volatile("wgmma.mma_async.sync.aligned.m64n48k16.f32.bf16.bf16 {"
	             "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23}, "
	             "%24, %25, 1, 1, 1, %26, %26;"
	             : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]), "+f"(c[1][2]), "+f"(c[1][3]),
	               "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]), "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]),
	               "+f"(c[4][0]), "+f"(c[4][1]), "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3])
	             : "l"(a), "l"(b), "n"(ACROSS));
}

/* --- blocks of a cluster: all have come, and see what each has written before --- */

__device__ __forceinline__ void
cluster_arrive()
{
	asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

__device__ __forceinline__ void
cluster_wait()
{
	asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void
cluster_meet()
{
	cluster_arrive();
	cluster_wait();
}

/* --- barriers in shared memory --- */

__device__ __forceinline__ void
barrier_init(uint32_t at, int count)
{
	asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(count) : "memory");
}

/* Behind all barrier_init: the copy engine sees the barriers. */
__device__ __forceinline__ void
barriers_made()
{
	asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/* The same by all threads, which then see them too. */
__device__ __forceinline__ void
barriers_ready()
{
	barriers_made();
	__syncthreads();
}

__device__ __forceinline__ void
barrier_expect(uint32_t at, uint32_t bytes)
{
	asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes) : "memory");
}

__device__ __forceinline__ void
barrier_arrive(uint32_t at)
{
	asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}

__device__ __forceinline__ void
barrier_wait(uint32_t at, int phase)
{
	asm volatile("{.reg .pred p; again: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1; @p bra done; bra again; done:}" ::"r"(at),
	             "r"(phase)
	             : "memory");
}

/* Barriers of two groups by number, 1 to 15: to wait there, or only to be counted. */
__device__ __forceinline__ void
named_sync(int number)
{
	asm volatile("bar.sync %0, 256;" ::"r"(number) : "memory");
}

__device__ __forceinline__ void
named_arrive(int number)
{
	asm volatile("bar.arrive %0, 256;" ::"r"(number) : "memory");
}

/* A box of the tensor map, columns c, rows r, sample b, to shared memory; the barrier counts its bytes. */
__device__ __forceinline__ void
fetch(uint32_t to, const CUtensorMap *map, int c, int r, int b, uint32_t barrier)
{
	asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
	             "l"(map), "r"(c), "r"(r), "r"(b), "r"(barrier)
	             : "memory");
}

/* The same of what is not wanted again soon: it is the first to leave the cache. */
__device__ __forceinline__ void
fetch_last(uint32_t to, const CUtensorMap *map, int c, int r, int b, uint32_t barrier)
{
	asm volatile("{.reg .b64 p; createpolicy.fractional.L2::evict_first.b64 p, 1.0; "
	             "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
	             "[%0], [%1, {%2, %3, %4}], [%5], p;}" ::"r"(to),
	             "l"(map), "r"(c), "r"(r), "r"(b), "r"(barrier)
	             : "memory");
}

/* Bytes as they lie, a multiple of 16; the barrier counts them. */
__device__ __forceinline__ void
fetch_bytes(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier)
{
	asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to), "l"(from),
	             "r"(bytes), "r"(barrier)
	             : "memory");
}

/* What this thread has written to shared memory may be read by the copy engine, once others know. */
__device__ __forceinline__ void
written()
{
	asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* A box of shared memory to the tensor map's columns c, rows r, sample b; what lies beyond is left out. */
__device__ __forceinline__ void
store(const CUtensorMap *map, int c, int r, int b, uint32_t from)
{
	asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map), "r"(c), "r"(r), "r"(b),
	             "r"(from)
	             : "memory");
}

/* Behind this thread's stores: what they were of may be written again. */
__device__ __forceinline__ void
stores_read()
{
	asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/* Share registers out among groups: those that bring tiles need few. */
template <int N>
__device__ __forceinline__ void
fewer_registers()
{
	asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

template <int N>
__device__ __forceinline__ void
more_registers()
{
	asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}

} // namespace wg
#endif
