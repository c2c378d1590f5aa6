/* SPDX-License-Identifier: Apache-2.0 */
/* adapters_90.cuh - adapters_grads of list_adapter.h on Hopper's own instructions */
#ifndef ACE_KERNELS_CUDA_ADAPTERS_90_CUH
#define ACE_KERNELS_CUDA_ADAPTERS_90_CUH

#include "kernels/cuda/cuda.cuh"

/* False, and nothing is done, on other devices and with drops, whose masks change x on its way. Same arguments as the kernel's. */
bool adapters_90_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h,
                       struct tensor x, struct tensor dy, const struct adapters *m);
#endif
