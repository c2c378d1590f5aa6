/* SPDX-License-Identifier: Apache-2.0 */
/* resample.h - windowed-sinc resampling as the reference does it (audio_codec.md section 3)
 *
 * Hann-squared window, 6 zero crossings a side, rolloff 0.99; the phase is rounded to F32 as in the reference. Taps that
 * the window makes exactly 0 are left out. Results do not depend on the number of threads. */
#ifndef ACE_AUDIO_RESAMPLE_H
#define ACE_AUDIO_RESAMPLE_H

#include "base/status.h"

#include <stdint.h>

struct resampler;

/* from, to: rates in Hz, 1 .. 2^24. Equal rates copy. */
enum status resampler_open(struct resampler **r, int from, int to) ACE_NODISCARD;
void resampler_close(struct resampler *r);

/* Samples that come of n, by the reference's single precision rule. */
int64_t resample_length(int from, int to, int64_t n);

/* y [resample_length(from, to, n)], x [n]; not the same memory. */
void resample(const struct resampler *r, float *y, const float *x, int64_t n);

/* The kernel as the reference keeps it: phases, taps a phase, entry (phase, tap). */
int resampler_phases(const struct resampler *r);
int resampler_taps(const struct resampler *r);
float resampler_tap(const struct resampler *r, int phase, int tap);
#endif
