/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/mel.h"

#include "audio/fft.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct mel {
	struct mel_options o;
	struct fft fft;
	int bins;
	float *window;		/* [n_fft] */
	float *filters;		/* [bins][bands] */
	int *from, *to;		/* [bands] bins in which a band's filter is not 0 */
	float *packed;		/* [bands][bins] the same filters, a band's entries side by side */
};

/* Slaney's scale: linear below 1000 Hz, logarithmic above. */
static double
mel_of(double f)
{
	return f < 1000 ? f / (200. / 3) : 15 + 27 * log(f / 1000) / log(6.4);
}

static float
hertz_of(float m)
{
	return m < 15.f ? m * (float)(200. / 3) : 1000.f * expf((float)(log(6.4) / 27) * (m - 15.f));
}

/* All in F32 and in the reference's order, so that its rounding is met: corners are spaced from both ends. */
static void
slaney(const struct mel *m)
{
	int bands = m->o.bands;
	float low = (float)mel_of(m->o.f_min), high = (float)mel_of(m->o.f_max);
	float step = (high - low) / (float)(bands + 1);

	for (int b = 0; b < bands; b++) {
		float p[3];
		for (int i = 0; i < 3; i++)
			p[i] = hertz_of(b + i < (bands + 2) / 2 ? fmaf(step, (float)(b + i), low)
			                                        : fmaf(-step, (float)(bands + 1 - b - i), high));
		for (int k = 0; k < m->bins; k++) {
			float f = (float)((double)k * (m->o.rate / 2.) / (m->bins - 1));
			float up = (f - p[0]) / (p[1] - p[0]), down = (p[2] - f) / (p[2] - p[1]);
			float v = up < down ? up : down;
			m->filters[(int64_t)k * bands + b] = v > 0.f ? v * (2.f / (p[2] - p[0])) : 0.f;
		}
	}
}

static enum status
check(const struct mel_options *o)
{
	if (o->n_fft < 16 || o->n_fft > 65536 || (o->n_fft & (o->n_fft - 1)))
		return ace_fail(ACE_EDATA, "n_fft %d, wanted a power of two, 16 to 65536", o->n_fft);
	if (o->hop < 1 || o->hop > o->n_fft || (o->n_fft - o->hop) % 2)
		return ace_fail(ACE_EDATA, "hop_length %d, wanted an even distance below n_fft %d", o->hop, o->n_fft);
	if (o->bands < 1 || o->bands > 4096 || o->rate < 1000 || o->rate > 768000)
		return ace_fail(ACE_EDATA, "%d mel bands at %d Hz, wanted 1 to 4096 bands, 1000 to 768000 Hz", o->bands, o->rate);
	if (!(o->f_min >= 0 && o->f_min < o->f_max && o->f_max <= o->rate / 2.))
		return ace_fail(ACE_EDATA, "mel bands from %g to %g Hz, wanted a range below half of %d", o->f_min, o->f_max,
		                o->rate);
	return ACE_OK;
}

enum status
mel_open(struct mel **out, const struct mel_options *o, const float *window, const float *filters)
{
	struct mel *m;
	enum status st;

	ACE_TRY(check(o));
	if (!(m = calloc(1, sizeof *m)))
		return ace_fail(ACE_ENOMEM, "no memory for the mel filters");
	m->o = *o;
	m->bins = o->n_fft / 2 + 1;
	size_t bands = (size_t)o->bands, bins = (size_t)m->bins;
	m->window = malloc((size_t)o->n_fft * sizeof *m->window);
	m->filters = malloc(bins * bands * sizeof *m->filters);
	m->packed = malloc(bins * bands * sizeof *m->packed);
	m->from = malloc(bands * sizeof *m->from);
	m->to = malloc(bands * sizeof *m->to);
	st = m->window && m->filters && m->packed && m->from && m->to ? fft_open(&m->fft, o->n_fft)
	                                                              : ace_fail(ACE_ENOMEM, "no memory for the mel filters");
	if (st) {
		mel_close(m);
		return st;
	}
	if (window)
		memcpy(m->window, window, (size_t)o->n_fft * sizeof *window);
	else
		for (int i = 0; i < o->n_fft; i++)
			m->window[i] = cosf((float)i * (float)(2 * M_PI / o->n_fft)) * -0.5f + 0.5f;
	if (filters)
		memcpy(m->filters, filters, bins * bands * sizeof *filters);
	else
		slaney(m);
	for (size_t b = 0; b < bands; b++) {
		m->from[b] = m->to[b] = 0;
		for (size_t k = 0; k < bins; k++) {
			float v = m->packed[b * bins + k] = m->filters[k * bands + b];
			if (v != 0.f && m->to[b] == 0)
				m->from[b] = (int)k;
			if (v != 0.f)
				m->to[b] = (int)k + 1;
		}
	}
	*out = m;
	return ACE_OK;
}

