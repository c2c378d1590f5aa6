/* SPDX-License-Identifier: Apache-2.0 */
/* Clips through the codec into their stores, in the order of the songs. */
#include "jobs/preprocess_parts.h"

#include "base/clock.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "base/stop.h"
#include "data/lyrics_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LYRIC_WARNINGS = 20 };


/* Warnings about skipped lines and unknown tokens, until there are too many of them to be read. */
static void
warn_lyrics(struct prep *p, const struct lyric_ids *ids, const char *path)
{
	bool unknown = lyric_unknown_share(ids) > LYRIC_UNKNOWN_MOST;

	if (ids->skipped == 0 && !unknown)
		return;
	if (++p->lyric_warnings <= LYRIC_WARNINGS) {
		lyric_warn(ids, path);
		if (unknown)
			msg_warn("%s: %.1f %% of its tokens are unknown to the lyric tokenizer (ace-inspect shows which)", path,
			         100 * lyric_unknown_share(ids));
	} else if (p->lyric_warnings == LYRIC_WARNINGS + 1) {
		msg_warn("more lyrics with lines skipped or unknown tokens; they are counted at the end");
	}
}

/* What lyrics were rejected for. */
static const char *
fault_name(enum lyric_fault fault)
{
	switch (fault) {
	case LYRIC_NOT_UTF8:
		return "lyrics_not_utf8";
	case LYRIC_TOO_LONG:
		return "lyrics_too_long";
	case LYRIC_LANGUAGE:
		return "lyrics_language";
	case LYRIC_GOOD:
	case LYRIC_FAILED:
		break;
	}
	return "lyrics_failed";
}

enum status
prep_read_words(struct prep *p, struct prep_set *s, struct prep_item *it, const char *path, struct prep_words *w)
{
	struct lyrics_text t;
	enum status st = song_lyrics(&t, s->entry, &s->songs, it->song, path, it->upstream);

	*w = (struct prep_words){ 0 };
	if (st == ACE_ENOMEM)
		return st;
	if (st != ACE_OK)
		return prep_reject(it, lyrics_reason_name(t.reason), false);
	/* the first lyrics of all may have come since the songs were listed: the next run takes them */
	if (t.len > 0 && p->lyric_open) {
		sha256_of(t.text, t.len, w->sha256);
		enum lyric_fault fault;
		st = lyric_encode(&p->lyric, t.text, t.len, &w->ids, &fault);
		if (st == ACE_OK && w->ids.skipped > 0 && p->job->whole_lyrics) {
			(void)ace_fail(ACE_EDATA, "%s: line %d cannot be read: %s", t.path, w->ids.skipped_line[0], w->ids.why);
			st = prep_reject(it, "lyrics_unreadable_line", false);
		} else if (st == ACE_OK) {
			warn_lyrics(p, &w->ids, t.path);
		} else if (st == ACE_EDATA) {
			st = prep_reject(it, fault_name(fault), false);
		}
	}
	lyrics_text_free(&t);
	return st;
}

static enum status
open_writer(struct prep *p, struct prep_set *s)
{
	struct facts all = s->audio;

	if (s->writer)
		return ACE_OK;
	for (int i = 0; i < s->lyric.n; i++)
		facts_set(&all, s->lyric.fact[i].name, true, "%s", s->lyric.fact[i].value);
	facts_set(&all, "model", false, "%s", p->job->model_name ? p->job->model_name : p->job->model);
	facts_set(&all, "program", false, "%s %s", PACKAGE_NAME, PACKAGE_VERSION);
	facts_set(&all, "decoders", false, "%s", audio_decoders(NULL));
	return latents_writer_open(&s->writer, s->entry->store, p->job->shard, p->job->latent_dtype, &all);
}

void
prep_describe(const struct prep *p, const struct prep_set *s, const struct prep_item *it, const struct prep_words *w,
              struct latent_item *a, const int32_t **id, int *mask)
{
	static const int32_t no_lyrics[1] = { LYRIC_NONE };
	bool some = w->ids.n > 0;

