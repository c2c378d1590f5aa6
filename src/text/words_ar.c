/* SPDX-License-Identifier: Apache-2.0 */
/* Arabic numbers: groups of three from the low end, each with its noun in the form that the group asks for. */
#include "text/words_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const ones[] = {
    "",		 "واحد",     "اثنان",	"ثلاثة",    "أربعة",	  "خمسة",     "ستة",
    "سبعة",	 "ثمانية",   "تسعة",	"عشرة",	    "أحد عشر",	  "اثنا عشر", "ثلاثة عشر",
    "أربعة عشر", "خمسة عشر", "ستة عشر", "سبعة عشر", "ثمانية عشر", "تسعة عشر",
};
static const char *const ones_feminine[] = {
    "",		 "إحدى",     "اثنتان",	"ثلاث",	    "أربع",	  "خمس",	"ست",
    "سبع",	 "ثمان",     "تسع",	"عشر",	    "إحدى عشرة",  "اثنتا عشرة", "ثلاث عشرة",
    "أربع عشرة", "خمس عشرة", "ست عشرة", "سبع عشرة", "ثماني عشرة", "تسع عشرة",
};
static const char *const tens[] = {"",	    "",	    "عشرون", "ثلاثون", "أربعون",
				   "خمسون", "ستون", "سبعون", "ثمانون", "تسعون"};
static const char *const hundreds[] = {"",	  "مائة",   "مئتان",   "ثلاثمائة", "أربعمائة",
				       "خمسمائة", "ستمائة", "سبعمائة", "ثمانمائة", "تسعمائة"};

/* Nouns of 1000^level: one (and with others behind ...an), two, three to ten. */
static const char *const noun[][3] = {
	{ "", "", "" },
	{ "ألف", "ألفان", "آلاف" },
	{ "مليون", "مليونان", "ملايين" },
	{ "مليار", "ملياران", "مليارات" },
	{ "تريليون", "تريليونان", "تريليونات" },
	{ "كوادريليون", "كوادريليونان", "كوادريليونات" },
	{ "كوينتليون", "كوينتليونان", "كوينتليونات" },
	{ "سكستيليون", "سكستيليونان", "سكستيليونات" },
	{ "سبتيليون", "سبتيليونان", "سبتيليونات" },
	{ "أوكتيليون", "أوكتيليونان ", "أوكتيليونات" },	/* the blanks are the reference's */
	{ "نونيليون", "نونيليونان ", "نونيليونات" },
	{ "ديسيليون", "ديسيليونان", "ديسيليونات" },
	{ "أندسيليون", "أندسيليونان", "أندسيليونات" },
	{ "دوديسيليون", "دوديسيليونان", "دوديسيليونات" },
	{ "تريديسيليون", "تريديسيليونان", "تريديسيليونات" },
	{ "كوادريسيليون", "كوادريسيليونان", "كوادريسيليونات" },
	{ "كوينتينيليون", "كوينتينيليونان", "كوينتينيليونات" },
};
enum { LEVELS = sizeof noun / sizeof *noun };

static const char and[] = " و ";

/* The dual alone ends a number: it loses its last letter (and the blank). */
static void
short_dual(struct buffer *out, int level)
{
	size_t n = strlen(noun[level][1]) - (noun[level][1][strlen(noun[level][1]) - 1] == ' ');

	buffer_add(out, noun[level][1], n - 2);
}

/* Group x, 1 ... 999, of 1000^level. alone: the number is this group and zeros. */
static void
group(struct buffer *out, int x, int level, bool alone, const char *const *one)
{
	int t = x % 100;

	buffer_str(out, x == 200 ? "مئتا" : hundreds[x / 100]);
	if (x >= 100 && t > 0)
		buffer_str(out, and);
	if (t >= 20) {
		buffer_str(out, one[t % 10]);
		buffer_str(out, t % 10 ? and : "");
		buffer_str(out, tens[t / 10]);
	} else if (t == 2 && x < 100 && level > 0) {
		if (alone)
			short_dual(out, level);
		else
			buffer_str(out, noun[level][1]);
	} else {
		buffer_str(out, t == 1 && level > 0 ? noun[level][0] : one[t]);
	}
}

/* The groups and their nouns, each with a blank behind it. Nothing for 0. */
static bool
whole(struct buffer *out, const struct number *x)
{
	if (x->n > LEVELS)
		return false;
	for (int k = x->n - 1; k >= 0; k--) {
		struct number below = number_low(x, k);
		bool more = below.n > 0;
		int q = x->g[k];
		if (q == 0)
			continue;
		group(out, q, k, x->n == k + 1 && !more, ones);
		buffer_char(out, ' ');
		if (k > 0 && q > 2) {
			buffer_str(out, noun[k][q >= 3 && q <= 10 ? 2 : 0]);
			if (q % 100 != 1 && q > 10 && more)
				buffer_str(out, "اً");
			buffer_char(out, ' ');
		}
		if (more)
			buffer_str(out, and + 1);
	}
	return true;
}

static void
strip_end(struct buffer *out, size_t from)
{
	size_t n = out->len;

	while (n > from && out->data[n - 1] == ' ')
		n--;
	buffer_cut(out, n);
}

bool
words_ar(struct buffer *out, const struct number *x)
{
	size_t from = out->len;

	if (x->n == 0)
		buffer_str(out, "صفر");
	if (!whole(out, x))
		return false;
	strip_end(out, from);
	return true;
}

/* 1 ... 99 of a feminine noun. */
static void
hundredth_words(struct buffer *out, int n)
{
	group(out, n, 0, false, ones_feminine);
}

/* The reference prints nine decimals by arithmetic in doubles, without zeros at the end, and takes the first two as they stand
 * (so nine nines and more are printed as 1). -1: nothing is left of them. */
static int
hundredths_of(double x)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%09.0f", rint((x - floor(x)) * 1e9));

	while (n > 0 && text[n - 1] == '0')
		text[--n] = 0;
	return n == 0 ? -1 : 10 * (text[0] - '0') + (n > 1 ? text[1] - '0' : 0);
}

bool
words_ar_decimal(struct buffer *out, double x)
{
	size_t from = out->len;
	int part = hundredths_of(x);
	struct number n;

	if (!number_of_double(&n, x))
		return false;
	if (part < 0)
		return words_ar(out, &n);
	if (!whole(out, &n))
		return false;
	if (part > 0) {
		buffer_str(out, out->len > from ? " , " : ", ");
		hundredth_words(out, part);
	}
	strip_end(out, from);
	return true;
}

bool
words_ar_currency(struct buffer *out, double x)
{
	int part = hundredths_of(x), low;
	struct number n;
	bool two;

	if (!number_of_double(&n, x))
		return false;
	if (n.n == 0 && part < 0)
		return words_ar(out, &n);
	if (!whole(out, &n))
		return false;
	low = n.n ? n.g[0] % 100 : 0;
	two = number_small(&n) == 2;
	if (n.n)
		buffer_str(out, two ? "ريالان" : low >= 3 && low <= 10 ? "ريالات" : low >= 11 ? "ريالاً" : "ريال");
	if (part <= 0)
		return true;
	buffer_str(out, and);
	hundredth_words(out, part);
	buffer_str(out, part == 2 ? " هللتان" : part >= 3 && part <= 10 ? " هللات" : " هللة");
	return true;
}
