/* SPDX-License-Identifier: Apache-2.0 */
/* convert_hf_table.h - rows of songs as Arrow batches; of no use but to convert_hf.c */
#ifndef ACE_JOBS_CONVERT_HF_TABLE_H
#define ACE_JOBS_CONVERT_HF_TABLE_H

#include "base/status.h"
#include "formats/arrow_abi.h"

#include <stdbool.h>

struct convert_song {
	char *key, *path, *lyrics;	/* owned */
	char **tag, **other;		/* owned; other: further captions */
	int tags, others;
};

struct convert_table {
	struct convert_song *song;
	int64_t n;
	int others;			/* members of recaption: the most that a song has */
};

void convert_song_free(struct convert_song *s);

/* The features of the table as JSON, indented as dataset_info.json has them (or on one line, for the schema); owned by the
 * caller, NULL: no memory. */
char *convert_features(const struct convert_table *t, bool indented);

/* Bytes that n rows from `from` on take, rows repeating the songs in turn. */
int64_t convert_bytes(const struct convert_table *t, int64_t n);

/* A stream of rows from ... from + n - 1; row i is song i mod t->n. t is borrowed as long as the stream. */
enum status convert_stream(struct ArrowArrayStream *out, const struct convert_table *t, int64_t from, int64_t n) ACE_NODISCARD;
#endif
