/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exp.h"
#include "kernels/cpu/space.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64 };		/* queries whose scores are held at a time */

/* One head of one sample; rows of q, k, v, p, o and their gradients are E apart. Queries t .. t+n-1 need the positions
 * from Y-t-n on, Y+n-1 of them: query t+i meets key j at number n-1-i+j of those. */
struct head {
	const float *q, *k, *v, *p, *bu, *bv, *mask;
	int64_t Y, E, e, H;
	float scale;
};

struct work {
	float *qu, *qv;			/* [ROWS, e]: q + bu, q + bv */
	float *s, *ds;			/* [ROWS, Y] */
	float *r;			/* [ROWS, Y + ROWS - 1] */
	float *dq;			/* [ROWS, e] */
};

static int64_t
work_size(int64_t Y, int64_t e)
{
	return ROWS * (3 * e + 2 * Y + Y + ROWS);
}

static struct work
work_at(float *at, int64_t Y, int64_t e)
{
	struct work w = { .qu = at };

	w.qv = w.qu + ROWS * e;
	w.dq = w.qv + ROWS * e;
	w.s = w.dq + ROWS * e;
	w.ds = w.s + ROWS * Y;
	w.r = w.ds + ROWS * Y;
	return w;
}

static struct head
head_of(struct tensor q, struct tensor k, struct tensor v, struct tensor p, struct tensor bu, struct tensor bv,
        struct tensor mask, int64_t b, int64_t h)
{
	int64_t Y = q.dim[1], E = q.dim[2], e = bu.dim[1], at = b * Y * E + h * e;

	return (struct head){ (const float *)q.data + at, (const float *)k.data + at, (const float *)v.data + at,
		(const float *)p.data + h * e, (const float *)bu.data + h * e, (const float *)bv.data + h * e,
		(const float *)mask.data + b * Y, Y, E, e, bu.dim[0], 1.f / sqrtf((float)e) };
}

CPU_CLONES static void
add(float *restrict y, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += x[i];
}

CPU_CLONES static void
times(float *y, float s, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] *= s;
}

CPU_CLONES static float
largest(const float *s, const float *mask, int64_t n)
{
	float top = -INFINITY;

	for (int64_t j = 0; j < n; j++) {
		float v = mask[j] != 0.f ? s[j] : -INFINITY;
		top = v > top ? v : top;
	}
	return top;
}

CPU_CLONES static void
exponentials(float *s, const float *mask, float top, int64_t n)
{
	for (int64_t j = 0; j < n; j++) {
		float v = exp_f32(s[j] - top);
		s[j] = mask[j] != 0.f ? v : 0.f;
	}
}

static float
sum(const float *s, int64_t n)
{
	double v = 0;

	for (int64_t j = 0; j < n; j++)
		v += (double)s[j];
	return (float)v;
}

/* w.s = scaled scores of queries t .. t+n-1 */
static void
scores(struct head h, struct work w, int64_t t, int64_t n)
{
	int64_t wide = h.Y + n - 1;

	for (int64_t i = 0; i < n; i++) {
		memcpy(w.qu + i * h.e, h.q + (t + i) * h.E, (size_t)h.e * sizeof *w.qu);
		memcpy(w.qv + i * h.e, h.q + (t + i) * h.E, (size_t)h.e * sizeof *w.qv);
		add(w.qu + i * h.e, h.bu, h.e);
		add(w.qv + i * h.e, h.bv, h.e);
	}
	cpu_sgemm1(false, true, n, h.Y, h.e, h.scale, w.qu, h.e, h.k, h.E, 0.f, w.s, h.Y);
	cpu_sgemm1(false, true, n, wide, h.e, h.scale, w.qv, h.e, h.p + (h.Y - t - n) * h.E, h.E, 0.f, w.r, wide);
	for (int64_t i = 0; i < n; i++)
		add(w.s + i * h.Y, w.r + i * wide + n - 1 - i, h.Y);
}

static void
head_forward(struct head h, struct work w, float *o, float *lse)
{
	for (int64_t t = 0; t < h.Y; t += ROWS) {
		int64_t n = h.Y - t < ROWS ? h.Y - t : ROWS;
		scores(h, w, t, n);
		for (int64_t i = 0; i < n; i++) {
			float *row = w.s + i * h.Y, top = largest(row, h.mask, h.Y), total;
			exponentials(row, h.mask, top > -INFINITY ? top : 0.f, h.Y);
			total = top > -INFINITY ? sum(row, h.Y) : 0.f;
			lse[(t + i) * h.H] = total > 0.f ? top + logf(total) : 0.f;
			times(row, total > 0.f ? 1.f / total : 0.f, h.Y);
		}
		cpu_sgemm1(false, false, n, h.e, h.Y, 1.f, w.s, h.Y, h.v, h.E, 0.f, o + t * h.E, h.E);
	}
}

/* Of every head of every sample; backward takes the samples one after the other. */
size_t
cpu_relative_attention_space(struct tensor q, struct tensor bu, bool backward)
{
	return (size_t)((backward ? 1 : q.dim[0]) * bu.dim[0] * work_size(q.dim[1], bu.dim[1])) * sizeof(float);
}

