/* SPDX-License-Identifier: Apache-2.0 */
/* Captions into their stores, one by one: a caption's numbers depend on no other. */
#include "jobs/preprocess_parts.h"

#include "base/clock.h"
#include "base/msg.h"
#include "base/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status
encode_one(struct prep *p, struct prep_texts *t, const char *text, int32_t *ids, float *x)
{
	int cap = p->job->text_tokens, n;

	/* one more than fits tells whether it was cut */
	ACE_TRY(unigram_encode(&p->unigram, text, strlen(text), ids, cap + 1, &n));
	if (n > cap) {
		p->r->cut_captions++;
		ACE_TRY(unigram_encode(&p->unigram, text, strlen(text), ids, cap, &n));
	}
	ACE_TRY(umt5_encode(&p->umt5, ids, n, x));
	for (int64_t i = 0; i < (int64_t)n * umt5_width(&p->umt5); i++)
		if (!isfinite(x[i]))
			return ace_fail(ACE_EDATA, "%s: the text encoder gives numbers that are not finite for \"%.60s\"",
			                p->job->model, text);
	return texts_put(t->writer, text, strlen(text), x, n);
}

/* How far all ranks are with this store; the first of them shows it. */
static void
show(struct prep *p)
{
	const double *all = p->round.all;

	if (p->rank > 0 || all[ROUND_TOTAL] == 0 || (all[ROUND_DONE] == p->shown && p->shown == all[ROUND_TOTAL]))
		return;
	p->shown = all[ROUND_DONE];
	if (all[ROUND_HAND] > 0)
		msg_progress("captions", (int64_t)all[ROUND_DONE], (int64_t)all[ROUND_TOTAL], "+%lld in hand",
		             (long long)all[ROUND_HAND]);
	else
		msg_progress("captions", (int64_t)all[ROUND_DONE], (int64_t)all[ROUND_TOTAL], "%s", "");
}

static void
progress(const struct prep_texts *t, int64_t put, double now[ROUND_NUMBERS])
{
	int64_t sealed = t->writer ? texts_sealed(t->writer) : 0;

	memset(now, 0, ROUND_NUMBERS * sizeof *now);
	now[ROUND_DONE] = (double)sealed;
	now[ROUND_TOTAL] = (double)t->n;
	now[ROUND_HAND] = (double)(put - sealed);
}

static enum status
encode_list(struct prep *p, struct prep_texts *t, int32_t *ids, float *x)
{
	double now[ROUND_NUMBERS];

	prep_rounds_begin(p);
	if (t->n > 0)
		ACE_TRY(texts_writer_open(&t->writer, t->entry->store, p->job->shard, BF16, umt5_width(&p->umt5), &t->facts));
	for (int64_t i = 0; i < t->n; i++) {
		if (stop_asked())
			return ACE_ESTOPPED;
		if (stop_save_asked())
			ACE_TRY(texts_seal(t->writer));
		ACE_TRY(encode_one(p, t, t->missing[i].text, ids, x));
		progress(t, i + 1, now);
		ACE_TRY(prep_round(p, now));
		show(p);
	}
	return ACE_OK;
}

/* This rank's part of a store; a failure that the others do not know of yet leaves early. */
static enum status
encode_store(struct prep *p, struct prep_texts *t, int32_t *ids, float *x)
{
	enum status st = encode_list(p, t, ids, x), sealed;
	double now[ROUND_NUMBERS];

	if (st == ACE_OK || st == ACE_ESTOPPED) {
		sealed = t->writer ? texts_seal(t->writer) : ACE_OK;
		progress(t, t->writer ? texts_sealed(t->writer) : 0, now);
		st = sealed != ACE_OK ? sealed : st;
	}
	p->r->fresh_captions += t->writer ? texts_sealed(t->writer) : 0;
	p->r->bytes += t->writer ? texts_written(t->writer) : 0;
	texts_writer_close(t->writer);
	t->writer = NULL;
	if (st != ACE_OK && st != ACE_ESTOPPED)
		return st;
	ACE_TRY(prep_rounds_end(p, now, show));
	return prep_agree(p, st);
}

/* Once all are through: what is no more goes, and the index is made. */
static enum status
tidy(const struct prep *p, const struct prep_texts *t)
{
	int removed;

	if (p->rank > 0 || t->entry->no_cache)
		return ACE_OK;
	if (p->shards == 1)
		ACE_TRY(texts_sweep(t->entry->store, &removed));
	return texts_index(t->entry->store);
}

enum status
prep_encode_texts(struct prep *p)
{
	int32_t *ids = malloc((size_t)(p->job->text_tokens + 1) * sizeof *ids);
	float *x = malloc((size_t)(p->job->text_tokens + 1) * (size_t)umt5_width(&p->umt5) * sizeof *x);
	enum status st = prep_agree(p, ids && x ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for captions"));

	for (int i = 0; st == ACE_OK && i < p->n_texts; i++)
		st = encode_store(p, &p->texts[i], ids, x);
	for (int i = 0; st == ACE_OK && i < p->n_texts; i++)
		st = prep_agree(p, tidy(p, &p->texts[i]));
	msg_progress_end();
	free(ids);
	free(x);
	return st;
}
