/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h - the sealed part files of a store and the index over them; private to the room
 *
 * PREFIX-RRRR-NNNNNN.h5: rank or shard, running number. Each part knows its run: one more than the largest that its writer
 * saw. Where several parts have an item of one key the last one in the order (run, rank, number, row) counts.
 * PREFIX-index.h5 holds the rows of all parts, so that a store of thousands opens fast; it is a cache, made again from the
 * parts whenever they differ from it. */
#ifndef ACE_STORE_PARTS_H
#define ACE_STORE_PARTS_H

#include "store/h5.h"

#include <stdbool.h>

enum { PART_NAME = 48, PART_SUFFIX = 15 /* bytes of -RRRR-NNNNNN.h5 */, PARTS_RANKS = 10000, PARTS_NUMBERS = 1000000 };

struct part {
	char name[PART_NAME];
	int rank;
	int64_t number, run, size, mtime;	/* bytes; ns */
	struct facts facts;
	bool known;			/* taken from the index */
	int64_t live;			/* rows that count; set by the store */
	struct h5 file;			/* open when file.path; see parts_file */
	int64_t used;			/* when, for closing the least used */
};

/* What differs between stores. */
struct parts_kind {
	const char *prefix, *what;	/* "latents"; "latent store" */
	int64_t version;
	const struct column *column;	/* of the table "items" */
	int columns, key;		/* key: column of the key */
	const struct column *side;	/* of a second table, or NULL */
	const char *side_name;
	int side_columns, side_first, side_count;	/* columns of items: where a row's entries are in it, how many */
	/* Numbers and shapes of a part against its rows; with data every array is read. */
	enum status (*check)(struct h5 *f, const struct table *items, bool data);
};

struct parts {
	const struct parts_kind *kind;
	char *folder;
	struct part *part;		/* in order */
	int n, damaged;
	char **damage;			/* [damaged] what is wrong with each part that was left out; owned */
	char (*damaged_name)[PART_NAME];	/* [damaged] what it is called, while it is there under its name */
	struct table items, side;	/* all rows of all parts, in order of parts; entries of side numbered anew */
	int32_t *owner, *slot;		/* of each row: its part, its number there */
	int64_t clock;
	bool fresh;			/* the index on disk says all this */
};

/* File names. parse: true also when more follows the name (".part", ".damaged"). */
void parts_name(char name[PART_NAME], const struct parts_kind *kind, int rank, int64_t number);
bool parts_parse(const char *name, const struct parts_kind *kind, int *rank, int64_t *number);

/* folder: or one part file, whose siblings are not looked at then. Missing: no parts. verify: read every number of parts that the index does not know, and set damaged ones aside
 * (NAME.damaged). */
enum status parts_open(struct parts *p, const struct parts_kind *kind, const char *folder, bool verify) ACE_NODISCARD;
void parts_close(struct parts *p);

/* For qsort_r: rows by (key, order). */
int parts_compare(const void *a, const void *b, void *parts);
/* Rows that count, by key, into row [items.n]: the last of each key. *n of them. */
enum status parts_live(struct parts *p, int32_t **row, int64_t *n) ACE_NODISCARD;

/* The open file of a part; a few are kept open. */
enum status parts_file(struct parts *p, int part, struct h5 **f) ACE_NODISCARD;
int64_t parts_bytes(const struct parts *p);	/* of parts with live rows */

/* Compare the facts of every part with live rows. override: a difference is a warning, and stale [n] says whose; else
 * it fails. */
enum status parts_stale(const struct parts *p, const struct facts *want, bool override, bool *stale) ACE_NODISCARD;

/* Write the index unless it is fresh; a folder that cannot be written is no failure. */
void parts_save_index(struct parts *p);

/* Remove parts without live rows, oldest first, but keep one whose dropped keys (column drop not 0) an older part still has. Parts
 * that cannot be read are set aside as NAME.damaged. */
enum status parts_sweep(struct parts *p, int drop, int *removed) ACE_NODISCARD;
/* Remove part number i. */
enum status parts_remove(struct parts *p, int i) ACE_NODISCARD;

/* --- the index as it was read --- */

struct parts_index {
	struct table parts, items, side;
	int64_t *items_at, *side_at;	/* first row of each part */
	bool *used;
};

/* None, or one that cannot be read: x is empty, and all is read from the parts. */
void parts_index_read(const struct parts *p, struct parts_index *x);
/* The part's rows from the index; false: it does not know this file. */
bool parts_from_index(const struct parts *p, struct part *a, struct parts_index *x, struct table *items, struct table *side);
void parts_index_free(struct parts_index *x);

/* Tables of a kind without rows; side is empty where there is none. */
void parts_tables(const struct parts_kind *kind, struct table *items, struct table *side);
/* Rows point into side, nowhere else. */
enum status parts_check_side(const struct parts_kind *k, const char *path, const struct table *items,
                             const struct table *side) ACE_NODISCARD;

/* --- writing --- */

struct parts_writer {
	char *folder;
	const struct parts_kind *kind;
	int rank, folder_lock, rank_lock;
	int64_t number, run;		/* of the next part */
	int64_t bytes;			/* written so far */
};

/* Make and lock the folder, remove left-over .part files of the rank, find the next number. all: nobody else may write
 * (merging), run is 0. Somebody else writes: ACE_ECONFIG. */
enum status parts_writer_open(struct parts_writer *w, const struct parts_kind *kind, const char *folder, int rank,
                              bool all) ACE_NODISCARD;
void parts_writer_close(struct parts_writer *w);

/* A new part in memory with its attributes; parts_seal writes it. */
enum status parts_begin(struct parts_writer *w, const struct facts *facts, struct h5 *f) ACE_NODISCARD;
enum status parts_seal(struct parts_writer *w, struct h5 *f) ACE_NODISCARD;
#endif
