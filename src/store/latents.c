/* SPDX-License-Identifier: Apache-2.0 */
#include "store/latents.h"

#include "base/msg.h"
#include "store/latent_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct column columns[LC_COLUMNS] = {
	[LC_KEY] = { .name = "key", .kind = COLUMN_TEXT },
	[LC_SOURCE] = { .name = "source", .kind = COLUMN_TEXT },
	[LC_SOURCE_SIZE] = { .name = "source_size", .kind = COLUMN_I64 },
	[LC_SOURCE_MTIME] = { .name = "source_mtime", .kind = COLUMN_I64 },
	[LC_SOURCE_SHA256] = { .name = "source_sha256", .kind = COLUMN_TEXT, .size = 65 },
	[LC_AUDIO_SHA256] = { .name = "audio_sha256", .kind = COLUMN_TEXT, .size = 65 },
	[LC_SAMPLES] = { .name = "samples", .kind = COLUMN_I64 },
	[LC_REAL_SAMPLES] = { .name = "real_samples", .kind = COLUMN_I64 },
	[LC_CHANNELS] = { .name = "channels", .kind = COLUMN_I64 },
	[LC_ROWS] = { .name = "rows", .kind = COLUMN_I64 },
	[LC_FRAMES] = { .name = "frames", .kind = COLUMN_I64 },
	[LC_SECONDS] = { .name = "seconds", .kind = COLUMN_F64 },
	[LC_BUCKET] = { .name = "bucket", .kind = COLUMN_F64 },
	[LC_CAPTION_FIRST] = { .name = "caption_first", .kind = COLUMN_I64 },
	[LC_CAPTIONS] = { .name = "captions", .kind = COLUMN_I64 },
	[LC_LYRICS_SHA256] = { .name = "lyrics_sha256", .kind = COLUMN_TEXT, .size = 65 },
	[LC_LYRIC_FIRST] = { .name = "lyric_first", .kind = COLUMN_I64 },
	[LC_LYRICS] = { .name = "lyrics", .kind = COLUMN_I64 },
	[LC_LYRIC_LINES] = { .name = "lyric_lines", .kind = COLUMN_I64 },
	[LC_LYRIC_SKIPPED] = { .name = "lyric_skipped", .kind = COLUMN_I64 },
	[LC_LYRIC_UNKNOWN] = { .name = "lyric_unknown", .kind = COLUMN_I64 },
	[LC_DROPPED] = { .name = "dropped", .kind = COLUMN_I64 },
};

static const struct column side[] = { { .name = "key", .kind = COLUMN_TEXT, .size = 65 } };

void
latent_name(char name[LATENT_NAME], int64_t row)
{
	snprintf(name, LATENT_NAME, "latents/%06lld", (long long)row);
}

static bool
within(int64_t v, int64_t low, int64_t high)
{
	return v >= low && v <= high;
}

static enum status
check_row(struct h5 *f, const struct table *t, int64_t i, bool data)
{
	int64_t dim[3] = { table_i64(t, i, LC_CHANNELS), table_i64(t, i, LC_ROWS), table_i64(t, i, LC_FRAMES) };
	int64_t first = table_i64(t, i, LC_LYRIC_FIRST), lyrics = table_i64(t, i, LC_LYRICS), have[H5_RANK];
	char name[LATENT_NAME];
	enum status st;
	enum dtype d;
	void *all;
	int rank;

	if (table_text(t, i, LC_KEY)[0] == 0 ||
	    (!table_i64(t, i, LC_DROPPED) &&
	     (!within(dim[0], 1, LATENT_SIDE) || !within(dim[1], 1, LATENT_SIDE) || !within(dim[2], 1, LATENT_FRAMES) ||
	      !within(lyrics, 1, INT32_MAX) || first < 0 || !within(table_i64(t, i, LC_CAPTIONS), 0, INT32_MAX) ||
	      !(table_f64(t, i, LC_SECONDS) >= 0) || !(table_f64(t, i, LC_BUCKET) >= 0))))
		return ace_fail(ACE_EDATA, "%s: damaged: row %lld has no sense", f->path, (long long)i);
	if (!data || table_i64(t, i, LC_DROPPED))
		return ACE_OK;
	latent_name(name, i);
	ACE_TRY(h5_shape(f, name, &d, &rank, have));
	if (rank != 3 || memcmp(have, dim, sizeof dim) != 0 || (d != BF16 && d != F32))
		return ace_fail(ACE_EDATA, "%s: damaged: %s has another shape than its row", f->path, name);
	all = malloc((size_t)(dim[0] * dim[1] * dim[2]) * dtype_size(d));
	if (!all)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	st = h5_get_rows(f, name, d, 3, dim, 0, dim[0], all);
	free(all);
	return st;
}

