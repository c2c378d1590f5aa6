/* SPDX-License-Identifier: Apache-2.0 */
/* words_en.h - English number words (text.md section 3.4) */
#ifndef ACE_TEXT_WORDS_EN_H
#define ACE_TEXT_WORDS_EN_H

#include "text/buffer.h"

/* Digits 0-9, n of them, leading zeros allowed -> "one thousand, two hundred and three"; "... and third". false: above
 * 10^306 - 1, where the reference has no words. */
bool words_en_cardinal(struct buffer *out, const char *digits, size_t n);
bool words_en_ordinal(struct buffer *out, const char *digits, size_t n);

/* A number as the reference spells a double: 2.5 -> "two point five", 2.0 -> "two". false: too large. */
bool words_en_decimal(struct buffer *out, double x);

enum currency { CURRENCY_GBP, CURRENCY_USD, CURRENCY_EUR };

/* x >= 0 rounded half up to cents -> "two dollars, one cent"; a whole amount without cents. false: 10^26 and more. */
bool words_en_currency(struct buffer *out, double x, enum currency c);
#endif
