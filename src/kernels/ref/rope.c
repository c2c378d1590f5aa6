/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

void
ref_rope_table(struct dev *d, struct tensor cs, float theta)
{
	int64_t N = cs.dim[1], width = cs.dim[2], half = width / 2;
	float *cosine = cs.data, *sine = cosine + N * width;

	(void)d;
	for (int64_t j = 0; j < half; j++) {
		float inv = 1.f / powf(theta, (float)(2 * j) / (float)width);
		for (int64_t p = 0; p < N; p++) {
			float a = (float)p * inv;
			cosine[p * width + j] = cosine[p * width + half + j] = cosf(a);
			sine[p * width + j] = sine[p * width + half + j] = sinf(a);
		}
	}
}

/* One head's vector at one position: out may be in. */
static void
turn(float *out, const float *in, const float *c, const float *s, int64_t width, bool backward)
{
	for (int64_t i = 0; i < width; i += 2) {
		float a = in[i], b = in[i + 1];
		out[i] = backward ? c[i] * a + s[i + 1] * b : a * c[i] - b * s[i];
		out[i + 1] = backward ? c[i + 1] * b - s[i] * a : b * c[i + 1] + a * s[i + 1];
	}
}

void
ref_rope(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, bool backward)
{
	int64_t N = x.dim[1], D = x.dim[2], width = cs.dim[2], rows = x.dim[0] * N;
	const float *cosine = cs.data, *sine = cosine + cs.dim[1] * width;

	(void)d;
	for (int64_t n = 0; n < rows; n++)
		for (int64_t c = 0; c < D; c += width)
			turn((float *)y.data + n * D + c, (const float *)x.data + n * D + c, cosine + n % N * width,
			     sine + n % N * width, width, backward);
}

void
ref_rope_relu(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, struct tensor mask)
{
	int64_t D = x.dim[2], count = tensor_count(x);
	float *yp = y.data;

	ref_rope(d, y, x, cs, false);
	for (int64_t i = 0; i < count; i++) {
		float v = yp[i] * ((const float *)mask.data)[i / D];
		yp[i] = v > 0.f ? v : 0.f;
	}
}

void
ref_rope_relu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor y, struct tensor cs, struct tensor mask)
{
	int64_t D = y.dim[2], count = tensor_count(y);
	const float *yp = y.data, *gp = dy.data;
	float *dp = dx.data;

	for (int64_t i = 0; i < count; i++)
		dp[i] = yp[i] > 0.f ? gp[i] * ((const float *)mask.data)[i / D] : 0.f;
	ref_rope(d, dx, dx, cs, true);
}

void
ref_mask_rows(struct dev *d, struct tensor y, struct tensor x, struct tensor mask)
{
	int64_t D = x.dim[2], count = tensor_count(x);

	(void)d;
	for (int64_t i = 0; i < count; i++)
		((float *)y.data)[i] = ((const float *)x.data)[i] * ((const float *)mask.data)[i / D];
}
