/* SPDX-License-Identifier: Apache-2.0 */
/* Cardinals of de en es fr hu it nl pt. */
#include "text/words_parts.h"

#include <string.h>

/* The beginning of "million", "billion" ...: i = 1 ... 100. Two families of spelling. */
static void
latin(struct buffer *out, int i, enum language lang)
{
	static const char *const low[] = { "m", "b", "tr", "quadr", "quint", "sext", "sept", "oct", "non" };
	static const char *const unit[] = {"",	   "un",  "duo",  "tre",  "quattuor",
					   "quin", "sex", "sept", "octo", "novem"};
	static const char *const ten[] = {"dec",      "vigint",	    "trigint",	"quadragint", "quinquagint",
					  "sexagint", "septuagint", "octogint", "nonagint"};
	static const char *const it[] = { "sest", "sett", "ott", "nov" };
	bool kz = lang == LANG_DE || lang == LANG_NL;
	size_t from = out->len;

	if (lang == LANG_IT && i >= 6 && i <= 9) {
		buffer_str(out, it[i - 6]);
	} else if (i < 10) {
		buffer_str(out, low[i - 1]);
	} else if (i < 100) {
		buffer_str(out, unit[i % 10]);
		buffer_str(out, ten[i / 10 - 1]);
	} else {
		buffer_str(out, lang == LANG_NL ? "cend" : "cent");
	}
	for (size_t k = from; kz && k < out->len; k++) {	/* oct, dec, cent: okt, dez, zent */
		char *p = out->data + k;
		if (p[0] == 'c' && k > from && p[-1] == 'o')
			*p = 'k';
		else if (p[0] == 'c' && (k == from || p[-1] == 'e'))
			*p = 'z';
	}
	if (lang == LANG_DE && i < 10 && !out->bad)
		out->data[from] -= 32;
}

/* 1000^level of a long scale, level >= 2: million, milliard, billion ...; its two endings. */
static void
long_scale(struct buffer *out, int level, enum language lang, const char *illion, const char *illiard)
{
	latin(out, level / 2, lang);
	buffer_str(out, level % 2 ? illiard : illion);
}

static void
en(const char *const *word, struct buffer *out, const struct number *x)
{
	for (int k = x->n - 1; k >= 0; k--) {
		if (x->g[k] == 0)
			continue;
		if (k < x->n - 1)
			buffer_str(out, k == 0 && x->g[0] < 100 ? " and " : ", ");
		buffer_str(out, word[x->g[k]]);
		if (k > 0)
			buffer_char(out, ' ');
		if (k == 1)
			buffer_str(out, "thousand");
		if (k > 1) {
			latin(out, k - 1, LANG_EN);
			buffer_str(out, "illion");
		}
	}
}

static bool
more_below(const struct number *x, int k)
{
	while (k-- > 0)
		if (x->g[k])
			return true;
	return false;
}

static void
de(const char *const *word, struct buffer *out, const struct number *x)
{
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		if (q == 0)
			continue;
		if (k < 2) {
			buffer_str(out, k == 1 && q == 1 ? "ein" : word[q]);
			buffer_str(out, k == 1 ? "tausend" : "");
			continue;
		}
		buffer_str(out, q == 1 ? "eine" : word[q]);
		buffer_char(out, ' ');
		long_scale(out, k, LANG_DE, "illion", "illiarde");
		if (q != 1)
			buffer_str(out, k % 2 ? "n" : "en");
		if (more_below(x, k))
			buffer_char(out, ' ');
	}
}

/* "quatre-vingts" and "cents" lose their s before mille. */
static void
fr_before_mille(struct buffer *out, const char *word, int q)
{
	size_t n = strlen(word);

	buffer_add(out, word, (q % 100 == 0 || q % 100 == 80) && word[n - 1] == 's' ? n - 1 : n);
	buffer_char(out, ' ');
}

static void
fr(const char *const *word, struct buffer *out, const struct number *x)
{
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		if (q == 0)
			continue;
		if (k < x->n - 1)
			buffer_char(out, ' ');
		if (k == 1) {
			if (q > 1)
				fr_before_mille(out, word[q], q);
			buffer_str(out, "mille");
			continue;
		}
		buffer_str(out, word[q]);
		if (k > 1) {
			buffer_char(out, ' ');
			long_scale(out, k, LANG_FR, "illion", "illiard");
			buffer_str(out, q > 1 ? "s" : "");
		}
	}
}

static void
nl(const char *const *word, struct buffer *out, const struct number *x)
{
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		if (q == 0)
			continue;
		if (k < 2) {
			buffer_str(out, k == 1 && q == 1 ? "" : word[q]);
			buffer_str(out, k == 1 ? "duizend" : "");
			continue;
		}
		buffer_str(out, q == 1 ? "een" : word[q]);
		buffer_char(out, ' ');
		long_scale(out, k, LANG_NL, "iljoen", "iljard");
		if (more_below(x, k))
			buffer_char(out, ' ');
	}
}

