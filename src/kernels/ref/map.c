/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

/* Positions of a map. */
static int64_t
positions(struct tensor x)
{
	return x.dim[0] ? tensor_count(x) / x.dim[0] : 0;
}

static double
silu(double x)
{
	return x / (1 + exp(-x));
}

/* The sum of channel x [H, W] times w [k, k] around (h, v). */
static double
window(const float *x, int64_t height, int64_t width, const float *w, int64_t k, int64_t h, int64_t v)
{
	double sum = 0;

	for (int64_t i = 0; i < k; i++)
		for (int64_t j = 0; j < k; j++) {
			int64_t a = h + i - k / 2, c = v + j - k / 2;
			if (a >= 0 && a < height && c >= 0 && c < width)
				sum += (double)w[i * k + j] * (double)x[a * width + c];
		}
	return sum;
}

void
ref_map_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)
{
	int64_t outs = w.dim[0], ins = w.dim[1], k = w.dim[2], height = x.dim[1], width = x.dim[2];
	const float *xp = x.data, *wp = w.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < outs; o++)
		for (int64_t h = 0; h < y.dim[1]; h++)
			for (int64_t v = 0; v < y.dim[2]; v++) {
				double sum = b.rank ? (double)((const float *)b.data)[o] : 0;
				for (int64_t i = 0; i < ins; i++)
					sum += window(xp + i * height * width, height, width, wp + (o * ins + i) * k * k, k, h * stride,
					              v * stride);
				*yp++ = (float)sum;
			}
}

void
ref_map_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t k = w.dim[2], height = x.dim[1], width = x.dim[2];
	const float *xp = x.data, *wp = w.data;
	float *yp = y.data;

	(void)d;
	for (int64_t c = 0; c < x.dim[0]; c++)
		for (int64_t h = 0; h < height; h++)
			for (int64_t v = 0; v < width; v++) {
				double sum = b.rank ? (double)((const float *)b.data)[c] : 0;
				sum += window(xp + c * height * width, height, width, wp + c * k * k, k, h, v);
				*yp++ = (float)sum;
			}
}

void
ref_map_blocks(struct dev *d, struct tensor y, struct tensor x, struct tensor w)
{
	int64_t n = positions(x), wide = w.dim[1];
	const float *xp = x.data, *wp = w.data;
	float *yp = y.data;

	(void)d;
	for (int64_t c = 0; c < x.dim[0]; c++)
		for (int64_t p = 0; p < n; p++) {
			double sum = 0;
			for (int64_t i = 0; i < wide; i++)
				sum += (double)wp[c * wide + i] * (double)xp[(c / wide * wide + i) * n + p];
			yp[c * n + p] = (float)sum;
		}
}

void
ref_map_bias(struct dev *d, struct tensor y, struct tensor b)
{
	int64_t n = positions(y);
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < y.dim[0] * n; i++)
		yp[i] += ((const float *)b.data)[i / n];
}

void
ref_map_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t n = positions(x), channels = x.dim[0];
	const float *xp = x.data, *wp = w.data, *bp = b.data;
	float *yp = y.data;

	(void)d;
	for (int64_t p = 0; p < n; p++) {
		double sum = 0;
		for (int64_t c = 0; c < channels; c++)
			sum += (double)xp[c * n + p] * (double)xp[c * n + p];
		double r = 1 / sqrt(sum / (double)channels + (double)eps);
		for (int64_t c = 0; c < channels; c++)
			yp[c * n + p] = (float)((double)xp[c * n + p] * r * (double)wp[c] + (double)bp[c]);
	}
}

void
ref_map_gate(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < n; i++)
		yp[i] = (float)((double)xp[i] * silu((double)xp[n + i]));
}

void
ref_map_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t outs = y.dim[0], height = y.dim[1], width = y.dim[2], group = 4 * x.dim[0] / outs;
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < outs; o++)
		for (int64_t h = 0; h < height; h++)
			for (int64_t v = 0; v < width; v++) {
				double sum = 0;
				for (int64_t i = o * group; i < (o + 1) * group; i++)
					sum += (double)xp[(i / 4 * 2 * height + 2 * h + i % 4 / 2) * 2 * width + 2 * v + i % 2];
				*yp++ += (float)(sum / (double)group);
			}
}

void
ref_map_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = positions(x), group = x.dim[0] / y.dim[0];
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < y.dim[0]; o++)
		for (int64_t p = 0; p < n; p++) {
			double sum = 0;
			for (int64_t i = o * group; i < (o + 1) * group; i++)
				sum += (double)xp[i * n + p];
			yp[o * n + p] += (float)(sum / (double)group);
		}
}

static double
relu(float x)
{
	return x > 0.f ? (double)x : 0;
}

/* out(p) = sum over s of V(s) (K(s) . Q(p)) / (the same with V = 1, + 1e-15), summed first over s (linear) or not. */
static void
attend(float *y, const float *q, const float *k, const float *v, int64_t wide, int64_t n, double *m)
{
	bool linear = n > wide;

	for (int64_t p = 0; p < n; p++) {
		double sum = 0;
		for (int64_t i = 0; i < wide; i++)
			m[i] = 0;
		for (int64_t s = 0; s < n && !linear; s++) {
			double dot = 0;
			for (int64_t i = 0; i < wide; i++)
				dot += relu(k[i * n + s]) * relu(q[i * n + p]);
			sum += dot;
			for (int64_t i = 0; i < wide; i++)
				m[i] += (double)v[i * n + s] * dot;
		}
		for (int64_t j = 0; j < wide && linear; j++) {
			double qj = relu(q[j * n + p]);
			sum += m[wide + wide * wide + j] * qj;
			for (int64_t i = 0; i < wide; i++)
				m[i] += m[wide + i * wide + j] * qj;
		}
		for (int64_t i = 0; i < wide; i++)
			y[i * n + p] = (float)(m[i] / (sum + 1e-15));
	}
}

void
ref_map_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	int64_t n = positions(x), blocks = x.dim[0] / (3 * width);
	double *m = calloc((size_t)(width * (width + 2)), sizeof *m);	/* a line; V'K^T [width + 1, width] */

	if (!m) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for the attention's sums");
		return;
	}
	for (int64_t b = 0; b < blocks; b++) {
		const float *q = (const float *)x.data + 3 * b * width * n, *k = q + width * n, *v = k + width * n;
		for (int64_t i = 0; i <= width; i++)
			for (int64_t j = 0; j < width; j++) {
				double sum = 0;
				for (int64_t s = 0; s < n; s++)
					sum += (i < width ? (double)v[i * n + s] : 1) * relu(k[j * n + s]);
				m[width + i * width + j] = sum;
			}
		attend((float *)y.data + b * width * n, q, k, v, width, n, m);
	}
	free(m);
}
