/* SPDX-License-Identifier: Apache-2.0 */
/* gradients as a whole, and averages of weights */
#include "kernels/cpu/cpu.h"
#include "kernels/optim_formula.h"

enum { PIECE = 16384 };

/* Sums run in lanes of fixed number, so that their order is the same on every machine. */
enum { LANES = 16 };
typedef float lanes_f32 __attribute__((vector_size(4 * LANES)));
typedef double lanes_f64 __attribute__((vector_size(8 * LANES)));

CPU_CLONES static double
squares_of(const float *g, int64_t n)
{
	lanes_f64 sum = { 0 };
	double total = 0;
	int64_t i = 0;

	for (; i + LANES <= n; i += LANES) {
		lanes_f32 x;
		memcpy(&x, g + i, sizeof x);
		lanes_f64 y = __builtin_convertvector(x, lanes_f64);
		sum += y * y;
	}
	for (int k = 0; k < LANES; k++)
		total += sum[k];
	for (; i < n; i++)
		total += (double)g[i] * (double)g[i];
	return total;
}

/* The largest size. Sizes are ordered as their bits are, what is not a number above all. */
CPU_CLONES static float
top_of(const float *g, int64_t n)
{
	int32_t top = 0;
	float size;

	for (int64_t i = 0; i < n; i++) {
		int32_t bits;
		memcpy(&bits, g + i, 4);
		bits &= 0x7fffffff;
		top = bits > top ? bits : top;
	}
	memcpy(&size, &top, 4);
	return size;
}

static void
measure(struct dev *d, struct tensor measured, struct tensor g)
{
	int64_t count = tensor_count(g), pieces = (count + PIECE - 1) / PIECE;
	double sum = 0, *squares = cpu_scratch(d, (size_t)pieces * (sizeof *squares + sizeof(float)));
	float top = 0.f, *tops = (float *)(squares + pieces), *mp = measured.data;

	if (!squares)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads) if (pieces > 1)
	for (int64_t i = 0; i < pieces; i++) {
		const float *gp = (const float *)g.data + i * PIECE;
		int64_t n = count - i * PIECE < PIECE ? count - i * PIECE : PIECE;
		squares[i] = squares_of(gp, n);
		tops[i] = top_of(gp, n);
	}
	for (int64_t i = 0; i < pieces; i++) {
		sum += squares[i];
		top = tops[i] > top || isnan(tops[i]) ? tops[i] : top;
	}
	mp[MEASURED_SQUARES] = (float)sum;
	mp[MEASURED_ABSMAX] = top;
}

void
cpu_grad_measure(struct dev *d, struct tensor measured, struct tensor g)
{
	if (g.dtype == BF16)
		ref_grad_measure(d, measured, g);
	else
		measure(d, measured, g);
}

CPU_CLONES static void
clip(float *g, float factor, float bound, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		g[i] = limited(g[i], factor, bound);
}

void
cpu_grad_clip(struct dev *d, struct tensor g, struct tensor l)
{
	int64_t count = tensor_count(g);
	const float *lp = l.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (count > PIECE)
	for (int64_t i = 0; i < count; i += PIECE)
		clip((float *)g.data + i, lp[LIMIT_FACTOR], lp[LIMIT_BOUND], count - i < PIECE ? count - i : PIECE);
}

CPU_CLONES static void
lerp(float *restrict y, const float *restrict x, float a, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += a * (x[i] - y[i]);
}

CPU_CLONES static void
lerp_half(float *restrict y, const uint16_t *restrict x, float a, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += a * (bf16_to_f32(x[i]) - y[i]);
}

void
cpu_lerp(struct dev *d, struct tensor y, struct tensor x, struct tensor a)
{
	int64_t count = tensor_count(y);
	float w = *(const float *)a.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (count > PIECE)
	for (int64_t i = 0; i < count; i += PIECE) {
		int64_t n = count - i < PIECE ? count - i : PIECE;
		if (x.dtype == BF16)
			lerp_half((float *)y.data + i, (const uint16_t *)x.data + i, w, n);
		else
			lerp((float *)y.data + i, (const float *)x.data + i, w, n);
	}
}