	a->key = s->songs.song[it->song].key;
	a->caption = (const char (*)[65])it->caption;
	a->captions = it->captions;
	memcpy(a->lyrics_sha256, w->sha256, sizeof a->lyrics_sha256);
	a->lyrics = some ? w->ids.n : 1;
	a->lyric_lines = w->ids.lines;
	a->lyric_skipped = w->ids.skipped;
	a->lyric_unknown = w->ids.unknown;
	*id = some ? w->ids.id : no_lyrics;
	*mask = some ? w->ids.mask : p->job->per_song;
}

static enum status
put(struct prep *p, struct prep_set *s, struct prep_item *it, struct latent_item *a, const float *latent,
    const struct prep_words *w)
{
	bool some = w->ids.n > 0;
	const int32_t *id;
	enum status st;
	int mask;

	ACE_TRY(open_writer(p, s));
	prep_describe(p, s, it, w, a, &id, &mask);
	st = latents_put(s->writer, a, latent, id, mask);
	it->done = st == ACE_OK;
	it->has_lyrics = some && !w->ids.none;
	it->tokens = it->has_lyrics ? w->ids.n : 0;
	it->unknown = w->ids.unknown;
	it->lyric_lines = w->ids.lines;
	it->lyric_skipped = w->ids.skipped;
	return st;
}

struct latent_item
prep_measure(const struct prep *p, const struct prep_clip *c, const char *path)
{
	struct latent_item a = { .source = song_dated(&c->set->songs, c->item->song, path), .source_size = c->size, .source_mtime = c->mtime, .samples = c->sound.n,
		.real_samples = c->real_samples, .channels = codec_channels(&p->codec), .rows = codec_rows(&p->codec),
		.frames = codec_frames(c->sound.n), .seconds = c->seconds, .bucket = c->bucket };

	memcpy(a.source_sha256, c->source_sha256, sizeof a.source_sha256);
	memcpy(a.audio_sha256, c->audio_sha256, sizeof a.audio_sha256);
	return a;
}

/* The codec's work on one clip, and its place in the store. */
static enum status
encode(struct prep *p, struct prep_clip *c, const char *path, const struct prep_words *w)
{
	struct latent_item a = prep_measure(p, c, path);
	int64_t n = a.channels * a.rows * a.frames, bad = 0;
	float *latent = malloc((size_t)n * sizeof *latent);
	enum status st = latent ? codec_encode_mel(&p->codec, c->mel, c->sound.n, latent)
	                        : ace_fail(ACE_ENOMEM, "%s: no memory for its latent", path);

	for (int64_t i = 0; st == ACE_OK && i < n; i++)
		bad += !isfinite(latent[i]);
	if (st == ACE_OK && bad > 0) {
		(void)ace_fail(ACE_EDATA, "%s: %lld numbers of its latent are not finite", path, (long long)bad);
		st = prep_reject(c->item, "not_finite", false);
	} else if (st == ACE_OK) {
		st = put(p, c->set, c->item, &a, latent, w);
		p->r->seconds += (double)c->sound.n / 48000;
		p->r->cut += c->seconds > 240 && c->sound.n == 48000 * 240;
		p->r->short_data += c->sound.short_data;
	}
	free(latent);
	return st;
}

static enum status
encode_item(struct prep *p, struct prep_loader *l, struct prep_set *s, struct prep_item *it, const char *path)
{
	struct prep_clip c;
	struct prep_words w = { 0 };
	enum status st = ACE_OK;

	prep_loader_next(l, &c);
	if (c.code) {
		(void)ace_fail(ACE_EDATA, "%s", c.reason);
		st = prep_reject(it, c.code, c.skipped);
	} else {
		if (c.sound.short_data)
			msg_warn("%s: data_shorter_than_header: its header promises more sound than there is; used "
				 "what is there",
				 path);
		st = prep_read_words(p, s, it, path, &w);
		if (st == ACE_OK && !it->code)
			st = encode(p, &c, path, &w);
	}
	lyric_ids_free(&w.ids);
	prep_clip_free(&c);
	return st;
}

