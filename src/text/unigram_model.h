/* SPDX-License-Identifier: Apache-2.0 */
/* unigram_model.h - what a prompt tokenizer is once its file is read; shared by its reader, its text side and
 * its search */
#ifndef ACE_TEXT_UNIGRAM_MODEL_H
#define ACE_TEXT_UNIGRAM_MODEL_H

#include "text/buffer.h"
#include "text/charsmap.h"
#include "text/piece_trie.h"

#include <cjson/cJSON.h>

enum { UNIGRAM_STEPS = 8 };	/* of a Sequence, and special tokens on one side */

enum norm_kind { NORM_CHARSMAP, NORM_STRIP, NORM_REPLACE, NORM_RUNS };

struct norm_step {
	enum norm_kind kind;
	struct charsmap map;		/* NORM_CHARSMAP */
	bool left, right;		/* NORM_STRIP */
	char *pattern, *content;	/* NORM_REPLACE: a text; NORM_RUNS: of two blanks and more; owned */
};

enum pre_kind { PRE_METASPACE, PRE_WHITESPACE };
enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct pre_step {
	enum pre_kind kind;
	char mark[8];			/* replaces U+0020; one code point */
	enum prepend prepend;
	bool split;
};

struct unigram_model {
	struct trie added;		/* added tokens -> ids */
	struct norm_step norm[UNIGRAM_STEPS];
	struct pre_step pre[UNIGRAM_STEPS];
	int n_norm, n_pre;
	struct trie pieces;		/* pieces -> ids */
	double *score;			/* owned */
	size_t n_pieces, cap_pieces;
	double unknown_score;
	int32_t unknown;
	bool byte_fallback;
	int32_t byte_id[256];		/* -1: no such piece */
	int32_t before[UNIGRAM_STEPS], after[UNIGRAM_STEPS];
	int n_before, n_after;
	int32_t size;			/* one past the largest id */
};

/* A stretch between added tokens: its normal form; and its pre-tokens, each handed to emit. first: it begins
 * the text. */
enum status unigram_norm(const struct unigram_model *m, const char *text, size_t len, struct buffer *out) ACE_NODISCARD;
typedef enum status unigram_emit(void *me, const char *piece, size_t len);
enum status unigram_split(const struct unigram_model *m, const char *text, size_t len, bool first, unigram_emit *emit,
                          void *me) ACE_NODISCARD;

/* Readers: fill a zeroed *m. On failure the caller frees what is there. */
enum status unigram_read_json(struct unigram_model *m, const char *path) ACE_NODISCARD;
enum status unigram_read_spiece(struct unigram_model *m, const char *path, const char *added) ACE_NODISCARD;

/* Steps that both readers take. unigram_add_piece appends a piece of the next id; unigram_pieces_done finds the
 * unknown's score and the byte pieces and checks unknown. */
enum status unigram_add_piece(struct unigram_model *m, const char *path, const char *piece, size_t len,
			      double score) ACE_NODISCARD;
enum status unigram_add_special(struct unigram_model *m, const char *path, const char *text, size_t len,
				int64_t id) ACE_NODISCARD;
enum status unigram_pieces_done(struct unigram_model *m, const char *path, int64_t unknown) ACE_NODISCARD;

/* The pipeline's part of tokenizer.json (members normalizer, pre_tokenizer, post_processor, added_tokens of root). */
enum status unigram_read_pipeline(struct unigram_model *m, const char *path, const cJSON *root) ACE_NODISCARD;

/* The array of [piece, score] at text: in place, text is changed. */
enum status unigram_read_vocab(struct unigram_model *m, const char *path, char *text, size_t len) ACE_NODISCARD;
#endif
