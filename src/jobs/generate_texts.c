/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts and lyrics as the transformer hears them (text.md sections 1 and 5). */
#include "jobs/generate_parts.h"

#include "base/file.h"
#include "base/hub.h"
#include "base/msg.h"
#include "models/umt5.h"
#include "text/lyric.h"
#include "text/unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
	const struct generate_job *job;
	struct unigram unigram;
	struct umt5 umt5;
};

static enum status
check_values(const struct generate_text *t, int width, const char *text)
{
	for (int64_t i = 0; i < (int64_t)t->n * width; i++)
		if (!isfinite(t->x[i]))
			return ace_fail(ACE_EDATA, "the text encoder gives numbers that are not finite for \"%.60s\"", text);
	return ACE_OK;
}

/* text by the encoder, its queries weakened where tau is below 1. */
static enum status
encode(struct encoder *e, const char *text, float tau, struct generate_text *to)
{
	int cap = e->job->text_tokens, n;
	int32_t *ids = malloc((size_t)(cap + 1) * sizeof *ids);
	enum status st;

	if (!ids)
		return ace_fail(ACE_ENOMEM, "no memory for a prompt");
	/* one more than fits tells whether it was cut */
	st = unigram_encode(&e->unigram, text, strlen(text), ids, cap + 1, &n);
	if (st == ACE_OK && n > cap) {
		if (tau == 1.f)
			msg_warn("\"%.60s\" ...: only the first %d tokens are heard (tokenizer_max_length)", text, cap);
		st = unigram_encode(&e->unigram, text, strlen(text), ids, cap, &n);
	}
	if (st == ACE_OK) {
		*to = (struct generate_text){ malloc((size_t)n * (size_t)umt5_width(&e->umt5) * sizeof *to->x), n };
		st = to->x ? umt5_encode_erg(&e->umt5, ids, n, tau, to->x) : ace_fail(ACE_ENOMEM, "no memory for a prompt");
	}
	if (st == ACE_OK)
		st = check_values(to, umt5_width(&e->umt5), text);
	free(ids);
	return st;
}

/* Whether outputs without conditions hear a weak copy of the prompt. */
static bool
wants_weak(const struct generate_job *j)
{
	return j->erg_tag && j->erg_lyric && !j->negative && generate_guides(j);
}

static enum status
encode_all(struct encoder *e, const struct generate_clips *c, struct generate_conditioned *to)
{
	if (unigram_size(&e->unigram) > e->umt5.config.rows)
		return ace_fail(ACE_ECONFIG, "%s: the tokenizer gives ids up to %d, the text encoder has %lld", e->job->model,
		                unigram_size(&e->unigram) - 1, (long long)e->umt5.config.rows);
	if (wants_weak(e->job) && e->umt5.config.blocks < UMT5_ERG_TO)
		return ace_fail(ACE_ECONFIG, "erg_tag weakens the blocks %d and %d of the text encoder, and it has %lld; erg_tag=false "
		                "turns it off", UMT5_ERG_FROM, UMT5_ERG_TO - 1, (long long)e->umt5.config.blocks);
	to->width = umt5_width(&e->umt5);
	for (int i = 0; i < to->clips; i++) {
		if (c->n > 1)
			msg_progress("prompts", i + 1, to->clips, "%s", c->clip[i].name);
		ACE_TRY(encode(e, c->clip[i].prompt, 1.f, &to->clip[i].prompt));
		if (wants_weak(e->job))
			ACE_TRY(encode(e, c->clip[i].prompt, UMT5_ERG_TAU, &to->clip[i].weak));
	}
	if (e->job->negative)
		ACE_TRY(encode(e, e->job->negative, 1.f, &to->negative));
	return ACE_OK;
}

static enum status
encode_prompts(const struct generate_job *j, const struct generate_clips *c, struct dev *d, struct generate_conditioned *to)
{
	struct encoder e = { .job = j };
	char *folder = file_path("%s/umt5-base", j->model);
	enum status st = folder ? unigram_open(&e.unigram, folder) : ace_fail(ACE_ENOMEM, "no memory for file names");

	if (st == ACE_OK) {
		st = umt5_open(&e.umt5, folder, F32, d);
		if (st == ACE_OK) {
			st = encode_all(&e, c, to);
			umt5_close(&e.umt5);
		}
		unigram_close(&e.unigram);
	}
	msg_progress_end();
	free(folder);
	return st;
}

