/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the stores still fit their songs: what --check finds, one line each. */
#include "jobs/preprocess_parts.h"

#include "base/msg.h"
#include "base/stop.h"

#include <stdlib.h>
#include <string.h>

enum { HELD, WRONG, NUMBERS };		/* entries that there are; findings */

struct findings {
	struct buffer lines;
	double n[NUMBERS];
};

static void
finding(struct findings *f, const char *where, const char *key, const char *what)
{
	f->n[WRONG]++;
	buffer_str(&f->lines, where);
	buffer_str(&f->lines, *key ? "/" : "");
	buffer_str(&f->lines, key);
	buffer_str(&f->lines, ": ");
	for (; *what && *what != '\n'; what++)
		buffer_char(&f->lines, *what);
	buffer_char(&f->lines, '\n');
}

/* --- clips --- */

/* How the song is another than the one that was encoded; "" when it is not. */
static void
difference(const struct prep_set *s, const struct prep_item *it, const struct latent_item *have, char what[400])
{
	const struct song *song = &s->songs.song[it->song];

	*what = 0;
	if (it->code)
		snprintf(what, 400, "encoded, but not usable any more (%s)", it->code);
	else if (it->todo == TODO_ENCODE && facts_check(latents_facts(s->have, it->have), &s->audio, s->entry->store) != ACE_OK)
		snprintf(what, 400, "%s", ace_message());
	else if (it->todo == TODO_ENCODE && song->size != have->source_size)
		snprintf(what, 400, "changed: %lld bytes, encoded from %lld", (long long)song->size, (long long)have->source_size);
	else if (it->todo == TODO_ENCODE)
		snprintf(what, 400, "changed: the same size, other bytes");
	else if (it->todo == TODO_UPDATE && !prep_same_captions(it, have))
		snprintf(what, 400, "its captions have changed");
	else if (it->todo == TODO_UPDATE && strcmp(it->lyrics_sha256, have->lyrics_sha256) != 0)
		snprintf(what, 400, "its lyrics have changed");
	else if (it->todo == TODO_UPDATE && facts_check(latents_facts(s->have, it->have), &s->lyric, s->entry->store) != ACE_OK)
		snprintf(what, 400, "%s", ace_message());	/* another date alone is no difference */
}

enum status
prep_read_entry(struct latents *s, int64_t i)
{
	const struct latent_item *a = latents_item(s, i);
	float *x = malloc((size_t)(a->channels * a->rows * a->frames) * sizeof *x);
	int32_t *id = malloc((size_t)a->lyrics * sizeof *id);
	uint8_t *mask = malloc((size_t)a->lyrics);
	enum status st = x && id && mask ? latents_read(s, i, x) : ace_fail(ACE_ENOMEM, "no memory for %s", a->key);

	if (st == ACE_OK)
		st = latents_read_lyrics(s, i, id, mask);
	free(x);
	free(id);
	free(mask);
	return st;
}

static enum status
check_item(struct prep_set *s, const struct prep_item *it, bool any, struct findings *f)
{
	const char *key = s->songs.song[it->song].bad_name ? "?" : s->songs.song[it->song].key;
	char what[400];
	enum status st;

	if (it->have < 0) {
		if (any && !it->code)
			finding(f, s->songs.folder, key, "not in the store");
		return ACE_OK;
	}
	f->n[HELD]++;
	difference(s, it, latents_item(s->have, it->have), what);
	if (*what) {
		finding(f, s->songs.folder, key, what);
		return ACE_OK;
	}
	st = prep_read_entry(s->have, it->have);
	if (st == ACE_EDATA || st == ACE_EIO) {
		finding(f, s->songs.folder, key, ace_message());
		return ACE_OK;
	}
	return st;
}

static int
by_song_key(const void *key, const void *song)
{
	return strcmp(key, ((const struct song *)song)->key);
}

