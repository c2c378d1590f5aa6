/* SPDX-License-Identifier: Apache-2.0 */
/* the text side of the prompt tokenizer: normaliser and pre-tokenizer */
#include "text/chars.h"
#include "text/unigram_model.h"

#include <string.h>

static void
replace_text(const char *text, size_t len, const char *pattern, const char *content, struct buffer *out)
{
	size_t n = strlen(pattern), i = 0;

	while (i < len)
		if (len - i >= n && memcmp(text + i, pattern, n) == 0) {
			buffer_str(out, content);
			i += n;
		} else {
			buffer_char(out, text[i++]);
		}
}

/* Runs of two blanks and more. */
static void
replace_runs(const char *text, size_t len, const char *content, struct buffer *out)
{
	for (size_t i = 0, n; i < len; i += n) {
		for (n = 0; i + n < len && text[i + n] == ' ';)
			n++;
		if (n >= 2) {
			buffer_str(out, content);
		} else {
			n = 1;
			buffer_char(out, text[i]);
		}
	}
}

enum status
unigram_norm(const struct unigram_model *m, const char *text, size_t len, struct buffer *out)
{
	struct buffer from = { 0 };
	enum status st = ACE_OK;

	buffer_clear(out);
	buffer_add(out, text, len);
	for (int i = 0; i < m->n_norm && st == ACE_OK; i++) {
		const struct norm_step *s = &m->norm[i];
		const char *t;
		size_t n;
		buffer_swap(out, &from);
		buffer_clear(out);
		t = from.data ? from.data : "";
		n = from.len;
		switch (s->kind) {
		case NORM_CHARSMAP:
			st = charsmap_apply(&s->map, t, n, out);
			break;
		case NORM_STRIP:
			chars_strip(&t, &n, s->left, s->right, char_is_white);
			buffer_add(out, t, n);
			break;
		case NORM_REPLACE:
			replace_text(t, n, s->pattern, s->content, out);
			break;
		case NORM_RUNS:
			replace_runs(t, n, s->content, out);
			break;
		}
		if (st == ACE_OK && (out->bad || from.bad))
			st = ace_fail(ACE_ENOMEM, "no memory for a text of %zu bytes", len);
	}
	buffer_free(&from);
	return st;
}

/* U+0020 becomes the mark, one stands in front, and a cut before each when split. */
static enum status metaspace(const struct unigram_model *m, int at, const char *text, size_t len, bool first,
			     unigram_emit *emit, void *me);

static enum status
split_from(const struct unigram_model *m, int at, const char *text, size_t len, bool first, unigram_emit *emit,
	   void *me)
{
	size_t i = 0;

	if (len == 0)
		return ACE_OK;
	if (at == m->n_pre)
		return emit(me, text, len);
	if (m->pre[at].kind == PRE_METASPACE)
		return metaspace(m, at, text, len, first, emit, me);
	while (i < len) {
		size_t from = i;
		while (i < len && !char_is_white(utf8_at(text + i)))
			i += utf8_len(text[i]);
		ACE_TRY(split_from(m, at + 1, text + from, i - from, first && from == 0, emit, me));
		while (i < len && char_is_white(utf8_at(text + i)))
			i += utf8_len(text[i]);
	}
	return ACE_OK;
}

static enum status
metaspace(const struct unigram_model *m, int at, const char *text, size_t len, bool first, unigram_emit *emit, void *me)
{
	const struct pre_step *s = &m->pre[at];
	size_t mark = strlen(s->mark), from = 0;
	bool marked = len >= mark && memcmp(text, s->mark, mark) == 0;
	struct buffer b = { 0 };
	enum status st = ACE_OK;

	if (!marked && text[0] != ' ' && (s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && first)))
		buffer_str(&b, s->mark);
	replace_text(text, len, " ", s->mark, &b);
	if (!buffer_done(&b))
		st = ace_fail(ACE_ENOMEM, "no memory for a text of %zu bytes", len);
	for (size_t i = 1; s->split && st == ACE_OK && i + mark <= b.len; i++)
		if (i > from && memcmp(b.data + i, s->mark, mark) == 0) {
			st = split_from(m, at + 1, b.data + from, i - from, first && from == 0, emit, me);
			from = i;
		}
	if (st == ACE_OK)
		st = split_from(m, at + 1, b.data + from, b.len - from, first && from == 0, emit, me);
	buffer_free(&b);
	return st;
}

enum status
unigram_split(const struct unigram_model *m, const char *text, size_t len, bool first, unigram_emit *emit, void *me)
{
	return split_from(m, 0, text, len, first, emit, me);
}
