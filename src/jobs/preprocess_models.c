/* SPDX-License-Identifier: Apache-2.0 */
/* The models that preparation uses, and what stores say of them. */
#include "jobs/preprocess_parts.h"

#include "base/file.h"
#include "base/hub.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "data/dataset_settings.h"
#include "jobs/device.h"
#include "jobs/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SHA-256 of the tokenizer's file, whichever of the two there is. */
static enum status
hash_tokenizer(struct prep *p, const char *folder)
{
	static const char *const names[] = { "tokenizer.json", "spiece.model" };
	enum status st = ACE_OK;

	for (int i = 0; i < 2; i++) {
		char *path = file_path("%s/%s", folder, names[i]);
		bool there = path && file_exists(path);
		if (!path)
			st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
		else if (there)
			st = sha256_file(path, p->tokenizer_hash);
		free(path);
		if (there || st != ACE_OK)
			break;
	}
	return st;
}

static enum status
open_encoder(struct prep *p)
{
	char *folder = file_path("%s/umt5-base", p->job->model);
	enum status st = folder ? unigram_open(&p->unigram, folder) : ace_fail(ACE_ENOMEM, "no memory for file names");

	if (st == ACE_OK)
		st = hash_tokenizer(p, folder);
	/* in F32: the cache is made once (text.md section 1.3) */
	if (st == ACE_OK && (st = umt5_open(&p->umt5, folder, F32, &p->dev)) == ACE_OK)
		p->umt5_open = true;
	if (st == ACE_OK && unigram_size(&p->unigram) > p->umt5.config.rows)
		st = ace_fail(ACE_ECONFIG, "%s: the tokenizer gives ids up to %d, the encoder has %lld", folder,
		              unigram_size(&p->unigram) - 1, (long long)p->umt5.config.rows);
	if (st == ACE_OK && !umt5_hash(&p->umt5))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	free(folder);
	return st;
}

static enum status
open_device(struct prep *p)
{
	if (!file_is_dir(p->job->model))
		return ace_fail(ACE_ENOINPUT, "%s: no such model folder", p->job->model);
	ACE_TRY(device_open(&p->dev, p->job->device, p->job->threads, ranks_device(p->comm)));
	p->dev_open = true;
	return ACE_OK;
}

/* A processor would take the bf16 kernels' plain formulas: slower than fp32 by far. */
static enum status
open_codec(struct prep *p)
{
	if (p->job->bf16_codec && p->dev.kind == DEV_CPU)
		return ace_fail(ACE_ECONFIG, "vae_dtype=bf16 is for device=cuda; a processor encodes in fp32");
	return codec_open(&p->codec, p->job->codec ? p->job->codec : p->job->model, p->job->bf16_codec ? BF16 : F32, &p->dev);
}

enum status
prep_open_codec(struct prep *p)
{
	ACE_TRY(open_device(p));
	return open_codec(p);
}

enum status
prep_open_models(struct prep *p)
{
	ACE_TRY(open_device(p));
	ACE_TRY(open_encoder(p));
	return open_codec(p);
}

static bool
any_lyrics(const struct prep *p)
{
	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++)
			if (p->set[k].item[i].has_lyrics)
				return true;
	return false;
}

enum status
prep_open_lyrics(struct prep *p)
{
	char *path = p->job->lyric_vocab ? file_path("%s", p->job->lyric_vocab)
	                                 : hub_lyric_vocab(p->job->model);
	bool there = path && file_exists(path);
	enum status st;

	if (!path)
		st = ace_fail(ACE_ENOMEM, "no memory for file names");
	else if (!there && !any_lyrics(p))
		st = ACE_OK;
	else if (!there)
		st = ace_fail(ACE_ENOINPUT, "%s: no such file; songs with lyrics need the lyric vocabulary\n"
		              "ace-fetch lyric-vocab brings it; or put it there, or give its place with lyric_vocab=PATH", path);
	else
		st = lyric_open(&p->lyric, &(struct lines_from){ .vocab = path, .tables = p->job->text_data, .unidic = p->job->unidic });
	p->lyric_open = there && st == ACE_OK;
	if (p->lyric_open) {
		p->lyric.max_tokens = p->job->lyric_tokens > 0 ? p->job->lyric_tokens : LYRIC_MAX;
		p->lyric.per_song = p->job->per_song;
	}
	free(path);
	return st;
}

void
prep_close_encoder(struct prep *p)
{
	unigram_close(&p->unigram);
	if (p->umt5_open)
		umt5_close(&p->umt5);
	p->umt5_open = false;
}

void
prep_close_models(struct prep *p)
{
	prep_close_encoder(p);
	if (p->lyric_open)
		lyric_close(&p->lyric);
	p->lyric_open = false;
	codec_close(&p->codec);
	if (p->dev_open)
		dev_close(&p->dev);
	p->dev_open = false;
}

void
prep_facts(const struct prep *p, struct prep_set *s)
{
	const struct preprocess_job *j = p->job;

	facts_set(&s->audio, "autoencoder", true, "%s", codec_hash(&p->codec));
	facts_set(&s->audio, "autoencoder_dtype", true, "%s", j->bf16_codec ? "bf16" : "f32");
	facts_set(&s->audio, "scale", true, "%g", (double)CODEC_SCALE);
	facts_set(&s->audio, "shift", true, "%g", (double)CODEC_SHIFT);
	facts_set(&s->audio, "sample_rate", true, "48000");
	facts_set(&s->audio, "resampler", true, "sinc");
	facts_set(&s->audio, "latent_dtype", true, "%s", j->latent_dtype == F32 ? "f32" : "bf16");
	dataset_facts(&s->audio, s->entry, j->seed);
	/* also without lyrics: their mask differs */
	facts_set(&s->lyric, "lyric_variant", true, "%s", p->job->per_song ? "per-song" : "per-line");
	if (!p->lyric_open)
		return;
	facts_set(&s->lyric, "lyric_vocab", true, "%s", lyric_hash(&p->lyric));
	facts_set(&s->lyric, "lyric_japanese", true, "%s", lines_japanese(p->lyric.lines));
	facts_set(&s->lyric, "lyric_tokens", true, "%d", p->lyric.max_tokens);
}

void
prep_text_facts(struct prep *p, struct prep_texts *t)
{
	facts_set(&t->facts, "encoder", true, "%s", umt5_hash(&p->umt5));
	facts_set(&t->facts, "tokenizer", true, "%s", p->tokenizer_hash);
	facts_set(&t->facts, "text_tokens", true, "%d", p->job->text_tokens);
	facts_set(&t->facts, "encoder_dtype", true, "f32");
	facts_set(&t->facts, "text_dtype", true, "bf16");
	facts_set(&t->facts, "model", false, "%s", p->job->model_name ? p->job->model_name : p->job->model);
	facts_set(&t->facts, "program", false, "%s %s", PACKAGE_NAME, PACKAGE_VERSION);
}
