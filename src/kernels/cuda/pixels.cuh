/* SPDX-License-Identifier: Apache-2.0 */
/* pixels.cuh - what the autoencoder's kernels in bf16 share */
#ifndef ACE_KERNELS_CUDA_PIXELS_CUH
#define ACE_KERNELS_CUDA_PIXELS_CUH

#include "kernels/cuda/cuda.cuh"

/* Two neighbouring channels. */
static __device__ __forceinline__ float2
pair(const bf16 *p)
{
	float2 v;

	unpack_bf16(*reinterpret_cast<const uint32_t *>(p), v.x, v.y);
	return v;
}

/* Two numbers as a sum of bf16: hi + lo, to 2^-17 of each. What tensor cores are given of numbers that are not bf16. */
static __device__ __forceinline__ void
split_bf16(float x, float y, uint32_t &hi, uint32_t &lo)
{
	float a, b;

	hi = pack_bf16(x, y);
	unpack_bf16(hi, a, b);
	lo = pack_bf16(x - a, y - b);
}

/* WITH_WIDTH(D, W, statement): the statement with W the constant of a head's width, else the device fails. */
#define WITH_WIDTH(d, D, W, ...)                                                                                                \
	do {                                                                                                                    \
		switch (D) {                                                                                                    \
		case 8: { constexpr int W = 8; __VA_ARGS__; break; }                                                            \
		case 16: { constexpr int W = 16; __VA_ARGS__; break; }                                                          \
		case 32: { constexpr int W = 32; __VA_ARGS__; break; }                                                          \
		case 64: { constexpr int W = 64; __VA_ARGS__; break; }                                                          \
		default:                                                                                                        \
			(d)->status = ace_fail(ACE_ECONFIG, "heads of %d channels, in bf16 8, 16, 32 and 64 are built", (int)(D)); \
		}                                                                                                               \
	} while (0)

#endif
