/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exp.h"

#include <string.h>

/* Channels [from, from + n) of the value half and the same of the gate half are one piece; a piece walks along the frames
 * with what it needs of three neighbours. The first half of each array below is the value, the second the gate. */
enum { WIDE = 64 };

struct piece {
	float w[3][2 * WIDE], b[2 * WIDE];
	float a[3][2 * WIDE];		/* silu(x) of frames t-1, t, t+1, at (t + 1) % 3 ... */
	float g[3][2 * WIDE];		/* gradient of c of frames t-1, t, t+1 */
};

static void
piece_weights(struct piece *p, struct tensor w, struct tensor b, int64_t F, int64_t from, int64_t n)
{
	memset(p, 0, sizeof *p);
	for (int64_t i = 0; i < 2 * n; i++) {
		int64_t to = i < n ? i : WIDE + i - n, c = i < n ? from + i : F + from + i - n;
		for (int64_t j = 0; j < 3; j++)
			p->w[j][to] = ((const float *)w.data)[3 * c + j];
		p->b[to] = ((const float *)b.data)[c];
	}
}

CPU_CLONES static void
silu_row(float *restrict a, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		a[i] = silu_f32(x[i]);
}

/* The activated frame t into its place; zeros outside. x: row 0 of the sample at the piece's first channel. */
static void
activate(struct piece *p, const float *x, int64_t t, int64_t T, int64_t F, int64_t n)
{
	float *a = p->a[(t + 3) % 3];

	if (t < 0 || t >= T) {
		memset(a, 0, sizeof p->a[0]);
		return;
	}
	silu_row(a, x + t * 2 * F, n);
	silu_row(a + WIDE, x + t * 2 * F + F, n);
}

CPU_CLONES static void
gated_row(float *restrict u, const struct piece *p, const float *restrict a0, const float *restrict a1,
          const float *restrict a2, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float c = p->w[0][i] * a0[i] + p->w[1][i] * a1[i] + p->w[2][i] * a2[i] + p->b[i];
		int64_t k = WIDE + i;
		float e = p->w[0][k] * a0[k] + p->w[1][k] * a1[k] + p->w[2][k] * a2[k] + p->b[k];
		u[i] = c * silu_f32(e);
	}
}

void
cpu_glu_conv(struct dev *d, struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t B = x.dim[0], T = x.dim[1], F = u.dim[2], pieces = (F + WIDE - 1) / WIDE;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < B * pieces; i++) {
		int64_t s = i / pieces, from = i % pieces * WIDE, n = F - from < WIDE ? F - from : WIDE;
		const float *xp = (const float *)x.data + s * T * 2 * F + from;
		struct piece p;
		piece_weights(&p, w, b, F, from, n);
		activate(&p, xp, -1, T, F, n);
		activate(&p, xp, 0, T, F, n);
		for (int64_t t = 0; t < T; t++) {
			activate(&p, xp, t + 1, T, F, n);
			gated_row((float *)u.data + (s * T + t) * F + from, &p, p.a[(t + 2) % 3], p.a[t % 3], p.a[(t + 1) % 3], n);
		}
	}
}

/* Gradient of both halves of c at one frame. */
CPU_CLONES static void
gate_slopes(float *restrict g, const float *restrict du, const struct piece *p, const float *restrict a0,
            const float *restrict a1, const float *restrict a2, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t k = WIDE + i;
		float c = p->w[0][i] * a0[i] + p->w[1][i] * a1[i] + p->w[2][i] * a2[i] + p->b[i];
		float e = p->w[0][k] * a0[k] + p->w[1][k] * a1[k] + p->w[2][k] * a2[k] + p->b[k];
		float s = sigmoid_f32(e);
		g[i] = du[i] * (e * s);
		g[k] = du[i] * c * (s * (1.f + e * (1.f - s)));
	}
}

