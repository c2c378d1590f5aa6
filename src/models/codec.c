/* SPDX-License-Identifier: Apache-2.0 */
#include "models/codec.h"

#include "audio/mel.h"
#include "audio/resample.h"
#include "base/file.h"
#include "base/sha256.h"
#include "kernels/kernels.h"
#include "models/vocoder_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 48000, MODEL_RATE = 44100, HOP = 512, SHRINK = 8, FRAME = HOP * SHRINK };

int64_t
codec_frames(int64_t n48)
{
	return (resample_length(RATE, MODEL_RATE, n48) + FRAME - 1) / FRAME;
}

int64_t
codec_real_frames(int64_t n48)
{
	float seconds = (float)n48 / (float)RATE;
	float frames = seconds * (float)MODEL_RATE / (float)HOP;

	return (int64_t)(frames / (float)SHRINK);
}

/* The buffers that the vocoder file carries, which define the mel wherever they are. */
static enum status
open_mel(struct codec *c, const char *folder)
{
	static const char *const names[2] = { "mel_transform.spectrogram.window", "mel_transform.mel_scale.fb" };
	struct mel_options o;
	struct weights w = { 0 };
	struct tensor buffer[2] = { { 0 }, { 0 } };
	enum status st;

	ACE_TRY(vocoder_config_read(&o, folder));
	if (o.rate != MODEL_RATE || o.hop != HOP)
		return ace_fail(ACE_ECONFIG, "%s: %d Hz with a hop of %d is not supported, only %d with %d", folder, o.rate, o.hop,
		                MODEL_RATE, HOP);
	ACE_TRY(weights_open(&w, folder));
	int64_t dims[2][TENSOR_RANK] = { { o.n_fft }, { o.n_fft / 2 + 1, o.bands } };
	st = ACE_OK;
	for (int i = 0; i < 2 && st == ACE_OK; i++)
		if (weights_find(&w, names[i])) {
			st = weights_get(&w, names[i], F32, i + 1, dims[i], &buffer[i]);
			c->stored_buffers = true;
		}
	if (st == ACE_OK)
		st = mel_open(&c->mel, &o, buffer[0].data, buffer[1].data);
	c->bands = o.bands;
	if (st == ACE_OK) {
		struct sha256 s;
		char hex[65];
		st = weights_hash(&c->dcae.weights, hex);
		sha256_init(&s);
		sha256_add(&s, hex, 64);
		sha256_add(&s, mel_window(c->mel), (size_t)o.n_fft * sizeof(float));
		sha256_add(&s, mel_filters(c->mel), (size_t)(o.n_fft / 2 + 1) * (size_t)o.bands * sizeof(float));
		sha256_hex(&s, c->hash);
	}
	weights_close(&w);
	return st;
}

static enum status
open_parts(struct codec *c, const char *model_folder, enum dtype dtype, struct dev *d)
{
	char *autoencoder = file_path("%s/music_dcae_f8c8", model_folder);
	char *vocoder = file_path("%s/music_vocoder", model_folder);
	int shrink;
	enum status st;

	st = autoencoder && vocoder ? dcae_open(&c->dcae, autoencoder, dtype, d) : ace_fail(ACE_ENOMEM, "no memory for file names");
	if (st)
		goto done;
	shrink = 1 << (c->dcae.config.encoder.stages - 1);
	if (c->dcae.config.channels != 2 || shrink != SHRINK) {
		st = ace_fail(ACE_ECONFIG, "%s: %d channels shrunk %d times are not supported, only 2 and %d", autoencoder,
		              c->dcae.config.channels, shrink, SHRINK);
		goto done;
	}
	if ((st = open_mel(c, vocoder)))
		goto done;
	if (c->bands % SHRINK) {
		st = ace_fail(ACE_ECONFIG, "%s: n_mels %d is no multiple of %d", vocoder, c->bands, SHRINK);
		goto done;
	}
	st = resampler_open(&c->to_model, RATE, MODEL_RATE);
done:
	free(autoencoder);
	free(vocoder);
	return st;
}

enum status
codec_open(struct codec *c, const char *model_folder, enum dtype dtype, struct dev *d)
{
	enum status st;

	*c = (struct codec){ .dev = d };
	if ((st = open_parts(c, model_folder, dtype, d)))
		codec_close(c);
	return st;
}

void
codec_close(struct codec *c)
{
	if (c) {
		if (c->memory)
			c->dev->m->free(c->dev, c->memory);
		resampler_close(c->to_model);
		mel_close(c->mel);
		dcae_close(&c->dcae);
		*c = (struct codec){ 0 };
	}
}

int
codec_channels(const struct codec *c)
{
	return c->dcae.config.latent;
}

int
codec_rows(const struct codec *c)
{
	return c->bands / SHRINK;
}

const char *
codec_hash(const struct codec *c)
{
	return c->hash;
}

