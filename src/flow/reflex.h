/* SPDX-License-Identifier: Apache-2.0 */
/* reflex.h - what a rollout teaches besides: where it led astray, and which way is the right one (training.md section 10)
 *
 * On the host, a function of plain arrays: it looks at whole samples twice, beside several passes of the network for each of them. */
#ifndef ACE_FLOW_REFLEX_H
#define ACE_FLOW_REFLEX_H

#include <stdbool.h>
#include <stdint.h>

struct reflex_options {
	bool on;			/* scheduled_sampling_reflexflow */
	double alpha, beta1, beta2;	/* scheduled_sampling_reflexflow_*: of the weights, the direction, the weighted error */
};

/* Samples [B, rows, T], each as long as the others. */
struct reflex_batch {
	int64_t B, rows, T;
	const float *v;			/* the velocity that trains, at x */
	const float *x, *x0;		/* what was rolled out, and the data */
	const float *bias;		/* velocity at the exact latent less that at x, neither trained; NULL: nothing was rolled out */
	const float *mask;		/* [B, T] of 0 and 1 */
	const float *sigma, *weight;	/* [B] */
};

/* With m the mask, means over rows and T, and | | the length of a sample:
 *
 *   err    = m (x - sigma v) - m x0
 *   w      = 1 + alpha m bias / max(sum of |m bias|, 1e-6)
 *   drift  = |m v / |m v| - m (x - x0) / |m (x - x0)||^2		lengths below 1e-6 count as that
 *   loss b = beta2 mean(w err^2) mean(m) + beta1 drift
 *
 * loss [B + 1] out: the samples', then their sum weighted by weight. dv, like v, out: the gradient of that; may be v. Sums run in double.
 * What is not finite in a sample shows in its loss. */
void reflex_loss(const struct reflex_options *o, const struct reflex_batch *b, float *dv, float *loss);
#endif
