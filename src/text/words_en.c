/* SPDX-License-Identifier: Apache-2.0 */
#include "text/words_en.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 306 };		/* 10^303 is the largest scale word */

static const char *const ones[] = {
	"zero",	    "one",     "two",	  "three",     "four",	   "five",     "six",
	"seven",    "eight",   "nine",	  "ten",       "eleven",   "twelve",   "thirteen",
	"fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
};
static const char *const tens[] = {"",	    "",	     "twenty",	"thirty", "forty",
				   "fifty", "sixty", "seventy", "eighty", "ninety"};

/* The ordinals that are not the cardinal and "th". */
static const char *const irregular[][2] = {
	{ "one", "first" }, { "two", "second" }, { "three", "third" }, { "five", "fifth" }, { "eight", "eighth" },
	{ "nine", "ninth" }, { "twelve", "twelfth" },
};

/* 1 ... 999. */
static void
below_1000(struct buffer *out, int x)
{
	if (x >= 100) {
		buffer_str(out, ones[x / 100]);
		buffer_str(out, x % 100 ? " hundred and " : " hundred");
		x %= 100;
	}
	if (x >= 20) {
		buffer_str(out, tens[x / 10]);
		if (x % 10)
			buffer_char(out, '-');
		x %= 10;
	}
	if (x > 0)
		buffer_str(out, ones[x]);
}

/* 10^(3 level), short scale. */
static void
scale(struct buffer *out, int level)
{
	static const char *const low[] = { "m", "b", "tr", "quadr", "quint", "sext", "sept", "oct", "non" };
	static const char *const unit[] = {"",	   "un",  "duo",  "tre",  "quattuor",
					   "quin", "sex", "sept", "octo", "novem"};
	static const char *const ten[] = {"dec",      "vigint",	    "trigint",	"quadragint", "quinquagint",
					  "sexagint", "septuagint", "octogint", "nonagint"};
	int i = level - 1;

	if (level == 1) {
		buffer_str(out, " thousand");
		return;
	}
	buffer_char(out, ' ');
	if (i < 10) {
		buffer_str(out, low[i - 1]);
	} else if (i < 100) {
		buffer_str(out, unit[i % 10]);
		buffer_str(out, ten[i / 10 - 1]);
	} else {
		buffer_str(out, "cent");
	}
	buffer_str(out, "illion");
}

bool
words_en_cardinal(struct buffer *out, const char *digits, size_t n)
{
	bool more = false;

	while (n > 0 && *digits == '0') {
		digits++;
		n--;
	}
	if (n > DIGITS)
		return false;
	if (n == 0)
		buffer_str(out, ones[0]);
	while (n > 0) {
		size_t size = (n - 1) % 3 + 1;
		int x = 0;
		for (size_t i = 0; i < size; i++)
			x = 10 * x + (digits[i] - '0');
		digits += size;
		n -= size;
		if (x == 0)
			continue;
		if (more)
			buffer_str(out, n == 0 && x < 100 ? " and " : ", ");
		below_1000(out, x);
		if (n > 0)
			scale(out, (int)(n / 3));
		more = true;
	}
	return true;
}

bool
words_en_ordinal(struct buffer *out, const char *digits, size_t n)
{
	size_t last, from = out->len;

	if (!words_en_cardinal(out, digits, n) || out->bad)
		return false;
	for (last = out->len; last > from && out->data[last - 1] != ' ' && out->data[last - 1] != '-';)
		last--;
	for (size_t i = 0; i < sizeof irregular / sizeof *irregular; i++)
		if (strcmp(out->data + last, irregular[i][0]) == 0) {
			out->len = last;
			buffer_str(out, irregular[i][1]);
			return true;
		}
	if (out->data[out->len - 1] == 'y') {
		out->len--;
		buffer_str(out, "ie");
	}
	buffer_str(out, "th");
	return true;
}

static bool
cardinal_of(struct buffer *out, double whole)
{
	char text[400];
	int n = snprintf(text, sizeof text, "%.0f", whole);

	return isfinite(whole) && words_en_cardinal(out, text, (size_t)n);
}

/* Digits behind the point of the shortest text that reads as x. */
static int
decimals(double x)
{
	char text[40];

	for (int n = 0; n <= 17; n++) {
		snprintf(text, sizeof text, "%.*e", n, x);
		if (strtod(text, NULL) == x) {
			int places = n - atoi(strchr(text, 'e') + 1);
			return places > 0 ? places : 0;
		}
	}
	return 0;
}

bool
words_en_decimal(struct buffer *out, double x)
{
	double whole = floor(x), rest;
	char text[400];
	int places, n;

	if (!cardinal_of(out, whole))
		return false;
	if (x == whole)
		return true;
	/* the reference takes the digits by arithmetic in doubles, so long fractions may end otherwise than typed */
	places = decimals(x);
	rest = (x - whole) * pow(10, places);
	rest = fabs(rint(rest) - rest) < 0.01 ? rint(rest) : floor(rest);
	n = snprintf(text, sizeof text, "%0*.0f", places, rest);
	buffer_str(out, " point");
	for (int i = 0; i < places && i < n; i++) {
		buffer_char(out, ' ');
		buffer_str(out, ones[text[i] - '0']);
	}
	return true;
}

bool
words_en_currency(struct buffer *out, double x, enum currency c)
{
	static const char *const unit[][2] = {
		{"pound sterling", "pounds sterling"}, {"dollar", "dollars"}, {"euro", "euro"}};
	static const char *const part[][2] = { { "penny", "pence" }, { "cent", "cents" }, { "cent", "cents" } };
	double whole = floor(x), p, cents, error;
	char text[8];

	if (!(x < 1e26))		/* the reference's decimals have 28 digits */
		return false;
	p = (x - whole) * 100;
	error = fma(x - whole, 100, -p);
	cents = floor(p);
	if (p - cents > 0.5 || (p - cents == 0.5 && error >= 0))
		cents++;
	if (cents >= 100) {
		cents -= 100;
		whole++;
	}
	if (!cardinal_of(out, whole))
		return false;
	buffer_char(out, ' ');
	buffer_str(out, unit[c][whole != 1]);
	if (x == floor(x))
		return true;
	buffer_str(out, ", ");
	snprintf(text, sizeof text, "%.0f", cents);
	words_en_cardinal(out, text, strlen(text));
	buffer_char(out, ' ');
	buffer_str(out, part[c][cents != 1]);
	return true;
}
