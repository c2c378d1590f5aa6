/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_90.cuh - linear attention on Hopper's own instructions: what its three kernels share
 *
 * The copy engine brings tiles of TILE frames, groups of four warps multiply. Each kernel is launched while the one before it
 * ends, and waits for what that wrote (CUDA C++ Programming Guide, Programmatic Dependent Launch). */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_CUH

#include "kernels/cuda/attention_90.cuh"
#include "kernels/cuda/linear_attention.cuh"

namespace linear_90 {

using hopper::GROUP;
using hopper::ROW;
using hopper::TILE;

template <int W>
constexpr uint32_t TILE_BYTES = TILE * W * 2;

/* A part of the frames' sums [W, W] as a group's lanes hold them: rows 64 g .. of group g, fragment j's columns 8 j ..; and z. */
template <int W>
struct part {
	float4 sum[W / 64][W / 8][GROUP];
	float z[W];
};

/* A head's sums as two bf16 numbers each, tiles [W, W] as wgmma.cuh says, and their z: forward a tile [8, W] of which three rows
 * add up to it, backward W floats. */
template <int W>
struct head {
	unsigned char hi[W * W * 2], lo[W * W * 2], z[W * 16];
};

/* Byte of column c of row r in a tile of `rows` rows. */
__device__ __forceinline__ int
at(int r, int c, int rows)
{
	return c / 64 * rows * ROW + r * ROW + ((c % 64 / 8 ^ (r & 7)) << 4) + c % 8 * 2;
}

template <int THREADS>
__device__ __forceinline__ void
sync(int number)
{
	asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(THREADS) : "memory");
}

/* The kernel launched behind this one may start. */
[[maybe_unused]] __device__ __forceinline__ void
next_may_start()
{
	asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/* Until the kernel before has ended, and what it wrote is seen. */
[[maybe_unused]] __device__ __forceinline__ void
wait_for_last()
{
	asm volatile("griddepcontrol.wait;" ::: "memory");
}

/* Launches a kernel that waits itself for the one before. */
template <class... P, class... A>
void
launch_behind(void (*kernel)(P...), dim3 blocks, int threads, size_t bytes, cudaStream_t stream, A &&...args)
{
	cudaLaunchAttribute early = {};
	cudaLaunchConfig_t c = {};

	early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
	early.val.programmaticStreamSerializationAllowed = 1;
	c.gridDim = blocks, c.blockDim = dim3((unsigned)threads), c.dynamicSmemBytes = bytes, c.stream = stream;
	c.attrs = &early, c.numAttrs = 1;
	cudaLaunchKernelEx(&c, kernel, args...);
}

} // namespace linear_90
#endif
