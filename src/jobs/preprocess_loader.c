/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding ahead: threads read, resample and hash clips, and make their spectra, while the codec works on earlier ones, which it gets in
 * the order of the list. One thread where the codec computes on the same processors, several where a GPU does. */
#include "jobs/preprocess_parts.h"

#include "audio/prepare.h"
#include "base/sha256.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { DECODERS = 8 };

struct work {
	struct prep_set *set;
	struct prep_item *item;
};

struct slot {
	struct prep_clip clip;
	bool ready;
};

struct prep_loader {
	const struct prep *p;
	struct work *work;		/* [works], as it was when the loader was opened */
	int64_t works;
	pthread_t thread[DECODERS];
	int threads, wanted;
	pthread_mutex_t lock;			/* of what follows */
	pthread_cond_t change;
	struct slot slot[DECODERS + 2];		/* clip i has slot i modulo slots: being decoded, or waiting */
	int slots;
	bool mel;
	int64_t taken, given;			/* clips that a thread has taken on, that the codec has got */
	bool quit;
};

void
prep_clip_free(struct prep_clip *c)
{
	clip_free(&c->sound);
	free(c->mel);
	*c = (struct prep_clip){ 0 };
}

static void
reject(struct prep_clip *c, const char *code, bool skipped)
{
	c->code = code;
	c->skipped = skipped;
	snprintf(c->reason, sizeof c->reason, "%s", ace_message());
}

/* Names of failures are the decoder's, but for memory. */
static void
reject_sound(const struct prep *p, struct prep_clip *c, enum status st, enum audio_reason r)
{
	if (st == ACE_ENOMEM) {
		reject(c, "no_memory", false);
		return;
	}
	if (r == AUDIO_NOT_BUILT)
		(void)ace_fail_prefix(st, "FFmpeg reads this (as m4a, aac, alac, wma, opus, webm), and is not there: ");
	reject(c, audio_reason_name(r), r == AUDIO_SILENT || (r == AUDIO_MISSING && p->job->ignore_missing));
}

static bool
outside_limits(struct prep_clip *c, const char *path)
{
	const struct dataset *d = c->set->entry;

	if (c->seconds < d->min_seconds) {
		(void)ace_fail(ACE_EDATA, "%s: %.3g s long, at least %g wanted", path, c->seconds, d->min_seconds);
		reject(c, "too_short", true);
	} else if (d->max_seconds > 0 && c->seconds > d->max_seconds) {
		(void)ace_fail(ACE_EDATA, "%s: %.4g s long, at most %g wanted", path, c->seconds, d->max_seconds);
		reject(c, "too_long", true);
	}
	return c->code != NULL;
}

static void
prepare(const struct prep *p, struct prep_clip *c, const char *path, const struct clip *raw)
{
	const struct dataset *d = c->set->entry;
	const char *key = c->set->songs.song[c->item->song].key;
	struct prepare_options o = { .seconds = prep_window(d, c->seconds, &c->bucket), .mode = d->truncation,
		.rng = rng_stream(p->job->seed, RNG_TRUNCATE, 0, dataset_sample_id(d->id, key)) };
	enum status st = audio_prepare(raw, d->length_mode == LENGTH_PAD ? NULL : &o, &c->sound, &c->real_samples);

	if (st != ACE_OK) {
		(void)ace_fail_prefix(st, "%s: ", path);
		reject_sound(p, c, st, c->sound.reason);
		return;
	}
	if (c->real_samples > c->sound.n)
		c->real_samples = c->sound.n;
	sha256_of(c->sound.data, 2 * (size_t)c->sound.n * sizeof *c->sound.data, c->audio_sha256);
}

static bool
stat_of(const char *path, int64_t *size, int64_t *mtime)
{
	struct stat info;

	if (stat(path, &info) != 0)
		return false;
	*size = info.st_size;
	*mtime = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
	return true;
}

/* Decoders name a song inside a row by the file in memory that they see. */
static void
renamed(const struct song_file *f, const char *path, enum status st)
{
	size_t n = strlen(f->path);
	char rest[400];

	if (f->fd < 0 || strncmp(ace_message(), f->path, n) != 0)
		return;
	snprintf(rest, sizeof rest, "%s", ace_message() + n);
	(void)ace_fail(st, "%s%s", path, rest);
}

/* f: the sound of path. */
static void
load_file(const struct prep *p, struct prep_clip *c, const char *path, const struct song_file *f)
{
	const char *dated = song_dated(&c->set->songs, c->item->song, path);
	struct clip raw = { 0 };
	int64_t size, mtime;
	enum status st;

	st = audio_decode(f->path, &raw);
	if (st != ACE_OK) {
		renamed(f, path, st);
		reject_sound(p, c, st, raw.reason);
		return;
	}
	c->seconds = (double)raw.n / raw.rate;
	if (!outside_limits(c, path))
		prepare(p, c, path, &raw);
	clip_free(&raw);
	if (c->code)
		return;
	if (sha256_file(f->path, c->source_sha256) != ACE_OK) {
		reject_sound(p, c, ACE_ENOINPUT, AUDIO_MISSING);
	} else if (!stat_of(dated, &size, &mtime) || size != c->size || mtime != c->mtime) {
		(void)ace_fail(ACE_EDATA, "%s: changed while it was read; run again", path);
		reject(c, "changed", false);
	}
}

