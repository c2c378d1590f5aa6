/* SPDX-License-Identifier: Apache-2.0 */
/* clean.h - a lyric line as its tokenizer wants it (text.md sections 3.3 ... 3.8): the steps, one language at a time
 *
 * Steps work in place on valid UTF-8; spare is a buffer whose content does not matter. A buffer that is bad afterwards has run
 * out of memory. */
#ifndef ACE_TEXT_CLEAN_H
#define ACE_TEXT_CLEAN_H

#include "base/status.h"
#include "text/buffer.h"
#include "text/tables.h"

/* Full lower case of the root locale. */
enum status clean_lower(struct buffer *text, struct buffer *spare) ACE_NODISCARD;

/* Amounts, decimals, ordinals, integers in words. false: the step fails, and text is to be taken as it was. Not for hi ja zh. */
bool clean_numbers(const struct tables *t, enum language lang, struct buffer *text, struct buffer *spare);

/* "mr." -> "mister". */
void clean_abbreviations(const struct tables *t, enum language lang, struct buffer *text, struct buffer *spare);

/* "&" -> " and ", and both ends stripped. */
void clean_symbols(const struct tables *t, enum language lang, struct buffer *text, struct buffer *spare);

/* Chinese: dates, money, telephones, fractions, quantities, digits, and punctuation to commas. */
bool clean_numbers_zh(const struct tables *t, struct buffer *text, struct buffer *spare);

/* Each run of space -> one blank. */
void clean_spaces(struct buffer *text, struct buffer *spare);

/* Korean syllables in Latin letters. */
void clean_hangul(struct buffer *text, struct buffer *spare);
#endif
