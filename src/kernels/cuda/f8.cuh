/* SPDX-License-Identifier: Apache-2.0 */
/* f8.cuh - products in fp8 on Hopper's own instructions */
#ifndef ACE_KERNELS_CUDA_F8_CUH
#define ACE_KERNELS_CUDA_F8_CUH

#include "kernels/cuda/cuda.cuh"

/* The product, if this device and these sizes have a way; false: nothing has been done. */
bool f8_90_product(struct dev *d, const struct f8_product *p);
#endif
