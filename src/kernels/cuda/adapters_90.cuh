/* SPDX-License-Identifier: Apache-2.0 */
/* adapters_90.cuh - kernels of list_adapter.h on Hopper's own instructions */
#ifndef ACE_KERNELS_CUDA_ADAPTERS_90_CUH
#define ACE_KERNELS_CUDA_ADAPTERS_90_CUH

#include "kernels/cuda/cuda.cuh"

/* False, and nothing is done, on other devices and with drops, whose masks change x on its way. Same arguments as the kernel's. */
bool adapters_90_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h,
                       struct tensor x, struct tensor dy, const struct adapters *m);

/* h [N, width] = x v^T of each item, x [N, K] with rows ldx apart, v [width, K] with rows ldv apart, h with rows ldh apart: all BF16,
 * what lies apart and widths multiples of 8, x and v 16-byte aligned. */
struct thin_90_item {
	const bf16 *x, *v;
	bf16 *h;
	int K, width;
	int64_t ldv;
};

struct thin_90 {
	struct thin_90_item item[ADAPTERS];
	int n;
	int64_t N, ldx, ldh;
};

/* False, and nothing is done, on other devices and for more than 48 columns. */
bool thin_90_products(struct dev *d, const struct thin_90 *t);
#endif
