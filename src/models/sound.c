/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sound.h"

#include "audio/mel.h"
#include "audio/resample.h"
#include "base/file.h"
#include "kernels/kernels.h"
#include "models/codec.h"

#include <stdlib.h>
#include <string.h>

enum {
	MODEL_RATE = 44100, HOP = 512, GROW = 8, FRAME = HOP * GROW,
	WINDOW = 512, MARGIN = 128, STEP = WINDOW - 2 * MARGIN,		/* latent frames */
	BLOCK = 512, OVERLAP = 1024, FADE = 128,			/* mel frames; samples */
	BLOCK_SAMPLES = BLOCK * HOP, BLOCK_STEP = BLOCK_SAMPLES - 2 * OVERLAP,
};

/* --- opening --- */

static enum status
open_parts(struct sound *m, const char *autoencoder, const char *vocoder, struct dev *d)
{
	const struct dcae_config *c = &m->dcae.config;

	ACE_TRY(dcae_decoder_open(&m->dcae, autoencoder, d));
	if (c->channels != 2 || 1 << (c->decoder.stages - 1) != GROW)
		return ace_fail(ACE_ECONFIG, "%s: %d channels grown %d times are not supported, only 2 and %d", autoencoder, c->channels,
		                1 << (c->decoder.stages - 1), GROW);
	ACE_TRY(vocoder_open(&m->vocoder, vocoder, d));
	if (m->vocoder.config.mel.rate != MODEL_RATE || m->vocoder.config.mel.hop != HOP)
		return ace_fail(ACE_ECONFIG, "%s: %d Hz with a hop of %d is not supported, only %d with %d", vocoder,
		                m->vocoder.config.mel.rate, m->vocoder.config.mel.hop, MODEL_RATE, HOP);
	if (m->vocoder.config.mel.bands % GROW)
		return ace_fail(ACE_ECONFIG, "%s: n_mels %d is no multiple of %d", vocoder, m->vocoder.config.mel.bands, GROW);
	return ACE_OK;
}

enum status
sound_open(struct sound *m, const char *model_folder, struct dev *d)
{
	char *autoencoder = file_path("%s/music_dcae_f8c8", model_folder), *vocoder = file_path("%s/music_vocoder", model_folder);
	enum status st;

	*m = (struct sound){ .dev = d };
	st = autoencoder && vocoder ? open_parts(m, autoencoder, vocoder, d) : ace_fail(ACE_ENOMEM, "no memory for file names");
	if (st != ACE_OK)
		sound_close(m);
	free(autoencoder);
	free(vocoder);
	return st;
}

void
sound_close(struct sound *m)
{
	if (m->memory)
		m->dev->m->free(m->dev, m->memory);
	vocoder_close(&m->vocoder);
	dcae_close(&m->dcae);
	*m = (struct sound){ 0 };
}

int
sound_channels(const struct sound *m)
{
	return m->dcae.config.latent;
}

int
sound_rows(const struct sound *m)
{
	return m->vocoder.config.mel.bands / GROW;
}

/* --- parts on the device --- */

/* mel [2, bands, 8 frames] of raw latents, both in the host's memory (NULL on the dry device). */
static void
decode(struct sound *m, struct dev *d, struct arena *act, const float *latent, int64_t frames, float *mel)
{
	struct ctx c = { .dev = d, .act = act };
	size_t mark = arena_mark(act);
	struct tensor z = arena_tensor(act, F32, 3, sound_channels(m), sound_rows(m), frames);
	struct tensor y = arena_tensor(act, F32, 3, 2, m->vocoder.config.mel.bands, frames * GROW);

	d->m->upload(d, z.data, latent, tensor_bytes(z));
	dcae_decode(&c, &m->dcae, y, z);
	d->m->download(d, mel, y.data, tensor_bytes(y));
	arena_release(act, mark);
}

