/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"

enum { SMALL = 16384 };

/* One row of D / w heads at one position; y may be x. */
CPU_CLONES static void
turn(float *y, const float *x, const float *c, const float *s, int64_t D, int64_t w)
{
	for (int64_t h = 0; h < D; h += w)
		for (int64_t i = 0; i < w; i += 2) {
			float a = x[h + i], b = x[h + i + 1];
			y[h + i] = a * c[i] - b * s[i];
			y[h + i + 1] = b * c[i + 1] + a * s[i + 1];
		}
}

CPU_CLONES static void
turn_back(float *y, const float *x, const float *c, const float *s, int64_t D, int64_t w)
{
	for (int64_t h = 0; h < D; h += w)
		for (int64_t i = 0; i < w; i += 2) {
			float a = x[h + i], b = x[h + i + 1];
			y[h + i] = c[i] * a + s[i + 1] * b;
			y[h + i + 1] = c[i + 1] * b - s[i] * a;
		}
}

CPU_CLONES static void
mask_relu(float *y, float m, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float v = y[i] * m;
		y[i] = v > 0.f ? v : 0.f;
	}
}

CPU_CLONES static void
select_positive(float *dx, const float *dy, const float *y, float m, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float v = dy[i] * m;
		dx[i] = y[i] > 0.f ? v : 0.f;
	}
}

CPU_CLONES static void
times(float *y, const float *x, float m, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] * m;
}

void
cpu_rope(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, bool backward)
{
	int64_t N = x.dim[1], D = x.dim[2], w = cs.dim[2], rows = x.dim[0] * N;
	const float *cosine = cs.data, *sine = cosine + cs.dim[1] * w;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++)
		(backward ? turn_back : turn)((float *)y.data + n * D, (const float *)x.data + n * D, cosine + n % N * w,
		                              sine + n % N * w, D, w);
}

void
cpu_rope_relu(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, struct tensor mask)
{
	int64_t N = x.dim[1], D = x.dim[2], w = cs.dim[2], rows = x.dim[0] * N;
	const float *cosine = cs.data, *sine = cosine + cs.dim[1] * w;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++) {
		float *yp = (float *)y.data + n * D;
		turn(yp, (const float *)x.data + n * D, cosine + n % N * w, sine + n % N * w, D, w);
		mask_relu(yp, ((const float *)mask.data)[n], D);
	}
}

void
cpu_rope_relu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor y, struct tensor cs, struct tensor mask)
{
	int64_t N = y.dim[1], D = y.dim[2], w = cs.dim[2], rows = y.dim[0] * N;
	const float *cosine = cs.data, *sine = cosine + cs.dim[1] * w;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++) {
		float *dp = (float *)dx.data + n * D;
		select_positive(dp, (const float *)dy.data + n * D, (const float *)y.data + n * D, ((const float *)mask.data)[n], D);
		turn_back(dp, dp, cosine + n % N * w, sine + n % N * w, D, w);
	}
}

void
cpu_mask_rows(struct dev *d, struct tensor y, struct tensor x, struct tensor mask)
{
	int64_t D = x.dim[2], rows = x.dim[0] * x.dim[1];

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * D > SMALL)
	for (int64_t n = 0; n < rows; n++)
		times((float *)y.data + n * D, (const float *)x.data + n * D, ((const float *)mask.data)[n], D);
}
