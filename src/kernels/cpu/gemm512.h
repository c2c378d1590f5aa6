/* SPDX-License-Identifier: Apache-2.0 */
/* gemm512.h - matrix products with AVX-512, on one thread
 *
 * C is computed in tiles of 12 rows by 32 columns held in registers, over stretches of K; B is packed 32 columns at a time (and
 * widened from bf16 there), A is read where it lies. A tile's numbers depend on its own rows and columns alone, so any split
 * of C between threads gives the same bits. (K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.) */
#ifndef ACE_KERNELS_CPU_GEMM512_H
#define ACE_KERNELS_CPU_GEMM512_H

#include <stdbool.h>
#include <stdint.h>

enum { GEMM512_ROWS = 12, GEMM512_COLUMNS = 32, GEMM512_GROUP = 128 };	/* of a tile; columns packed at a time */

struct gemm512 {
	int64_t m, n, k;
	const float *a;			/* element (i, l) at a[i * a_row + l * a_col] */
	int64_t a_row, a_col;
	const void *b;			/* element (l, j) at b[l * b_row + j * b_col], F32 or bf16 */
	int64_t b_row, b_col;
	bool b_bf16;
	float *c;			/* element (i, j) at c[i * c_row + j] */
	int64_t c_row;
	float alpha, beta;		/* C = alpha A B + beta C; beta 0 does not read C */
};

/* Whether this machine has what it takes; asked once, then remembered. */
bool gemm512_here(void);

/* The whole product. k > 0. */
void gemm512_run(const struct gemm512 *g);
#endif