/* wave [512 frames] of one channel's log-mel [bands, frames]. */
static void
vocode(struct sound *m, struct dev *d, struct arena *act, const float *mel, int64_t frames, float *wave)
{
	struct ctx c = { .dev = d, .act = act };
	size_t mark = arena_mark(act);
	struct tensor x = arena_tensor(act, F32, 2, m->vocoder.config.mel.bands, frames);
	struct tensor y = arena_tensor(act, F32, 2, 1, frames * HOP);

	d->m->upload(d, x.data, mel, tensor_bytes(x));
	vocoder_run(&c, &m->vocoder, y, x);
	d->m->download(d, wave, y.data, tensor_bytes(y));
	arena_release(act, mark);
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

size_t
sound_memory(const struct sound *m, int64_t frames, bool chunked)
{
	struct sound dry = *m;
	struct arena act = { 0 };
	struct dev d;

	if (dev_open(&d, DEV_DRY, 1))
		return 0;
	kernels_attach(&d);
	dry.dcae.tap = NULL;
	dry.vocoder.tap = NULL;
	decode(&dry, &d, &act, NULL, chunked ? least(frames, WINDOW) : frames, NULL);
	vocode(&dry, &d, &act, NULL, chunked ? BLOCK : frames * GROW, NULL);
	dev_close(&d);
	return act.peak;
}

static enum status
enough_memory(struct sound *m, int64_t frames, bool chunked)
{
	size_t bytes = sound_memory(m, frames, chunked);

	if (bytes <= m->size)
		return ACE_OK;
	if (m->memory)
		m->dev->m->free(m->dev, m->memory);
	m->memory = m->dev->m->alloc(m->dev, bytes);
	m->size = m->memory ? bytes : 0;
	if (m->memory)
		return ACE_OK;
	return ace_fail(ACE_ENOMEM, "no memory to make %.0f s of sound: %zu MiB are needed%s", (double)frames * FRAME / MODEL_RATE,
	                bytes >> 20, chunked ? "" : "; in chunks it takes less");
}

/* --- latents to mel --- */

/* Columns from .. from+n-1 of rows lines of x, which are width long, to columns at .. of y, which are y_width long. */
static void
copy_columns(float *y, int64_t y_width, int64_t at, const float *x, int64_t width, int64_t from, int64_t n, int64_t rows)
{
	for (int64_t r = 0; r < rows; r++)
		memcpy(y + r * y_width + at, x + r * width + from, (size_t)n * sizeof *y);
}

/* Window after window of z; what lies in the margins between two of them is left out. */
static enum status
decode_windows(struct sound *m, struct arena *act, const float *z, int64_t frames, float *mel)
{
	int64_t lines = (int64_t)sound_channels(m) * sound_rows(m), bands = 2 * (int64_t)m->vocoder.config.mel.bands, at = 0;
	float *in = malloc((size_t)(lines * WINDOW) * sizeof *in), *out = malloc((size_t)(bands * WINDOW * GROW) * sizeof *out);
	enum status st = in && out ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a window of the mel");

	for (int64_t a = MARGIN; st == ACE_OK && (a == MARGIN || a < frames - MARGIN); a += STEP) {
		int64_t s = a - MARGIN, n = least(frames - s, WINDOW), from = a == MARGIN ? 0 : MARGIN * GROW;
		int64_t end = a + STEP < frames - MARGIN ? (n - MARGIN) * GROW : n * GROW;
		copy_columns(in, n, 0, z, frames, s, n, lines);
		decode(m, m->dev, act, in, n, out);
		copy_columns(mel, frames * GROW, at, out, n * GROW, from, end - from, bands);
		at += end - from;
		st = m->dev->status;
	}
	free(in);
	free(out);
	return st;
}

enum status
sound_mel(struct sound *m, const float *latent, int64_t frames, bool chunked, float *mel)
{
	int64_t n = (int64_t)sound_channels(m) * sound_rows(m) * frames;
	struct arena act;
	enum status st;
	float *z;

	if (frames < 1)
		return ace_fail(ACE_EDATA, "no latents to decode");
	ACE_TRY(enough_memory(m, frames, chunked));
	if (!(z = malloc((size_t)n * sizeof *z)))
		return ace_fail(ACE_ENOMEM, "no memory for latents");
	for (int64_t i = 0; i < n; i++)
		z[i] = latent[i] / CODEC_SCALE + CODEC_SHIFT;
	act = (struct arena){ .base = m->memory, .size = m->size };
	if (chunked) {
		st = decode_windows(m, &act, z, frames, mel);
	} else {
		decode(m, m->dev, &act, z, frames, mel);
		st = m->dev->status;
	}
	free(z);
	mel_denormalise(mel, 2 * m->vocoder.config.mel.bands * frames * GROW);
	return st;
}

/* --- mel to sound --- */

/* 512 frames of one channel's mel from frame `from` on, zeros behind its end. */
static void
block_of(const float *mel, int64_t frames, int64_t from, int64_t bands, float *block)
{
	int64_t n = least(frames - from, BLOCK);

	memset(block, 0, (size_t)(bands * BLOCK) * sizeof *block);
	copy_columns(block, BLOCK, 0, mel, frames, from, n, bands);
}

/* Blocks of one channel, cross-faded, into wave [512 frames]. */
static void
vocode_blocks(struct sound *m, struct arena *act, const float *mel, int64_t frames, float *wave, float *block, float *fresh)
{
	int64_t total = frames * HOP, bands = m->vocoder.config.mel.bands;

	for (int64_t p = 0; p == 0 || p < total; p += BLOCK_STEP) {
		int64_t from = p ? OVERLAP : 0, to = p && p + BLOCK_STEP >= total ? BLOCK_SAMPLES : BLOCK_SAMPLES - OVERLAP;
		block_of(mel, frames, p / HOP, bands, block);
		vocode(m, m->dev, act, block, BLOCK, fresh);
		for (int64_t i = 0; p && i < FADE; i++) {
			float by = (float)i / (float)(FADE - 1);
			int64_t at = p + OVERLAP - FADE + i;
			if (at < total)
				wave[at] = wave[at] * (1.f - by) + fresh[OVERLAP - FADE + i] * by;
		}
		if (p + from < total)
			memcpy(wave + p + from, fresh + from, (size_t)least(to - from, total - p - from) * sizeof *wave);
	}
}

static enum status
vocode_all(struct sound *m, const float *mel, int64_t frames, bool chunked, float *wave)
{
	struct arena act = { .base = m->memory, .size = m->size };
	int64_t bands = m->vocoder.config.mel.bands;
	float *block = NULL, *fresh = NULL;

	if (chunked) {
		block = malloc((size_t)(bands * BLOCK) * sizeof *block);
		fresh = malloc(BLOCK_SAMPLES * sizeof *fresh);
		if (!block || !fresh) {
			free(block);
			free(fresh);
			return ace_fail(ACE_ENOMEM, "no memory for a block of sound");
		}
	}
	for (int c = 0; c < 2; c++) {
		if (chunked)
			vocode_blocks(m, &act, mel + c * bands * frames, frames, wave + c * frames * HOP, block, fresh);
		else
			vocode(m, m->dev, &act, mel + c * bands * frames, frames, wave + c * frames * HOP);
	}
	free(block);
	free(fresh);
	return m->dev->status;
}

/* [2][n] at 44.1 kHz -> *out [2][*n_out] at rate; wave is freed, or is *out. */
static enum status
at_rate(float *wave, int64_t n, bool chunked, int rate, float **out, int64_t *n_out)
{
	int64_t have = resample_length(MODEL_RATE, rate, n), want = (int64_t)((double)n * rate / MODEL_RATE);
	struct resampler *r;
	enum status st;

	*out = wave;
	*n_out = n;
	if (rate == MODEL_RATE)
		return ACE_OK;
	if ((st = resampler_open(&r, MODEL_RATE, rate)) == ACE_OK) {
		*out = malloc(2 * (size_t)have * sizeof **out);
		if (!*out)
			st = ace_fail(ACE_ENOMEM, "no memory for %lld samples of sound", (long long)have);
		for (int c = 0; c < 2 && st == ACE_OK; c++)
			resample(r, *out + c * have, wave + c * n, n);
		resampler_close(r);
	}
	free(wave);
	if (st != ACE_OK)
		return st;
	*n_out = have;
	if (chunked && want < have) {		/* its own rule of lengths */
		memmove(*out + want, *out + have, (size_t)want * sizeof **out);
		*n_out = want;
	}
	return ACE_OK;
}

enum status
sound_decode(struct sound *m, const float *latent, int64_t frames, bool chunked, int rate, float **left_right, int64_t *n)
{
	size_t mel_count = 2 * (size_t)m->vocoder.config.mel.bands * (size_t)(frames > 0 ? frames : 0) * GROW;
	float *mel = malloc(mel_count * sizeof *mel + 1), *wave = malloc(2 * (size_t)(frames > 0 ? frames : 0) * FRAME * sizeof *wave + 1);
	enum status st = mel && wave ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for %lld latent frames of sound", (long long)frames);

	*left_right = NULL;
	*n = 0;
	if (st == ACE_OK)
		st = sound_mel(m, latent, frames, chunked, mel);
	if (st == ACE_OK)
		st = vocode_all(m, mel, frames * GROW, chunked, wave);
	free(mel);
	if (st != ACE_OK) {
		free(wave);
		return st;
	}
	st = at_rate(wave, frames * FRAME, chunked, rate, left_right, n);
	if (st != ACE_OK)
		*left_right = NULL;
	return st;
}
