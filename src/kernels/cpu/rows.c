/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

/* Element-wise work is cut into pieces of this many numbers, a multiple of rng_block's four. */
enum { PIECE = 16384 };

CPU_CLONES static void
add_row(float *restrict y, const float *restrict b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += b[i];
}

CPU_CLONES static void
add_row_bf16(float *restrict y, const uint16_t *restrict b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += bf16_to_f32(b[i]);
}

void
cpu_bias_add(struct dev *d, struct tensor y, struct tensor b)
{
	int64_t rows = tensor_rows(y), width = tensor_cols(y);
	float *yp = y.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * width > PIECE)
	for (int64_t n = 0; n < rows; n++)
		if (b.dtype == BF16)
			add_row_bf16(yp + n * width, b.data, width);
		else
			add_row(yp + n * width, b.data, width);
}

void
cpu_column_sum(struct dev *d, struct tensor db, struct tensor dy)
{
	enum { WIDE = 64 };
	int64_t rows = tensor_rows(dy), width = tensor_cols(dy);
	const float *yp = dy.data;
	float *bp = db.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * width > PIECE)
	for (int64_t c = 0; c < width; c += WIDE) {
		int64_t w = width - c < WIDE ? width - c : WIDE;
		float sum[WIDE] = { 0 };
		for (int64_t n = 0; n < rows; n++)
			add_row(sum, yp + n * width + c, w);
		add_row(bp + c, sum, w);
	}
}

CPU_CLONES static void
axpy(float *y, const float *x, float alpha, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += alpha * x[i];
}

void
cpu_axpy(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	int64_t count = tensor_count(y);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (count > PIECE)
	for (int64_t i = 0; i < count; i += PIECE)
		axpy((float *)y.data + i, (const float *)x.data + i, alpha, count - i < PIECE ? count - i : PIECE);
}

CPU_CLONES static void
scale(float *y, const float *x, float alpha, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = alpha * x[i];
}

void
cpu_scale(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	int64_t count = tensor_count(y);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (count > PIECE)
	for (int64_t i = 0; i < count; i += PIECE)
		scale((float *)y.data + i, (const float *)x.data + i, alpha, count - i < PIECE ? count - i : PIECE);
}

static void
drop(float *y, const float *x, struct rng r, int64_t from, int64_t n, float p, bool add)
{
	float keep = 1.f / (1.f - p);

	for (int64_t i = 0; i < n; i += 4) {
		uint32_t w[4];
		rng_block(r, (uint64_t)(from + i) / 4, w);
		for (int64_t j = i; j < n && j < i + 4; j++) {
			float v = (float)(w[j - i] >> 8) * 0x1p-24f >= p ? x[j] * keep : 0.f;
			y[j] = add ? y[j] + v : v;
		}
	}
}

void
cpu_dropout(struct dev *d, struct tensor y, struct tensor x, struct rng r, float p, bool add)
{
	int64_t count = tensor_count(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (count > PIECE)
	for (int64_t i = 0; i < count; i += PIECE)
		drop((float *)y.data + i, (const float *)x.data + i, r, i, count - i < PIECE ? count - i : PIECE, p, add);
}
