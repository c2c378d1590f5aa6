/* SPDX-License-Identifier: Apache-2.0 */
#include "store/texts.h"

#include "base/sha256.h"
#include "store/text_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct column columns[TC_COLUMNS] = {
	[TC_KEY] = { .name = "key", .kind = COLUMN_TEXT, .size = 65 },
	[TC_FIRST] = { .name = "first", .kind = COLUMN_I64 },
	[TC_ROWS] = { .name = "rows", .kind = COLUMN_I64 },
	[TC_WIDTH] = { .name = "width", .kind = COLUMN_I64 },
	[TC_CAPTION_FIRST] = { .name = "caption_first", .kind = COLUMN_I64 },
	[TC_CAPTION_SIZE] = { .name = "caption_size", .kind = COLUMN_I64 },
};

void
texts_key(const char *caption, size_t len, char key[65])
{
	sha256_of(caption, len, key);
}

/* Rows first ... first + n of whole. */
static bool
inside(int64_t first, int64_t n, int64_t whole)
{
	return first >= 0 && n >= 0 && n <= whole && first <= whole - n;
}

static enum status
check_rows(const struct h5 *f, const struct table *t, int64_t rows, int64_t width, int64_t bytes)
{
	for (int64_t i = 0; i < t->n; i++) {
		int64_t n = table_i64(t, i, TC_ROWS);
		if (n < 1 || n > TEXT_ROWS || table_i64(t, i, TC_WIDTH) != width || width < 1 || width > TEXT_WIDTH ||
		    strlen(table_text(t, i, TC_KEY)) != 64 || !inside(table_i64(t, i, TC_FIRST), n, rows) ||
		    !inside(table_i64(t, i, TC_CAPTION_FIRST), table_i64(t, i, TC_CAPTION_SIZE), bytes))
			return ace_fail(ACE_EDATA, "%s: damaged: row %lld has no sense", f->path, (long long)i);
	}
	return ACE_OK;
}

static enum status
read_all(struct h5 *f, const char *name, enum dtype t, int rank, const int64_t *dim)
{
	size_t n = dtype_size(t);
	enum status st;
	void *all;

	for (int i = 0; i < rank; i++)
		n *= (size_t)dim[i];
	all = malloc(n);
	if (!all)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	st = h5_get_rows(f, name, t, rank, dim, 0, dim[0], all);
	free(all);
	return st;
}

static enum status
check(struct h5 *f, const struct table *items, bool data)
{
	int64_t dim[H5_RANK] = { 0 }, captions[H5_RANK] = { 0 }, bytes = 0;
	enum dtype t, u;
	int rank, one;

	for (int64_t i = 0; i < items->n; i++)
		bytes |= table_i64(items, i, TC_CAPTION_SIZE);
	if (items->n == 0)
		return ACE_OK;
	ACE_TRY(h5_shape(f, "embeddings", &t, &rank, dim));
	if (rank != 2 || (t != BF16 && t != F32) || dim[0] > INT64_C(1) << 32)
		return ace_fail(ACE_EDATA, "%s: damaged: embeddings of an unknown shape", f->path);
	if (bytes != 0) {	/* with the empty caption alone there is no array */
		ACE_TRY(h5_shape(f, "captions", &u, &one, captions));
		if (one != 1 || u != U8)
			return ace_fail(ACE_EDATA, "%s: damaged: captions of an unknown shape", f->path);
	}
	ACE_TRY(check_rows(f, items, dim[0], dim[1], captions[0]));
	if (!data)
		return ACE_OK;
	ACE_TRY(read_all(f, "embeddings", t, 2, dim));
	return bytes ? read_all(f, "captions", U8, 1, captions) : ACE_OK;
}

const struct parts_kind text_parts = {
	.prefix = "text", .what = "text store", .version = TEXTS_VERSION, .column = columns, .columns = TC_COLUMNS,
	.key = TC_KEY, .check = check,
};

struct texts {
	struct parts parts;
	struct text_item *item;
	int32_t *row;
	int64_t n, width;
	bool *stale;
};

static enum status
list(struct texts *s)
{
	ACE_TRY(parts_live(&s->parts, &s->row, &s->n));
	s->item = calloc((size_t)s->n + 1, sizeof *s->item);
	s->stale = calloc((size_t)s->parts.n + 1, sizeof *s->stale);
	if (!s->item || !s->stale)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %lld captions", s->parts.folder, (long long)s->n);
	for (int64_t i = 0; i < s->n; i++) {
		int64_t r = s->row[i], width = table_i64(&s->parts.items, r, TC_WIDTH);
		struct part *p = &s->parts.part[s->parts.owner[r]];
		snprintf(s->item[i].key, 65, "%s", table_text(&s->parts.items, r, TC_KEY));
		s->item[i].rows = table_i64(&s->parts.items, r, TC_ROWS);
		p->live++;
		if (s->width && width != s->width)
			return ace_fail(ACE_ECONFIG, "%s: rows of %lld numbers in %s, of %lld in others: texts of two encoders",
			                s->parts.folder, (long long)width, p->name, (long long)s->width);
		s->width = width;
	}
	return ACE_OK;
}

