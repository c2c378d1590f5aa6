/* SPDX-License-Identifier: Apache-2.0 */
/* arrow.h - rows of Parquet files, Arrow IPC streams and IPC files (datasets.md 4.1 - 4.3; ecosystem.md section 8)
 *
 * Apache Arrow's own library reads them, behind a shim that is loaded when the first such file is opened: programs neither
 * link it nor start slower for it. */
#ifndef ACE_FORMATS_ARROW_H
#define ACE_FORMATS_ARROW_H

#include "base/status.h"
#include "formats/cell.h"

/* Whether such files can be read here. The first call loads the shim: $ACE_ARROW_SHIM, else the build's beside the program,
 * else the installed one. ACE_EDEVICE with what to do about it. */
enum status arrow_load(void) ACE_NODISCARD;

/* "26.0.1" of the library that was loaded; "" when none was. Static. */
const char *arrow_version(void);

struct arrow_file;

/* path: for messages too. columns: names that are wanted, ended by NULL; NULL: all; "a.b" is member
 * b of a, which only Parquet reads without the others (a itself where it has no members). Those that the file lacks
 * do not matter; when it lacks all, all are read. ACE_ENOINPUT, ACE_EIO, ACE_EDATA, ACE_ENOMEM (a length in it asks for more
 * than 4 GiB), ACE_EDEVICE (no Arrow here). */
enum status arrow_open(struct arrow_file **f, const char *path, const char *const *columns) ACE_NODISCARD;
void arrow_close(struct arrow_file *f);		/* NULL will do */

/* The next batch: *rows of it, 0 at the end. What was borrowed from the one before is gone. Each has been checked in full. */
enum status arrow_next(struct arrow_file *f, int64_t *rows) ACE_NODISCARD;

/* Row of the current batch, as a struct of all columns that were read. */
struct cell arrow_row(const struct arrow_file *f, int64_t row);

/* The columns, as they are in the file: format and name of each child. Borrowed. */
const struct ArrowSchema *arrow_schema(const struct arrow_file *f);

/* Rows of a Parquet file, from its footer. */
enum status arrow_parquet_rows(const char *path, int64_t *rows) ACE_NODISCARD;

/* Write what in gives (moved) as an IPC stream to a new file, which is synced but not renamed. *rows: how many. */
enum status arrow_write(const char *path, struct ArrowArrayStream *in, int64_t *rows) ACE_NODISCARD;
#endif
