/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/reflex.h"

#include <math.h>

static const double small = 1e-6;

/* One sample: its arrays, and what all of it says. */
struct sample {
	const float *v, *x, *x0, *bias, *mask;
	int64_t n, T;
	double sigma, share;		/* share: the mean of the mask */
	double bias_sum, v_length, way_length, cosine;
};

static double
longer(double a)
{
	return a < small ? small : a;	/* not finite stays so */
}

static void
measure(struct sample *s)
{
	double share = 0, bias = 0, vv = 0, ww = 0, vw = 0;

	for (int64_t t = 0; t < s->T; t++)
		share += (double)s->mask[t];
	for (int64_t i = 0; i < s->n; i++) {
		double m = (double)s->mask[i % s->T], v = m * (double)s->v[i], way = m * ((double)s->x[i] - (double)s->x0[i]);
		bias += s->bias ? fabs(m * (double)s->bias[i]) : 0;
		vv += v * v;
		ww += way * way;
		vw += v * way;
	}
	s->share = share / (double)s->T;
	s->bias_sum = longer(bias);
	s->v_length = longer(sqrt(vv));
	s->way_length = longer(sqrt(ww));
	s->cosine = vw / (s->v_length * s->way_length);
}

/* The loss; its gradient times scale into dv. */
static double
loss_of(const struct reflex_options *o, struct sample *s, double scale, float *dv)
{
	double squares = 0, drift = 0, along;

	measure(s);
	/* of the difference of the two directions, what lies along v does not turn it */
	along = s->v_length > small ? 1 - s->cosine : 0;
	for (int64_t i = 0; i < s->n; i++) {
		double m = (double)s->mask[i % s->T], err = m * ((double)s->x[i] - s->sigma * (double)s->v[i] - (double)s->x0[i]);
		double w = s->bias ? 1 + o->alpha * m * (double)s->bias[i] / s->bias_sum : 1;
		double turn = m * (double)s->v[i] / s->v_length, apart = turn - m * ((double)s->x[i] - (double)s->x0[i]) / s->way_length;
		double slope = -2 * o->beta2 * s->share / (double)s->n * w * err * s->sigma;

		squares += w * err * err;
		drift += apart * apart;
		slope += 2 * o->beta1 * (apart - along * turn) / s->v_length;
		dv[i] = (float)(scale * m * slope);
	}
	return o->beta2 * squares / (double)s->n * s->share + o->beta1 * drift;
}

void
reflex_loss(const struct reflex_options *o, const struct reflex_batch *b, float *dv, float *loss)
{
	int64_t n = b->rows * b->T;
	double total = 0;

	for (int64_t k = 0; k < b->B; k++) {
		struct sample s = { .v = b->v + k * n, .x = b->x + k * n, .x0 = b->x0 + k * n, .bias = b->bias ? b->bias + k * n : 0,
			.mask = b->mask + k * b->T, .n = n, .T = b->T, .sigma = (double)b->sigma[k] };

		loss[k] = (float)loss_of(o, &s, (double)b->weight[k], dv + k * n);
		total += (double)b->weight[k] * (double)loss[k];
	}
	loss[b->B] = (float)total;
}
