/* SPDX-License-Identifier: Apache-2.0 */
/* ends.h - what stands before and behind the blocks: time, patches, group norm, tokens side by side, projection losses
 * (transformer.md sections 4.1, 4.2, 4.3, 4.6, 4.8). All F32; formulas stand in kernels/list_block.h. */
#ifndef ACE_OPS_ENDS_H
#define ACE_OPS_ENDS_H

#include "dev/dev.h"
#include "num/tensor.h"

/* y [B, W] of times t [B]: cosines, then sines. */
void ends_sinusoid(struct dev *d, struct tensor y, struct tensor t);

/* y [B, T, R C] from x [B, C, R, T], and back; element r C + c of a token when rows_first, else c R + r. */
void ends_latent_tokens(struct dev *d, struct tensor y, struct tensor x, bool rows_first);
void ends_latents_of_tokens(struct dev *d, struct tensor x, struct tensor y, bool rows_first);

/* Group norm of x [B, T, C] over C/G channels and all T; stat [B, G, 2] (Y. Wu, K. He, Group Normalization, 2018). */
void ends_group_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b,
                     float eps);
/* dx =, dw and db +=; dx may be dy. */
void ends_group_norm_backward(struct dev *d, struct tensor dx, struct tensor dw, struct tensor db, struct tensor dy,
                              struct tensor x, struct tensor stat, struct tensor w);

/* Rows at .. at+n-1 of every sample of y [B, M, D] = x [B, n, D]; take is the other way. */
void ends_place(struct dev *d, struct tensor y, struct tensor x, int64_t at);
void ends_take(struct dev *d, struct tensor x, struct tensor y, int64_t at);

/* loss [1] = mean of 1 - cos of the rows of p [T, W], resampled to n rows, and f [n, W]; dp += weight times its gradient. */
void ends_projection_loss(struct dev *d, struct tensor loss, struct tensor p, struct tensor f);
void ends_projection_loss_backward(struct dev *d, struct tensor dp, struct tensor p, struct tensor f, float weight);
#endif
