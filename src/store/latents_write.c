/* SPDX-License-Identifier: Apache-2.0 */
#include "store/latents.h"

#include "base/clock.h"
#include "store/latent_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SEAL_ITEMS = 64, MERGE_ITEMS = 4096 };
#define SEAL_SECONDS 30.0
#define SEAL_BYTES ((size_t)64 << 20)	/* of latents in memory, whichever comes first */
#define MERGE_BYTES ((size_t)256 << 20)

/* One clip in memory, texts and all. */
struct kept {
	struct latent_item item;
	char *key, *source;
	char (*caption)[65];
	void *latent;			/* in the store's type */
	int32_t *lyric;
	int mask;
	bool dropped;
};

struct latents_writer {
	struct parts_writer parts;
	enum dtype dtype;
	struct facts facts;
	struct kept *kept;
	int n, cap, seal_items;
	size_t bytes, seal_bytes;
	double first, seal_seconds;	/* when the first of the kept came */
	int64_t sealed;
};

static void
kept_free(struct kept *k)
{
	free(k->key);
	free(k->source);
	free(k->caption);
	free(k->latent);
	free(k->lyric);
	*k = (struct kept){ 0 };
}

static enum status
writer_open(struct latents_writer **out, const char *folder, int rank, enum dtype dtype, const struct facts *facts,
            bool all)
{
	struct latents_writer *w = calloc(1, sizeof *w);
	enum status st;

	assert(dtype == BF16 || dtype == F32);
	*out = NULL;
	if (!w)
		return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	w->dtype = dtype;
	w->facts = *facts;
	facts_set(&w->facts, "latent_dtype", true, "%s", dtype == F32 ? "f32" : "bf16");
	w->cap = all ? MERGE_ITEMS : SEAL_ITEMS;
	w->seal_items = w->cap;
	w->seal_bytes = all ? MERGE_BYTES : SEAL_BYTES;
	w->seal_seconds = all ? 1e30 : SEAL_SECONDS;
	w->kept = calloc((size_t)w->cap, sizeof *w->kept);
	st = w->kept ? parts_writer_open(&w->parts, &latent_parts, folder, rank, all)
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
latents_writer_open(struct latents_writer **w, const char *folder, int rank, enum dtype dtype, const struct facts *facts)
{
	return writer_open(w, folder, rank, dtype, facts, false);
}

void
latents_writer_close(struct latents_writer *w)
{
	if (!w)
		return;
	for (int i = 0; i < w->n; i++)
		kept_free(&w->kept[i]);
	parts_writer_close(&w->parts);
	free(w->kept);
	free(w);
}

/* --- composing a part --- */

static void
set_row(struct table *t, int64_t r, const struct kept *k, int64_t caption, int64_t lyric)
{
	const struct latent_item *a = &k->item;

	table_set_text(t, r, LC_KEY, k->key);
	table_set_i64(t, r, LC_DROPPED, k->dropped);
	table_set_i64(t, r, LC_CAPTION_FIRST, caption);
	table_set_i64(t, r, LC_LYRIC_FIRST, lyric);
	if (k->dropped)
		return;
	table_set_text(t, r, LC_SOURCE, k->source);
	table_set_i64(t, r, LC_SOURCE_SIZE, a->source_size);
	table_set_i64(t, r, LC_SOURCE_MTIME, a->source_mtime);
	table_set_text(t, r, LC_SOURCE_SHA256, a->source_sha256);
	table_set_text(t, r, LC_AUDIO_SHA256, a->audio_sha256);
	table_set_i64(t, r, LC_SAMPLES, a->samples);
	table_set_i64(t, r, LC_REAL_SAMPLES, a->real_samples);
	table_set_i64(t, r, LC_CHANNELS, a->channels);
	table_set_i64(t, r, LC_ROWS, a->rows);
	table_set_i64(t, r, LC_FRAMES, a->frames);
	table_set_f64(t, r, LC_SECONDS, a->seconds);
	table_set_f64(t, r, LC_BUCKET, a->bucket);
	table_set_i64(t, r, LC_CAPTIONS, a->captions);
	table_set_text(t, r, LC_LYRICS_SHA256, a->lyrics_sha256);
	table_set_i64(t, r, LC_LYRICS, a->lyrics);
	table_set_i64(t, r, LC_LYRIC_LINES, a->lyric_lines);
	table_set_i64(t, r, LC_LYRIC_SKIPPED, a->lyric_skipped);
	table_set_i64(t, r, LC_LYRIC_UNKNOWN, a->lyric_unknown);
}

static enum status
put_tables(struct latents_writer *w, struct h5 *f)
{
	struct table items, side;
	int64_t captions = 0, lyrics = 0;
	enum status st;

	table_init(&items, latent_parts.column, latent_parts.columns);
	table_init(&side, latent_parts.side, latent_parts.side_columns);
	for (int i = 0; i < w->n; i++) {
		table_widen(&items, LC_KEY, strlen(w->kept[i].key));
		table_widen(&items, LC_SOURCE, strlen(w->kept[i].source));
		captions += w->kept[i].item.captions;
	}
	st = table_rows(&items, w->n);
	if (st == ACE_OK)
		st = table_rows(&side, captions);
	captions = 0;
	for (int i = 0; st == ACE_OK && i < w->n; i++) {
		const struct kept *k = &w->kept[i];
		set_row(&items, i, k, captions, lyrics);
		for (int c = 0; c < k->item.captions; c++)
			table_set_text(&side, captions++, 0, k->caption[c]);
		lyrics += k->item.lyrics;
	}
	if (st == ACE_OK)
		st = h5_put_table(f, "items", &items);
	if (st == ACE_OK)
		st = h5_put_table(f, "captions", &side);
	table_free(&items);
	table_free(&side);
	return st;
}

static enum status
put_lyrics(struct latents_writer *w, struct h5 *f)
{
	int64_t n = 0, at = 0, chunk = 1 << 16;
	enum status st;
	int32_t *id;
	uint8_t *mask;

	for (int i = 0; i < w->n; i++)
		n += w->kept[i].item.lyrics;
	id = malloc((size_t)(n + 1) * sizeof *id);
	mask = malloc((size_t)(n + 1));
	st = id && mask ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	for (int i = 0; st == ACE_OK && i < w->n; i++) {
		const struct kept *k = &w->kept[i];
		if (k->item.lyrics == 0)
			continue;
		memcpy(id + at, k->lyric, (size_t)k->item.lyrics * sizeof *id);
		memset(mask + at, k->mask, (size_t)k->item.lyrics);
		at += k->item.lyrics;
	}
	if (st == ACE_OK)
		st = h5_put_array(f, "lyric_ids", I32, 1, &n, &chunk, id);
	if (st == ACE_OK)
		st = h5_put_array(f, "lyric_mask", U8, 1, &n, &chunk, mask);
	free(id);
	free(mask);
	return st;
}

static enum status
compose(struct latents_writer *w, struct h5 *f)
{
	ACE_TRY(put_tables(w, f));
	ACE_TRY(put_lyrics(w, f));
	for (int i = 0; i < w->n; i++) {
		const struct latent_item *a = &w->kept[i].item;
		int64_t dim[3] = { a->channels, a->rows, a->frames };
		char name[LATENT_NAME];
		latent_name(name, i);
		if (!w->kept[i].dropped)
			ACE_TRY(h5_put_array(f, name, w->dtype, 3, dim, dim, w->kept[i].latent));
	}
	return ACE_OK;
}

enum status
latents_seal(struct latents_writer *w)
{
	struct h5 f = { 0 };
	enum status st;

	if (w->n == 0)
		return ACE_OK;
	ACE_TRY(parts_begin(&w->parts, &w->facts, &f));
	st = compose(w, &f);
	if (st == ACE_OK)
		st = parts_seal(&w->parts, &f);
	h5_close(&f);
	if (st != ACE_OK)
		return st;
	for (int i = 0; i < w->n; i++) {
		w->sealed += !w->kept[i].dropped;
		kept_free(&w->kept[i]);
	}
	w->n = 0;
	w->bytes = 0;
	return ACE_OK;
}

/* --- taking clips --- */

static enum status
added(struct latents_writer *w)
{
	if (w->n == 0)
		w->first = clock_now();
	w->n++;
	if (w->n < w->seal_items && w->bytes < w->seal_bytes && clock_now() - w->first < w->seal_seconds)
		return ACE_OK;
	return latents_seal(w);
}

/* Texts that fit a table. */
static enum status
check_texts(const struct latents_writer *w, const char *key, const char *source)
{
	if (strlen(key) >= TABLE_TEXT - 1 || strlen(source) >= TABLE_TEXT - 1)
		return ace_fail(ACE_EDATA, "%s: a name of more than %d bytes", w->parts.folder, TABLE_TEXT - 2);
	return ACE_OK;
}

enum status
latents_put(struct latents_writer *w, const struct latent_item *item, const float *latent, const int32_t *lyric_id,
            int lyric_mask)
{
	size_t n = (size_t)(item->channels * item->rows * item->frames), size = dtype_size(w->dtype);
	size_t lyrics = (size_t)item->lyrics, captions = (size_t)item->captions;
	struct kept k = { .item = *item, .mask = lyric_mask };

	assert(n > 0 && lyrics > 0 && item->captions >= 0 && w->n < w->cap);
	ACE_TRY(check_texts(w, item->key, item->source));
	k.key = strdup(item->key);
	k.source = strdup(item->source);
	k.caption = malloc((captions + 1) * sizeof *k.caption);
	k.latent = malloc(n * size);
	k.lyric = malloc(lyrics * sizeof *k.lyric);
	if (!k.key || !k.source || !k.caption || !k.latent || !k.lyric) {
		kept_free(&k);
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->parts.folder);
	}
	if (captions > 0)
		memcpy(k.caption, item->caption, captions * sizeof *k.caption);
	memcpy(k.lyric, lyric_id, lyrics * sizeof *k.lyric);
	dtype_convert(k.latent, w->dtype, latent, F32, (int64_t)n);
	w->bytes += n * size;
	w->kept[w->n] = k;
	return added(w);
}

