/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of a line, in words (text.md section 3.4). The reference searches by regular expressions; here each is a scanner that
 * finds the same places in one pass, whatever the line. */
#include "text/clean.h"

#include "text/chars.h"
#include "text/words.h"

#include <stdlib.h>
#include <string.h>

/* What a step of one language works with. */
struct step {
	const struct tables *tables;
	enum language lang;
};

static bool
is_digit(const struct buffer *t, size_t i)
{
	return i < t->len && t->data[i] >= '0' && t->data[i] <= '9';
}

/* Behind at most `most` Unicode digits from i. */
static size_t
digits_from(const struct buffer *t, size_t i, size_t most)
{
	for (; most > 0 && i < t->len && char_is_digit(utf8_at(t->data + i)); most--)
		i += utf8_len(t->data[i]);
	return i;
}

/* Behind exactly three; 0: there are fewer. */
static size_t
three_digits(const struct buffer *t, size_t i)
{
	for (int k = 0; k < 3; k++) {
		size_t next = digits_from(t, i, 1);
		if (next == i)
			return 0;
		i = next;
	}
	return i;
}

/* Whether a word ends at i, behind a digit. */
static bool
word_ends(const struct buffer *t, size_t i)
{
	return i == t->len || !char_is_word(utf8_at(t->data + i));
}

/* Behind a number whose leading digits end at i: as many groups as fit, a fraction behind them if there is one, and then the end
 * of a word. 0: none. A group is three digits behind a comma, or (points) behind any one character. */
static size_t
groups_end(const struct buffer *t, size_t i, bool points)
{
	size_t end = 0, next;

	for (;; i = next) {
		size_t fraction = 0;
		if (i < t->len && t->data[i] == (points ? ',' : '.') && digits_from(t, i + 1, 1) > i + 1)
			fraction = digits_from(t, i + 1, SIZE_MAX);
		if (fraction && word_ends(t, fraction))
			end = fraction;
		else if (word_ends(t, i))
			end = i;
		if (i == t->len || (points ? t->data[i] == '\n' : t->data[i] != ','))
			return end;
		next = three_digits(t, i + utf8_len(t->data[i]));
		if (!next)
			return end;
	}
}

/* Behind the number that begins at i, where a word begins; 0: none. */
static size_t
grouped_number(const struct buffer *t, size_t i, bool points)
{
	size_t end = 0;

	for (size_t most = 3; most > 0 && !end; most--)
		end = groups_end(t, digits_from(t, i, most), points);
	return end;
}

/* Thousands lose their separators: "," in en and ru, "." elsewhere. */
static void
drop_separators(struct buffer *t, struct buffer *out, bool points)
{
	char separator = points ? '.' : ',';
	size_t i = 0;

	if (!memchr(t->data, separator, t->len))
		return;
	buffer_clear(out);
	while (i < t->len) {
		size_t n = utf8_len(t->data[i]), end = 0;
		if (digits_from(t, i, 1) > i && (i == 0 || !char_is_word(utf8_before(t->data + i, t->data))))
			end = grouped_number(t, i, points);
		if (!end) {
			buffer_add(out, t->data + i, n);
			i += n;
		}
		for (; i < end; i++)
			if (t->data[i] != separator)
				buffer_char(out, t->data[i]);
	}
	buffer_swap(t, out);
}

/* The number in n bytes at p, all but digits and points left out, commas as points; < 0: two points. */
static double
amount(const char *p, size_t n)
{
	struct buffer b = { 0 };
	int points = 0;
	double x;

	for (size_t i = 0; i < n; i++)
		if (p[i] == ',' || p[i] == '.') {
			buffer_char(&b, '.');
			points++;
		} else if (p[i] >= '0' && p[i] <= '9') {
			buffer_char(&b, p[i]);
		}
	x = points > 1 || !b.data ? -1 : strtod(b.data, NULL);
	buffer_free(&b);
	return x;
}

static bool
in_amount(const struct buffer *t, size_t i)
{
	return is_digit(t, i) || (i < t->len && (t->data[i] == '.' || t->data[i] == ','));
}

