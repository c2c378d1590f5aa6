/* SPDX-License-Identifier: Apache-2.0 */
/* Where a segment goes: with the one before it, beside it, nowhere, or to wait (text.md section 4.5) */
#include "text/segment_work.h"

#include <stdlib.h>
#include <string.h>

static bool
is_break(const char *text, size_t len)
{
	return len == 1 && *text == '\n';
}

/* What a text that was b becomes with more behind it: line breaks and punctuation do not count, nor does space at the ends. */
static enum bare
bare_on(enum bare b, const char *text, size_t len)
{
	for (size_t i = 0; i < len && b != BARE_NOT; i += utf8_len(text[i])) {
		uint32_t c = utf8_at(text + i);
		if (c == '\n')
			continue;
		if (char_is_space(c))
			b = b == BARE_DIGITS ? BARE_SPACE : b;
		else if (char_is_digit(c))
			b = b == BARE_SPACE ? BARE_NOT : BARE_DIGITS;
		else if (char_is_word(c))
			b = BARE_NOT;
	}
	return b;
}

static int64_t
count_chars(const char *text, size_t len)
{
	int64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)text[i] & 0xc0) != 0x80;
	return n;
}

static bool
lang_is(const char *kept, const char *lang, size_t len)
{
	return strlen(kept) == len && (len == 0 || memcmp(kept, lang, len) == 0);
}

static enum status
count(struct segments *s, const char *lang, int64_t chars)
{
	int i = 0;

	while (i < s->counts && strcmp(s->count[i].lang, lang) != 0)
		i++;
	if (i == s->cap_counts) {
		int cap = s->cap_counts ? 2 * s->cap_counts : 8;
		struct segment_count *p = realloc(s->count, (size_t)cap * sizeof *p);
		if (!p)
			return ace_fail(ACE_ENOMEM, "no memory for language counts");
		s->count = p;
		s->cap_counts = cap;
	}
	if (i == s->counts) {
		s->count[i] = (struct segment_count){ .chars = 0 };
		memcpy(s->count[i].lang, lang, sizeof s->count[i].lang);
		s->counts++;
	}
	s->count[i].chars += strcmp(lang, "zh") == 0 ? 2 * chars : chars;
	return ACE_OK;
}

/* Whether segments of that language are kept: a label, or a part of the first one. */
static bool
is_kept(const struct segment_work *w, const char *lang, size_t len)
{
	const char *first = w->id->label[0];

	if (len >= SEGMENT_LANG)
		return false;
	for (int c = 0; c < w->id->n_classes; c++)
		if (lang_is(w->id->label[c], lang, len))
			return true;
	return len == 0 || memmem(first, strlen(first), lang, len) != NULL;
}

static bool
room_for_one(struct segment_work *w)
{
	struct segments *s = w->out;

	if (s->n == s->cap) {
		int cap = s->cap ? 2 * s->cap : 64;
		struct segment *p = realloc(s->seg, (size_t)cap * sizeof *p);
		if (!p)
			return false;
		s->seg = p;
		s->cap = cap;
	}
	if (s->n >= w->cap_tail) {
		struct tail *p = realloc(w->tail, (size_t)s->cap * sizeof *p);
		if (!p)
			return false;
		w->tail = p;
		w->cap_tail = s->cap;
	}
	return true;
}

const char *
segment_last(const struct segment_work *w)
{
	return w->out->n > w->first ? w->out->seg[w->out->n - 1].lang : NULL;
}

/* Decided text. *lang becomes that of the segment it went to. */
static enum status
save(struct segment_work *w, struct buffer *lang, const char *text, size_t len, double score, bool marked)
{
	struct segments *s = w->out;
	size_t from = s->text.len;
	struct tail t = { .marked = marked, .bare = bare_on(BARE_EMPTY, text, len), .chars = count_chars(text, len) };
	struct segment *new;

	if (!room_for_one(w))
		return ace_fail(ACE_ENOMEM, "no memory for segments");
	buffer_add(&s->text, text, len);
	if (s->text.bad)
		return ace_fail(ACE_ENOMEM, "no memory for segments");
	if (!marked && s->n > w->first && !w->tail[s->n - 1].marked) {
		struct segment *p = &s->seg[s->n - 1];
		struct tail *had = &w->tail[s->n - 1];
		if (t.bare != BARE_NOT && !is_break(text, len)) {
			buffer_clear(lang);
			buffer_str(lang, p->lang);
		}
		if (lang_is(p->lang, lang->data, lang->len)) {
			ACE_TRY(count(s, p->lang, t.chars));
			had->bare = bare_on(had->bare, text, len);
			had->chars += t.chars;
			p->len += len;
			return ACE_OK;
		}
		if (had->bare != BARE_NOT && !is_break(s->text.data + p->from, p->len)) {
			t.bare = bare_on(had->bare, text, len);
			t.chars += had->chars;
			from = p->from;
			s->n--;
		}
	}
	if (!is_kept(w, lang->data, lang->len)) {
		s->text.len = from;
		return ACE_OK;
	}
	new = &s->seg[s->n];
	*new = (struct segment){ .from = from, .len = s->text.len - from, .score = score };
	if (lang->len)
		memcpy(new->lang, lang->data, lang->len);
	w->tail[s->n++] = t;
	return count(s, new->lang, t.chars);
}

