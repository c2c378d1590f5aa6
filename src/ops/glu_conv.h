/* SPDX-License-Identifier: Apache-2.0 */
/* glu_conv.h - silu, depthwise convolution over three frames, gate (transformer.md section 4.5, FeedForward)
 *
 * a = silu(x) [B, T, 2F]; c[t] = w0 a[t-1] + w1 a[t] + w2 a[t+1] + b with zeros outside; u [B, T, F] = c[:F] silu(c[F:]).
 * w [2F, 1, 3] and b [2F] F32. Everything but x is computed again in the backward pass. */
#ifndef ACE_OPS_GLU_CONV_H
#define ACE_OPS_GLU_CONV_H

#include "dev/dev.h"
#include "num/tensor.h"

void glu_conv_forward(struct dev *d, struct tensor u, struct tensor x, struct tensor w, struct tensor b);
/* dx = for du */
void glu_conv_backward(struct dev *d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b);
/* dw, db += for du */
void glu_conv_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
                    struct tensor b);
#endif
