/* SPDX-License-Identifier: Apache-2.0 */
#include "text/romaji.h"

#include "base/status.h"
#include "text/chars.h"
#include "text/romaji_parts.h"

#include <stdlib.h>
#include <unicode/unorm2.h>
#include <unicode/uchar.h>
#include <unicode/ustring.h>

static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

static bool
all_digits(struct slice s)
{
	for (size_t i = 0; i < s.n; i += utf8_len(s.p[i]))
		if (!char_is_digit(utf8_at(s.p + i)))
			return false;
	return s.n > 0;
}

/* Whether s stands somewhere in text; nothing stands everywhere. */
static bool
part_of(const char *p, size_t n, const char *text)
{
	return n == 0 || memmem(text, strlen(text), p, n);
}

/* What is behind the first "-" of a foreign word's lemma ("\u30b5\u30e9\u30c0-salad"); absent for others. */
static struct slice
foreign_spelling(const struct ja_node *w)
{
	const char *dash = w->lemma.p ? memchr(w->lemma.p, '-', w->lemma.n) : NULL;
	struct slice s = { dash ? dash + 1 : NULL, dash ? w->lemma.n - (size_t)(dash + 1 - w->lemma.p) : 0 };

	if (!s.p || memchr(w->surface.p, '-', w->surface.n) || !is_ascii(s))
		return (struct slice){ 0 };
	return s;
}

static void
add(struct buffer *out, struct slice s)
{
	buffer_add(out, s.p, s.n);
}

/* One word by itself. */
static bool
write_word(const struct tables *t, const struct ja_node *w, struct buffer *out)
{
	const struct table_line *l = table_find(&t->word_exceptions, &t->exception_trie, w->surface.p, w->surface.n);
	struct slice foreign;

	if (l) {
		buffer_add(out, l->value, l->n_value);
	} else if (all_digits(w->surface) || is_ascii(w->surface)) {
		add(out, w->surface);
	} else if (slice_is(w->surface, "€") || slice_is(w->surface, "¥")) {
		return true;
	} else if (w->unknown) {
		if (w->char_type == 6 || w->char_type == 7)
			return kana_write(t, w->surface, out);
		for (size_t i = 0; i < w->surface.n; i += utf8_len(w->surface.p[i]))
			buffer_char(out, '?');
	} else if (slice_is(w->pos1, "補助記号")) {
		l = table_find(&t->kana, &t->kana_trie, w->surface.p, w->surface.n);
		if (l)
			buffer_add(out, l->value, l->n_value);
	} else if (slice_is(w->pos1, "助詞") && slice_is(w->pron, "ワ")) {
		buffer_str(out, "wa");
	} else if (slice_is(w->pos1, "助詞") && slice_is(w->pron, "エ")) {
		buffer_str(out, "e");
	} else if ((foreign = foreign_spelling(w)).p) {
		add(out, foreign);
	} else if (w->kana.p && w->kana.n) {
		return kana_write(t, w->kana, out);
	} else {
		add(out, w->surface);
	}
	return true;
}

static void
add_character(struct buffer *out, UChar32 c)
{
	char text[4];
	int32_t n = 0;

	U8_APPEND_UNSAFE(text, n, c);
	buffer_add(out, text, (size_t)n);
}

/* The first letter of each run of letters that have case is a capital, the others are small. */
static void
title_case(struct buffer *word, struct buffer *spare)
{
	bool inside = false;

	buffer_clear(spare);
	for (size_t i = 0; i < word->len; i += utf8_len(word->data[i])) {
		UChar32 c = (UChar32)utf8_at(word->data + i);
		add_character(spare, inside ? u_tolower(c) : u_totitle(c));
		inside = u_hasBinaryProperty(c, UCHAR_CASED);
	}
	buffer_swap(word, spare);
}

/* The line as it grows: words, and whether a blank follows each. */
struct sentence {
	const struct tables *t;
	struct buffer *out;		/* without the last word */
	struct buffer last, word, spare;
	bool any, blank;		/* there is a last word; a blank follows it */
};

static void
push(struct sentence *s, const char *p, size_t n, bool blank)
{
	if (s->any) {
		buffer_add(s->out, s->last.data, s->last.len);
		if (s->blank)
			buffer_char(s->out, ' ');
	}
	buffer_clear(&s->last);
	buffer_add(&s->last, p, n);
	s->blank = blank;
	s->any = true;
}

/* A doubled consonant at the end of the last word takes the first letter of this one. */
static void
resolve_doubled(struct sentence *s)
{
	static const char tsu[] = "っ";
	size_t n = strlen(tsu), len = s->last.len;

	if (!s->any || s->word.len == 0 || len < n || memcmp(s->last.data + len - n, tsu, n) != 0)
		return;
	buffer_cut(&s->last, len - n);
	buffer_add(&s->last, s->word.data, utf8_len(s->word.data[0]));
}

/* Whether a blank follows the word w, before the node next (NULL at the end). */
static bool
blank_after(const struct sentence *s, const struct ja_node *w, const struct ja_node *next)
{
	bool verb = slice_is(w->pos1, "動詞") || slice_is(w->pos1, "助動詞") || slice_is(w->pos1, "形容詞");

	if (slice_is(w->pos1, "接頭辞"))
		return false;
	if (next && (slice_is(next->pos1, "補助記号") || slice_is(next->pos1, "接尾辞") || slice_is(next->surface, ",")))
		return false;
	if (foreign_spelling(w).p && s->word.len && s->word.data[s->word.len - 1] == '-')
		return false;
	if (!next)
		return true;
	if (next->pos2.p && part_of(next->pos2.p, next->pos2.n, "接続助詞"))
		return false;
	if (all_digits(w->surface) && all_digits(next->surface))
		return false;
	return !(verb && slice_is(next->pos1, "助動詞") && !slice_is(next->surface, "です"));
}

