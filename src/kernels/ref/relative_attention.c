/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

/* What one head of one sample reads; rows of q, k, v, p are E apart. */
struct head {
	const float *q, *k, *v, *p, *bu, *bv, *mask;
	int64_t Y, E, e;
};

static struct head
head_of(struct tensor q, struct tensor k, struct tensor v, struct tensor p, struct tensor bu, struct tensor bv,
        struct tensor mask, int64_t b, int64_t h)
{
	int64_t Y = q.dim[1], E = q.dim[2], e = bu.dim[1], at = b * Y * E + h * e;

	return (struct head){ (const float *)q.data + at, (const float *)k.data + at, (const float *)v.data + at,
		(const float *)p.data + h * e, (const float *)bu.data + h * e, (const float *)bv.data + h * e,
		(const float *)mask.data + b * Y, Y, E, e };
}

static double
score(struct head h, int64_t i, int64_t j)
{
	const float *q = h.q + i * h.E, *k = h.k + j * h.E, *p = h.p + (h.Y - 1 - i + j) * h.E;
	double sum = 0;

	for (int64_t c = 0; c < h.e; c++)
		sum += ((double)q[c] + (double)h.bu[c]) * (double)k[c] + ((double)q[c] + (double)h.bv[c]) * (double)p[c];
	return sum / sqrt((double)h.e);
}

/* log of the sum of exponentials of row i over the keys that are there; -INFINITY: none */
static double
row_sum(struct head h, int64_t i)
{
	double top = -INFINITY, sum = 0;

	for (int64_t j = 0; j < h.Y; j++)
		if (h.mask[j] != 0.f)
			top = fmax(top, score(h, i, j));
	for (int64_t j = 0; j < h.Y; j++)
		if (h.mask[j] != 0.f)
			sum += exp(score(h, i, j) - top);
	return sum > 0 ? top + log(sum) : -INFINITY;
}

void
ref_relative_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
                       struct tensor p, struct tensor bu, struct tensor bv, struct tensor mask)
{
	int64_t B = q.dim[0], Y = q.dim[1], E = q.dim[2], H = bu.dim[0];

	(void)d;
	for (int64_t n = 0; n < B * H * Y; n++) {
		int64_t b = n / (H * Y), a = n / Y % H, i = n % Y;
		struct head h = head_of(q, k, v, p, bu, bv, mask, b, a);
		float *op = (float *)o.data + (b * Y + i) * E + a * h.e;
		double total = row_sum(h, i);
		((float *)lse.data)[(b * Y + i) * H + a] = total > -INFINITY ? (float)total : 0.f;
		for (int64_t c = 0; c < h.e; c++) {
			double sum = 0;
			for (int64_t j = 0; j < Y; j++)
				if (h.mask[j] != 0.f)
					sum += exp(score(h, i, j) - total) * (double)h.v[j * E + c];
			op[c] = (float)sum;
		}
	}
}

struct grads {
	float *dq, *dk, *dv, *dp, *dbu, *dbv;	/* at the head's first element; the last three may be NULL */
	const float *go, *o;
};

static void
pair_backward(struct head h, struct grads g, int64_t i, int64_t j, double prob, double delta)
{
	double dprob = 0, ds;
	int64_t r = h.Y - 1 - i + j;

	for (int64_t c = 0; c < h.e; c++)
		dprob += (double)g.go[i * h.E + c] * (double)h.v[j * h.E + c];
	ds = prob * (dprob - delta) / sqrt((double)h.e);
	for (int64_t c = 0; c < h.e; c++) {
		float a = (float)(ds * (double)h.k[j * h.E + c]), b = (float)(ds * (double)h.p[r * h.E + c]);
		g.dq[i * h.E + c] += a + b;
		g.dk[j * h.E + c] += (float)(ds * ((double)h.q[i * h.E + c] + (double)h.bu[c]));
		g.dv[j * h.E + c] += (float)(prob * (double)g.go[i * h.E + c]);
		if (g.dp)
			g.dp[r * h.E + c] += (float)(ds * ((double)h.q[i * h.E + c] + (double)h.bv[c]));
		if (g.dbu)
			g.dbu[c] += a;
		if (g.dbv)
			g.dbv[c] += b;
	}
}

void
ref_relative_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dp,
                                struct tensor dbu, struct tensor dbv, struct tensor go, struct tensor q, struct tensor k,
                                struct tensor v, struct tensor p, struct tensor bu, struct tensor bv, struct tensor o,
                                struct tensor lse, struct tensor mask)
{
	int64_t B = q.dim[0], Y = q.dim[1], E = q.dim[2], H = bu.dim[0];

	(void)lse;
	ref_fill(d, dq, 0.f);
	ref_fill(d, dk, 0.f);
	ref_fill(d, dv, 0.f);
	for (int64_t n = 0; n < B * H; n++) {
		struct head h = head_of(q, k, v, p, bu, bv, mask, n / H, n % H);
		int64_t at = n / H * Y * E + n % H * h.e, own = n % H * h.e;
		struct grads g = { (float *)dq.data + at, (float *)dk.data + at, (float *)dv.data + at,
			dp.rank ? (float *)dp.data + own : NULL, dbu.rank ? (float *)dbu.data + own : NULL,
			dbv.rank ? (float *)dbv.data + own : NULL, (const float *)go.data + at, (const float *)o.data + at };
		for (int64_t i = 0; i < Y; i++) {
			double total = row_sum(h, i), delta = 0;
			for (int64_t c = 0; c < h.e; c++)
				delta += (double)g.go[i * E + c] * (double)g.o[i * E + c];
			for (int64_t j = 0; j < Y; j++)
				if (h.mask[j] != 0.f)
					pair_backward(h, g, i, j, exp(score(h, i, j) - total), delta);
		}
	}
}
