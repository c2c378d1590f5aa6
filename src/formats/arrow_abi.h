/* SPDX-License-Identifier: Apache-2.0 */
/* arrow_abi.h - the Arrow C data and stream interfaces, and what our shim of Arrow C++ offers through them
 *
 * Fields, their order and the guards are those of the published interfaces, so that Arrow's own header may come first. */
#ifndef ACE_FORMATS_ARROW_ABI_H
#define ACE_FORMATS_ARROW_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
	const char *format, *name, *metadata;
	int64_t flags, n_children;
	struct ArrowSchema **children, *dictionary;
	void (*release)(struct ArrowSchema *);		/* NULL: nothing is held */
	void *private_data;
};

struct ArrowArray {
	int64_t length, null_count, offset, n_buffers, n_children;
	const void **buffers;
	struct ArrowArray **children, *dictionary;
	void (*release)(struct ArrowArray *);
	void *private_data;
};
#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

/* The first two give 0 or an errno; get_next at the end an array without release. */
struct ArrowArrayStream {
	int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
	int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
	const char *(*get_last_error)(struct ArrowArrayStream *);
	void (*release)(struct ArrowArrayStream *);
	void *private_data;
};
#endif

enum { ARROW_SHIM_ABI = 1 };

/* What ace_arrow_shim gives; static. Functions return 0 or an errno (ENOENT, EIO, ENOMEM, EINVAL: bad data) with a line in
 * why, throw nothing and start no thread. */
struct arrow_shim {
	const char *version;		/* of Arrow C++ */

	/* Rows of a Parquet file, an Arrow IPC stream or an IPC file, told apart by their first bytes. columns: names that are
	 * wanted, ended by NULL; "a.b" is member b of a, which only Parquet reads without the others (a itself where it has no members); those that the file lacks
	 * are left out; NULL, or none of them there: all. Every batch that the stream gives has been validated in full; all
	 * together hold at most 4 GiB beside what they map. */
	int (*read)(const char *path, const char *const *columns, struct ArrowArrayStream *out, char *why, size_t size);

	/* All batches of in (moved: released here) as an uncompressed IPC stream; path is made new. *rows: how many. */
	int (*write)(const char *path, struct ArrowArrayStream *in, int64_t *rows, char *why, size_t size);

	/* Rows of a Parquet file, from its footer. */
	int (*parquet_rows)(const char *path, int64_t *rows, char *why, size_t size);
};

/* The one symbol of the shim; NULL when it was built for another abi. */
const struct arrow_shim *ace_arrow_shim(int abi);

#ifdef __cplusplus
}
#endif
#endif
