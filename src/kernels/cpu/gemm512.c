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

enum { AHEAD = 8, LINES = KC / AHEAD };	/* every so many steps along K a tile asks for one line of what comes next */

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

/* The first n of sixteen; alpha is in sum already. */
AVX512 static inline void
store_part(float *c, const float *sum, float beta, int64_t n)
{
	__mmask16 some = (__mmask16)(n < LANES ? (1u << n) - 1u : 0xffffu);
	__m512 v = _mm512_loadu_ps(sum);

	if (beta == 1.f)
		v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(some, c));
	else if (beta != 0.f)
		v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_set1_ps(beta), _mm512_maskz_loadu_ps(some, c)));
	_mm512_mask_storeu_ps(c, some, v);
}

/* 12 x 32: a element (i, l) at a[i row + l col]; b packed [k][32]; next: the lines to ask for. The places in c are asked for
 * at the start, they are far apart. */
AVX512 static void
tile_32(int64_t k, const float *a, int64_t row, int64_t col, const float *b, const char *const *next, float *c, int64_t c_row,
        float alpha, float beta)
{
	for (int i = 0; i < MR; i++) {
		__builtin_prefetch(c + i * c_row, 1);
		__builtin_prefetch(c + i * c_row + NR - 1, 1);
	}
#define DECLARE(i) __m512 x##i = _mm512_setzero_ps(), y##i = _mm512_setzero_ps();
	EACH_ROW(DECLARE)
#undef DECLARE
	const float *p0 = a, *p4 = a + 4 * row, *p8 = a + 8 * row;
	int64_t row2 = 2 * row, row3 = 3 * row;

	for (int64_t l = 0; l < k; l++) {
		__m512 u = _mm512_load_ps(b), v = _mm512_load_ps(b + LANES), s;
		if (l % AHEAD == 0)
			_mm_prefetch(next[l / AHEAD], _MM_HINT_T1);
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
#define KEEP(i)                                              \
	store(c + i * c_row, x##i, alpha, beta);             \
	store(c + i * c_row + LANES, y##i, alpha, beta);
	EACH_ROW(KEEP)
#undef KEEP
}

/* 12 x 16, b packed [k][32] of which the first half counts */
AVX512 static void
tile_16(int64_t k, const float *a, int64_t row, int64_t col, const float *b, float *c, int64_t c_row, float alpha, float beta)
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
#define KEEP(i) store(c + i * c_row, x##i, alpha, beta);
	EACH_ROW(KEEP)
#undef KEEP
}

/* r[j][l] to r[l][j] */
AVX512 static inline void
transpose_16(__m512 *r)
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
		t[i] = _mm512_shuffle_f32x4(a, b, 0x88);
		t[i + 4] = _mm512_shuffle_f32x4(c, d, 0x88);
		t[i + 8] = _mm512_shuffle_f32x4(a, b, 0xdd);
		t[i + 12] = _mm512_shuffle_f32x4(c, d, 0xdd);
	}
	for (int i = 0; i < 16; i++)
		r[i] = t[i];
}

AVX512 static __m512
load(const struct gemm512 *g, int64_t at)
{
	if (g->b_type != F32) {
		__m256i h = _mm256_loadu_si256((const __m256i *)((const uint16_t *)g->b + at));
		if (g->b_type == F16)
			return _mm512_cvtph_ps(h);
		return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
	}
	return _mm512_loadu_ps((const float *)g->b + at);
}

static float
element(const struct gemm512 *g, int64_t at)
{
	return g->b_type != F32 ? half_to_f32(((const uint16_t *)g->b)[at], g->b_type) : ((const float *)g->b)[at];
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
				transpose_16(r);
				for (int64_t i = 0; i < LANES; i++)
					_mm512_store_ps(out + (done + i) * NR + h, r[i]);
			}
	for (int64_t i = done; i < k; i++)
		for (int64_t h = 0; h < n; h++)
			out[i * NR + h] = element(g, (l + i) * g->b_row + (j + h) * g->b_col);
	for (int64_t i = 0; i < k && n < NR; i++)
		memset(out + i * NR + n, 0, (size_t)(NR - n) * sizeof(float));
}

/* A tile that C has no room for: computed aside; m of its rows and n of its columns count, from row first on, which is c's. */
AVX512 static void
part(int64_t k, const float *a, int64_t row, int64_t col, const float *b, const char *const *next, float *c, int64_t c_row,
     float alpha, float beta, int64_t first, int64_t m, int64_t n)
{
	float aside[MR * NR];

	if (n > LANES)
		tile_32(k, a, row, col, b, next, aside, NR, alpha, 0.f);
	else
		tile_16(k, a, row, col, b, aside, NR, alpha, 0.f);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j += LANES)
			store_part(c + i * c_row + j, aside + (first + i) * NR + j, beta, n - j);
}

/* Rows i .. of A, m of them, to out [k][12], zeros beside them. */
AVX512 static void
copy_rows(const struct gemm512 *g, float *out, int64_t i, int64_t m, int64_t l, int64_t k)
{
	const float *a = g->a + i * g->a_row + l * g->a_col;
	const __mmask16 some = (__mmask16)((1u << m) - 1u), tile = (1u << MR) - 1u;
	int64_t done = 0;

	if (g->a_row == 1)
		for (; done < k; done++)
			_mm512_mask_storeu_ps(out + done * MR, tile, _mm512_maskz_loadu_ps(some, a + done * g->a_col));
	if (g->a_col == 1)
		for (; done + LANES <= k; done += LANES) {
			__m512 r[LANES];
			for (int64_t n = 0; n < LANES; n++)
				r[n] = n < m ? _mm512_loadu_ps(a + n * g->a_row + done) : _mm512_setzero_ps();
			transpose_16(r);
			for (int64_t n = 0; n < LANES; n++)
				_mm512_mask_storeu_ps(out + (done + n) * MR, tile, r[n]);
		}
	for (; done < k; done++)
		for (int64_t n = 0; n < MR; n++)
			out[done * MR + n] = n < m ? a[n * g->a_row + done * g->a_col] : 0.f;
}

