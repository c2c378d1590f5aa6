/* SPDX-License-Identifier: Apache-2.0 */
#include "text/clean.h"

#include "text/chars.h"

#include <string.h>
#include <unicode/ucasemap.h>
#include <unicode/uchar.h>

enum status
clean_lower(struct buffer *text, struct buffer *spare)
{
	UErrorCode err = U_ZERO_ERROR;
	UCaseMap *map;
	int32_t n;
	size_t i = 0;

	while (i < text->len && (unsigned char)text->data[i] < 0x80)
		i++;
	if (i == text->len) {
		for (i = 0; i < text->len; i++)
			if (text->data[i] >= 'A' && text->data[i] <= 'Z')
				text->data[i] += 32;
		return ACE_OK;
	}
	if (text->len > INT32_MAX / 4)
		return ace_fail(ACE_EDATA, "a line of %zu bytes is too long", text->len);
	buffer_clear(spare);
	map = ucasemap_open("", 0, &err);
	n = ucasemap_utf8ToLower(map, NULL, 0, text->data, (int32_t)text->len, &err);
	if (err == U_BUFFER_OVERFLOW_ERROR || err == U_STRING_NOT_TERMINATED_WARNING)
		err = U_ZERO_ERROR;
	if (U_SUCCESS(err) && buffer_room(spare, (size_t)n))
		n = ucasemap_utf8ToLower(map, spare->data, n + 1, text->data, (int32_t)text->len, &err);
	ucasemap_close(map);
	if (U_FAILURE(err))
		return ace_fail(ACE_EBUG, "lower case: ICU says %s", u_errorName(err));
	if (spare->bad)
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", text->len);
	spare->len = (size_t)n;
	spare->data[spare->len] = 0;
	buffer_swap(text, spare);
	return ACE_OK;
}

/* What ignoring case makes of a character; dotless and dotted i are one there. */
static uint32_t
fold(uint32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	return c == 0x131 ? 'i' : (uint32_t)u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT);
}

/* Bytes of p that are name, ignoring case; 0: it is not there. */
static size_t
name_at(const char *p, const char *end, const char *name)
{
	const char *q = p;

	while (*name) {
		if (q == end || fold(utf8_at(q)) != fold(utf8_at(name)))
			return 0;
		q += utf8_len(*q);
		name += utf8_len(*name);
	}
	return (size_t)(q - p);
}

static bool
word_before(const struct buffer *t, size_t i)
{
	return i > 0 && char_is_word(utf8_before(t->data + i, t->data));
}

/* Boundary, name, and "." or (Russian) another boundary, everywhere. */
static void
abbreviate(struct buffer *text, struct buffer *out, const struct table_line *l, bool dot)
{
	const char *end = text->data + text->len;
	size_t i = 0, done = 0, n, behind;

	buffer_clear(out);
	for (; i < text->len; i += n) {
		n = utf8_len(text->data[i]);
		if (fold(utf8_at(text->data + i)) != fold(utf8_at(l->text)) || word_before(text, i) ||
		    !(behind = name_at(text->data + i, end, l->text)))
			continue;
		behind += i;
		if (dot ? behind == text->len || text->data[behind] != '.'
			: behind < text->len && char_is_word(utf8_at(text->data + behind)))
			continue;
		buffer_add(out, text->data + done, i - done);
		buffer_add(out, l->value, l->n_value);
		done = behind + dot;
		n = done - i;
	}
	if (done == 0)
		return;
	buffer_add(out, text->data + done, text->len - done);
	buffer_swap(text, out);
}

void
clean_abbreviations(const struct tables *t, enum language lang, struct buffer *text, struct buffer *spare)
{
	const struct table *a = &t->of[lang].abbreviations;
	bool dot = lang != LANG_RU;

	if (dot && !(text->len && memchr(text->data, '.', text->len)))
		return;
	for (int i = 0; i < a->n; i++)
		abbreviate(text, spare, &a->line[i], dot);
}

/* Each pair of blanks by one, in one pass from the left. */
static void
halve_blanks(struct buffer *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->len; i++) {
		text->data[n++] = text->data[i];
		if (text->data[i] == ' ' && i + 1 < text->len && text->data[i + 1] == ' ')
			i++;
	}
	buffer_cut(text, n);
}

static void
replace_symbol(struct buffer *text, struct buffer *out, const struct table_line *l)
{
	const char *p = text->data, *end = p + text->len, *q = memmem(p, text->len, l->text, l->len);

	if (!q)
		return;
	buffer_clear(out);
	for (; q; q = memmem(p, (size_t)(end - p), l->text, l->len)) {
		buffer_add(out, p, (size_t)(q - p));
		buffer_add(out, l->value, l->n_value);
		p = q + l->len;
	}
	buffer_add(out, p, (size_t)(end - p));
	buffer_swap(text, out);
}

void
clean_symbols(const struct tables *t, enum language lang, struct buffer *text, struct buffer *spare)
{
	const struct table *s = &t->of[lang].symbols;
	const char *p;
	size_t n;

	if (!buffer_done(text))
		return;
	for (int i = 0; i < s->n; i++) {
		replace_symbol(text, spare, &s->line[i]);
		halve_blanks(text);
	}
	if (text->bad)
		return;
	p = text->data;
	n = text->len;
	chars_strip(&p, &n, true, true, char_is_space);
	memmove(text->data, p, n);
	buffer_cut(text, n);
}

void
clean_spaces(struct buffer *text, struct buffer *spare)
{
	bool before = false;

	buffer_clear(spare);
	for (size_t i = 0, n; i < text->len; i += n) {
		bool space = char_is_space(utf8_at(text->data + i));
		n = utf8_len(text->data[i]);
		if (!space)
			buffer_add(spare, text->data + i, n);
		else if (!before)
			buffer_char(spare, ' ');
		before = space;
	}
	buffer_swap(text, spare);
}
