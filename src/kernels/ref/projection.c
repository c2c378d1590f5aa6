/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

/* Where row i of n lies between the T rows of p: rows *from, *to, weight w of the second. */
static float
between(int64_t i, int64_t n, int64_t T, int64_t *from, int64_t *to)
{
	float s = ((float)i + 0.5f) * ((float)T / (float)n) - 0.5f;

	s = s > 0.f ? s : 0.f;
	*from = (int64_t)s;
	if (*from > T - 1)
		*from = T - 1;
	*to = *from + 1 < T ? *from + 1 : *from;
	return s - (float)*from;
}

/* Of row i: squared norms of the resampled row u and of f's row, and their product. */
static void
products(struct tensor p, struct tensor f, int64_t i, double *uu, double *ff, double *uf)
{
	int64_t W = p.dim[1], from, to;
	float w = between(i, f.dim[0], p.dim[0], &from, &to);

	*uu = *ff = *uf = 0;
	for (int64_t c = 0; c < W; c++) {
		double a = (double)((1.f - w) * ((const float *)p.data)[from * W + c] + w * ((const float *)p.data)[to * W + c]);
		double b = (double)((const float *)f.data)[i * W + c];
		*uu += a * a;
		*ff += b * b;
		*uf += a * b;
	}
}

/* Both sides are normalised (norm at least 1e-12), then cos = <u, v> / sqrt((|u|^2 + 1e-12) (|v|^2 + 1e-12)). */
void
ref_projection_loss(struct dev *d, struct tensor loss, struct tensor p, struct tensor f)
{
	int64_t n = f.dim[0];
	double sum = 0;

	(void)d;
	for (int64_t i = 0; i < n; i++) {
		double uu, ff, uf, nu, nf;
		products(p, f, i, &uu, &ff, &uf);
		nu = fmax(sqrt(uu), 1e-12);
		nf = fmax(sqrt(ff), 1e-12);
		sum += 1 - uf / (nu * nf) / sqrt((uu / (nu * nu) + 1e-12) * (ff / (nf * nf) + 1e-12));
	}
	((float *)loss.data)[0] = (float)(sum / (double)n);
}

/* The normalised row has length 1 unless it is below 1e-12, so d cos / du = (f / |f| - cos u / |u|) / |u|. */
void
ref_projection_loss_backward(struct dev *d, struct tensor dp, struct tensor p, struct tensor f, float weight)
{
	int64_t n = f.dim[0], W = p.dim[1];

	(void)d;
	for (int64_t i = 0; i < n; i++) {
		int64_t from, to;
		float w = between(i, n, p.dim[0], &from, &to);
		double uu, ff, uf, nu, nf, cosine;
		products(p, f, i, &uu, &ff, &uf);
		nu = fmax(sqrt(uu), 1e-12);
		nf = fmax(sqrt(ff), 1e-12);
		cosine = uu > 1e-24 ? uf / (nu * nf) : 0;
		for (int64_t c = 0; c < W; c++) {
			double a = (double)((1.f - w) * ((const float *)p.data)[from * W + c] + w * ((const float *)p.data)[to * W + c]);
			double g = -(double)weight / (double)n *
			           ((double)((const float *)f.data)[i * W + c] / nf - cosine * a / nu) / nu;
			((float *)dp.data)[from * W + c] += (1.f - w) * (float)g;
			((float *)dp.data)[to * W + c] += w * (float)g;
		}
	}
}
