/* SPDX-License-Identifier: Apache-2.0 */
/* Chinese numbers (text.md section 3.5): eight rules, each of which first finds all its places and then reads them one by one,
 * at the first place in the text where the same characters stand. */
#include "text/clean.h"

#include "text/chars.h"
#include "text/number_zh.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that may be searched again for earlier places with the same characters. Ordinary lines never come near. */
enum { SEARCH_BUDGET = 1 << 28, FREE = 0, INSIDE = -1 };

struct place {
	size_t at, n;
};

struct job {
	const struct tables *tables;
	const char *s;			/* the text before the rule */
	size_t len;
	struct place *place;		/* what the rule found; owned */
	size_t n, cap;
	int32_t *said;			/* of each byte: 1 + which reading begins here, INSIDE one, FREE; owned */
	struct buffer words;		/* readings, */
	struct numbers ends;		/* and where each ends */
	size_t low, spent;		/* no free digit before low */
	bool bad;			/* memory ran out */
};

static uint32_t
at(const struct job *j, size_t i)
{
	return i < j->len ? utf8_at(j->s + i) : 0;
}

static size_t
next(const struct job *j, size_t i)
{
	return i + utf8_len(j->s[i]);
}

static bool
digit_at(const struct job *j, size_t i)
{
	return i < j->len && char_is_digit(at(j, i));
}

/* Behind at most `most` digits. */
static size_t
digits(const struct job *j, size_t i, size_t most)
{
	for (; most > 0 && digit_at(j, i); most--)
		i = next(j, i);
	return i;
}

static bool
is_at(const struct job *j, size_t i, const char *text)
{
	size_t n = strlen(text);

	return i <= j->len && j->len - i >= n && memcmp(j->s + i, text, n) == 0;
}

/* Behind the first entry of t that stands at i; 0: none does. */
static size_t
listed(const struct job *j, size_t i, const struct table *t)
{
	for (int k = 0; k < t->n; k++)
		if (is_at(j, i, t->line[k].text))
			return i + t->line[k].len;
	return 0;
}

/* Digits, and a fraction if there is one. */
static size_t
number(const struct job *j, size_t i)
{
	size_t end = digits(j, i, SIZE_MAX);

	return is_at(j, end, ".") && digit_at(j, end + 1) ? digits(j, end + 1, SIZE_MAX) : end;
}

static size_t
about(const struct job *j, size_t i)
{
	return is_at(j, i, "多") || is_at(j, i, "余") || is_at(j, i, "几") ? next(j, i) : i;
}

static void
found(struct job *j, size_t from, size_t to)
{
	if (j->n == j->cap) {
		size_t cap = j->cap ? 2 * j->cap : 16;
		struct place *more = realloc(j->place, cap * sizeof *more);
		if (!more) {
			j->bad = true;
			return;
		}
		j->place = more;
		j->cap = cap;
	}
	j->place[j->n++] = (struct place){ from, to - from };
}

/* Year, month and day, each of which may lack. */
static size_t
date(const struct job *j, size_t i)
{
	size_t k = i;

	if ((is_at(j, i, "0") || is_at(j, i, "8") || is_at(j, i, "9")) && digit_at(j, i + 1))
		k = digits(j, i, 2);
	if (k == i || !is_at(j, k, "年"))
		k = (is_at(j, i, "19") || is_at(j, i, "20")) && digits(j, i, 3) != digits(j, i, 4) ? digits(j, i, 4)
												   : i;
	if (k > i && is_at(j, k, "年"))
		i = next(j, k);
	k = digits(j, i, 2);
	if (k == i || !is_at(j, k, "月"))
		return i;
	i = next(j, k);
	k = digits(j, i, 2);
	return k > i && (is_at(j, k, "日") || is_at(j, k, "号")) ? next(j, k) : i;
}

static size_t
money(const struct job *j, size_t i)
{
	const struct table *units = &j->tables->currency_units;
	size_t end = listed(j, about(j, number(j, i)), units), part;

	if (!end || !digit_at(j, end))
		return end ? end : i;
	end = digits(j, end, 1);
	part = listed(j, end, units);
	return part ? part : end;
}

/* Rules that want a run of other characters in front: of_number(i) is behind what is found from the digit at i, or i. */
static void
behind_others(struct job *j, size_t (*of_number)(const struct job *j, size_t i))
{
	for (size_t i = 0; i < j->len;) {
		size_t from = i, end;
		while (i < j->len && !digit_at(j, i))
			i = next(j, i);
		end = i > from ? of_number(j, i) : i;
		if (end > i)
			found(j, i, end);
		i = end;
		if (i == from)
			i = digits(j, i, SIZE_MAX);
	}
}

static size_t
mobile(const struct job *j, size_t i)
{
	static const char *const second[] = {"3",  "8",	 "50", "51", "52", "53", "55", "56",
					     "57", "58", "59", "76", "77", "78", "98", "99"};
	size_t end = 0;

	if (!is_at(j, i, "1"))
		return 0;
	for (size_t k = 0; k < sizeof second / sizeof *second && !end; k++)
		if (is_at(j, i + 1, second[k]))
			end = k < 2 ? digits(j, i + 2, 1) : i + 3;
	if (end <= i + 2)
		return 0;
	for (int k = 0; k < 8; k++, end = next(j, end))
		if (!digit_at(j, end))
			return 0;
	return end;
}

