/* SPDX-License-Identifier: Apache-2.0 */
/* Preparation by several ranks: what they count together, captions that each encodes its share of, and how far all have come. */
#include "jobs/preprocess_parts.h"

#include "base/msg.h"
#include "base/stop.h"
#include "text/buffer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 64 };			/* letters of a caption's key */
#define GATHER_LIMIT ((size_t)1 << 32)

enum status
prep_agree(const struct prep *p, enum status st)
{
	return p->comm ? comm_agree(p->comm, st) : st;
}

enum status
prep_sum(const struct prep *p, double *v, int n)
{
	return p->comm ? comm_allreduce(p->comm, tensor_of(v, F64, 1, n), COMM_SUM, "counts") : ACE_OK;
}

enum status
prep_sum_report(struct prep *p)
{
	struct preprocess_report *r = p->r;
	int64_t *const count[] = { &r->files, &r->fresh, &r->updated, &r->kept, &r->failed, &r->skipped, &r->gone, &r->captions,
		&r->fresh_captions, &r->cut_captions, &r->with_lyrics, &r->instrumental, &r->tokens, &r->unknown, &r->lyric_lines,
		&r->lyric_skipped, &r->unknown_songs, &r->short_data, &r->cut, &r->bytes };
	enum { COUNTS = sizeof count / sizeof *count };
	double sum[COUNTS + 1];

	for (int i = 0; i < COUNTS; i++)
		sum[i] = (double)*count[i];
	sum[COUNTS] = r->seconds;
	ACE_TRY(prep_sum(p, sum, COUNTS + 1));
	for (int i = 0; i < COUNTS; i++)
		*count[i] = (int64_t)sum[i];
	r->seconds = sum[COUNTS];
	return ACE_OK;
}

enum status
prep_gather(const struct prep *p, const char *text, size_t size, const char *what, char **all, size_t *all_size)
{
	size_t *at;

	*all = NULL;
	*all_size = size;
	if (!p->comm) {
		*all = malloc(size + 1);
		if (!*all)
			return ace_fail(ACE_ENOMEM, "no memory for %zu bytes of %s", size, what);
		if (size)
			memcpy(*all, text, size);
		(*all)[size] = 0;
		return ACE_OK;
	}
	ACE_TRY(comm_gather(p->comm, text ? text : "", size, GATHER_LIMIT, all, &at, what));
	*all_size = at ? at[p->ranks] : 0;
	free(at);
	return ACE_OK;
}

/* --- captions --- */

/* A caption as ranks tell of it: in the store, missing, or there but made by another encoder. */
struct told {
	const char *key;		/* KEY letters, then the flag, then the text up to a 0, which is only there when it is missing */
};

static int
by_key(const void *a, const void *b)
{
	return strncmp(((const struct told *)a)->key, ((const struct told *)b)->key, KEY);
}

/* All that ranks have told, by key. */
static enum status
sort_told(const char *all, size_t size, struct told **told, int64_t *n)
{
	int64_t count = 0;
	const char *at = all;

	*n = 0;
	for (size_t i = 0; i < size; i++)
		count += all[i] == 0;
	*told = malloc((size_t)count * sizeof **told + 1);
	if (!*told)
		return ace_fail(ACE_ENOMEM, "no memory for %lld captions", (long long)count);
	for (; *n < count; at += strlen(at) + 1) {
		if (strlen(at) <= KEY)
			return ace_fail(ACE_EBUG, "what a rank told of its captions is broken");
		(*told)[(*n)++].key = at;
	}
	if (*n > 1)
		qsort(*told, (size_t)*n, sizeof **told, by_key);
	return ACE_OK;
}

