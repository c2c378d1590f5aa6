/* SPDX-License-Identifier: Apache-2.0 */
/* Recognisers: what is cut out of a line before the identifier sees the rest (text.md section 4.3). Each is a scanner that goes
 * over the line once, in place of a pattern that goes back. */
#include "text/segment_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The names that markers have. */
static const char *const marker_name[MARK_KINDS] = { "$1", "$6", "$8", "$7", "00", "$5", "$3", "$4" };

struct line {
	const char *start, *p, *end;
};

/* Code points of text that a class has besides ranges. */
static bool
one_of(uint32_t c, const uint32_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == c)
			return true;
	return false;
}
#define ONE_OF(c, list) one_of(c, list, sizeof list / sizeof *list)

static bool
is_korean(uint32_t c)
{
	return c >= 0xac00 && c <= 0xd7a3;
}

static bool
is_thai(uint32_t c)
{
	return c >= 0xe00 && c <= 0xe7f;
}

static bool
is_russian(uint32_t c)
{
	return (c >= 0x410 && c <= 0x44f) || c == 0x401 || c == 0x451;
}

/* Basic Latin, French, Vietnamese. */
static bool
is_latin(uint32_t c)
{
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	if (c < 0x100)
		return c >= 0xe0 && c != 0xf7 && c != 0xf8;
	if (c == 0x103 || c == 0x111 || c == 0x129 || c == 0x169 || c == 0x1a1 || c == 0x1b0)
		return true;
	return (c >= 0x1ea1 && c <= 0x1ef1 && (c & 1)) || c == 0x1ef7 || c == 0x1ef9;
}

static bool
is_opener(uint32_t c)
{
	static const uint32_t list[] = { 0x3010, 0x300a, 0xff08, '(', 0x201c, 0x2018, '"', '\'' };

	return ONE_OF(c, list);
}

/* Of quotes with a left and a right side. */
static bool
is_left(uint32_t c)
{
	return is_opener(c) && c != '"' && c != '\'';
}

static bool
is_right(uint32_t c)
{
	static const uint32_t list[] = { 0x2019, 0x201d, ')', 0xff09, 0x300b, 0x3011 };

	return ONE_OF(c, list);
}

static const char *
skip_other(const char *p, const char *end)
{
	while (p < end && !char_is_word(utf8_at(p)))
		p += utf8_len(*p);
	return p;
}

static const char *
skip_digits(const char *p, const char *end)
{
	while (p < end && char_is_digit(utf8_at(p)))
		p += utf8_len(*p);
	return p;
}

/* --- scanners: the next match at or behind l->p; false: none --- */

/* A letter of the class, or the openers directly in front of one; then letters of the class and what is no word. */
static bool
next_run(struct line *l, struct mark *m, bool (*is)(uint32_t))
{
	const char *from = NULL, *p = l->p;

	for (;; p += utf8_len(*p)) {
		uint32_t c;
		if (p == l->end)
			return false;
		c = utf8_at(p);
		if (is(c))
			break;
		if (!is_opener(c))
			from = NULL;
		else if (!from)
			from = p;
	}
	from = from ? from : p;
	while (p < l->end && (is(utf8_at(p)) || !char_is_word(utf8_at(p))))
		p += utf8_len(*p);
	*m = (struct mark){ .from = (size_t)(from - l->start), .len = (size_t)(p - from) };
	l->p = p;
	return true;
}

static bool
next_korean(struct line *l, struct mark *m)
{
	return next_run(l, m, is_korean);
}

static bool
next_thai(struct line *l, struct mark *m)
{
	return next_run(l, m, is_thai);
}

static bool
next_russian(struct line *l, struct mark *m)
{
	return next_run(l, m, is_russian);
}

static bool
next_latin(struct line *l, struct mark *m)
{
	return next_run(l, m, is_latin);
}

/* Other characters, digits, other characters and at least one of them, digits, other characters, digits. */
static bool
next_number(struct line *l, struct mark *m)
{
	for (const char *p = l->p; p < l->end;) {
		const char *digits = skip_other(p, l->end), *behind = skip_digits(digits, l->end), *q = behind;
		if (behind > digits)
			q = skip_other(behind, l->end);
		else
			while (behind < l->end && char_is_word(utf8_at(behind)) && !char_is_digit(utf8_at(behind)))
				q = behind += utf8_len(*behind);
		if (q == behind) {	/* no digits, or a letter right behind them */
			p = behind;
			continue;
		}
		q = skip_digits(skip_other(skip_digits(q, l->end), l->end), l->end);
		*m = (struct mark){ .from = (size_t)(p - l->start), .len = (size_t)(q - p) };
		l->p = q;
		return true;
	}
	return false;
}