void
gemm512_pack(const struct gemm512 *g, float *out, int64_t tile)
{
	int64_t i = tile * MR;

	copy_rows(g, out + i * g->k, i, g->m - i < MR ? g->m - i : MR, 0, g->k);
}

/* What to read into the cache while tiles are computed: n stretches of so many bytes, step bytes apart. */
struct ahead {
	const char *at;
	int64_t n, step, bytes;
	int64_t done;			/* bytes of the first stretch that are asked for */
};

/* What is packed after the stretch that ends before row l of columns j .. j+n-1. */
static struct ahead
ahead_of(const struct gemm512 *g, int64_t l, int64_t j, int64_t n)
{
	int64_t size = (int64_t)dtype_size(g->b_type), k;
	const char *at;

	if (l == g->k) {
		l = 0;
		j += n;
		n = g->n + g->n_beyond - j < GEMM512_GROUP ? g->n + g->n_beyond - j : GEMM512_GROUP;
	}
	if (n <= 0)
		return (struct ahead){ 0 };
	k = g->k - l < KC ? g->k - l : KC;
	at = (const char *)g->b + (l * g->b_row + j * g->b_col) * size;
	if (g->b_col == 1)
		return (struct ahead){ at, k, g->b_row * size, n * size, 0 };
	return (struct ahead){ at, n, g->b_col * size, k * size, 0 };
}

/* The next of their lines, at most LINES; the rest of the list is filled with a line that is there already. */
static void
list_lines(struct ahead *h, const char *line[LINES], int64_t lines, const void *there)
{
	for (int64_t i = 0; i < LINES; i++) {
		if (i >= lines || h->n <= 0) {
			line[i] = there;
			continue;
		}
		line[i] = h->at + h->done;
		h->done += 64;
		if (h->done >= h->bytes) {
			h->done = 0;
			h->at += h->step;
			h->n--;
		}
	}
}

/* Columns j .. j+n-1 of C, one stretch of K. */
static void
columns(const struct gemm512 *g, const float *b, int64_t j, int64_t n, int64_t l, int64_t k, struct ahead *next, int64_t lines)
{
	float rows[MR * KC], beta = l ? 1.f : g->beta;
	const char *line[LINES];

	for (int64_t i = 0; i < g->m; i += MR) {
		int64_t m = g->m - i < MR ? g->m - i : MR, row = g->a_row, col = g->a_col;
		const float *a = g->a + i * row + l * col;
		float *c = g->c + i * g->c_row + j;
		int64_t first = 0;
		list_lines(next, line, lines, b);
		if (g->packed) {
			a = g->packed + i * g->k + l * MR;
			row = 1;
			col = MR;
		} else if (m < MR && g->m >= MR && col == 1) {		/* the rows before it fill the tile */
			first = MR - m;
			a -= first * row;
		} else if (m < MR || (col != 1 && row != 1)) {
			copy_rows(g, rows, i, m, l, k);
			a = rows;
			row = 1;
			col = MR;
		}
		if (m == MR && n == NR)
			tile_32(k, a, row, col, b, line, c, g->c_row, g->alpha, beta);
		else if (m == MR && n == LANES)
			tile_16(k, a, row, col, b, c, g->c_row, g->alpha, beta);
		else
			part(k, a, row, col, b, line, c, g->c_row, g->alpha, beta, first, m, n);
	}
}

/* Panels are packed GROUP at a time, so that a row of B is read in longer stretches; the stretch after it is asked for
 * meanwhile. */
void
gemm512_run(const struct gemm512 *g)
{
	enum { GROUP = GEMM512_GROUP / NR };
	_Alignas(64) float b[GROUP][KC * NR];

	for (int64_t j = 0; j < g->n; j += GEMM512_GROUP)
		for (int64_t l = 0; l < g->k; l += KC) {
			int64_t k = g->k - l < KC ? g->k - l : KC, wide = g->n - j < GEMM512_GROUP ? g->n - j : GEMM512_GROUP;
			struct ahead next = ahead_of(g, l + k, j, wide);
			int64_t tiles = (g->m + MR - 1) / MR * ((wide + NR - 1) / NR);
			int64_t lines = next.n * ((next.bytes + 63) / 64) / tiles + 1;
			for (int64_t i = 0; i < wide; i += NR)
				pack(g, b[i / NR], l, k, j + i, wide - i < NR ? wide - i : NR);
			for (int64_t i = 0; i < wide; i += NR)
				columns(g, b[i / NR], j + i, wide - i < NR ? wide - i : NR, l, k, &next, lines);
		}
}

#else

bool
gemm512_here(void)
{
	return false;
}

void
gemm512_pack(const struct gemm512 *g, float *out, int64_t tile)
{
	(void)g, (void)out, (void)tile;
}

void
gemm512_run(const struct gemm512 *g)
{
	(void)g;
}
#endif