void
prep_load(const struct prep *p, struct prep_clip *c, const char *path)
{
	struct song_file f;

	if (!stat_of(song_dated(&c->set->songs, c->item->song, path), &c->size, &c->mtime)) {
		(void)ace_fail(ACE_ENOINPUT, "%s: the file is gone", path);
		reject_sound(p, c, ACE_ENOINPUT, AUDIO_MISSING);
	} else if (song_open(&c->set->songs, c->item->song, path, &f) != ACE_OK) {
		reject(c, "bad_row", false);
	} else {
		load_file(p, c, path, &f);
		song_close(&f);
	}
}

/* The number of the clip that is next to be decoded, once there is room for it; -1: nobody wants more. */
static int64_t
take(struct prep_loader *l)
{
	int64_t i = -1;

	pthread_mutex_lock(&l->lock);
	while (!l->quit && l->taken < l->works && l->taken - l->given >= l->slots)
		pthread_cond_wait(&l->change, &l->lock);
	if (!l->quit && l->taken < l->works)
		i = l->taken++;
	pthread_mutex_unlock(&l->lock);
	return i;
}

static void
give(struct prep_loader *l, int64_t i, const struct prep_clip *c)
{
	pthread_mutex_lock(&l->lock);
	l->slot[i % l->slots] = (struct slot){ *c, true };
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
}

static void
load(const struct prep_loader *l, struct prep_clip *c)
{
	char *path = song_path(&c->set->songs, c->item->song);
	enum status st;

	if (!path) {
		(void)ace_fail(ACE_ENOMEM, "no memory for file names");
		reject(c, "no_memory", false);
		return;
	}
	prep_load(l->p, c, path);
	if (l->mel && !c->code && (st = codec_mel(&l->p->codec, c->sound.data, c->sound.n, &c->mel)) != ACE_OK) {
		(void)ace_fail_prefix(st, "%s: ", path);
		reject(c, st == ACE_ENOMEM ? "no_memory" : "no_spectra", false);
	}
	free(path);
}

static void *
run(void *me)
{
	struct prep_loader *l = me;

#ifdef _OPENMP
	if (l->wanted > 1)		/* its share: the others do the same */
		omp_set_num_threads(l->p->dev.threads > l->wanted ? l->p->dev.threads / l->wanted : 1);
#endif
	for (int64_t i; (i = take(l)) >= 0;) {
		struct prep_clip c = { .set = l->work[i].set, .item = l->work[i].item };
		load(l, &c);
		give(l, i, &c);
	}
	return NULL;
}

static bool
list_work(struct prep_loader *l, struct prep *p)
{
	int64_t most = 0;

	for (int k = 0; k < p->sets; k++)
		most += p->set[k].n;
	l->work = calloc((size_t)most + 1, sizeof *l->work);
	for (int k = 0; l->work && k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++)
			if (p->set[k].item[i].todo == TODO_ENCODE)
				l->work[l->works++] = (struct work){ &p->set[k], &p->set[k].item[i] };
	return l->work != NULL;
}

/* As many as the device has threads, of a GPU's host at most DECODERS and no more than there are clips. */
static int
decoders(const struct prep *p, int64_t works)
{
	int n = p->dev.threads < DECODERS ? p->dev.threads : DECODERS;

	if (p->dev.kind != DEV_CUDA || n < 1 || works < 1)
		return 1;
	return works < n ? (int)works : n;
}

enum status
prep_loader_open(struct prep_loader **out, struct prep *p, bool mel)
{
	struct prep_loader *l = calloc(1, sizeof *l);

	*out = NULL;
	if (!l || !list_work(l, p)) {
		free(l);
		return ace_fail(ACE_ENOMEM, "no memory");
	}
	l->p = p;
	l->mel = mel;
	l->wanted = decoders(p, l->works);
	l->slots = l->wanted + 1 > 3 ? l->wanted + 1 : 3;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->change, NULL);
	while (l->threads < l->wanted && pthread_create(&l->thread[l->threads], NULL, run, l) == 0)
		l->threads++;
	if (l->threads == 0) {
		pthread_mutex_destroy(&l->lock);
		pthread_cond_destroy(&l->change);
		free(l->work);
		free(l);
		return ace_fail(ACE_ENOMEM, "no thread to decode in");
	}
	*out = l;
	return ACE_OK;
}

void
prep_loader_next(struct prep_loader *l, struct prep_clip *c)
{
	struct slot *s = &l->slot[l->given % l->slots];

	pthread_mutex_lock(&l->lock);
	while (!s->ready)
		pthread_cond_wait(&l->change, &l->lock);
	*c = s->clip;
	*s = (struct slot){ .ready = false };
	l->given++;
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
}

void
prep_loader_close(struct prep_loader *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->quit = true;
	pthread_cond_broadcast(&l->change);
	pthread_mutex_unlock(&l->lock);
	for (int i = 0; i < l->threads; i++)
		pthread_join(l->thread[i], NULL);
	for (int i = 0; i < l->slots; i++)
		if (l->slot[i].ready)
			prep_clip_free(&l->slot[i].clip);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->change);
	free(l->work);
	free(l);
}