static bool
in_tag_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '|' || c == '-';
}

/* "<", slashes when closing, letters, ">": bytes, 0: none at p. */
static size_t
tag_at(const char *p, const char *end, bool closing, size_t *name)
{
	const char *q = p + 1, *from;

	while (closing && q < end && *q == '/')
		q++;
	for (from = q; q < end && in_tag_name(*q);)
		q++;
	*name = (size_t)(q - from);
	return q < end && *q == '>' ? (size_t)(q + 1 - p) : 0;
}

/* <name>, anything, <name> or </name>, whatever the second name is. */
static bool
next_tag(struct line *l, struct mark *m)
{
	const char *p = l->p;
	size_t name, n, other;

	for (; (p = memchr(p, '<', (size_t)(l->end - p))); p++) {
		const char *q;
		if (!(n = tag_at(p, l->end, false, &name)))
			continue;
		for (q = p + n; (q = memchr(q, '<', (size_t)(l->end - q))); q++) {
			size_t last = tag_at(q, l->end, true, &other);
			if (!last)
				continue;
			*m = (struct mark){ .from = (size_t)(p - l->start), .len = (size_t)(q + last - p), .tag_len = name };
			m->in = m->from + n;
			m->in_len = (size_t)(q - p) - n;
			l->p = q + last;
			return true;
		}
		return false;	/* no second tag for this one, so for none behind it */
	}
	return false;
}

/* From " to the next ", from ' to the next '. */
static bool
next_quote(struct line *l, struct mark *m)
{
	const char *p = l->p;

	for (; p < l->end; p++) {
		const char *q = *p == '"' || *p == '\'' ? memchr(p + 1, *p, (size_t)(l->end - p - 1)) : NULL;
		if (!q)
			continue;
		*m = (struct mark){ .from = (size_t)(p - l->start), .len = (size_t)(q + 1 - p) };
		m->in = m->from + 1;
		m->in_len = (size_t)(q - p) - 1;
		l->p = q + 1;
		return true;
	}
	return false;
}

/* A left quote, three characters or more that are no quotes, a right one, and what follows and is no word. */
static bool
next_bracket(struct line *l, struct mark *m)
{
	const char *p = l->p, *open = NULL;
	size_t chars = 0;

	for (; p < l->end; p += utf8_len(*p)) {
		uint32_t c = utf8_at(p);
		if (is_left(c)) {
			open = p;
			chars = 0;
		} else if (!is_right(c)) {
			chars++;
		} else if (open && chars >= 3) {
			size_t n = utf8_len(*open);
			const char *q = skip_other(p, l->end);
			*m = (struct mark){ .from = (size_t)(open - l->start), .len = (size_t)(q - open) };
			m->in = m->from + n;
			m->in_len = (size_t)(p - open) - n;
			l->p = q;
			return true;
		} else {
			open = NULL;
		}
	}
	return false;
}

static bool (*const next_of[MARK_KINDS])(struct line *, struct mark *) = {
	next_tag, next_korean, next_thai, next_russian, next_number, next_latin, next_quote, next_bracket,
};

/* --- markers --- */

/* Whether the groups of a pattern's only match, one after another, are the line, which is left alone then. */
static bool
groups_are_line(enum mark_kind kind, const struct mark *m, const char *text, size_t len)
{
	const char *all = text + m->from;

	switch (kind) {
	case MARK_TAG:		/* all of it, name, content */
		return m->from == 0 && len == m->len + m->tag_len + m->in_len &&
		       memcmp(text + m->len, all + 1, m->tag_len) == 0 &&
		       memcmp(text + m->len + m->tag_len, text + m->in, m->in_len) == 0;
	case MARK_NUMBER:
	case MARK_QUOTE:
	case MARK_BRACKET:
		return m->len == len;
	case MARK_KO:		/* all of it and its last part again, where the match would have gone on */
	case MARK_TH:
	case MARK_RU:
	case MARK_LATIN:
	case MARK_KINDS:
		break;
	}
	return false;
}

