/* SPDX-License-Identifier: Apache-2.0 */
#include "text/clean.h"

#include "text/chars.h"

#include <string.h>
#include <unicode/ucasemap.h>

static const struct clean_rules *const built[] = { &clean_en };

const struct clean_rules *
clean_rules_of(const char *lang, size_t len)
{
	for (size_t i = 0; i < sizeof built / sizeof *built; i++)
		if (strlen(built[i]->lang) == len && memcmp(built[i]->lang, lang, len) == 0)
			return built[i];
	return NULL;
}

/* Full lower case of the root locale. */
static enum status
lower(struct buffer *text, struct buffer *out)
{
	UErrorCode err = U_ZERO_ERROR;
	UCaseMap *map;
	int32_t n;
	size_t i = 0;

	while (i < text->len && (unsigned char)text->data[i] < 0x80)
		i++;
	buffer_clear(out);
	if (i == text->len) {
		for (i = 0; i < text->len; i++)
			buffer_char(out, (char)(text->data[i] +
						(text->data[i] >= 'A' && text->data[i] <= 'Z' ? 32 : 0)));
		buffer_swap(text, out);
		return ACE_OK;
	}
	if (text->len > INT32_MAX / 4)
		return ace_fail(ACE_EDATA, "a line of %zu bytes is too long", text->len);
	map = ucasemap_open("", 0, &err);
	n = ucasemap_utf8ToLower(map, NULL, 0, text->data, (int32_t)text->len, &err);
	if (err == U_BUFFER_OVERFLOW_ERROR || err == U_STRING_NOT_TERMINATED_WARNING)
		err = U_ZERO_ERROR;
	if (U_SUCCESS(err) && buffer_room(out, (size_t)n))
		n = ucasemap_utf8ToLower(map, out->data, n + 1, text->data, (int32_t)text->len, &err);
	ucasemap_close(map);
	if (U_FAILURE(err))
		return ace_fail(ACE_EBUG, "lower case: ICU says %s", u_errorName(err));
	if (out->bad)
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", text->len);
	out->len = (size_t)n;
	out->data[out->len] = 0;
	buffer_swap(text, out);
	return ACE_OK;
}

/* Bytes at p that are c, ignoring case in already lowered text: U+017F is an s too. */
static size_t
same_letter(const char *p, const char *end, char c)
{
	if (p < end && *p == c)
		return 1;
	return c == 's' && end - p >= 2 && p[0] == '\xc5' && p[1] == '\xbf' ? 2 : 0;
}

/* boundary, name, "." -> into, everywhere. */
static void
abbreviate(struct buffer *text, struct buffer *out, const char *name, const char *into)
{
	const char *p = text->data, *end = p + text->len, *start = p;

	buffer_clear(out);
	while (p < end) {
		const char *q = p;
		size_t n = 1, i = 0;
		for (; name[i] && (n = same_letter(q, end, name[i])) > 0; i++)
			q += n;
		if (!name[i] && q < end && *q == '.' && !(p > start && char_is_word(utf8_before(p, start)))) {
			buffer_str(out, into);
			p = q + 1;
		} else {
			buffer_char(out, *p++);
		}
	}
	buffer_swap(text, out);
}

/* Every sign by its words, then each pair of blanks by one, in one pass. */
static void
replace_symbol(struct buffer *text, struct buffer *out, const char *sign, const char *into)
{
	size_t n = strlen(sign);

	buffer_clear(out);
	for (size_t i = 0; i < text->len;)
		if (text->len - i >= n && memcmp(text->data + i, sign, n) == 0) {
			buffer_str(out, into);
			i += n;
		} else {
			buffer_char(out, text->data[i++]);
		}
	buffer_swap(text, out);
	buffer_clear(out);
	for (size_t i = 0; i < text->len; i++) {
		buffer_char(out, text->data[i]);
		if (text->data[i] == ' ' && i + 1 < text->len && text->data[i + 1] == ' ')
			i++;
	}
	buffer_swap(text, out);
}

/* Each run of space -> one blank. */
static void
collapse(const char *text, size_t len, struct buffer *out)
{
	buffer_clear(out);
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(text[i]);
		if (!char_is_space(utf8_at(text + i)))
			buffer_add(out, text + i, n);
		else if (i == 0 || !char_is_space(utf8_before(text + i, text)))
			buffer_char(out, ' ');
	}
}

enum status
clean_line(const struct clean_rules *r, const char *text, size_t len, struct buffer *out)
{
	struct buffer b = { 0 }, saved = { 0 };
	enum status st;
	const char *p;
	size_t n;

	buffer_clear(out);
	for (size_t i = 0; i < len; i++)
		if (text[i] != '"')
			buffer_char(out, text[i]);
	if (!buffer_done(out) || !buffer_done(&b))
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
	st = lower(out, &b);
	if (st == ACE_OK) {
		buffer_add(&saved, out->data, out->len);
		if (!r->numbers(out))
			buffer_swap(out, &saved);
		if (memchr(out->data, '.', out->len))
			for (int i = 0; r->abbreviation[i][0]; i++)
				abbreviate(out, &b, r->abbreviation[i][0], r->abbreviation[i][1]);
		for (int i = 0; r->symbol[i][0]; i++)
			replace_symbol(out, &b, r->symbol[i][0], r->symbol[i][1]);
		p = out->data;
		n = out->len;
		chars_strip(&p, &n, true, true, char_is_space);
		collapse(p, n, &b);
		buffer_swap(out, &b);
		if (out->bad || b.bad || saved.bad || !buffer_done(out))
			st = ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
	}
	buffer_free(&b);
	buffer_free(&saved);
	return st;
}
