/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exp.h"
#include "kernels/cpu/space.h"

#include <math.h>
#include <string.h>

enum { ROWS = 64 };		/* queries whose scores are held at a time */

/* One head of one sample. Rows of q, o are D apart, of masks and lse as stated. */
struct head {
	const float *q, *k, *v, *qmask, *kmask;
	int64_t M, D, w, H;
	float scale;
};

CPU_CLONES static float
largest_seen(const float *s, const float *kmask, float qmask, int64_t n)
{
	float top = -INFINITY;

	for (int64_t j = 0; j < n; j++) {
		float v = qmask * kmask[j] == 1.f ? s[j] : -INFINITY;
		top = v > top ? v : top;
	}
	return top;
}

/* s = exp(s - top) where seen, else 0. */
CPU_CLONES static void
exponentials(float *s, const float *kmask, float qmask, float top, int64_t n)
{
	for (int64_t j = 0; j < n; j++) {
		float e = exp_f32(s[j] - top);
		s[j] = qmask * kmask[j] == 1.f ? e : 0.f;
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

CPU_CLONES static void
times(float *y, float s, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] *= s;
}

/* s [n, M] = scaled scores of queries t .. t+n-1 */
static void
scores(struct head h, float *s, int64_t t, int64_t n)
{
	cpu_sgemm1(false, true, n, h.M, h.w, h.scale, h.q + t * h.D, h.D, h.k, h.D, 0.f, s, h.M);
}

static void
head_forward(struct head h, float *o, float *lse, int64_t T, float *s)
{
	for (int64_t t = 0; t < T; t += ROWS) {
		int64_t n = T - t < ROWS ? T - t : ROWS;
		scores(h, s, t, n);
		for (int64_t i = 0; i < n; i++) {
			float *row = s + i * h.M, qmask = h.qmask[t + i], top = largest_seen(row, h.kmask, qmask, h.M), total;
			exponentials(row, h.kmask, qmask, top > -INFINITY ? top : 0.f, h.M);
			total = top > -INFINITY ? sum(row, h.M) : 0.f;
			lse[(t + i) * h.H] = total > 0.f ? top + logf(total) : 0.f;
			times(row, total > 0.f ? 1.f / total : 0.f, h.M);
		}
		cpu_sgemm1(false, false, n, h.w, h.M, 1.f, s, h.M, h.v, h.D, 0.f, o + t * h.D, h.D);
	}
}

static struct head
head_of(struct tensor q, struct tensor k, struct tensor v, struct tensor qmask, struct tensor kmask, int64_t H, int64_t i)
{
	int64_t T = q.dim[1], D = q.dim[2], M = k.dim[1], w = D / H, b = i / H, at = i % H * w;

	return (struct head){ (const float *)q.data + b * T * D + at, (const float *)k.data + b * M * D + at,
		(const float *)v.data + b * M * D + at, (const float *)qmask.data + b * T, (const float *)kmask.data + b * M,
		M, D, w, H, 1.f / sqrtf((float)w) };
}

/* Scores, and in the backward pass their gradients, of ROWS queries of every head. */
size_t
cpu_attention_space(struct tensor k, struct tensor lse, bool backward)
{
	return (size_t)(k.dim[0] * lse.dim[2] * (backward ? 2 : 1) * ROWS * k.dim[1]) * sizeof(float);
}

void
cpu_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
              struct tensor qmask, struct tensor kmask)
{
	int64_t T = q.dim[1], D = q.dim[2], M = k.dim[1], H = lse.dim[2], heads = q.dim[0] * H;
	float *work = cpu_scratch(d, cpu_attention_space(k, lse, false));

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < heads; i++)
		head_forward(head_of(q, k, v, qmask, kmask, H, i), (float *)o.data + i / H * T * D + i % H * (D / H),
		             (float *)lse.data + i / H * T * H + i % H, T, work + i * ROWS * M);
}

/* dp = p (dp - delta) */
CPU_CLONES static void
slope(float *restrict dp, const float *restrict p, float delta, int64_t n)
{
	for (int64_t j = 0; j < n; j++)
		dp[j] = p[j] * (dp[j] - delta);
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
	float *dq, *dk, *dv;
	const float *go, *o, *lse;
};

/* Scores again, ROWS queries at a time; dk, dv gather in this one thread, in order. p, dp: [ROWS, M] each. */
static void
head_backward(struct head h, struct grads g, int64_t T, float *p, float *dp)
{
	for (int64_t t = 0; t < T; t += ROWS) {
		int64_t n = T - t < ROWS ? T - t : ROWS;
		float beta = t ? 1.f : 0.f;
		scores(h, p, t, n);
		cpu_sgemm1(false, true, n, h.M, h.w, 1.f, g.go + t * h.D, h.D, h.v, h.D, 0.f, dp, h.M);
		for (int64_t i = 0; i < n; i++) {
			float delta = dot(g.go + (t + i) * h.D, g.o + (t + i) * h.D, h.w);
			exponentials(p + i * h.M, h.kmask, h.qmask[t + i], g.lse[(t + i) * h.H], h.M);
			slope(dp + i * h.M, p + i * h.M, delta, h.M);
		}
		cpu_sgemm1(true, false, h.M, h.w, n, 1.f, p, h.M, g.go + t * h.D, h.D, beta, g.dv, h.D);
		cpu_sgemm1(true, false, h.M, h.w, n, h.scale, dp, h.M, h.q + t * h.D, h.D, beta, g.dk, h.D);
		cpu_sgemm1(false, false, n, h.w, h.M, h.scale, dp, h.M, h.k, h.D, 0.f, g.dq + t * h.D, h.D);
	}
}

void
cpu_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go, struct tensor q,
                       struct tensor k, struct tensor v, struct tensor o, struct tensor lse, struct tensor qmask,
                       struct tensor kmask)
{
	int64_t T = q.dim[1], D = q.dim[2], M = k.dim[1], H = lse.dim[2], heads = q.dim[0] * H;
	float *work = cpu_scratch(d, cpu_attention_space(k, lse, true));

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < heads; i++) {
		int64_t at = i / H * T * D + i % H * (D / H), key = i / H * M * D + i % H * (D / H);
		struct grads g = { (float *)dq.data + at, (float *)dk.data + key, (float *)dv.data + key,
			(const float *)go.data + at, (const float *)o.data + at, (const float *)lse.data + i / H * T * H + i % H };
		head_backward(head_of(q, k, v, qmask, kmask, H, i), g, T, work + i * 2 * ROWS * M, work + (i * 2 + 1) * ROWS * M);
	}
}
