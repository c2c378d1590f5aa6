/* SPDX-License-Identifier: Apache-2.0 */
#include "store/texts.h"

#include "base/clock.h"
#include "store/text_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SEAL_ITEMS = 64, MERGE_ITEMS = 4096, CHUNK_ROWS = 16 };
#define SEAL_SECONDS 30.0
#define MERGE_BYTES ((size_t)256 << 20)

struct kept {
	char *caption;
	size_t len;
	void *x;			/* [rows, width] in the store's type */
	int64_t rows;
};

struct texts_writer {
	struct parts_writer parts;
	enum dtype dtype;
	int64_t width;
	struct facts facts;
	struct kept *kept;
	int n, cap;
	size_t bytes;
	double first, seal_seconds;
	int64_t sealed;
};

static enum status
writer_open(struct texts_writer **out, const char *folder, int rank, enum dtype dtype, int64_t width,
            const struct facts *facts, bool all)
{
	struct texts_writer *w = calloc(1, sizeof *w);
	enum status st;

	assert(dtype == BF16 || dtype == F32);
	*out = NULL;
	if (!w)
		return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	w->dtype = dtype;
	w->width = width;
	w->facts = *facts;
	facts_set(&w->facts, "text_dtype", true, "%s", dtype == F32 ? "f32" : "bf16");
	w->cap = all ? MERGE_ITEMS : SEAL_ITEMS;
	w->seal_seconds = all ? 1e30 : SEAL_SECONDS;
	w->kept = calloc((size_t)w->cap, sizeof *w->kept);
	st = w->kept ? parts_writer_open(&w->parts, &text_parts, folder, rank, all)
	             : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	if (st != ACE_OK) {
		free(w->kept);
		free(w);
		return st;
	}
	*out = w;
	return ACE_OK;
}

enum status
texts_writer_open(struct texts_writer **w, const char *folder, int rank, enum dtype dtype, int64_t width,
                  const struct facts *facts)
{
	return writer_open(w, folder, rank, dtype, width, facts, false);
}

static void
kept_clear(struct texts_writer *w)
{
	for (int i = 0; i < w->n; i++) {
		free(w->kept[i].caption);
		free(w->kept[i].x);
	}
	w->n = 0;
	w->bytes = 0;
}

void
texts_writer_close(struct texts_writer *w)
{
	if (!w)
		return;
	kept_clear(w);
	parts_writer_close(&w->parts);
	free(w->kept);
	free(w);
}

/* What is kept one behind the other, and the table that says where each begins. */
struct joined {
	struct table items;
	char *x, *captions;
	int64_t rows, bytes;
};

static enum status
join(const struct texts_writer *w, struct joined *j)
{
	size_t row = (size_t)w->width * dtype_size(w->dtype);

	table_init(&j->items, text_parts.column, text_parts.columns);
	ACE_TRY(table_rows(&j->items, w->n));
	for (int i = 0; i < w->n; i++) {
		j->rows += w->kept[i].rows;
		j->bytes += (int64_t)w->kept[i].len;
	}
	j->x = malloc((size_t)j->rows * row);
	j->captions = malloc((size_t)j->bytes + 1);
	if (!j->x || !j->captions)
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->parts.folder);
	j->rows = j->bytes = 0;
	for (int i = 0; i < w->n; i++) {
		const struct kept *k = &w->kept[i];
		char key[65];
		texts_key(k->caption, k->len, key);
		table_set_text(&j->items, i, TC_KEY, key);
		table_set_i64(&j->items, i, TC_FIRST, j->rows);
		table_set_i64(&j->items, i, TC_ROWS, k->rows);
		table_set_i64(&j->items, i, TC_WIDTH, w->width);
		table_set_i64(&j->items, i, TC_CAPTION_FIRST, j->bytes);
		table_set_i64(&j->items, i, TC_CAPTION_SIZE, (int64_t)k->len);
		memcpy(j->x + (size_t)j->rows * row, k->x, (size_t)k->rows * row);
		memcpy(j->captions + j->bytes, k->caption, k->len);
		j->rows += k->rows;
		j->bytes += (int64_t)k->len;
	}
	return ACE_OK;
}

