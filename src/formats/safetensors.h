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
 * of falling dtype size, then name, as the reference's writer does. */
enum status st_write(const char *path, const struct st_item *item, int n, const char *const *meta, int n_meta) ACE_NODISCARD;
#endif
