/* SPDX-License-Identifier: Apache-2.0 */
#include "text/words.h"

#include "text/words_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
number_of(struct number *x, const char *digits, size_t n)
{
	while (n > 0 && *digits == '0') {
		digits++;
		n--;
	}
	x->n = 0;
	if (n > 3 * (size_t)NUMBER_GROUPS)
		return false;
	for (; n > 0; n = n > 3 ? n - 3 : 0) {
		int g = 0;
		for (size_t i = n > 3 ? n - 3 : 0; i < n; i++)
			g = 10 * g + (digits[i] - '0');
		x->g[x->n++] = (short)g;
	}
	return true;
}

bool
number_of_double(struct number *x, double d)
{
	char text[400];
	int n = isfinite(d) ? snprintf(text, sizeof text, "%.0f", floor(d)) : -1;

	return n > 0 && number_of(x, text, (size_t)n);
}

struct number
number_low(const struct number *x, int groups)
{
	struct number r;

	for (r.n = groups < x->n ? groups : x->n; r.n > 0 && x->g[r.n - 1] == 0;)
		r.n--;
	memcpy(r.g, x->g, (size_t)r.n * sizeof *r.g);
	return r;
}

struct number
number_high(const struct number *x, int groups)
{
	struct number r = { .n = x->n > groups ? x->n - groups : 0 };

	memcpy(r.g, x->g + groups, (size_t)r.n * sizeof *r.g);
	return r;
}

int
number_four(const struct number *x, int level)
{
	static const int power[] = { 1, 10, 100 };
	int q = 0;

	for (int at = 4 * level + 3; at >= 4 * level; at--)
		q = 10 * q + (at / 3 < x->n ? x->g[at / 3] : 0) / power[at % 3] % 10;
	return q;
}

/* Whether a double holds x, below 10^21, exactly. */
static bool
is_double(const struct number *x)
{
	uint64_t low = 0, high = 0;

	for (int k = x->n - 1; k >= 0; k--) {
		unsigned __int128 v = (unsigned __int128)low * 1000 + (unsigned)x->g[k];
		high = high * 1000 + (uint64_t)(v >> 64);
		low = (uint64_t)v;
	}
	for (; (low || high) && !(low & 1); high >>= 1)
		low = low >> 1 | high << 63;
	return high == 0 && low >> 53 == 0;
}

/* Digits of the largest number that the reference has words for. */
static const short largest[LANGUAGES] = {
	[LANG_AR] = 51, [LANG_DE] = 606, [LANG_EN] = 306, [LANG_ES] = 27, [LANG_FR] = 606, [LANG_HU] = 606, [LANG_IT] = 65,
	[LANG_KO] = 71, [LANG_NL] = 606, [LANG_PL] = 66, [LANG_PT] = 27, [LANG_RU] = 33, [LANG_TR] = 21,
};

static int
n_digits(const struct number *x)
{
	int top = x->n ? x->g[x->n - 1] : 0;

	return x->n ? 3 * (x->n - 1) + (top > 99 ? 3 : top > 9 ? 2 : 1) : 1;
}

bool
words_of(const struct tables *t, enum language lang, struct buffer *out, const struct number *x)
{
	const char *const *word = lang < LANGUAGES ? t->of[lang].cardinal : NULL;

	if (!word || n_digits(x) > largest[lang])
		return false;
	switch (lang) {
	case LANG_DE: case LANG_EN: case LANG_ES: case LANG_FR: case LANG_HU: case LANG_IT: case LANG_NL: case LANG_PT:
		return words_west(word, lang, out, x);
	case LANG_PL: case LANG_RU:
		return words_slavic(word, lang, out, x, false);
	case LANG_TR:		/* the reference says nothing where its arithmetic in doubles would lose digits */
		return !is_double(x) || words_tr(word, out, x, true);
	case LANG_KO:
		return words_ko(word, out, x);
	case LANG_AR:
		return words_ar(out, x);
	case LANG_CS: case LANG_HI: case LANG_JA: case LANG_ZH: case LANGUAGES:
		break;
	}
	return false;
}

bool
words_cardinal(const struct tables *t, enum language lang, struct buffer *out, const char *digits, size_t n)
{
	struct number x;

	return number_of(&x, digits, n) && words_of(t, lang, out, &x);
}

void
words_repr(char *text, double x)
{
	int n = 0, e;

	do
		snprintf(text, 40, "%.*e", n, x);
	while (strtod(text, NULL) != x && n++ < 17);
	e = atoi(strchr(text, 'e') + 1);
	if (e >= -4 && e < 16)
		snprintf(text, 40, "%.*f", n - e > 1 ? n - e : 1, x);
}
