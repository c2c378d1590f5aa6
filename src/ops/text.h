/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - operations of the prompt encoder, forward only (text.md section 1); what they compute stands in
 * kernels/list_text.h */
#ifndef ACE_OPS_TEXT_H
#define ACE_OPS_TEXT_H

#include "dev/dev.h"

void text_embed(struct dev *d, struct tensor y, struct tensor table, struct tensor ids);
void text_round(struct dev *d, struct tensor x);
void text_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half);
void text_gate(struct dev *d, struct tensor y, struct tensor a, struct tensor b, bool half);
void text_bias(struct dev *d, struct tensor y, struct tensor table, int64_t distance);
void text_attend(struct dev *d, struct tensor o, struct tensor a, struct tensor q, struct tensor k, struct tensor v,
                 struct tensor bias, struct tensor mask, bool half);
#endif