void
cpu_relative_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
                       struct tensor p, struct tensor bu, struct tensor bv, struct tensor mask)
{
	int64_t B = q.dim[0], Y = q.dim[1], E = q.dim[2], H = bu.dim[0], e = bu.dim[1], size = work_size(Y, e);
	float *work = cpu_scratch(d, cpu_relative_attention_space(q, bu, false));

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < B * H; i++)
		head_forward(head_of(q, k, v, p, bu, bv, mask, i / H, i % H), work_at(work + i * size, Y, e),
		             (float *)o.data + i / H * Y * E + i % H * e, (float *)lse.data + i / H * Y * H + i % H);
}

/* dp = prob (dp - delta) */
CPU_CLONES static void
slope(float *restrict ds, const float *restrict prob, float delta, int64_t n)
{
	for (int64_t j = 0; j < n; j++)
		ds[j] = prob[j] * (ds[j] - delta);
}

static float
dot(const float *a, const float *b, int64_t n)
{
	double v = 0;

	for (int64_t i = 0; i < n; i++)
		v += (double)a[i] * (double)b[i];
	return (float)v;
}

struct grads {
	float *dq, *dk, *dv, *dp, *dbu, *dbv;	/* the last three may be NULL */
	const float *go, *o, *lse;
};

static void
add_rows(float *y, const float *x, int64_t n, int64_t e)
{
	for (int64_t i = 0; y && i < n; i++)
		add(y, x + i * e, e);
}

/* w.s and w.ds hold probabilities and score gradients of queries t .. t+n-1: to queries, keys, positions, biases. */
static void
spread(struct head h, struct work w, struct grads g, int64_t t, int64_t n)
{
	int64_t wide = h.Y + n - 1, from = h.Y - t - n;
	float beta = t ? 1.f : 0.f;

	cpu_sgemm1(true, false, h.Y, h.e, n, 1.f, w.s, h.Y, g.go + t * h.E, h.E, beta, g.dv, h.E);
	cpu_sgemm1(true, false, h.Y, h.e, n, h.scale, w.ds, h.Y, w.qu, h.e, beta, g.dk, h.E);
	memset(w.r, 0, (size_t)(n * wide) * sizeof *w.r);
	for (int64_t i = 0; i < n; i++)
		memcpy(w.r + i * wide + n - 1 - i, w.ds + i * h.Y, (size_t)h.Y * sizeof *w.r);
	if (g.dp)
		cpu_sgemm1(true, false, wide, h.e, n, h.scale, w.r, wide, w.qv, h.e, 1.f, g.dp + from * h.E, h.E);
	cpu_sgemm1(false, false, n, h.e, h.Y, h.scale, w.ds, h.Y, h.k, h.E, 0.f, w.dq, h.e);
	add_rows(g.dbu, w.dq, n, h.e);
	for (int64_t i = 0; i < n; i++)
		memcpy(g.dq + (t + i) * h.E, w.dq + i * h.e, (size_t)h.e * sizeof *w.dq);
	cpu_sgemm1(false, false, n, h.e, wide, h.scale, w.r, wide, h.p + from * h.E, h.E, 0.f, w.dq, h.e);
	add_rows(g.dbv, w.dq, n, h.e);
	for (int64_t i = 0; i < n; i++)
		add(g.dq + (t + i) * h.E, w.dq + i * h.e, h.e);
}

static void
head_backward(struct head h, struct work w, struct grads g)
{
	for (int64_t t = 0; t < h.Y; t += ROWS) {
		int64_t n = h.Y - t < ROWS ? h.Y - t : ROWS;
		scores(h, w, t, n);
		cpu_sgemm1(false, true, n, h.Y, h.e, 1.f, g.go + t * h.E, h.E, h.v, h.E, 0.f, w.ds, h.Y);
		for (int64_t i = 0; i < n; i++) {
			float delta = dot(g.go + (t + i) * h.E, g.o + (t + i) * h.E, h.e);
			exponentials(w.s + i * h.Y, h.mask, g.lse[(t + i) * h.H], h.Y);
			slope(w.ds + i * h.Y, w.s + i * h.Y, delta, h.Y);
		}
		spread(h, w, g, t, n);
	}
}

/* One piece a head: samples add to dp and the biases one after the other. */
void
cpu_relative_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dp,
                                struct tensor dbu, struct tensor dbv, struct tensor go, struct tensor q, struct tensor k,
                                struct tensor v, struct tensor p, struct tensor bu, struct tensor bv, struct tensor o,
                                struct tensor lse, struct tensor mask)
{
	int64_t B = q.dim[0], Y = q.dim[1], E = q.dim[2], H = bu.dim[0], e = bu.dim[1], size = work_size(Y, e);
	float *work = cpu_scratch(d, cpu_relative_attention_space(q, bu, true));

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t a = 0; a < H; a++)
		for (int64_t b = 0; b < B; b++) {
			int64_t at = b * Y * E + a * e;
			struct grads g = { (float *)dq.data + at, (float *)dk.data + at, (float *)dv.data + at,
				dp.rank ? (float *)dp.data + a * e : NULL, dbu.rank ? (float *)dbu.data + a * e : NULL,
				dbv.rank ? (float *)dbv.data + a * e : NULL, (const float *)go.data + at,
				(const float *)o.data + at, (const float *)lse.data + b * Y * H + a };
			head_backward(head_of(q, k, v, p, bu, bv, mask, b, a), work_at(work + a * size, Y, e), g);
		}
}
