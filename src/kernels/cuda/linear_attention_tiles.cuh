/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_tiles.cuh - tiles of frames, where they are and what goes with them: of numbers of 16 and of 32 bits */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_TILES_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_TILES_CUH

#include "kernels/cuda/linear_attention.cuh"
#include "kernels/cuda/mma.cuh"

namespace linear {

/* Products of tiles by a head's sums: out = (a S) factor + weight z. */
enum { OUTPUTS, QUERIES, KEYS, VALUES };	/* o and den, dq, dk, dv */

/* den and delta of a tile's frames, H numbers apart; zeros beyond rows. Threads 0 .. TILE - 1 den, the next TILE delta. */
template <int TILE>
__device__ __forceinline__ void
fetch_frames(float *to_den, float *to_delta, const float *den, const float *delta, int H, int rows)
{
	int r = (int)threadIdx.x % TILE, bytes = r < rows ? 4 : 0;
	const float *from = (threadIdx.x < TILE ? den : delta) + (r < rows ? (int64_t)r * H : 0);

	if (threadIdx.x < 2 * TILE)
		asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(mma::shared((threadIdx.x < TILE ? to_den : to_delta) + r)),
		             "l"(from), "r"(bytes));
}

/* A tile of all sides' heads, which follow one another. */
template <int TILE>
struct place {
	int side, n, h, first;		/* first frame */

	__device__ __forceinline__
	place(const struct linear_sizes &z, int u)
	{
		int tiles = (z.T + TILE - 1) / TILE, of = u / tiles;

		first = (u - of * tiles) * TILE;
		side = of / (z.B * z.H);
		of -= side * z.B * z.H;
		n = of / z.H;
		h = of - n * z.H;
	}
	__device__ __forceinline__ void
	next(const struct linear_sizes &z)
	{
		first += TILE;
		if (first < z.T)
			return;
		first = 0;
		if (++h < z.H)
			return;
		h = 0;
		if (++n < z.B)
			return;
		n = 0;
		side++;
	}
	__device__ __forceinline__ int64_t
	frame(const struct linear_sizes &z) const
	{
		return (int64_t)n * z.T + first;
	}
};

} // namespace linear
#endif
