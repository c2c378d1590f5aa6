/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

/* Scaled score of query row n and key row j of head h; -INFINITY when not seen. */
static float
score(struct tensor q, struct tensor k, struct tensor qmask, struct tensor kmask, int64_t n, int64_t j, int64_t h, int64_t H)
{
	int64_t D = q.dim[2], w = D / H;
	const float *qp = (const float *)q.data + n * D + h * w, *kp = (const float *)k.data + j * D + h * w;
	double sum = 0;

	if (((const float *)qmask.data)[n] * ((const float *)kmask.data)[j] != 1.f)
		return -INFINITY;
	for (int64_t c = 0; c < w; c++)
		sum += (double)qp[c] * (double)kp[c];
	return (float)(sum / sqrt((double)w));
}

void
ref_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
              struct tensor qmask, struct tensor kmask)
{
	int64_t T = q.dim[1], D = q.dim[2], M = k.dim[1], H = lse.dim[2], w = D / H, rows = q.dim[0] * T;
	float *s = malloc((size_t)M * sizeof *s + 1);

	(void)d;
	for (int64_t i = 0; s && i < rows * H; i++) {
		int64_t n = i / H, h = i % H, key = n / T * M;
		float *op = (float *)o.data + n * D + h * w, top = -INFINITY;
		double sum = 0;
		for (int64_t j = 0; j < M; j++) {
			s[j] = score(q, k, qmask, kmask, n, key + j, h, H);
			top = s[j] > top ? s[j] : top;
		}
		for (int64_t j = 0; j < M && top > -INFINITY; j++)
			sum += exp((double)s[j] - (double)top);
		((float *)lse.data)[i] = sum > 0 ? top + (float)log(sum) : 0.f;
		for (int64_t c = 0; c < w; c++) {
			double value = 0;
			for (int64_t j = 0; j < M && sum > 0; j++)
				value += exp((double)s[j] - (double)top) / sum * (double)((const float *)v.data)[(key + j) * D + h * w + c];
			op[c] = (float)value;
		}
	}
	free(s);
}

/* Adds the part of one query row: its dq is written, dk and dv of all keys are added to. */
static void
row_backward(float *dq, float *dk, float *dv, const float *go, const float *q, const float *k, const float *v, double delta,
             double p, int64_t w)
{
	double dp = 0, ds;

	for (int64_t c = 0; c < w; c++)
		dp += (double)go[c] * (double)v[c];
	ds = p * (dp - delta) / sqrt((double)w);
	for (int64_t c = 0; c < w; c++) {
		dq[c] += (float)(ds * (double)k[c]);
		dk[c] += (float)(ds * (double)q[c]);
		dv[c] += (float)(p * (double)go[c]);
	}
}

void
ref_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go, struct tensor q,
                       struct tensor k, struct tensor v, struct tensor o, struct tensor lse, struct tensor qmask,
                       struct tensor kmask)
{
	int64_t T = q.dim[1], D = q.dim[2], M = k.dim[1], H = lse.dim[2], w = D / H, rows = q.dim[0] * T;

	ref_fill(d, dq, 0.f);
	ref_fill(d, dk, 0.f);
	ref_fill(d, dv, 0.f);
	for (int64_t i = 0; i < rows * H; i++) {
		int64_t n = i / H, h = i % H, at = n * D + h * w;
		const float *g = (const float *)go.data + at, *op = (const float *)o.data + at;
		double delta = 0;
		for (int64_t c = 0; c < w; c++)
			delta += (double)g[c] * (double)op[c];
		for (int64_t j = n / T * M; j < (n / T + 1) * M; j++) {
			float s = score(q, k, qmask, kmask, n, j, h, H);
			int64_t key = j * D + h * w;
			if (s == -INFINITY)
				continue;
			row_backward((float *)dq.data + at, (float *)dk.data + key, (float *)dv.data + key, g,
			             (const float *)q.data + at, (const float *)k.data + key, (const float *)v.data + key, delta,
			             exp((double)s - (double)((const float *)lse.data)[i]), w);
		}
	}
}
