/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.h - reading and writing of .safetensors files
 *
 * Layout: u64 little-endian header length, JSON header {name: {dtype, shape, data_offsets: [from, to]}, "__metadata__":
 * {text: text}}, data. Read strictly: header at most 100 MB, offsets inside the file, without overlap or holes, sizes that
 * match shape and dtype, names once. Every failure names the file, and the tensor where there is one. */
#ifndef ACE_FORMATS_SAFETENSORS_H
#define ACE_FORMATS_SAFETENSORS_H

#include "base/status.h"
#include "num/tensor.h"

#include <stdio.h>

struct st_entry {
	const char *name;
	struct tensor value;		/* points into the mapping; may be unaligned for its dtype only by the file's fault: then refused */
};

struct st_file {
	char *path;
	struct st_entry *entry;		/* sorted by name */
	int n;
	char **meta;			/* pairs key, value; 2 * n_meta texts */
	int n_meta;
	void *map;			/* private read-only mapping of the whole file */
	size_t size;
};

/* Map a file and check its header. On failure nothing is kept. */
enum status st_open(struct st_file *f, const char *path) ACE_NODISCARD;
void st_close(struct st_file *f);

/* NULL when absent; borrowed until st_close. */
const struct st_entry *st_find(const struct st_file *f, const char *name);
const char *st_meta(const struct st_file *f, const char *key);

/* One tensor to be written; data is host memory. */
struct st_item {
	const char *name;
	struct tensor value;
};

/* Write a file whole or not at all (NAME.part, fsync, rename). meta: 2 * n_meta texts, or NULL. Items are laid out in order
 * of falling dtype size, then name, as the reference's writer does. ACE_ECREATE, ACE_EIO; a name given twice: ACE_EBUG. */
enum status st_write(const char *path, const struct st_item *item, int n, const char *const *meta, int n_meta) ACE_NODISCARD;

/* Where st_write puts things, for who writes a file in pieces: *header [*header_size] are the bytes before the data, owned by the
 * caller; at [n] where each item's bytes begin, counted from the data's beginning. path is for messages. */
enum status st_layout(const char *path, const struct st_item *item, int n, const char *const *meta, int n_meta, char **header,
                      size_t *header_size, int64_t *at, int64_t *data_size) ACE_NODISCARD;

/* The same for tensors that are not all in memory: their bytes are put one after another, in the file's order. */
struct st_writer;

/* Begin PATH.part with the header of all items (what value.data points to is not looked at). Names are borrowed until the
 * end. On failure *w is NULL and nothing is left. */
enum status st_writer_open(struct st_writer **w, const char *path, const struct st_item *item, int n, const char *const *meta,
                           int n_meta) ACE_NODISCARD;

/* Index of the item whose bytes come next, -1 when all are there; items without bytes are passed over. */
int st_writer_next(const struct st_writer *w);

/* Bytes of the whole file. */
int64_t st_writer_size(const struct st_writer *w);

/* The next bytes; they may end inside an item, and run into the next one. More than are missing: ACE_EBUG. */
enum status st_writer_put(struct st_writer *w, const void *data, size_t bytes) ACE_NODISCARD;

/* Close, sync and rename to PATH; bytes that are still missing: ACE_EBUG. w is gone in any case, and on failure so is the file. */
enum status st_writer_commit(struct st_writer *w) ACE_NODISCARD;

/* Give up: nothing is left. Takes NULL. */
void st_writer_abort(struct st_writer *w);
#endif
