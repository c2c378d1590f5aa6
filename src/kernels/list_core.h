/* SPDX-License-Identifier: Apache-2.0 */
/* list_core.h - kernels that every model needs
 *
 * Unless a line says otherwise: dense F32, N rows of C columns are all but the last dimension and the last. "=" means
 * written without being read, "+=" added to.
 *
 * On the cuda device activations may be BF16 as well as F32 (each tensor for itself; weights' gradients, statistics and masks are
 * F32), and x, y, a, b, c, dy may have rows apart (tensor_ld). Products with a BF16 operand or result round both operands to
 * BF16, with an F16 operand (a frozen matrix; the others are F32 then) to F16; the twins of all devices compute in F32 or better. */
#ifndef ACE_KERNELS_LIST_CORE_H
#define ACE_KERNELS_LIST_CORE_H

/* gemm: C = alpha op(A) op(B) + beta C; op transposes when ta / tb.
 *   c [m, n] F32, a [m, k] ([k, m] when ta) F32, b [k, n] ([n, k] when tb) F32, BF16 or F16; c is none of them.
 *   beta 0 does not read c. Sums in F32; the split of the work does not depend on the thread count.
 * linear: y = x w^T + b + r; x [m, k], w [n, k], y [m, n]; b [n], or rank 0: none; r as y, may be y, or rank 0: none. */
#define KERNELS_CORE(K)                                                                                 \
	K(gemm, cpu, (struct dev * d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, \
	              float alpha, float beta))                                                             \
	K(linear, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, \
	                struct tensor r))                                                                   \
	KERNELS_ROWS(K)

/* bias_add: y [N, C] += b [C], b F32 or BF16.
 * column_sum: db [C] += sum over rows of dy [N, C], each column in row order.
 * axpy: y += alpha x.   scale: y = alpha x, y may be x.   fill: y = value.
 * copy: y = x, dtypes may differ among F32, BF16 and F16.
 * dropout: y = x / (1 - p) where number i of stream r (rng_uniform) is >= p, else 0; add: the same added to y. i counts
 *   the elements of x. y may be x unless add. The backward pass is the same on gradients. */
#define KERNELS_ROWS(K)                                                                        \
	K(bias_add, cpu, (struct dev * d, struct tensor y, struct tensor b))                   \
	K(column_sum, cpu, (struct dev * d, struct tensor db, struct tensor dy))               \
	K(axpy, cpu, (struct dev * d, struct tensor y, struct tensor x, float alpha))          \
	K(scale, cpu, (struct dev * d, struct tensor y, struct tensor x, float alpha))         \
	K(fill, ref, (struct dev * d, struct tensor y, float value))                           \
	K(copy, ref, (struct dev * d, struct tensor y, struct tensor x))                       \
	K(dropout, cpu, (struct dev * d, struct tensor y, struct tensor x, struct rng r, float p, bool add))
#endif
