/* SPDX-License-Identifier: Apache-2.0 */
/* Songs: which lines are encoded in which language (text.md section 5) */
#include "text/lyric.h"

#include "text/chars.h"
#include "text/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct song {
	const struct lyric *l;
	struct lyric_ids *out;
	struct numbers ids, skipped;
	struct segments segments;
	struct line_work work;
	int line;			/* number of the present one */
	lyric_watch *watch;
	void *me;
};

/* "[", anything, "]". */
static bool
is_structure(const char *text, size_t len)
{
	return len > 0 && text[0] == '[' && memchr(text, ']', len);
}

static bool
is_blank(const char *text, size_t len)
{
	chars_strip(&text, &len, true, false, char_is_space);
	return len == 0;
}

/* "write a ... song that genre is", in one line: a request that stands where lyrics should. */
static bool
is_request(const char *line, size_t len)
{
	static const char from[] = "write a ", to[] = " song that genre is";
	const char *p = memmem(line, len, from, strlen(from));

	return p && memmem(p + strlen(from), len - (size_t)(p - line) - strlen(from), to, strlen(to));
}

/* Bytes up to the line break, or the end. */
static size_t
line_len(const char *text, size_t len)
{
	const char *end = len > 0 ? memchr(text, '\n', len) : NULL;

	return end ? (size_t)(end - text) : len;
}

static bool
has_request(const char *text, size_t len)
{
	for (size_t from = 0, n; from < len; from += n + 1) {
		n = line_len(text + from, len - from);
		if (is_request(text + from, n))
			return true;
	}
	return false;
}

static enum status
show(struct song *s, struct lyric_shown *v, size_t had)
{
	bool encoded = v->kind == LYRIC_STRUCTURE || v->kind == LYRIC_SUNG;

	if (!s->watch)
		return ACE_OK;
	v->line = s->line;
	v->clean = encoded && s->work.clean.data ? s->work.clean.data : "";
	v->clean_len = encoded ? s->work.clean.len : 0;
	v->id = s->ids.data + had;
	v->n = encoded ? (int)(s->ids.len - had) : 0;
	return s->watch(s->me, v);
}

static enum status
add_blank(struct song *s, struct lyric_shown *v)
{
	v->kind = LYRIC_BLANK;
	v->detected = v->used = "";
	ACE_TRY(show(s, v, s->ids.len));
	numbers_add(&s->ids, s->l->blank);
	return ACE_OK;
}

/* A line that is not blank, in v->used; other, when not NULL, is tried in its place when an id is unknown. */
static enum status
add_line(struct song *s, struct lyric_shown *v, const char *other)
{
	const struct lyric *l = s->l;
	struct lyric_ids *out = s->out;
	size_t had = s->ids.len;
	enum status st = line_encode(l->lines, v->used, v->text, v->len, &s->work, &s->ids);
	bool unknown = false;

	for (size_t i = had; st == ACE_OK && other && i < s->ids.len; i++)
		unknown = unknown || s->ids.data[i] == l->unknown;
	if (unknown) {
		s->ids.len = had;
		v->used = other;
		st = line_encode(l->lines, v->used, v->text, v->len, &s->work, &s->ids);
	}
	out->lines++;
	out->structure += v->kind == LYRIC_STRUCTURE;
	if (st == ACE_EDATA) {
		if (s->skipped.len == 0)
			snprintf(out->why, sizeof out->why, "%s", ace_message());
		numbers_add(&s->skipped, s->line);
		v->kind = LYRIC_SKIPPED;
		v->why = ace_message();
		return show(s, v, had);
	}
	ACE_TRY(st);
	ACE_TRY(show(s, v, had));
	numbers_add(&s->ids, l->blank);
	return ACE_OK;
}

/* --- per line --- */

/* What most of a line is in; English only when nothing else is in it. */
static const char *
line_detected(const struct segments *s)
{
	bool second = s->counts > 1 && strcmp(s->count[0].lang, "en") == 0;

	return s->count[second].lang;
}

static enum status
one_line(struct song *s, const char *text, size_t len)
{
	struct lyric_shown v = { .kind = LYRIC_SUNG, .detected = "en" };
	enum status st = ACE_OK;

	chars_strip(&text, &len, true, true, char_is_space);
	v.text = text;
	v.len = len;
	if (len == 0)
		return add_blank(s, &v);
	if (is_structure(text, len))
		v.kind = LYRIC_STRUCTURE;
	if (len <= LINE_BYTES_MAX && (v.kind == LYRIC_SUNG || s->watch)) {
		st = segments_of(&s->l->langid, text, len, &s->segments);
		if (st == ACE_OK) {
			v.segments = &s->segments;
			v.detected = line_detected(&s->segments);
		} else if (st != ACE_EDATA) {	/* where the splitter fails, the line is English */
			return st;
		}
	}
	v.used = v.kind == LYRIC_SUNG && line_language(v.detected) ? v.detected : "en";
	return add_line(s, &v, NULL);
}