CPU_CLONES static void
input_slopes(float *restrict dx, const float *restrict x, const float *restrict w0, const float *restrict w1,
             const float *restrict w2, const float *restrict before, const float *restrict here,
             const float *restrict after, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		dx[i] = (w0[i] * after[i] + w1[i] * here[i] + w2[i] * before[i]) * silu_slope_f32(x[i]);
}

/* The gradient of c at frame t into its place; zeros outside. Needs a of t-1, t, t+1. */
static void
output_grad(struct piece *p, const float *du, int64_t t, int64_t T, int64_t F, int64_t n)
{
	float *g = p->g[(t + 3) % 3];

	if (t < 0 || t >= T)
		memset(g, 0, sizeof p->g[0]);
	else
		gate_slopes(g, du + t * F, p, p->a[(t + 2) % 3], p->a[t % 3], p->a[(t + 1) % 3], n);
}

void
cpu_glu_conv_backward(struct dev *d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t B = x.dim[0], T = x.dim[1], F = du.dim[2], pieces = (F + WIDE - 1) / WIDE;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < B * pieces; i++) {
		int64_t s = i / pieces, from = i % pieces * WIDE, n = F - from < WIDE ? F - from : WIDE;
		const float *xp = (const float *)x.data + s * T * 2 * F + from, *up = (const float *)du.data + s * T * F + from;
		float *dp = (float *)dx.data + s * T * 2 * F + from;
		struct piece p;
		piece_weights(&p, w, b, F, from, n);
		activate(&p, xp, -1, T, F, n);
		activate(&p, xp, 0, T, F, n);
		activate(&p, xp, 1, T, F, n);
		output_grad(&p, up, -1, T, F, n);
		output_grad(&p, up, 0, T, F, n);
		for (int64_t t = 0; t < T; t++) {
			activate(&p, xp, t + 2, T, F, n);
			output_grad(&p, up, t + 1, T, F, n);
			for (int64_t h = 0; h < 2; h++)
				input_slopes(dp + t * 2 * F + h * F, xp + t * 2 * F + h * F, p.w[0] + h * WIDE, p.w[1] + h * WIDE,
				             p.w[2] + h * WIDE, p.g[(t + 2) % 3] + h * WIDE, p.g[t % 3] + h * WIDE,
				             p.g[(t + 1) % 3] + h * WIDE, n);
		}
	}
}

CPU_CLONES static void
gather(float *restrict sum, const float *restrict g, const float *restrict a, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		sum[i] += g[i] * a[i];
}

CPU_CLONES static void
gather_plain(float *restrict sum, const float *restrict g, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		sum[i] += g[i];
}

/* One piece sums over all samples, in order. */
void
cpu_glu_conv_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
                   struct tensor b)
{
	int64_t B = x.dim[0], T = x.dim[1], F = du.dim[2], pieces = (F + WIDE - 1) / WIDE;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < pieces; i++) {
		int64_t from = i * WIDE, n = F - from < WIDE ? F - from : WIDE;
		float sum[4][2 * WIDE] = { 0 };
		struct piece p;
		piece_weights(&p, w, b, F, from, n);
		for (int64_t s = 0; s < B; s++) {
			const float *xp = (const float *)x.data + s * T * 2 * F + from;
			activate(&p, xp, -1, T, F, n);
			activate(&p, xp, 0, T, F, n);
			for (int64_t t = 0; t < T; t++) {
				const float *g = p.g[t % 3];
				activate(&p, xp, t + 1, T, F, n);
				output_grad(&p, (const float *)du.data + s * T * F + from, t, T, F, n);
				for (int64_t j = 0; j < 3; j++)
					gather(sum[j], g, p.a[(t + 2 + j) % 3], 2 * WIDE);
				gather_plain(sum[3], g, 2 * WIDE);
			}
		}
		for (int64_t k = 0; k < 2 * n; k++) {
			int64_t at = k < n ? k : WIDE + k - n, c = k < n ? from + k : F + from + k - n;
			for (int64_t j = 0; j < 3; j++)
				((float *)dw.data)[3 * c + j] += sum[j][at];
			((float *)db.data)[c] += sum[3][at];
		}
	}
}