enum status
codec_hash_of(const char *model_folder, char hex[65])
{
	char *autoencoder = file_path("%s/music_dcae_f8c8", model_folder);
	char *vocoder = file_path("%s/music_vocoder", model_folder);
	struct codec c = { 0 };
	enum status st;

	st = autoencoder && vocoder ? weights_open(&c.dcae.weights, autoencoder)
	                            : ace_fail(ACE_ENOMEM, "no memory for file names");
	if (st == ACE_OK)
		st = open_mel(&c, vocoder);
	memcpy(hex, c.hash, sizeof c.hash);
	mel_close(c.mel);
	weights_close(&c.dcae.weights);
	free(autoencoder);
	free(vocoder);
	return st;
}

/* The encoder on d, all its memory from act: mel and latent first. */
static struct tensor
encode(struct codec *c, struct dev *d, struct arena *act, int64_t frames, const float *mel)
{
	struct ctx ctx = { .dev = d, .act = act };
	struct tensor z = arena_tensor(act, F32, 3, codec_channels(c), codec_rows(c), frames);
	struct tensor x = arena_tensor(act, F32, 3, 2, c->bands, frames * SHRINK);

	d->m->upload(d, x.data, mel, tensor_bytes(x));
	dcae_encode(&ctx, &c->dcae, z, x);
	return z;
}

size_t
codec_memory(const struct codec *c, int64_t n48)
{
	struct codec dry = *c;
	struct arena act = { 0 };
	struct dev d;

	if (dev_open(&d, DEV_DRY, 1))
		return 0;
	kernels_attach(&d);
	dry.dcae.tap = NULL;
	encode(&dry, &d, &act, codec_frames(n48), NULL);
	dev_close(&d);
	return act.peak;
}

/* [2][n48] at 48 kHz -> normalised log-mel [2][bands][8 frames]. */
static enum status
log_mel(const struct codec *c, const float *left_right, int64_t n48, int64_t frames, float *mel)
{
	int64_t n = frames * FRAME, size = c->bands * frames * SHRINK;
	float *wave = calloc((size_t)n, sizeof *wave);		/* zeros behind the end */
	enum status st = ACE_OK;

	if (!wave)
		return ace_fail(ACE_ENOMEM, "no memory for %lld samples of sound", (long long)n);
	for (int i = 0; i < 2 && st == ACE_OK; i++) {
		resample(c->to_model, wave, left_right + i * n48, n48);
		st = mel_spectra(c->mel, wave, n, NULL, NULL, mel + i * size);
	}
	free(wave);
	mel_normalise(mel, 2 * size);
	return st;
}

enum status
codec_mel(const struct codec *c, const float *left_right, int64_t n48, float **mel)
{
	int64_t frames = codec_frames(n48);
	enum status st;

	*mel = NULL;
	if (n48 < 1)
		return ace_fail(ACE_EDATA, "no samples to encode");
	*mel = malloc(2 * (size_t)c->bands * (size_t)(frames * SHRINK) * sizeof **mel);
	st = *mel ? log_mel(c, left_right, n48, frames, *mel) : ace_fail(ACE_ENOMEM, "no memory for the log-mel");
	if (st != ACE_OK) {
		free(*mel);
		*mel = NULL;
	}
	return st;
}

/* Memory for a pass over n48 samples. */
static enum status
enough_memory(struct codec *c, int64_t n48)
{
	size_t bytes = codec_memory(c, n48);

	if (bytes <= c->size)
		return ACE_OK;
	if (c->memory)
		c->dev->m->free(c->dev, c->memory);
	c->memory = c->dev->m->alloc(c->dev, bytes);
	c->size = c->memory ? bytes : 0;
	if (c->memory || dev_is_dry(c->dev))
		return ACE_OK;
	return ace_fail(ACE_ENOMEM, "no memory to encode %.0f s of sound: %zu MiB are needed", (double)n48 / RATE, bytes >> 20);
}

enum status
codec_encode_mel(struct codec *c, const float *mel, int64_t n48, float *latent)
{
	struct arena act = { 0 };
	struct tensor z;
	int64_t count;

	ACE_TRY(enough_memory(c, n48));
	act.base = c->memory;
	act.size = c->size;
	z = encode(c, c->dev, &act, codec_frames(n48), mel);
	c->dev->m->download(c->dev, latent, z.data, tensor_bytes(z));
	count = tensor_count(z);
	for (int64_t i = 0; i < count; i++)
		latent[i] = (latent[i] - CODEC_SHIFT) * CODEC_SCALE;
	return c->dev->status;		/* the message was kept when it failed */
}

enum status
codec_encode(struct codec *c, const float *left_right, int64_t n48, float *latent)
{
	enum status st;
	float *mel;

	ACE_TRY(codec_mel(c, left_right, n48, &mel));
	st = codec_encode_mel(c, mel, n48, latent);
	free(mel);
	return st;
}
