/* SPDX-License-Identifier: Apache-2.0 */
/* hf_parts.h - what the files hf_*.c share; of no use elsewhere */
#ifndef ACE_DATA_HF_PARTS_H
#define ACE_DATA_HF_PARTS_H

#include "base/json.h"
#include "data/hf_repo.h"
#include "data/hf_rows.h"
#include "data/hf_song.h"

/* All files below the root, sorted; paths relative to it, owned. */
struct hf_listing {
	char **name;
	int n, cap;
};

/* Names of files below r->root, hidden ones left out, links only when they lead to a file that hf_repo_holds. */
enum status hf_listing_read(struct hf_listing *l, const struct hf_repo *r) ACE_NODISCARD;
void hf_listing_free(struct hf_listing *l);

/* Where a file of a snapshot is: links of the hub cache may come as small files that hold their targets, where links cannot be
 * made or were not kept. Else path itself. Owned; NULL: no memory. */
char *hf_followed(const struct hf_repo *r, const char *path);

/* Add a file to the split of that name, which is made when it is new. */
enum status hf_repo_add(struct hf_repo *r, const char *split, const char *path, enum hf_kind kind) ACE_NODISCARD;

/* Kind by the extension; false: none. */
bool hf_kind_of(const char *name, enum hf_kind *kind);

/* Splits by the data_files of the card; *found: it had any. */
enum status hf_card_splits(struct hf_repo *r, const struct hf_listing *l, const char *config, bool *found) ACE_NODISCARD;

/* Whether a name matches a pattern: * and ? within a folder, ** across folders, [a-z]. */
bool hf_glob(const char *pattern, const char *name);

/* The part of YAML that cards are written in, n bytes of it, as JSON: maps and lists by indentation or in [] and {}, plain and
 * quoted scalars, all of them text. NULL when it is something else. Owned by the caller. */
cJSON *hf_yaml(const char *text, size_t n);

/* Samples of a tar shard: members beside each other whose names are the same up to the first dot. */
struct hf_samples;
enum status hf_samples_open(struct hf_samples **s, const char *path) ACE_NODISCARD;
void hf_samples_close(struct hf_samples *s);

/* *json: its texts as a row: members of its .json, "caption" of its .txt, "lyrics" of its .lyrics; owned by the caller. Sets key,
 * audio, cell and code of the row, which are borrowed until the next call. */
enum status hf_samples_next(struct hf_samples *s, struct hf_row *row, cJSON **json, bool *more) ACE_NODISCARD;

/* --- hf_song_texts.c: what a row says --- */

enum { HF_NAME = 256 };			/* bytes of a column's name, with its end */

enum status hf_no_memory(void);

/* Text of a cell, owned; *good: it is UTF-8 without 0 and not too long. NULL: the cell is no text, or (good) no memory. */
char *hf_text_of(struct cell c, bool *good);

/* The next of names between commas; false: there are no more. */
bool hf_next_name(const char **list, char name[HF_NAME]);

/* A further caption, which is taken over; blank ones and those that are there are freed. */
void hf_add_caption(struct hf_song *s, char *text);

/* All captions of a row, and its lyrics. *bad: a text is none. */
enum status hf_take_captions(struct hf_song *s, struct cell row, const struct hf_columns *c, bool *bad) ACE_NODISCARD;
enum status hf_take_lyrics(struct hf_song *s, struct cell row, const struct hf_columns *c, bool *bad) ACE_NODISCARD;
#endif