void
mel_close(struct mel *m)
{
	if (m) {
		fft_close(&m->fft);
		free(m->window);
		free(m->filters);
		free(m->packed);
		free(m->from);
		free(m->to);
		free(m);
	}
}

const float *
mel_window(const struct mel *m)
{
	return m->window;
}

const float *
mel_filters(const struct mel *m)
{
	return m->filters;
}

int64_t
mel_padding(const struct mel *m)
{
	return (m->o.n_fft - m->o.hop) / 2;
}

/* Magnitudes of the frame that begins at sample `at` of the wave, at may be before its start. */
static void
frame(const struct mel *m, const float *wave, int64_t n, int64_t at, float *magnitude, double *work)
{
	double *x = work, *re = x + m->o.n_fft, *im = re + m->bins;

	for (int64_t i = 0; i < m->o.n_fft; i++) {
		int64_t j = at + i;
		j = j < 0 ? -j : j >= n ? 2 * n - 2 - j : j;
		x[i] = (double)(wave[j] * m->window[i]);
	}
	fft_real(&m->fft, re, im, x, im + m->bins);
	for (int k = 0; k < m->bins; k++)
		magnitude[k] = sqrtf((float)(re[k] * re[k] + im[k] * im[k]) + 1e-6f);
}

enum status
mel_spectra(const struct mel *m, const float *wave, int64_t n, float *magnitude, float *sums, float *logs)
{
	int64_t frames = n / m->o.hop, pad = mel_padding(m);
	bool memory = true;

	assert(n % m->o.hop == 0 && n > pad);
#pragma omp parallel
	{
		double *work = malloc(((size_t)m->o.n_fft + 3 * (size_t)m->bins + (size_t)fft_work(&m->fft)) * sizeof *work);
		float *line = malloc((size_t)m->bins * sizeof *line);
		if (!work || !line) {
#pragma omp atomic write
			memory = false;
		}
#pragma omp barrier
#pragma omp for schedule(static)
		for (int64_t f = 0; f < frames; f++) {
			if (!memory)
				continue;
			frame(m, wave, n, f * m->o.hop - pad, line, work);
			for (int k = 0; magnitude && k < m->bins; k++)
				magnitude[k * frames + f] = line[k];
			for (int b = 0; b < m->o.bands; b++) {
				const float *w = m->packed + (int64_t)b * m->bins;
				float s = 0;
				for (int k = m->from[b]; k < m->to[b]; k++)
					s += w[k] * line[k];
				if (sums)
					sums[b * frames + f] = s;
				if (logs)
					logs[b * frames + f] = logf(s > 1e-5f ? s : 1e-5f);
			}
		}
		free(work);
		free(line);
	}
	return memory ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for the spectra");
}

void
mel_normalise(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = ((x[i] - MEL_MIN) / (MEL_MAX - MEL_MIN) - 0.5f) / 0.5f;
}

void
mel_denormalise(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = (x[i] * 0.5f + 0.5f) * (MEL_MAX - MEL_MIN) + MEL_MIN;
}
