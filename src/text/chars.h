/* SPDX-License-Identifier: Apache-2.0 */
/* chars.h - UTF-8, and the character classes that the references use, which differ (text.md, table at the top) */
#ifndef ACE_TEXT_CHARS_H
#define ACE_TEXT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the longest start of text that is UTF-8 (no surrogates, nothing overlong): len when all of it is. */
size_t utf8_valid(const char *text, size_t len);

/* Bytes of the code point that begins with byte c of valid UTF-8. */
static inline size_t
utf8_len(char c)
{
	unsigned char b = (unsigned char)c;

	return b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
}

/* Bytes of the first n code points of valid UTF-8, at most len. */
size_t chars_prefix(const char *text, size_t len, size_t n);

/* The code point at p of valid UTF-8; and the one that ends before p. */
uint32_t utf8_at(const char *p);
uint32_t utf8_before(const char *p, const char *start);

/* space: what str.isspace() says. white: the property White_Space, which lacks U+001C..1F. */
bool char_is_space(uint32_t c);
bool char_is_white(uint32_t c);
/* word: L*, Nd, Nl, No, underscore: \w of the regexes of 3 and 4. digit: Nd. */
bool char_is_word(uint32_t c);
bool char_is_digit(uint32_t c);
/* \w of the lyric tokenizer's pre-tokenizer: Alphabetic, marks, Nd, Pc, join controls. */
bool char_is_token_word(uint32_t c);
/* letter: L*. */
bool char_is_letter(uint32_t c);

/* Narrow text to what is left when characters of is() go from its left and right end. */
void chars_strip(const char **text, size_t *len, bool left, bool right, bool (*is)(uint32_t));
#endif
