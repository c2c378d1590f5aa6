/* SPDX-License-Identifier: Apache-2.0 */
/* list_core.h - kernels that every model needs */
#ifndef ACE_KERNELS_LIST_CORE_H
#define ACE_KERNELS_LIST_CORE_H

/* gemm: C = alpha op(A) op(B) + beta C; op transposes when ta / tb.
 *   c [m, n] F32, a [m, k] ([k, m] when ta) F32, b [k, n] ([n, k] when tb) F32 or BF16; c is none of them.
 *   beta 0 does not read c. Sums in F32; the split of the work does not depend on the thread count. */
#define KERNELS_CORE(K)                                                                                 \
	K(gemm, cpu, (struct dev * d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, \
	              float alpha, float beta))
#endif
