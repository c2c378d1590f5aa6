/* SPDX-License-Identifier: Apache-2.0 */
#include "text/clean.h"

#include "text/chars.h"
#include "text/words_en.h"

#include <stdlib.h>
#include <string.h>

static const char *const abbreviations[][2] = {
	{"mrs", "misess"},   {"mr", "mister"},	  {"dr", "doctor"},	{"st", "saint"},
	{"co", "company"},   {"jr", "junior"},	  {"maj", "major"},	{"gen", "general"},
	{"drs", "doctors"},  {"rev", "reverend"}, {"lt", "lieutenant"}, {"hon", "honorable"},
	{"sgt", "sergeant"}, {"capt", "captain"}, {"esq", "esquire"},	{"ltd", "limited"},
	{"col", "colonel"},  {"ft", "fort"},	  {NULL, NULL},
};

static const char *const symbols[][2] = {
	{ "&", " and " }, { "@", " at " }, { "%", " percent " }, { "#", " hash " }, { "$", " dollar " },
	{ "\xc2\xa3", " pound " }, { "\xc2\xb0", " degree " }, { NULL, NULL },
};

const struct clean_rules clean_en = { "en", abbreviations, symbols, clean_numbers_en };

static bool
is_digit(const struct buffer *t, size_t i)
{
	return i < t->len && t->data[i] >= '0' && t->data[i] <= '9';
}

/* Behind at most `most` Unicode digits from i. */
static size_t
digits_from(const struct buffer *t, size_t i, int most)
{
	for (; most > 0 && i < t->len && char_is_digit(utf8_at(t->data + i)); most--)
		i += utf8_len(t->data[i]);
	return i;
}

/* Whether a word ends at i, behind a digit. */
static bool
word_ends(const struct buffer *t, size_t i)
{
	return i == t->len || !char_is_word(utf8_at(t->data + i));
}

/* Behind the number that begins at i, where a word begins: up to three digits, groups of three, a fraction. 0: none. */
static size_t
grouped_number(const struct buffer *t, size_t i)
{
	size_t end = digits_from(t, i, 3), last = 0, group, fraction;

	if (end == i)
		return 0;
	while (end < t->len && t->data[end] == ',' && (group = digits_from(t, end + 1, 1)) > end + 1 &&
	       digits_from(t, group, 1) > group &&
	       digits_from(t, digits_from(t, group, 1), 1) > digits_from(t, group, 1)) {
		last = end;
		end = digits_from(t, end + 1, 3);
	}
	if (end < t->len && t->data[end] == '.' && (fraction = digits_from(t, end + 1, INT32_MAX)) > end + 1 &&
	    word_ends(t, fraction))
		return fraction;
	return word_ends(t, end) ? end : last;		/* one group less ends at its comma */
}

static void
drop_thousands(struct buffer *t, struct buffer *out)
{
	size_t i = 0;

	buffer_clear(out);
	while (i < t->len) {
		bool begins = i == 0 || !char_is_word(utf8_before(t->data + i, t->data));
		size_t end = begins ? grouped_number(t, i) : 0, n = utf8_len(t->data[i]);
		if (!end) {
			buffer_add(out, t->data + i, n);
			i += n;
		}
		for (; i < end; i++)
			if (t->data[i] != ',')
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
say_currency(struct buffer *t, struct buffer *out, const char *sign, enum currency c)
{
	size_t n = strlen(sign), i = 0;

	buffer_clear(out);
	while (i < t->len) {
		bool before = t->len - i >= n && memcmp(t->data + i, sign, n) == 0;
		size_t from = i, run = before ? i + n : i, end;
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
		if (end == run)
			buffer_add(out, sign, n);
		else if (!(amount(t->data + from, end - from) >= 0) ||
		         !words_en_currency(out, amount(t->data + from, end - from), c))
			return false;
	}
	buffer_swap(t, out);
	return true;
}

/* Each match of one kind of number, whose end behind the digits [i, j) is found by end_of (0: none), said by say. */
static bool
say_each(struct buffer *t, struct buffer *out, size_t (*end_of)(const struct buffer *t, size_t j),
         bool (*say)(struct buffer *out, const char *p, size_t n_digits, size_t n))
{
	size_t i = 0;

	buffer_clear(out);
	while (i < t->len) {
		size_t j = i, end;
		while (is_digit(t, j))
			j++;
		end = j > i ? end_of(t, j) : 0;
		if (end && !say(out, t->data + i, j - i, end - i))
			return false;
		if (!end) {
			end = j > i ? j : i + 1;
			buffer_add(out, t->data + i, end - i);
		}
		i = end;
	}
	buffer_swap(t, out);
	return true;
}

static size_t
decimal_end(const struct buffer *t, size_t j)
{
	if (j + 1 >= t->len || (t->data[j] != '.' && t->data[j] != ',') || !is_digit(t, j + 1))
		return 0;
	for (j++; is_digit(t, j);)
		j++;
	return j;
}

static bool
say_decimal(struct buffer *out, const char *p, size_t n_digits, size_t n)
{
	(void)n_digits;
	return words_en_decimal(out, amount(p, n));
}

static size_t
ordinal_end(const struct buffer *t, size_t j)
{
	static const char *const suffix[] = { "st", "nd", "rd", "th" };

	for (int i = 0; i < 4; i++)
		if (t->len - j >= 2 && memcmp(t->data + j, suffix[i], 2) == 0)
			return j + 2;
	return 0;
}

static bool
say_ordinal(struct buffer *out, const char *p, size_t n_digits, size_t n)
{
	(void)n;
	return words_en_ordinal(out, p, n_digits);
}

static size_t
integer_end(const struct buffer *t, size_t j)
{
	(void)t;
	return j;
}

static bool
say_integer(struct buffer *out, const char *p, size_t n_digits, size_t n)
{
	(void)n;
	return words_en_cardinal(out, p, n_digits);
}

bool
clean_numbers_en(struct buffer *t)
{
	static const char *const sign[] = { "\xc2\xa3", "$", "\xe2\x82\xac" };
	struct buffer out = { 0 };
	bool done = buffer_done(&out);

	if (done) {
		drop_thousands(t, &out);
		/* a failing amount ends this step only, and keeps the currencies done before */
		for (int c = CURRENCY_GBP; c <= CURRENCY_EUR && say_currency(t, &out, sign[c], (enum currency)c);)
			c++;
		done = say_each(t, &out, decimal_end, say_decimal) && say_each(t, &out, ordinal_end, say_ordinal) &&
		       say_each(t, &out, integer_end, say_integer);
	}
	buffer_free(&out);
	return done;
}