static enum status
per_line(struct song *s, const char *text, size_t len)
{
	for (size_t from = 0, n; from <= len; from += n + 1) {
		n = line_len(text + from, len - from);
		s->line++;
		ACE_TRY(one_line(s, text + from, n));
	}
	return ACE_OK;
}

/* --- per song --- */

static enum status
one_segment(struct song *s, int i, const char *main)
{
	const struct segment *g = &s->segments.seg[i];
	const char *text = s->segments.text.data + g->from, *own = line_language(g->lang) ? g->lang : "en";

	for (size_t from = 0, n; from <= g->len; from += n + 1) {
		struct lyric_shown v = { .kind = LYRIC_SUNG, .text = text + from, .segments = &s->segments, .segment = i,
			.detected = g->lang, .used = main };
		v.len = n = line_len(text + from, g->len - from);
		s->line++;
		if (is_blank(v.text, n)) {
			ACE_TRY(add_blank(s, &v));
			continue;
		}
		if (is_structure(v.text, n)) {
			v.kind = LYRIC_STRUCTURE;
			v.used = "en";
		}
		ACE_TRY(add_line(s, &v, v.kind == LYRIC_SUNG ? own : NULL));
	}
	return ACE_OK;
}

static enum status
per_song(struct song *s, const char *text, size_t len, enum lyric_fault *fault)
{
	enum status st = segments_of(&s->l->langid, text, len, &s->segments);
	const char *main;

	*fault = st == ACE_EDATA ? LYRIC_LANGUAGE : LYRIC_GOOD;
	ACE_TRY(st);
	main = s->segments.count[0].lang[0] ? s->segments.count[0].lang : "en";
	if (!line_language(main)) {
		*fault = LYRIC_LANGUAGE;
		return ace_fail(ACE_EDATA, "most of the lyrics is in \"%s\", which the lyric tokenizer does not know", main);
	}
	for (int i = 0; i < s->segments.n; i++)
		ACE_TRY(one_segment(s, i, main));
	return ACE_OK;
}

/* --- both --- */

static int
line_of(const char *text, size_t at)
{
	int line = 1;

	for (size_t i = 0; i < at; i++)
		line += text[i] == '\n';
	return line;
}

static enum status
check(const char *text, size_t len, enum lyric_fault *fault)
{
	size_t good;

	if (len > LYRIC_BYTES_MAX) {
		*fault = LYRIC_TOO_LONG;
		return ace_fail(ACE_EDATA, "lyrics of %zu bytes; wanted at most %d", len, LYRIC_BYTES_MAX);
	}
	good = utf8_valid(text, len);
	if (good == len)
		return ACE_OK;
	*fault = LYRIC_NOT_UTF8;
	return ace_fail(ACE_EDATA, "line %d is not UTF-8", line_of(text, good));
}

/* What was gathered, as the caller gets it. */
static void
finish(struct song *s)
{
	struct lyric_ids *out = s->out;
	int most = s->l->max_tokens;

	out->id = s->ids.data;
	out->skipped_line = s->skipped.data;
	out->skipped = (int)s->skipped.len;
	out->cut = s->ids.len > (size_t)most;
	out->n = out->cut ? most : (int)s->ids.len;
	for (int i = 0; i < out->n && !out->none; i++)
		out->unknown += out->id[i] == s->l->unknown;
}

enum status
lyric_encode_watched(const struct lyric *l, const char *text, size_t len, struct lyric_ids *out, enum lyric_fault *fault,
                     lyric_watch *watch, void *me)
{
	struct song s = { .l = l, .out = out, .watch = watch, .me = me };
	enum status st = ACE_OK;

	*out = (struct lyric_ids){ 0 };
	*fault = LYRIC_GOOD;
	ACE_TRY(check(text, len, fault));
	out->none = len == 0 || (l->per_song && is_blank(text, len)) || has_request(text, len);
	out->mask = !out->none || l->per_song;
	numbers_add(&s.ids, out->none ? LYRIC_NONE : l->start);
	if (!out->none)
		st = l->per_song ? per_song(&s, text, len, fault) : per_line(&s, text, len);
	segments_free(&s.segments);
	line_work_free(&s.work);
	if (st == ACE_OK && (s.ids.bad || s.skipped.bad))
		st = ace_fail(ACE_ENOMEM, "no memory for lyrics of %zu bytes", len);
	finish(&s);
	if (st != ACE_OK) {
		lyric_ids_free(out);
		*fault = *fault == LYRIC_GOOD ? LYRIC_FAILED : *fault;
	}
	return st;
}

enum status
lyric_encode(const struct lyric *l, const char *text, size_t len, struct lyric_ids *out, enum lyric_fault *fault)
{
	return lyric_encode_watched(l, text, len, out, fault, NULL, NULL);
}
