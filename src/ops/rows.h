/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h - products, and plain work on rows: what needs no backward pass of its own
 *
 * Contracts of the arguments are those of kernels/list_core.h; here they are checked. */
#ifndef ACE_OPS_ROWS_H
#define ACE_OPS_ROWS_H

#include "dev/dev.h"
#include "num/rng.h"
#include "num/tensor.h"

/* C = alpha op(A) op(B) + beta C on matrices; op transposes when ta / tb. */
void rows_gemm(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta);
/* y = x w^T + b + r on matrices; b or r of rank 0: none. */
void rows_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, struct tensor r);

void rows_bias_add(struct dev *d, struct tensor y, struct tensor b);		/* y [..., C] += b [C] */
void rows_column_sum(struct dev *d, struct tensor db, struct tensor dy);	/* db [C] += sum of rows of dy [..., C] */
void rows_axpy(struct dev *d, struct tensor y, struct tensor x, float alpha);	/* y += alpha x */
void rows_scale(struct dev *d, struct tensor y, struct tensor x, float alpha);	/* y = alpha x */
void rows_fill(struct dev *d, struct tensor y, float value);
void rows_copy(struct dev *d, struct tensor y, struct tensor x);

/* y = or += x with each number kept with probability 1 - p and scaled by 1 / (1 - p). Given the same stream it is its own
 * backward pass. */
void rows_dropout(struct dev *d, struct tensor y, struct tensor x, struct rng r, float p, bool add);

/* x seen as [rows, last dimension]. */
struct tensor rows_of(struct tensor x);
#endif
