/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - what the autoencoder does to maps [C, H, W]; forward only (audio_codec.md section 5)
 *
 * Contracts are those of kernels/list_codec.h; here they are checked. All tensors are F32. A bias of rank 0 is none. */
#ifndef ACE_OPS_MAP_H
#define ACE_OPS_MAP_H

#include "dev/dev.h"
#include "num/tensor.h"

void map_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride);
void map_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b);
void map_blocks(struct dev *d, struct tensor y, struct tensor x, struct tensor w);
/* y [O, H, W] = matrix w [O, I] at every position of x [I, H, W]; b as in map_bias, rank 0: none */
void map_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b);
void map_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps);
void map_silu(struct dev *d, struct tensor y, struct tensor x);		/* y = x / (1 + exp(-x)); y may be x */
void map_gate(struct dev *d, struct tensor y, struct tensor x);
void map_shrink(struct dev *d, struct tensor y, struct tensor x);
void map_group_mean(struct dev *d, struct tensor y, struct tensor x);
void map_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width);
void map_add(struct dev *d, struct tensor y, struct tensor x);		/* y += x */
#endif
