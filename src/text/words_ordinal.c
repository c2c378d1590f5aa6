/* SPDX-License-Identifier: Apache-2.0 */
/* Ordinals. Below 1000 they are a table's; above, most languages change the end of a cardinal, and what they do at round
 * thousands is the reference's, right or wrong. */
#include "text/words.h"

#include "text/words_parts.h"

#include <stdio.h>
#include <string.h>

struct ordinals {
	const struct tables *t;
	enum language lang;
	const char *const *cardinal, *const *ordinal;
};

/* The lowest group that is not 0. */
static int
last_group(const struct number *x)
{
	int k = 0;

	while (x->g[k] == 0)
		k++;
	return k;
}

/* q * 1000^k. */
static struct number
group_alone(int q, int k)
{
	struct number x = { .n = q ? k + 1 : 0 };

	x.g[k] = (short)q;
	return x;
}

static bool
ends_in(const struct buffer *out, size_t from, const char *end)
{
	size_t n = strlen(end);

	return !out->bad && out->len >= from + n && memcmp(out->data + out->len - n, end, n) == 0;
}

/* `end` there becomes `into`; false: it does not stand there. */
static bool
exchange(struct buffer *out, size_t from, const char *end, const char *into)
{
	if (!ends_in(out, from, end))
		return false;
	buffer_cut(out, out->len - strlen(end));
	buffer_str(out, into);
	return true;
}

/* The cardinal, in which the words of the last three digits, not 0, become their ordinal. */
static bool
change_end(const struct ordinals *o, struct buffer *out, const struct number *x, const char *low)
{
	size_t from = out->len;

	return words_of(o->t, o->lang, out, x) && exchange(out, from, o->cardinal[x->g[0]], low);
}

static bool
en_fr_nl(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	static const char first[] = "unième";
	size_t from = out->len;

	if (x->g[0])
		return change_end(o, out, x, o->lang == LANG_FR && x->g[0] == 1 ? first : o->ordinal[x->g[0]]);
	if (!words_of(o->t, o->lang, out, x))
		return false;
	if (o->lang == LANG_FR)
		exchange(out, from, "e", "");
	buffer_str(out, o->lang == LANG_EN ? "th" : o->lang == LANG_NL ? "ste" : "ième");
	return true;
}

static void
lower_from(struct buffer *out, size_t from)
{
	for (size_t i = from; !out->bad && i < out->len; i++)
		if (out->data[i] >= 'A' && out->data[i] <= 'Z')
			out->data[i] += 32;
}

static bool
de(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	size_t from = out->len;
	int k = last_group(x), q = x->g[k];
	struct number high = *x, scale = group_alone(1, k);
	bool alone = k == x->n - 1;

	if (k == 0) {
		if (!change_end(o, out, x, q == 100 ? "einhundertste" : o->ordinal[q]))
			return false;
		lower_from(out, from);
		return true;
	}
	high.g[k] = 0;
	if (!alone) {
		if (!words_of(o->t, LANG_DE, out, &high))
			return false;
		if (q > 1 || k == 1)
			buffer_char(out, ' ');
	}
	if (q > 1)
		buffer_str(out, o->cardinal[q]);
	else if (k == 1 && !alone)
		buffer_str(out, "ein");
	if (k == 1) {
		buffer_str(out, "tausend");
	} else {
		static const char one[] = "eine ";
		size_t at = out->len;
		words_of(o->t, LANG_DE, out, &scale);
		if (!out->bad) {
			memmove(out->data + at, out->data + at + strlen(one), out->len - at - strlen(one));
			buffer_cut(out, out->len - strlen(one));
		}
		exchange(out, at, "e", "");
	}
	buffer_str(out, "ste");
	lower_from(out, from);
	return true;
}

static bool
hu(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	static const char *const ends[][2] = { { "ezer", "ezredik" }, { "illió", "milliomodik" },
		                               { "illiárd", "milliárdodik" } };
	size_t from = out->len;
	int low = x->g[0];

	if (low > 2)
		return change_end(o, out, x, o->ordinal[low]);
	if (!words_of(o->t, LANG_HU, out, x))
		return false;
	if (low)
		buffer_str(out, low == 1 ? "edik" : "ik");
	for (int i = 0; low == 0 && i < 3; i++)
		if (exchange(out, from, ends[i][0], ends[i][1]))
			break;
	return true;
}

static bool
it(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	size_t from = out->len;

	if (!words_of(o->t, LANG_IT, out, x) || out->bad)
		return false;
	if (!exchange(out, from, "mila", "mill") && !exchange(out, from, "tré", "tre") &&
	    !ends_in(out, from, "tre") && !ends_in(out, from, "sei"))
		buffer_cut(out, out->len - 1);
	buffer_str(out, "esimo");
	return true;
}

static bool
tr(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	static const char *const ends[] = { "", "inci", "uncu", "ıncı", "uncu", "uncu", "" };
	size_t from = out->len;

	if (x->n > (int)(sizeof ends / sizeof *ends))
		return false;
	words_tr(o->cardinal, out, x, false);
	if (x->g[0])
		return exchange(out, from, o->cardinal[x->g[0]], o->ordinal[x->g[0]]);
	buffer_str(out, ends[last_group(x)]);
	return true;
}

