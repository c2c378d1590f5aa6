/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exp.h"

#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* Positions, or numbers, that one piece of work takes. */
enum { TILE = 512, PIECE = 16384, ATTEND = 1024 };

static int64_t
positions(struct tensor x)
{
	return x.dim[0] ? tensor_count(x) / x.dim[0] : 0;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int
thread(void)
{
#ifdef _OPENMP
	return omp_get_thread_num();
#else
	return 0;
#endif
}

CPU_CLONES static void
add_value(float *y, float v, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += v;
}

void
cpu_map_bias(struct dev *d, struct tensor y, struct tensor b)
{
	int64_t n = positions(y);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(y) > PIECE)
	for (int64_t c = 0; c < y.dim[0]; c++)
		add_value((float *)y.data + c * n, ((const float *)b.data)[c], n);
}

CPU_CLONES static void
add_squares(float *restrict sum, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		sum[i] += x[i] * x[i];
}

CPU_CLONES static void
scale_shift(float *y, const float *x, const float *restrict r, float w, float b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] * r[i] * w + b;
}

void
cpu_map_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t n = positions(x), channels = x.dim[0];
	const float *xp = x.data;
	float *yp = y.data;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t p = 0; p < n; p += TILE) {
		int64_t m = least(TILE, n - p);
		float r[TILE] = { 0 };
		for (int64_t c = 0; c < channels; c++)
			add_squares(r, xp + c * n + p, m);
		for (int64_t i = 0; i < m; i++)
			r[i] = 1.f / sqrtf(r[i] / (float)channels + eps);
		for (int64_t c = 0; c < channels; c++)
			scale_shift(yp + c * n + p, xp + c * n + p, r, ((const float *)w.data)[c], ((const float *)b.data)[c], m);
	}
}

CPU_CLONES static void
gate(float *restrict y, const float *restrict a, const float *restrict g, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = a[i] * silu_f32(g[i]);
}

void
cpu_map_gate(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);
	const float *xp = x.data;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < n; i += PIECE)
		gate((float *)y.data + i, xp + i, xp + n + i, least(PIECE, n - i));
}

void
cpu_map_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t height = y.dim[1], width = y.dim[2], group = 4 * x.dim[0] / y.dim[0];
	float share = 1.f / (float)group;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t o = 0; o < y.dim[0]; o++)
		for (int64_t h = 0; h < height; h++) {
			float *yp = (float *)y.data + (o * height + h) * width;
			for (int64_t i = o * group; i < (o + 1) * group; i++) {
				const float *xp = (const float *)x.data + (i / 4 * 2 * height + 2 * h + i % 4 / 2) * 2 * width + i % 2;
				for (int64_t v = 0; v < width; v++)
					yp[v] += share * xp[2 * v];
			}
		}
}

CPU_CLONES static void
add_scaled(float *restrict y, const float *restrict x, float w, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += w * x[i];
}

void
cpu_map_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = positions(x), group = x.dim[0] / y.dim[0];
	float share = 1.f / (float)group;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t o = 0; o < y.dim[0]; o++)
		for (int64_t i = o * group; i < (o + 1) * group; i++)
			add_scaled((float *)y.data + o * n, (const float *)x.data + i * n, share, n);
}

CPU_CLONES static void
relu(float *restrict y, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] > 0.f ? x[i] : 0.f;
}

CPU_CLONES static void
divide(float *restrict y, const float *restrict by, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] /= by[i] + 1e-15f;
}

/* relu of rows [wide] of x from position p on, packed to m a row. */
static void
relu_tile(float *to, const float *x, int64_t wide, int64_t n, int64_t p, int64_t m)
{
	for (int64_t i = 0; i < wide; i++)
		relu(to + i * m, x + i * n + p, m);
}

/* work: m [wide + 1][wide] (the sums V'K^T, last row for V = 1), t [wide][ATTEND], s [ATTEND] */
static void
attend_linear(float *y, const float *q, const float *k, const float *v, int64_t wide, int64_t n, float *work)
{
	float *sums = work, *ones = sums + wide * wide, *t = ones + wide, *s = t + wide * ATTEND;

	memset(sums, 0, (size_t)(wide * (wide + 1)) * sizeof *sums);
	for (int64_t p = 0; p < n; p += ATTEND) {
		int64_t m = least(ATTEND, n - p);
		relu_tile(t, k, wide, n, p, m);
		cpu_sgemm1(false, true, wide, wide, m, 1.f, v + p, n, t, m, 1.f, sums, wide);
		for (int64_t i = 0; i < wide; i++) {
			float sum = 0.f;
			for (int64_t j = 0; j < m; j++)
				sum += t[i * m + j];
			ones[i] += sum;
		}
	}
	for (int64_t p = 0; p < n; p += ATTEND) {
		int64_t m = least(ATTEND, n - p);
		relu_tile(t, q, wide, n, p, m);
		cpu_sgemm1(false, false, wide, m, wide, 1.f, sums, wide, t, m, 0.f, y + p, n);
		memset(s, 0, (size_t)m * sizeof *s);
		for (int64_t i = 0; i < wide; i++)
			add_scaled(s, t + i * m, ones[i], m);
		for (int64_t i = 0; i < wide; i++)
			divide(y + i * n + p, s, m);
	}
}

/* For n <= wide: P = K^T Q, columns divided by their sums; work: two maps [wide][n], P [n][n], s [n] */
static void
attend_quadratic(float *y, const float *q, const float *k, const float *v, int64_t wide, int64_t n, float *work)
{
	float *rq = work, *rk = rq + wide * n, *p = rk + wide * n, *s = p + n * n;

	relu_tile(rq, q, wide, n, 0, n);
	relu_tile(rk, k, wide, n, 0, n);
	cpu_sgemm1(true, false, n, n, wide, 1.f, rk, n, rq, n, 0.f, p, n);
	memset(s, 0, (size_t)n * sizeof *s);
	for (int64_t i = 0; i < n; i++)
		add_scaled(s, p + i * n, 1.f, n);
	for (int64_t i = 0; i < n; i++)
		divide(p + i * n, s, n);
	cpu_sgemm1(false, false, wide, n, n, 1.f, v, n, p, n, 0.f, y, n);
}

void
cpu_map_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	int64_t n = positions(x), blocks = x.dim[0] / (3 * width);
	int64_t one = (width + 1) * width + width * ATTEND + ATTEND + 4 * width * width + width;
	float *work = cpu_scratch(d, (size_t)(d->threads * one) * sizeof *work);

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t b = 0; b < blocks; b++) {
		const float *q = (const float *)x.data + 3 * b * width * n, *k = q + width * n, *v = k + width * n;
		(n > width ? attend_linear : attend_quadratic)((float *)y.data + b * width * n, q, k, v, width, n,
		                                               work + thread() * one);
	}
}