static enum status
compose(const struct texts_writer *w, struct h5 *f, const struct joined *j)
{
	int64_t dim[2] = { j->rows, w->width }, chunk[2] = { CHUNK_ROWS, w->width }, bytes_chunk = 1 << 16;

	ACE_TRY(h5_put_table(f, "items", &j->items));
	ACE_TRY(h5_put_array(f, "embeddings", w->dtype, 2, dim, chunk, j->x));
	return h5_put_array(f, "captions", U8, 1, &j->bytes, &bytes_chunk, j->captions);
}

enum status
texts_seal(struct texts_writer *w)
{
	struct joined j = { 0 };
	struct h5 f = { 0 };
	enum status st;

	if (w->n == 0)
		return ACE_OK;
	st = join(w, &j);
	if (st == ACE_OK)
		st = parts_begin(&w->parts, &w->facts, &f);
	if (st == ACE_OK)
		st = compose(w, &f, &j);
	if (st == ACE_OK)
		st = parts_seal(&w->parts, &f);
	h5_close(&f);
	table_free(&j.items);
	free(j.x);
	free(j.captions);
	if (st != ACE_OK)
		return st;
	w->sealed += w->n;
	kept_clear(w);
	return ACE_OK;
}

enum status
texts_put(struct texts_writer *w, const char *caption, size_t len, const float *x, int64_t rows)
{
	struct kept k = { .len = len, .rows = rows };
	int64_t n = rows * w->width;

	assert(rows > 0 && w->n < w->cap);
	k.caption = malloc(len + 1);
	k.x = malloc((size_t)n * dtype_size(w->dtype));
	if (!k.caption || !k.x) {
		free(k.caption);
		free(k.x);
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->parts.folder);
	}
	memcpy(k.caption, caption, len);
	dtype_convert(k.x, w->dtype, x, F32, n);
	if (w->n == 0)
		w->first = clock_now();
	w->kept[w->n++] = k;
	w->bytes += (size_t)n * dtype_size(w->dtype);
	if (w->n < w->cap && w->bytes < MERGE_BYTES && clock_now() - w->first < w->seal_seconds)
		return ACE_OK;
	return texts_seal(w);
}

int64_t
texts_sealed(const struct texts_writer *w)
{
	return w->sealed;
}

int64_t
texts_written(const struct texts_writer *w)
{
	return w->parts.bytes;
}

/* --- merging --- */

static enum status
copy(struct texts *s, int64_t i, struct texts_writer *w)
{
	const struct text_item *a = texts_item(s, i);
	float *x = malloc((size_t)(a->rows * texts_width(s)) * sizeof *x);
	char *caption = NULL;
	size_t len = 0;
	enum status st = x ? texts_read(s, i, x) : ace_fail(ACE_ENOMEM, "no memory to merge");

	if (st == ACE_OK)
		st = texts_caption(s, i, &caption, &len);
	if (st == ACE_OK)
		st = texts_put(w, caption, len, x, a->rows);
	free(caption);
	free(x);
	return st;
}

static enum status
rewrite(struct texts *s, struct texts_writer *w)
{
	w->width = texts_width(s);
	for (int64_t i = 0; i < texts_count(s); i++) {
		struct facts f;
		const char *t;
		facts_own(&f, texts_facts(s, i));
		t = facts_get(&f, "text_dtype");
		if (!facts_same(&f, &w->facts)) {
			ACE_TRY(texts_seal(w));
			w->facts = f;
			w->dtype = t && strcmp(t, "f32") == 0 ? F32 : BF16;
		}
		ACE_TRY(copy(s, i, w));
	}
	return texts_seal(w);
}

enum status
texts_merge(const char *folder, int64_t *before, int64_t *after)
{
	struct texts_writer *w;
	struct facts none = { 0 };
	struct texts *s = NULL;
	struct parts old = { 0 };
	enum status st;

	*before = *after = 0;
	ACE_TRY(writer_open(&w, folder, 0, BF16, 1, &none, true));
	st = parts_open(&old, &text_parts, folder, true);
	*before = *after = old.n;
	if (st == ACE_OK && old.n > 1) {
		int64_t first = w->parts.number;
		st = texts_open(&s, folder, NULL);
		if (st == ACE_OK)
			st = rewrite(s, w);
		for (int i = 0; st == ACE_OK && i < old.n; i++)
			st = parts_remove(&old, i);
		*after = w->parts.number - first;
	}
	texts_close(s);
	parts_close(&old);
	texts_writer_close(w);
	return st == ACE_OK ? texts_index(folder) : st;
}
