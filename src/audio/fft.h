/* SPDX-License-Identifier: Apache-2.0 */
/* fft.h - discrete Fourier transform of real input whose length is a power of two
 *
 * W. T. Cochran et al., What is the fast Fourier transform?, 1967 (Stockham's self-sorting form, radix 4 with one
 * step of radix 2 where the length asks for it). Double precision: quiet bins beside loud ones stay exact. */
#ifndef ACE_AUDIO_FFT_H
#define ACE_AUDIO_FFT_H

#include "base/status.h"

struct fft {
	int n;			/* real samples, a power of two, >= 4 */
	double *twiddle;	/* owned */
};

enum status fft_open(struct fft *f, int n) ACE_NODISCARD;
void fft_close(struct fft *f);

/* Doubles of work space that one transform wants. */
int fft_work(const struct fft *f);

/* re, im [n/2 + 1] = sum of x[i] exp(-2 pi i k / n), no scaling. x [n]. work: fft_work doubles. */
void fft_real(const struct fft *f, double *re, double *im, const double *x, double *work);
#endif
