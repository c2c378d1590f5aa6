/* SPDX-License-Identifier: Apache-2.0 */
/* <number>, <telephone>, <currency>, <date>: tags that are no languages, whose digits are written as Chinese reads them. */
#include "text/segment_work.h"

#include <string.h>

static const char *const digit_name[] = { "零", "一", "二", "三", "四", "五", "六", "七", "八", "九" };

enum { DIGITS_MAX = 7600 };	/* the reference, which calls itself for every eight digits, fails on more */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_text(const char *p, size_t len, const char *text)
{
	return strlen(text) == len && memcmp(p, text, len) == 0;
}

/* Digits one by one, those of other scripts left out; "." -> 点. */
static void
digits_read(const char *p, size_t len, struct buffer *out, const char *one)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(p[i]);
		if (is_digit(p[i]))
			buffer_str(out, p[i] == '1' ? one : digit_name[p[i] - '0']);
		else if (p[i] == '.')
			buffer_str(out, "点");
		else if (!char_is_digit(utf8_at(p + i)))
			buffer_add(out, p + i, n);
	}
}

/* A telephone number loses "+86", and its ones are 幺. */
static void
telephone(const char *p, size_t len, struct buffer *out)
{
	const char *end = p + len;

	for (const char *q; p < end; p = q + 3) {
		struct buffer part = { 0 };
		q = memmem(p, (size_t)(end - p), "+86", 3);
		q = q ? q : end;
		digits_read(p, (size_t)(q - p), &part, "一");
		for (size_t i = 0, n; i < part.len; i += n) {
			n = utf8_len(part.data[i]);
			if (n == 3 && memcmp(part.data + i, "一", 3) == 0)
				buffer_str(out, "幺");
			else
				buffer_add(out, part.data + i, n);
		}
		out->bad = out->bad || part.bad;
		buffer_free(&part);
		if (q == end)
			break;
	}
}

/* Digits with the names of places between them; a zero is spoken before a lone digit behind zeros. */
static void
value(const char *p, size_t n, struct buffer *out)
{
	static const struct { size_t power; const char *name; } unit[] = { { 8, "亿" }, { 4, "万" }, { 3, "千" }, { 2, "百" }, { 1, "十" } };
	size_t zeros = 0, u = 0;

	while (zeros < n && p[zeros] == '0')
		zeros++;
	if (zeros == n)
		return;
	if (n - zeros == 1) {
		if (zeros > 0)
			buffer_str(out, digit_name[0]);
		buffer_str(out, digit_name[p[zeros] - '0']);
		return;
	}
	while (unit[u].power >= n - zeros)
		u++;
	value(p, n - unit[u].power, out);
	buffer_str(out, unit[u].name);
	value(p + n - unit[u].power, unit[u].power, out);
}

/* false: a digit of another script, which the reference cannot read, or too many. */
static bool
cardinal(const char *p, size_t n, struct buffer *out)
{
	size_t zeros = 0, from = out->len;
	static const char ten[] = "一十";

	for (size_t i = 0; i < n; i++)
		if (!is_digit(p[i]))
			return false;
	while (zeros < n && p[zeros] == '0')
		zeros++;
	if (n > DIGITS_MAX)
		return false;
	if (zeros == n) {
		buffer_str(out, digit_name[0]);
		return true;
	}
	value(p + zeros, n - zeros, out);
	if (!out->bad && out->len - from >= 6 && memcmp(out->data + from, ten, 6) == 0) {
		memmove(out->data + from, out->data + from + 3, out->len - from - 2);
		out->len -= 3;
	}
	return true;
}

/* Every run of digits as a cardinal; "." -> 点. */
static bool
cardinals(const char *p, size_t len, struct buffer *out)
{
	for (size_t i = 0, n; i < len; i += n) {
		for (n = 0; i + n < len && char_is_digit(utf8_at(p + i + n)); n += utf8_len(p[i + n]))
			;
		if (n > 0) {
			if (!cardinal(p + i, n, out))
				return false;
			continue;
		}
		n = utf8_len(p[i]);
		if (p[i] == '.')
			buffer_str(out, "点");
		else
			buffer_add(out, p + i, n);
	}
	return true;
}

/* --- dates --- */

struct part {
	const char *p;
	size_t len;
};

/* text with each of the characters in set as to (or nothing). */
static void
exchange(const char *text, size_t len, const char *set, const char *to, struct buffer *out)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(text[i]);
		if (memmem(set, strlen(set), text + i, n))
			buffer_str(out, to);
		else
			buffer_add(out, text + i, n);
	}
}

/* Between the marks: how many parts there are, the first `most` of them in part. */
static size_t
split(const char *p, size_t len, char mark, struct part *part, size_t most)
{
	const char *end = p + len;
	size_t n = 0;

	for (;; n++) {
		const char *q = p < end ? memchr(p, mark, (size_t)(end - p)) : NULL;
		if (n < most)
			part[n] = (struct part){ p, (size_t)((q ? q : end) - p) };
		if (!q)
			return n + 1;
		p = q + 1;
	}
}