enum status
texts_open(struct texts **out, const char *folder, const struct texts_options *o)
{
	struct texts *s = calloc(1, sizeof *s);
	enum status st = s ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", folder);

	*out = NULL;
	if (st == ACE_OK)
		st = parts_open(&s->parts, &text_parts, folder, o && o->verify);
	if (st == ACE_OK)
		st = list(s);
	if (st == ACE_OK && o && o->want)
		st = parts_stale(&s->parts, o->want, o->override, s->stale);
	if (st != ACE_OK) {
		texts_close(s);
		return st;
	}
	*out = s;
	return ACE_OK;
}

void
texts_close(struct texts *s)
{
	if (!s)
		return;
	parts_close(&s->parts);
	free(s->item);
	free(s->row);
	free(s->stale);
	free(s);
}

int64_t
texts_count(const struct texts *s)
{
	return s->n;
}

const struct text_item *
texts_item(const struct texts *s, int64_t i)
{
	assert(i >= 0 && i < s->n);
	return &s->item[i];
}

static int
by_key(const void *key, const void *item)
{
	return strcmp(key, ((const struct text_item *)item)->key);
}

int64_t
texts_find(const struct texts *s, const char *key)
{
	const struct text_item *a = bsearch(key, s->item, (size_t)s->n, sizeof *a, by_key);

	return a ? a - s->item : -1;
}

bool
texts_stale(const struct texts *s, int64_t i)
{
	return s->stale[s->parts.owner[s->row[i]]];
}

int64_t
texts_width(const struct texts *s)
{
	return s->width;
}

const struct facts *
texts_facts(const struct texts *s, int64_t i)
{
	return &s->parts.part[s->parts.owner[s->row[i]]].facts;
}

int
texts_parts(const struct texts *s)
{
	int n = 0;

	for (int i = 0; i < s->parts.n; i++)
		n += s->parts.part[i].live > 0;
	return n;
}

int
texts_damaged(const struct texts *s)
{
	return s->parts.damaged;
}

const char *
texts_damage(const struct texts *s, int i)
{
	assert(i >= 0 && i < s->parts.damaged);
	return s->parts.damage[i];
}

int64_t
texts_bytes(const struct texts *s)
{
	return parts_bytes(&s->parts);
}

enum status
texts_read(struct texts *s, int64_t i, float *x)
{
	int64_t have[H5_RANK], dim[2] = { 0, s->width }, first, n = texts_item(s, i)->rows, count = n * s->width;
	uint16_t *code = (uint16_t *)(void *)x + count;	/* read into the upper half, widened from the start on */
	enum dtype t;
	struct h5 *f;
	int rank;

	first = table_i64(&s->parts.items, s->row[i], TC_FIRST);
	ACE_TRY(parts_file(&s->parts, s->parts.owner[s->row[i]], &f));
	ACE_TRY(h5_shape(f, "embeddings", &t, &rank, have));
	if (t == F32)
		return h5_get_rows(f, "embeddings", F32, 2, dim, first, n, x);
	ACE_TRY(h5_get_rows(f, "embeddings", BF16, 2, dim, first, n, code));
	for (int64_t k = 0; k < count; k++) {
		uint16_t c;
		memcpy(&c, (char *)code + 2 * k, 2);
		x[k] = bf16_to_f32(c);
	}
	return ACE_OK;
}

enum status
texts_caption(struct texts *s, int64_t i, char **caption, size_t *len)
{
	int64_t first = table_i64(&s->parts.items, s->row[i], TC_CAPTION_FIRST);
	int64_t n = table_i64(&s->parts.items, s->row[i], TC_CAPTION_SIZE);
	char *text = calloc((size_t)n + 1, 1);
	enum status st = text ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", s->parts.folder);
	struct h5 *f;

	if (st == ACE_OK && n > 0)
		st = parts_file(&s->parts, s->parts.owner[s->row[i]], &f);
	if (st == ACE_OK && n > 0)
		st = h5_get_rows(f, "captions", U8, 1, NULL, first, n, text);
	if (st != ACE_OK) {
		free(text);
		text = NULL;
	}
	*caption = text;
	*len = (size_t)n;
	return st;
}

enum status
texts_sweep(const char *folder, int *removed)
{
	struct texts *s;
	enum status st;

	*removed = 0;
	ACE_TRY(texts_open(&s, folder, NULL));
	st = parts_sweep(&s->parts, -1, removed);
	texts_close(s);
	return st;
}

enum status
texts_index(const char *folder)
{
	struct parts p;

	ACE_TRY(parts_open(&p, &text_parts, folder, false));
	parts_save_index(&p);
	parts_close(&p);
	return ACE_OK;
}
