/* SPDX-License-Identifier: Apache-2.0 */
/* romaji.h - what an analyser says about a Japanese line, in Latin letters (text.md section 3.8) */
#ifndef ACE_TEXT_ROMAJI_H
#define ACE_TEXT_ROMAJI_H

#include "text/buffer.h"
#include "text/tables.h"

/* A stretch of UTF-8, borrowed; p NULL: absent. */
struct slice {
	const char *p;
	size_t n;
};

/* One word as the analyser found it: its fields in UniDic's words. */
struct ja_node {
	struct slice surface, space;		/* space: what was skipped before it */
	struct slice pos1, pos2, lemma, pron, kana;
	int char_type;				/* MeCab's category: 5 alphabetic, 6 hiragana, 7 katakana */
	bool unknown;				/* not in the dictionary */
};

/* Append the nodes of one line, words apart, the first letter a capital. false: a character that no rule reads. */
bool romaji_write(const struct tables *t, const struct ja_node *node, size_t n, struct buffer *out);

/* What is analysed: NFKC, and three quotation marks as ASCII has them. In place. */
enum status romaji_prepare(struct buffer *text, struct buffer *spare) ACE_NODISCARD;
#endif
