/* SPDX-License-Identifier: Apache-2.0 */
/* A clip to begin from (sampling.md section 6): a sound file by way of the autoencoder, or a latent as it was written. */
#include "jobs/generate_parts.h"

#include "audio/decode.h"
#include "audio/prepare.h"
#include "models/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status
read_latent(const char *path, float **x, int64_t *frames)
{
	const struct st_entry *e;
	struct st_file f;
	enum status st = ACE_OK;

	ACE_TRY(st_open(&f, path));
	e = st_find(&f, "latents");
	if (!e || e->value.dtype != F32 || e->value.rank != 3 || e->value.dim[0] != DIT_CHANNELS || e->value.dim[1] != DIT_ROWS ||
	    e->value.dim[2] < 1)
		st = ace_fail(ACE_EDATA, "%s: wanted a tensor latents of F32, %d x %d x frames, as ace-generate writes it", path, DIT_CHANNELS,
		              DIT_ROWS);
	if (st == ACE_OK) {
		*frames = e->value.dim[2];
		*x = malloc(tensor_bytes(e->value));
		if (!*x)
			st = ace_fail(ACE_ENOMEM, "%s: no memory for a latent", path);
		else
			memcpy(*x, e->value.data, tensor_bytes(e->value));
	}
	st_close(&f);
	return st;
}

static enum status
encode(const struct generate_job *j, struct dev *d, const struct clip *sound, float **x, int64_t *frames)
{
	struct codec c;
	enum status st = ACE_OK;

	ACE_TRY(codec_open(&c, j->codec ? j->codec : j->model, F32, d));
	*frames = codec_frames(sound->n);
	if (codec_channels(&c) != DIT_CHANNELS || codec_rows(&c) != DIT_ROWS)
		st = ace_fail(ACE_ECONFIG, "the autoencoder has latents of %d x %d, the transformer of %d x %d", codec_channels(&c),
		              codec_rows(&c), DIT_CHANNELS, DIT_ROWS);
	if (st == ACE_OK && !(*x = malloc((size_t)(DIT_CHANNELS * DIT_ROWS * *frames) * sizeof **x)))
		st = ace_fail(ACE_ENOMEM, "%s: no memory for a latent", j->reference);
	if (st == ACE_OK)
		st = codec_encode(&c, sound->data, sound->n, *x);
	codec_close(&c);
	return st;
}

static enum status
read_sound(const struct generate_job *j, struct dev *d, float **x, int64_t *frames)
{
	struct clip raw, sound;
	enum status st;

	ACE_TRY(audio_decode(j->reference, &raw));
	st = audio_prepare(&raw, NULL, &sound, NULL);
	clip_free(&raw);
	if (st != ACE_OK)
		return ace_fail_prefix(st, "%s: ", j->reference);
	st = encode(j, d, &sound, x, frames);
	clip_free(&sound);
	return st;
}

enum status
generate_reference(const struct generate_job *j, struct dev *d, float **x, int64_t *frames)
{
	size_t n = strlen(j->reference), m = strlen(".safetensors");

	*x = NULL;
	if (n > m && strcmp(j->reference + n - m, ".safetensors") == 0)
		ACE_TRY(read_latent(j->reference, x, frames));
	else
		ACE_TRY(read_sound(j, d, x, frames));
	for (int64_t i = 0; i < DIT_CHANNELS * DIT_ROWS * *frames; i++)
		if (!isfinite((*x)[i])) {
			free(*x);
			*x = NULL;
			return ace_fail(ACE_EDATA, "%s: its latent has numbers that are not finite", j->reference);
		}
	return ACE_OK;
}