enum status
latents_drop(struct latents_writer *w, const char *key)
{
	struct kept k = { .dropped = true };

	ACE_TRY(check_texts(w, key, ""));
	k.key = strdup(key);
	k.source = strdup("");
	if (!k.key || !k.source) {
		kept_free(&k);
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->parts.folder);
	}
	w->kept[w->n] = k;
	return added(w);
}

int64_t
latents_sealed(const struct latents_writer *w)
{
	return w->sealed;
}

int64_t
latents_written(const struct latents_writer *w)
{
	return w->parts.bytes;
}

/* --- merging --- */

static enum status
copy(struct latents *s, int64_t i, struct latents_writer *w)
{
	const struct latent_item *a = latents_item(s, i);
	float *latent = malloc((size_t)(a->channels * a->rows * a->frames) * sizeof *latent);
	int32_t *id = malloc((size_t)a->lyrics * sizeof *id);
	uint8_t *mask = malloc((size_t)a->lyrics);
	enum status st = latent && id && mask ? latents_read(s, i, latent) : ace_fail(ACE_ENOMEM, "no memory to merge");

	if (st == ACE_OK)
		st = latents_read_lyrics(s, i, id, mask);
	if (st == ACE_OK)
		st = latents_put(w, a, latent, id, mask[0]);
	free(latent);
	free(id);
	free(mask);
	return st;
}

