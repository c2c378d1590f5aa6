/* SPDX-License-Identifier: Apache-2.0 */
/* lt.h - products by cuBLASLt, which is loaded when the first is asked for
 *
 * One algorithm a shape, chosen once and kept while the device is open: what cuBLASLt suggests first among those whose sums have
 * a fixed order. All calls of one program on one kind of device thus give the same bits, run after run. */
#ifndef ACE_KERNELS_CUDA_LT_H
#define ACE_KERNELS_CUDA_LT_H

#include "dev/cuda.h"

struct lt_product {
	struct tensor c;		/* [m, n] F32 or BF16, rows may lie apart */
	struct tensor a, b;		/* of one type, F32 (then c too), BF16, F16 or F8 (ta false, tb true); [m, k] or [k, m]; [k, n] or
					 * [n, k] */
	bool ta, tb;
	float alpha, beta;
	struct tensor add;		/* rank 0: beta c is added; else beta add, as c */
	struct tensor bias;		/* rank 0: none; [n], c's type; with F8 BF16 */
	struct tensor scale_a, scale_b;	/* F8: of a's rows [m] and b's [n] */
};

/* c = alpha op(a) op(b) + beta (add or c) + bias. false: cuBLASLt has no way for this shape (nothing has been done), or the
 * device failed. side: on the side stream (dev/cuda.h). */
bool lt_product(struct dev *d, const struct lt_product *p, bool side);

/* What clears memory in a recorded sequence becomes kernels (sets.cu). For cuda_dev's recorded. */
void cuda_sets_as_kernels(struct dev *d, cudaGraph_t graph);
#endif