/* A blank before each capital inside a word, no hyphens at the ends, a blank at the end: iPhone -> "i Phone ". */
static void
spell_english(const char *text, size_t len, struct buffer *out)
{
	bool word = false;
	size_t from = 0;

	buffer_clear(out);
	while (from < len && text[from] == '-')
		from++;
	while (len > from && text[len - 1] == '-')
		len--;
	for (size_t i = from, n; i < len; i += n) {
		n = utf8_len(text[i]);
		if (word && text[i] >= 'A' && text[i] <= 'Z')
			buffer_char(out, ' ');
		buffer_add(out, text + i, n);
		word = char_is_word(utf8_at(text + i));
	}
	buffer_char(out, ' ');
}

static void
cut_at_bar(struct buffer *lang)
{
	const char *bar = lang->len ? memchr(lang->data, '|', lang->len) : NULL;

	if (bar)
		lang->len = (size_t)(bar - lang->data);
}

/* The one that waits is decided now, by lang or by itself; lang may be, too. w->before becomes its language. */
static enum status
decide_waiting(struct segment_work *w)
{
	struct waiting *v = &w->waiting;

	v->there = false;
	if (buffer_has(&v->lang, w->lang.data, w->lang.len)) {
		cut_at_bar(&w->lang);
		buffer_clear(&w->before);
		buffer_add(&w->before, w->lang.data, w->lang.len);
	} else {
		buffer_clear(&w->before);
		buffer_add(&w->before, v->lang.data, v->lang.len);
		cut_at_bar(&w->before);
	}
	return save(w, &w->before, v->text.data, v->text.len, v->score, v->marked);
}

static enum status
wait_for_next(struct segment_work *w, const char *text, size_t len, double score, bool marked)
{
	struct waiting *v = &w->waiting;

	v->there = true;
	v->marked = marked;
	v->score = score;
	buffer_clear(&v->lang);
	buffer_add(&v->lang, w->lang.data, w->lang.len);
	buffer_clear(&v->text);
	buffer_add(&v->text, text, len);
	return v->lang.bad || v->text.bad ? ace_fail(ACE_ENOMEM, "no memory for segments") : ACE_OK;
}

enum status
segment_add(struct segment_work *w, const char *lang, size_t lang_len, const char *text, size_t len, double score, bool marked)
{
	static const char dots[] = "\xe2\x80\xa6";
	const char *last;
	bool before = false;

	if (len == 0 || (!is_break(text, len) && text_blank(text, len)))
		return ACE_OK;
	buffer_clear(&w->lang);
	for (size_t i = 0; i < lang_len; i++)
		buffer_char(&w->lang, lang[i] >= 'A' && lang[i] <= 'Z' ? (char)(lang[i] + 32) : lang[i]);
	if (!buffer_done(&w->lang) || !buffer_done(&w->before))
		return ace_fail(ACE_ENOMEM, "no memory for segments");
	if (lang_is("en", w->lang.data, w->lang.len)) {
		spell_english(text, len, &w->english);
		if (w->english.bad)
			return ace_fail(ACE_ENOMEM, "no memory for segments");
		text = w->english.data;
		len = w->english.len;
	}
	if (w->waiting.there) {
		ACE_TRY(decide_waiting(w));
		before = true;
	} else if ((last = segment_last(w))) {
		buffer_clear(&w->before);
		buffer_str(&w->before, last);
		before = true;
	}
	if (!memchr(w->lang.data, '|', w->lang.len))
		return save(w, &w->lang, text, len, score, marked);
	if (before && w->before.len > 0 && !buffer_has(&w->lang, w->before.data, w->before.len) && !buffer_has(&w->lang, dots, 3)) {
		cut_at_bar(&w->lang);
		return save(w, &w->lang, text, len, score, marked);
	}
	return wait_for_next(w, text, len, score, marked);
}
