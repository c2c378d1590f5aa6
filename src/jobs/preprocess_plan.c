/* SPDX-License-Identifier: Apache-2.0 */
/* What songs there are, what belongs to them, and what of it the stores have. */
#include "jobs/preprocess_parts.h"

#include "base/file.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "base/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status
prep_reject(struct prep_item *it, const char *code, bool skipped)
{
	it->todo = TODO_NONE;
	it->code = code;
	it->skipped = skipped;
	free(it->reason);
	it->reason = strdup(ace_message());
	return it->reason ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");
}

static struct prep_texts *
texts_of(struct prep *p, const struct dataset *audio)
{
	const struct dataset *e = dataset_texts(p->job->list, audio);
	int i = 0;

	while (i < p->n_texts && p->texts[i].entry != e)
		i++;
	if (i == p->n_texts)
		p->texts[p->n_texts++].entry = e;
	return &p->texts[i];
}

/* --- songs with their texts --- */

/* A caption that is not known to be in the store yet; a few may come twice. None are wanted in one that is not kept. */
enum status
prep_want_caption(struct prep_texts *t, const char *text, const char key[65])
{
	if (t->entry->no_cache)
		return ACE_OK;
	if (t->n == t->cap) {
		int64_t cap = t->cap ? 2 * t->cap : 64;
		struct prep_caption *more = realloc(t->missing, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for %lld captions", (long long)cap);
		t->missing = more;
		t->cap = cap;
	}
	memcpy(t->missing[t->n].key, key, 65);
	t->missing[t->n].text = strdup(text);
	if (!t->missing[t->n].text)
		return ace_fail(ACE_ENOMEM, "no memory for captions");
	t->n++;
	return ACE_OK;
}

static enum status
read_captions(struct prep_set *s, struct prep_item *it, const char *path)
{
	struct captions c;
	enum status st = song_captions(&c, s->entry, &s->songs, it->song, path);

	if (st == ACE_ENOMEM)
		return st;
	if (st != ACE_OK)
		return prep_reject(it, caption_reason_name(c.reason), false);
	it->upstream = c.upstream;
	it->captions = c.n;
	it->caption = calloc((size_t)c.n, sizeof *it->caption);
	if (!it->caption)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (int i = 0; st == ACE_OK && i < c.n; i++) {
		texts_key(c.text[i], strlen(c.text[i]), it->caption[i]);
		st = prep_want_caption(s->texts, c.text[i], it->caption[i]);
	}
	captions_free(&c);
	return st;
}

static enum status
read_lyrics(struct prep_set *s, struct prep_item *it, const char *path)
{
	struct lyrics_text t;
	enum status st = song_lyrics(&t, s->entry, &s->songs, it->song, path, it->upstream);

	if (st == ACE_ENOMEM)
		return st;
	if (st != ACE_OK)
		return prep_reject(it, lyrics_reason_name(t.reason), false);
	it->has_lyrics = t.len > 0;
	if (it->has_lyrics)
		sha256_of(t.text, t.len, it->lyrics_sha256);
	lyrics_text_free(&t);
	return ACE_OK;
}

static enum status
read_item(struct prep_set *s, struct prep_item *it)
{
	const struct song *song = &s->songs.song[it->song];
	enum status st = ACE_OK;
	char *path;

	if (song->bad_name) {
		(void)ace_fail(ACE_EDATA, "%s: a file whose name is not UTF-8 or has control characters", s->songs.folder);
		return prep_reject(it, "bad_name", false);
	}
	if (song->row && song->row->code) {
		(void)ace_fail(ACE_EDATA, "%s", song->row->why);
		return prep_reject(it, song->row->code, false);
	}
	path = song_path(&s->songs, it->song);
	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for file names");
	st = read_captions(s, it, path);
	if (st == ACE_OK && !it->code)
		st = read_lyrics(s, it, path);
	free(path);
	return st;
}

/* One song with the word that max_num_samples chooses by. */
struct chance {
	uint64_t word;
	int64_t song;
};

static int
by_word(const void *a, const void *b)
{
	const struct chance *x = a, *y = b;

	return x->word != y->word ? (x->word < y->word ? -1 : 1) : (x->song > y->song) - (x->song < y->song);
}

static int
by_song(const void *a, const void *b)
{
	const struct chance *x = a, *y = b;

	return (x->song > y->song) - (x->song < y->song);
}

/* The songs that take part, in order, of which training takes the same; owned by the caller. */
static enum status
choose(const struct prep *p, const struct prep_set *s, struct chance **chosen, int64_t *n)
{
	int64_t most = s->entry->max_samples, all = s->songs.n;
	struct chance *c = malloc((size_t)all * sizeof *c);
	char number[2][32];

	*chosen = c;
	*n = all;
	if (!c)
		return ace_fail(ACE_ENOMEM, "no memory for %lld songs", (long long)all);
	for (int64_t i = 0; i < all; i++)
		c[i] = (struct chance){ dataset_chance(p->job->seed, s->entry->id, s->songs.song[i].key), i };
	if (most < 0 || all <= most)
		return ACE_OK;
	qsort(c, (size_t)all, sizeof *c, by_word);
	qsort(c, (size_t)most, sizeof *c, by_song);
	*n = most;
	msg_info("data set \"%s\": %s of %s songs (max_num_samples)", s->entry->id, prep_number(most, number[0]),
	         prep_number(all, number[1]));
	return ACE_OK;
}

static enum status
list_set(struct prep *p, struct prep_set *s)
{
	int shards = p->job->shards;
	struct chance *chosen;
	enum status st;
	int64_t all;

	ACE_TRY(songs_of(&s->songs, s->entry));
	if (s->songs.n == 0)
		return ace_fail(ACE_ENOINPUT, "%s: no sound files of data set \"%s\" in it (%lld other files)", s->songs.folder,
		                s->entry->id, (long long)s->songs.ignored);
	ACE_TRY(choose(p, s, &chosen, &all));
	s->item = calloc((size_t)all + 1, sizeof *s->item);
	st = s->item ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for %lld songs", (long long)all);
	for (int64_t i = p->job->shard; st == ACE_OK && i < all; i += shards) {
		struct prep_item *it = &s->item[s->n++];
		*it = (struct prep_item){ .song = chosen[i].song, .todo = TODO_ENCODE, .have = -1 };
		st = stop_asked() ? ACE_ESTOPPED : read_item(s, it);
	}
	free(chosen);
	p->r->files += s->n;
	return st;
}

enum status
prep_list(struct prep *p)
{
	const struct dataset_list *l = p->job->list;

	p->set = calloc((size_t)l->n + 1, sizeof *p->set);
	p->texts = calloc((size_t)l->n + 1, sizeof *p->texts);
	if (!p->set || !p->texts)
		return ace_fail(ACE_ENOMEM, "no memory for %d data sets", l->n);
	for (int i = 0; i < l->n; i++) {
		struct prep_set *s = &p->set[p->sets];
		if (l->entry[i].kind == DATASET_TEXTS)
			continue;
		s->entry = &l->entry[i];
		s->texts = texts_of(p, s->entry);
		p->sets++;
		ACE_TRY(list_set(p, s));
	}
	return ACE_OK;
}

/* --- what the stores have --- */

bool
prep_same_captions(const struct prep_item *it, const struct latent_item *have)
{
	bool same = it->captions == have->captions;

	for (int i = 0; same && i < it->captions; i++)
		same = strcmp(it->caption[i], have->caption[i]) == 0;
	return same;
}

/* The file is the one that was encoded: by size and date, else by what is in it. */
static enum status
same_file(const struct prep_set *s, const struct prep_item *it, const struct latent_item *have, bool *same, bool *touched)
{
	const struct song *song = &s->songs.song[it->song];
	struct song_file file;
	char hex[65], *path;

	*touched = song->mtime != have->source_mtime;
	*same = song->size == have->source_size && !*touched;
	if (song->size != have->source_size || !*touched)
		return ACE_OK;
	path = song_path(&s->songs, it->song);
	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for file names");
	if (song_open(&s->songs, it->song, path, &file) == ACE_OK) {	/* what cannot be read is said when it is decoded */
		if (sha256_file(file.path, hex) == ACE_OK)
			*same = strcmp(hex, have->source_sha256) == 0;
		song_close(&file);
	}
	free(path);
	return ACE_OK;
}

/* Answers about a part's facts, kept as long as the next item is of the same part. */
struct verdict {
	const struct facts *facts;
	bool audio, lyric;
};

/* message: of the first difference. */
static void
judge(const struct prep_set *s, int64_t i, struct verdict *v, char message[400])
{
	const struct facts *f = latents_facts(s->have, i);

	if (f == v->facts)
		return;
	v->facts = f;
	v->lyric = facts_check(f, &s->lyric, s->entry->store) == ACE_OK;
	v->audio = facts_check(f, &s->audio, s->entry->store) == ACE_OK;
	if (!v->audio && !*message)
		snprintf(message, 400, "%s", ace_message());
}

/* What is to be done for an item that the store has. */
static enum status
compare(struct prep *p, struct prep_set *s, struct prep_item *it, const struct verdict *v)
{
	const struct latent_item *have = latents_item(s->have, it->have);
	bool same, touched, words;

	if (!v->audio && !p->job->override)
		return ACE_OK;
	ACE_TRY(same_file(s, it, have, &same, &touched));
	words = v->lyric && prep_same_captions(it, have) && strcmp(it->lyrics_sha256, have->lyrics_sha256) == 0;
	if (same && words && (!touched || !v->audio))
		it->todo = TODO_KEEP;
	else if (same && v->audio)	/* else it would be said to be made with today's settings */
		it->todo = TODO_UPDATE;
	return ACE_OK;
}

/* What is damaged in the store is encoded again. */
static enum status
read_whole(struct prep_set *s, struct prep_item *it)
{
	enum status st = prep_read_entry(s->have, it->have);

	if (st != ACE_EDATA)
		return st;
	msg_warn("%s; %s is encoded again", ace_message(), s->songs.song[it->song].key);
	it->todo = TODO_ENCODE;
	return ACE_OK;
}

/* How many clips of all ranks were made with other settings, and how the first of them differ. */
static enum status
say_stale(const struct prep *p, const char *message, int64_t stale)
{
	double sum = (double)stale;
	char number[32], *all;
	size_t size;

	ACE_TRY(prep_sum(p, &sum, 1));
	if (!(sum > 0))
		return ACE_OK;
	ACE_TRY(prep_gather(p, message, *message ? strlen(message) + 1 : 0, "differences", &all, &size));
	if (p->rank == 0)
		msg_warn("%s; %s clips are %s", all, prep_number((int64_t)sum, number),
		         p->job->override ? "kept as they are (override_dataset_config)" : "encoded again");
	free(all);
	return ACE_OK;
}

static enum status
plan_set(struct prep *p, struct prep_set *s, char message[400], int64_t *stale)
{
	struct verdict v = { 0 };

	if (s->entry->no_cache) {	/* an empty store, which stays so */
		struct facts none = { 0 };
		for (int64_t i = 0; i < s->n; i++)
			s->item[i].todo = s->item[i].code ? TODO_NONE : TODO_KEEP;
		msg_info("data set \"%s\": captions alone are encoded here", s->entry->id);
		return latents_made_open(&s->have, &none, NULL, NULL);
	}
	ACE_TRY(latents_open(&s->have, s->entry->store, NULL));
	for (int64_t i = 0; i < s->n; i++) {
		struct prep_item *it = &s->item[i];
		if (stop_asked())
			return ACE_ESTOPPED;
		if (s->songs.song[it->song].bad_name)
			continue;
		it->have = latents_find(s->have, s->songs.song[it->song].key);
		if (it->have < 0 || it->code)
			continue;
		judge(s, it->have, &v, message);
		*stale += !v.audio;
		ACE_TRY(compare(p, s, it, &v));
		if (p->job->verify && it->todo != TODO_ENCODE)
			ACE_TRY(read_whole(s, it));
	}
	return ACE_OK;
}

static int
by_key(const void *a, const void *b)
{
	return strcmp(((const struct prep_caption *)a)->key, ((const struct prep_caption *)b)->key);
}

/* Whether the store has the caption as this encoder makes it. */
static bool
has_caption(const struct prep_texts *t, const char *key, bool verify, bool *stale)
{
	int64_t i = texts_find(t->have, key);

	if (i < 0)
		return false;
	*stale = facts_check(texts_facts(t->have, i), &t->facts, t->entry->store) != ACE_OK;
	return !*stale && !(verify && prep_read_caption(t->have, i) == ACE_EDATA);
}

/* What there is of each caption, for the other ranks. */
static void
tell(struct buffer *told, const struct prep_caption *c, bool there, bool stale)
{
	buffer_add(told, c->key, 64);
	buffer_char(told, there ? TOLD_THERE : stale ? TOLD_STALE : TOLD_MISSING);
	buffer_add(told, c->text, there ? 0 : strlen(c->text));
	buffer_char(told, 0);
}

static enum status
plan_texts(struct prep *p, struct prep_texts *t, struct buffer *told)
{
	struct prep_caption last = { "", NULL };
	int64_t n = 0, stale = 0;
	char key[65], number[32];

	if (t->entry->no_cache)
		msg_info("text store \"%s\": its captions are encoded by each run (text_cache_disable), not here", t->entry->id);
	ACE_TRY(texts_open(&t->have, t->entry->store, NULL));
	if (p->job->shard == 0) {	/* the empty caption, which caption dropout puts in the place of others */
		texts_key("", 0, key);
		ACE_TRY(prep_want_caption(t, "", key));
	}
	if (t->n > 1)
		qsort(t->missing, (size_t)t->n, sizeof *t->missing, by_key);
	for (int64_t i = 0; i < t->n; i++) {
		struct prep_caption *c = &t->missing[i];
		bool again = strcmp(c->key, last.key) == 0, old = false, there = again || has_caption(t, c->key, p->job->verify, &old);
		memcpy(last.key, c->key, 65);
		if (!again && p->comm)
			tell(told, c, there, old);
		p->r->captions += !again && *c->text && !p->comm;
		if (there) {
			free(c->text);
			continue;
		}
		stale += old;
		t->missing[n++] = *c;
	}
	t->n = n;
	if (stale > 0 && !p->comm)
		msg_warn("%s; %s captions are encoded again", ace_message(), prep_number(stale, number));
	return told->bad ? ace_fail(ACE_ENOMEM, "no memory for captions") : ACE_OK;
}

enum status
prep_plan(struct prep *p)
{
	for (int i = 0; i < p->sets; i++) {
		char message[400] = "";
		int64_t stale = 0;
		ACE_TRY(prep_agree(p, plan_set(p, &p->set[i], message, &stale)));
		ACE_TRY(say_stale(p, message, stale));
	}
	for (int i = 0; i < p->n_texts; i++) {
		struct buffer told = { 0 };
		enum status st = prep_agree(p, plan_texts(p, &p->texts[i], &told));
		if (st == ACE_OK && p->comm)
			st = prep_share_captions(p, &p->texts[i], told.data, told.len);
		buffer_free(&told);
		ACE_TRY(st);
	}
	return ACE_OK;
}
