/* SPDX-License-Identifier: Apache-2.0 */
#include "store/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void
place(struct table *t)
{
	t->stride = 0;
	for (int i = 0; i < t->columns; i++) {
		struct column *c = &t->column[i];
		if (c->kind != COLUMN_TEXT)
			c->size = 8;
		else if (c->size == 0)
			c->size = 1;
		c->offset = t->stride;
		t->stride += c->size;
	}
}

void
table_init(struct table *t, const struct column *column, int columns)
{
	assert(columns <= TABLE_COLUMNS);
	*t = (struct table){ .columns = columns };
	memcpy(t->column, column, (size_t)columns * sizeof *column);
	place(t);
}

void
table_widen(struct table *t, int column, size_t text)
{
	struct column *c = &t->column[column];

	assert(!t->row && c->kind == COLUMN_TEXT && text < TABLE_TEXT);
	if (c->size < text + 1)
		c->size = text + 1;
	place(t);
}

enum status
table_rows(struct table *t, int64_t n)
{
	assert(!t->row);
	if (n > 0 && (uint64_t)n > SIZE_MAX / 2 / t->stride)
		return ace_fail(ACE_ENOMEM, "no memory for a table of %lld rows", (long long)n);
	t->row = calloc(n > 0 ? (size_t)n : 1, t->stride);
	if (!t->row)
		return ace_fail(ACE_ENOMEM, "no memory for a table of %lld rows", (long long)n);
	t->n = n;
	return ACE_OK;
}

void
table_free(struct table *t)
{
	free(t->row);
	t->row = NULL;
	t->n = 0;
}

static char *
cell(const struct table *t, int64_t row, int column, enum column_kind kind)
{
	assert(row >= 0 && row < t->n && column < t->columns && t->column[column].kind == kind);
	return t->row + (size_t)row * t->stride + t->column[column].offset;
}

int64_t
table_i64(const struct table *t, int64_t row, int column)
{
	int64_t v;

	memcpy(&v, cell(t, row, column, COLUMN_I64), 8);
	return v;
}

double
table_f64(const struct table *t, int64_t row, int column)
{
	double v;

	memcpy(&v, cell(t, row, column, COLUMN_F64), 8);
	return v;
}

const char *
table_text(const struct table *t, int64_t row, int column)
{
	return cell(t, row, column, COLUMN_TEXT);
}

void
table_set_i64(struct table *t, int64_t row, int column, int64_t v)
{
	memcpy(cell(t, row, column, COLUMN_I64), &v, 8);
}

void
table_set_f64(struct table *t, int64_t row, int column, double v)
{
	memcpy(cell(t, row, column, COLUMN_F64), &v, 8);
}

void
table_set_text(struct table *t, int64_t row, int column, const char *text)
{
	size_t n = strlen(text);

	assert(n < t->column[column].size);
	memcpy(cell(t, row, column, COLUMN_TEXT), text, n + 1);
}

/* Make the texts of a as wide as those of b, and room for more rows. */
static enum status
make_room(struct table *a, const struct table *b, int64_t more)
{
	struct table wide;

	table_init(&wide, a->column, a->columns);
	for (int i = 0; i < a->columns; i++)
		if (a->column[i].kind == COLUMN_TEXT && b->column[i].size > wide.column[i].size)
			table_widen(&wide, i, b->column[i].size - 1);
	if (wide.stride == a->stride && a->row) {
		char *row = realloc(a->row, ((size_t)(a->n + more) + 1) * a->stride);
		if (!row)
			return ace_fail(ACE_ENOMEM, "no memory for a table of %lld rows", (long long)(a->n + more));
		memset(row + (size_t)a->n * a->stride, 0, (size_t)more * a->stride);
		a->row = row;
		return ACE_OK;
	}
	ACE_TRY(table_rows(&wide, a->n + more));
	for (int64_t r = 0; r < a->n; r++)
		for (int i = 0; i < a->columns; i++)
			memcpy(wide.row + (size_t)r * wide.stride + wide.column[i].offset,
			       a->row + (size_t)r * a->stride + a->column[i].offset, a->column[i].size);
	wide.n = a->n;
	free(a->row);
	*a = wide;
	return ACE_OK;
}

enum status
table_append(struct table *a, const struct table *b, int64_t first, int64_t n)
{
	assert(a->columns == b->columns && first >= 0 && first + n <= b->n);
	ACE_TRY(make_room(a, b, n));
	for (int64_t r = 0; r < n; r++)
		for (int i = 0; i < a->columns; i++)
			memcpy(a->row + (size_t)(a->n + r) * a->stride + a->column[i].offset,
			       b->row + (size_t)(first + r) * b->stride + b->column[i].offset, b->column[i].size);
	a->n += n;
	return ACE_OK;
}
