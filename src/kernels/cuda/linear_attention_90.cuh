/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_90.cuh - linear attention on Hopper's own instructions: what its two kernels share
 *
 * The copy engine brings tiles of TILE frames, groups of four warps multiply. The second kernel is launched while the first ends,
 * and waits for what that wrote (CUDA C++ Programming Guide, Programmatic Dependent Launch). */
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

/* All halves of a tile. LAST: of what is not wanted again soon. */
template <int W, bool LAST>
__device__ __forceinline__ void
fetch_tile(uint32_t to, const CUtensorMap *map, int head, int first, int b, uint32_t barrier)
{
#pragma unroll
	for (int i = 0; i < W / 64; i++)
		if (LAST)
			wg::fetch_last(to + i * TILE * ROW, map, head * W + 64 * i, first, b, barrier);
		else
			wg::fetch(to + i * TILE * ROW, map, head * W + 64 * i, first, b, barrier);
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

} // namespace linear_90
#endif
