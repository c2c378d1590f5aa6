/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm512.h"
#include "kernels/cpu/space.h"

#include <assert.h>
#include <cblas.h>
#include <stdlib.h>

static struct gemm512
product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const void *b,
        enum dtype type, int64_t ldb, float beta, float *c, int64_t ldc)
{
	return (struct gemm512){ .m = m, .n = n, .k = k, .a = a, .a_row = ta ? 1 : lda, .a_col = ta ? lda : 1, .b = b,
		.b_row = tb ? 1 : ldb, .b_col = tb ? ldb : 1, .b_type = type, .c = c, .c_row = ldc, .alpha = alpha, .beta = beta };
}

void
cpu_sgemm1(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
           int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (m == 0 || n == 0)
		return;
	if (k > 0 && gemm512_here()) {
		struct gemm512 g = product(ta, tb, m, n, k, alpha, a, lda, b, F32, ldb, beta, c, ldc);
		gemm512_run(&g);
		return;
	}
	cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (blasint)m,
	            (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

/* One piece of C. packed: A's rows, or NULL. */
static void
piece512(const struct gemm512 *g, const float *packed, int64_t top, int64_t tall, int64_t left, int64_t wide)
{
	struct gemm512 p = *g;

	p.m = g->m - top < tall ? g->m - top : tall;
	p.n = g->n - left < wide ? g->n - left : wide;
	p.n_beyond = g->n - left - p.n;
	p.a += top * g->a_row;
	p.packed = packed ? packed + top * g->k : NULL;
	p.b = g->b_type != F32 ? (const void *)((const uint16_t *)g->b + left * g->b_col) : (const void *)((const float *)g->b + left * g->b_col);
	p.c += top * g->c_row + left;
	gemm512_run(&p);
}

/* The pieces of our own product, which give the same bits however they are cut: by columns when there are enough. */
static void
pieces512(struct dev *d, const struct gemm512 *g, float *packed)
{
	int64_t unit = g->n >= 2 * GEMM512_GROUP * d->threads ? GEMM512_GROUP : GEMM512_COLUMNS;
	int64_t wide = (g->n + unit - 1) / unit, tall = wide >= 2 * d->threads ? g->m : 8 * GEMM512_ROWS;
	int64_t rows = tall ? (g->m + tall - 1) / tall : 0, tiles = packed ? (g->m + GEMM512_ROWS - 1) / GEMM512_ROWS : 0;

#pragma omp parallel num_threads(d->threads) if (g->m * g->n * g->k > 1 << 15)
	{
#pragma omp for schedule(static)
		for (int64_t i = 0; i < tiles; i++)
			gemm512_pack(g, packed, i);
#pragma omp for schedule(static)
		for (int64_t i = 0; i < rows * wide; i++)
			piece512(g, packed, i / wide * tall, tall, i % wide * unit, unit);
	}
}

/* A is packed where enough columns share it, as many rows at a time as the work space is meant to hold; 0: it is not. Where K
 * runs along its rows it can also be read in place at little cost, and B is packed but once. */
static int64_t
packed_rows(const struct gemm512 *g)
{
	enum { SPACE = 1 << 20, FEW = 96, MANY = 1024 };	/* numbers; columns */
	int64_t step = SPACE / g->k / GEMM512_ROWS * GEMM512_ROWS;

	if (g->m < GEMM512_ROWS || (g->a_col == 1 ? g->n < MANY || g->m * g->k > SPACE : g->n < FEW))
		return 0;
	if (step < GEMM512_ROWS)
		step = GEMM512_ROWS;
	if (step > g->m)
		step = (g->m + GEMM512_ROWS - 1) / GEMM512_ROWS * GEMM512_ROWS;
	return step;
}

static void
sgemm512(struct dev *d, const struct gemm512 *g)
{
	int64_t step = packed_rows(g);
	float *packed;

	if (step == 0) {
		pieces512(d, g, NULL);
		return;
	}
	packed = cpu_scratch(d, (size_t)(step * g->k) * sizeof *packed);
	for (int64_t i = 0; packed && i < g->m; i += step) {
		struct gemm512 p = *g;
		p.m = g->m - i < step ? g->m - i : step;
		p.a += i * g->a_row;
		p.c += i * g->c_row;
		pieces512(d, &p, packed);
	}
}

/* OpenBLAS may choose its kernels by the sizes it is given: fixed pieces, cut along the longer side of C. */
static void
pieces_blas(struct dev *d, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
            const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	enum { PIECES = 8, PIECE = 64 };
	bool rows = m > n;
	int64_t side = rows ? m : n;
	int64_t step = (side / PIECES + PIECE - 1) / PIECE * PIECE;

	if (step < PIECE || m * n * k < 1 << 15)
		step = side < PIECE || m * n * k < 1 << 15 ? side : PIECE;
	if (step == 0)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads) if (side > step)
	for (int64_t i = 0; i < side; i += step) {
		int64_t w = side - i < step ? side - i : step;
		if (rows)
			cpu_sgemm1(ta, tb, w, n, k, alpha, a + (ta ? i : i * lda), lda, b, ldb, beta, c + i * ldc, ldc);
		else
			cpu_sgemm1(ta, tb, m, w, k, alpha, a, lda, b + (tb ? i * ldb : i), ldb, beta, c + i, ldc);
	}
}

void
cpu_sgemm(struct dev *d, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
          const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	if (k > 0 && gemm512_here()) {
		struct gemm512 g = product(ta, tb, m, n, k, alpha, a, lda, b, F32, ldb, beta, c, ldc);
		sgemm512(d, &g);
	} else {
		pieces_blas(d, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
	}
}

void *
cpu_scratch(struct dev *d, size_t bytes)
{
	if (bytes > d->scratch_bytes) {
		free(d->scratch);
		d->scratch = aligned_alloc(256, (bytes + 255) / 256 * 256);
		d->scratch_bytes = d->scratch ? bytes : 0;
		if (!d->scratch && d->status == ACE_OK)
			d->status = ace_fail(ACE_ENOMEM, "no memory for %zu bytes of work space", bytes);
	}
	return d->scratch;
}

size_t
cpu_gemm_space(struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb)
{
	int64_t m = c.dim[0], n = c.dim[1], k = a.dim[ta ? 0 : 1];

	if (k > 0 && gemm512_here()) {
		struct gemm512 g = product(ta, tb, m, n, k, 1.f, NULL, ta ? m : k, NULL, b.dtype, tb ? k : n, 0.f, NULL, n);
		return (size_t)(packed_rows(&g) * k) * sizeof(float);
	}
	return b.dtype != F32 ? (size_t)(k * n) * sizeof(float) : 0;
}

void
cpu_gemm(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	int64_t m = c.dim[0], n = c.dim[1], k = a.dim[ta ? 0 : 1];
	const float *bp = b.data;

	if (k > 0 && gemm512_here()) {
		struct gemm512 g = product(ta, tb, m, n, k, alpha, a.data, ta ? m : k, b.data, b.dtype, tb ? k : n,
		                           beta, c.data, n);
		sgemm512(d, &g);
		return;
	}
	if (b.dtype != F32) {
		float *wide = cpu_scratch(d, cpu_gemm_space(c, a, b, ta, tb));
		if (!wide)
			return;
		dtype_convert(wide, F32, b.data, b.dtype, k * n);
		bp = wide;
	}
	cpu_sgemm(d, ta, tb, m, n, k, alpha, a.data, ta ? m : k, bp, tb ? k : n, beta, c.data, n);
}

void
cpu_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, struct tensor r)
{
	bool onto = r.rank && r.data == y.data;

	cpu_gemm(d, y, x, w, false, true, 1.f, onto ? 1.f : 0.f);
	if (b.rank)
		cpu_bias_add(d, y, b);
	if (r.rank && !onto)
		cpu_axpy(d, y, r, 1.f);
}