/* Each group by itself: the ordinal of its words glued to that of its scale. */
static bool
es(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	static const char *const scale[] = { "", "mil", "millon", "billon", "trillon", "cuadrillon" };
	size_t from = out->len;

	if (x->n > (int)(sizeof scale / sizeof *scale))
		return words_of(o->t, LANG_ES, out, x);
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		if (q == 0)
			continue;
		if (out->len > from)
			buffer_char(out, ' ');
		if (k == 0) {
			buffer_str(out, o->ordinal[q]);
			continue;
		}
		buffer_str(out, q > 1 ? o->cardinal[q] : "");
		buffer_str(out, scale[k]);
		buffer_str(out, "ésimo");
	}
	return true;
}

static bool
pt(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	static const char thousandth[] = "milésimo";
	static const char *const scale[] = { "", "milionésimo", "bilionésimo" };
	size_t from = out->len;

	if (x->n > 6)
		return false;
	for (int k = x->n - 1; k >= 0; k--) {
		int q = x->g[k];
		const char *part[3] = {q > 1 || k == 0 || k < x->n - 1 ? o->ordinal[q] : "",
				       k % 2 ? thousandth : "", scale[k / 2]};
		for (int i = 0; i < 3 && q; i++) {
			if (*part[i] && out->len > from)
				buffer_char(out, ' ');
			buffer_str(out, part[i]);
		}
	}
	return true;
}

/* Polish: how a group begins a word like "tysięczny"; NULL: the reference fails. */
static const char *
pl_prefix(const struct ordinals *o, int q)
{
	static const char *const low[] = {"",
					  "",
					  "dwu",
					  "trzy",
					  "cztero",
					  "pięcio",
					  "sześcio",
					  "siedmio",
					  "ośmio",
					  "dziewięcio",
					  "dziesięcio",
					  "jedenasto",
					  "dwunasto",
					  "trzynasto",
					  "czternasto",
					  "piętnasto",
					  "szesnasto",
					  "siedemnasto",
					  "osiemnasto",
					  "dziewiętnasto"};
	static const char *const ten[] = {"",
					  "",
					  "dwudziesto",
					  "trzydiesto",
					  "czterdziesto",
					  "pięćdziesięcio",
					  "sześćdziesięcio",
					  "siedemdziesięcio",
					  "osiemdziesięcio",
					  "dziewięćdziesięcio"};
	static const char *const hundred[] = {"",
					      "stu",
					      "dwustu",
					      "trzystu",
					      "czterystu",
					      "pięcset",
					      "sześćset",
					      "siedemset",
					      "ośiemset",
					      "dziewięćset"};

	if (q < 20)
		return low[q];
	if (q % 100 == 0)
		return hundred[q / 100];
	if (q % 10 == 0 && q < 100)
		return ten[q / 10];
	return q > 100 && (q % 100 < 20 || q % 10 == 0) ? NULL : o->ordinal[q];
}

static bool
pl(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	static const char *const scale[] = { "", "tysięczny", "milionowy", "milairdowy" };
	struct number high = *x;
	int k = last_group(x);
	const char *prefix = pl_prefix(o, x->g[k]);

	if (k == 0)
		return change_end(o, out, x, o->ordinal[x->g[0]]);
	if (k > 3 || !prefix)
		return false;
	high.g[k] = 0;
	if (k < x->n - 1) {
		if (!words_of(o->t, LANG_PL, out, &high))
			return false;
		buffer_char(out, ' ');
	}
	buffer_str(out, prefix);
	buffer_str(out, scale[k]);
	return true;
}

/* Russian: a group in the genitive, glued to the scale that follows. */
static void
ru_prefix(struct buffer *out, int q)
{
	static const char *const low[] = {
	    "",		  "одно",	 "двух",       "трёх",	       "четырёх",
	    "пяти",	  "шести",	 "семи",       "восьми",       "девяти",
	    "десяти",	  "одиннадцати", "двенадцати", "тринадцати",   "четырнадцати",
	    "пятнадцати", "шестнадцати", "семнадцати", "восемнадцати", "девятнадцати"};
	static const char *const ten[] = {"",
					  "",
					  "двадцати",
					  "тридцати",
					  "сорока",
					  "пятидесяти",
					  "шестидесяти",
					  "семидесяти",
					  "восьмидесяти",
					  "девяносто"};
	static const char *const hundred[] = {"",	 "сто",	     "двухсот", "трёхсот",   "четырёхсот",
					      "пятисот", "шестисот", "семисот", "восьмисот", "девятисот"};

	if (q == 1)
		return;
	buffer_str(out, hundred[q / 100]);
	q %= 100;
	buffer_str(out, q < 20 ? "" : ten[q / 10]);
	buffer_str(out, low[q < 20 ? q : q % 10]);
}

