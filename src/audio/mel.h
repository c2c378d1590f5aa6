/* SPDX-License-Identifier: Apache-2.0 */
/* mel.h - log-mel of a wave as the codec wants it (audio_codec.md section 4) */
#ifndef ACE_AUDIO_MEL_H
#define ACE_AUDIO_MEL_H

#include "base/status.h"

#include <stdint.h>

/* Range of log-mels that maps to [-1, 1] of the autoencoder. */
#define MEL_MIN (-11.f)
#define MEL_MAX 3.f

struct mel_options {
	int rate;			/* Hz; 44100 */
	int n_fft, hop;			/* 2048, a power of two; 512, even number left: (n_fft - hop) / 2 is the padding */
	int bands;			/* 128 */
	double f_min, f_max;		/* Hz; 40, 16000 */
};

struct mel;

/* window [n_fft] and filters [n_fft/2 + 1][bands] as a file stores them, or NULL: computed (periodic Hann; Slaney scale and
 * area normalisation). Options out of range: ACE_EDATA. */
enum status mel_open(struct mel **m, const struct mel_options *o, const float *window, const float *filters) ACE_NODISCARD;
void mel_close(struct mel *m);

/* The buffers in use; borrowed. */
const float *mel_window(const struct mel *m);
const float *mel_filters(const struct mel *m);

/* Samples mirrored at each end of a wave: (n_fft - hop) / 2. */
int64_t mel_padding(const struct mel *m);

/* Spectra of one channel; each output may be NULL. Frame f covers samples hop f - padding ... of the wave, reflected at its
 * ends; n is a multiple of hop and larger than mel_padding; F = n / hop. Results do not depend on the number of threads.
 *   magnitude  [n_fft/2 + 1][F]  sqrt(re^2 + im^2 + 1e-6)
 *   sums       [bands][F]        magnitudes through the filters
 *   logs       [bands][F]        ln of the sums, floor 1e-5 */
enum status mel_spectra(const struct mel *m, const float *wave, int64_t n, float *magnitude, float *sums,
                        float *logs) ACE_NODISCARD;

/* Log-mel to the autoencoder's range and back, in place; not clamped. */
void mel_normalise(float *x, int64_t n);
void mel_denormalise(float *x, int64_t n);
#endif