static size_t
mobile_with_country(const struct job *j, size_t i)
{
	size_t k = is_at(j, i, "+") ? i + 1 : i, end = 0;

	if (is_at(j, k, "86")) {
		k += 2;
		end = mobile(j, is_at(j, k, " ") ? k + 1 : k);
	}
	return end ? end : mobile(j, i);
}

static size_t
fixed_line(const struct job *j, size_t i)
{
	size_t k = i, end;

	if (is_at(j, i, "0")) {
		if (is_at(j, i, "010") || is_at(j, i, "021") || is_at(j, i, "022") || is_at(j, i, "023"))
			k = i + 3;
		else if (i + 1 < j->len && j->s[i + 1] >= '3' && j->s[i + 1] <= '9' &&
			 digits(j, i + 2, 1) != digits(j, i + 2, 2) && digit_at(j, i + 2))
			k = digits(j, i + 2, 2);
		else
			return 0;
		k += is_at(j, k, "-");
	}
	if (k >= j->len || j->s[k] < '1' || j->s[k] > '9')
		return 0;
	end = digits(j, k + 1, 7);
	return digits(j, k + 1, 5) != digits(j, k + 1, 6) && !digit_at(j, end) ? end : 0;
}

/* A character that is no digit, the number, and another such character. */
static void
between_others(struct job *j, size_t (*of_number)(const struct job *j, size_t i))
{
	for (size_t i = 0; i < j->len;) {
		size_t from = next(j, i), end = !digit_at(j, i) && from < j->len ? of_number(j, from) : 0;
		if (end && end < j->len && !digit_at(j, end)) {
			found(j, from, end);
			i = next(j, end);
		} else {
			i = from;
		}
	}
}

static size_t
fraction(const struct job *j, size_t i, size_t *end)
{
	size_t k = digits(j, i, SIZE_MAX);

	*end = is_at(j, k, "/") && digit_at(j, k + 1) ? digits(j, k + 1, SIZE_MAX) : 0;
	return *end ? *end : k;
}

static size_t
percent(const struct job *j, size_t i, size_t *end)
{
	size_t k = number(j, i);

	*end = is_at(j, k, "%") ? k + 1 : 0;
	return *end ? *end : digits(j, i, SIZE_MAX);
}

static size_t
quantity(const struct job *j, size_t i, size_t *end)
{
	size_t k = number(j, i), q = listed(j, about(j, k), &j->tables->measure_words);

	*end = q ? k : 0;
	return q ? q : digits(j, i, SIZE_MAX);
}

static size_t
long_digits(const struct job *j, size_t i, size_t *end)
{
	size_t k = digits(j, i, 32);

	*end = digits(j, i, 3) != digits(j, i, 4) ? k : 0;
	return k;
}

static size_t
plain(const struct job *j, size_t i, size_t *end)
{
	return *end = number(j, i);
}

/* Rules that begin at a digit. of_number gives where to go on, and where what is found ends (0: nothing is). */
static void
at_digits(struct job *j, size_t (*of_number)(const struct job *j, size_t i, size_t *end))
{
	for (size_t i = 0, from; i < j->len;) {
		size_t end;
		if (!digit_at(j, i)) {
			i = next(j, i);
			continue;
		}
		from = i;
		i = of_number(j, i, &end);
		if (end)
			found(j, from, end);
	}
}

/* The first place where the n bytes at m stand and nothing is read yet; SIZE_MAX: the budget is spent. */
static size_t
first_place(struct job *j, struct place m)
{
	const char *text = j->s + m.at;
	size_t i;

	while (j->low < j->len && (j->said[j->low] != FREE || !digit_at(j, j->low)))
		j->low = next(j, j->low);
	for (i = j->low > 0 ? j->low - 1 : 0; j->spent < SEARCH_BUDGET; i++) {	/* a + may stand before the digit */
		const char *p = memmem(j->s + i, j->len - i, text, m.n);
		size_t k = 0;
		if (!p)
			return j->len;
		j->spent += (size_t)(p - j->s) - i + m.n + 8;
		i = (size_t)(p - j->s);
		while (k < m.n && j->said[i + k] == FREE)
			k++;
		if (k == m.n)
			return i;
	}
	return SIZE_MAX;
}

