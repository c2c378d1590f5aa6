/* SPDX-License-Identifier: Apache-2.0 */
/* Cardinals of pl ru tr ko. */
#include "text/words_parts.h"

#include <string.h>

int
words_form(enum language lang, const struct number *x)
{
	int low = x->n ? x->g[0] : 0, ones = low % 10, two = low % 100;
	bool one = x->n == 1 && low == 1;

	if (lang == LANG_PL)
		return one ? 0 : ones >= 2 && ones <= 4 && (two < 10 || two > 20) ? 1 : 2;
	if (lang == LANG_RU) {
		if (two > 10 && two < 15)
			return 2;
		return ones == 1 ? 0 : ones >= 2 && ones <= 4 ? 1 : 2;
	}
	return one ? 0 : 1;
}

/* 1000^level in its form. */
static void
scale(struct buffer *out, enum language lang, int level, int form)
{
	static const char *const pl[] = {"mi",	   "bi",    "try",  "kwadry", "kwinty",
					 "seksty", "septy", "okty", "nony",   "decy"};
	static const char *const pl_thousand[] = { "tysiąc", "tysiące", "tysięcy" };
	static const char *const pl_end[] = { "", "y", "ów" };
	static const char *const ru[] = {"миллион",	"миллиард",   "триллион",  "квадриллион", "квинтиллион",
					 "секстиллион", "септиллион", "октиллион", "нониллион"};
	static const char *const ru_thousand[] = { "тысяча", "тысячи", "тысяч" };
	static const char *const ru_end[] = { "", "а", "ов" };

	if (level == 1) {
		buffer_str(out, (lang == LANG_PL ? pl_thousand : ru_thousand)[form]);
	} else if (lang == LANG_PL) {
		buffer_str(out, pl[level / 2 - 1]);
		buffer_str(out, level % 2 ? "liard" : "lion");
		buffer_str(out, pl_end[form]);
	} else {
		buffer_str(out, ru[level - 2]);
		buffer_str(out, ru_end[form]);
	}
}

/* Russian one and two of a feminine noun, where a word ends in them alone. */
static void
to_feminine(struct buffer *out, int q)
{
	static const char one[] = "один", two[] = "два";
	size_t n1 = strlen(one), n2 = strlen(two);

	if (out->bad || (q % 100 > 10 && q % 100 < 20))
		return;
	if (q % 10 == 1 && out->len >= n1) {
		buffer_cut(out, out->len - n1);
		buffer_str(out, "одна");
	}
	if (q % 10 == 2 && out->len >= n2) {
		buffer_cut(out, out->len - n2);
		buffer_str(out, "две");
	}
}

bool
words_slavic(const char *const *word, enum language lang, struct buffer *out, const struct number *x, bool feminine)
{
	if (x->n == 0)
		buffer_str(out, word[0]);
	for (int k = x->n - 1; k >= 0; k--) {
		struct number q = { 1, { x->g[k] } };
		if (x->g[k] == 0)
			continue;
		if (k < x->n - 1)
			buffer_char(out, ' ');
		if (lang == LANG_RU || k == 0 || x->g[k] != 1)
			buffer_str(out, word[x->g[k]]);
		if (lang == LANG_RU && (k == 1 || feminine))
			to_feminine(out, x->g[k]);
		if (k > 0) {
			if (lang == LANG_RU || x->g[k] != 1)
				buffer_char(out, ' ');
			scale(out, lang, k, words_form(lang, &q));
		}
	}
	return true;
}

static bool
more_below(const struct number *x, int k)
{
	while (k-- > 0)
		if (x->g[k])
			return true;
	return false;
}

bool
words_tr(const char *const *word, struct buffer *out, const struct number *x, bool lossy)
{
	static const char *const scales[] = { "", "bin", "milyon", "milyar", "trilyon", "katrilyon", "kentilyon" };
	static const char one[] = "bir";
	size_t n = strlen(one);

	if (x->n == 0)
		buffer_str(out, word[0]);
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		if (q == 0)
			continue;
		/* a lone digit may be lost between larger groups, as is the one of 1000 */
		if (k == 1 ? q != 1 : k == 0 || k == x->n - 1 || q > 9 || (!lossy && (q > 1 || !more_below(x, k))))
			buffer_str(out, word[q]);
		/* 101001 loses a word, 101000 does not */
		if (k == 1 && x->n == 2 && q >= 100 && q % 10 == 1 && x->g[0] && out->len >= n &&
		    memcmp(out->data + out->len - n, one, n) == 0)
			buffer_cut(out, out->len - n);
		buffer_str(out, scales[k]);
	}
	return true;
}

/* 1 ... 9999. */
static void
ko_below_10000(const char *const *word, struct buffer *out, int q)
{
	if (q >= 1000) {
		buffer_str(out, q < 2000 ? "" : word[q / 1000]);
		buffer_str(out, "천");
		q %= 1000;
	}
	if (q)
		buffer_str(out, word[q]);
}

const char *const words_ko_scale[KO_SCALES] = { "", "만", "억", "조", "경", "해", "자", "양", "구", "간", "정", "재", "극", "항하사",
	"아승기", "나유타", "불가사의", "무량대수" };

bool
words_ko(const char *const *word, struct buffer *out, const struct number *x)
{
	size_t from = out->len;

	if (x->n == 0)
		buffer_str(out, word[0]);
	for (int k = KO_SCALES - 1; k >= 0; k--) {
		int q = number_four(x, k);
		if (q == 0)
			continue;
		if (out->len > from)
			buffer_char(out, ' ');
		if (k != 1 || q != 1)
			ko_below_10000(word, out, q);
		buffer_str(out, words_ko_scale[k]);
	}
	return true;
}
