/* SPDX-License-Identifier: Apache-2.0 */
/* lyric.h - lyrics -> ids of the transformer's lyric encoder, line by line (text.md sections 3 and 5, variant
 * A)
 *
 * Built for English. A line with letters outside Basic Latin is skipped and counted; a structure line
 * ("[verse]") is always encoded as English. */
#ifndef ACE_TEXT_LYRIC_H
#define ACE_TEXT_LYRIC_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LYRIC_NONE = 0,			/* padding, and the one id of a song without lyrics */
	LYRIC_MAX = 4096,		/* default of lyrics_max_tokens */
};

struct lyric_model;

struct lyric {
	struct lyric_model *m;		/* owned */
	int max_tokens;			/* open sets LYRIC_MAX; the caller may change it to >= 1 */
	int32_t start;			/* id of "[START]", first in every song; 261 as published */
	int32_t blank;			/* of "[SPACE]": a blank, and the end of a line; 2 */
	int32_t unknown;		/* of the model's unk_token; 1 */
};

struct lyric_ids {
	int32_t *id;			/* owned */
	int n;				/* >= 1 */
	int mask;			/* of every id: 1, or 0 when there are no lyrics (id is [0] then) */
	int lines;			/* lines that are not blank */
	int structure;			/* of these, structure lines */
	int unknown;			/* ids that are the unknown token's */
	int skipped;			/* lines left out */
	int *skipped_line;		/* their numbers, from 1, rising; owned */
	bool cut;			/* there were more than max_tokens ids */
};

/* vocab: path of the vocabulary: "tokenizers" JSON with a BPE model (vocab, merges, unk_token), pre-tokenizer
 * Whitespace, and added_tokens, among them [SPACE], [START] and [en]. Merges may be an empty list. ACE_EDATA
 * names file, what was found, what was wanted. */
enum status lyric_open(struct lyric *l, const char *vocab) ACE_NODISCARD;
void lyric_close(struct lyric *l);

/* A song. Empty text, and the texts that say "write a ... song that genre is", have no lyrics. Not UTF-8:
 * ACE_EDATA, naming the line. On failure *out holds nothing. Several threads may ask the same l. */
enum status lyric_encode(const struct lyric *l, const char *text, size_t len, struct lyric_ids *out) ACE_NODISCARD;
void lyric_ids_free(struct lyric_ids *out);

/* Say on stderr which lines of the file path were skipped, and why; nothing when none was. */
void lyric_warn(const struct lyric_ids *ids, const char *path);

/* What a line is taken for. */
enum lyric_kind { LYRIC_BLANK, LYRIC_STRUCTURE, LYRIC_ENGLISH, LYRIC_FOREIGN /* skipped */ };
enum lyric_kind lyric_kind_of(const char *text, size_t len);

/* One line in the language lang ("en"): its cleaned text and ids, language token first. ACE_EDATA for a
 * language that is not built or that the line cannot be written in. */
struct lyric_line {
	char *clean;			/* owned; 0 behind its end */
	size_t len;
	int32_t *id;			/* owned */
	int n;
};
enum status lyric_line(const struct lyric *l, const char *lang, const char *text, size_t len,
		       struct lyric_line *out) ACE_NODISCARD;
void lyric_line_free(struct lyric_line *out);

/* The vocabulary's text of an id, "?" when it has none; borrowed. */
const char *lyric_token(const struct lyric *l, int32_t id);

/* One past the largest id of the vocabulary: what the transformer's table must hold. */
int lyric_size(const struct lyric *l);

/* SHA-256 of the vocabulary file: what a cache records; borrowed. */
const char *lyric_hash(const struct lyric *l);
#endif
