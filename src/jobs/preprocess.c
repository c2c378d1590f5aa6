/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/preprocess.h"

#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/preprocess_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
prep_free(struct prep *p)
{
	prep_close_models(p);
	for (int k = 0; k < p->sets; k++) {
		struct prep_set *s = &p->set[k];
		for (int64_t i = 0; i < s->n && s->item; i++) {
			free(s->item[i].reason);
			free(s->item[i].caption);
		}
		free(s->item);
		songs_free(&s->songs);
		latents_close(s->have);
	}
	for (int k = 0; k < p->n_texts; k++) {
		for (int64_t i = 0; i < p->texts[k].n; i++)
			free(p->texts[k].missing[i].text);
		free(p->texts[k].missing);
		texts_close(p->texts[k].have);
	}
	for (int64_t i = 0; i < p->faults; i++) {
		free(p->fault[i].code);
		free(p->fault[i].reason);
	}
	free(p->fault);
	free(p->set);
	free(p->texts);
}

/* Whether something may be in the stores. */
static bool
any_store(const struct prep *p)
{
	for (int k = 0; k < p->sets; k++)
		if (file_is_dir(p->set[k].entry->store))
			return true;
	return false;
}

/* Models, and what must be the same for entries to be kept. */
static enum status
open_models(struct prep *p)
{
	ACE_TRY(prep_open_lyrics(p));
	ACE_TRY(prep_open_models(p));
	for (int k = 0; k < p->sets; k++)
		prep_facts(p, &p->set[k]);
	for (int k = 0; k < p->n_texts; k++)
		prep_text_facts(p, &p->texts[k]);
	return ACE_OK;
}

/* What failed already, for a run that writes nothing. */
static void
say_failures(const struct prep *p)
{
	enum { NAMED = 20 };

	for (int64_t i = 0; i < p->faults && i < NAMED; i++)
		msg_warn("%s (%s)", p->fault[i].reason, p->fault[i].code);
	if (p->faults > NAMED)
		msg_warn("and %lld more", (long long)(p->faults - NAMED));
}

static enum status
write_all(struct prep *p)
{
	enum status st = prep_encode_texts(p), counted;

	prep_close_encoder(p);
	if (st == ACE_OK)
		st = prep_encode_clips(p);
	if (st != ACE_OK && st != ACE_ESTOPPED)
		return st;
	/* stopped or not, all ranks have come here */
	counted = prep_count(p);
	if (counted == ACE_OK)
		counted = prep_failures(p, true);
	if (counted != ACE_OK || st == ACE_ESTOPPED)
		return counted != ACE_OK ? counted : prep_agree(p, st);
	if (p->rank == 0)
		prep_say_end(p);
	ACE_TRY(prep_agree(p, prep_judge(p)));
	if (p->job->next)
		msg_info("next: %s", p->job->next);
	return ACE_OK;
}

static void
say_stopped(const struct preprocess_report *r)
{
	int64_t done = r->fresh + r->updated + r->kept, left = r->files - done - r->failed - r->skipped;
	char number[2][32];

	msg_info("%s: stopped; %s clips are done, %s are left. Run again to go on (exit 75).",
	         *stop_signal() ? stop_signal() : "another rank",
	         prep_number(done, number[0]), prep_number(left, number[1]));
}

static enum status
run(struct prep *p)
{
	enum preprocess_what what = p->job->what;

	if (what == PREPROCESS_MERGE)
		return prep_agree(p, p->rank == 0 ? prep_merge(p) : ACE_OK);
	ACE_TRY(prep_agree(p, prep_list(p)));
	if (what != PREPROCESS_CHECK || (p->job->model && any_store(p)))
		ACE_TRY(prep_agree(p, open_models(p)));
	ACE_TRY(prep_plan(p));
	ACE_TRY(prep_agree(p, prep_probe(p)));
	if (what != PREPROCESS_CHECK)
		ACE_TRY(prep_space(p));
	ACE_TRY(prep_say_plan(p));
	if (what == PREPROCESS_ALL)
		return write_all(p);
	if (what == PREPROCESS_DRY_RUN)
		ACE_TRY(prep_agree(p, prep_estimate(p)));
	ACE_TRY(prep_count(p));
	ACE_TRY(prep_failures(p, false));
	say_failures(p);
	if (what == PREPROCESS_CHECK)
		ACE_TRY(prep_verify(p));
	return prep_agree(p, prep_judge(p));
}

enum status
preprocess_run(const struct preprocess_job *job, struct preprocess_report *r)
{
	struct preprocess_job j = *job;
	struct prep p = { .job = &j, .r = r, .ranks = 1 };
	enum status st;

	*r = (struct preprocess_report){ .need = -1, .free_bytes = -1 };
	if (j.shards < 1) {
		j.shards = 1;
		j.shard = 0;
	}
	p.shard = j.shard;
	p.shards = j.shards;
	if (j.comm && j.comm->size > 1) {
		p.comm = j.comm;
		p.rank = j.comm->rank;
		p.ranks = j.comm->size;
		j.shard = j.shard * p.ranks + p.rank;
		j.shards *= p.ranks;
	}
	if (j.text_tokens < 1)
		j.text_tokens = UNIGRAM_CAP;
	st = j.shards > PREPROCESS_SHARDS ? ace_fail(ACE_EUSAGE, "%d shards of %d ranks each are more than %d writers", p.shards,
	                                             p.ranks, PREPROCESS_SHARDS) : run(&p);
	if (st == ACE_ESTOPPED)
		say_stopped(r);
	prep_free(&p);
	return st;
}
