/* SPDX-License-Identifier: Apache-2.0 */
#include "text/chars.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

size_t
utf8_valid(const char *text, size_t len)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t i = 0;

	while (i < len) {
		UChar32 c;
		int32_t at = 0, rest = len - i > 4 ? 4 : (int32_t)(len - i);
		if (s[i] < 0x80) {
			i++;
			continue;
		}
		U8_NEXT(s + i, at, rest, c);
		if (c < 0)
			return i;
		i += (size_t)at;
	}
	return len;
}

uint32_t
utf8_at(const char *p)
{
	const uint8_t *s = (const uint8_t *)p;
	UChar32 c;
	int32_t at = 0;

	U8_NEXT_UNSAFE(s, at, c);
	return (uint32_t)c;
}

uint32_t
utf8_before(const char *p, const char *start)
{
	do
		p--;
	while (p > start && ((unsigned char)*p & 0xc0) == 0x80);
	return utf8_at(p);
}

bool
char_is_white(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	       c == 0x3000;
}

bool
char_is_space(uint32_t c)
{
	return char_is_white(c) || (c >= 0x1c && c <= 0x1f);
}

bool
char_is_word(uint32_t c)
{
	if (c < 0x80)
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
	return (U_GET_GC_MASK((UChar32)c) & (U_GC_L_MASK | U_GC_N_MASK)) != 0;
}

bool
char_is_digit(uint32_t c)
{
	return c < 0x80 ? c >= '0' && c <= '9' : u_charType((UChar32)c) == U_DECIMAL_DIGIT_NUMBER;
}

bool
char_is_token_word(uint32_t c)
{
	if (c < 0x80)
		return char_is_word(c);
	return u_hasBinaryProperty((UChar32)c, UCHAR_ALPHABETIC) || c == 0x200c || c == 0x200d ||
	       (U_GET_GC_MASK((UChar32)c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool
char_is_letter(uint32_t c)
{
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	return (U_GET_GC_MASK((UChar32)c) & U_GC_L_MASK) != 0;
}

void
chars_strip(const char **text, size_t *len, bool left, bool right, bool (*is)(uint32_t))
{
	const char *p = *text, *end = p + *len;

	while (left && p < end && is(utf8_at(p)))
		p += utf8_len(*p);
	while (right && end > p && is(utf8_before(end, p)))
		do
			end--;
		while (end > p && ((unsigned char)*end & 0xc0) == 0x80);
	*text = p;
	*len = (size_t)(end - p);
}

size_t
chars_prefix(const char *text, size_t len, size_t n)
{
	size_t at = 0;

	while (at < len && n-- > 0)
		at += utf8_len(text[at]);
	return at < len ? at : len;
}
