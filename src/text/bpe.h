/* SPDX-License-Identifier: Apache-2.0 */
/* bpe.h - byte pair encoding of runs of characters, and the vocabulary file around it (text.md sections 3.1, 3.2)
 *
 * R. Sennrich, B. Haddow, A. Birch, Neural Machine Translation of Rare Words with Subword Units, 2016, section 3.2. */
#ifndef ACE_TEXT_BPE_H
#define ACE_TEXT_BPE_H

#include "base/status.h"
#include "text/buffer.h"
#include "text/piece_trie.h"

struct bpe_merge {
	int32_t left, right, into, rank;	/* rank < 0: a free slot */
};

struct bpe {
	struct trie special;		/* added tokens -> ids */
	struct trie vocab;		/* tokens -> ids */
	struct bpe_merge *merge;	/* hash table; owned */
	size_t cap;			/* a power of two */
	char **token;			/* of each id, NULL: none; owned */
	int32_t size;			/* one past the largest id */
	int32_t unknown;
};

/* A "tokenizers" JSON with a BPE model and the pre-tokenizer Whitespace; what else it asks for is refused by name. */
enum status bpe_open(struct bpe *b, const char *path) ACE_NODISCARD;
void bpe_close(struct bpe *b);

/* Append the ids of text (valid UTF-8): special tokens first, then runs of word and of other characters, then
 * merges. Linear but for a logarithm in the length of a run. */
enum status bpe_encode(const struct bpe *b, const char *text, size_t len, struct numbers *ids) ACE_NODISCARD;
#endif
