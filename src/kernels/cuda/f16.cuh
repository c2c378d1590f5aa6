/* SPDX-License-Identifier: Apache-2.0 */
/* f16.cuh - F16 beside F32 and BF16, for the kernels that read frozen matrices */
#ifndef ACE_KERNELS_CUDA_F16_CUH
#define ACE_KERNELS_CUDA_F16_CUH

#include "kernels/cuda/cuda.cuh"

#include <cuda_fp16.h>

/* As WITH_TYPE, with F16 too. */
#define WITH_TYPE16(dt, T, ...)                           \
	do {                                              \
		if ((dt) == F16) {                        \
			using T = __half;                 \
			__VA_ARGS__;                      \
		} else {                                  \
			WITH_TYPE(dt, T, __VA_ARGS__);    \
		}                                         \
	} while (0)

static __device__ __forceinline__ float
to_float(__half x)
{
	return __half2float(x);
}

template <>
__device__ __forceinline__ __half
from_float<__half>(float x)
{
	return __float2half_rn(x);
}

static __device__ __forceinline__ void
load8(float (&v)[8], const __half *p)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		v[i] = __half2float(p[i]);
}

static __device__ __forceinline__ void
store8(__half *p, const float (&v)[8])
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		p[i] = __float2half_rn(v[i]);
}
#endif
