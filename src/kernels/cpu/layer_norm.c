/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

#include <math.h>

enum { SMALL = 16384, WIDE = 64 };

/* Sums of a and of a b in sixteen interleaved parts, in one order whatever the vector length. */
CPU_CLONES static void
sums(const float *restrict a, const float *restrict b, int64_t n, float *sum_a, float *sum_ab)
{
	float p[16] = { 0 }, q[16] = { 0 }, s = 0.f, t = 0.f;
	int64_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int64_t j = 0; j < 16; j++) {
			p[j] += a[i + j];
			q[j] += a[i + j] * b[i + j];
		}
	for (; i < n; i++) {
		p[i % 16] += a[i];
		q[i % 16] += a[i] * b[i];
	}
	for (int64_t j = 0; j < 16; j++) {
		s += p[j];
		t += q[j];
	}
	*sum_a = s;
	*sum_ab = t;
}

CPU_CLONES static float
spread(const float *restrict x, float mean, int64_t n)
{
	float p[16] = { 0 }, s = 0.f;
	int64_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int64_t j = 0; j < 16; j++)
			p[j] += (x[i + j] - mean) * (x[i + j] - mean);
	for (; i < n; i++)
		p[i % 16] += (x[i] - mean) * (x[i] - mean);
	for (int64_t j = 0; j < 16; j++)
		s += p[j];
	return s;
}

CPU_CLONES static void
norm_row(float *y, const float *x, float mean, float r, const float *w, const float *b, int64_t n)
{
	for (int64_t c = 0; c < n; c++)
		y[c] = (x[c] - mean) * r * w[c] + b[c];
}

void
cpu_layer_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t rows = tensor_rows(x), E = tensor_cols(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * E > SMALL)
	for (int64_t n = 0; n < rows; n++) {
		const float *xp = (const float *)x.data + n * E;
		float *sp = (float *)stat.data + 2 * n, sum, square;
		sums(xp, xp, E, &sum, &square);
		sp[0] = sum / (float)E;
		sp[1] = 1.f / sqrtf(spread(xp, sp[0], E) / (float)E + eps);
		norm_row((float *)y.data + n * E, xp, sp[0], sp[1], w.data, b.data, E);
	}
}

/* sums of g = w dy and of g h, h = (x - mean) r */
CPU_CLONES static void
slope_sums(const float *restrict dy, const float *restrict w, const float *restrict x, float mean, float r, int64_t n, float *sg,
           float *sgh)
{
	float p[16] = { 0 }, q[16] = { 0 }, s = 0.f, t = 0.f;
	int64_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int64_t j = 0; j < 16; j++) {
			float g = w[i + j] * dy[i + j];
			p[j] += g;
			q[j] += g * ((x[i + j] - mean) * r);
		}
	for (; i < n; i++) {
		p[i % 16] += w[i] * dy[i];
		q[i % 16] += w[i] * dy[i] * ((x[i] - mean) * r);
	}
	for (int64_t j = 0; j < 16; j++) {
		s += p[j];
		t += q[j];
	}
	*sg = s;
	*sgh = t;
}

CPU_CLONES static void
slope_row(float *dx, const float *dy, const float *w, const float *x, float mean, float r, float g, float gh, bool add, int64_t n)
{
	for (int64_t c = 0; c < n; c++) {
		float v = r * (w[c] * dy[c] - g - (x[c] - mean) * r * gh);
		dx[c] = add ? dx[c] + v : v;
	}
}

void
cpu_layer_norm_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat, struct tensor w,
                        bool add)
{
	int64_t rows = tensor_rows(x), E = tensor_cols(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * E > SMALL)
	for (int64_t n = 0; n < rows; n++) {
		const float *xp = (const float *)x.data + n * E, *gp = (const float *)dy.data + n * E;
		const float *sp = (const float *)stat.data + 2 * n;
		float sg, sgh;
		slope_sums(gp, w.data, xp, sp[0], sp[1], E, &sg, &sgh);
		slope_row((float *)dx.data + n * E, gp, w.data, xp, sp[0], sp[1], sg / (float)E, sgh / (float)E, add, E);
	}
}

CPU_CLONES static void
grads_row(float *restrict dw, float *restrict db, const float *restrict dy, const float *restrict x, float mean, float r, int64_t n)
{
	for (int64_t c = 0; c < n; c++) {
		dw[c] += dy[c] * ((x[c] - mean) * r);
		db[c] += dy[c];
	}
}

void
cpu_layer_norm_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x, struct tensor stat)
{
	int64_t rows = tensor_rows(x), E = tensor_cols(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * E > SMALL)
	for (int64_t c = 0; c < E; c += WIDE) {
		float sw[WIDE] = { 0 }, sb[WIDE] = { 0 };
		int64_t w = E - c < WIDE ? E - c : WIDE;
		for (int64_t n = 0; n < rows; n++)
			grads_row(sw, sb, (const float *)dy.data + n * E + c, (const float *)x.data + n * E + c,
			          ((const float *)stat.data)[2 * n], ((const float *)stat.data)[2 * n + 1], w);
		for (int64_t i = 0; i < w; i++) {
			((float *)dw.data)[c + i] += sw[i];
			((float *)db.data)[c + i] += sb[i];
		}
	}
}
