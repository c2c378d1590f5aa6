/* SPDX-License-Identifier: Apache-2.0 */
/* pixels_conv.cuh - what a convolution of pixels is given (pix_conv of list_pixels.h), and who computes it */
#ifndef ACE_KERNELS_CUDA_PIXELS_CONV_CUH
#define ACE_KERNELS_CUDA_PIXELS_CONV_CUH

#include "kernels/cuda/cuda.cuh"

struct pixels_conv {
	const bf16 *x, *w, *b;		/* b NULL: none */
	int H, W, I, O, k, stride, W_out;
	int64_t P, ldy;			/* pixels of the result; its rows' distance */
	bool silu;
};

/* y BF16 [P, O] of x with 8 channels, k 3, stride 1 (the first of all, whose windows are one fragment long); false: it is not so. */
bool pixels_conv_first(struct dev *d, const struct pixels_conv &s, bf16 *y);

/* y BF16 on Hopper's own instructions; false: this device, build or size has no such way, and nothing has been done. */
bool pixels_conv_90(struct dev *d, const struct pixels_conv &s, bf16 *y);
/* Results of sixteen neighbouring pixels of which `count` are there, 8 J outputs from n on, as fragments have them (mma.cuh), to y, the
 * first one's place: through the warp's own 256 J bytes of shared memory, so that each pixel is written in whole lines. */
template <int J>
static __device__ __forceinline__ void
pixels_put(bf16 *y, const struct pixels_conv &s, uint32_t *own, const float (&acc)[J][4], int count, int n, int lane)
{
	int g = lane / 4, q = lane % 4;

#pragma unroll
	for (int j = 0; j < J; j++) {
		float b[2] = { 0.f, 0.f }, r[4];
		if (s.b && n + 8 * j < s.O)
			unpack_bf16(*reinterpret_cast<const uint32_t *>(s.b + n + 8 * j + 2 * q), b[0], b[1]);
#pragma unroll
		for (int e = 0; e < 4; e++) {
			r[e] = acc[j][e] + b[e % 2];
			r[e] = s.silu ? silu_of(r[e]) : r[e];
		}
		own[g * 4 * J + (j ^ g) * 4 + q] = pack_bf16(r[0], r[1]);
		own[(g + 8) * 4 * J + (j ^ g) * 4 + q] = pack_bf16(r[2], r[3]);
	}
	__syncwarp();
#pragma unroll
	for (int i = 0; i < J / 2; i++) {
		int p = (32 * i + lane) / J, c = lane % J;
		if (p < count && n + 8 * c < s.O)
			*reinterpret_cast<uint4 *>(y + p * s.ldy + n + 8 * c) =
				*reinterpret_cast<const uint4 *>(own + p * 4 * J + (c ^ (p & 7)) * 4);
	}
	__syncwarp();
}
#endif
