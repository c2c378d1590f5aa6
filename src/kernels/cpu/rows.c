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

CPU_CLONES void
cpu_draw(struct rng r, uint64_t first, uint32_t out[4][CPU_BLOCKS])
{
	uint32_t k0 = (uint32_t)r.key, k1 = (uint32_t)(r.key >> 32);

	for (uint32_t j = 0; j < CPU_BLOCKS; j++) {		/* pieces are short: only the low word of the counter counts on */
		out[0][j] = (uint32_t)first + j;
		out[1][j] = (uint32_t)(first >> 32);
		out[2][j] = (uint32_t)r.stream;
		out[3][j] = (uint32_t)(r.stream >> 32);
	}
	for (int i = 0; i < 10; i++) {
		for (int j = 0; j < CPU_BLOCKS; j++) {
			uint64_t a = (uint64_t)0xD2511F53u * out[0][j], b = (uint64_t)0xCD9E8D57u * out[2][j];
			uint32_t n0 = (uint32_t)(b >> 32) ^ out[1][j] ^ k0, n2 = (uint32_t)(a >> 32) ^ out[3][j] ^ k1;
			out[1][j] = (uint32_t)b;
			out[3][j] = (uint32_t)a;
			out[0][j] = n0;
			out[2][j] = n2;
		}
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
}

/* factor [4 CPU_BLOCKS]: keep or 0, in the order of the numbers */
CPU_CLONES static void
factors(float *restrict factor, const uint32_t (*restrict w)[CPU_BLOCKS], float p, float keep)
{
	for (int j = 0; j < CPU_BLOCKS; j++)
		for (int i = 0; i < 4; i++)
			factor[4 * j + i] = (float)(int32_t)(w[i][j] >> 8) * 0x1p-24f >= p ? keep : 0.f;
}

CPU_CLONES static void
apply(float *y, const float *x, const float *restrict factor, bool add, int64_t n)
{
	if (add)
		for (int64_t i = 0; i < n; i++)
			y[i] += factor[i] != 0.f ? x[i] * factor[i] : 0.f;
	else
		for (int64_t i = 0; i < n; i++)
			y[i] = factor[i] != 0.f ? x[i] * factor[i] : 0.f;
}

/* Numbers from .. from+n-1; from is a multiple of 4 CPU_BLOCKS, so that the counter's low word never wraps inside a draw. */
static void
drop(float *y, const float *x, struct rng r, int64_t from, int64_t n, float p, bool add)
{
	float keep = 1.f / (1.f - p), factor[4 * CPU_BLOCKS];
	uint32_t w[4][CPU_BLOCKS];

	for (int64_t i = 0; i < n; i += 4 * CPU_BLOCKS) {
		cpu_draw(r, (uint64_t)(from + i) / 4, w);
		factors(factor, (const uint32_t (*)[CPU_BLOCKS])w, p, keep);
		apply(y + i, x + i, factor, add, n - i < 4 * CPU_BLOCKS ? n - i : 4 * CPU_BLOCKS);
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
