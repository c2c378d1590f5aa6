/* SPDX-License-Identifier: Apache-2.0 */
/* Clips of the batch that was trained on last, and what the model makes of their captions and lyrics, as the original trainer writes them
 * (validation_on_batch, training.md section 13). The first rank reads the batch again, from its stores: it is known by its place. */
#include "jobs/train_validate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "models/sound.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The original trainer's, where options say nothing else. */
enum { SECONDS = 240, GUIDANCE = 15, SEED = 1234 };

enum { NAME = 120 };			/* of a key in a file's name, bytes */

static void
take_defaults(struct generate_job *j, const struct settings *s)
{
	if (!settings_is_set(s, "validation_audio_duration"))
		j->seconds = SECONDS;
	if (!settings_is_set(s, "validation_guidance"))
		j->loop.guidance.scale = GUIDANCE;
	if (!settings_is_set(s, "validation_seed"))
		j->seed = SEED;
	/* the side without conditions hears nothing, and is not weakened */
	j->negative = NULL;
	j->erg_tag = j->erg_lyric = false;
	j->layers = j->blocks = (struct weakening){ 0 };
}

enum status
train_on_batch_open(struct train_validation *v)
{
	const struct train *t = v->train;
	struct train_validation *w;

	if (!settings_bool(t->settings, "validation_on_batch"))
		return ACE_OK;
	for (int i = 0; i < t->j.list.n; i++)
		if (t->j.list.entry[i].kind == DATASET_AUDIO && t->j.list.entry[i].no_cache)
			return ace_fail(ACE_ECONFIG, "validation_on_batch reads a batch's latents again, and vae_cache_disable keeps none; "
			                "wanted vae_cache_ondemand=true in its place, or validation_on_batch=false");
	w = v->batch = calloc(1, sizeof *w);
	if (!w)
		return ace_fail(ACE_ENOMEM, "no memory for validation");
	w->train = v->train;
	w->seeds = true;
	ACE_TRY(train_validation_fill(&w->job, t->settings));
	take_defaults(&w->job, t->settings);
	w->frames = sampler_frames(w->job.seconds);
	return ACE_OK;
}

enum status
train_on_batch_ready(struct train_validation *v)
{
	return v->batch ? data_open(&v->batch->data, &v->train->j.data) : ACE_OK;
}

/* What is left of the clips under way. */
static void
drop(struct train_validation *w)
{
	if (w->model.dev)
		generate_model_close(&w->model);
	generate_conditioned_free(&w->heard);
	generate_clips_free(&w->clips);
	free(w->latent);
	w->latent = NULL;
}

void
train_on_batch_close(struct train_validation *v)
{
	struct train_validation *w = v->batch;

	if (!w)
		return;
	drop(w);
	data_close(w->data);
	generate_job_free(&w->job);
	free(w);
	v->batch = NULL;
}

static int64_t
ones(const float *mask, int64_t n)
{
	int64_t k = 0;

	while (k < n && mask[k] > 0)
		k++;
	return k;
}

/* The conditions of clip i, without what fills the batch up. Lyrics that are not heard are one 0. */
static enum status
take_conditions(struct generate_conditions *c, const struct batch *b, int64_t i)
{
	int64_t rows = ones(b->text_mask + i * b->S, b->S), ids = ones(b->lyric_mask + i * b->Y, b->Y);

	*c = (struct generate_conditions){ .prompt = { malloc((size_t)(rows * b->text_width) * sizeof(float) + 1), (int)rows },
		.id = calloc((size_t)ids + 1, sizeof *c->id), .ids = ids > 0 ? (int)ids : 1, .mask = ids > 0, .strength = 1.f };
	if (!c->prompt.x || !c->id)
		return ace_fail(ACE_ENOMEM, "no memory for a clip's conditions");
	memcpy(c->prompt.x, b->text + i * b->S * b->text_width, (size_t)(rows * b->text_width) * sizeof(float));
	memcpy(c->id, b->lyric_ids + i * b->Y, (size_t)ids * sizeof *c->id);
	return ACE_OK;
}

/* KEY_i, of letters that any file system has. */
static void
name_of(char name[NAME + 24], const char *key, int64_t i)
{
	size_t n = 0;

	for (; key[n] && n < NAME; n++)
		name[n] = key[n];
	for (size_t k = 0; k < n; k++)
		if (!isalnum((unsigned char)name[k]) && !strchr("._-", name[k]) && (unsigned char)name[k] < 128)
			name[k] = '_';
	snprintf(name + n, 24, "_%lld", (long long)i);
}

static enum status
take_clip(struct train_validation *w, const struct batch *b, int64_t i)
{
	char name[NAME + 24], *caption;
	enum status st;

	ACE_TRY(data_caption(w->data, b, i, &caption));
	name_of(name, b->name[i], i);
	st = generate_add(&w->clips, name, caption, strlen(caption), NULL);
	free(caption);
	ACE_TRY(st);
	return take_conditions(&w->heard.clip[i], b, i);
}

