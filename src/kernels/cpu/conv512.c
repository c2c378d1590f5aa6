/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/conv512.h"

int64_t
conv512_room(int64_t n)
{
	return (n + CONV512_WIDE - 1) / CONV512_WIDE * CONV512_WIDE;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

enum { ROWS = CONV512_ROWS, WIDE = CONV512_WIDE, LANES = 16, PARTS = WIDE / LANES };

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)

/* 8 x 48 onto sum; w packed [k][8] */
AVX512 static void
tile(int64_t k, const float *w, const float *x, const int32_t *at, float sum[ROWS][WIDE])
{
#define TAKE(i) __m512 a##i = _mm512_load_ps(sum[i]), b##i = _mm512_load_ps(sum[i] + LANES), c##i = _mm512_load_ps(sum[i] + 2 * LANES);
	EACH_ROW(TAKE)
#undef TAKE
	for (int64_t l = 0; l < k; l++, w += ROWS) {
		const float *line = x + at[l];
		__m512 p = _mm512_loadu_ps(line), q = _mm512_loadu_ps(line + LANES), r = _mm512_loadu_ps(line + 2 * LANES), s;
#define STEP(i)                              \
	s = _mm512_set1_ps(w[i]);            \
	a##i = _mm512_fmadd_ps(s, p, a##i);  \
	b##i = _mm512_fmadd_ps(s, q, b##i);  \
	c##i = _mm512_fmadd_ps(s, r, c##i);
		EACH_ROW(STEP)
#undef STEP
	}
#define KEEP(i)                              \
	_mm512_store_ps(sum[i], a##i);       \
	_mm512_store_ps(sum[i] + LANES, b##i); \
	_mm512_store_ps(sum[i] + 2 * LANES, c##i);
	EACH_ROW(KEEP)
#undef KEEP
}

/* The first n of sixteen. */
AVX512 static inline __mmask16
first(int64_t n)
{
	return (__mmask16)(n >= LANES ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1u);
}

/* Positions t .. of outputs o .. o+rows-1: what the sums start from, and back. */
AVX512 static void
start(const struct conv512 *c, float sum[ROWS][WIDE], int64_t o, int64_t rows, int64_t t)
{
	for (int64_t i = 0; i < ROWS; i++)
		for (int64_t j = 0; j < WIDE; j += LANES) {
			__m512 v = _mm512_setzero_ps();
			if (i < rows && c->onto)
				v = _mm512_maskz_loadu_ps(first(c->n - t - j), c->y + (o + i) * c->y_row + t + j);
			else if (i < rows && c->bias)
				v = _mm512_set1_ps(c->bias[o + i]);
			_mm512_store_ps(sum[i] + j, v);
		}
}

AVX512 static void
finish(const struct conv512 *c, float sum[ROWS][WIDE], int64_t o, int64_t rows, int64_t t)
{
	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < WIDE && t + j < c->n; j += LANES)
			_mm512_mask_storeu_ps(c->y + (o + i) * c->y_row + t + j, first(c->n - t - j), _mm512_load_ps(sum[i] + j));
}

AVX512 void
conv512_run(const struct conv512 *c)
{
	_Alignas(64) float packed[CONV512_DEPTH * ROWS], sum[ROWS][WIDE];

	for (int64_t o = 0; o < c->outs; o += ROWS) {
		int64_t rows = c->outs - o < ROWS ? c->outs - o : ROWS;
		for (int64_t i = 0; i < ROWS; i++)
			for (int64_t l = 0; l < c->k; l++)
				packed[l * ROWS + i] = i < rows ? c->w[(o + i) * c->w_row + l] : 0.f;
		for (int64_t t = 0; t < c->n; t += WIDE) {
			start(c, sum, o, rows, t);
			tile(c->k, packed, c->x + t, c->at, sum);
			finish(c, sum, o, rows, t);
		}
	}
}

#else

void
conv512_run(const struct conv512 *c)
{
	(void)c;
}
#endif
