/* SPDX-License-Identifier: Apache-2.0 */
#include "text/segment_work.h"

#include <stdlib.h>
#include <string.h>

void
segments_free(struct segments *s)
{
	struct segment_work *w = s->work;

	buffer_free(&s->text);
	free(s->seg);
	free(s->count);
	if (w) {
		struct buffer *const b[] = { &w->waiting.lang, &w->waiting.text, &w->lang, &w->before, &w->english, &w->squeezed,
			&w->reading, &w->mixed };
		for (size_t i = 0; i < sizeof b / sizeof *b; i++)
			buffer_free(b[i]);
		for (int k = 0; k <= MARK_KINDS; k++)
			buffer_free(&w->stage[k]);
		for (int k = 0; k < MARK_KINDS; k++)
			free(w->marks[k].mark);
		langid_work_free(&w->count);
		free(w->open);
		free(w->tail);
		free(w->piece);
		free(w);
	}
	*s = (struct segments){ 0 };
}

/* Where the marker that begins at or behind p does; end: there is none. */
static const char *
next_marker(const char *p, const char *end, size_t *n)
{
	static const char six[] = "\xe2\x91\xa5";

	while ((p = memmem(p, (size_t)(end - p), six, 3))) {
		*n = marker_at(p, end, true, 7);
		if (*n)
			return p;
		p += 3;
	}
	return end;
}

/* The text without what looks like a marker. */
static void
remove_markers(const char *text, size_t len, struct buffer *out)
{
	const char *end = text + len;
	size_t n = 0;

	buffer_clear(out);
	for (const char *p = text, *q; p < end; p = q + n) {
		n = 0;
		q = next_marker(p, end, &n);
		buffer_add(out, p, (size_t)(q - p));
	}
}

/* Falling counts; insertion keeps equal ones in order, and there are at most a hundred. */
static void
sort_counts(struct segments *s)
{
	for (int i = 1; i < s->counts; i++) {
		struct segment_count c = s->count[i];
		int k = i;
		for (; k > 0 && s->count[k - 1].chars < c.chars; k--)
			s->count[k] = s->count[k - 1];
		s->count[k] = c;
	}
}

/* Neighbours of one language are one segment; their texts lie end to end already. */
static void
merge(struct segments *s)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
		if (n > 0 && strcmp(s->seg[n - 1].lang, s->seg[i].lang) == 0)
			s->seg[n - 1].len += s->seg[i].len;
		else
			s->seg[n++] = s->seg[i];
	s->n = n;
}

static enum status
one_line(struct segment_work *w, const char *line, size_t len)
{
	const char *text;
	size_t n;

	if (text_blank(line, len))
		return ACE_OK;
	w->first = w->out->n;
	w->last_part = false;
	ACE_TRY(marks_find(w, line, len, &text, &n));
	w->total = w->visits = 0;
	w->depth = 0;
	for (int k = 0; k < MARK_KINDS; k++)
		w->total += w->marks[k].n;
	return parts_walk(w, text, n, true);
}

static enum status
all_lines(struct segment_work *w, const char *text, size_t len)
{
	struct buffer *clean = &w->stage[0];

	remove_markers(text, len, clean);
	if (!buffer_done(clean))
		return ace_fail(ACE_ENOMEM, "no memory for a text of %zu bytes", len);
	for (size_t from = 0, n; from < clean->len; from += n) {	/* a line has the line breaks that follow it */
		const char *end = memchr(clean->data + from, '\n', clean->len - from);
		n = end ? (size_t)(end - clean->data) - from : clean->len - from;
		while (from + n < clean->len && clean->data[from + n] == '\n')
			n++;
		ACE_TRY(one_line(w, clean->data + from, n));
	}
	return ACE_OK;
}

enum status
segments_of(const struct langid *l, const char *text, size_t len, struct segments *s)
{
	struct segment_work *w = s->work ? s->work : (s->work = calloc(1, sizeof *w));

	if (!w)
		return ace_fail(ACE_ENOMEM, "no memory for segments");
	w->id = l;
	w->out = s;
	w->waiting.there = false;
	buffer_clear(&s->text);
	s->n = s->counts = 0;
	if (!text_blank(text, len)) {
		ACE_TRY(all_lines(w, text, len));
		sort_counts(s);
		merge(s);
	}
	if (s->counts == 0) {
		if (!s->count) {
			s->count = calloc(1, sizeof *s->count);
			s->cap_counts = s->count ? 1 : 0;
		}
		if (!s->count)
			return ace_fail(ACE_ENOMEM, "no memory for segments");
		s->count[0] = (struct segment_count){ "zh", 0 };
		s->counts = 1;
	}
	return s->text.bad || !buffer_done(&s->text) ? ace_fail(ACE_ENOMEM, "no memory for a text of %zu bytes", len) : ACE_OK;
}
