/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

void
ref_map_double(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t height = x.dim[1], width = x.dim[2];
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t c = 0; c < x.dim[0]; c++)
		for (int64_t h = 0; h < 2 * height; h++)
			for (int64_t v = 0; v < 2 * width; v++)
				*yp++ = xp[(c * height + h / 2) * width + v / 2];
}

void
ref_map_grow(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t height = x.dim[1], width = x.dim[2], times = 4 * y.dim[0] / x.dim[0];
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < y.dim[0]; o++)
		for (int64_t h = 0; h < 2 * height; h++)
			for (int64_t v = 0; v < 2 * width; v++) {
				int64_t c = (4 * o + 2 * (h % 2) + v % 2) / times;
				*yp++ += xp[(c * height + h / 2) * width + v / 2];
			}
}

void
ref_map_repeat(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y) / y.dim[0], times = y.dim[0] / x.dim[0];
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < y.dim[0]; o++)
		for (int64_t p = 0; p < n; p++)
			*yp++ += xp[o / times * n + p];
}

void
ref_map_relu(struct dev *d, struct tensor y, struct tensor x)
{
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < tensor_count(x); i++)
		yp[i] = xp[i] > 0 ? xp[i] : 0;
}

void
ref_wave_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)
{
	int64_t ins = x.dim[0], n = x.dim[1], k = w.dim[2];
	const float *xp = x.data, *wp = w.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < y.dim[0]; o++)
		for (int64_t t = 0; t < n; t++) {
			double sum = b.rank ? (double)((const float *)b.data)[o] : 0;
			for (int64_t i = 0; i < ins; i++)
				for (int64_t j = 0; j < k; j++) {
					int64_t at = t + (j - k / 2) * dilation;
					if (edge)
						at = at < 0 ? 0 : at >= n ? n - 1 : at;
					if (at >= 0 && at < n)
						sum += (double)wp[(o * ins + i) * k + j] * (double)xp[i * n + at];
				}
			*yp++ = (float)sum;
		}
}

void
ref_wave_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t n = x.dim[1], k = w.dim[2];
	const float *xp = x.data, *wp = w.data;
	float *yp = y.data;

	(void)d;
	for (int64_t c = 0; c < x.dim[0]; c++)
		for (int64_t t = 0; t < n; t++) {
			double sum = b.rank ? (double)((const float *)b.data)[c] : 0;
			for (int64_t j = 0; j < k; j++) {
				int64_t at = t + j - k / 2;
				if (at >= 0 && at < n)
					sum += (double)wp[c * k + j] * (double)xp[c * n + at];
			}
			*yp++ = (float)sum;
		}
}

void
ref_wave_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)
{
	int64_t ins = x.dim[0], n = x.dim[1], outs = y.dim[0], k = w.dim[2], cut = (k - u) / 2;
	const float *xp = x.data, *wp = w.data;
	float *yp = y.data;

	(void)d;
	for (int64_t o = 0; o < outs; o++)
		for (int64_t p = 0; p < n * u; p++) {
			double sum = b.rank ? (double)((const float *)b.data)[o] : 0;
			for (int64_t j = (p + cut) % u; j < k; j += u) {
				int64_t t = (p + cut - j) / u;
				if (p + cut < j || t >= n)
					continue;
				for (int64_t i = 0; i < ins; i++)
					sum += (double)xp[i * n + t] * (double)wp[(i * outs + o) * k + j];
			}
			*yp++ = (float)sum;
		}
}

void
ref_wave_norm(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t channels = x.dim[0], n = x.dim[1];
	const float *xp = x.data, *wp = w.data, *bp = b.data;
	float *yp = y.data;

	(void)d;
	for (int64_t t = 0; t < n; t++) {
		double mean = 0, var = 0, r;
		for (int64_t c = 0; c < channels; c++)
			mean += (double)xp[c * n + t] / (double)channels;
		for (int64_t c = 0; c < channels; c++)
			var += ((double)xp[c * n + t] - mean) * ((double)xp[c * n + t] - mean) / (double)channels;
		r = 1 / sqrt(var + (double)eps);
		for (int64_t c = 0; c < channels; c++)
			yp[c * n + t] = (float)(((double)xp[c * n + t] - mean) * r * (double)wp[c] + (double)bp[c]);
	}
}

void
ref_wave_gelu(struct dev *d, struct tensor y, struct tensor x)
{
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < tensor_count(x); i++)
		yp[i] = (float)((double)xp[i] * 0.5 * (1 + erf((double)xp[i] / sqrt(2))));
}

void
ref_wave_scale_add(struct dev *d, struct tensor y, struct tensor x, struct tensor g)
{
	int64_t n = x.dim[1];

	(void)d;
	for (int64_t i = 0; i < tensor_count(x); i++)
		((float *)y.data)[i] += ((const float *)g.data)[i / n] * ((const float *)x.data)[i];
}

void
ref_wave_tanh(struct dev *d, struct tensor y, struct tensor x)
{
	(void)d;
	for (int64_t i = 0; i < tensor_count(x); i++)
		((float *)y.data)[i] = (float)tanh((double)((const float *)x.data)[i]);
}
