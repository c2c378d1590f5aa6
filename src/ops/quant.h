/* SPDX-License-Identifier: Apache-2.0 */
/* quant.h - frozen weights in 8 bits; formulas and shapes stand in kernels/list_quant.h */
#ifndef ACE_OPS_QUANT_H
#define ACE_OPS_QUANT_H

#include "dev/dev.h"
#include "num/tensor.h"

void quant_make(struct dev *d, struct tensor q, struct tensor scale, struct tensor w);
/* w = scale q, with right and below (rank 0: none) beside it. */
void quant_undo(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below);

/* fp8 on both sides: x by rows, with columns weighed by c (rank 0: not); y = or += the product of two such + b (rank 0: none); and
 * y = x the other way round. */
void quant_f8_rows(struct dev *d, struct tensor q, struct tensor s, struct tensor x, struct tensor c);
void quant_f8_product(struct dev *d, struct tensor y, struct tensor x, struct tensor s, struct tensor w, struct tensor t,
                      struct tensor b, bool add);
void quant_f8_turn(struct dev *d, struct tensor y, struct tensor x);
#endif
