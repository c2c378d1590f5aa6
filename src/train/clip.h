/* SPDX-License-Identifier: Apache-2.0 */
/* clip.h - clipping of gradients (training.md section 2)
 *
 * Three steps, so that ranks can join in between and nothing has to wait for the host: measure, (sum and maximum over
 * ranks), limits. Optimisers apply the limits as they read the gradients; clip_apply does it in place. */
#ifndef ACE_TRAIN_CLIP_H
#define ACE_TRAIN_CLIP_H

#include "dev/dev.h"
#include "num/tensor.h"

enum clip_method { CLIP_NORM, CLIP_VALUE };

struct clip_options {
	enum clip_method method;
	double max;			/* 0: off */
};

/* Where things lie in measured [2] F32 and limits [2] F32, on the device. */
enum { CLIP_SQUARES, CLIP_ABSMAX };	/* sum of squares; largest absolute entry */
enum { CLIP_FACTOR, CLIP_BOUND };	/* g becomes g * factor, then is clamped to [-bound, bound] */

/* Of all gradients g (any count, F32; params_alloc_grads gives them as one tensor; g in BF16 joins what was measured before). Summed in double over pieces that depend
 * on the count alone. An entry that is not a number makes both so. The norm before clipping is sqrt(measured[0]). */
void clip_measure(struct dev *d, struct tensor measured, struct tensor g);

/* Of all that measures [n, m, 2] were taken of, in that order. */
void clip_join(struct dev *d, struct tensor measured, struct tensor measures);

/* norm: factor = min(1, max / (norm + 1e-6)), bound infinite; value: factor 1, bound max; off: 1 and infinite. scale: g is
 * scale times the gradient (fp16; else 1), and the factor takes that back first. */
void clip_limits(struct dev *d, struct tensor limits, struct tensor measured, const struct clip_options *c, float scale);

/* Where a number of measured or losses is not finite, limits that let nothing through: optim_ask then changes nothing. */
void clip_guard(struct dev *d, struct tensor limits, struct tensor measured, struct tensor losses);

void clip_apply(struct dev *d, struct tensor g, struct tensor limits);
#endif
