/* SPDX-License-Identifier: Apache-2.0 */
/* romaji_parts.h - shared by the files of romaji.h */
#ifndef ACE_TEXT_ROMAJI_PARTS_H
#define ACE_TEXT_ROMAJI_PARTS_H

#include "text/romaji.h"

#include <string.h>

static inline bool
slice_is(struct slice s, const char *text)
{
	return s.p && s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* Kana, either kind, in Latin letters. false: a character that the table lacks. */
bool kana_write(const struct tables *t, struct slice kana, struct buffer *out);
#endif
