/* SPDX-License-Identifier: Apache-2.0 */
#include "text/words.h"

#include "text/words_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const point[LANGUAGES] = {
    [LANG_EN] = "point",	  [LANG_DE] = "Komma", [LANG_FR] = "virgule", [LANG_ES] = "punto",
    [LANG_PT] = "vírgula", [LANG_NL] = "komma", [LANG_KO] = "점",      [LANG_IT] = "virgola",
};

/* The decimal exponent of x's shortest digits as a number: 1.25 -> 2, 1.0 -> 1, 1e+16 -> 16. */
static int
precision(const char *repr)
{
	const char *dot = strchr(repr, '.'), *e = strchr(repr, 'e');
	int decimals = dot ? (int)((e ? e : repr + strlen(repr)) - dot) - 1 : 0;
	int n = e ? atoi(e + 1) - decimals : -decimals;

	return n < 0 ? -n : n;
}

/* Point and digits one by one. The reference takes them by arithmetic in doubles, so long fractions may end otherwise than typed. */
static void
digit_by_digit(const char *const *word, enum language lang, struct buffer *out, double x, const char *repr)
{
	int places = precision(repr), n;
	double rest = (x - floor(x)) * pow(10, places);
	char text[400];

	rest = fabs(rint(rest) - rest) < 0.01 ? rint(rest) : floor(rest);
	n = snprintf(text, sizeof text, "%0*.0f", places, rest);
	buffer_char(out, ' ');
	buffer_str(out, point[lang]);
	for (int i = 0; i < places && i < n; i++) {
		buffer_char(out, ' ');
		buffer_str(out, word[text[i] - '0']);
	}
}

/* Italian spells what is printed, also the 0 of 1.0. */
static bool
decimal_it(const struct tables *t, struct buffer *out, const struct number *whole, const char *digits)
{
	size_t from = out->len;

	if (!words_of(t, LANG_IT, out, whole))
		return false;
	buffer_char(out, ' ');
	buffer_str(out, point[LANG_IT]);
	for (; *digits; digits++) {
		buffer_char(out, ' ');
		buffer_str(out, t->of[LANG_IT].cardinal[*digits - '0']);
	}
	words_it_spelling(out, from);
	return true;
}

static bool
decimal_pl(const struct tables *t, struct buffer *out, const struct number *whole, const char *digits)
{
	if (!words_of(t, LANG_PL, out, whole))
		return false;
	buffer_str(out, " przecinek ");
	for (const char *p = digits; *p == '0'; p++) {
		buffer_str(out, t->of[LANG_PL].cardinal[0]);
		buffer_char(out, ' ');
	}
	return words_cardinal(t, LANG_PL, out, digits, strlen(digits));
}

/* "tenth", "hundredth" ... of n digits; one: the singular. */
static void
fraction_ru(struct buffer *out, size_t n, bool one)
{
	static const char *const small[] = { "", "десят", "сот" };
	static const char *const ten[] = { "", "десяти", "сто" };
	static const char *const scale[] = { "", "тысяч", "миллион", "миллиард", "триллион", "квадриллион" };

	buffer_str(out, n < 3 ? small[n] : ten[n % 3]);
	buffer_str(out, n < 3 ? "" : scale[n / 3]);
	buffer_str(out, n > 2 ? "н" : "");
	buffer_str(out, one ? "ая" : "ых");
}

static bool
decimal_ru(const struct tables *t, struct buffer *out, const struct number *whole, const char *digits)
{
	const char *const *word = t->of[LANG_RU].cardinal;
	size_t n = strlen(digits);
	struct number part;

	if (!number_of(&part, digits, n) || n > 17)
		return false;
	words_slavic(word, LANG_RU, out, whole, true);
	buffer_str(out, words_form(LANG_RU, whole) == 0 ? " целая " : " целых ");
	words_slavic(word, LANG_RU, out, &part, true);
	buffer_char(out, ' ');
	fraction_ru(out, n, words_form(LANG_RU, &part) == 0);
	return true;
}

static bool
decimal_hu(const struct tables *t, struct buffer *out, const struct number *whole, const char *digits)
{
	static const char *const part[] = { "", "tized", "század", "ezred" };
	size_t n = strlen(digits);

	if (!words_of(t, LANG_HU, out, whole))
		return false;
	if (strspn(digits, "0") == n) {
		for (int k = 2; k < whole->n; k++)	/* where the reference does not end */
			if (whole->g[k] >= 10)
				return false;
		return true;
	}
	if (n > 3)
		return false;
	buffer_str(out, " egész ");
	if (!words_cardinal(t, LANG_HU, out, digits, n))
		return false;
	buffer_char(out, ' ');
	buffer_str(out, part[n]);
	return true;
}

/* Two decimals, cut off, read as a number. */
static bool
decimal_tr(const struct tables *t, struct buffer *out, const struct number *whole, int hundredths)
{
	if (!words_of(t, LANG_TR, out, whole))
		return false;
	buffer_str(out, "virgül");
	if (hundredths)
		buffer_str(out, t->of[LANG_TR].cardinal[hundredths]);
	return true;
}

bool
words_decimal(const struct tables *t, enum language lang, struct buffer *out, double x)
{
	const char *const *word = lang < LANGUAGES ? t->of[lang].cardinal : NULL;
	size_t from = out->len;
	struct number whole;
	char repr[40], *dot;

	if (!word || !isfinite(x) || !number_of_double(&whole, x))
		return false;
	words_repr(repr, x);
	if (lang == LANG_AR)
		return words_ar_decimal(out, x);
	dot = strchr(repr, '.');
	if (lang == LANG_IT || lang == LANG_PL || lang == LANG_RU || lang == LANG_HU) {
		if (!dot || strchr(repr, 'e'))	/* the reference does not read its exponents */
			return false;
		return lang == LANG_IT   ? decimal_it(t, out, &whole, dot + 1)
		       : lang == LANG_PL ? decimal_pl(t, out, &whole, dot + 1)
		       : lang == LANG_RU ? decimal_ru(t, out, &whole, dot + 1)
		                         : decimal_hu(t, out, &whole, dot + 1);
	}
	if (lang == LANG_TR && x != floor(x))
		return decimal_tr(t, out, &whole, (int)fmod(floor(x * 100), 100));
	if ((!point[lang] && lang != LANG_TR) || !words_of(t, lang, out, &whole))
		return false;
	if (x == floor(x))
		return true;
	digit_by_digit(word, lang, out, x, repr);
	if (lang == LANG_PT)
		words_pt_spelling(out, from);
	return true;
}
