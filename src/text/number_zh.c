/* SPDX-License-Identifier: Apache-2.0 */
#include "text/number_zh.h"

#include "text/chars.h"

#include <string.h>
#include <unicode/uchar.h>

static const char *const digit_word[] = { "零", "一", "二", "三", "四", "五", "六", "七", "八", "九" };

/* Powers of ten with a name of their own. */
static const struct unit {
	int power;
	const char *name;
} units[] = { { 1, "十" }, { 2, "百" }, { 3, "千" }, { 4, "万" }, { 8, "亿" }, { 12, "兆" }, { 16, "京" }, { 20, "垓" },
	      { 24, "秭" }, { 28, "穰" }, { 32, "沟" }, { 36, "涧" }, { 40, "正" }, { 44, "载" } };

/* The value of the digit at p, -1 for other characters. */
static int
value(const char *p)
{
	uint32_t c = utf8_at(p);

	return char_is_digit(c) ? u_charDigitValue((UChar32)c) : -1;
}

void
number_zh_digits(struct buffer *out, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i += utf8_len(p[i])) {
		int d = value(p + i);
		if (d >= 0)
			buffer_str(out, digit_word[d]);
		else if (p[i] == '.')
			buffer_str(out, "点");
	}
}

/* What a number is read as, one after the other: digits 0 ... 9, and units, 10 + place in the list. */
enum { UNIT = 10 };


/* Digits d[0 ... n). Where there are zeros in front of a lone digit, one is read. */
static void
read_whole(struct numbers *to, const char *d, size_t n)
{
	size_t zeros = 0, left;
	int u = (int)(sizeof units / sizeof *units) - 1;

	while (zeros < n && d[zeros] == 0)
		zeros++;
	left = n - zeros;
	if (left == 0)
		return;
	if (left == 1) {
		if (zeros)
			numbers_add(to, 0);
		numbers_add(to, d[zeros]);
		return;
	}
	while ((size_t)units[u].power >= left)
		u--;
	read_whole(to, d, n - (size_t)units[u].power);
	numbers_add(to, UNIT + u);
	read_whole(to, d + n - units[u].power, (size_t)units[u].power);
}

static void
say(struct buffer *out, const struct numbers *s)
{
	const int32_t ten = UNIT;

	for (size_t i = 0; i < s->len; i++) {
		int32_t x = s->data[i], before = i ? s->data[i - 1] : -1,
			after = i + 1 < s->len ? s->data[i + 1] : -1;
		if (i == 0 && x == 1 && after == ten)
			continue;		/* ten, not one ten */
		if (x >= UNIT)
			buffer_str(out, units[x - UNIT].name);
		else if (x == 2 && after > ten && (before < 0 || before > ten))
			buffer_str(out, "两");
		else
			buffer_str(out, digit_word[x]);
	}
}

void
number_zh_cardinal(struct buffer *out, const char *p, size_t n)
{
	struct buffer digits = { 0 };
	struct numbers symbols = { 0 };
	size_t i = 0, from = out->len;

	for (; i < n && value(p + i) >= 0; i += utf8_len(p[i]))
		buffer_char(&digits, (char)value(p + i));
	if (digits.len == 1)
		numbers_add(&symbols, digits.data[0]);
	else
		read_whole(&symbols, digits.data, digits.len);
	say(out, &symbols);
	if (i < n) {
		if (out->len == from)
			buffer_str(out, digit_word[0]);
		number_zh_digits(out, p + i, n - i);
	}
	out->bad |= digits.bad || symbols.bad;
	buffer_free(&digits);
	numbers_free(&symbols);
}

/* Bytes before the first of `mark` in n, SIZE_MAX: it is not there. */
static size_t
before(const char *p, size_t n, const char *mark)
{
	const char *q = memmem(p, n, mark, strlen(mark));

	return q ? (size_t)(q - p) : SIZE_MAX;
}

void
number_zh_date(struct buffer *out, const char *p, size_t n)
{
	static const char year[] = "年", month[] = "月";
	size_t k = before(p, n, year);

	if (k != SIZE_MAX) {
		number_zh_digits(out, p, k);
		buffer_str(out, year);
		p += k + strlen(year);
		n -= k + strlen(year);
	}
	k = before(p, n, month);
	if (k != SIZE_MAX) {
		number_zh_cardinal(out, p, k);
		buffer_str(out, month);
		p += k + strlen(month);
		n -= k + strlen(month);
	}
	for (k = 0; k < n && value(p + k) >= 0;)
		k += utf8_len(p[k]);
	if (k)
		number_zh_cardinal(out, p, k);
	buffer_add(out, p + k, n - k);
}

static size_t
number_end(const char *p, size_t i, size_t n)
{
	while (i < n && value(p + i) >= 0)
		i += utf8_len(p[i]);
	if (i + 1 < n && p[i] == '.' && value(p + i + 1) >= 0)
		for (i++; i < n && value(p + i) >= 0;)
			i += utf8_len(p[i]);
	return i;
}

/* Each number in turn, at all its places: so the 2 of "2\u5757 22" is read in 22 too. */
void
number_zh_money(struct buffer *out, const char *p, size_t n)
{
	struct buffer text = { 0 }, more = { 0 }, words = { 0 };

	buffer_add(&text, p, n);
	for (size_t i = 0, end; i < n && !text.bad && !more.bad; i = end) {
		const char *q, *from;
		if (value(p + i) < 0) {
			end = i + utf8_len(p[i]);
			continue;
		}
		end = number_end(p, i, n);
		buffer_clear(&words);
		number_zh_cardinal(&words, p + i, end - i);
		buffer_clear(&more);
		for (from = text.data; (q = memmem(from, text.len - (size_t)(from - text.data), p + i, end - i));
		     from = q + end - i) {
			buffer_add(&more, from, (size_t)(q - from));
			buffer_add(&more, words.data, words.len);
		}
		buffer_add(&more, from, text.len - (size_t)(from - text.data));
		buffer_swap(&text, &more);
	}
	buffer_add(out, text.data, text.len);
	out->bad |= text.bad || more.bad || words.bad;
	buffer_free(&text);
	buffer_free(&more);
	buffer_free(&words);
}

void
number_zh_fraction(struct buffer *out, const char *p, size_t n)
{
	size_t k = before(p, n, "/");

	number_zh_cardinal(out, p + k + 1, n - k - 1);
	buffer_str(out, "分之");
	number_zh_cardinal(out, p, k);
}

void
number_zh_percent(struct buffer *out, const char *p, size_t n)
{
	buffer_str(out, "百分之");
	number_zh_cardinal(out, p, n - 1);
}
