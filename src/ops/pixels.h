/* SPDX-License-Identifier: Apache-2.0 */
/* pixels.h - what the autoencoder in bf16 does to maps with channels last; forward only
 *
 * Contracts are those of kernels/list_pixels.h; here they are checked. A bias of rank 0 is none. */
#ifndef ACE_OPS_PIXELS_H
#define ACE_OPS_PIXELS_H

#include "dev/dev.h"
#include "num/tensor.h"

void pix_from_map(struct dev *d, struct tensor y, struct tensor x);
void pix_to_map(struct dev *d, struct tensor y, struct tensor x);
void pix_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride, bool silu);
void pix_mix(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m);
void pix_glu(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b);
void pix_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width);
void pix_norm_add(struct dev *d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps);
void pix_shrink(struct dev *d, struct tensor y, struct tensor x);
void pix_group_mean(struct dev *d, struct tensor y, struct tensor x);
#endif
