/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/train_encode.h"

#include "base/clock.h"
#include "base/hub.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/preprocess_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One set's clips, as its maker gets it. */
struct clips {
	struct train_encode *e;
	struct prep_set *set;
};

struct train_encode {
	struct prep p;
	struct preprocess_job job;
	struct preprocess_report r;
	struct dataset_list list;	/* the entries without a store, and all of texts; entries are borrowed */
	char *model, *codec;
	struct clips *clips;		/* [p.sets] */
};

/* --- while training --- */

static int
by_key(const void *key, const void *song)
{
	return strcmp(key, ((const struct song *)song)->key);
}

static int
by_song(const void *song, const void *item)
{
	int64_t x = *(const int64_t *)song, y = ((const struct prep_item *)item)->song;

	return (x > y) - (x < y);
}

static struct prep_item *
item_of(struct prep_set *s, const char *key)
{
	const struct song *song = bsearch(key, s->songs.song, (size_t)s->songs.n, sizeof *song, by_key);
	int64_t i = song ? song - s->songs.song : -1;

	return song ? bsearch(&i, s->item, (size_t)s->n, sizeof *s->item, by_song) : NULL;
}

/* The sound that the list was made from must still be there. */
static enum status
load_again(struct train_encode *e, struct prep_clip *c, const struct latent_item *a)
{
	char *path = song_path(&c->set->songs, c->item->song);
	enum status st = ACE_OK;

	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for file names");
	prep_load(&e->p, c, path);
	if (c->code)
		st = ace_fail(ACE_EDATA, "%s", c->reason);
	else if (codec_frames(c->sound.n) != a->frames || strcmp(c->audio_sha256, a->audio_sha256) != 0)
		st = ace_fail(ACE_EDATA, "%s: changed since the run began", path);
	free(path);
	return st;
}

static enum status
make(void *me, const struct latent_item *a, float *latent)
{
	struct clips *m = me;
	struct train_encode *e = m->e;
	struct prep_clip c = { .set = m->set, .item = item_of(m->set, a->key) };
	int64_t n = a->channels * a->rows * a->frames;
	enum status st = load_again(e, &c, a);

	if (st == ACE_OK)
		st = codec_encode(&e->p.codec, c.sound.data, c.sound.n, latent);
	prep_clip_free(&c);
	for (int64_t i = 0; st == ACE_OK && i < n; i++) {
		if (!isfinite(latent[i]))
			st = ace_fail(ACE_EDATA, "%s: a number of its latent is not finite", a->key);
		else if (e->job.latent_dtype == BF16)
			latent[i] = bf16_to_f32(f32_to_bf16(latent[i]));
	}
	return st;
}

/* --- at the start --- */

/* One song's place in the list, or why it has none. */
static enum status
list_song(struct train_encode *e, struct prep_loader *l, struct prep_set *s, struct prep_item *it)
{
	char *path = song_path(&s->songs, it->song);
	struct prep_words w = { 0 };
	struct latent_item a;
	struct prep_clip c;
	const int32_t *id;
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for file names");
	int mask;

	prep_loader_next(l, &c);
	if (st == ACE_OK && c.code) {
		(void)ace_fail(ACE_EDATA, "%s", c.reason);
		st = prep_reject(it, c.code, c.skipped);
	} else if (st == ACE_OK) {
		st = prep_read_words(&e->p, s, it, path, &w);
		if (st == ACE_OK && !it->code) {
			a = prep_measure(&e->p, &c, path);
			prep_describe(&e->p, s, it, &w, &a, &id, &mask);
			st = latents_made_add(s->have, &a, id, mask);
			it->done = st == ACE_OK;
		}
	}
	lyric_ids_free(&w.ids);
	prep_clip_free(&c);
	free(path);
	return st;
}

static enum status
list_all(struct train_encode *e, struct prep_loader *l)
{
	int64_t done = 0, total = 0;

	for (int k = 0; k < e->p.sets; k++)
		total += e->p.set[k].n;
	for (int k = 0; k < e->p.sets; k++)
		for (int64_t i = 0; i < e->p.set[k].n; i++) {
			struct prep_item *it = &e->p.set[k].item[i];
			if (stop_asked())
				return ace_fail(ACE_ESTOPPED, "stopped while songs were measured; nothing to save");
			msg_progress("measured", ++done, total, "songs");
			if (it->todo == TODO_ENCODE)
				ACE_TRY(list_song(e, l, &e->p.set[k], it));
		}
	msg_progress_end();
	return ACE_OK;
}

/* Facts of a set's clips, and the empty list of them. */
static enum status
open_set(struct train_encode *e, int k)
{
	struct prep_set *s = &e->p.set[k];
	struct facts all;

	prep_facts(&e->p, s);
	all = s->audio;
	for (int i = 0; i < s->lyric.n; i++)
		facts_set(&all, s->lyric.fact[i].name, true, "%s", s->lyric.fact[i].value);
	e->clips[k] = (struct clips){ e, s };
	return latents_made_open(&s->have, &all, make, &e->clips[k]);
}