/* Every entry of the lyric arrays, and that no row points behind their end. */
static enum status
check_lyrics(struct h5 *f, const struct table *t)
{
	int64_t end = 0, n[2][H5_RANK] = { { 0 } };
	enum dtype d[2];
	enum status st;
	int rank[2];
	void *all;

	for (int64_t i = 0; i < t->n; i++)
		if (!table_i64(t, i, LC_DROPPED) && table_i64(t, i, LC_LYRIC_FIRST) + table_i64(t, i, LC_LYRICS) > end)
			end = table_i64(t, i, LC_LYRIC_FIRST) + table_i64(t, i, LC_LYRICS);
	if (end == 0)
		return ACE_OK;
	ACE_TRY(h5_shape(f, "lyric_ids", &d[0], &rank[0], n[0]));
	ACE_TRY(h5_shape(f, "lyric_mask", &d[1], &rank[1], n[1]));
	if (d[0] != I32 || d[1] != U8 || rank[0] != 1 || rank[1] != 1 || n[0][0] < end || n[0][0] != n[1][0])
		return ace_fail(ACE_EDATA, "%s: damaged: lyrics do not fit their rows", f->path);
	all = malloc((size_t)n[0][0] * 4);
	if (!all)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	st = h5_get_rows(f, "lyric_ids", I32, 1, n[0], 0, n[0][0], all);
	if (st == ACE_OK)
		st = h5_get_rows(f, "lyric_mask", U8, 1, n[1], 0, n[1][0], all);
	free(all);
	return st;
}

static enum status
check(struct h5 *f, const struct table *items, bool data)
{
	for (int64_t i = 0; i < items->n; i++)
		ACE_TRY(check_row(f, items, i, data));
	return data ? check_lyrics(f, items) : ACE_OK;
}

const struct parts_kind latent_parts = {
	.prefix = "latents", .what = "latent store", .version = LATENTS_VERSION, .column = columns, .columns = LC_COLUMNS,
	.key = LC_KEY, .side = side, .side_name = "captions", .side_columns = 1, .side_first = LC_CAPTION_FIRST,
	.side_count = LC_CAPTIONS, .check = check,
};

static void
fill(struct latents *s, int64_t i)
{
	const struct table *t = &s->parts.items;
	struct latent_item *a = &s->item[i];
	int64_t r = s->row[i];

	*a = (struct latent_item){
		.key = table_text(t, r, LC_KEY),
		.source = table_text(t, r, LC_SOURCE),
		.source_size = table_i64(t, r, LC_SOURCE_SIZE),
		.source_mtime = table_i64(t, r, LC_SOURCE_MTIME),
		.samples = table_i64(t, r, LC_SAMPLES),
		.real_samples = table_i64(t, r, LC_REAL_SAMPLES),
		.channels = table_i64(t, r, LC_CHANNELS),
		.rows = table_i64(t, r, LC_ROWS),
		.frames = table_i64(t, r, LC_FRAMES),
		.seconds = table_f64(t, r, LC_SECONDS),
		.bucket = table_f64(t, r, LC_BUCKET),
		.caption = (const char (*)[65])(s->caption + table_i64(t, r, LC_CAPTION_FIRST)),
		.captions = (int)table_i64(t, r, LC_CAPTIONS),
		.lyrics = (int)table_i64(t, r, LC_LYRICS),
		.lyric_lines = (int)table_i64(t, r, LC_LYRIC_LINES),
		.lyric_skipped = (int)table_i64(t, r, LC_LYRIC_SKIPPED),
		.lyric_unknown = (int)table_i64(t, r, LC_LYRIC_UNKNOWN),
	};
	snprintf(a->source_sha256, 65, "%s", table_text(t, r, LC_SOURCE_SHA256));
	snprintf(a->audio_sha256, 65, "%s", table_text(t, r, LC_AUDIO_SHA256));
	snprintf(a->lyrics_sha256, 65, "%s", table_text(t, r, LC_LYRICS_SHA256));
}

/* Items that count and are not dropped. */
static enum status
list(struct latents *s)
{
	int64_t n, k = 0;

	ACE_TRY(parts_live(&s->parts, &s->row, &n));
	for (int64_t i = 0; i < n; i++)
		if (table_i64(&s->parts.items, s->row[i], LC_DROPPED) == 0)
			s->row[k++] = s->row[i];
	s->n = k;
	s->item = calloc((size_t)k + 1, sizeof *s->item);
	s->stale = calloc((size_t)s->parts.n + 1, sizeof *s->stale);
	s->caption = calloc((size_t)s->parts.side.n + 1, sizeof *s->caption);
	if (!s->item || !s->stale || !s->caption)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %lld clips", s->parts.folder, (long long)k);
	for (int64_t i = 0; i < s->parts.side.n; i++)
		snprintf(s->caption[i], 65, "%s", table_text(&s->parts.side, i, 0));
	for (int64_t i = 0; i < k; i++) {
		fill(s, i);
		s->parts.part[s->parts.owner[s->row[i]]].live++;
	}
	return ACE_OK;
}