/* Hungarian: two is "két" before something, and numbers above 2000 have hyphens. */
static void
hu(const char *const *word, struct buffer *out, const struct number *x)
{
	if (x->n < 2) {
		buffer_str(out, word[x->g[0]]);
		return;
	}
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		bool rest = more_below(x, k);
		if (q == 0)
			continue;
		if (k != 1 || q != 1)
			buffer_str(out, q == 2 ? "két" : word[q]);
		if (k == 1)
			buffer_str(out, "ezer");
		else if (k > 1)
			long_scale(out, k, LANG_HU, "illió", "illiárd");
		if (k > 0 && rest && (k > 1 || q >= 2))
			buffer_char(out, '-');
	}
}

/* Groups of six, each 1 ... 999999, and what is between them and after them. */
struct sixes {
	const char *thousand, *between, *one, *scale[4][2];
};

static void
below_million(const char *const *word, struct buffer *out, const struct sixes *s, int high, int low)
{
	if (high > 1) {
		buffer_str(out, word[high]);
		buffer_char(out, ' ');
	}
	if (high > 0)
		buffer_str(out, s->thousand);
	if (high > 0 && low > 0)
		buffer_str(out, s->between);
	if (low > 0)
		buffer_str(out, word[low]);
}

static void
by_sixes(const char *const *word, struct buffer *out, const struct sixes *s, const struct number *x)
{
	for (int k = (x->n - 1) / 2; k >= 0; k--) {
		int low = x->g[2 * k], high = 2 * k + 1 < x->n ? x->g[2 * k + 1] : 0;
		if (low == 0 && high == 0)
			continue;
		if (k < (x->n - 1) / 2)
			buffer_str(out, s->between);
		if (k > 0 && high == 0 && low == 1)
			buffer_str(out, s->one);
		else
			below_million(word, out, s, high, low);
		if (k > 0) {
			buffer_char(out, ' ');
			buffer_str(out, s->scale[k - 1][high > 0 || low > 1]);
		}
	}
}

static const struct sixes es = { "mil", " ", "un", {
	{ "millón", "millones" }, { "billón", "billones" }, { "trillón", "trillones" },
	{ "cuatrillón", "cuatrillones" } } };
static const struct sixes pt = { "mil", " e ", "um", {
	{ "milhão", "milhões" }, { "bilião", "biliões" },
	{ "trilião", "triliões" }, { "quatrilião", "quatriliões" } } };

/* From the low end: the reference spells anew at each step, which takes accents away and brings them back. */
static void
it(const char *const *word, struct buffer *out, const struct number *x)
{
	int low = x->g[0], high = x->n > 1 ? x->g[1] : 0;
	struct buffer step = { 0 }, rest = { 0 };

	if (high) {
		buffer_str(&rest, high == 1 ? "mille" : word[high]);
		buffer_str(&rest, high == 1 ? "" : "mila");
	}
	if (low)
		buffer_str(&rest, word[low]);
	if (high)
		words_it_spelling(&rest, 0);
	for (int k = 2; k < x->n; k++) {
		int q = x->g[k];
		if (q == 0)
			continue;
		buffer_clear(&step);
		buffer_str(&step, q == 1 ? "un" : word[q]);
		buffer_char(&step, ' ');
		long_scale(&step, k, LANG_IT, q == 1 ? "ilione" : "ilioni", q == 1 ? "iliardo" : "iliardi");
		if (rest.len)
			buffer_str(&step, strstr(rest.data, " e ") ? ", " : " e ");
		buffer_add(&step, rest.data, rest.len);
		words_it_spelling(&step, 0);
		buffer_swap(&step, &rest);
	}
	buffer_add(out, rest.data, rest.len);
	out->bad |= rest.bad || step.bad;
	buffer_free(&rest);
	buffer_free(&step);
}

bool
words_west(const char *const *word, enum language lang, struct buffer *out, const struct number *x)
{
	size_t from = out->len;

	if (x->n == 0)
		buffer_str(out, word[0]);
	else if (lang == LANG_EN)
		en(word, out, x);
	else if (lang == LANG_DE)
		de(word, out, x);
	else if (lang == LANG_FR)
		fr(word, out, x);
	else if (lang == LANG_NL)
		nl(word, out, x);
	else if (lang == LANG_HU)
		hu(word, out, x);
	else if (lang == LANG_ES)
		by_sixes(word, out, &es, x);
	else if (lang == LANG_PT)
		by_sixes(word, out, &pt, x);
	else
		it(word, out, x);
	if (lang == LANG_PT)
		words_pt_spelling(out, from);
	return true;
}
