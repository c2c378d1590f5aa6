/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <string.h>

void
ref_bias_add(struct dev *d, struct tensor y, struct tensor b)
{
	int64_t rows = tensor_rows(y), width = tensor_cols(y);
	float *yp = y.data;

	(void)d;
	for (int64_t n = 0; n < rows; n++)
		for (int64_t c = 0; c < width; c++)
			yp[n * width + c] += b.dtype == BF16 ? bf16_to_f32(((const uint16_t *)b.data)[c])
			                                     : ((const float *)b.data)[c];
}

void
ref_column_sum(struct dev *d, struct tensor db, struct tensor dy)
{
	int64_t rows = tensor_rows(dy), width = tensor_cols(dy);
	const float *yp = dy.data;
	float *bp = db.data;

	(void)d;
	for (int64_t c = 0; c < width; c++) {
		double sum = 0;
		for (int64_t n = 0; n < rows; n++)
			sum += (double)yp[n * width + c];
		bp[c] += (float)sum;
	}
}

void
ref_axpy(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	int64_t n = tensor_count(y);
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < n; i++)
		yp[i] += alpha * xp[i];
}

void
ref_scale(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	int64_t n = tensor_count(y);
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < n; i++)
		yp[i] = alpha * xp[i];
}

void
ref_fill(struct dev *d, struct tensor y, float value)
{
	int64_t n = tensor_count(y);
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < n; i++)
		yp[i] = value;
}

void
ref_copy(struct dev *d, struct tensor y, struct tensor x)
{
	(void)d;
	if (x.dtype != y.dtype)
		dtype_convert(y.data, y.dtype, x.data, x.dtype, tensor_count(x));
	else if (y.data != x.data && tensor_count(x))
		memcpy(y.data, x.data, tensor_bytes(x));
}

void
ref_dropout(struct dev *d, struct tensor y, struct tensor x, struct rng r, float p, bool add)
{
	int64_t n = tensor_count(x);
	float keep = 1.f / (1.f - p);
	const float *xp = x.data;
	float *yp = y.data;

	(void)d;
	for (int64_t i = 0; i < n; i++) {
		float v = rng_uniform(r, (uint64_t)i) >= p ? xp[i] * keep : 0.f;
		yp[i] = add ? yp[i] + v : v;
	}
}