/* A clip is called by its name, or, of a single one, by what the option is called. */
static const char *
called(const struct generate_clip *c)
{
	return *c->name ? c->name : "lyrics";
}

static enum status
take_ids(const struct generate_job *j, const struct generate_clip *c, const struct lyric *l, struct generate_conditions *to)
{
	struct lyric_ids ids;
	enum lyric_fault fault;
	enum status st = lyric_encode(l, c->lyrics, strlen(c->lyrics), &ids, &fault);

	if (st != ACE_OK)
		return ace_fail_prefix(st, "%s: ", called(c));
	if (ids.skipped > 0 && j->whole_lyrics)
		st = ace_fail(ACE_EDATA, "%s: line %d cannot be read: %s", called(c), ids.skipped_line[0], ids.why);
	else
		lyric_warn(&ids, called(c));
	if (st == ACE_OK && ids.cut)
		msg_warn("%s: only the first %d tokens are sung (lyrics_max_tokens)", called(c), ids.n);
	if (st == ACE_OK && lyric_unknown_share(&ids) > LYRIC_UNKNOWN_MOST)
		msg_warn("%s: %.1f %% of the tokens are unknown to the lyric tokenizer (ace-inspect --lyrics shows which)", called(c),
		         100 * lyric_unknown_share(&ids));
	to->id = ids.id;
	to->ids = ids.n;
	to->mask = ids.mask;
	ids.id = NULL;
	lyric_ids_free(&ids);
	return st;
}

static enum status
no_lyrics(struct generate_conditions *to)
{
	to->id = calloc(1, sizeof *to->id);
	to->ids = 1;
	return to->id ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for lyrics");
}

static enum status
encode_lyrics(const struct generate_job *j, const struct generate_clips *c, struct generate_conditioned *to)
{
	char *vocab = j->vocab ? file_path("%s", j->vocab) : hub_lyric_vocab(j->model);
	struct lyric l = { 0 };
	bool open = false;
	enum status st = vocab ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for file names");

	for (int i = 0; i < to->clips && st == ACE_OK; i++) {
		if (!c->clip[i].lyrics) {
			st = no_lyrics(&to->clip[i]);
			continue;
		}
		if (!open && !file_exists(vocab))
			st = ace_fail(ACE_ENOINPUT, "%s: no such file; lyrics need the lyric vocabulary\nace-fetch lyric-vocab brings it; or "
			              "put it there, or give its place with lyric_vocab=PATH", vocab);
		else if (!open)
			st = lyric_open(&l, &(struct lines_from){ .vocab = vocab, .tables = j->tables, .unidic = j->unidic });
		if (st != ACE_OK)
			break;
		open = true;
		l.max_tokens = j->lyric_tokens;
		l.per_song = j->per_song;
		st = take_ids(j, &c->clip[i], &l, &to->clip[i]);
	}
	if (open)
		lyric_close(&l);
	free(vocab);
	return st;
}

enum status
generate_encode(struct generate_conditioned *e, const struct generate_job *j, const struct generate_clips *c, struct dev *d)
{
	*e = (struct generate_conditioned){ .clips = c->n + c->edits };
	e->clip = calloc((size_t)e->clips, sizeof *e->clip);
	if (!e->clip)
		return ace_fail(ACE_ENOMEM, "no memory for %d clips", c->n);
	for (int k = 0; k < e->clips; k++)
		e->clip[k].strength = c->clip[k].strength;
	ACE_TRY(encode_lyrics(j, c, e));	/* the cheaper one first: it may fail */
	return encode_prompts(j, c, d, e);
}

void
generate_conditioned_free(struct generate_conditioned *e)
{
	for (int i = 0; e->clip && i < e->clips; i++) {
		free(e->clip[i].prompt.x);
		free(e->clip[i].weak.x);
		free(e->clip[i].id);
	}
	free(e->clip);
	free(e->negative.x);
	*e = (struct generate_conditioned){ 0 };
}
