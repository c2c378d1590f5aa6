/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_things.h"

#include "audio/prepare.h"
#include "base/file.h"
#include "store/latents.h"
#include "store/texts.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 10, LONGEST = 60 };	/* of lists that may be long */

/* A fact of some of the items. */
struct provenance {
	const char *name, *value;
	int64_t items;
};

struct provenances {
	struct provenance *v;
	int n;
};

static enum status
collect(struct provenances *p, const struct facts *f)
{
	for (int i = 0; i < f->n; i++) {
		struct provenance *more;
		int k = 0;
		while (k < p->n && (strcmp(p->v[k].name, f->fact[i].name) || strcmp(p->v[k].value, f->fact[i].value)))
			k++;
		if (k == p->n) {
			more = realloc(p->v, ((size_t)p->n + 1) * sizeof *more);
			if (!more)
				return ace_fail(ACE_ENOMEM, "no memory for the facts of a store");
			p->v = more;
			more[p->n++] = (struct provenance){ f->fact[i].name, f->fact[i].value, 0 };
		}
		p->v[k].items++;
	}
	return ACE_OK;
}

static void
show_provenance(struct report *r, struct provenances *p, const char *items)
{
	const struct report_column columns[] = { { "fact", "fact", false }, { "value", "value", false },
		                                 { "items", items, true } };

	report_table(r, "provenance", "made with", columns, 3);
	for (int i = 0; i < p->n; i++) {
		report_cell(r, "%s", p->v[i].name);
		report_cell(r, "%s", p->v[i].value);
		report_cell_i64(r, p->v[i].items);
	}
	report_table_end(r);
	free(p->v);
}

/* What is beside the parts in use. */
static void
show_files(struct report *r, const char *path, int parts, int64_t bytes, int damaged)
{
	int aside = file_is_dir(path) ? inspect_names(path, "", ".h5.damaged") : 0;
	char text[REPORT_SHORT];

	report_number(r, "bytes", "size", (double)bytes, "%s", report_bytes(bytes, text));
	report_i64(r, "parts", "parts", parts);
	report_i64(r, "damaged_parts", damaged ? "damaged parts" : NULL, damaged);
	report_i64(r, "parts_set_aside", aside ? "set aside" : NULL, aside);
	if (aside)
		report_note(
		    r,
		    "%d damaged part%s set aside (.damaged); ace-preprocess has made what was lost again, or will",
		    aside, aside == 1 ? " was" : "s were");
}

/* --- latents --- */

struct latents_sum {
	double seconds;
	int64_t frames, least, most;
	int64_t captions, lyrics, tokens, unknown, skipped, gone;
	int64_t channels, rows;
	bool shapes;			/* there are several */
};

static void
add_clip(struct latents_sum *sum, const struct latent_item *a)
{
	sum->seconds += (double)a->samples / PREPARE_RATE;
	sum->frames += a->frames;
	sum->least = sum->least == 0 || a->frames < sum->least ? a->frames : sum->least;
	sum->most = a->frames > sum->most ? a->frames : sum->most;
	sum->captions += a->captions;
	sum->gone += !file_exists(a->source);
	sum->skipped += a->lyric_skipped;
	if (a->lyrics_sha256[0] || a->lyrics > 1) {	/* an instrumental has one token */
		sum->lyrics++;
		sum->tokens += a->lyrics;
		sum->unknown += a->lyric_unknown;
	}
	sum->shapes |= sum->channels != 0 && (sum->channels != a->channels || sum->rows != a->rows);
	sum->channels = a->channels;
	sum->rows = a->rows;
}

struct bucket {
	double bucket, seconds;
	int64_t clips;
};

