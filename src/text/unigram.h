/* SPDX-License-Identifier: Apache-2.0 */
/* unigram.h - the prompt tokenizer: caption -> ids, by what tokenizer.json says (text.md section 2)
 *
 * T. Kudo, Subword Regularization, 2018, section 3.2 (the search); the file's own pipeline around it: added tokens,
 * normaliser, pre-tokenizer, end token. What the file asks for and we lack is refused by name. */
#ifndef ACE_TEXT_UNIGRAM_H
#define ACE_TEXT_UNIGRAM_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { UNIGRAM_CAP = 256 };	/* the longest text the encoder is given, end token included */

struct unigram_model;

struct unigram {
	struct unigram_model *m;	/* owned */
};

/* path: a tokenizer.json, a folder that holds one, or one that holds only spiece.model (then the pipeline is
 * the one that the public converter writes for it, and added_tokens.json beside it is read too). ACE_EDATA
 * names file, what was found, what was wanted. */
enum status unigram_open(struct unigram *u, const char *path) ACE_NODISCARD;
void unigram_close(struct unigram *u);

/* Ids of text (len bytes of UTF-8, may hold U+0000), the post-processor's tokens included, cut on the right to
 * cap with the end token kept last. ids has room for cap >= 1; *n in 1 ... cap for a file that appends its end
 * token. Text that is not UTF-8: ACE_EDATA. Several threads may ask the same u. */
enum status unigram_encode(const struct unigram *u, const char *text, size_t len, int32_t *ids, int cap,
			   int *n) ACE_NODISCARD;

/* One past the largest id that encode can give: what the encoder's table must hold. */
int unigram_size(const struct unigram *u);

/* For tests and ace-inspect: text after the normaliser, and its pre-tokens joined by '\n' (U+000A of the text
 * stays as it is), as one stretch at offset 0 without added tokens. *out is owned by the caller (free), 0
 * behind its end. */
enum status unigram_normalized(const struct unigram *u, const char *text, size_t len, char **out,
			       size_t *out_len) ACE_NODISCARD;
enum status unigram_pretokens(const struct unigram *u, const char *text, size_t len, char **out,
			      size_t *out_len) ACE_NODISCARD;
#endif
