/* SPDX-License-Identifier: Apache-2.0 */
/* adapters_wide.cuh - the kernels of list_adapter.h by cuBLASLt's products, for adapters_are_wide; same arguments */
#ifndef ACE_KERNELS_CUDA_ADAPTERS_WIDE_CUH
#define ACE_KERNELS_CUDA_ADAPTERS_WIDE_CUH

#include "kernels/cuda/cuda.cuh"

void adapters_wide_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m);
void adapters_wide_back(struct dev *d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m);
void adapters_wide_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h,
                         struct tensor x, struct tensor dy, const struct adapters *m);
void adapters_wide_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m);
#endif