static int
by_bucket(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	return (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

static enum status
show_buckets(struct report *r, const struct latents *s)
{
	static const struct report_column columns[] = { { "bucket", "bucket", true }, { "clips", "clips", true },
		                                        { "seconds", "audio", true } };
	int64_t n = latents_count(s), k = 0;
	struct bucket *v = malloc((size_t)n * sizeof *v + 1);
	char text[REPORT_SHORT];

	if (!v)
		return ace_fail(ACE_ENOMEM, "no memory for %lld clips", (long long)n);
	for (int64_t i = 0; i < n; i++) {
		const struct latent_item *a = latents_item(s, i);
		v[i] = (struct bucket){ a->bucket, (double)a->samples / PREPARE_RATE, 1 };
	}
	qsort(v, (size_t)n, sizeof *v, by_bucket);
	for (int64_t i = 1; i < n; i++) {
		if (v[i].bucket == v[k].bucket) {
			v[k].clips++;
			v[k].seconds += v[i].seconds;
		} else {
			v[++k] = v[i];
		}
	}
	report_table(r, "buckets", "durations", columns, 3);
	for (int64_t i = 0; n > 0 && i <= k; i++) {
		report_cell_number(r, v[i].bucket, "%gs", v[i].bucket);
		report_cell_i64(r, v[i].clips);
		report_cell_number(r, v[i].seconds, "%s", report_length(v[i].seconds, text));
	}
	report_table_end(r);
	free(v);
	return ACE_OK;
}

/* Read every clip; those that cannot be read are named. *bad of them. */
static enum status
read_clips(struct report *r, struct latents *s, int64_t *bad)
{
	for (int64_t i = 0; i < latents_count(s); i++) {
		const struct latent_item *a = latents_item(s, i);
		float *x = malloc((size_t)(a->channels * a->rows * a->frames) * sizeof *x);
		int32_t *id = malloc((size_t)a->lyrics * sizeof *id);
		uint8_t *mask = malloc((size_t)a->lyrics);
		enum status st = x && id && mask ? latents_read(s, i, x)
		                                 : ace_fail(ACE_ENOMEM, "no memory for clip \"%s\"", a->key);
		if (st == ACE_OK)
			st = latents_read_lyrics(s, i, id, mask);
		free(x);
		free(id);
		free(mask);
		if (st == ACE_ENOMEM)
			return st;
		if (st != ACE_OK && ++*bad <= SHOWN)
			report_note(r, "clip \"%s\": %s", a->key, ace_message());
	}
	report_i64(r, "damaged_clips", *bad ? "damaged clips" : NULL, *bad);
	return ACE_OK;
}

static enum status
show_latents(struct report *r, const struct look *l, struct latents *s, const char *path, int64_t *bad)
{
	struct latents_sum sum = { 0 };
	struct provenances made = { 0 };
	char clips[REPORT_SHORT], length[REPORT_SHORT], bytes[REPORT_SHORT];
	int64_t n = latents_count(s);

	for (int64_t i = 0; i < n; i++) {
		add_clip(&sum, latents_item(s, i));
		ACE_TRY(collect(&made, latents_facts(s, i)));
	}
	report_line(r, "%s, %s clips, %s of audio, %s", file_is_dir(path) ? "latent store" : "part of a latent store",
	            report_count(n, clips), report_length(sum.seconds, length), report_bytes(latents_bytes(s), bytes));
	report_i64(r, "clips", "clips", n);
	report_number(r, "seconds", "audio", sum.seconds, "%s", report_length(sum.seconds, length));
	show_files(r, path, latents_parts(s), latents_bytes(s), latents_damaged(s));
	if (n > 0)
		report_text(r, "shape", "latents", sum.shapes ? "[%lld, %lld, T] and others, T from %lld to %lld"
		            : "[%lld, %lld, T], T from %lld to %lld", (long long)sum.channels, (long long)sum.rows,
		            (long long)sum.least, (long long)sum.most);
	report_i64(r, "captions", "captions", sum.captions);
	report_i64(r, "with_lyrics", "with lyrics", sum.lyrics);
	report_i64(r, "instrumental", "instrumental", n - sum.lyrics);
	report_i64(r, "lyric_tokens", "lyric tokens", sum.tokens);
	report_number(r, "unknown_tokens", "unknown", (double)sum.unknown, "%.2f %%",
	              sum.tokens ? 100. * (double)sum.unknown / (double)sum.tokens : 0);
	report_i64(r, "skipped_lines", sum.skipped ? "lines skipped" : NULL, sum.skipped);
	report_i64(r, "sources_gone", sum.gone ? "sources gone" : NULL, sum.gone);
	for (int i = 0; i < latents_damaged(s); i++)
		report_note(r, "%s", latents_damage(s, i));
	if (l->verify)
		ACE_TRY(read_clips(r, s, bad));
	ACE_TRY(show_buckets(r, s));
	show_provenance(r, &made, "clips");
	return ACE_OK;
}

/* Shown; whether that is all there was. */
static enum status
judge(const char *path, int damaged, const char *first, int64_t bad)
{
	if (damaged > 0)
		return ace_fail(ACE_EDATA, "%s%s", first, damaged > 1 ? " (and other parts)" : "");
	if (bad > 0)
		return ace_fail(ACE_EDATA, "%s: damaged: %lld items cannot be read", path, (long long)bad);
	return ACE_OK;
}

enum status
inspect_latents(const struct look *l, const char *path)
{
	struct latents *s;
	struct report r;
	int64_t bad = 0;
	enum status st;

	ACE_TRY(latents_open(&s, path, NULL));
	report_begin(&r, l->out, l->json, path, "latents");
	st = report_end(&r, show_latents(&r, l, s, path, &bad));
	if (st == ACE_OK)
		st = judge(path, latents_damaged(s), latents_damaged(s) ? latents_damage(s, 0) : "", bad);
	latents_close(s);
	return st;
}

/* --- texts --- */

static enum status
read_texts(struct report *r, struct texts *s, int64_t *bad)
{
	for (int64_t i = 0; i < texts_count(s); i++) {
		const struct text_item *a = texts_item(s, i);
		float *x = malloc((size_t)(a->rows * texts_width(s)) * sizeof *x);
		enum status st = x ? texts_read(s, i, x) : ace_fail(ACE_ENOMEM, "no memory for a caption");
		free(x);
		if (st == ACE_ENOMEM)
			return st;
		if (st != ACE_OK && ++*bad <= SHOWN)
			report_note(r, "caption %.12s: %s", a->key, ace_message());
	}
	report_i64(r, "damaged_captions", *bad ? "damaged" : NULL, *bad);
	return ACE_OK;
}

/* Bytes of the start of a text that is shown: whole code points. */
static int
start_of(const char *text, size_t len)
{
	size_t n = len < LONGEST ? len : LONGEST;

	while (n > 0 && n < len && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return (int)n;
}

/* The first few, for people. */
static enum status
show_some(struct report *r, struct texts *s)
{
	static const struct report_column columns[] = { { "key", "key", false }, { "rows", "rows", true },
		                                        { "caption", "caption", false } };
	int64_t n = texts_count(s);
	enum status st = ACE_OK;

	report_table(r, "some", n > SHOWN ? "some of them" : "captions", columns, 3);
	for (int64_t i = 0; st == ACE_OK && i < n && i < SHOWN; i++) {
		char *caption;
		size_t len;
		st = texts_caption(s, i, &caption, &len);
		if (st == ACE_EDATA) {	/* told by read_texts */
			st = ACE_OK;
			continue;
		}
		if (st != ACE_OK)
			break;
		report_cell(r, "%.12s", texts_item(s, i)->key);
		report_cell_i64(r, texts_item(s, i)->rows);
		report_cell(r, len > LONGEST ? "%.*s..." : "%.*s", start_of(caption, len), caption);
		free(caption);
	}
	report_table_end(r);
	return st;
}

static enum status
show_texts(struct report *r, const struct look *l, struct texts *s, const char *path, int64_t *bad)
{
	struct provenances made = { 0 };
	char captions[REPORT_SHORT], bytes[REPORT_SHORT], key[65];
	int64_t n = texts_count(s), rows = 0, most = 0;

	for (int64_t i = 0; i < n; i++) {
		int64_t k = texts_item(s, i)->rows;
		rows += k;
		most = k > most ? k : most;
		ACE_TRY(collect(&made, texts_facts(s, i)));
	}
	texts_key("", 0, key);
	report_line(r, "%s, %s captions, rows of %lld numbers, %s",
	            file_is_dir(path) ? "text store" : "part of a text store", report_count(n, captions),
	            (long long)texts_width(s), report_bytes(texts_bytes(s), bytes));
	report_i64(r, "captions", "captions", n);
	report_i64(r, "width", "width", texts_width(s));
	report_i64(r, "rows", "rows", rows);
	report_i64(r, "longest", "longest", most);
	report_bool(r, "empty_caption", "empty caption", texts_find(s, key) >= 0);
	show_files(r, path, texts_parts(s), texts_bytes(s), texts_damaged(s));
	for (int i = 0; i < texts_damaged(s); i++)
		report_note(r, "%s", texts_damage(s, i));
	if (l->verify)
		ACE_TRY(read_texts(r, s, bad));
	ACE_TRY(show_some(r, s));
	show_provenance(r, &made, "captions");
	return ACE_OK;
}

enum status
inspect_texts(const struct look *l, const char *path)
{
	struct report r;
	struct texts *s;
	int64_t bad = 0;
	enum status st;

	ACE_TRY(texts_open(&s, path, NULL));
	report_begin(&r, l->out, l->json, path, "texts");
	st = report_end(&r, show_texts(&r, l, s, path, &bad));
	if (st == ACE_OK)
		st = judge(path, texts_damaged(s), texts_damaged(s) ? texts_damage(s, 0) : "", bad);
	texts_close(s);
	return st;
}
