/* SPDX-License-Identifier: Apache-2.0 */
/* number_zh.h - how Chinese reads a number that one of the rules has found (text.md section 3.5)
 *
 * n bytes of valid UTF-8 at p, whose digits are of any script; appended to out. */
#ifndef ACE_TEXT_NUMBER_ZH_H
#define ACE_TEXT_NUMBER_ZH_H

#include "text/buffer.h"

void number_zh_digits(struct buffer *out, const char *p, size_t n);	/* one by one; signs and blanks left out */
void number_zh_cardinal(struct buffer *out, const char *p, size_t n);	/* digits, perhaps "." and digits */
void number_zh_date(struct buffer *out, const char *p, size_t n);	/* 2020年5月3日, parts may lack */
void number_zh_money(struct buffer *out, const char *p, size_t n);	/* every number in it */
void number_zh_fraction(struct buffer *out, const char *p, size_t n);	/* 3/4 */
void number_zh_percent(struct buffer *out, const char *p, size_t n);	/* 5.5% */
#endif