static bool
ru(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	size_t from = out->len;
	struct buffer b = { 0 };
	bool good = true;
	int last = last_group(x);

	for (int k = x->n - 1; k > last && good; k--) {
		int q = x->g[k], t = q % 100;
		struct number alone = group_alone(q, k);
		if (q == 0)
			continue;
		if (out->len > from)
			buffer_char(out, ' ');
		buffer_clear(&b);
		good = words_of(o->t, LANG_RU, &b, &alone) && !b.bad;
		if (!good)
			break;
		if (q == 1) {			/* its noun alone */
			buffer_str(out, strchr(b.data, ' ') + 1);
		} else if ((t >= 10 && t < 20) || q % 10 == 0) {
			buffer_str(out, o->ordinal[q]);
			buffer_str(out, strrchr(b.data, ' '));
		} else {
			buffer_add(out, b.data, b.len);
		}
	}
	if (out->len > from)
		buffer_char(out, ' ');
	if (last == 0) {
		buffer_str(out, o->ordinal[x->g[0]]);
	} else {
		struct number many =
		    group_alone(5, last); /* whose noun ends in the stem, or in it and two letters */
		buffer_clear(&b);
		good = good && words_of(o->t, LANG_RU, &b, &many) && !b.bad;
		ru_prefix(out, x->g[last]);
		if (good) {
			exchange(&b, 0, "ов", "");
			buffer_str(out, strrchr(b.data, ' ') + 1);
			buffer_str(out, "ный");
		}
	}
	out->bad |= b.bad;
	buffer_free(&b);
	return good;
}

/* Korean words of a count, 1 ... 99: "한", "열한", out of those of 101 ... 199. */
static void
ko_native(const struct ordinals *o, struct buffer *out, int x)
{
	static const char hundred[] = "백 ", end[] = " 번째";
	const char *p = o->ordinal[100 + x] + strlen(hundred);

	buffer_add(out, p, strlen(p) - strlen(end));
}

/* Korean: hundreds and more in one kind of words, the rest in the other; what lacks tens or hundreds there fails. */
static bool
ko(const struct ordinals *o, struct buffer *out, const struct number *x)
{
	char digits[3 * NUMBER_GROUPS + 1], *p = digits;
	struct number high;
	size_t from = out->len, n;
	int level = 0, q, rest;

	while ((q = number_four(x, level)) == 0)
		level++;
	rest = q % 100;
	if (level >= KO_SCALES || rest == 0 || (q > 100 && q / 100 % 10 == 0) || (level > 0 && rest < 10))
		return false;
	for (int k = x->n - 1; k >= 0; k--)
		p += snprintf(p, 4, "%03d", (int)x->g[k]);
	n = (size_t)(p - digits);
	for (int i = 1; i <= 4 * level + 2; i++)
		digits[n - (size_t)i] = '0';
	if (!number_of(&high, digits, n) || (high.n && !words_of(o->t, LANG_KO, out, &high)))
		return false;
	if (level > 0 && q >= 100)
		exchange(out, from, words_ko_scale[level], "");
	if (out->len > from)
		buffer_char(out, ' ');
	if (level == 0) {
		ko_native(o, out, rest);
	} else {
		ko_native(o, out, rest / 10 * 10);
		buffer_str(out, rest % 10 ? o->cardinal[rest % 10] : "");
		buffer_str(out, words_ko_scale[level]);
	}
	buffer_str(out, " 번째");
	return true;
}

bool
words_ordinal(const struct tables *t, enum language lang, struct buffer *out, const char *digits, size_t n)
{
	struct ordinals o = {t, lang, lang < LANGUAGES ? t->of[lang].cardinal : NULL,
			     lang < LANGUAGES ? t->of[lang].ordinal : NULL};
	struct number x;

	if (!o.ordinal || !o.cardinal || !number_of(&x, digits, n))
		return false;
	if (x.n < 2) {
		const char *word = o.ordinal[number_small(&x)];
		buffer_str(out, word ? word : "");
		return word != NULL;
	}
	for (int i = 1; i < NUMBER_WORDS; i++) /* what follows takes them for granted; Korean has gaps of its own */
		if (!o.ordinal[i] && lang != LANG_KO)
			return false;
	switch (lang) {
	case LANG_AR:
		return words_ar(out, &x);
	case LANG_DE:
		return de(&o, out, &x);
	case LANG_EN: case LANG_FR: case LANG_NL:
		return en_fr_nl(&o, out, &x);
	case LANG_ES:
		return es(&o, out, &x);
	case LANG_HU:
		return hu(&o, out, &x);
	case LANG_IT:
		return it(&o, out, &x);
	case LANG_KO:
		return ko(&o, out, &x);
	case LANG_PL:
		return pl(&o, out, &x);
	case LANG_PT:
		return pt(&o, out, &x);
	case LANG_RU:
		return ru(&o, out, &x);
	case LANG_TR:
		return tr(&o, out, &x);
	case LANG_CS: case LANG_HI: case LANG_JA: case LANG_ZH: case LANGUAGES:
		break;
	}
	return false;
}