enum status
latents_open(struct latents **out, const char *folder, const struct latents_options *o)
{
	struct latents *s = calloc(1, sizeof *s);
	enum status st = s ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", folder);

	*out = NULL;
	if (st == ACE_OK)
		st = parts_open(&s->parts, &latent_parts, folder, o && o->verify);
	if (st == ACE_OK)
		st = list(s);
	if (st == ACE_OK && o && o->want)
		st = parts_stale(&s->parts, o->want, o->override, s->stale);
	if (st != ACE_OK) {
		latents_close(s);
		return st;
	}
	*out = s;
	return ACE_OK;
}

void
latents_close(struct latents *s)
{
	if (!s)
		return;
	latents_made_free(s);
	parts_close(&s->parts);
	free(s->item);
	free(s->row);
	free(s->stale);
	free(s->caption);
	free(s);
}

int64_t
latents_count(const struct latents *s)
{
	return s->n;
}

const struct latent_item *
latents_item(const struct latents *s, int64_t i)
{
	assert(i >= 0 && i < s->n);
	return &s->item[i];
}

static int
by_key(const void *key, const void *item)
{
	return strcmp(key, ((const struct latent_item *)item)->key);
}

int64_t
latents_find(const struct latents *s, const char *key)
{
	const struct latent_item *a = bsearch(key, s->item, (size_t)s->n, sizeof *a, by_key);

	return a ? a - s->item : -1;
}

const struct facts *
latents_facts(const struct latents *s, int64_t i)
{
	return s->made ? &s->made->facts : &s->parts.part[s->parts.owner[s->row[i]]].facts;
}

bool
latents_stale(const struct latents *s, int64_t i)
{
	return !s->made && s->stale[s->parts.owner[s->row[i]]];
}

int
latents_parts(const struct latents *s)
{
	int n = 0;

	for (int i = 0; i < s->parts.n; i++)
		n += s->parts.part[i].live > 0;
	return n;
}

int
latents_damaged(const struct latents *s)
{
	return s->parts.damaged;
}

const char *
latents_damage(const struct latents *s, int i)
{
	assert(i >= 0 && i < s->parts.damaged);
	return s->parts.damage[i];
}

int64_t
latents_bytes(const struct latents *s)
{
	return parts_bytes(&s->parts);
}

enum status
latents_read(struct latents *s, int64_t i, float *latent)
{
	const struct latent_item *a = latents_item(s, i);
	int64_t dim[3] = { a->channels, a->rows, a->frames }, have[H5_RANK], n = dim[0] * dim[1] * dim[2];
	char name[LATENT_NAME];
	enum dtype t;
	struct h5 *f;
	int rank;

	if (s->made)
		return s->made->make(s->made->me, a, latent);
	latent_name(name, s->parts.slot[s->row[i]]);
	ACE_TRY(parts_file(&s->parts, s->parts.owner[s->row[i]], &f));
	ACE_TRY(h5_shape(f, name, &t, &rank, have));
	if (rank != 3 || memcmp(have, dim, sizeof dim) != 0 || (t != BF16 && t != F32))
		return ace_fail(ACE_EDATA, "%s: damaged: %s has another shape than its row", f->path, name);
	if (t == F32)
		return h5_get_rows(f, name, F32, 3, dim, 0, dim[0], latent);
	/* the codes are read into the upper half of the result and widened from its start on */
	uint16_t *code = (uint16_t *)(void *)latent + n;
	ACE_TRY(h5_get_rows(f, name, BF16, 3, dim, 0, dim[0], code));
	for (int64_t k = 0; k < n; k++) {
		uint16_t c;
		memcpy(&c, (char *)code + 2 * k, 2);
		latent[k] = bf16_to_f32(c);
	}
	return ACE_OK;
}

enum status
latents_read_lyrics(struct latents *s, int64_t i, int32_t *id, uint8_t *mask)
{
	int64_t first, n = latents_item(s, i)->lyrics;
	struct h5 *f;

	if (s->made) {
		memcpy(id, s->made->lyric[i], (size_t)n * sizeof *id);
		memset(mask, s->made->mask[i], (size_t)n);
		return ACE_OK;
	}
	first = table_i64(&s->parts.items, s->row[i], LC_LYRIC_FIRST);

	ACE_TRY(parts_file(&s->parts, s->parts.owner[s->row[i]], &f));
	ACE_TRY(h5_get_rows(f, "lyric_ids", I32, 1, NULL, first, n, id));
	return h5_get_rows(f, "lyric_mask", U8, 1, NULL, first, n, mask);
}

enum status
latents_sweep(const char *folder, int *removed)
{
	struct latents *s;
	enum status st;

	*removed = 0;
	ACE_TRY(latents_open(&s, folder, NULL));
	st = parts_sweep(&s->parts, LC_DROPPED, removed);
	latents_close(s);
	return st;
}

enum status
latents_index(const char *folder)
{
	struct parts p;

	ACE_TRY(parts_open(&p, &latent_parts, folder, false));
	parts_save_index(&p);
	parts_close(&p);
	return ACE_OK;
}
