/* SPDX-License-Identifier: Apache-2.0 */
/* optim.cuh - what the update kernels share */
#ifndef ACE_KERNELS_CUDA_OPTIM_CUH
#define ACE_KERNELS_CUDA_OPTIM_CUH

#include "kernels/cuda/cuda.cuh"

extern "C" {
#include "kernels/optim_formula.h"
}

enum { THREADS = 256, EACH = 4, PIECE = 1 << 14 };

/* The block's sum in all threads, as a tree; shared [THREADS]. */
static __device__ __forceinline__ double
block_sum_double(double x, double *shared)
{
	int t = (int)threadIdx.x;

	__syncthreads();
	shared[t] = x;
	__syncthreads();
	for (int i = THREADS / 2; i > 0; i /= 2) {
		if (t < i)
			shared[t] += shared[t + i];
		__syncthreads();
	}
	return shared[0];
}
#endif
