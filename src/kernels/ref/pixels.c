/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

static double
get(struct tensor x, int64_t row, int64_t c)
{
	return (double)bf16_to_f32(((const uint16_t *)x.data)[row * tensor_ld(x) + c]);
}

static void
put(struct tensor x, int64_t row, int64_t c, double v)
{
	if (x.dtype == BF16)
		((uint16_t *)x.data)[row * tensor_ld(x) + c] = f32_to_bf16((float)v);
	else
		((float *)x.data)[row * tensor_ld(x) + c] = (float)v;
}

/* Number i of weights without gaps. */
static double
weight(struct tensor w, int64_t i)
{
	return (double)bf16_to_f32(((const uint16_t *)w.data)[i]);
}

static double
silu(double x)
{
	return x / (1 + exp(-x));
}

static double
same(double x)
{
	return x;
}

void
ref_pix_from_map(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = y.dim[0] * y.dim[1];

	(void)d;
	for (int64_t p = 0; p < n; p++)
		for (int64_t c = 0; c < y.dim[2]; c++)
			put(y, p, c, c < x.dim[0] ? (double)((const float *)x.data)[c * n + p] : 0);
}

void
ref_pix_to_map(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = x.dim[0] * x.dim[1], channels = x.dim[2];

	(void)d;
	for (int64_t c = 0; c < channels; c++)
		for (int64_t p = 0; p < n; p++)
			((float *)y.data)[c * n + p] = ((const float *)x.data)[p * channels + c];
}

void
ref_pix_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride, bool with_silu)
{
	int64_t outs = w.dim[0], k = w.dim[1], ins = w.dim[3], height = x.dim[0], width = x.dim[1];

	(void)d;
	for (int64_t p = 0; p < y.dim[0] * y.dim[1]; p++)
		for (int64_t o = 0; o < outs; o++) {
			double sum = b.rank ? weight(b, o) : 0;
			for (int64_t t = 0; t < k * k; t++) {
				int64_t h = p / y.dim[1] * stride + t / k - k / 2, v = p % y.dim[1] * stride + t % k - k / 2;
				if (h < 0 || h >= height || v < 0 || v >= width)
					continue;
				for (int64_t i = 0; i < ins; i++)
					sum += weight(w, (o * k * k + t) * ins + i) * get(x, h * width + v, i);
			}
			put(y, p, o, with_silu ? silu(sum) : sum);
		}
}

/* Channel c of f(x) around pixel p times w [k, k, C]. */
static double
window(struct tensor x, struct tensor w, int64_t p, int64_t c, double (*f)(double))
{
	int64_t k = w.dim[0], height = x.dim[0], width = x.dim[1];
	double sum = 0;

	for (int64_t t = 0; t < k * k; t++) {
		int64_t h = p / width + t / k - k / 2, v = p % width + t % k - k / 2;
		if (h >= 0 && h < height && v >= 0 && v < width)
			sum += weight(w, t * w.dim[2] + c) * f(get(x, h * width + v, c));
	}
	return sum;
}

void
ref_pix_mix(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m)
{
	int64_t channels = x.dim[2], wide = m.dim[1];
	double *near = calloc((size_t)channels + 1, sizeof *near);

	if (!near) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for a pixel's channels");
		return;
	}
	for (int64_t p = 0; p < x.dim[0] * x.dim[1]; p++) {
		for (int64_t c = 0; c < channels; c++)
			near[c] = window(x, w, p, c, same);
		for (int64_t c = 0; c < channels; c++) {
			double sum = 0;
			for (int64_t i = 0; i < wide; i++)
				sum += weight(m, c * wide + i) * near[c / wide * wide + i];
			put(y, p, c, sum);
		}
	}
	free(near);
}

void
ref_pix_glu(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t channels = y.dim[2];

	(void)d;
	for (int64_t p = 0; p < y.dim[0] * y.dim[1]; p++)
		for (int64_t c = 0; c < channels; c++) {
			double a = window(x, w, p, c, silu) + weight(b, c), g = window(x, w, p, channels + c, silu) + weight(b, channels + c);
			put(y, p, c, a * silu(g));
		}
}

static double
relu(double x)
{
	return x > 0 ? x : 0;
}

void
ref_pix_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	int64_t n = x.dim[0] * x.dim[1], blocks = y.dim[2] / width;
	double *m = malloc((size_t)(width * (width + 1)) * sizeof *m);		/* (V over ones) K^T */

	if (!m) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for the attention's sums");
		return;
	}
	for (int64_t b = 0; b < blocks; b++) {
		int64_t q = 3 * b * width, k = q + width, v = k + width;
		for (int64_t i = 0; i <= width; i++)
			for (int64_t j = 0; j < width; j++) {
				double sum = 0;
				for (int64_t s = 0; s < n; s++)
					sum += (i < width ? get(x, s, v + i) : 1) * relu(get(x, s, k + j));
				m[i * width + j] = sum;
			}
		for (int64_t p = 0; p < n; p++) {
			double den = 0;
			for (int64_t j = 0; j < width; j++)
				den += m[width * width + j] * relu(get(x, p, q + j));
			for (int64_t i = 0; i < width; i++) {
				double sum = 0;
				for (int64_t j = 0; j < width; j++)
					sum += m[i * width + j] * relu(get(x, p, q + j));
				put(y, p, b * width + i, sum / (den + 1e-15));
			}
		}
	}
	free(m);
}

void
ref_pix_norm_add(struct dev *d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps)
{
	int64_t channels = tensor_cols(x);

	(void)d;
	for (int64_t p = 0; p < tensor_rows(x); p++) {
		double sum = 0;
		for (int64_t c = 0; c < channels; c++)
			sum += get(y, p, c) * get(y, p, c);
		double r = 1 / sqrt(sum / (double)channels + (double)eps);
		for (int64_t c = 0; c < channels; c++)
			put(x, p, c, get(x, p, c) + get(y, p, c) * r * weight(w, c) + weight(b, c));
	}
}

void
ref_pix_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t outs = y.dim[2], width = y.dim[1], group = 4 * x.dim[2] / outs;

	(void)d;
	for (int64_t p = 0; p < y.dim[0] * width; p++)
		for (int64_t o = 0; o < outs; o++) {
			double sum = 0;
			for (int64_t i = o * group; i < (o + 1) * group; i++)
				sum += get(x, (2 * (p / width) + i % 4 / 2) * 2 * width + 2 * (p % width) + i % 2, i / 4);
			put(y, p, o, get(y, p, o) + sum / (double)group);
		}
}

void
ref_pix_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t outs = tensor_cols(y), group = tensor_cols(x) / outs;

	(void)d;
	for (int64_t p = 0; p < tensor_rows(y); p++)
		for (int64_t o = 0; o < outs; o++) {
			double sum = 0;
			for (int64_t i = o * group; i < (o + 1) * group; i++)
				sum += get(x, p, i);
			((float *)y.data)[p * outs + o] += (float)(sum / (double)group);
		}
}
