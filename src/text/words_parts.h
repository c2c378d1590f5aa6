/* SPDX-License-Identifier: Apache-2.0 */
/* words_parts.h - what the files of words.h share */
#ifndef ACE_TEXT_WORDS_PARTS_H
#define ACE_TEXT_WORDS_PARTS_H

#include "text/words.h"

enum { NUMBER_GROUPS = 202 };

/* A number by groups of three digits, the lowest first; n groups, the highest of them not 0. 0 has none. */
struct number {
	int n;
	short g[NUMBER_GROUPS];
};

/* false: too large. */
bool number_of(struct number *x, const char *digits, size_t n);
/* x modulo 1000^groups. */
struct number number_low(const struct number *x, int groups);
/* x / 1000^groups. */
struct number number_high(const struct number *x, int groups);
/* Its four digits from 10^(4 level). */
int number_four(const struct number *x, int level);
static inline int
number_small(const struct number *x)		/* of one below 1000: it; else -1 */
{
	return x->n == 0 ? 0 : x->n == 1 ? x->g[0] : -1;
}

/* How a language says a number; false: it cannot. */
bool words_of(const struct tables *t, enum language lang, struct buffer *out, const struct number *x);
bool words_west(const char *const *word, enum language lang, struct buffer *out, const struct number *x);
bool words_slavic(const char *const *word, enum language lang, struct buffer *out, const struct number *x,
		  bool feminine);
/* lossy: as the reference says cardinals, in which it loses more digits than in ordinals. */
bool words_tr(const char *const *word, struct buffer *out, const struct number *x, bool lossy);
enum { KO_SCALES = 18 };
extern const char *const words_ko_scale[KO_SCALES];	/* of 10000^i */
bool words_ko(const char *const *word, struct buffer *out, const struct number *x);
/* What two languages change in words that are there. */
void words_pt_spelling(struct buffer *out, size_t from);
void words_it_spelling(struct buffer *out, size_t from);

/* The form of a noun behind x: 0 one, 1 few, 2 many. */
int words_form(enum language lang, const struct number *x);

/* Arabic: whole numbers, numbers with decimals, riyals. */
bool words_ar(struct buffer *out, const struct number *x);
bool words_ar_decimal(struct buffer *out, double x);
bool words_ar_currency(struct buffer *out, double x);

/* x as the reference prints a double: its shortest digits ("1.5", "1.0", "1.2e-05"), into text, at least 40 bytes. */
void words_repr(char *text, double x);
/* Its integer part, x < 10^606 (false else), and the digits of any double that is whole. */
bool number_of_double(struct number *x, double d);
#endif
