/* SPDX-License-Identifier: Apache-2.0 */
/* codec.h - prepared audio -> scaled latents: resampling, log-mel and the autoencoder (audio_codec.md sections 3 to 6) */
#ifndef ACE_MODELS_CODEC_H
#define ACE_MODELS_CODEC_H

#include "models/dcae.h"

#define CODEC_SCALE 0.1786f
#define CODEC_SHIFT (-1.9091f)

struct mel;
struct resampler;

struct codec {
	struct dcae dcae;
	struct mel *mel;		/* window and filterbank, as the vocoder file stores them where it does; owned */
	struct resampler *to_model;	/* 48 -> 44.1 kHz; owned */
	struct dev *dev;
	int bands;			/* mel bins */
	bool stored_buffers;		/* the vocoder file had them */
	void *memory;			/* of the last encode; owned, grows */
	size_t size;
	char hash[65];
};

/* model_folder holds music_dcae_f8c8/ and music_vocoder/. A vocoder folder whose file lacks the mel buffers will do; one
 * that is missing will not. dtype: of the autoencoder (dcae.h). */
enum status codec_open(struct codec *c, const char *model_folder, enum dtype dtype, struct dev *d) ACE_NODISCARD;
void codec_close(struct codec *c);

/* Latent frames T of n48 samples at 48 kHz, and the frames of real audio in them that upstream counts (latent_length). Both by
 * the reference's single precision arithmetic (section 6, Lengths). */
int64_t codec_frames(int64_t n48);
int64_t codec_real_frames(int64_t n48);

/* One clip, alone.
 *   left_right  [2][n48] at 48 kHz, prepared (audio/prepare.h): n48 > 836
 *   latent      [latent, rows, T] out, (z - shift) * scale; [8, 16, T] of the real model */
enum status codec_encode(struct codec *c, const float *left_right, int64_t n48, float *latent) ACE_NODISCARD;

/* The same in two steps: what the autoencoder is given, *mel, the caller's to free, which several threads may make at once; and its
 * pass over that. */
enum status codec_mel(const struct codec *c, const float *left_right, int64_t n48, float **mel) ACE_NODISCARD;
enum status codec_encode_mel(struct codec *c, const float *mel, int64_t n48, float *latent) ACE_NODISCARD;

/* Rows and channels of a latent. */
int codec_channels(const struct codec *c);
int codec_rows(const struct codec *c);

/* SHA-256 over the autoencoder's weights and the mel buffers: what a cache records; borrowed. */
const char *codec_hash(const struct codec *c);
/* The same of a folder that is not opened for encoding. */
enum status codec_hash_of(const char *model_folder, char hex[65]) ACE_NODISCARD;

/* Bytes of working memory that encoding n48 samples takes, by a dry run. */
size_t codec_memory(const struct codec *c, int64_t n48);
#endif
