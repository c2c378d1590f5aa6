/* SPDX-License-Identifier: Apache-2.0 */
#include "text/words.h"

#include "text/words_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct money {
	const char *unit[3], *part[3];	/* forms of words_form */
};

/* Those of pounds, dollars, euros; no unit: the reference has none. */
static const struct money monies[LANGUAGES][3] = {
    [LANG_EN] = {{{"pound sterling", "pounds sterling", 0}, {"penny", "pence", 0}},
		 {{"dollar", "dollars", 0}, {"cent", "cents", 0}},
		 {{"euro", "euro", 0}, {"cent", "cents", 0}}},
    [LANG_HU] = {{{"pound sterling", "pounds sterling", 0}, {"penny", "pence", 0}},
		 {{"dollar", "dollars", 0}, {"cent", "cents", 0}},
		 {{"euro", "euro", 0}, {"cent", "cents", 0}}},
    [LANG_DE] = {{{"Pfund", "Pfund", 0}, {"Penny", "Pence", 0}},
		 {{"Dollar", "Dollar", 0}, {"Cent", "Cent", 0}},
		 {{"Euro", "Euro", 0}, {"Cent", "Cent", 0}}},
    [LANG_FR] = {{{"livre", "livres", 0}, {"penny", "pence", 0}},
		 {{"dollar", "dollars", 0}, {"cent", "cents", 0}},
		 {{"euro", "euros", 0}, {"centime", "centimes", 0}}},
    [LANG_ES] = {{{"libra", "libras", 0}, {"penique", "peniques", 0}},
		 {{"dólar", "dólares", 0}, {"centavo", "centavos", 0}},
		 {{"euro", "euros", 0}, {"céntimo", "céntimos", 0}}},
    [LANG_IT] = {{{"sterlina", "sterline", 0}, {"penny", "penny", 0}},
		 {{"dollaro", "dollari", 0}, {"centesimo", "centesimi", 0}},
		 {{"euro", "euro", 0}, {"centesimo", "centesimi", 0}}},
    [LANG_PT] = {{{"libra", "libras", 0}, {"péni", "pence", 0}},
		 {{"dólar", "dólares", 0}, {"cêntimo", "cêntimos", 0}},
		 {{"euro", "euros", 0}, {"cêntimo", "cêntimos", 0}}},
    [LANG_PL] = {{{0}, {0}},
		 {{"dolar amerykański", "dolary amerykańskie", "dolarów amerykańskich"},
		  {"cent", "centy", "centów"}},
		 {{"euro", "euro", "euro"}, {"cent", "centy", "centów"}}},
    [LANG_RU] = {{{0}, {0}},
		 {{"доллар", "доллара", "долларов"}, {"цент", "цента", "центов"}},
		 {{"евро", "евро", "евро"}, {"цент", "цента", "центов"}}},
    [LANG_NL] = {{{"pond", "pond", 0}, {"penny", "penny", 0}},
		 {{"dollar", "dollar", 0}, {"cent", "cent", 0}},
		 {{"euro", "euro", 0}, {"cent", "cent", 0}}},
};

/* Between amount and cents; what is cut is this with a blank. */
static const char *const joint[LANGUAGES] = {
	[LANG_EN] = ",", [LANG_HU] = ",", [LANG_PL] = ",", [LANG_RU] = ",", [LANG_NL] = ",", [LANG_DE] = " und",
	[LANG_FR] = " et", [LANG_ES] = " con", [LANG_IT] = " e", [LANG_PT] = " e",
};

/* Every `what` from `from` on by `with`. */
static void
replace(struct buffer *out, size_t from, const char *what, const char *with)
{
	struct buffer b = { 0 };
	const char *p, *q;

	if (out->bad || !strstr(p = out->data + from, what))
		return;
	for (; (q = strstr(p, what)); p = q + strlen(what)) {
		buffer_add(&b, p, (size_t)(q - p));
		buffer_str(&b, with);
	}
	buffer_str(&b, p);
	buffer_cut(out, from);
	buffer_add(out, b.data, b.len);
	out->bad |= b.bad;
	buffer_free(&b);
}

