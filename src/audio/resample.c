/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/resample.h"

#include "audio/simd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CROSSINGS = 6, LANES = 8 };
#define ROLLOFF 0.99

struct resampler {
	int orig, new;			/* without their common divisor; orig: step, new: phases */
	int width, taps;		/* of the dense kernel */
	int kept;			/* taps stored a phase, a multiple of LANES */
	int *first;			/* [new] dense index of a phase's first stored tap */
	float *tap;			/* [new][kept] */
};

static int
divisor(int a, int b)
{
	while (b) {
		int c = a % b;
		a = b;
		b = c;
	}
	return a;
}

static float
kernel(const struct resampler *r, double base, int j, int k)
{
	double a = (double)(float)(-(double)j / r->new);	/* through F32: the reference's accident */
	double t = (a + (double)(k - r->width) / r->orig) * base, w, s;

	t = t < -CROSSINGS ? -CROSSINGS : t > CROSSINGS ? CROSSINGS : t;
	w = cos(t * M_PI / CROSSINGS / 2);
	s = t == 0 ? 1 : sin(M_PI * t) / (M_PI * t);
	return (float)(s * (w * w) * (base / r->orig));
}

enum status
resampler_open(struct resampler **out, int from, int to)
{
	struct resampler *r = calloc(1, sizeof *r);
	int g = divisor(from, to);
	double base;

	if (!r)
		return ace_fail(ACE_ENOMEM, "no memory for a resampler");
	r->orig = from / g;
	r->new = to / g;
	base = (r->orig < r->new ? r->orig : r->new) * ROLLOFF;
	r->width = (int)ceil(CROSSINGS * (double)r->orig / base);
	r->taps = 2 * r->width + r->orig;
	/* |t| < 6 spans 2 * 6 * orig / base taps, and one may lie on each edge */
	r->kept = ((int)ceil(2 * CROSSINGS * (double)r->orig / base) + 2 + LANES - 1) / LANES * LANES;
	r->first = calloc((size_t)r->new, sizeof *r->first);
	r->tap = calloc((size_t)r->new * (size_t)r->kept, sizeof *r->tap);
	if (!r->first || !r->tap) {
		resampler_close(r);
		return ace_fail(ACE_ENOMEM, "no memory to resample from %d to %d Hz", from, to);
	}
	for (int j = 0; j < r->new; j++) {
		double middle = r->width + (double)j / r->new * r->orig;
		int k0 = (int)floor(middle - CROSSINGS * (double)r->orig / base);
		r->first[j] = k0;
		for (int i = 0; i < r->kept; i++)
			if (k0 + i >= 0 && k0 + i < r->taps)
				r->tap[(int64_t)j * r->kept + i] = kernel(r, base, j, k0 + i);
	}
	*out = r;
	return ACE_OK;
}

void
resampler_close(struct resampler *r)
{
	if (r) {
		free(r->first);
		free(r->tap);
		free(r);
	}
}

int64_t
resample_length(int from, int to, int64_t n)
{
	int g = divisor(from, to);
	int64_t o = from / g, p = to / g, most = (n / o + 1) * p, length;

	if (o == p)
		return n;
	length = (int64_t)ceilf((float)((double)(p * n) / (double)o));
	return length < most ? length : most;
}

/* The sum of phase j's taps over x from at on; x is 0 outside. Both ways add in the same order. */
static inline float
output(const struct resampler *r, int64_t j, const float *x, int64_t n, int64_t at)
{
	const float *t = r->tap + j * r->kept;
	float s[LANES] = { 0 };

	if (at >= 0 && at + r->kept <= n) {
		for (int k = 0; k < r->kept; k += LANES)
			SIMD
			for (int l = 0; l < LANES; l++)
				s[l] += t[k + l] * x[at + k + l];
	} else {
		for (int k = 0; k < r->kept; k++)
			if (at + k >= 0 && at + k < n)
				s[k % LANES] += t[k] * x[at + k];
	}
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

void
resample(const struct resampler *r, float *y, const float *x, int64_t n)
{
	int64_t length = resample_length(r->orig, r->new, n);

	if (r->orig == r->new) {
		if (n)
			memcpy(y, x, (size_t)n * sizeof *x);
		return;
	}
#pragma omp parallel for schedule(static)
	for (int64_t m = 0; m < (length + r->new - 1) / r->new; m++)
		for (int64_t j = 0; j < r->new && m * r->new + j < length; j++)
			y[m * r->new + j] = output(r, j, x, n, m * r->orig + r->first[j] - r->width);
}

int
resampler_phases(const struct resampler *r)
{
	return r->new;
}

int
resampler_taps(const struct resampler *r)
{
	return r->taps;
}

float
resampler_tap(const struct resampler *r, int phase, int tap)
{
	int i = tap - r->first[phase];

	return i >= 0 && i < r->kept ? r->tap[(int64_t)phase * r->kept + i] : 0.f;
}
