/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/gemm512.h"

#include "num/dtype.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

enum { MR = GEMM512_ROWS, NR = GEMM512_COLUMNS, KC = 256, LANES = 16 };

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))

bool
gemm512_here(void)
{
	static int known;		/* 0: not asked yet; racing threads would find the same */

	if (!known)
		known = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") ? 1 : 2;
	return known == 1;
}

/* One tile's place and what to do with what is there. */
struct tile {
	float *c;
	int64_t c_row;
	float alpha, beta;
};

#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)

AVX512 static inline void
store(float *c, __m512 sum, float alpha, float beta)
{
	__m512 v = _mm512_mul_ps(_mm512_set1_ps(alpha), sum);

	if (beta == 1.f)
		v = _mm512_add_ps(v, _mm512_loadu_ps(c));
	else if (beta != 0.f)
		v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_set1_ps(beta), _mm512_loadu_ps(c)));
	_mm512_storeu_ps(c, v);
}

/* 12 x 32: a element (i, l) at a[i row + l col]; b packed [k][32]. */
AVX512 static void
tile_32(int64_t k, const float *a, int64_t row, int64_t col, const float *b, struct tile t)
{
#define DECLARE(i) __m512 x##i = _mm512_setzero_ps(), y##i = _mm512_setzero_ps();
	EACH_ROW(DECLARE)
#undef DECLARE
	const float *p0 = a, *p4 = a + 4 * row, *p8 = a + 8 * row;
	int64_t row2 = 2 * row, row3 = 3 * row;

	for (int64_t l = 0; l < k; l++) {
		__m512 u = _mm512_load_ps(b), v = _mm512_load_ps(b + LANES), s;
#define STEP(i, place)                            \
	s = _mm512_set1_ps(place);                \
	x##i = _mm512_fmadd_ps(s, u, x##i);       \
	y##i = _mm512_fmadd_ps(s, v, y##i);
		STEP(0, p0[0]) STEP(1, p0[row]) STEP(2, p0[row2]) STEP(3, p0[row3])
		STEP(4, p4[0]) STEP(5, p4[row]) STEP(6, p4[row2]) STEP(7, p4[row3])
		STEP(8, p8[0]) STEP(9, p8[row]) STEP(10, p8[row2]) STEP(11, p8[row3])
#undef STEP
		b += NR;
		p0 += col;
		p4 += col;
		p8 += col;
	}
#define KEEP(i)                                                                \
	store(t.c + i * t.c_row, x##i, t.alpha, t.beta);                       \
	store(t.c + i * t.c_row + LANES, y##i, t.alpha, t.beta);
	EACH_ROW(KEEP)
#undef KEEP
}

/* 12 x 16, b packed [k][32] of which the first half counts */
AVX512 static void
tile_16(int64_t k, const float *a, int64_t row, int64_t col, const float *b, struct tile t)
{
#define DECLARE(i) __m512 x##i = _mm512_setzero_ps();
	EACH_ROW(DECLARE)
#undef DECLARE
	const float *p0 = a, *p4 = a + 4 * row, *p8 = a + 8 * row;
	int64_t row2 = 2 * row, row3 = 3 * row;

	for (int64_t l = 0; l < k; l++) {
		__m512 u = _mm512_load_ps(b);
#define STEP(i, place) x##i = _mm512_fmadd_ps(_mm512_set1_ps(place), u, x##i);
		STEP(0, p0[0]) STEP(1, p0[row]) STEP(2, p0[row2]) STEP(3, p0[row3])
		STEP(4, p4[0]) STEP(5, p4[row]) STEP(6, p4[row2]) STEP(7, p4[row3])
		STEP(8, p8[0]) STEP(9, p8[row]) STEP(10, p8[row2]) STEP(11, p8[row3])
#undef STEP
		b += NR;
		p0 += col;
		p4 += col;
		p8 += col;
	}
#define KEEP(i) store(t.c + i * t.c_row, x##i, t.alpha, t.beta);
	EACH_ROW(KEEP)
#undef KEEP
}

/* rows[j][l] of 16 rows and 16 columns to out[l * NR + j] */
AVX512 static void
transpose_16(__m512 *r, float *out)
{
	__m512 t[16];

	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
	}
	for (int i = 0; i < 16; i += 4) {
		__m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
		__m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
		r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
		r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
		r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
		r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
	}
	for (int i = 0; i < 4; i++) {
		__m512 a = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), b = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
		__m512 c = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd), d = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
		_mm512_store_ps(out + i * NR, _mm512_shuffle_f32x4(a, b, 0x88));
		_mm512_store_ps(out + (i + 4) * NR, _mm512_shuffle_f32x4(c, d, 0x88));
		_mm512_store_ps(out + (i + 8) * NR, _mm512_shuffle_f32x4(a, b, 0xdd));
		_mm512_store_ps(out + (i + 12) * NR, _mm512_shuffle_f32x4(c, d, 0xdd));
	}
}

AVX512 static __m512
load(const struct gemm512 *g, int64_t at)
{
	if (g->b_bf16) {
		__m256i h = _mm256_loadu_si256((const __m256i *)((const uint16_t *)g->b + at));
		return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
	}
	return _mm512_loadu_ps((const float *)g->b + at);
}