/* What only the store knows: entries of songs that are no more, parts that cannot be read. */
static void
check_store(const struct prep_set *s, struct findings *f)
{
	for (int64_t i = 0; i < latents_count(s->have); i++) {
		const char *key = latents_item(s->have, i)->key;
		if (!bsearch(key, s->songs.song, (size_t)s->songs.n, sizeof *s->songs.song, by_song_key))
			finding(f, s->songs.folder, key, "in the store, but there is no such song any more");
	}
	for (int i = 0; i < latents_damaged(s->have); i++)
		finding(f, latents_damage(s->have, i), "", "damaged");
}

static enum status
check_set(const struct prep *p, struct prep_set *s, struct findings *f)
{
	bool any = latents_count(s->have) > 0 || latents_damaged(s->have) > 0;

	for (int64_t i = 0; i < s->n; i++) {
		if (stop_asked())
			return ACE_ESTOPPED;
		ACE_TRY(check_item(s, &s->item[i], any, f));
	}
	if (p->job->shard == 0)
		check_store(s, f);
	return ACE_OK;
}

/* --- captions --- */

enum status
prep_read_caption(struct texts *s, int64_t i)
{
	float *x = malloc((size_t)(texts_item(s, i)->rows * texts_width(s)) * sizeof *x);
	enum status st = x ? texts_read(s, i, x) : ace_fail(ACE_ENOMEM, "no memory for a caption");

	free(x);
	return st;
}

static enum status
check_texts(const struct prep *p, struct prep_texts *t, struct findings *f)
{
	enum status st = ACE_OK;

	if (texts_count(t->have) + texts_damaged(t->have) == 0)
		return ACE_OK;
	for (int64_t i = 0; i < t->n; i++) {	/* what planning missed */
		char what[200];
		snprintf(what, sizeof what, "caption \"%.80s\" is not in the store, or made with another encoder", t->missing[i].text);
		finding(f, t->entry->store, "", what);
	}
	for (int64_t i = p->job->shard; st == ACE_OK && i < texts_count(t->have); i += p->job->shards) {
		st = prep_read_caption(t->have, i);
		if (st == ACE_EDATA || st == ACE_EIO) {
			finding(f, t->entry->store, "", ace_message());
			st = ACE_OK;
		}
	}
	for (int i = 0; i < texts_damaged(t->have) && p->job->shard == 0; i++)
		finding(f, texts_damage(t->have, i), "", "damaged");
	return st;
}

static enum status
look(struct prep *p, struct findings *f)
{
	for (int k = 0; k < p->sets; k++)
		ACE_TRY(check_set(p, &p->set[k], f));
	for (int k = 0; k < p->n_texts; k++)
		ACE_TRY(check_texts(p, &p->texts[k], f));
	return f->lines.bad ? ace_fail(ACE_ENOMEM, "no memory for what was found") : ACE_OK;
}

enum status
prep_verify(struct prep *p)
{
	struct findings f = { 0 };
	struct buffer sorted = { 0 };
	char *all = NULL, number[2][32];
	enum status st = prep_agree(p, look(p, &f));
	size_t size;

	if (st == ACE_OK)
		st = prep_gather(p, f.lines.data, f.lines.len, "findings", &all, &size);
	if (st == ACE_OK && p->rank == 0 && size > 0) {
		st = prep_sort_lines(all, size, &sorted);
		if (st == ACE_OK && p->job->out)
			fprintf(p->job->out, "%.*s", (int)sorted.len, sorted.data);
	}
	st = prep_agree(p, st);
	if (st == ACE_OK)
		st = prep_sum(p, f.n, NUMBERS);
	buffer_free(&f.lines);
	buffer_free(&sorted);
	free(all);
	if (st != ACE_OK)
		return st;
	p->r->findings = (int64_t)f.n[WRONG];
	if (f.n[WRONG] > 0)
		return ace_fail(ACE_EDATA, "the stores and their songs differ in %s places; %s clips are in the stores\n"
		                "ace-preprocess with verify=true in the place of --check does these anew and keeps the others",
		                prep_number((int64_t)f.n[WRONG], number[0]), prep_number((int64_t)f.n[HELD], number[1]));
	if (f.n[HELD] > 0)
		msg_info("check: the stores fit their songs: %s clips, every number was read",
		         prep_number((int64_t)f.n[HELD], number[0]));
	return ACE_OK;
}
