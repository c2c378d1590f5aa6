/* SPDX-License-Identifier: Apache-2.0 */
/* gemm512.h - matrix products with AVX-512, on one thread
 *
 * C is computed in tiles of 12 rows by 32 columns held in registers, over stretches of K; B is packed 32 columns at a time (and
 * widened from 16 bits there), A is packed 12 rows at a time or read where it lies. A tile's numbers depend on its own rows and columns alone, so any split
 * of C between threads gives the same bits. (K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.) */
#ifndef ACE_KERNELS_CPU_GEMM512_H
#define ACE_KERNELS_CPU_GEMM512_H

#include "num/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum { GEMM512_ROWS = 12, GEMM512_COLUMNS = 32, GEMM512_GROUP = 128 };	/* of a tile; columns packed at a time */

struct gemm512 {
	int64_t m, n, k;
	const float *a;			/* element (i, l) at a[i * a_row + l * a_col] */
	int64_t a_row, a_col;
	const void *b;			/* element (l, j) at b[l * b_row + j * b_col], of type b_type: F32, BF16 or F16 */
	int64_t b_row, b_col;
	enum dtype b_type;
	float *c;			/* element (i, j) at c[i * c_row + j] */
	int64_t c_row;
	float alpha, beta;		/* C = alpha A B + beta C; beta 0 does not read C */
	const float *packed;		/* NULL, or A from its first row on as gemm512_pack leaves it: a is not read */
	int64_t n_beyond;		/* columns of B behind these n that will be worked on next: only to read ahead */
};

/* Whether this machine has what it takes; asked once, then remembered. */
bool gemm512_here(void);

/* Rows 12 tile .. of A to out + 12 tile k as [k][12], zeros for rows that A lacks. */
void gemm512_pack(const struct gemm512 *g, float *out, int64_t tile);

/* The whole product. k > 0. */
void gemm512_run(const struct gemm512 *g);
#endif