static size_t
chars_of(struct part x)
{
	size_t n = 0;

	for (size_t i = 0; i < x.len; i += utf8_len(x.p[i]))
		n++;
	return n;
}

/* The number and what it counts, unless it is empty or "0". */
static bool
with_unit(struct part x, const char *unit, bool one_by_one, struct buffer *out)
{
	size_t from = out->len;

	if (one_by_one)
		digits_read(x.p, x.len, out, digit_name[1]);
	else if (!cardinals(x.p, x.len, out))
		return false;
	if (out->bad || out->len == from || is_text(out->data + from, out->len - from, "0"))
		out->len = from;
	else
		buffer_str(out, unit);
	return true;
}

/* Runs of the units -> the last one of the run. */
static void
single_units(struct buffer *b, size_t from, const char *units)
{
	size_t to = from;

	if (b->bad || !b->data)
		return;
	for (size_t i = from, n; i < b->len; i += n) {
		n = utf8_len(b->data[i]);
		if (n == 3 && i + 3 < b->len && memmem(units, strlen(units), b->data + i, 3) &&
		    utf8_len(b->data[i + 3]) == 3 && memmem(units, strlen(units), b->data + i + 3, 3))
			continue;
		memmove(b->data + to, b->data + i, n);
		to += n;
	}
	b->len = to;
	b->data[to] = 0;
}

static bool
day_read(struct part date, struct buffer *out)
{
	struct part p[3], none = { "", 0 }, year = none, month = none, day = none;
	size_t n = split(date.p, date.len, '-', p, 3), from = out->len;

	if (n == 3) {
		year = p[0];
		month = p[1];
		day = p[2];
	} else if (n == 2 && chars_of(p[0]) == 4) {
		year = p[0];
		month = p[1];
	} else if (n == 2) {
		month = p[0];
		day = p[1];
	} else if (chars_of(p[0]) == 4) {
		year = p[0];
	} else {
		day = p[0];
	}
	if (!with_unit(year, "年", true, out) || !with_unit(month, "月", false, out) || !with_unit(day, "日", false, out))
		return false;
	single_units(out, from, "年月日");
	return true;
}

static bool
time_read(struct part time, struct buffer *out)
{
	struct buffer text = { 0 }, hour = { 0 };
	struct part p[3], none = { "", 0 }, minute = none, second = none, h = none;
	size_t n, from = out->len;
	bool ok = true;

	exchange(time.p, time.len, "/.-：_", ":", &text);
	ok = buffer_done(&text);
	n = ok ? split(text.data, text.len, ':', p, 3) : 0;
	if (n == 2 || n == 3) {
		h = p[0];
		minute = p[1];
		second = n == 3 ? p[2] : none;
	} else if (n > 0 && p[0].len > 0) {
		buffer_add(&hour, p[0].p, p[0].len);
		buffer_str(&hour, "点");
		h = (struct part){ hour.data, hour.len };
	}
	if (n == 1)
		buffer_add(out, h.p, h.len);
	else if (n > 1)
		ok = with_unit(h, "点", false, out) && with_unit(minute, "分", false, out) && with_unit(second, "秒", false, out);
	single_units(out, from, "点分秒");
	out->bad = out->bad || text.bad || hour.bad;
	buffer_free(&text);
	buffer_free(&hour);
	return ok;
}

/* 2024/8/24, 2024-08, 08-24 10:30, 10:30 */
static bool
date(const char *text, size_t len, struct buffer *out)
{
	struct buffer dashes = { 0 }, plain = { 0 };
	struct part p[2] = { { "", 0 }, { "", 0 } };
	size_t n;
	bool ok = true;

	if (text_blank(text, len))
		return true;
	exchange(text, len, "/._|年月", "-", &dashes);
	if (buffer_done(&dashes))
		exchange(dashes.data, dashes.len, "日", "", &plain);
	if (buffer_done(&plain)) {
		n = split(plain.data, plain.len, ' ', p, 2);
		if (n == 1 && memchr(p[0].p, ':', p[0].len))
			p[1] = p[0];
		else
			ok = day_read(p[0], out);
		ok = ok && time_read(n > 1 || p[1].len ? p[1] : (struct part){ "", 0 }, out);
	}
	out->bad = out->bad || dashes.bad || plain.bad;
	buffer_free(&dashes);
	buffer_free(&plain);
	return ok;
}

enum status
reading_of(const char *tag, size_t tag_len, const char *text, size_t len, struct buffer *out, bool *chinese)
{
	bool ok = true;

	buffer_clear(out);
	*chinese = true;
	if (is_text(tag, tag_len, "number"))
		digits_read(text, len, out, digit_name[1]);
	else if (is_text(tag, tag_len, "telephone"))
		telephone(text, len, out);
	else if (is_text(tag, tag_len, "currency"))
		ok = cardinals(text, len, out);
	else if (is_text(tag, tag_len, "date"))
		ok = date(text, len, out);
	else
		*chinese = false;
	if (!ok)
		return ace_fail(ACE_EDATA, "<%.*s>: digits that Chinese readings have no words for", (int)tag_len, tag);
	return out->bad ? ace_fail(ACE_ENOMEM, "no memory for %zu bytes", len) : ACE_OK;
}