/* On the first rank: each caption once, those to be encoded into list. */
static enum status
merge_told(struct prep *p, struct prep_texts *t, const char *all, size_t size, struct buffer *list)
{
	struct told *told = NULL;
	int64_t n, stale = 0;
	char empty[KEY + 1], number[32], message[400] = "";
	enum status st = sort_told(all, size, &told, &n);

	texts_key("", 0, empty);
	for (int64_t i = 0; st == ACE_OK && i < n; i++) {
		const char *key = told[i].key, flag = key[KEY];
		if (i > 0 && by_key(&told[i - 1], &told[i]) == 0)
			continue;
		p->r->captions += strncmp(key, empty, KEY) != 0;
		if (flag == TOLD_THERE)
			continue;
		if (flag == TOLD_STALE && stale++ == 0) {
			char name[KEY + 1];
			snprintf(name, sizeof name, "%.*s", KEY, key);
			if (facts_check(texts_facts(t->have, texts_find(t->have, name)), &t->facts, t->entry->store) != ACE_OK)
				snprintf(message, sizeof message, "%s", ace_message());
		}
		buffer_add(list, key, strlen(key) + 1);
	}
	free(told);
	if (stale > 0)
		msg_warn("%s; %s captions are encoded again", message, prep_number(stale, number));
	return st == ACE_OK && !buffer_done(list) ? ace_fail(ACE_ENOMEM, "no memory for captions") : st;
}

/* This rank's share of the list, in the place of what it missed itself. */
static enum status
take_share(const struct prep *p, struct prep_texts *t, const char *list, size_t size)
{
	int64_t i = 0;

	for (int64_t k = 0; k < t->n; k++)
		free(t->missing[k].text);
	t->n = 0;
	for (const char *at = list; at < list + size; at += strlen(at) + 1, i++) {
		char key[KEY + 1];
		if (i % p->ranks != p->rank)
			continue;
		snprintf(key, sizeof key, "%.*s", KEY, at);
		ACE_TRY(prep_want_caption(t, at + KEY + 1, key));
	}
	return ACE_OK;
}

enum status
prep_share_captions(struct prep *p, struct prep_texts *t, const char *told, size_t size)
{
	struct buffer list = { 0 };
	char *all, *shared;
	enum status st;
	size_t all_size;

	ACE_TRY(prep_gather(p, told, size, "captions", &all, &all_size));
	st = prep_agree(p, p->rank == 0 ? merge_told(p, t, all, all_size, &list) : ACE_OK);
	free(all);
	shared = list.data;
	all_size = list.len;
	if (st == ACE_OK)
		st = comm_share(p->comm, &shared, &all_size, GATHER_LIMIT, "captions");
	if (st == ACE_OK)
		st = prep_agree(p, take_share(p, t, shared, all_size));
	if (p->rank > 0)
		free(shared);
	buffer_free(&list);
	return st;
}

/* --- how far all have come --- */

void
prep_rounds_begin(struct prep *p)
{
	memset(p->round.all, 0, sizeof p->round.all);
	p->shown = 0;
}

/* The round under way is over: what it says. */
static enum status
end_round(struct prep *p)
{
	struct prep_round *r = &p->round;

	r->open = false;
	ACE_TRY(comm_wait(p->comm, r->ticket));
	memcpy(r->all, r->mine, sizeof r->all);
	if (r->all[ROUND_STOP] > 0)
		stop_now();
	return ACE_OK;
}

static void
begin_round(struct prep *p, const double now[ROUND_NUMBERS], bool ready)
{
	struct prep_round *r = &p->round;

	memcpy(r->mine, now, sizeof r->mine);
	r->mine[ROUND_STOP] = stop_asked();
	r->mine[ROUND_READY] = ready;
	r->ticket = comm_allreduce_start(p->comm, tensor_of(r->mine, F64, 1, ROUND_NUMBERS), COMM_SUM, "progress");
	r->open = true;
}

enum status
prep_round(struct prep *p, const double now[ROUND_NUMBERS])
{
	struct prep_round *r = &p->round;

	if (!p->comm) {
		memcpy(r->all, now, sizeof r->all);
		return ACE_OK;
	}
	if (r->open && comm_done(p->comm, r->ticket))
		ACE_TRY(end_round(p));
	if (!r->open)
		begin_round(p, now, false);
	return ACE_OK;
}

enum status
prep_rounds_end(struct prep *p, const double now[ROUND_NUMBERS], void (*show)(struct prep *p))
{
	struct prep_round *r = &p->round;

	if (!p->comm) {
		memcpy(r->all, now, sizeof r->all);
		show(p);
		return ACE_OK;
	}
	do {
		if (!r->open)
			begin_round(p, now, true);
		ACE_TRY(end_round(p));
		show(p);
	} while (r->all[ROUND_READY] < p->ranks);
	return ACE_OK;
}