static bool
write_node(struct sentence *s, const struct ja_node *w, const struct ja_node *next)
{
	const char *roma;

	if (slice_is(w->surface, "'") && next && next->char_type == 5 && next->space.n == 0 && w->space.n == 0) {
		s->blank = false;
		push(s, "'", 1, false);
		return true;
	}
	buffer_clear(&s->word);
	if (!buffer_done(&s->word) || !write_word(s->t, w, &s->word))
		return false;
	resolve_doubled(s);
	if (slice_is(w->pos2, "固有名詞"))
		title_case(&s->word, &s->spare);
	roma = s->word.data;
	if (part_of(w->surface.p, w->surface.n, "「『") || part_of(roma, s->word.len, "([")) {
		s->blank = true;		/* before it */
		push(s, roma, s->word.len, false);
	} else if (s->word.len == 1 && roma[0] == '/') {
		push(s, roma, s->word.len, false);
	} else if (is_ascii(w->surface) && next && is_ascii(next->surface)) {
		push(s, w->surface.p, w->surface.n, next->space.n > 0);
	} else {
		push(s, roma, s->word.len, blank_after(s, w, next));
	}
	return true;
}

/* What of doubled consonants was never resolved goes; the first word gets its capital; blanks at the ends go. */
static void
finish(struct buffer *out, size_t from, bool capital, struct buffer *spare)
{
	static const char tsu[] = "っ";
	const char *p = out->data + from, *end = out->data + out->len;
	size_t n = strlen(tsu);

	buffer_clear(spare);
	while (p < end)
		if ((size_t)(end - p) >= n && memcmp(p, tsu, n) == 0) {
			p += n;
		} else {
			size_t k = utf8_len(*p);
			if (capital && spare->len == 0)
				add_character(spare, u_totitle((UChar32)utf8_at(p)));
			else
				buffer_add(spare, p, k);
			p += k;
		}
	p = spare->data;
	n = spare->len;
	chars_strip(&p, &n, true, true, char_is_space);
	buffer_cut(out, from);
	buffer_add(out, p, n);
}

bool
romaji_write(const struct tables *t, const struct ja_node *node, size_t n, struct buffer *out)
{
	struct sentence s = { .t = t, .out = out };
	size_t from = out->len;
	bool good = true;

	for (size_t i = 0; i < n && good; i++)
		good = node[i].surface.n > 0 && write_node(&s, &node[i], i + 1 < n ? &node[i + 1] : NULL);
	if (good && s.any)
		push(&s, "", 0, false);
	if (good && buffer_done(out) && buffer_done(&s.spare))
		finish(out, from, true, &s.spare);
	out->bad |= s.last.bad || s.word.bad || s.spare.bad;
	buffer_free(&s.last);
	buffer_free(&s.word);
	buffer_free(&s.spare);
	return good;
}

/* Text in UTF-16, for ICU. Owned; NULL: memory ran out. */
static UChar *
to_utf16(const struct buffer *text, int32_t *n)
{
	UChar *u = malloc((text->len + 1) * sizeof *u);
	UErrorCode err = U_ZERO_ERROR;

	if (u)
		u_strFromUTF8(u, (int32_t)text->len + 1, n, text->data, (int32_t)text->len, &err);
	return u;
}

static enum status
nfkc(struct buffer *text, struct buffer *spare)
{
	UErrorCode err = U_ZERO_ERROR;
	const UNormalizer2 *norm = unorm2_getNFKCInstance(&err);
	int32_t n = 0, m, bytes = 0;
	UChar *from = to_utf16(text, &n), *to;

	if (!from || U_FAILURE(err)) {
		free(from);
		return ace_fail(from ? ACE_EBUG : ACE_ENOMEM, "NFKC of %zu bytes: ICU says %s", text->len,
				u_errorName(err));
	}
	m = unorm2_normalize(norm, from, n, NULL, 0, &err);
	err = U_ZERO_ERROR;
	to = malloc(((size_t)m + 1) * sizeof *to);
	buffer_clear(spare);
	if (to && buffer_room(spare, 3 * (size_t)m)) {
		m = unorm2_normalize(norm, from, n, to, m + 1, &err);
		u_strToUTF8(spare->data, 3 * m + 1, &bytes, to, m, &err);
		spare->len = (size_t)bytes;
		spare->data[spare->len] = 0;
		buffer_swap(text, spare);
	}
	free(from);
	if (!to || spare->bad)
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", text->len);
	free(to);
	return U_FAILURE(err) ? ace_fail(ACE_EBUG, "NFKC: ICU says %s", u_errorName(err)) : ACE_OK;
}

enum status
romaji_prepare(struct buffer *text, struct buffer *spare)
{
	static const char *const quotes[][2] = {
	    {"\xe2\x80\x98", "`"}, {"\xe2\x80\x99", "'"}, {"\xe2\x80\x9d", "\""}};

	if (text->len > INT32_MAX / 32)
		return ace_fail(ACE_EDATA, "a line of %zu bytes is too long", text->len);
	if (!buffer_done(text))
		return ace_fail(ACE_ENOMEM, "no memory for a line");
	ACE_TRY(nfkc(text, spare));
	buffer_clear(spare);
	for (size_t i = 0, n; i < text->len; i += n) {
		int k = 0;
		n = utf8_len(text->data[i]);
		while (k < 3 && (n != 3 || memcmp(text->data + i, quotes[k][0], 3) != 0))
			k++;
		if (k < 3)
			buffer_str(spare, quotes[k][1]);
		else
			buffer_add(spare, text->data + i, n);
	}
	buffer_swap(text, spare);
	return ACE_OK;
}