static enum status
rewrite(struct latents *s, struct latents_writer *w)
{
	for (int64_t i = 0; i < latents_count(s); i++) {
		struct facts f;
		const char *t;
		facts_own(&f, latents_facts(s, i));
		t = facts_get(&f, "latent_dtype");
		if (!facts_same(&f, &w->facts)) {
			ACE_TRY(latents_seal(w));
			w->facts = f;
			w->dtype = t && strcmp(t, "f32") == 0 ? F32 : BF16;
		}
		ACE_TRY(copy(s, i, w));
	}
	return latents_seal(w);
}

enum status
latents_merge(const char *folder, int64_t *before, int64_t *after)
{
	struct latents_writer *w;
	struct facts none = { 0 };
	struct latents *s = NULL;
	struct parts old = { 0 };
	enum status st;

	*before = *after = 0;
	ACE_TRY(writer_open(&w, folder, 0, BF16, &none, true));
	st = parts_open(&old, &latent_parts, folder, true);
	*before = *after = old.n;
	if (st == ACE_OK && old.n > 1) {
		int64_t first = w->parts.number;
		st = latents_open(&s, folder, NULL);
		if (st == ACE_OK)
			st = rewrite(s, w);
		/* oldest first: what a later part replaces or drops must be gone before it */
		for (int i = 0; st == ACE_OK && i < old.n; i++)
			st = parts_remove(&old, i);
		*after = w->parts.number - first;
	}
	latents_close(s);
	parts_close(&old);
	latents_writer_close(w);
	return st == ACE_OK ? latents_index(folder) : st;
}
