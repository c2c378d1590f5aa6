/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

void
ref_sinusoid(struct dev *d, struct tensor y, struct tensor t)
{
	int64_t B = y.dim[0], W = y.dim[1], half = W / 2;

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t k = 0; k < half; k++) {
			float f = expf(-9.2103403719761836f * (float)k / (float)half), a = ((const float *)t.data)[b] * f;
			((float *)y.data)[b * W + k] = cosf(a);
			((float *)y.data)[b * W + half + k] = sinf(a);
		}
}

/* Number of element (row r, channel c) in a token. */
static int64_t
element(int64_t r, int64_t c, int64_t R, int64_t C, bool rows_first)
{
	return rows_first ? r * C + c : c * R + r;
}

void
ref_latent_tokens(struct dev *d, struct tensor y, struct tensor x, bool rows_first)
{
	int64_t B = x.dim[0], C = x.dim[1], R = x.dim[2], T = x.dim[3];
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t c = 0; c < C; c++)
			for (int64_t r = 0; r < R; r++)
				for (int64_t t = 0; t < T; t++)
					yp[(b * T + t) * R * C + element(r, c, R, C, rows_first)] = *xp++;
}

void
ref_latents_of_tokens(struct dev *d, struct tensor x, struct tensor y, bool rows_first)
{
	int64_t B = x.dim[0], C = x.dim[1], R = x.dim[2], T = x.dim[3];
	const float *yp = y.data;
	float *xp = x.data;

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t c = 0; c < C; c++)
			for (int64_t r = 0; r < R; r++)
				for (int64_t t = 0; t < T; t++)
					*xp++ = yp[(b * T + t) * R * C + element(r, c, R, C, rows_first)];
}

void
ref_place(struct dev *d, struct tensor y, struct tensor x, int64_t at)
{
	int64_t B = x.dim[0], n = x.dim[1], D = x.dim[2], M = y.dim[1];

	(void)d;
	for (int64_t b = 0; b < B && n > 0; b++)
		memcpy((float *)y.data + (b * M + at) * D, (const float *)x.data + b * n * D, (size_t)(n * D) * sizeof(float));
}

void
ref_take(struct dev *d, struct tensor x, struct tensor y, int64_t at)
{
	int64_t B = x.dim[0], n = x.dim[1], D = x.dim[2], M = y.dim[1];

	(void)d;
	for (int64_t b = 0; b < B && n > 0; b++)
		memcpy((float *)x.data + b * n * D, (const float *)y.data + (b * M + at) * D, (size_t)(n * D) * sizeof(float));
}
