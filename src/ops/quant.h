/* SPDX-License-Identifier: Apache-2.0 */
/* quant.h - frozen weights in 8 bits or 4; formulas and shapes stand in kernels/list_quant.h */
#ifndef ACE_OPS_QUANT_H
#define ACE_OPS_QUANT_H

#include "dev/dev.h"
#include "kernels/list_quant.h"
#include "num/tensor.h"

/* q I8, F8 or I4. */
void quant_make(struct dev *d, struct tensor q, struct tensor scale, struct tensor w);

/* I4: how many numbers of a row of so many have a scale together: 128, less by 32 while it does not divide, not below 32; else the row,
 * as all rows of at most 128 do (optimum-quanto's QModuleMixin). */
int64_t quant_group(int64_t width);

/* w = scale q, with right and below (rank 0: none) beside it. */
void quant_undo(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below);

/* fp8 on both sides: x by rows, with columns weighed by c (rank 0: not); the product of two such and what is added to it; and
 * y = x the other way round. */
void quant_f8_rows(struct dev *d, struct tensor q, struct tensor s, struct tensor x, struct tensor c);
void quant_f8_product(struct dev *d, const struct f8_product *p);
void quant_f8_turn(struct dev *d, struct tensor y, struct tensor x);
#endif