static void
say(const struct train_encode *e)
{
	double longest = 0, seconds = 0;
	char text[32], length[32];
	int64_t n = 0;

	for (int k = 0; k < e->p.sets; k++)
		for (int64_t i = 0; i < latents_count(e->p.set[k].have); i++, n++) {
			double s = (double)latents_item(e->p.set[k].have, i)->samples / PREPARE_RATE;
			seconds += s;
			longest = s > longest ? s : longest;
		}
	msg_info("encoding   %lld songs (%s) while training, each time that they are used; %s beside the plan", (long long)n,
	         clock_length(seconds, length, sizeof length),
	         prep_bytes((double)codec_memory(&e->p.codec, (int64_t)(longest * PREPARE_RATE)), text));
	for (int64_t i = 0; i < e->p.faults && i < 20; i++)
		msg_warn("%s (%s)", e->p.fault[i].reason, e->p.fault[i].code);
}

static enum status
measure(struct train_encode *e)
{
	struct prep_loader *l = NULL;
	enum status st;

	ACE_TRY(prep_list(&e->p));
	ACE_TRY(prep_open_lyrics(&e->p));
	ACE_TRY(prep_open_codec(&e->p));
	e->clips = calloc((size_t)e->p.sets + 1, sizeof *e->clips);
	if (!e->clips)
		return ace_fail(ACE_ENOMEM, "no memory for %d data sets", e->p.sets);
	for (int k = 0; k < e->p.sets; k++)
		ACE_TRY(open_set(e, k));
	ACE_TRY(prep_loader_open(&l, &e->p, false));
	st = list_all(e, l);
	prep_loader_close(l);
	ACE_TRY(st);
	ACE_TRY(prep_count(&e->p));
	ACE_TRY(prep_failures(&e->p, false));
	say(e);
	return prep_judge(&e->p);
}

/* The list that the data gets is its own to close. */
static enum status
clips_of(void *me, const struct dataset *entry, struct latents **s)
{
	struct train_encode *e = me;

	for (int k = 0; k < e->p.sets; k++)
		if (strcmp(e->p.set[k].entry->id, entry->id) == 0) {
			*s = e->p.set[k].have;
			e->p.set[k].have = NULL;
			return ACE_OK;
		}
	return ACE_OK;
}

/* --- opening and closing --- */

static enum status
choose(struct train_encode *e, const struct dataset_list *l)
{
	e->list.entry = calloc((size_t)l->n + 1, sizeof *e->list.entry);
	e->list.path = l->path;
	if (!e->list.entry)
		return ace_fail(ACE_ENOMEM, "no memory for %d data sets", l->n);
	for (int i = 0; i < l->n; i++)
		if (l->entry[i].kind == DATASET_TEXTS || (l->entry[i].kind == DATASET_AUDIO && l->entry[i].no_cache))
			e->list.entry[e->list.n++] = l->entry[i];
	return ACE_OK;
}

static enum status
open_all(struct train_encode *e, const struct dataset_list *l, const struct settings *s)
{
	const char *codec = settings_str(s, "pretrained_vae_model_name_or_path"), *revision = settings_str(s, "revision");

	ACE_TRY(preprocess_fill(s, &e->job));
	ACE_TRY(choose(e, l));
	ACE_TRY(hub_model(e->job.model_name, revision, &e->model));
	if (codec)
		ACE_TRY(hub_model(codec, revision, &e->codec));
	e->job.what = PREPROCESS_ALL;
	if (e->job.device == DEV_CUDA)
		e->job.device = DEV_CPU;	/* another thread beside recorded steps must leave their device alone */
	e->job.list = &e->list;
	e->job.model = e->model;
	e->job.codec = e->codec;
	e->job.shards = 1;
	e->p.job = &e->job;
	e->p.r = &e->r;
	e->p.ranks = e->p.shards = 1;
	return measure(e);
}

enum status
train_encode_open(struct train_encode **out, const struct dataset_list *l, const struct settings *s, struct data_options *o)
{
	struct train_encode *e;
	enum status st;
	bool any = false;

	*out = NULL;
	for (int i = 0; i < l->n; i++)
		any = any || (l->entry[i].kind == DATASET_AUDIO && l->entry[i].no_cache);
	if (!any)
		return ACE_OK;
	e = calloc(1, sizeof *e);
	if (!e)
		return ace_fail(ACE_ENOMEM, "no memory");
	st = open_all(e, l, s);
	if (st != ACE_OK) {
		train_encode_close(e);
		return st;
	}
	o->clips = clips_of;
	o->me = e;
	*out = e;
	return ACE_OK;
}

void
train_encode_close(struct train_encode *e)
{
	if (!e)
		return;
	prep_free(&e->p);
	free(e->list.entry);
	free(e->clips);
	free(e->model);
	free(e->codec);
	free(e);
}
