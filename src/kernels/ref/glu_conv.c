/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

static float
silu(float x)
{
	return x / (1.f + expf(-x));
}

static float
slope(float x)
{
	float s = 1.f / (1.f + expf(-x));

	return s * (1.f + x * (1.f - s));
}

/* Activated input of frame t, channel c of sample b; 0 outside. */
static float
active(struct tensor x, int64_t b, int64_t t, int64_t c)
{
	if (t < 0 || t >= x.dim[1])
		return 0.f;
	return silu(((const float *)x.data)[(b * x.dim[1] + t) * x.dim[2] + c]);
}

static float
convolved(struct tensor x, struct tensor w, struct tensor bias, int64_t b, int64_t t, int64_t c)
{
	const float *wp = (const float *)w.data + 3 * c;

	return wp[0] * active(x, b, t - 1, c) + wp[1] * active(x, b, t, c) + wp[2] * active(x, b, t + 1, c) +
	       ((const float *)bias.data)[c];
}

void
ref_glu_conv(struct dev *d, struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t T = x.dim[1], F = u.dim[2], rows = x.dim[0] * T;

	(void)d;
	for (int64_t n = 0; n < rows; n++)
		for (int64_t c = 0; c < F; c++)
			((float *)u.data)[n * F + c] = convolved(x, w, b, n / T, n % T, c) * silu(convolved(x, w, b, n / T, n % T, c + F));
}

/* Gradient of the convolution's output at frame t, channel c of 2F, for du; 0 outside. */
static float
output_grad(struct tensor du, struct tensor x, struct tensor w, struct tensor bias, int64_t b, int64_t t, int64_t c)
{
	int64_t T = x.dim[1], F = du.dim[2];
	float g;

	if (t < 0 || t >= T)
		return 0.f;
	g = ((const float *)du.data)[(b * T + t) * F + c % F];
	if (c < F)
		return g * silu(convolved(x, w, bias, b, t, c + F));
	return g * convolved(x, w, bias, b, t, c - F) * slope(convolved(x, w, bias, b, t, c));
}

void
ref_glu_conv_backward(struct dev *d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t T = x.dim[1], C = x.dim[2], rows = x.dim[0] * T;

	(void)d;
	for (int64_t n = 0; n < rows; n++)
		for (int64_t c = 0; c < C; c++) {
			const float *wp = (const float *)w.data + 3 * c;
			float da = 0.f;
			for (int64_t j = 0; j < 3; j++)
				da += wp[j] * output_grad(du, x, w, b, n / T, n % T + 1 - j, c);
			((float *)dx.data)[n * C + c] = da * slope(((const float *)x.data)[n * C + c]);
		}
}

void
ref_glu_conv_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
                   struct tensor b)
{
	int64_t B = x.dim[0], T = x.dim[1], C = x.dim[2];

	(void)d;
	for (int64_t c = 0; c < C; c++) {
		double sw[3] = { 0 }, sb = 0;
		for (int64_t n = 0; n < B * T; n++) {
			double g = (double)output_grad(du, x, w, b, n / T, n % T, c);
			sb += g;
			for (int64_t j = 0; j < 3; j++)
				sw[j] += g * (double)active(x, n / T, n % T + j - 1, c);
		}
		((float *)db.data)[c] += (float)sb;
		for (int64_t j = 0; j < 3; j++)
			((float *)dw.data)[3 * c + j] += (float)sw[j];
	}
}
