/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "kernels/optim_formula.h"

void
ref_grad_measure(struct dev *d, struct tensor measured, struct tensor g)
{
	int64_t count = tensor_count(g);
	float *mp = measured.data;
	bool half = g.dtype == BF16;
	double squares = 0, top = half ? (double)mp[MEASURED_ABSMAX] : 0;

	(void)d;
	for (int64_t i = 0; i < count; i++) {
		double x = fabs((double)(half ? bf16_to_f32(((const uint16_t *)g.data)[i]) : ((const float *)g.data)[i]));
		squares += x * x;
		top = x > top || isnan(x) ? x : top;	/* a NaN stays: nothing is above it */
	}
	mp[MEASURED_SQUARES] = half ? mp[MEASURED_SQUARES] + (float)squares : (float)squares;
	mp[MEASURED_ABSMAX] = (float)top;
}

void
ref_grad_limits(struct dev *d, struct tensor limits, struct tensor measured, bool value, float max, float scale)
{
	double norm = sqrt((double)((const float *)measured.data)[MEASURED_SQUARES]) / (double)scale;
	double factor = (double)max / (norm + 1e-6);
	float *lp = limits.data;

	(void)d;
	lp[LIMIT_FACTOR] = (float)((value || max == 0.f || factor > 1 ? 1 : factor) / (double)scale);
	lp[LIMIT_BOUND] = value && max > 0.f ? max : INFINITY;
}

void
ref_grad_clip(struct dev *d, struct tensor g, struct tensor l)
{
	int64_t count = tensor_count(g);
	const float *lp = l.data;
	float *gp = g.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		gp[i] = limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]);
}

void
ref_adamw(struct dev *d, struct tensor p, struct tensor w, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
          struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = g.data, *lp = l.data;
	float *pp = p.data, *mp = m.data, *vp = v.data;

	(void)d;
	for (int64_t i = 0; i < count; i++) {
		pp[i] = adamw_number(pp[i], limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]), mp + i, vp + i, n.data);
		if (w.rank)
			((uint16_t *)w.data)[i] = f32_to_bf16(pp[i]);
	}
}

void
ref_adamw_round(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
                struct tensor l, struct tensor stream, int64_t number, int64_t first)
{
	int64_t count = tensor_count(p);
	const uint64_t *s = stream.data;
	struct rng r = rng_sub((struct rng){ .key = s[0], .stream = s[1] }, (uint64_t)number);
	const float *gp = g.data, *lp = l.data;
	uint16_t *pp = p.data, *mp = m.data, *vp = v.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		pp[i] = adamw_number_by_chance(pp[i], limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]), mp + i, vp + i,
		                               rounding_word(r, (uint64_t)(first + i)), n.data);
}

void
ref_adamw_kahan(struct dev *d, struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor v,
                struct tensor n, struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = g.data, *lp = l.data;
	uint16_t *pp = p.data, *cp = c.data, *mp = m.data, *vp = v.data;

	(void)d;
	for (int64_t i = 0; i < count; i++) {
		float c32 = bf16_to_f32(cp[i]), m32 = bf16_to_f32(mp[i]), v32 = bf16_to_f32(vp[i]);
		float x = limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]);
		pp[i] = f32_to_bf16(adamw_number_kahan(bf16_to_f32(pp[i]), &c32, x, &m32, &v32, n.data));
		cp[i] = f32_to_bf16(c32);
		mp[i] = f32_to_bf16(m32);
		vp[i] = f32_to_bf16(v32);
	}
}

static void
lion_half(uint16_t *p, uint16_t *c, const float *g, uint16_t *m, const float *n, const float *l, int64_t count)
{
	for (int64_t i = 0; i < count; i++) {
		float c32 = bf16_to_f32(c[i]), m32 = bf16_to_f32(m[i]);
		float x = limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
		p[i] = f32_to_bf16(lion_number_kahan(bf16_to_f32(p[i]), &c32, x, &m32, n));
		c[i] = f32_to_bf16(c32);
		m[i] = f32_to_bf16(m32);
	}
}

void
ref_lion(struct dev *d, struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor n, struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = g.data, *lp = l.data;
	float *pp = p.data, *mp = m.data;

	(void)d;
	if (c.rank)
		lion_half(p.data, c.data, gp, m.data, n.data, lp, count);
	else
		for (int64_t i = 0; i < count; i++)
			pp[i] = lion_number(pp[i], limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]), mp + i, n.data);
}

void
ref_sgd(struct dev *d, struct tensor p, struct tensor g, struct tensor buffer, struct tensor n, struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = g.data, *lp = l.data;
	float *pp = p.data, *bp = buffer.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		pp[i] = sgd_number(pp[i], limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]), bp + i, n.data);
}

void
ref_schedule_free(struct dev *d, struct tensor y, struct tensor z, struct tensor g, struct tensor v, struct tensor n,
                  struct tensor l)
{
	int64_t count = tensor_count(y);
	const float *gp = g.data, *lp = l.data;
	float *yp = y.data, *zp = z.data, *vp = v.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		yp[i] = schedule_free_number(yp[i], zp + i, limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]), vp + i, n.data);
}

void
ref_lerp(struct dev *d, struct tensor y, struct tensor x, struct tensor a)
{
	int64_t count = tensor_count(y);
	float w = *(const float *)a.data, *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < count; i++) {
		float xi = x.dtype == BF16 ? bf16_to_f32(((const uint16_t *)x.data)[i]) : ((const float *)x.data)[i];
		yp[i] += w * (xi - yp[i]);
	}
}
