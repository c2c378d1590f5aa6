/* SPDX-License-Identifier: Apache-2.0 */
/* wave512.h - the convolutions of waves where there is AVX-512: contracts of kernels/list_wave.h */
#ifndef ACE_KERNELS_CPU_WAVE512_H
#define ACE_KERNELS_CPU_WAVE512_H

#include "kernels/kernels.h"

/* The longest stride of a transposed convolution; up to how many outputs a convolution is faster so than by columns, which more
 * outputs share. */
enum { WAVE512_STRIDE = 16, WAVE512_OUTS = 64 };

/* to[i] = x[from + i] for i < n; outside [0, width) zero, or (edge) the nearest value */
void wave_line(float *to, const float *x, int64_t width, int64_t from, int64_t n, bool edge);

/* Whether this machine, and a kernel of k taps, can be worked on here. */
bool wave512_takes(int64_t k);
void wave512_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge);
void wave512_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u);
#endif
