/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/formula.h"

/* Normal numbers are cut into pieces of this many, a multiple of rng_block's four. */
enum { PIECE = 4096 };

void
cpu_normal(struct dev *d, struct tensor e, struct tensor stream)
{
	int64_t batch = e.dim[0], n = batch ? tensor_count(e) / batch : 0, pieces = (n + PIECE - 1) / PIECE;
	const uint64_t *s = stream.data;

#pragma omp parallel for collapse(2) schedule(static) num_threads(d->threads) if (batch * pieces > 1)
	for (int64_t b = 0; b < batch; b++)
		for (int64_t p = 0; p < pieces; p++) {
			struct rng r = { .key = s[2 * b], .stream = s[2 * b + 1] };
			float *y = (float *)e.data + b * n + p * PIECE;
			int64_t m = n - p * PIECE < PIECE ? n - p * PIECE : PIECE;
			rng_normal_range(r, (uint64_t)(p * PIECE), y, m);
		}
}

CPU_CLONES static void
mix(float *x, const float *x0, const float *e, float sigma, bool half, int64_t n)
{
	if (half)
		for (int64_t i = 0; i < n; i++)
			x[i] = flow_mixed(true, x0[i], e[i], sigma);
	else
		for (int64_t i = 0; i < n; i++)
			x[i] = flow_mixed(false, x0[i], e[i], sigma);
}

void
cpu_flow_mix(struct dev *d, struct tensor x, struct tensor x0, struct tensor e, struct tensor sigma, enum dtype type)
{
	int64_t rows = tensor_rows(x), frames = tensor_cols(x), each = x.dim[0] ? rows / x.dim[0] : 1;
	const float *sp = sigma.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows > 1)
	for (int64_t r = 0; r < rows; r++)
		mix((float *)x.data + r * frames, (const float *)x0.data + r * frames, (const float *)e.data + r * frames,
		    sp[r / each], type == BF16, frames);
}

/* One row [T] of the loss. */
struct row {
	const float *v, *x, *x0, *e, *m;
	float *dv;			/* NULL: not wanted */
	float sigma, c, width;
	int64_t n;
};

/* The errors and the gradient of a row; errors [n]. */
CPU_CLONES static void
errors(const struct row *r, float *restrict error, bool half, bool velocity)
{
	const float *v = r->v, *x = r->x, *x0 = r->x0, *e = r->e, *m = r->m;
	float s = r->sigma;

	if (half)
		for (int64_t i = 0; i < r->n; i++)
			error[i] = flow_error(true, velocity, m[i], v[i], x[i], x0[i], e[i], s);
	else if (velocity)
		for (int64_t i = 0; i < r->n; i++)
			error[i] = flow_error(false, true, m[i], v[i], x[i], x0[i], e[i], s);
	else
		for (int64_t i = 0; i < r->n; i++)
			error[i] = flow_error(false, false, m[i], v[i], x[i], x0[i], e[i], s);
}

CPU_CLONES static void
slopes(const struct row *r, const float *restrict pull, bool half, bool velocity)
{
	const float *m = r->m;
	float c = r->c, s = r->sigma, *dv = r->dv;

	for (int64_t i = 0; i < r->n; i++)
		dv[i] = flow_slope(half, velocity, c, pull[i], m[i], s);
}

static double
squares(const float *error, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)error[i] * (double)error[i];
	return sum;
}

/* What the errors cost; they become what they pull with. */
static double
costs(float *error, int64_t n, enum flow_cost cost, float width)
{
	double sum = 0;

	if (cost == FLOW_L2)
		return squares(error, n);
	for (int64_t i = 0; i < n; i++) {
		sum += flow_cost_of(cost, error[i], width);
		error[i] = flow_pull(cost, error[i], width);
	}
	return sum;
}

static double
row_loss(struct row r, bool half, struct flow_form form)
{
	bool velocity = form.target == FLOW_VELOCITY;
	enum { WIDE = 512 };
	float error[WIDE];
	double sum = 0;

	for (int64_t left = r.n; left > 0; left -= WIDE) {
		r.n = left < WIDE ? left : WIDE;
		errors(&r, error, half, velocity);
		sum += costs(error, r.n, form.cost, r.width);
		if (r.dv) {
			slopes(&r, error, half, velocity);
			r.dv += WIDE;
		}
		r.v += WIDE, r.x += WIDE, r.x0 += WIDE, r.e += WIDE, r.m += WIDE;
	}
	return sum;
}

static double
mean(const float *m, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)m[i];
	return sum / (double)n;
}

void
cpu_flow_loss(struct dev *d, struct tensor dv, struct tensor loss, struct tensor v, struct tensor x, struct tensor x0,
              struct tensor e, struct tensor sigma, struct tensor mask, struct tensor weight, struct flow_form form, enum dtype type)
{
	int64_t batch = v.dim[0], frames = tensor_cols(v), rows = tensor_rows(v), each = batch ? rows / batch : 1;
	double n = (double)(each * frames), total = 0, *part = cpu_scratch(d, (size_t)(rows + batch) * sizeof *part);
	double *share = part + rows;
	bool velocity = form.target == FLOW_VELOCITY;
	const float *vp = v.data, *xp = velocity ? x0.data : x.data, *x0p = x0.data, *ep = velocity ? e.data : x0.data;
	const float *sp = sigma.data, *mp = mask.data, *wp = weight.data;
	float *lp = loss.data;

	if (!part)
		return;
	for (int64_t b = 0; b < batch; b++)
		share[b] = mean(mp + b * frames, frames);
#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows > 1)
	for (int64_t r = 0; r < rows; r++) {
		int64_t b = r / each, at = r * frames;
		part[r] = row_loss((struct row){ .v = vp + at, .x = xp + at, .x0 = x0p + at, .e = ep + at, .m = mp + b * frames,
		                                 .dv = dv.rank ? (float *)dv.data + at : NULL, .sigma = sp[b],
		                                 .c = (float)(2 * (double)wp[b] * share[b] / n), .width = flow_width_at(form, sp[b]),
		                                 .n = frames }, type == BF16, form);
	}
	for (int64_t b = 0; b < batch; b++) {
		double sum = 0;
		for (int64_t r = b * each; r < (b + 1) * each; r++)
			sum += part[r];
		lp[b] = (float)(sum / n * share[b]);
		total += (double)wp[b] * (double)lp[b];
	}
	lp[batch] = (float)total;
}
