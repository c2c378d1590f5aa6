/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/formula.h"
#include "kernels/kernels.h"

void
ref_normal(struct dev *d, struct tensor e, struct tensor stream)
{
	int64_t n = e.dim[0] ? tensor_count(e) / e.dim[0] : 0;
	const uint64_t *s = stream.data;

	(void)d;
	for (int64_t b = 0; b < e.dim[0]; b++)
		rng_normal_fill((struct rng){ .key = s[2 * b], .stream = s[2 * b + 1] }, (float *)e.data + b * n, n);
}

void
ref_flow_mix(struct dev *d, struct tensor x, struct tensor x0, struct tensor e, struct tensor sigma, enum dtype type)
{
	int64_t count = tensor_count(x), n = count / (x.dim[0] ? x.dim[0] : 1);
	const float *x0p = x0.data, *ep = e.data, *sp = sigma.data;
	float *xp = x.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		xp[i] = flow_mixed(type == BF16, x0p[i], ep[i], sp[i / n]);
}

/* The mean of a sample's mask. */
static double
mask_mean(const float *m, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)m[i];
	return sum / (double)n;
}

void
ref_flow_loss(struct dev *d, struct tensor dv, struct tensor loss, struct tensor v, struct tensor x, struct tensor x0,
              struct tensor e, struct tensor sigma, struct tensor mask, struct tensor weight, struct flow_form form, enum dtype type)
{
	int64_t batch = v.dim[0], frames = tensor_cols(v), n = batch ? tensor_count(v) / batch : 0;
	bool half = type == BF16, velocity = form.target == FLOW_VELOCITY;
	const float *vp = v.data, *xp = velocity ? x0.data : x.data, *x0p = x0.data, *ep = velocity ? e.data : x0.data;
	const float *sp = sigma.data, *mp = mask.data, *wp = weight.data;
	float *lp = loss.data, *dp = dv.rank ? dv.data : NULL;
	double total = 0;

	(void)d;
	for (int64_t b = 0; b < batch; b++) {
		double share = mask_mean(mp + b * frames, frames), sum = 0;
		float c = (float)(2 * (double)wp[b] * share / (double)n), width = flow_width_at(form, sp[b]);
		for (int64_t i = b * n; i < (b + 1) * n; i++) {
			float m = mp[b * frames + i % frames];
			float error = flow_error(half, velocity, m, vp[i], xp[i], x0p[i], ep[i], sp[b]);
			sum += flow_cost_of(form.cost, error, width);
			if (dp)
				dp[i] = flow_slope(half, velocity, c, flow_pull(form.cost, error, width), m, sp[b]);
		}
		lp[b] = (float)(sum / (double)n * share);
		total += (double)wp[b] * (double)lp[b];
	}
	lp[batch] = (float)total;
}

void
ref_add_scaled(struct dev *d, struct tensor y, struct tensor x, struct tensor a)
{
	int64_t count = tensor_count(y), n = count / (y.dim[0] ? y.dim[0] : 1);
	const float *xp = x.data, *ap = a.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		yp[i] += ap[i / n] * xp[i];
}