/* The batch at that place, or the first one of the next epoch, and all that is needed to render it. */
static enum status
take(struct train_validation *w, struct loop_place at, struct batch *b)
{
	struct train *t = w->train;
	int64_t n = DIT_CHANNELS * DIT_ROWS * w->frames;

	if (at.number >= data_batches_per_epoch(w->data, at.epoch))
		at = (struct loop_place){ data_next_epoch(w->data, at.epoch + 1), 0 };
	if (at.epoch < 0)
		return ace_fail(ACE_EDATA, "there is no batch to be heard");
	ACE_TRY(data_batch(w->data, at.epoch, at.number, b));
	w->heard.clip = calloc((size_t)b->B, sizeof *w->heard.clip);
	w->heard.clips = w->heard.clip ? (int)b->B : 0;
	w->latent = malloc((size_t)(b->B * n) * sizeof *w->latent);
	if (!w->heard.clip || !w->latent)
		return ace_fail(ACE_ENOMEM, "no memory for %lld latents", (long long)b->B);
	for (int64_t i = 0; i < b->B; i++)
		ACE_TRY(take_clip(w, b, i));
	w->seed = w->job.seed;
	ACE_TRY(generate_model_open(&w->model, &w->job, &t->m));
	w->model.lent = (struct arena){ .base = t->step.act.base, .size = t->step.act.size };
	return ACE_OK;
}

/* --- files --- */

static char *
path_of(const struct train_validation *w, const char *what, const char *name, const char *ending)
{
	return file_path("%s/eval_results/step_%lld/%s_%s%s", w->train->j.out, (long long)w->train->step.updates, what, name, ending);
}

static enum status
write_wave(const struct train_validation *w, struct sound *sound, const char *what, int i, const float *latent, int64_t frames)
{
	char *path = path_of(w, what, w->clips.clip[i].name, ".wav");
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");
	float *x = NULL;
	int64_t n;

	if (st == ACE_OK)
		st = sound_decode(sound, latent, frames, true, TRAIN_VALIDATION_RATE, &x, &n);
	if (st == ACE_OK)
		st = audio_write(path, x, 2, n, TRAIN_VALIDATION_RATE, AUDIO_PCM16);
	free(x);
	free(path);
	return st;
}

/* What the clip is, without what fills the batch up. */
static enum status
write_target(const struct train_validation *w, struct sound *sound, const struct batch *b, int i)
{
	int64_t maps = b->channels * b->rows, frames = ones(b->frame_mask + i * b->T, b->T);
	float *x = malloc((size_t)(maps * frames) * sizeof *x + 1);
	enum status st;

	if (!x)
		return ace_fail(ACE_ENOMEM, "no memory for a latent");
	for (int64_t k = 0; k < maps; k++)
		memcpy(x + k * frames, b->latents + (i * maps + k) * b->T, (size_t)frames * sizeof *x);
	st = write_wave(w, sound, "target_wav", i, x, frames);
	free(x);
	return st;
}

/* The stores keep lyrics as tokens: how many there are. */
static enum status
write_text(const struct train_validation *w, const struct batch *b, int i)
{
	const struct generate_conditions *c = &w->heard.clip[i];
	char *path = path_of(w, "key_prompt_lyric", w->clips.clip[i].name, ".txt");
	char *text = file_path("# KEY\n\n%s\n\n\n# PROMPT\n\n%s\n\n\n# LYRIC\n\n%d tokens\n\n# SEED\n\n%llu\n\n", b->name[i],
	                       w->clips.clip[i].prompt, c->mask ? c->ids : 0, (unsigned long long)w->seed + (unsigned long long)i);
	enum status st = path && text ? file_write(path, text, strlen(text)) : ace_fail(ACE_ENOMEM, "no memory for a clip's text");

	free(path);
	free(text);
	return st;
}

static enum status
write_all(const struct train_validation *w, const struct batch *b)
{
	char *folder = file_path("%s/eval_results/step_%lld", w->train->j.out, (long long)w->train->step.updates);
	enum status st = folder ? file_mkdirs(folder) : ace_fail(ACE_ENOMEM, "no memory for a path");
	struct sound sound;

	free(folder);
	ACE_TRY(st);
	ACE_TRY(sound_open(&sound, w->job.codec ? w->job.codec : w->job.model, w->model.dev));
	for (int i = 0; i < w->clips.n && st == ACE_OK; i++) {
		st = write_target(w, &sound, b, i);
		if (st == ACE_OK)
			st = write_wave(w, &sound, "pred_wav", i, w->latent + i * DIT_CHANNELS * DIT_ROWS * w->frames, w->frames);
		if (st == ACE_OK)
			st = write_text(w, b, i);
	}
	sound_close(&sound);
	return st;
}

static void
say(const struct train_validation *w, double seconds)
{
	long long step = (long long)w->train->step.updates;

	if (w->st == ACE_ESTOPPED)
		msg_info("validation broken off: asked to stop");
	else if (w->st != ACE_OK)
		msg_warn("validation of the batch of step %lld failed, training goes on: %s", step, ace_message());
	else
		msg_info("validation step %lld: %d clip%s of the batch in %.1f s -> %s/eval_results/step_%lld", step, w->clips.n,
		         w->clips.n == 1 ? "" : "s", seconds, w->train->j.out, step);
}

enum status
train_on_batch(struct train_validation *v, struct loop_place at)
{
	struct train_validation *w = v->batch;
	struct batch b = { 0 };
	double start = clock_now();
	enum status st;

	w->st = v->st;			/* stopped, or failed: the ranks take part in nothing */
	if (w->train->first && w->st == ACE_OK)
		w->st = take(w, at, &b);
	st = train_validation_sample(w, false);
	if (st == ACE_OK && w->train->first && w->st == ACE_OK)
		w->st = write_all(w, &b);
	if (w->train->first && v->st == ACE_OK)
		say(w, clock_now() - start);
	drop(w);
	batch_free(&b);
	return st;
}
