/* SPDX-License-Identifier: Apache-2.0 */
/* h5.h - the little of HDF5 that stores need; private to the room
 *
 * Files are composed in memory and appear on disk whole (file_write): the library never writes to a disk itself, so neither a
 * full one nor a kill leaves anything half done. Every dataset carries Fletcher32, the new object headers carry checksums of
 * their own. One lock around the library, whose own messages are silenced. */
#ifndef ACE_STORE_H5_H
#define ACE_STORE_H5_H

#include "num/dtype.h"
#include "store/facts.h"
#include "store/table.h"

#include <stdint.h>

enum { H5_RANK = 4 };

struct image;

struct h5 {
	char *path;
	int64_t id;			/* hid_t; -1: closed */
	struct image *image;		/* while composed; owned */
};

enum status h5_open(struct h5 *f, const char *path) ACE_NODISCARD;	/* to read */
enum status h5_create(struct h5 *f, const char *path) ACE_NODISCARD;	/* in memory */
/* Write what was composed to f->path, whole or not at all; *bytes of it. Closes f. */
enum status h5_save(struct h5 *f, int64_t *bytes) ACE_NODISCARD;
void h5_close(struct h5 *f);		/* takes closed and zeroed ones */

/* Attributes of the root. Reading: absent or of another type is ACE_EDATA. h5_get_facts takes every text among them. */
enum status h5_put_i64(struct h5 *f, const char *name, int64_t v) ACE_NODISCARD;
enum status h5_put_text(struct h5 *f, const char *name, const char *text) ACE_NODISCARD;
enum status h5_get_i64(struct h5 *f, const char *name, int64_t *v) ACE_NODISCARD;
enum status h5_put_facts(struct h5 *f, const struct facts *facts) ACE_NODISCARD;
enum status h5_get_facts(struct h5 *f, struct facts *facts) ACE_NODISCARD;

/* Tables: one compound a row. get: the columns of t say which are wanted; text sizes and rows are filled in. */
enum status h5_put_table(struct h5 *f, const char *name, const struct table *t) ACE_NODISCARD;
enum status h5_get_table(struct h5 *f, const char *name, struct table *t) ACE_NODISCARD;

/* Arrays of U8 U16 I32 F32 F64; chunk [rank] is cut to dim. Empty ones are not written. "a/b" makes the group a. BF16 is
 * kept as U16 with an attribute dtype = "bf16". */
enum status h5_put_array(struct h5 *f, const char *name, enum dtype t, int rank, const int64_t *dim, const int64_t *chunk,
                         const void *data) ACE_NODISCARD;

/* Type, rank and shape. */
enum status h5_shape(struct h5 *f, const char *name, enum dtype *t, int *rank, int64_t *dim) ACE_NODISCARD;

/* n rows of the first dimension from row first on, of an array that has type t and, behind the first dimension, the shape
 * dim[1 ..]; out of range is ACE_EDATA. */
enum status h5_get_rows(struct h5 *f, const char *name, enum dtype t, int rank, const int64_t *dim, int64_t first, int64_t n,
                        void *data) ACE_NODISCARD;
#endif
