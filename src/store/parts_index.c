/* SPDX-License-Identifier: Apache-2.0 */
#include "store/parts.h"

#include "base/file.h"
#include "base/msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { X_NAME, X_RUN, X_SIZE, X_MTIME, X_ROWS, X_SIDE, X_FACTS, X_COLUMNS };

static const struct column index_column[X_COLUMNS] = {
	[X_NAME] = { .name = "name", .kind = COLUMN_TEXT },   [X_RUN] = { .name = "run", .kind = COLUMN_I64 },
	[X_SIZE] = { .name = "size", .kind = COLUMN_I64 },    [X_MTIME] = { .name = "mtime", .kind = COLUMN_I64 },
	[X_ROWS] = { .name = "rows", .kind = COLUMN_I64 },    [X_SIDE] = { .name = "side_rows", .kind = COLUMN_I64 },
	[X_FACTS] = { .name = "facts", .kind = COLUMN_TEXT },
};

void
parts_index_free(struct parts_index *x)
{
	table_free(&x->parts);
	table_free(&x->items);
	table_free(&x->side);
	free(x->items_at);
	free(x->side_at);
	free(x->used);
}

static char *
index_path(const struct parts *p)
{
	return file_path("%s/%s-index.h5", p->folder, p->kind->prefix);
}

static enum status
index_rows(const struct parts *p, struct parts_index *x, struct h5 *f)
{
	int64_t version, items = 0, side = 0;

	ACE_TRY(h5_get_i64(f, "version", &version));
	ACE_TRY(h5_get_table(f, "parts", &x->parts));
	ACE_TRY(h5_get_table(f, "items", &x->items));
	if (p->kind->side)
		ACE_TRY(h5_get_table(f, p->kind->side_name, &x->side));
	x->items_at = malloc((size_t)(x->parts.n + 1) * sizeof *x->items_at);
	x->side_at = malloc((size_t)(x->parts.n + 1) * sizeof *x->side_at);
	x->used = calloc((size_t)(x->parts.n + 1), sizeof *x->used);
	if (!x->items_at || !x->side_at || !x->used)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	for (int64_t i = 0; i < x->parts.n; i++) {
		int64_t a = table_i64(&x->parts, i, X_ROWS), b = table_i64(&x->parts, i, X_SIDE);
		x->items_at[i] = items;
		x->side_at[i] = side;
		if (a < 0 || b < 0 || a > x->items.n - items || b > x->side.n - side)
			return ace_fail(ACE_EDATA, "%s: its parts and rows disagree", f->path);
		items += a;
		side += b;
	}
	return version == p->kind->version ? ACE_OK : ace_fail(ACE_EDATA, "%s: of another version", f->path);
}

void
parts_index_read(const struct parts *p, struct parts_index *x)
{
	char *path = index_path(p);
	struct h5 f = { 0 };
	enum status st;

	*x = (struct parts_index){ 0 };
	table_init(&x->parts, index_column, X_COLUMNS);
	parts_tables(p->kind, &x->items, &x->side);
	if (!path || !file_exists(path)) {
		free(path);
		return;
	}
	st = h5_open(&f, path);
	if (st == ACE_OK)
		st = index_rows(p, x, &f);
	h5_close(&f);
	free(path);
	if (st != ACE_OK) {
		msg_debug("%s; made again", ace_message());
		x->parts.n = 0;
	}
}

static void
facts_from_text(struct facts *f, const char *text)
{
	char name[FACT_NAME], value[FACT_VALUE];

	f->n = 0;
	while (*text && f->n < FACTS_MAX) {
		size_t n = strcspn(text, "="), v = text[n] ? strcspn(text + n + 1, "\n") : 0;
		if (!text[n] || n >= sizeof name || v >= sizeof value)
			return;
		snprintf(name, sizeof name, "%.*s", (int)n, text);
		snprintf(value, sizeof value, "%.*s", (int)v, text + n + 1);
		facts_set(f, name, false, "%s", value);
		text += n + 1 + v;
		text += *text == '\n';
	}
}

