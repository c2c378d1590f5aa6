/* SPDX-License-Identifier: Apache-2.0 */
/* conv512.h - sums of shifted lines with AVX-512, on one thread: convolutions without columns
 *
 * A convolution is a product whose right side has each line of its input once a tap, at an offset. Tiles of 8 outputs by 48 positions
 * are held in registers and the lines are read where they lie, so that nothing is laid out k times. */
#ifndef ACE_KERNELS_CPU_CONV512_H
#define ACE_KERNELS_CPU_CONV512_H

#include <stdbool.h>
#include <stdint.h>

enum { CONV512_ROWS = 8, CONV512_WIDE = 48, CONV512_DEPTH = 256 };	/* of a tile; the most taps of one sum */

/* y[o, t] = (onto: y[o, t]; else bias[o], or 0) + sum over l < k of w[o, l] x[at[l] + t] */
struct conv512 {
	int64_t outs, n, k;		/* k <= CONV512_DEPTH */
	const float *w;			/* w[o, l] at w[o * w_row + l] */
	int64_t w_row;
	const float *x;			/* each x + at[l] has conv512_room(n) numbers */
	const int32_t *at;
	float *y;			/* y[o, t] at y[o * y_row + t] */
	int64_t y_row;
	const float *bias;		/* [outs], or NULL */
	bool onto;
};

/* n, rounded up to whole tiles */
int64_t conv512_room(int64_t n);
/* Needs gemm512_here(). A sum's order is that of l, however outputs and positions are cut. */
void conv512_run(const struct conv512 *c);
#endif
