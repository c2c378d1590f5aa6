/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exp.h"

#include <math.h>

enum { SMALL = 16384, WIDE = 64 };	/* fewer numbers are not worth a second thread; columns in one piece of a sum over rows */

/* Sum of products in sixteen interleaved parts: vectorises, in one order whatever the vector length. */
CPU_CLONES static float
dot(const float *restrict a, const float *restrict b, int64_t n)
{
	float part[16] = { 0 }, sum = 0.f;
	int64_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int64_t j = 0; j < 16; j++)
			part[j] += a[i + j] * b[i + j];
	for (; i < n; i++)
		part[i % 16] += a[i] * b[i];
	for (int64_t j = 0; j < 16; j++)
		sum += part[j];
	return sum;
}

CPU_CLONES static void
modulate_row(float *y, const float *x, float r, const float *scale, const float *shift, int64_t n)
{
	for (int64_t c = 0; c < n; c++)
		y[c] = x[c] * r * (1.f + scale[c]) + shift[c];
}

void
cpu_rms_modulate(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale)
{
	int64_t T = x.dim[1], D = x.dim[2], R = m.dim[1], rows = x.dim[0] * T;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++) {
		const float *mb = (const float *)m.data + n / T * R * D, *xp = (const float *)x.data + n * D;
		float inv = 1.f / sqrtf(dot(xp, xp, D) / (float)D + 1e-6f);
		modulate_row((float *)y.data + n * D, xp, inv, mb + scale * D, mb + shift * D, D);
		((float *)r.data)[n] = inv;
	}
}

/* g = dy (1 + scale) into dx is not possible when adding, so the dot product is taken first. */
CPU_CLONES static float
dot_scaled(const float *restrict g, const float *restrict s, const float *restrict x, int64_t n)
{
	float part[16] = { 0 }, sum = 0.f;
	int64_t i = 0;

	for (; i + 16 <= n; i += 16)
		for (int64_t j = 0; j < 16; j++)
			part[j] += g[i + j] * (1.f + s[i + j]) * x[i + j];
	for (; i < n; i++)
		part[i % 16] += g[i] * (1.f + s[i]) * x[i];
	for (int64_t j = 0; j < 16; j++)
		sum += part[j];
	return sum;
}

CPU_CLONES static void
rms_row(float *dx, const float *g, const float *s, const float *x, float r, float mean, float keep, int64_t n)
{
	for (int64_t c = 0; c < n; c++) {
		float v = r * (g[c] * (1.f + s[c]) - x[c] * mean);
		dx[c] = keep != 0.f ? dx[c] + v : v;
	}
}

void
cpu_rms_modulate_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor r,
                          struct tensor m, int scale, bool add)
{
	int64_t T = x.dim[1], D = x.dim[2], R = m.dim[1], rows = x.dim[0] * T;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++) {
		const float *s = (const float *)m.data + (n / T * R + scale) * D, *xp = (const float *)x.data + n * D;
		const float *gp = (const float *)dy.data + n * D;
		float inv = ((const float *)r.data)[n], mean = dot_scaled(gp, s, xp, D) / (float)D * inv * inv;
		rms_row((float *)dx.data + n * D, gp, s, xp, inv, mean, add ? 1.f : 0.f, D);
	}
}

CPU_CLONES static void
grads_row(float *restrict dshift, float *restrict dscale, const float *restrict g, const float *restrict x, float r, int64_t n)
{
	for (int64_t c = 0; c < n; c++) {
		dshift[c] += g[c];
		dscale[c] += g[c] * (x[c] * r);
	}
}

void
cpu_rms_modulate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor x, struct tensor r, int shift, int scale)
{
	int64_t B = x.dim[0], T = x.dim[1], D = x.dim[2], R = dm.dim[1], pieces = (D + WIDE - 1) / WIDE;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (B * T * D > SMALL)
	for (int64_t i = 0; i < B * pieces; i++) {
		int64_t b = i / pieces, c = i % pieces * WIDE, w = D - c < WIDE ? D - c : WIDE;
		float *mp = (float *)dm.data + b * R * D + c;
		for (int64_t t = b * T; t < (b + 1) * T; t++)
			grads_row(mp + shift * D, mp + scale * D, (const float *)dy.data + t * D + c,
			          (const float *)x.data + t * D + c, ((const float *)r.data)[t], w);
	}
}

CPU_CLONES static void
gate_row(float *y, const float *x, const float *z, const float *g, int64_t n)
{
	for (int64_t c = 0; c < n; c++)
		y[c] = x[c] + g[c] * z[c];
}

void
cpu_gate_add(struct dev *d, struct tensor y, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	int64_t T = x.dim[1], D = x.dim[2], R = m.dim[1], rows = x.dim[0] * T;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++)
		gate_row((float *)y.data + n * D, (const float *)x.data + n * D, (const float *)z.data + n * D,
		         (const float *)m.data + (n / T * R + gate) * D, D);
}

CPU_CLONES static void
product_row(float *y, const float *x, const float *g, int64_t n)
{
	for (int64_t c = 0; c < n; c++)
		y[c] = g[c] * x[c];
}

void
cpu_gate_backward(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate)
{
	int64_t T = dy.dim[1], D = dy.dim[2], R = m.dim[1], rows = dy.dim[0] * T;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++)
		product_row((float *)dz.data + n * D, (const float *)dy.data + n * D,
		            (const float *)m.data + (n / T * R + gate) * D, D);
}

CPU_CLONES static void
product_sum_row(float *restrict y, const float *restrict a, const float *restrict b, int64_t n)
{
	for (int64_t c = 0; c < n; c++)
		y[c] += a[c] * b[c];
}

void
cpu_gate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor z, int gate)
{
	int64_t B = z.dim[0], T = z.dim[1], D = z.dim[2], R = dm.dim[1], pieces = (D + WIDE - 1) / WIDE;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (B * T * D > SMALL)
	for (int64_t i = 0; i < B * pieces; i++) {
		int64_t b = i / pieces, c = i % pieces * WIDE, w = D - c < WIDE ? D - c : WIDE;
		for (int64_t t = b * T; t < (b + 1) * T; t++)
			product_sum_row((float *)dm.data + (b * R + gate) * D + c, (const float *)dy.data + t * D + c,
			                (const float *)z.data + t * D + c, w);
	}
}

CPU_CLONES static void
silu_row(float *y, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = silu_f32(x[i]);
}

void
cpu_silu(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (n > SMALL)
	for (int64_t i = 0; i < n; i += SMALL)
		silu_row((float *)y.data + i, (const float *)x.data + i, n - i < SMALL ? n - i : SMALL);
}

CPU_CLONES static void
silu_slope_row(float *dx, const float *dy, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		dx[i] = dy[i] * silu_slope_f32(x[i]);
}

void
cpu_silu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x)
{
	int64_t n = tensor_count(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (n > SMALL)
	for (int64_t i = 0; i < n; i += SMALL)
		silu_slope_row((float *)dx.data + i, (const float *)dy.data + i, (const float *)x.data + i,
		               n - i < SMALL ? n - i : SMALL);
}
