/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/fft.h"

#include "audio/simd.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* twiddle: cos and -sin of 2 pi k / n for k < n; index k of a length h transform is k n / h here. */
enum status
fft_open(struct fft *f, int n)
{
	assert(n >= 4 && (n & (n - 1)) == 0);
	f->n = n;
	f->twiddle = malloc(2 * (size_t)n * sizeof *f->twiddle);
	if (!f->twiddle)
		return ace_fail(ACE_ENOMEM, "no memory for a Fourier transform");
	for (int k = 0; k < n; k++) {
		f->twiddle[2 * k] = cos(2 * M_PI * k / n);
		f->twiddle[2 * k + 1] = -sin(2 * M_PI * k / n);
	}
	return ACE_OK;
}

void
fft_close(struct fft *f)
{
	if (f) {
		free(f->twiddle);
		f->twiddle = NULL;
	}
}

int
fft_work(const struct fft *f)
{
	return 2 * f->n;
}

/* One pass: m interleaved transforms of length l, each split in 4 (or 2); s = stride of twiddles in the table. */
static void
radix4(const struct fft *f, int l, int m, const double *restrict xr, const double *restrict xi, double *restrict yr,
       double *restrict yi)
{
	int q = l / 4, s = f->n / l;

	for (int p = 0; p < q; p++) {
		const double *t = f->twiddle;
		double c1 = t[2 * p * s], d1 = t[2 * p * s + 1], c2 = t[4 * p * s], d2 = t[4 * p * s + 1];
		double c3 = t[6 * p * s], d3 = t[6 * p * s + 1];
		const double *ar = xr + m * p, *ai = xi + m * p;
		double *br = yr + m * 4 * p, *bi = yi + m * 4 * p;
		SIMD
		for (int k = 0; k < m; k++) {
			double r0 = ar[k], i0 = ai[k], r1 = ar[k + m * q], i1 = ai[k + m * q];
			double r2 = ar[k + 2 * m * q], i2 = ai[k + 2 * m * q], r3 = ar[k + 3 * m * q], i3 = ai[k + 3 * m * q];
			double er = r0 + r2, ei = i0 + i2, fr = r0 - r2, fi = i0 - i2;
			double gr = r1 + r3, gi = i1 + i3, hr = i1 - i3, hi = r3 - r1;	/* h = -i (x1 - x3) */
			double ur = fr + hr, ui = fi + hi, vr = er - gr, vi = ei - gi, wr = fr - hr, wi = fi - hi;
			br[k] = er + gr;
			bi[k] = ei + gi;
			br[k + m] = ur * c1 - ui * d1;
			bi[k + m] = ur * d1 + ui * c1;
			br[k + 2 * m] = vr * c2 - vi * d2;
			bi[k + 2 * m] = vr * d2 + vi * c2;
			br[k + 3 * m] = wr * c3 - wi * d3;
			bi[k + 3 * m] = wr * d3 + wi * c3;
		}
	}
}

static void
radix2(int m, const double *restrict xr, const double *restrict xi, double *restrict yr, double *restrict yi)
{
	SIMD
	for (int k = 0; k < m; k++) {
		yr[k] = xr[k] + xr[k + m];
		yi[k] = xi[k] + xi[k + m];
		yr[k + m] = xr[k] - xr[k + m];
		yi[k + m] = xi[k] - xi[k + m];
	}
}

void
fft_real(const struct fft *f, double *re, double *im, const double *x, double *work)
{
	int h = f->n / 2;
	double *ar = work, *ai = work + h, *br = work + 2 * h, *bi = work + 3 * h, *swap;

	for (int i = 0; i < h; i++) {		/* even samples real, odd ones imaginary */
		ar[i] = x[2 * i];
		ai[i] = x[2 * i + 1];
	}
	for (int l = h, m = 1; l > 1; ) {
		if (l >= 4)
			radix4(f, l, m, ar, ai, br, bi), l /= 4, m *= 4;
		else
			radix2(m, ar, ai, br, bi), l = 1;
		swap = ar, ar = br, br = swap;
		swap = ai, ai = bi, bi = swap;
	}
	for (int k = 0; k <= h; k++) {		/* take the two halves apart and join them */
		int a = k % h, b = (h - k) % h;
		double er = (ar[a] + ar[b]) / 2, ei = (ai[a] - ai[b]) / 2;
		double or = (ai[a] + ai[b]) / 2, oi = (ar[b] - ar[a]) / 2;
		double c = k < h ? f->twiddle[2 * k] : -1, s = k < h ? f->twiddle[2 * k + 1] : 0;
		re[k] = er + or * c - oi * s;
		im[k] = ei + or * s + oi * c;
	}
}