/* The latent from the store once more, with today's captions, lyrics and date. */
static enum status
update_item(struct prep *p, struct prep_set *s, struct prep_item *it, const char *path)
{
	const struct song *song = &s->songs.song[it->song];
	struct latent_item a = *latents_item(s->have, it->have);
	float *latent = malloc((size_t)(a.channels * a.rows * a.frames) * sizeof *latent);
	struct prep_words w = { 0 };
	enum status st = latent ? latents_read(s->have, it->have, latent) : ace_fail(ACE_ENOMEM, "%s: no memory", path);

	a.source = song_dated(&s->songs, it->song, path);
	a.source_mtime = song->mtime;
	if (st == ACE_OK)
		st = prep_read_words(p, s, it, path, &w);
	if (st == ACE_OK && !it->code)
		st = put(p, s, it, &a, latent, &w);
	lyric_ids_free(&w.ids);
	free(latent);
	return st;
}

/* --- progress --- */

struct progress {
	int64_t total, bad, put;
	double left;			/* seconds of sound */
	int64_t unsealed;		/* since write_batch_size had its way */
};

static void
progress(const struct prep *p, const struct progress *g, double now[ROUND_NUMBERS])
{
	int64_t sealed = 0;

	for (int k = 0; k < p->sets; k++)
		sealed += p->set[k].writer ? latents_sealed(p->set[k].writer) : 0;
	memset(now, 0, ROUND_NUMBERS * sizeof *now);
	now[ROUND_DONE] = (double)(sealed + g->bad);
	now[ROUND_TOTAL] = (double)g->total;
	now[ROUND_HAND] = g->put > sealed ? (double)(g->put - sealed) : 0;
	now[ROUND_BAD] = (double)g->bad;
	now[ROUND_SECONDS] = p->r->seconds;
	now[ROUND_LEFT] = g->left;
}

/* How far all ranks are; the first of them shows it, when something is new. */
static void
show(struct prep *p)
{
	double elapsed = clock_now() - p->start, *all = p->round.all;
	double speed = elapsed > 0 ? all[ROUND_SECONDS] / elapsed : 0;
	char length[32], left[32], hand[40] = "";

	if (p->rank > 0 || all[ROUND_TOTAL] == 0 || (all[ROUND_DONE] == p->shown && p->shown == all[ROUND_TOTAL]))
		return;
	p->shown = all[ROUND_DONE];
	if (all[ROUND_HAND] > 0)
		snprintf(hand, sizeof hand, "+%lld in hand  ", (long long)all[ROUND_HAND]);
	msg_progress("latents", (int64_t)all[ROUND_DONE], (int64_t)all[ROUND_TOTAL],
	             "%s%s of audio  %.1fx real time  %s left  %lld failed", hand,
	             clock_length(all[ROUND_SECONDS], length, sizeof length), speed,
	             speed > 0 ? clock_length(all[ROUND_LEFT] / speed, left, sizeof left) : "?", (long long)all[ROUND_BAD]);
}

static enum status
seal_all(struct prep *p)
{
	enum status st = ACE_OK;

	for (int k = 0; k < p->sets; k++)
		if (p->set[k].writer) {
			enum status one = latents_seal(p->set[k].writer);
			st = st == ACE_OK ? one : st;
		}
	return st;
}

static enum status
do_item(struct prep *p, struct prep_loader *l, struct prep_set *s, struct prep_item *it, struct progress *g)
{
	char *path = song_path(&s->songs, it->song);
	enum status st;

	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for file names");
	st = it->todo == TODO_ENCODE ? encode_item(p, l, s, it, path) : update_item(p, s, it, path);
	free(path);
	if (st != ACE_OK)
		return st;
	g->left -= it->todo == TODO_UPDATE ? 0 : it->seconds;
	g->bad += it->code != NULL;
	g->put += it->done;
	if (it->done && p->job->seal_every > 0 && ++g->unsealed >= p->job->seal_every) {
		g->unsealed = 0;
		st = latents_seal(s->writer);
	}
	return st;
}

static enum status
do_all(struct prep *p, struct prep_loader *l, struct progress *g)
{
	double now[ROUND_NUMBERS];

	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++) {
			struct prep_item *it = &p->set[k].item[i];
			if (it->todo != TODO_ENCODE && it->todo != TODO_UPDATE)
				continue;
			if (stop_asked())
				return ACE_ESTOPPED;
			if (stop_save_asked())
				ACE_TRY(seal_all(p));
			ACE_TRY(do_item(p, l, &p->set[k], it, g));
			progress(p, g, now);
			ACE_TRY(prep_round(p, now));
			show(p);
		}
	return ACE_OK;
}

