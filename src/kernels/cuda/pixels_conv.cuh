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

/* y BF16 on Hopper's own instructions; false: this device, build or size has no such way, and nothing has been done. */
bool pixels_conv_90(struct dev *d, const struct pixels_conv &s, bf16 *y);
#endif
