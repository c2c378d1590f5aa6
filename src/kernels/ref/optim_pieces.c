/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "kernels/optim_formula.h"

#include <string.h>

static bool
all_finite(struct tensor x)
{
	int64_t count = tensor_count(x);
	bool finite = true;

	for (int64_t i = 0; i < count; i++)
		finite &= isfinite(((const float *)x.data)[i]) != 0;
	return finite;
}

void
ref_measures_join(struct dev *d, struct tensor measured, struct tensor measures)
{
	const float *one = measures.data;
	float *to = measured.data, most = 0.f;
	double all = 0;

	(void)d;
	for (int64_t i = 0; i < measures.dim[0]; i++) {
		double sum = 0;
		for (int64_t k = 0; k < measures.dim[1]; k++, one += 2) {
			sum += (double)one[MEASURED_SQUARES];
			most = one[MEASURED_ABSMAX] <= most || isnan(most) ? most : one[MEASURED_ABSMAX];
		}
		all += sum;
	}
	to[MEASURED_SQUARES] = (float)all;
	to[MEASURED_ABSMAX] = most;
}

void
ref_update_guard(struct dev *d, struct tensor l, struct tensor measured, struct tensor losses)
{
	(void)d;
	if (!all_finite(measured) || !all_finite(losses))
		((float *)l.data)[LIMIT_FACTOR] = NAN;
}

/* One piece; its gradient becomes zeros, unless it is left. */
static void
update(const struct update_piece *q, const float *n, const float *l, const uint64_t *stream)
{
	struct rng r = rng_sub((struct rng){ .key = stream[0], .stream = stream[1] }, (uint64_t)q->number);
	float *p = q->p, *m = q->m, *v = q->v, *g = q->g;
	uint16_t *p16 = q->p, *m16 = q->m, *v16 = q->v, *g16 = q->g;

	for (int64_t i = 0; i < q->count; i++) {
		float x = limited(q->half_g ? bf16_to_f32(g16[i]) : g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
		if (q->round)
			p16[i] = adamw_number_by_chance(p16[i], x, m16 + i, v16 + i, rounding_word(r, (uint64_t)(q->first + i)), n);
		else
			p[i] = adamw_number(p[i], x, m + i, v + i, n);
		if (q->w)
			q->w[i] = f32_to_bf16(p[i]);
		if (q->half_g && !q->left)
			g16[i] = 0;
		else if (!q->left)
			g[i] = 0.f;
	}
}

static void
clear(const struct update_piece *q)
{
	if (!q->left)
		memset(q->g, 0, (size_t)q->count * (q->half_g ? sizeof(uint16_t) : sizeof(float)));
}

void
ref_adamw_pieces(struct dev *d, struct tensor table, int64_t n, struct tensor n0, struct tensor n1, struct tensor l,
                 struct tensor stream)
{
	const struct update_piece *q = table.data;
	const float *limits = l.data;

	(void)d;
	for (int64_t i = 0; i < n; i++)
		if (isnan(limits[LIMIT_FACTOR]))
			clear(&q[i]);
		else
			update(&q[i], q[i].group ? n1.data : n0.data, limits, stream.data);
}

void
ref_loss_scale(struct dev *d, struct tensor w, struct tensor s)
{
	int64_t count = tensor_count(w);
	float *wp = w.data;

	(void)d;
	for (int64_t i = 0; i < count; i++)
		wp[i] *= ((const float *)s.data)[SCALING_SCALE];
}

void
ref_loss_unscale(struct dev *d, struct tensor measured, struct tensor s)
{
	float scale = ((const float *)s.data)[SCALING_SCALE], *mp = measured.data;

	(void)d;
	mp[MEASURED_SQUARES] = mp[MEASURED_SQUARES] / scale / scale;
	mp[MEASURED_ABSMAX] /= scale;
}

void
ref_loss_limits(struct dev *d, struct tensor l, struct tensor s)
{
	(void)d;
	((float *)l.data)[LIMIT_FACTOR] /= ((const float *)s.data)[SCALING_SCALE];
}

void
ref_loss_turn(struct dev *d, struct tensor s, struct tensor g, struct tensor l)
{
	int64_t count = tensor_count(g);
	float *sp = s.data, *gp = g.data;

	(void)d;
	if (isnan(((const float *)l.data)[LIMIT_FACTOR])) {
		for (int64_t i = 0; i < count; i++)
			gp[i] = 0.f;
		sp[SCALING_SCALE] /= 2.f;
		sp[SCALING_GOOD] = 0.f;
		sp[SCALING_SKIPPED] += 1.f;
	} else if (++sp[SCALING_GOOD] == sp[SCALING_INTERVAL]) {
		sp[SCALING_SCALE] *= 2.f;
		sp[SCALING_GOOD] = 0.f;
	}
}
