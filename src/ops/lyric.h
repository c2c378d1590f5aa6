/* SPDX-License-Identifier: Apache-2.0 */
/* lyric.h - operations of the lyric encoder (transformer.md sections 5 and 6)
 *
 * B samples, Y tokens, E = H heads x e channels; F32 unless said. Formulas and aliasing stand in kernels/list_lyric.h. */
#ifndef ACE_OPS_LYRIC_H
#define ACE_OPS_LYRIC_H

#include "dev/dev.h"
#include "num/tensor.h"

/* y [B, Y, E] = rows ids [B, Y] (I32, in range) of table [V, E], F32, BF16 or F16; dtable F32 += */
void lyric_embedding(struct dev *d, struct tensor y, struct tensor table, struct tensor ids);
void lyric_embedding_backward(struct dev *d, struct tensor dtable, struct tensor dy, struct tensor ids);

/* Layer norm with eps 1e-5 (J. L. Ba et al., Layer Normalization, 2016); stat [rows, 2]. */
void lyric_layer_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b);
void lyric_layer_norm_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat,
                               struct tensor w, bool add);
void lyric_layer_norm_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x,
                            struct tensor stat);

/* pe [2Y-1, E]: sines and cosines of the distances Y-1 .. 1-Y. */
void lyric_positions(struct dev *d, struct tensor pe);

/* Relative attention (Z. Dai et al., Transformer-XL, 2019, section 3.3) with masked keys. */
void lyric_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
                     struct tensor p, struct tensor bu, struct tensor bv, struct tensor mask);
/* dq, dk, dv = ; dp, dbu, dbv += unless their rank is 0. */
void lyric_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dp,
                              struct tensor dbu, struct tensor dbv, struct tensor dout, struct tensor q, struct tensor k,
                              struct tensor v, struct tensor p, struct tensor bu, struct tensor bv, struct tensor o,
                              struct tensor lse, struct tensor mask);
#endif
