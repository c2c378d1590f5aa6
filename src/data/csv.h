/* SPDX-License-Identifier: Apache-2.0 */
/* csv.h - tables of comma-separated values (RFC 4180): quoted fields, doubled quotes, line breaks in fields, CR LF, a byte order
 * mark; record by record */
#ifndef ACE_DATA_CSV_H
#define ACE_DATA_CSV_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CSV_FIELDS = 4096, CSV_RECORD = 16 << 20 };	/* most fields, most bytes of a record */

struct csv;

enum status csv_open(struct csv **c, const char *path) ACE_NODISCARD;
void csv_close(struct csv *c);				/* NULL will do */

/* The next record; *n 0 at the end. Empty lines are passed over. Fields are ended by 0 and borrowed until the next call.
 * Too large, a quote that is never closed, or a 0 byte: ACE_EDATA, naming file and line; nothing can be read behind it. */
enum status csv_next(struct csv *c, int *n, const char *const **field) ACE_NODISCARD;

/* The line, from 1, on which the last record began. */
int64_t csv_line(const struct csv *c);
#endif