static float
element(const struct gemm512 *g, int64_t at)
{
	return g->b_bf16 ? bf16_to_f32(((const uint16_t *)g->b)[at]) : ((const float *)g->b)[at];
}

/* out [k][32]: rows l .. l+k-1, columns j .. j+n-1 of B, zeros beside them */
AVX512 static void
pack(const struct gemm512 *g, float *out, int64_t l, int64_t k, int64_t j, int64_t n)
{
	int64_t done = 0;		/* rows that every column of which is there */

	if (n == NR && g->b_col == 1) {
		for (; done < k; done++)
			for (int64_t h = 0; h < NR; h += LANES)
				_mm512_store_ps(out + done * NR + h, load(g, (l + done) * g->b_row + j + h));
		return;
	}
	if (n % LANES == 0 && g->b_row == 1)
		for (; done + LANES <= k; done += LANES)
			for (int64_t h = 0; h < n; h += LANES) {
				__m512 r[LANES];
				for (int64_t i = 0; i < LANES; i++)
					r[i] = load(g, (j + h + i) * g->b_col + l + done);
				transpose_16(r, out + done * NR + h);
			}
	for (int64_t i = done; i < k; i++)
		for (int64_t h = 0; h < n; h++)
			out[i * NR + h] = element(g, (l + i) * g->b_row + (j + h) * g->b_col);
	for (int64_t i = 0; i < k && n < NR; i++)
		memset(out + i * NR + n, 0, (size_t)(NR - n) * sizeof(float));
}

/* A tile that C has no room for: computed aside; m of its rows count, from first on. t.c is the first of them. */
static void
part(int64_t k, const float *a, int64_t row, int64_t col, const float *b, struct tile t, int64_t first, int64_t m, int64_t n)
{
	float aside[MR * NR];

	if (n > LANES)
		tile_32(k, a, row, col, b, (struct tile){ aside, NR, t.alpha, 0.f });
	else
		tile_16(k, a, row, col, b, (struct tile){ aside, NR, t.alpha, 0.f });
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			float *c = t.c + i * t.c_row + j;
			*c = aside[(first + i) * NR + j] + (t.beta != 0.f ? t.beta * *c : 0.f);
		}
}

/* Rows i .. of A that are fewer than a tile's, or lie far apart along K: copied to [k][12], zeros below. */
static void
copy_rows(const struct gemm512 *g, float *out, int64_t i, int64_t m, int64_t l, int64_t k)
{
	for (int64_t s = 0; s < k && m == MR && g->a_row == 1; s++)
		memcpy(out + s * MR, g->a + i + (l + s) * g->a_col, MR * sizeof(float));
	if (m == MR && g->a_row == 1)
		return;
	for (int64_t r = 0; r < MR; r++)
		for (int64_t s = 0; s < k; s++)
			out[s * MR + r] = r < m ? g->a[(i + r) * g->a_row + (l + s) * g->a_col] : 0.f;
}

/* Columns j .. j+n-1 of C, one stretch of K. */
static void
columns(const struct gemm512 *g, const float *b, int64_t j, int64_t n, int64_t l, int64_t k)
{
	float rows[MR * KC];

	for (int64_t i = 0; i < g->m; i += MR) {
		int64_t m = g->m - i < MR ? g->m - i : MR, row = g->a_row, col = g->a_col;
		struct tile t = { g->c + i * g->c_row + j, g->c_row, g->alpha, l ? 1.f : g->beta };
		const float *a = g->a + i * row + l * col;
		int64_t first = 0;
		if (m < MR && g->m >= MR && col == 1) {		/* the rows before it fill the tile */
			first = MR - m;
			a -= first * row;
		} else if (m < MR || col != 1) {
			copy_rows(g, rows, i, m, l, k);
			a = rows;
			row = 1;
			col = MR;
		}
		if (m == MR && n == NR)
			tile_32(k, a, row, col, b, t);
		else if (m == MR && n == LANES)
			tile_16(k, a, row, col, b, t);
		else
			part(k, a, row, col, b, t, first, m, n);
	}
}

/* Panels are packed GROUP at a time, so that a row of B is read in longer stretches. */
void
gemm512_run(const struct gemm512 *g)
{
	enum { GROUP = GEMM512_GROUP / NR };
	_Alignas(64) float b[GROUP][KC * NR];

	for (int64_t j = 0; j < g->n; j += GEMM512_GROUP)
		for (int64_t l = 0; l < g->k; l += KC) {
			int64_t k = g->k - l < KC ? g->k - l : KC;
			int64_t wide = g->n - j < GEMM512_GROUP ? g->n - j : GEMM512_GROUP;
			for (int64_t i = 0; i < wide; i += NR)
				pack(g, b[i / NR], l, k, j + i, wide - i < NR ? wide - i : NR);
			for (int64_t i = 0; i < wide; i += NR)
				columns(g, b[i / NR], j + i, wide - i < NR ? wide - i : NR, l, k);
		}
}

#else

bool
gemm512_here(void)
{
	return false;
}

void
gemm512_run(const struct gemm512 *g)
{
	(void)g;
}
#endif
