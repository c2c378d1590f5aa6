/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - numbers in words of thirteen languages (text.md section 3.4)
 *
 * The words of 0 ... 999 are a table's; here is how a language puts them together. Appended to out. false: the reference has no
 * words for it either, and out holds something to be thrown away. Languages: ar de en es fr hu it ko nl pl pt ru tr. Czech is no
 * mistake: it never has words. */
#ifndef ACE_TEXT_WORDS_H
#define ACE_TEXT_WORDS_H

#include "text/buffer.h"
#include "text/tables.h"

/* ASCII digits, n of them, leading zeros allowed. */
bool words_cardinal(const struct tables *t, enum language lang, struct buffer *out, const char *digits, size_t n);
bool words_ordinal(const struct tables *t, enum language lang, struct buffer *out, const char *digits, size_t n);

/* A number as the reference spells a double x >= 0: 2.5 -> "two point five". */
bool words_decimal(const struct tables *t, enum language lang, struct buffer *out, double x);

enum currency { CURRENCY_GBP, CURRENCY_USD, CURRENCY_EUR };

/* x >= 0 rounded half up to cents -> "two dollars, one cent"; a whole amount is cut before its cents. */
bool words_currency(const struct tables *t, enum language lang, struct buffer *out, double x, enum currency c);
#endif
