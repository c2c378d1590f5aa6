/* SPDX-License-Identifier: Apache-2.0 */
/* hf_rows.h - the rows of a split, file after file, whatever the files are; memory does not grow with them */
#ifndef ACE_DATA_HF_ROWS_H
#define ACE_DATA_HF_ROWS_H

#include "data/hf_repo.h"
#include "formats/cell.h"

struct hf_rows;

struct hf_row {
	int64_t number;			/* in the split, from 0 */
	int64_t at;			/* in its file, from 0 */
	const struct hf_file *file;
	struct cell cell;		/* a struct; borrowed until the next call, as the bytes */
	const char *key;		/* of tar shards; NULL elsewhere */
	const char *audio_name, *audio;	/* the sound file of a tar shard's sample; audio NULL: none */
	size_t audio_size;
	const char *code, *why;		/* not usable: "bad_row" ..., and a line; NULL: it is. Borrowed */
};

/* columns: what of Arrow and Parquet files is read, as for arrow_open; borrowed as long as the rows; NULL: all. */
enum status hf_rows_open(struct hf_rows **r, const struct hf_repo *repo, const struct hf_split *split,
                         const char *const *columns) ACE_NODISCARD;
void hf_rows_close(struct hf_rows *r);		/* NULL will do */

/* The next row; *more false at the end. A row that cannot be read has a code. A file that cannot be read any further gives one
 * row "bad_file", and the next file follows. ACE_ENOMEM, ACE_EDEVICE (what reads such files is missing). */
enum status hf_rows_next(struct hf_rows *r, struct hf_row *row, bool *more) ACE_NODISCARD;

/* The same, without looking at rows that lie before `number`. */
enum status hf_rows_seek(struct hf_rows *r, int64_t number, struct hf_row *row, bool *more) ACE_NODISCARD;

/* How many files have been gone through. */
int hf_rows_files(const struct hf_rows *r);

/* Rows of the split when that is cheap to know, else -1. */
int64_t hf_rows_count(const struct hf_split *split);
#endif
