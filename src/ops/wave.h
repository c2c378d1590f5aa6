/* SPDX-License-Identifier: Apache-2.0 */
/* wave.h - what the autoencoder's decoder and the vocoder do; forward only (audio_codec.md sections 5 to 7)
 *
 * Contracts are those of kernels/list_wave.h; here they are checked. All tensors are F32: maps [C, H, W], waves [C, T]. A bias of
 * rank 0 is none. */
#ifndef ACE_OPS_WAVE_H
#define ACE_OPS_WAVE_H

#include "dev/dev.h"
#include "num/tensor.h"

void map_double(struct dev *d, struct tensor y, struct tensor x);
void map_grow(struct dev *d, struct tensor y, struct tensor x);
void map_repeat(struct dev *d, struct tensor y, struct tensor x);
void map_relu(struct dev *d, struct tensor y, struct tensor x);

void wave_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge);
void wave_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b);
void wave_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u);
/* y [O, T] = matrix w [O, I] at every time of x [I, T] + b */
void wave_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b);
void wave_norm(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps);
void wave_silu(struct dev *d, struct tensor y, struct tensor x);	/* y may be x */
void wave_gelu(struct dev *d, struct tensor y, struct tensor x);
void wave_scale_add(struct dev *d, struct tensor y, struct tensor x, struct tensor g);
void wave_tanh(struct dev *d, struct tensor y, struct tensor x);
#endif
