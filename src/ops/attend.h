/* SPDX-License-Identifier: Apache-2.0 */
/* attend.h - rotary positions and the two attentions (transformer.md sections 4.4, 4.5, 6)
 *
 * Sequences [B, N, D] (F32; on a cuda device BF16 as well, rows may lie apart) hold H heads of d consecutive channels; cs [2, >= N, d] is the rotary table; masks [B, N] are 0 or 1.
 * All work on d's kernels; formulas and aliasing stand in kernels/list_block.h. */
#ifndef ACE_OPS_ATTEND_H
#define ACE_OPS_ATTEND_H

#include "dev/dev.h"
#include "kernels/list_quant.h"
#include "num/tensor.h"

void attend_rope_table(struct dev *d, struct tensor cs, float theta);

/* Pairs (2i, 2i+1) are turned with a frequency each, so the map is not orthogonal and its transpose is its own kernel. */
void attend_rope(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, bool backward);
void attend_rope_both(struct dev *d, struct tensor a, struct tensor b, struct tensor cs, bool backward);	/* in place */
void attend_rope_relu(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, struct tensor mask);
void attend_rope_relu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor y, struct tensor cs,
                               struct tensor mask);
void attend_mask_rows(struct dev *d, struct tensor y, struct tensor x, struct tensor mask);

/* q, k = relu(mask rope(.)), v = mask v, in place; and their gradients, in place, given the q and k so made; cast: of rank 0,
 * or where the gradients, then side by side, go in fp8 as well (ops/quant.h). */
void attend_qkv_ready(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor cs, struct tensor mask);
void attend_qkv_ready_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q,
                               struct tensor k, struct tensor cs, struct tensor mask, struct f8_cast cast);

/* Linear attention (A. Katharopoulos et al., Transformers are RNNs, 2020, eq. 5 without causality, feature map relu). */
void attend_linear(struct dev *d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, struct tensor v);
void attend_linear_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dout,
                            struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor den);

/* Softmax attention with frame and key masks; no [T, M] matrix is kept (T. Dao et al., FlashAttention, 2022). */
void attend_softmax(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
                    struct tensor qmask, struct tensor kmask);
void attend_softmax_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dout,
                             struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor lse,
                             struct tensor qmask, struct tensor kmask);
#endif
