/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - rows of texts and numbers, as stores keep them; private to the room */
#ifndef ACE_STORE_TABLE_H
#define ACE_STORE_TABLE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { TABLE_COLUMNS = 32, TABLE_TEXT = 1 << 16 /* bytes of the longest text, with its 0 */ };

enum column_kind { COLUMN_I64, COLUMN_F64, COLUMN_TEXT };

struct column {
	const char *name;
	enum column_kind kind;
	size_t size, offset;		/* bytes; a text with its 0 */
};

struct table {
	struct column column[TABLE_COLUMNS];
	int columns;
	size_t stride;
	int64_t n;
	char *row;			/* owned */
};

/* Columns without rows; sizes of texts are set by table_widen. */
void table_init(struct table *t, const struct column *column, int columns);
/* Room for texts of that many bytes without the 0; before table_rows. */
void table_widen(struct table *t, int column, size_t text);
/* n rows of zeros. */
enum status table_rows(struct table *t, int64_t n) ACE_NODISCARD;
void table_free(struct table *t);

int64_t table_i64(const struct table *t, int64_t row, int column);
double table_f64(const struct table *t, int64_t row, int column);
const char *table_text(const struct table *t, int64_t row, int column);
void table_set_i64(struct table *t, int64_t row, int column, int64_t v);
void table_set_f64(struct table *t, int64_t row, int column, double v);
void table_set_text(struct table *t, int64_t row, int column, const char *text);	/* must fit */

/* Append the rows of b, which has the same columns (text sizes may differ), to a. */
enum status table_append(struct table *a, const struct table *b, int64_t first, int64_t n) ACE_NODISCARD;
#endif