/* Read all places of the rule into out. false: too much to search. */
static bool
read_places(struct job *j, struct buffer *out, void (*say)(struct buffer *out, const char *p, size_t n))
{
	size_t i = 0;

	if (j->n == 0) {
		buffer_clear(out);
		buffer_add(out, j->s, j->len);
		return true;
	}
	j->said = calloc(j->len, sizeof *j->said);
	if (!j->said) {
		j->bad = true;
		return false;
	}
	for (size_t k = 0; k < j->n; k++) {
		size_t p = first_place(j, j->place[k]);
		if (p == SIZE_MAX)
			return false;
		if (p == j->len)		/* an earlier reading took it */
			continue;
		say(&j->words, j->s + p, j->place[k].n);
		numbers_add(&j->ends, (int32_t)j->words.len);
		for (size_t b = 1; b < j->place[k].n; b++)
			j->said[p + b] = INSIDE;
		j->said[p] = (int32_t)j->ends.len;
	}
	j->bad |= !buffer_done(&j->words) || j->ends.bad;	/* readings may all be empty */
	if (j->bad)
		return false;
	buffer_clear(out);
	for (; i < j->len; i++)
		if (j->said[i] == FREE) {
			buffer_char(out, j->s[i]);
		} else if (j->said[i] > 0) {
			size_t which = (size_t)j->said[i] - 1, from = which ? (size_t)j->ends.data[which - 1] : 0;
			buffer_add(out, j->words.data + from, (size_t)j->ends.data[which] - from);
		}
	return true;
}

/* The rules, in their order. */
static const struct rule {
	void (*behind)(struct job *, size_t (*)(const struct job *, size_t));
	size_t (*number)(const struct job *, size_t);
	size_t (*digits)(const struct job *, size_t, size_t *);
	void (*say)(struct buffer *, const char *, size_t);
} rules[] = {
	{ behind_others, date, NULL, number_zh_date },
	{ behind_others, money, NULL, number_zh_money },
	{ between_others, mobile_with_country, NULL, number_zh_digits },
	{ between_others, fixed_line, NULL, number_zh_digits },
	{ NULL, NULL, fraction, number_zh_fraction },
	{ NULL, NULL, percent, number_zh_percent },
	{ NULL, NULL, quantity, number_zh_cardinal },
	{ NULL, NULL, long_digits, number_zh_digits },
	{ NULL, NULL, plain, number_zh_cardinal },
};

static bool
apply(const struct tables *t, const struct rule *r, struct buffer *text, struct buffer *out)
{
	struct job j = { .tables = t, .s = text->data, .len = text->len };
	bool done;

	if (r->behind)
		r->behind(&j, r->number);
	else
		at_digits(&j, r->digits);
	done = !j.bad && read_places(&j, out, r->say);
	free(j.place);
	free(j.said);
	buffer_free(&j.words);
	numbers_free(&j.ends);
	buffer_swap(text, out);
	return done;
}

static void
half_width_percent(struct buffer *text, struct buffer *out)
{
	static const char wide[] = "％";

	buffer_clear(out);
	for (size_t i = 0, n; i < text->len; i += n) {
		n = utf8_len(text->data[i]);
		if (n == 3 && memcmp(text->data + i, wide, 3) == 0)
			buffer_char(out, '%');
		else
			buffer_add(out, text->data + i, n);
	}
	buffer_swap(text, out);
}

static bool
letter(const struct buffer *t, size_t i)
{
	return i < t->len && ((t->data[i] >= 'a' && t->data[i] <= 'z') || (t->data[i] >= 'A' && t->data[i] <= 'Z'));
}

/* A two between Latin letters was no number: "o2o". */
static void
two_between_letters(struct buffer *text, struct buffer *out)
{
	static const char two[] = "二";
	bool free_before = false;		/* a letter that no earlier match has taken */

	buffer_clear(out);
	for (size_t i = 0, n; i < text->len; i += n) {
		n = utf8_len(text->data[i]);
		if (free_before && n == 3 && memcmp(text->data + i, two, 3) == 0 && letter(text, i + 3)) {
			size_t end = i + 3;
			while (letter(text, end))
				end++;
			buffer_char(out, '2');
			buffer_add(out, text->data + i + 3, end - i - 3);
			n = end - i;
			free_before = false;
			continue;
		}
		free_before = letter(text, i);
		buffer_add(out, text->data + i, n);
	}
	buffer_swap(text, out);
}

static void
punctuation(const struct tables *t, struct buffer *text, struct buffer *out)
{
	size_t from = 0, to = text->len;

	while (from < to && text->data[from] == '^')
		from++;
	while (to > from && text->data[to - 1] == '$')
		to--;
	buffer_clear(out);
	for (size_t i = from, n; i < to; i += n) {
		uint32_t c = utf8_at(text->data + i);
		n = utf8_len(text->data[i]);
		if (c < 0x10000 && t->punctuation[c / 8] >> c % 8 & 1)
			buffer_char(out, ',');
		else
			buffer_add(out, text->data + i, n);
	}
	buffer_swap(text, out);
}

bool
clean_numbers_zh(const struct tables *t, struct buffer *text, struct buffer *spare)
{
	buffer_clear(spare);
	buffer_char(spare, '^');
	buffer_add(spare, text->data, text->len);
	buffer_char(spare, '$');
	buffer_swap(text, spare);
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		if (rules[i].digits == percent)
			half_width_percent(text, spare);
		if (text->bad || spare->bad || !apply(t, &rules[i], text, spare))
			return false;
	}
	two_between_letters(text, spare);
	punctuation(t, text, spare);
	return !text->bad && !spare->bad;
}
