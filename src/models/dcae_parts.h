/* SPDX-License-Identifier: Apache-2.0 */
/* dcae_parts.h - the encoder in bf16, for dcae.c alone */
#ifndef ACE_MODELS_DCAE_PARTS_H
#define ACE_MODELS_DCAE_PARTS_H

#include "models/dcae.h"

#define DCAE_EPS 1e-5f

/* What one entry of down_blocks.i is. */
enum dcae_block_kind { BLOCK_RES, BLOCK_VIT, BLOCK_DOWN };

/* Weights in BF16 and turned, so that channels come last (kernels/list_pixels.h). m has its config and weights. */
enum status dcae_pixels_load(struct dcae *m) ACE_NODISCARD;
void dcae_pixels_free(struct dcae *m);

/* dcae_encode of a model that runs in bf16. */
void dcae_pixels_encode(struct ctx *c, struct dcae *m, struct tensor z, struct tensor mel);
#endif