/* --- what is no more --- */

/* Whether the folder still has a song of that name; songs are in order. */
static bool
is_listed(const struct songs *s, const char *key)
{
	int64_t low = 0, high = s->n;

	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		int order = strcmp(s->song[middle].key, key);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static enum status
drop(struct prep *p, struct prep_set *s, const char *key)
{
	ACE_TRY(open_writer(p, s));
	return latents_drop(s->writer, key);
}

/* Entries whose songs are not usable any more, and (by the first shard) those whose songs are gone. */
static enum status
drop_gone(struct prep *p, struct prep_set *s)
{
	if (s->entry->no_cache)
		return ACE_OK;
	for (int64_t i = 0; i < s->n; i++)
		if (s->item[i].code && s->item[i].have >= 0)
			ACE_TRY(drop(p, s, latents_item(s->have, s->item[i].have)->key));
	for (int64_t i = 0; p->job->shard == 0 && i < latents_count(s->have); i++)
		if (!is_listed(&s->songs, latents_item(s->have, i)->key)) {
			ACE_TRY(drop(p, s, latents_item(s->have, i)->key));
			p->r->gone++;
		}
	return ACE_OK;
}

/* Close the writers; what they wrote counts. */
static void
close_writers(struct prep *p)
{
	for (int k = 0; k < p->sets; k++) {
		if (!p->set[k].writer)
			continue;
		p->r->bytes += latents_written(p->set[k].writer);
		latents_writer_close(p->set[k].writer);
		p->set[k].writer = NULL;
	}
}

/* Once all ranks are through: parts of which nothing counts any more go, unless other shards may be reading them; then the index. */
static enum status
tidy(const struct prep *p, const struct prep_set *s)
{
	int removed = 0;

	if (p->rank > 0 || s->entry->no_cache)
		return ACE_OK;
	if (p->shards == 1)
		ACE_TRY(latents_sweep(s->entry->store, &removed));
	if (removed > 0)
		msg_debug("%s: %d parts that were replaced are removed", s->entry->store, removed);
	return latents_index(s->entry->store);
}

/* All of this rank's clips; whatever stopped it, what is in hand is kept. */
static enum status
encode_mine(struct prep *p, struct progress *g)
{
	struct prep_loader *l = NULL;
	enum status st = g->total > 0 ? prep_loader_open(&l, p, true) : ACE_OK, sealed;
	char message[800];

	if (st == ACE_OK)
		st = do_all(p, l, g);
	prep_loader_close(l);
	for (int k = 0; st == ACE_OK && k < p->sets; k++)
		st = drop_gone(p, &p->set[k]);
	snprintf(message, sizeof message, "%s", ace_message());
	sealed = seal_all(p);
	if (st == ACE_OK || st == ACE_ESTOPPED)
		return sealed != ACE_OK ? sealed : st;
	if (sealed != ACE_OK)
		msg_debug("%s", ace_message());
	return ace_fail(st, "%s", message);
}

enum status
prep_encode_clips(struct prep *p)
{
	struct progress g = { 0 };
	double now[ROUND_NUMBERS];
	enum status st;

	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++) {
			const struct prep_item *it = &p->set[k].item[i];
			g.total += it->todo == TODO_ENCODE || it->todo == TODO_UPDATE;
			g.left += it->todo == TODO_ENCODE ? it->seconds : 0;
		}
	p->start = clock_now();
	prep_rounds_begin(p);
	st = encode_mine(p, &g);
	progress(p, &g, now);
	close_writers(p);
	if (st != ACE_OK && st != ACE_ESTOPPED)
		return st;		/* the others learn it when this rank ends */
	ACE_TRY(prep_rounds_end(p, now, show));
	p->r->elapsed = clock_now() - p->start;
	msg_progress_end();
	st = prep_agree(p, st);
	for (int k = 0; st == ACE_OK && k < p->sets; k++)
		st = prep_agree(p, tidy(p, &p->set[k]));
	return st;
}
