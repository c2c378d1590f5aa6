/* SPDX-License-Identifier: Apache-2.0 */
/* f8.cuh - rows brought to e4m3; products in fp8 on Hopper's own instructions */
#ifndef ACE_KERNELS_CUDA_F8_CUH
#define ACE_KERNELS_CUDA_F8_CUH

#include "kernels/cuda/cuda.cuh"

#include <cuda_fp8.h>

static __device__ __forceinline__ uint32_t
f8_two(float a, float b)
{
	return __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, __NV_E4M3);
}

/* What brings a row whose greatest is top to 448 and below. */
static __device__ __forceinline__ float
f8_up(float top)
{
	return __fdiv_rn(top, 448.f) == 0.f ? 0.f : __fdiv_rn(448.f, top);
}

static __device__ __forceinline__ void
unpack8(float (&v)[8], uint4 a)
{
	unpack_bf16(a.x, v[0], v[1]);
	unpack_bf16(a.y, v[2], v[3]);
	unpack_bf16(a.z, v[4], v[5]);
	unpack_bf16(a.w, v[6], v[7]);
}

/* Eight numbers times up. */
static __device__ __forceinline__ void
f8_put(uint8_t *q, const float (&v)[8], float up)
{
	*reinterpret_cast<uint2 *>(q) = make_uint2(f8_two(v[0] * up, v[1] * up) | f8_two(v[2] * up, v[3] * up) << 16,
	                                           f8_two(v[4] * up, v[5] * up) | f8_two(v[6] * up, v[7] * up) << 16);
}

/* A row of width numbers that a block holds, v[i] those from column from + i * step on (of none past the row's end, where v is 0),
 * times c where WEIGHED: q and its scale. shared: 32 numbers. */
template <bool WEIGHED, int PIECES>
static __device__ __forceinline__ void
f8_row(uint8_t *__restrict__ q, float *__restrict__ scale, float (&v)[PIECES][8], const float *__restrict__ c, int from, int step,
       int width, float *shared)
{
	float w[8], top = 0.f, up;

#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		if (WEIGHED && from + i * step < width) {
			load8(w, c + from + i * step);
#pragma unroll
			for (int j = 0; j < 8; j++)
				v[i][j] *= w[j];
		}
#pragma unroll
		for (int j = 0; j < 8; j++)
			top = fmaxf(top, fabsf(v[i][j]));
	}
	top = block_max(top, shared);
	up = f8_up(top);
	if (threadIdx.x == 0)
		*scale = __fdiv_rn(top, 448.f);
#pragma unroll
	for (int i = 0; i < PIECES; i++)
		if (from + i * step < width)
			f8_put(q + from + i * step, v[i], up);
}

/* The product, if this device and these sizes have a way; false: nothing has been done. */
bool f8_90_product(struct dev *d, const struct f8_product *p);
#endif
