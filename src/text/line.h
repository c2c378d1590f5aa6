/* SPDX-License-Identifier: Apache-2.0 */
/* line.h - one lyric line in one language -> cleaned text and ids (text.md section 3)
 *
 * Lower case, numbers, amounts, abbreviations and signs in words of the language, Chinese as pinyin, Korean and Japanese in Latin
 * letters; then byte pairs. Which language a line is in is for others to say (section 4), as is what makes a song (section 5). */
#ifndef ACE_TEXT_LINE_H
#define ACE_TEXT_LINE_H

#include "base/status.h"
#include "text/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer line is an error of the line. Japanese has a lower limit, because MeCab's time is not linear in a run of one kind of
 * characters; it counts bytes after NFKC. */
enum { LINE_BYTES_MAX = 1 << 20, JAPANESE_BYTES_MAX = 1 << 13 };

/* Vocabulary, word tables, analyser: read once, then only read. Any number of threads may use one. */
struct lines;

struct lines_from {
	const char *vocab;	/* path of the vocabulary: "tokenizers" JSON with a BPE model; see lyric.h */
	const char *tables;	/* folder of number words, pinyin, replacements; NULL: datasets/text (base/datadir.h) */
	const char *unidic;	/* folder of a UniDic for Japanese; NULL: $ACE_UNIDIC, when set, else none */
};

/* On failure *l is NULL. ACE_ENOINPUT, ACE_EDATA name the file. Without a dictionary Japanese lines are errors of the line; a
 * dictionary that is given and cannot be used fails here. */
enum status lines_open(struct lines **l, const struct lines_from *from) ACE_NODISCARD;
void lines_close(struct lines *l);

/* What a thread needs for its lines, used again from line to line. All zeros at first. */
struct line_work {
	struct buffer clean;	/* the last line's cleaned text, before the language token and [SPACE] */
	struct buffer spare[2];
	void *lattice;		/* of the analyser, once there was a Japanese line */
	const void *analyser;
};
void line_work_free(struct line_work *w);	/* before lines_close */

/* Append the ids of one line to ids: the language's token first. No start token, no line break.
 *
 *   lang  "en", "de-AT" (cut at the first "-"); case counts. ar cs de en es fr hi hu it ja ko nl pl pt ru tr zh.
 *   text  len bytes of UTF-8, any code points (U+0000 too, at which Japanese ends); not trimmed here
 *
 * ACE_EDATA: this line cannot be encoded, and ace_message() says why in a few words without the line's number (another
 * language, not UTF-8, too long, Japanese without a dictionary, a character that no rule reads); ids is as it was, and the next
 * line may be tried. Anything else (ACE_ENOMEM) is no fault of the line. Time is linear in len: a Chinese line so full of numbers
 * that finding the first place of each takes longer keeps its digits, as after any failing step. */
enum status line_encode(const struct lines *l, const char *lang, const char *text, size_t len, struct line_work *w,
			struct numbers *ids) ACE_NODISCARD;

/* Its first half: the cleaned text alone, in w->clean. */
enum status line_clean(const struct lines *l, const char *lang, const char *text, size_t len,
		       struct line_work *w) ACE_NODISCARD;

/* Whether line_encode knows the language; and whether it can be encoded now (Japanese wants a dictionary). */
bool line_language(const char *lang);
bool line_readable(const struct lines *l, const char *lang);

/* What to name in a store, so that ids are made again when it changes: the analyser's dictionary, "none" without; borrowed. */
const char *lines_japanese(const struct lines *l);

/* The vocabulary. */
struct bpe;
const struct bpe *lines_bpe(const struct lines *l);
const char *lines_vocab_hash(const struct lines *l);	/* SHA-256 of its file; borrowed */
#endif