static void
facts_to_text(const struct facts *f, char *text, size_t size)
{
	size_t n = 0;

	text[0] = 0;
	for (int i = 0; i < f->n && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s=%s\n", f->fact[i].name, f->fact[i].value);
}

/* The part's rows from the index; false: it does not know this file. */
bool
parts_from_index(const struct parts *p, struct part *a, struct parts_index *x, struct table *items, struct table *side)
{
	for (int64_t i = 0; i < x->parts.n; i++) {
		if (x->used[i] || strcmp(table_text(&x->parts, i, X_NAME), a->name) != 0)
			continue;
		if (table_i64(&x->parts, i, X_SIZE) != a->size || table_i64(&x->parts, i, X_MTIME) != a->mtime)
			return false;
		a->run = table_i64(&x->parts, i, X_RUN);
		facts_from_text(&a->facts, table_text(&x->parts, i, X_FACTS));
		a->known = x->used[i] = true;
		return table_append(items, &x->items, x->items_at[i], table_i64(&x->parts, i, X_ROWS)) == ACE_OK &&
		       (!p->kind->side ||
		        table_append(side, &x->side, x->side_at[i], table_i64(&x->parts, i, X_SIDE)) == ACE_OK) &&
		       parts_check_side(p->kind, a->name, items, side) == ACE_OK;
	}
	return false;
}

static enum status
compose_index(struct parts *p, struct h5 *f)
{
	enum { FACTS_TEXT = FACTS_MAX * (FACT_NAME + FACT_VALUE) + 1 };
	char facts[FACTS_TEXT];
	enum status st;
	int64_t row = 0;
	struct table t;

	table_init(&t, index_column, X_COLUMNS);
	table_widen(&t, X_NAME, PART_NAME);
	for (int i = 0; i < p->n; i++) {
		facts_to_text(&p->part[i].facts, facts, sizeof facts);
		table_widen(&t, X_FACTS, strlen(facts));
	}
	ACE_TRY(table_rows(&t, p->n));
	for (int i = 0; i < p->n; i++) {
		struct part *a = &p->part[i];
		int64_t rows = 0, entries = 0;
		facts_to_text(&a->facts, facts, sizeof facts);
		for (; row < p->items.n && p->owner[row] == i; row++, rows++)
			if (p->kind->side)
				entries += table_i64(&p->items, row, p->kind->side_count);
		table_set_text(&t, i, X_NAME, a->name);
		table_set_text(&t, i, X_FACTS, facts);
		table_set_i64(&t, i, X_RUN, a->run);
		table_set_i64(&t, i, X_SIZE, a->size);
		table_set_i64(&t, i, X_MTIME, a->mtime);
		table_set_i64(&t, i, X_ROWS, rows);
		table_set_i64(&t, i, X_SIDE, entries);
	}
	st = h5_put_i64(f, "version", p->kind->version);
	if (st == ACE_OK)
		st = h5_put_table(f, "parts", &t);
	table_free(&t);
	if (st == ACE_OK && p->kind->side)
		st = h5_put_table(f, p->kind->side_name, &p->side);
	return st;
}

/* In the index a row's entries of side are numbered within its part, as in the part itself. */
static enum status
compose_items(struct parts *p, struct h5 *f)
{
	const struct parts_kind *k = p->kind;
	int64_t base = 0, entries = 0;
	enum status st;

	for (int64_t i = 0; k->side && i < p->items.n; i++) {
		if (i == 0 || p->owner[i] != p->owner[i - 1])
			base = entries;
		entries += table_i64(&p->items, i, k->side_count);
		table_set_i64(&p->items, i, k->side_first, table_i64(&p->items, i, k->side_first) - base);
	}
	st = h5_put_table(f, "items", &p->items);
	entries = base = 0;
	for (int64_t i = 0; k->side && i < p->items.n; i++) {
		if (i == 0 || p->owner[i] != p->owner[i - 1])
			base = entries;
		entries += table_i64(&p->items, i, k->side_count);
		table_set_i64(&p->items, i, k->side_first, table_i64(&p->items, i, k->side_first) + base);
	}
	return st;
}

void
parts_save_index(struct parts *p)
{
	char *path = index_path(p);
	struct h5 f = { 0 };
	enum status st = ACE_OK;
	int64_t bytes;

	if (p->fresh || !path) {
		free(path);
		return;
	}
	if (p->n == 0) {
		unlink(path);
	} else if ((st = h5_create(&f, path)) == ACE_OK) {
		st = compose_index(p, &f);
		if (st == ACE_OK)
			st = compose_items(p, &f);
		if (st == ACE_OK)
			st = h5_save(&f, &bytes);
		h5_close(&f);
	}
	if (st != ACE_OK)
		msg_debug("%s; stores work without an index", ace_message());
	p->fresh = st == ACE_OK;
	free(path);
}