static void
put_marker(struct buffer *out, enum mark_kind kind, size_t i)
{
	char name[40];

	snprintf(name, sizeof name, "\xe2\x91\xa5%s%06zu\xe2\x91\xa5", marker_name[kind], i);
	buffer_str(out, name);
}

static bool
push_open(struct segment_work *w, size_t n, size_t at)
{
	if (n == w->cap_open) {
		size_t cap = w->cap_open ? 2 * w->cap_open : 64;
		size_t *open = realloc(w->open, cap * sizeof *open);
		if (!open)
			return false;
		w->open = open;
		w->cap_open = cap;
	}
	w->open[n] = at;
	return true;
}

/* Markers for brackets. The reference looks for the first match again after each replacement, and a quote around one that was
 * replaced has become a match then: so the i-th marker may stand elsewhere than the i-th match. */
static enum status
replace_brackets(struct segment_work *w, const char *text, size_t len, struct buffer *out)
{
	const char *p = text, *end = text + len;
	size_t total = w->marks[MARK_BRACKET].n, done = 0, open = 0;

	while (p < end && done < total) {
		uint32_t c = utf8_at(p);
		size_t n = utf8_len(*p);
		if (is_left(c) && !push_open(w, open++, out->len))
			return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
		if (out->bad)
			break;
		if (is_right(c) && open > 0) {
			const char *from = out->data + w->open[open - 1];
			size_t chars = 0;
			for (from += utf8_len(*from); from < out->data + out->len && chars < 3; from += utf8_len(*from))
				chars++;
			if (chars >= 3) {
				out->len = w->open[--open];
				put_marker(out, MARK_BRACKET, done++);
				p = skip_other(p, end);
				continue;
			}
		}
		if (is_right(c))
			open = 0;
		buffer_add(out, p, n);
		p += n;
	}
	buffer_add(out, p, (size_t)(end - p));
	return ACE_OK;
}

static bool
marks_add(struct marks *v, const struct mark *m)
{
	if (v->n == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 16;
		struct mark *mark = realloc(v->mark, cap * sizeof *mark);
		if (!mark)
			return false;
		v->mark = mark;
		v->cap = cap;
	}
	v->mark[v->n++] = *m;
	return true;
}

enum status
marks_find(struct segment_work *w, const char *line, size_t len, const char **text, size_t *text_len)
{
	*text = line;
	*text_len = len;
	for (enum mark_kind k = 0; k < MARK_KINDS; k++) {
		struct marks *v = &w->marks[k];
		struct buffer *out = &w->stage[k + 1];
		struct line l = { *text, *text, *text + *text_len };
		struct mark m;
		v->n = 0;
		v->text = *text;
		while (next_of[k](&l, &m))
			if (!marks_add(v, &m))
				return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
		if (v->n == 0 || (v->n == 1 && groups_are_line(k, v->mark, *text, *text_len))) {
			v->n = 0;
			continue;
		}
		buffer_clear(out);
		if (k == MARK_BRACKET) {
			ACE_TRY(replace_brackets(w, *text, *text_len, out));
		} else {
			size_t at = 0;
			for (size_t i = 0; i < v->n; at = v->mark[i].from + v->mark[i].len, i++) {
				buffer_add(out, *text + at, v->mark[i].from - at);
				put_marker(out, k, i);
			}
			buffer_add(out, *text + at, *text_len - at);
		}
		if (!buffer_done(out))
			return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
		*text = out->data;
		*text_len = out->len;
	}
	return ACE_OK;
}

const struct mark *
marks_get(const struct segment_work *w, const char *marker, size_t len, enum mark_kind *kind)
{
	const char *p = marker + 3;		/* behind the circled 6 */
	size_t n = len - 6, i = 0;

	for (enum mark_kind k = 0; k < MARK_KINDS; k++) {
		char wanted[40];
		if (n < 8 || n > 20 || memcmp(p, marker_name[k], 2) != 0)
			continue;
		for (size_t d = 2; d < n; d++) {
			if (p[d] < '0' || p[d] > '9')
				return NULL;
			i = 10 * i + (size_t)(p[d] - '0');
		}
		snprintf(wanted, sizeof wanted, "%06zu", i);
		*kind = k;
		return i < w->marks[k].n && strlen(wanted) == n - 2 ? &w->marks[k].mark[i] : NULL;
	}
	return NULL;
}
