/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a line between its markers, each by its kind (text.md section 4.4) */
#include "text/segment_work.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 8 };

static enum status
identify(struct segment_work *w, const struct buffer *squeezed, const char **lang, double *score)
{
	struct langid_guess g;

	ACE_TRY(langid_guess(w->id, &w->count, squeezed->data ? squeezed->data : "", squeezed->len, &g));
	*lang = w->id->label[g.class];
	*score = g.score;
	return ACE_OK;
}

static enum status
add(struct segment_work *w, const char *lang, const char *text, size_t len, double score)
{
	return segment_add(w, lang, strlen(lang), text, len, score, false);
}

/* --- plain --- */

static bool
is_ideograph(uint32_t c)
{
	return c >= 0x4e00 && c <= 0x9fff;
}

struct scripts {
	bool ideograph, only, kana;	/* some are ideographs; all but space are; some are kana */
};

static struct scripts
scripts_of(const struct buffer *b)
{
	struct scripts s = { .only = true };

	for (size_t i = 0; i < b->len; i += utf8_len(b->data[i])) {
		uint32_t c = utf8_at(b->data + i);
		s.ideograph = s.ideograph || is_ideograph(c);
		s.only = s.only && (is_ideograph(c) || char_is_space(c));
		s.kana = s.kana || (c >= 0x3040 && c <= 0x30ff);
	}
	return s;
}

/* Runs of [\w\s] (which may be empty) and of other characters, in turn: first and last are of the first kind. */
static bool
cut_pieces(struct segment_work *w, const char *text, size_t len)
{
	size_t i = 0;

	w->pieces = 0;
	for (bool other = false;; other = !other) {
		struct piece p = { .from = i };
		for (; i < len; i += utf8_len(text[i])) {
			uint32_t c = utf8_at(text + i);
			bool word = char_is_word(c);
			if ((word || char_is_space(c)) == other)
				break;
			p.word = p.word || word;
		}
		p.len = i - p.from;
		if (w->pieces == w->cap_pieces) {
			size_t cap = w->cap_pieces ? 2 * w->cap_pieces : 64;
			struct piece *piece = realloc(w->piece, cap * sizeof *piece);
			if (!piece)
				return false;
			w->piece = piece;
			w->cap_pieces = cap;
		}
		w->piece[w->pieces++] = p;
		if (i == len && !other)
			return true;
	}
}

/* The piece without number markers and digits, squeezed on behind the pieces before it. */
static void
feed(struct squeeze *q, const char *p, const char *end)
{
	while (p < end) {
		uint32_t c = utf8_at(p);
		size_t n = c == 0x2465 ? marker_at(p, end, false, 6) : 0;
		if (n == 0 && !char_is_digit(c))
			squeeze_put(q, p, c);
		p += n ? n : utf8_len(*p);
	}
}

static uint32_t
last_not_space(const char *text, size_t len)
{
	chars_strip(&text, &len, false, true, char_is_space);
	return len > 0 ? utf8_before(text + len, text) : 0;
}

/* A piece with five characters at most, some of them ideographs: Chinese and Japanese are told apart by what is around it.
 * Gives the language, which may be undecided. */
static const char *
short_piece(const struct segment_work *w, const char *lang, double score, size_t chars, bool kana, bool last, uint32_t ending)
{
	const char *before = segment_last(w), *pair;
	bool related;

	if (score < 0.89)
		lang = "ja";
	if (kana)
		return "ja";
	if (chars > 2 && score > 0.90)
		return lang;
	if (last && w->last_part)
		return chars <= 1 ? "zh" : lang;
	if (strcmp(lang, "zh") == 0 || (chars <= 2 && before && strcmp(before, "zh") == 0))
		pair = "zh|ja|\xe2\x80\xa6";
	else
		pair = "ja|zh|\xe2\x80\xa6";
	related = before && *before && memmem(pair, 5, before, strlen(before));
	if (ending == 0x3002 || ending == '.')
		return related ? before : lang;
	return pair;
}

static enum status
put_piece(struct segment_work *w, const char *text, size_t len, size_t chars, bool last)
{
	struct scripts s = scripts_of(&w->squeezed);
	char before[SEGMENT_LANG];
	const char *lang;
	double score;

	ACE_TRY(identify(w, &w->squeezed, &lang, &score));
	if (strcmp(lang, "zh") != 0 && s.only) {
		lang = "zh";
		score = 1;
	}
	if (chars <= 5 && s.ideograph)
		lang = short_piece(w, lang, score, chars, s.kana, last, last_not_space(text, len));
	if (strlen(lang) < sizeof before)	/* it may be the last segment's, which moves when there are more */
		lang = strcpy(before, lang);
	return add(w, lang, text, len, score);
}