/* One is shorter before a noun, and feminine before a pound. */
static void
agree(enum language lang, struct buffer *out, size_t from, enum currency c)
{
	static const char pound[] = "uno sterlina";

	if (lang == LANG_DE)
		replace(out, from, "eins ", "ein ");
	if (lang == LANG_IT && c == CURRENCY_GBP && !out->bad && strncmp(out->data + from, pound, strlen(pound)) == 0)
		replace(out, from, pound, "una sterlina");
	if (lang == LANG_IT)
		replace(out, from, "uno", "un");
	if (lang == LANG_PT)
		replace(out, from, " e zero cêntimos", "");
}

/* Spanish: the number before a noun, from `from` to the end. */
static void
agree_es(struct buffer *out, size_t from, bool pounds)
{
	if (pounds) {
		replace(out, from, "uno", "una");
		replace(out, from, "cientos", "cientas");
	}
	replace(out, from, "veintiuno", "veintiún");
	replace(out, from, "uno", "un");
}

/* A number and its noun. */
static bool
counted(const struct tables *t, enum language lang, struct buffer *out, const struct number *x,
	const char *const *noun, bool pounds)
{
	size_t from = out->len;

	if (!words_of(t, lang, out, x))
		return false;
	if (lang == LANG_ES)
		agree_es(out, from, pounds);
	if (lang == LANG_PT && x->n > 2 && x->g[0] == 0 && x->g[1] == 0)
		buffer_str(out, " de");		/* behind millions */
	buffer_char(out, ' ');
	buffer_str(out, noun[words_form(lang, x)]);
	return true;
}

/* Dollars in Korean: no blanks, and never cut. */
static bool
dollars_ko(const struct tables *t, struct buffer *out, const struct number *whole, const struct number *cents)
{
	size_t from = out->len;

	if (!words_of(t, LANG_KO, out, whole))
		return false;
	replace(out, from, " ", "");
	buffer_str(out, "달러 ");
	words_of(t, LANG_KO, out, cents);
	buffer_str(out, "센트");
	return true;
}

/* x in whole units and cents, rounded half up; false: more digits than the reference's decimals hold. */
static bool
split(double x, struct number *whole, struct number *cents)
{
	double base = floor(x), p, n, error;

	if (!(x < 1e26))
		return false;
	p = (x - base) * 100;
	error = fma(x - base, 100, -p);
	n = floor(p);
	if (p - n > 0.5 || (p - n == 0.5 && error >= 0))
		n++;
	if (n >= 100) {
		n -= 100;
		base++;
	}
	return number_of_double(whole, base) && number_of_double(cents, n);
}

/* Cut from the last `what` on. */
static void
cut_last(struct buffer *out, size_t from, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = out->len; !out->bad && i >= from + n; i--)
		if (memcmp(out->data + i - n, what, n) == 0) {
			buffer_cut(out, i - n);
			return;
		}
}

bool
words_currency(const struct tables *t, enum language lang, struct buffer *out, double x, enum currency c)
{
	const struct money *m = lang < LANGUAGES ? &monies[lang][c] : NULL;
	struct number whole, cents;
	size_t from = out->len;
	char text[40];

	if (!m || !t->of[lang].cardinal || !isfinite(x) || !split(x, &whole, &cents))
		return false;
	if (lang == LANG_AR)
		return words_ar_currency(out, x);
	if (lang == LANG_KO && c == CURRENCY_USD)
		return dollars_ko(t, out, &whole, &cents);
	if (!m->unit[0] || !counted(t, lang, out, &whole, m->unit, c == CURRENCY_GBP))
		return false;
	buffer_str(out, joint[lang]);
	buffer_char(out, ' ');
	if (!counted(t, lang, out, &cents, m->part, false))
		return false;
	agree(lang, out, from, c);
	if (x == floor(x)) {
		snprintf(text, sizeof text, "%s ", joint[lang]);
		cut_last(out, from, text);
	}
	return true;
}
