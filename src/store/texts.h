/* SPDX-License-Identifier: Apache-2.0 */
/* texts.h - the store of encoded captions, keyed by what the caption says (datasets.md section 7)
 *
 * A folder of part files text-RRRR-NNNNNN.h5, with the same rules as latents.h. */
#ifndef ACE_STORE_TEXTS_H
#define ACE_STORE_TEXTS_H

#include "num/dtype.h"
#include "store/facts.h"

#include <stddef.h>
#include <stdint.h>

enum { TEXTS_VERSION = 1 };

/* The key of a caption: SHA-256 of its UTF-8 bytes. */
void texts_key(const char *caption, size_t len, char key[65]);

struct text_item {
	char key[65];
	int64_t rows;			/* tokens, >= 1 */
};

struct texts;

struct texts_options {
	const struct facts *want;	/* as in latents_options */
	bool override, verify;
};

/* A folder, or one part file; as latents_open. */
enum status texts_open(struct texts **s, const char *folder, const struct texts_options *o) ACE_NODISCARD;
void texts_close(struct texts *s);

int64_t texts_count(const struct texts *s);
const struct text_item *texts_item(const struct texts *s, int64_t i);	/* by key */
int64_t texts_find(const struct texts *s, const char *key);		/* -1: none */
bool texts_stale(const struct texts *s, int64_t i);
int64_t texts_width(const struct texts *s);				/* of a row; 0 when empty */
const struct facts *texts_facts(const struct texts *s, int64_t i);	/* of the item's part */
int texts_parts(const struct texts *s);
int texts_damaged(const struct texts *s);	/* parts left out */
const char *texts_damage(const struct texts *s, int i);
int64_t texts_bytes(const struct texts *s);

/* Hidden states [rows, width] as F32. */
enum status texts_read(struct texts *s, int64_t i, float *x) ACE_NODISCARD;
/* What the caption says: len bytes, 0 behind; owned by the caller. */
enum status texts_caption(struct texts *s, int64_t i, char **caption, size_t *len) ACE_NODISCARD;

struct texts_writer;

/* dtype BF16 or F32, kept as the fact text_dtype. */
enum status texts_writer_open(struct texts_writer **w, const char *folder, int rank, enum dtype dtype, int64_t width,
                              const struct facts *facts) ACE_NODISCARD;
/* x [rows, width] F32. May seal: every 64 captions or 30 s. */
enum status texts_put(struct texts_writer *w, const char *caption, size_t len, const float *x, int64_t rows) ACE_NODISCARD;
enum status texts_seal(struct texts_writer *w) ACE_NODISCARD;
int64_t texts_sealed(const struct texts_writer *w);
int64_t texts_written(const struct texts_writer *w);
void texts_writer_close(struct texts_writer *w);

enum status texts_merge(const char *folder, int64_t *parts_before, int64_t *parts_after) ACE_NODISCARD;
enum status texts_sweep(const char *folder, int *removed) ACE_NODISCARD;

/* Make the index over the parts anew where it is missing or old; a folder that cannot be written is no failure. */
enum status texts_index(const char *folder) ACE_NODISCARD;
#endif
