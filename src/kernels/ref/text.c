/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static float
rounded(float x, bool half)
{
	return half ? bf16_to_f32(f32_to_bf16(x)) : x;
}

static float
element(struct tensor w, int64_t i)
{
	return w.dtype == BF16 ? bf16_to_f32(((const uint16_t *)w.data)[i]) : ((const float *)w.data)[i];
}

static void
put(struct tensor y, int64_t i, float v)
{
	if (y.dtype == BF16)
		((uint16_t *)y.data)[i] = f32_to_bf16(v);
	else
		((float *)y.data)[i] = v;
}

void
ref_text_embed(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	int64_t width = table.dim[1];
	size_t row = (size_t)width * dtype_size(table.dtype);

	(void)d;
	for (int64_t i = 0; i < tensor_count(ids); i++)
		dtype_convert((char *)y.data + (size_t)(i * width) * dtype_size(y.dtype), y.dtype,
			      (const char *)table.data + (size_t)((const int32_t *)ids.data)[i] * row,
			      table.dtype, width);
}

void
ref_text_round(struct dev *d, struct tensor x)
{
	float *xp = x.data;

	(void)d;
	for (int64_t i = 0; i < tensor_count(x); i++)
		xp[i] = rounded(xp[i], true);
}

void
ref_text_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half)
{
	int64_t width = tensor_cols(x);

	(void)d;
	for (int64_t n = 0; n < tensor_rows(x); n++) {
		int64_t row = n * width;
		double sum = 0;
		float r;
		for (int64_t c = 0; c < width; c++)
			sum += (double)element(x, row + c) * (double)element(x, row + c);
		r = 1.f / sqrtf((float)(sum / (double)width) + eps);
		for (int64_t c = 0; c < width; c++)
			put(y, row + c, rounded(element(w, c) * rounded(element(x, row + c) * r, half), half));
	}
}

void
ref_text_gate(struct dev *d, struct tensor y, struct tensor a, struct tensor b, bool half)
{
	(void)d;
	for (int64_t i = 0; i < tensor_count(a); i++) {
		float u = element(a, i), g = 0.5f * u * (1.f + tanhf(0.79788456f * (u + 0.044715f * u * u * u)));
		put(y, i, rounded(rounded(g, half) * element(b, i), half));
	}
}

int64_t
text_bucket(int64_t r, int64_t buckets, int64_t distance)
{
	int64_t side = buckets / 2, exact = side / 2, a = r < 0 ? -r : r, far;
	float q;

	if (a < exact)
		return (r > 0 ? side : 0) + a;
	q = logf((float)a / (float)exact) / (float)log((double)distance / (double)exact) * (float)(side - exact);
	far = exact + (int64_t)q;
	return (r > 0 ? side : 0) + (far < side - 1 ? far : side - 1);
}

void
ref_text_bias(struct dev *d, struct tensor y, struct tensor table, int64_t distance)
{
	int64_t H = y.dim[0], T = y.dim[1];

	(void)d;
	for (int64_t r = 1 - T; r < T; r++) {
		int64_t b = text_bucket(r, table.dim[0], distance);
		for (int64_t n = 0; n < H; n++)
			for (int64_t i = r < 0 ? -r : 0; i < T && i + r < T; i++)
				((float *)y.data)[(n * T + i) * T + i + r] = element(table, b * H + n);
	}
}

/* a [T] = weights of query i of head n of text b. */
static void
weights(float *a, struct tensor q, struct tensor k, struct tensor bias, struct tensor mask, int64_t b,
	int64_t n, int64_t i, bool half)
{
	int64_t T = q.dim[1], w = q.dim[2] / bias.dim[0], at = (b * T + i) * tensor_ld(q) + n * w;
	const float *mp = (const float *)mask.data + b * T, *bp = (const float *)bias.data + (n * T + i) * T;
	float top = -INFINITY;
	double sum = 0;

	for (int64_t j = 0; j < T; j++) {
		int64_t key = (b * T + j) * tensor_ld(k) + n * w;
		double s = 0;
		for (int64_t c = 0; c < w; c++)
			s += (double)element(q, at + c) * (double)element(k, key + c);
		a[j] = rounded((float)s, half) + (bp[j] + (1.f - mp[j]) * -FLT_MAX);
		if (half)		/* the lowest number is not to round to -infinity */
			a[j] = mp[j] == 1.f ? rounded(a[j], true) : -FLT_MAX;
		top = a[j] > top ? a[j] : top;
	}
	for (int64_t j = 0; j < T; j++)
		sum += (double)expf(a[j] - top);
	for (int64_t j = 0; j < T; j++)
		a[j] = rounded((float)((double)expf(a[j] - top) / sum), half);
}

/* w numbers of o from `to` on = a v, the T rows of v from `from` on */
static void
mix(struct tensor o, int64_t to, const float *a, struct tensor v, int64_t from, int64_t w, bool half)
{
	for (int64_t c = 0; c < w; c++) {
		double s = 0;
		for (int64_t j = 0; j < v.dim[1]; j++)
			s += (double)a[j] * (double)element(v, from + j * tensor_ld(v) + c);
		put(o, to + c, rounded((float)s, half));
	}
}

void
ref_text_attend(struct dev *d, struct tensor o, struct tensor a, struct tensor q, struct tensor k, struct tensor v,
                struct tensor bias, struct tensor mask, bool half)
{
	int64_t T = q.dim[1], H = bias.dim[0], w = q.dim[2] / H;
	float *own = a.rank ? NULL : malloc((size_t)T * sizeof *own);

	if (!a.rank && !own) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for the weights of %lld tokens", (long long)T);
		return;
	}
	for (int64_t b = 0; b < q.dim[0]; b++)
		for (int64_t n = 0; n < H; n++)
			for (int64_t i = 0; i < T; i++) {
				float *ap = own ? own : (float *)a.data + ((b * H + n) * T + i) * T;
				weights(ap, q, k, bias, mask, b, n, i, half);
				mix(o, (b * T + i) * tensor_ld(o) + n * w, ap, v, b * T * tensor_ld(v) + n * w, w, half);
			}
	free(own);
}
