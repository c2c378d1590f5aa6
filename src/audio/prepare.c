/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/prepare.h"

#include "audio/resample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t
prepare_window(double seconds, int rate, int64_t n)
{
	double want = nearbyint(seconds * rate);	/* half to even */

	return want >= (double)n ? n : want < 1 ? 1 : (int64_t)want;
}

/* The first two channels of the window, at 48 kHz, into out's [2][room]. */
static enum status
to_48k(const struct clip *in, int64_t from, int64_t n, struct clip *out, int64_t room)
{
	struct resampler *r;

	ACE_TRY(resampler_open(&r, in->rate, PREPARE_RATE));
	for (int c = 0; c < 2; c++) {
		if (c == 1 && in->channels == 1)
			memcpy(out->data + room, out->data, (size_t)room * sizeof *out->data);
		else
			resample(r, out->data + c * room, in->data + c * in->n + from, n);
	}
	resampler_close(r);
	return ACE_OK;
}

/* Clamp to +-1; false when there is a sample that is no number. */
static bool
clamp(float *x, int64_t n)
{
	bool numbers = true;

	for (int64_t i = 0; i < n; i++) {
		numbers &= x[i] == x[i];
		x[i] = x[i] < -1.f ? -1.f : x[i] > 1.f ? 1.f : x[i];
	}
	return numbers;
}

enum status
audio_prepare(const struct clip *in, const struct prepare_options *o, struct clip *out, int64_t *n_before)
{
	int64_t from = 0, n = in->n, n48, padded, zeros = 0;
	enum status st;

	*out = (struct clip){ .channels = 2, .rate = PREPARE_RATE, .cut = in->cut, .short_data = in->short_data,
	                      .reason = AUDIO_DECODE_FAILED };
	memcpy(out->codec, in->codec, sizeof out->codec);
	if (o && o->seconds > 0) {
		n = prepare_window(o->seconds, in->rate, in->n);
		switch (o->mode) {
		case TRUNCATE_BEGINNING: break;
		case TRUNCATE_END: from = in->n - n; break;
		case TRUNCATE_RANDOM: from = (int64_t)rng_below(o->rng, 0, (uint64_t)(in->n - n) + 1); break;
		}
	}
	n48 = resample_length(in->rate, PREPARE_RATE, n);
	padded = n48 < PREPARE_MIN ? PREPARE_MIN : n48;
	out->data = calloc(2 * (size_t)padded, sizeof *out->data);
	if (!out->data)
		return ace_fail(ACE_ENOMEM, "no memory for %lld samples of sound", (long long)padded);
	out->n = n48;
	if ((st = to_48k(in, from, n, out, n48)))
		goto fail;
	if (!clamp(out->data, 2 * n48)) {
		st = ace_fail(ACE_EDATA, "samples that are not numbers");
		goto fail;
	}
	if (padded > n48) {
		memmove(out->data + padded, out->data + n48, (size_t)n48 * sizeof *out->data);
		memset(out->data + n48, 0, (size_t)(padded - n48) * sizeof *out->data);
		memset(out->data + padded + n48, 0, (size_t)(padded - n48) * sizeof *out->data);
	}
	for (int64_t i = 0; i < padded; i++)
		zeros += out->data[i] == 0.f && out->data[padded + i] == 0.f;
	if ((float)zeros / (float)padded > 0.95f) {
		st = ace_fail(ACE_EDATA, "silent: %.1f %% of it is zero, at most 95 %% may be",
		              100. * (double)zeros / (double)padded);
		out->reason = AUDIO_SILENT;
		goto fail;
	}
	out->n = padded;
	if (padded > PREPARE_MAX) {
		memmove(out->data + PREPARE_MAX, out->data + padded, PREPARE_MAX * sizeof *out->data);
		out->n = PREPARE_MAX;
	}
	if (n_before)
		*n_before = n48;
	out->reason = AUDIO_OK;
	return ACE_OK;
fail:
	clip_free(out);		/* keeps the reason */
	return st;
}