static enum status
plain(struct segment_work *w, const char *text, size_t len)
{
	struct squeeze q = { .to = &w->squeezed };
	bool word = false;
	size_t from = 0;

	if (!cut_pieces(w, text, len))
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
	buffer_clear(&w->squeezed);
	for (size_t i = 0; i < w->pieces; i++) {
		struct piece p = w->piece[i];
		bool last = i + 1 == w->pieces;
		size_t end = p.from + p.len;
		feed(&q, text + p.from, text + end);
		word = word || p.word;
		if (end == from || (!last && (!word || !w->piece[i + 1].word || q.chars <= 2)))
			continue;	/* it goes with the next */
		ACE_TRY(put_piece(w, text + from, end - from, q.chars, last));
		from = end;
		word = false;
		q = (struct squeeze){ .to = &w->squeezed };
		buffer_clear(&w->squeezed);
	}
	return w->squeezed.bad ? ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len) : ACE_OK;
}

/* --- latin --- */

static bool
ends_sentence(uint32_t c)
{
	return c == 0x3002 || c == '.' || c == '?' || c == 0xff1f || c == '!' || c == 0xff01;
}

/* Sentences: up to a run of end marks and one line break. What stands behind a line break has no end marks. */
static enum status
latin(struct segment_work *w, const char *text, size_t len)
{
	for (size_t from = 0, at = 0; from < len; from = at) {
		const char *lang;
		double score;
		while (at < len && !ends_sentence(utf8_at(text + at)))
			at += utf8_len(text[at]);
		while (at < len && ends_sentence(utf8_at(text + at)))
			at += utf8_len(text[at]);
		at += at < len && text[at] == '\n';
		if (text_blank(text + from, at - from))
			continue;
		squeeze(text + from, at - from, &w->squeezed);
		ACE_TRY(identify(w, &w->squeezed, &lang, &score));
		ACE_TRY(add(w, lang, text + from, at - from, score));
	}
	return ACE_OK;
}

/* --- the others --- */

static enum status
tag(struct segment_work *w, const char *text, const struct mark *m)
{
	const char *name = text + m->from + 1, *in = text + m->in;
	bool chinese;

	if (m->tag_len == 0 || memmem(w->id->joined, strlen(w->id->joined), name, m->tag_len))
		return segment_add(w, name, m->tag_len, in, m->in_len, 1, true);
	ACE_TRY(reading_of(name, m->tag_len, in, m->in_len, &w->reading, &chinese));
	if (chinese)
		return segment_add(w, "zh", 2, w->reading.data, w->reading.len, 1, true);
	return segment_add(w, name, m->tag_len, in, m->in_len, 1, true);
}

static bool
has_marker(const char *p, size_t len)
{
	static const char six[] = "\xe2\x91\xa5";
	const char *end = p + len;

	for (; (p = memmem(p, (size_t)(end - p), six, 3)); p += 3)
		if (marker_at(p, end, true, 7))
			return true;
	return false;
}

static enum status
quote(struct segment_work *w, const char *text, const struct mark *m)
{
	const char *all = text + m->from, *lang;
	double score;

	if (has_marker(all, m->len)) {
		enum status st;
		w->depth++;
		st = parts_walk(w, all, m->len, false);
		w->depth--;
		return st;
	}
	if (squeeze(text + m->in, m->in_len, &w->squeezed) <= 5)
		return plain(w, all, m->len);
	ACE_TRY(identify(w, &w->squeezed, &lang, &score));
	return add(w, lang, all, m->len, score);
}

static enum status
marked_part(struct segment_work *w, const char *marker, size_t len)
{
	enum mark_kind kind;
	const struct mark *m = marks_get(w, marker, len, &kind);
	const char *text;
	char lang[SEGMENT_LANG] = "zh";

	/* a marker stands once, and in few others, unless it was typed */
	if (!m || w->depth >= DEPTH || w->visits++ > 2 * w->total)
		return ace_fail(ACE_EDATA, "the text has a marker of the language splitter's own kind");
	text = w->marks[kind].text;
	switch (kind) {
	case MARK_TAG:
		return tag(w, text, m);
	case MARK_KO:
		return add(w, "ko", text + m->from, m->len, 1);
	case MARK_TH:
		return add(w, "th", text + m->from, m->len, 1);
	case MARK_RU:
		return add(w, "ru", text + m->from, m->len, 1);
	case MARK_NUMBER:
		if (w->out->n > w->first)
			memcpy(lang, w->out->seg[w->first].lang, sizeof lang);
		return add(w, lang, text + m->from, m->len, 0);
	case MARK_LATIN:
		return latin(w, text + m->from, m->len);
	case MARK_QUOTE:
	case MARK_BRACKET:
		return quote(w, text, m);
	case MARK_KINDS:
		break;
	}
	return ace_fail(ACE_EBUG, "a marker of no kind");
}

enum status
parts_walk(struct segment_work *w, const char *text, size_t len, bool root)
{
	static const char six[] = "\xe2\x91\xa5";
	const char *p = text, *from = text, *end = text + len;

	while ((p = memmem(p, (size_t)(end - p), six, 3))) {
		size_t n = marker_at(p, end, true, 7);
		if (n == 0) {
			p += 3;
			continue;
		}
		if (root)
			w->last_part = false;
		ACE_TRY(plain(w, from, (size_t)(p - from)));
		ACE_TRY(marked_part(w, p, n));
		from = p += n;
	}
	if (root)
		w->last_part = true;
	return plain(w, from, (size_t)(end - from));
}
