/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

static float
number(struct tensor x, int64_t row, int64_t col)
{
	int64_t i = row * tensor_ld(x) + col;

	if (x.dtype == BF16)
		return bf16_to_f32(((const uint16_t *)x.data)[i]);
	return x.dtype == F16 ? f16_to_f32(((const uint16_t *)x.data)[i]) : ((const float *)x.data)[i];
}

static void
put(struct tensor x, int64_t row, int64_t col, float v)
{
	int64_t i = row * tensor_ld(x) + col;

	if (x.dtype == F32)
		((float *)x.data)[i] = v;
	else
		((uint16_t *)x.data)[i] = x.dtype == BF16 ? f32_to_bf16(v) : f32_to_f16(v);
}

static float
rounded(float v, enum dtype t)
{
	if (t == BF16)
		return bf16_to_f32(f32_to_bf16(v));
	return t == F16 ? f16_to_f32(f32_to_f16(v)) : v;
}

static int8_t
whole(float w, float scale, enum dtype t)
{
	float v = scale == 0.f ? (w == 0.f ? 0.f : copysignf(INFINITY, w)) : rintf(rounded(w / scale, t));

	return (int8_t)fminf(fmaxf(v, -128.f), 127.f);
}

void
ref_quantize(struct dev *d, struct tensor q, struct tensor scale, struct tensor w)
{
	int64_t rows = tensor_rows(w), width = tensor_cols(w);
	float most = q.dtype == I8 ? 127.f : 448.f;

	(void)d;
	scale.rank = 1;
	for (int64_t n = 0; n < rows; n++) {
		float top = 0.f, s;
		for (int64_t c = 0; c < width; c++)
			top = fmaxf(top, fabsf(number(w, n, c)));
		s = rounded(top / most, scale.dtype);
		put(scale, 0, n, s);
		for (int64_t c = 0; c < width; c++) {
			float v = number(w, n, c);
			if (q.dtype == I8)
				((int8_t *)q.data)[n * width + c] = whole(v, s, w.dtype);
			else
				((uint8_t *)q.data)[n * width + c] = s == 0.f ? 0 : f32_to_f8(v / s);
		}
	}
}

void
ref_dequantize(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	int64_t rows = tensor_rows(q), width = tensor_cols(q);

	(void)d;
	scale.rank = 1;
	for (int64_t n = 0; n < rows; n++) {
		float s = number(scale, 0, n);
		for (int64_t c = 0; c < width; c++) {
			int64_t i = n * width + c;
			put(w, n, c, s * (q.dtype == I8 ? (float)((const int8_t *)q.data)[i] : f8_to_f32(((const uint8_t *)q.data)[i])));
		}
		for (int64_t c = 0; right.rank && c < tensor_cols(right); c++)
			put(w, n, width + c, number(right, n, c));
	}
	for (int64_t n = 0; below.rank && n < tensor_rows(below); n++)
		for (int64_t c = 0; c < width; c++)
			put(w, rows + n, c, number(below, n, c));
}

void
ref_f8_rows(struct dev *d, struct tensor q, struct tensor s, struct tensor x, struct tensor c)
{
	int64_t rows = tensor_rows(x), width = tensor_cols(x);

	(void)d;
	for (int64_t n = 0; n < rows; n++) {
		float top = 0.f, up;
		for (int64_t k = 0; k < width; k++)
			top = fmaxf(top, fabsf(number(x, n, k) * (c.rank ? ((const float *)c.data)[k] : 1.f)));
		((float *)s.data)[n] = top / 448.f;
		up = top / 448.f == 0.f ? 0.f : 448.f / top;
		for (int64_t k = 0; k < width; k++) {
			float v = number(x, n, k) * (c.rank ? ((const float *)c.data)[k] : 1.f);
			((uint8_t *)q.data)[n * width + k] = f32_to_f8(v * up);
		}
	}
}

/* Row n of h with row m of right or column m of below. */
static double
beside(const struct f8_product *p, int64_t n, int64_t m)
{
	double sum = 0;

	for (int64_t r = 0; p->h.rank && r < tensor_cols(p->h); r++)
		sum += (double)number(p->h, n, r) * (double)(p->right.rank ? number(p->right, m, r) : number(p->below, r, m));
	return sum;
}

void
ref_f8_product(struct dev *d, const struct f8_product *p)
{
	int64_t N = tensor_rows(p->x), M = tensor_rows(p->w), K = tensor_cols(p->x);
	const uint8_t *x = p->x.data, *w = p->w.data;
	struct tensor b = p->b;

	(void)d;
	if (b.rank)
		b.rank = 1;
	for (int64_t n = 0; n < N; n++)
		for (int64_t m = 0; m < M; m++) {
			double sum = 0, v;
			for (int64_t k = 0; k < K; k++)
				sum += (double)f8_to_f32(x[n * K + k]) * (double)f8_to_f32(w[m * K + k]);
			v = (double)((const float *)p->s.data)[n] * (double)((const float *)p->t.data)[m] * sum + beside(p, n, m);
			if (b.rank)
				v += (double)number(b, 0, m);
			if (p->add.rank)
				v += (double)number(p->add, n, m);
			put(p->y, n, m, (float)v);
		}
}

void
ref_f8_turn(struct dev *d, struct tensor y, struct tensor x)
{
	(void)d;
	for (int64_t n = 0; n < x.dim[0]; n++)
		for (int64_t m = 0; m < x.dim[1]; m++)
			((uint8_t *)y.data)[m * x.dim[0] + n] = ((const uint8_t *)x.data)[n * x.dim[1] + m];
}