/* Amounts with the sign before or behind. false: one of them cannot be said; t is as it was. */
static bool
say_currency(const struct step *s, struct buffer *t, struct buffer *out, const char *sign, enum currency c)
{
	size_t n = strlen(sign), i = 0;

	if (!memmem(t->data, t->len, sign, n))
		return true;
	buffer_clear(out);
	while (i < t->len) {
		bool before = t->len - i >= n && memcmp(t->data + i, sign, n) == 0;
		size_t from = i, run = before ? i + n : i, end;
		double x;
		for (end = run; in_amount(t, end);)
			end++;
		if (before) {
			while (end > run && !is_digit(t, end - 1))
				end--;
		} else if (end > run && is_digit(t, end - 1) && t->len - end >= n &&
			   memcmp(t->data + end, sign, n) == 0) {
			end += n;
		} else { /* no amount: the whole run goes as it is */
			end = end > run ? end : i + 1;
			buffer_add(out, t->data + from, end - from);
			i = end;
			continue;
		}
		i = end > run ? end : i + n;
		if (end == run) {
			buffer_add(out, sign, n);
			continue;
		}
		x = amount(t->data + from, end - from);
		if (!(x >= 0) || !words_currency(s->tables, s->lang, out, x, c))
			return false;
	}
	buffer_swap(t, out);
	return true;
}

/* Each match of one kind of number, whose end behind the digits [i, j) is found by end_of (0: none), said by say. */
static bool
say_each(const struct step *s, struct buffer *t, struct buffer *out,
	 size_t (*end_of)(const struct step *s, const struct buffer *t, size_t j),
	 bool (*say)(const struct step *s, struct buffer *out, const char *p, size_t n_digits, size_t n))
{
	size_t i = 0, j;

	buffer_clear(out);
	while (i < t->len) {
		size_t end;
		for (j = i; j < t->len && !is_digit(t, j);)
			j++;
		buffer_add(out, t->data + i, j - i);
		for (i = j; is_digit(t, j);)
			j++;
		end = j > i ? end_of(s, t, j) : 0;
		if (end && !say(s, out, t->data + i, j - i, end - i))
			return false;
		if (!end) {
			end = j;
			buffer_add(out, t->data + i, end - i);
		}
		i = end;
	}
	buffer_swap(t, out);
	return true;
}

static size_t
decimal_end(const struct step *s, const struct buffer *t, size_t j)
{
	(void)s;
	if (j + 1 >= t->len || (t->data[j] != '.' && t->data[j] != ',') || !is_digit(t, j + 1))
		return 0;
	for (j++; is_digit(t, j);)
		j++;
	return j;
}

static bool
say_decimal(const struct step *s, struct buffer *out, const char *p, size_t n_digits, size_t n)
{
	(void)n_digits;
	return words_decimal(s->tables, s->lang, out, amount(p, n));
}

/* Behind the first suffix that fits; ".$" is a point at the end or before a space, which is not taken. */
static size_t
ordinal_end(const struct step *s, const struct buffer *t, size_t j)
{
	const struct table *o = &s->tables->of[s->lang].ordinals;

	for (int i = 0; i < o->n; i++) {
		const struct table_line *l = &o->line[i];
		bool last = strcmp(l->text, ".$") == 0;
		size_t n = last ? 1 : l->len;
		if (t->len - j < n || memcmp(t->data + j, l->text, n) != 0)
			continue;
		if (!last || j + 1 == t->len || char_is_space(utf8_at(t->data + j + 1)))
			return j + n;
	}
	return 0;
}

static bool
say_ordinal(const struct step *s, struct buffer *out, const char *p, size_t n_digits, size_t n)
{
	(void)n;
	return words_ordinal(s->tables, s->lang, out, p, n_digits);
}

static size_t
integer_end(const struct step *s, const struct buffer *t, size_t j)
{
	(void)s;
	(void)t;
	return j;
}

static bool
say_integer(const struct step *s, struct buffer *out, const char *p, size_t n_digits, size_t n)
{
	(void)n;
	return words_cardinal(s->tables, s->lang, out, p, n_digits);
}

bool
clean_numbers(const struct tables *tables, enum language lang, struct buffer *t, struct buffer *spare)
{
	static const char *const sign[] = { "\xc2\xa3", "$", "\xe2\x82\xac" };
	const struct step s = { tables, lang };

	if (!buffer_done(t) || !buffer_done(spare))
		return false;
	drop_separators(t, spare, lang != LANG_EN && lang != LANG_RU);
	/* a failing amount ends this step only, and keeps the currencies done before */
	for (int c = CURRENCY_GBP; c <= CURRENCY_EUR && say_currency(&s, t, spare, sign[c], (enum currency)c);)
		c++;
	if (lang != LANG_TR && !say_each(&s, t, spare, decimal_end, say_decimal))
		return false;
	return say_each(&s, t, spare, ordinal_end, say_ordinal) && say_each(&s, t, spare, integer_end, say_integer);
}
