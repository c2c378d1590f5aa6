/* SPDX-License-Identifier: Apache-2.0 */
/* pixels_conv_first.cu - the convolution of the autoencoder's input: windows of 3 x 3 pixels with 8 channels
 *
 * A window is 72 numbers long: all weights of 64 outputs stay in a warp's registers, and what it multiplies comes as fragments straight
 * from memory, where two neighbours of a pixel are one step of 16. What it costs is writing the result. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/pixels_conv.cuh"

namespace {

enum { THREADS = 128, WARPS = THREADS / 32, TAPS = 9, STEPS = 5, I = 8, OUTS = 64, BLOCKS = 3 };

/* Channels 2 q, + 1 of tap t around pixel (h, v) of x; zeros beyond. */
__device__ __forceinline__ uint32_t
neighbour(const struct pixels_conv &s, int h, int v, int t, int q)
{
	int r = h + t / 3 - 1, u = v + t % 3 - 1;
	bool in = t < TAPS && r >= 0 && r < s.H && u >= 0 && u < s.W;

	return in ? *reinterpret_cast<const uint32_t *>(s.x + ((int64_t)r * s.W + u) * I + 2 * q) : 0u;
}

__global__ void __launch_bounds__(THREADS, BLOCKS)
convolve(const __grid_constant__ struct pixels_conv s, bf16 *y, int across)
{
	__shared__ __align__(16) uint32_t own[WARPS][16 * OUTS / 2];
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, q = lane % 4, n = (int)blockIdx.y * OUTS;
	uint32_t w[OUTS / 8][STEPS][2];

#pragma unroll
	for (int j = 0; j < OUTS / 8; j++)
#pragma unroll
		for (int t = 0; t < 2 * STEPS; t++)
			w[j][t / 2][t % 2] = t < TAPS ? *reinterpret_cast<const uint32_t *>(s.w + (int64_t)(n + 8 * j + g) * TAPS * I + t * I + 2 * q) : 0u;
	for (int at = (int)blockIdx.x * WARPS + warp; at < s.H * across; at += (int)gridDim.x * WARPS) {
		int h = at / across, v = at % across * 16;
		uint32_t a[STEPS][4];
		float acc[OUTS / 8][4] = {};
#pragma unroll
		for (int t = 0; t < 2 * STEPS; t++)
#pragma unroll
			for (int e = 0; e < 2; e++)
				a[t / 2][t % 2 * 2 + e] = neighbour(s, h, v + g + 8 * e, t, q);
#pragma unroll
		for (int i = 0; i < STEPS; i++)
#pragma unroll
			for (int j = 0; j < OUTS / 8; j++)
				mma::product(acc[j], a[i], w[j][i][0], w[j][i][1]);
		pixels_put(y + ((int64_t)h * s.W + v) * s.ldy, s, own[warp], acc, s.W - v, n, lane);
	}
}

} // namespace

bool
pixels_conv_first(struct dev *d, const struct pixels_conv &s, bf16 *y)
{
	int across = (s.W + 15) / 16;
	unsigned most = (unsigned)(d->cuda->processors * BLOCKS), blocks = cuda_blocks((int64_t)s.H * across, WARPS);
	dim3 grid(blocks < most ? blocks : most, (unsigned)(s.O / OUTS));

	if (s.I != I || s.k != 3 || s.stride != 1 || s.O % OUTS || s.ldy % 8 || (uintptr_t)y % 16)
		return false;
	convolve<<<grid, THREADS, 0, cuda_stream(d)>>>(s, y, across);
	cuda_launched(d, "pix_conv");
	return true;
}
