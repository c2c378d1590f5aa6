/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/exp.h"

#include <float.h>
#include <math.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static inline float
rounded(float x)
{
	return bf16_to_f32(f32_to_bf16(x));
}

CPU_CLONES static void
round_all(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = rounded(x[i]);
}

CPU_CLONES static float
mean_square(const float *x, int64_t n)
{
	enum { LANES = 16 };
	float part[LANES] = { 0 };
	double sum = 0;
	int64_t i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int l = 0; l < LANES; l++)
			part[l] += x[i + l] * x[i + l];
	for (; i < n; i++)
		sum += (double)x[i] * (double)x[i];
	for (int l = 0; l < LANES; l++)
		sum += (double)part[l];
	return (float)(sum / (double)n);
}

static float
element(struct tensor w, int64_t i)
{
	return w.dtype == BF16 ? bf16_to_f32(((const uint16_t *)w.data)[i]) : ((const float *)w.data)[i];
}

void
cpu_text_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half)
{
	int64_t width = tensor_cols(x), rows = tensor_rows(x);

	if (x.dtype != F32) {
		ref_text_rms(d, y, x, w, eps, half);
		return;
	}
#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * width > 1 << 14)
	for (int64_t n = 0; n < rows; n++) {
		const float *xp = (const float *)x.data + n * width;
		float *yp = (float *)y.data + n * width, r = 1.f / sqrtf(mean_square(xp, width) + eps);
		for (int64_t c = 0; c < width; c++)
			yp[c] = element(w, c) * (half ? rounded(xp[c] * r) : xp[c] * r);
		if (half)
			round_all(yp, width);
	}
}

/* tanh(z) = 2 sigmoid(2 z) - 1, so gelu(u) = u sigmoid(2 z). */
static inline float
gelu(float u)
{
	return u * sigmoid_f32(1.5957691f * (u + 0.044715f * u * u * u));
}

CPU_CLONES static void
gate(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = gelu(a[i]) * b[i];
}

CPU_CLONES static void
gate_half(float *y, const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = rounded(rounded(gelu(a[i])) * b[i]);
}

void
cpu_text_gate(struct dev *d, struct tensor y, struct tensor a, struct tensor b, bool half)
{
	enum { PIECE = 1 << 13 };
	int64_t n = tensor_count(a);

	if (a.dtype != F32) {
		ref_text_gate(d, y, a, b, half);
		return;
	}
#pragma omp parallel for schedule(static) num_threads(d->threads) if (n > PIECE)
	for (int64_t i = 0; i < n; i += PIECE)
		(half ? gate_half : gate)((float *)y.data + i, (const float *)a.data + i, (const float *)b.data + i,
		                          n - i < PIECE ? n - i : PIECE);
}

/* s += bias and the mask's lowest number; the largest */
CPU_CLONES static float
masked(float *s, const float *bias, const float *mask, int64_t n, bool half)
{
	float top = -INFINITY;

	if (half)
		for (int64_t j = 0; j < n; j++)
			s[j] = mask[j] == 1.f ? rounded(rounded(s[j]) + bias[j]) : -FLT_MAX;
	else
		for (int64_t j = 0; j < n; j++)
			s[j] += bias[j] + (1.f - mask[j]) * -FLT_MAX;
	for (int64_t j = 0; j < n; j++)
		top = s[j] > top ? s[j] : top;
	return top;
}

CPU_CLONES static void
exponentials(float *s, float top, int64_t n)
{
	for (int64_t j = 0; j < n; j++) {
		float e = exp_f32(s[j] - top);
		s[j] = s[j] - top < -87.f ? 0.f : e;
	}
}

static void
softmax(float *s, const float *bias, const float *mask, int64_t n, bool half)
{
	double sum = 0;
	float inv;

	exponentials(s, masked(s, bias, mask, n, half), n);
	for (int64_t j = 0; j < n; j++)
		sum += (double)s[j];
	inv = (float)(1 / sum);
	for (int64_t j = 0; j < n; j++)
		s[j] *= inv;
	if (half)
		round_all(s, n);
}

static int
this_thread(void)
{
#ifdef _OPENMP
	return omp_get_thread_num();
#else
	return 0;
#endif
}

void
cpu_text_attend(struct dev *d, struct tensor o, struct tensor a, struct tensor q, struct tensor k, struct tensor v,
                struct tensor bias, struct tensor mask, bool half)
{
	int64_t T = q.dim[1], D = q.dim[2], H = bias.dim[0], w = D / H, n = q.dim[0] * H;
	float *own;

	if (q.dtype != F32 || q.ld || k.ld || v.ld || o.ld) {
		ref_text_attend(d, o, a, q, k, v, bias, mask, half);
		return;
	}
	own = a.rank ? NULL : cpu_scratch(d, (size_t)(d->threads * T * T) * sizeof *own);
	if (!a.rank && !own)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads) if (n * T * T > 1 << 12)
	for (int64_t i = 0; i < n; i++) {
		int64_t at = i / H * T * D + i % H * w;
		float *s = own ? own + this_thread() * T * T : (float *)a.data + i * T * T;
		cpu_sgemm1(false, true, T, T, w, 1.f, (const float *)q.data + at, D, (const float *)k.data + at,
			   D, 0.f, s, T);
		for (int64_t t = 0; t < T; t++)
			softmax(s + t * T, (const float *)bias.data + (i % H * T + t) * T,
				(const float *)mask.data + i / H * T, T, half);
		cpu_sgemm1(false, false, T, w, T, 1.f, s, T, (const float *)v.data + at, D, 0.f,
			   (float *)o.data + at, D);
		for (int64_t t = 0; half && t < T; t++)
			round_all((float *)o.data + at + t * D, w);
	}
}
