/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/convert_hf_table.h"

#include "text/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1000, COLUMNS = 6 };	/* `datasets` writes batches of 1000 rows */

void
convert_song_free(struct convert_song *s)
{
	for (int i = 0; i < s->tags; i++)
		free(s->tag[i]);
	for (int i = 0; i < s->others; i++)
		free(s->other[i]);
	free(s->tag);
	free(s->other);
	free(s->key);
	free(s->path);
	free(s->lyrics);
	*s = (struct convert_song){ 0 };
}

/* --- features --- */

/* A line at depth, or its text alone. */
static void
put(struct buffer *b, bool indented, int depth, const char *text)
{
	if (indented) {
		buffer_char(b, '\n');
		for (int i = 0; i < depth; i++)
			buffer_str(b, "  ");
	}
	buffer_str(b, text);
}

/* "name": {"dtype": "string", "_type": "Value"} */
static void
put_string(struct buffer *b, bool indented, int depth, const char *name, bool last)
{
	char text[80];

	snprintf(text, sizeof text, "\"%s\": {", name);
	put(b, indented, depth, text);
	put(b, indented, depth + 1, indented ? "\"dtype\": \"string\"," : "\"dtype\": \"string\", ");
	put(b, indented, depth + 1, "\"_type\": \"Value\"");
	put(b, indented, depth, last ? "}" : indented ? "}," : "}, ");
}

char *
convert_features(const struct convert_table *t, bool in)
{
	struct buffer b = { 0 };
	char name[40];

	buffer_char(&b, '{');
	put_string(&b, in, 2, "keys", false);
	put_string(&b, in, 2, "filename", false);
	put(&b, in, 2, "\"tags\": {");
	put_string(&b, in, 3, "feature", false);
	put(&b, in, 3, "\"_type\": \"List\"");
	put(&b, in, 2, in ? "}," : "}, ");
	put_string(&b, in, 2, "speaker_emb_path", false);
	put_string(&b, in, 2, "norm_lyrics", false);
	put(&b, in, 2, "\"recaption\": {");
	for (int i = 0; i < t->others; i++) {
		snprintf(name, sizeof name, "caption_%d", i + 2);
		put_string(&b, in, 3, name, i + 1 == t->others);
	}
	if (t->others > 0)
		put(&b, in, 2, "}");
	else
		buffer_char(&b, '}');
	put(&b, in, 1, "}");
	if (buffer_done(&b))
		return b.data;
	buffer_free(&b);
	return NULL;
}

/* --- the schema --- */

static void
release_schema(struct ArrowSchema *s)
{
	for (int64_t i = 0; s->children && i < s->n_children; i++) {
		if (s->children[i] && s->children[i]->release)
			s->children[i]->release(s->children[i]);
		free(s->children[i]);
	}
	free(s->children);
	free((char *)(uintptr_t)s->name);
	free((char *)(uintptr_t)s->metadata);
	s->release = NULL;
}

static int
make_schema(struct ArrowSchema *s, const char *format, const char *name, int64_t children)
{
	*s = (struct ArrowSchema){ .format = format, .name = strdup(name), .flags = ARROW_FLAG_NULLABLE,
		.n_children = children, .release = release_schema };
	s->children = calloc((size_t)children + 1, sizeof *s->children);
	for (int64_t i = 0; s->children && i < children; i++)
		s->children[i] = calloc(1, sizeof **s->children);
	if (!s->name || !s->children)
		return ENOMEM;
	for (int64_t i = 0; i < children; i++)
		if (!s->children[i])
			return ENOMEM;
	return 0;
}

/* One pair: {"info": {"features": ...}} under "huggingface". */
static char *
metadata(const struct convert_table *t)
{
	static const char key[] = "huggingface";
	char *features = convert_features(t, false), *out = NULL;
	struct buffer b = { 0 };
	int32_t n = 1, size = sizeof key - 1;

	if (!features)
		return NULL;
	buffer_add(&b, &n, 4);
	buffer_add(&b, &size, 4);
	buffer_str(&b, key);
	size = (int32_t)strlen(features) + 24;
	buffer_add(&b, &size, 4);
	buffer_str(&b, "{\"info\": {\"features\": ");
	buffer_str(&b, features);
	buffer_str(&b, "}}");
	free(features);
	if (buffer_done(&b))
		out = b.data;
	else
		buffer_free(&b);
	return out;
}

static int
table_schema(struct ArrowSchema *s, const struct convert_table *t)
{
	static const char *const names[] = { "keys", "filename", "tags", "speaker_emb_path", "norm_lyrics", "recaption" };
	static const char *const formats[] = { "u", "u", "+l", "u", "u", "+s" };
	int rc = make_schema(s, "+s", "", COLUMNS);
	char name[40];

	s->flags = 0;
	if (rc == 0 && !(s->metadata = metadata(t)))
		rc = ENOMEM;
	for (int i = 0; i < COLUMNS && rc == 0; i++)
		rc = make_schema(s->children[i], formats[i], names[i], i == 2 ? 1 : i == 5 ? t->others : 0);
	if (rc == 0)
		rc = make_schema(s->children[2]->children[0], "u", "item", 0);
	for (int i = 0; i < t->others && rc == 0; i++) {
		snprintf(name, sizeof name, "caption_%d", i + 2);
		rc = make_schema(s->children[5]->children[i], "u", name, 0);
	}
	if (rc != 0)
		release_schema(s);
	return rc;
}

/* --- batches --- */

static void
release_array(struct ArrowArray *a)
{
	for (int64_t i = 0; a->children && i < a->n_children; i++) {
		if (a->children[i] && a->children[i]->release)
			a->children[i]->release(a->children[i]);
		free(a->children[i]);
	}
	for (int64_t i = 0; a->buffers && i < a->n_buffers; i++)
		free((void *)(uintptr_t)a->buffers[i]);
	free(a->children);
	free(a->buffers);
	a->release = NULL;
}

static int
make_array(struct ArrowArray *a, int64_t rows, int64_t buffers, int64_t children)
{
	*a = (struct ArrowArray){ .length = rows, .n_buffers = buffers, .n_children = children, .release = release_array };
	a->buffers = calloc((size_t)buffers, sizeof *a->buffers);
	a->children = calloc((size_t)children + 1, sizeof *a->children);
	for (int64_t i = 0; a->children && i < children; i++)
		a->children[i] = calloc(1, sizeof **a->children);
	for (int64_t i = 0; a->children && i < children; i++)
		if (!a->children[i])
			return ENOMEM;
	return a->buffers && a->children ? 0 : ENOMEM;
}

/* Text of row (or of element) i; NULL: null. */
typedef const char *text_at(const struct convert_song *s, int i);

static const char *key_of(const struct convert_song *s, int i) { (void)i; return s->key; }
static const char *path_of(const struct convert_song *s, int i) { (void)i; return s->path; }
static const char *speaker_of(const struct convert_song *s, int i) { (void)s; (void)i; return ""; }
static const char *lyrics_of(const struct convert_song *s, int i) { (void)i; return s->lyrics; }
static const char *other_of(const struct convert_song *s, int i) { return i < s->others ? s->other[i] : NULL; }
static const char *tag_of(const struct convert_song *s, int i) { return s->tag[i]; }

struct part {
	const struct convert_table *t;
	int64_t from, n;
};

static const struct convert_song *
song_at(const struct part *p, int64_t row)
{
	return &p->t->song[(p->from + row) % p->t->n];
}

/* Texts, one a row, or (tags) those of all rows. */
static int
text_column(struct ArrowArray *a, const struct part *p, text_at *text, int which, bool tags)
{
	int64_t rows = p->n, at = 0, bytes = 0;
	unsigned char *valid;
	int32_t *offset;
	char *data;

	for (int64_t i = 0; tags && i < p->n; i++)
		at += song_at(p, i)->tags;
	rows = tags ? at : rows;
	if (make_array(a, rows, 3, 0) != 0)
		return ENOMEM;
	for (int64_t i = 0; i < p->n; i++)
		for (int k = 0; k < (tags ? song_at(p, i)->tags : 1); k++) {
			const char *s = text(song_at(p, i), tags ? k : which);
			bytes += s ? (int64_t)strlen(s) : 0;
		}
	if (bytes > INT32_MAX)
		return EOVERFLOW;
	a->buffers[0] = valid = calloc((size_t)rows / 8 + 1, 1);
	a->buffers[1] = offset = calloc((size_t)rows + 1, sizeof *offset);
	a->buffers[2] = data = malloc((size_t)bytes + 1);
	if (!valid || !offset || !data)
		return ENOMEM;
	at = 0;
	for (int64_t i = 0; i < p->n; i++)
		for (int k = 0; k < (tags ? song_at(p, i)->tags : 1); k++, at++) {
			const char *s = text(song_at(p, i), tags ? k : which);
			size_t n = s ? strlen(s) : 0;
			if (n > 0)
				memcpy(data + offset[at], s, n);
			offset[at + 1] = offset[at] + (int32_t)n;
			if (s)
				valid[at >> 3] |= (unsigned char)(1 << (at & 7));
			else
				a->null_count++;
		}
	if (a->null_count == 0) {
		free(valid);
		a->buffers[0] = NULL;
	}
	return 0;
}

static int
tags_column(struct ArrowArray *a, const struct part *p)
{
	int32_t *offset;

	if (make_array(a, p->n, 2, 1) != 0)
		return ENOMEM;
	a->buffers[1] = offset = calloc((size_t)p->n + 1, sizeof *offset);
	if (!offset)
		return ENOMEM;
	for (int64_t i = 0; i < p->n; i++)
		offset[i + 1] = offset[i] + song_at(p, i)->tags;
	return text_column(a->children[0], p, tag_of, 0, true);
}

static int
make_batch(struct ArrowArray *a, const struct part *p)
{
	static text_at *const texts[COLUMNS] = { key_of, path_of, NULL, speaker_of, lyrics_of, NULL };
	int rc = make_array(a, p->n, 1, COLUMNS);

	for (int i = 0; i < COLUMNS && rc == 0; i++)
		if (texts[i])
			rc = text_column(a->children[i], p, texts[i], 0, false);
	if (rc == 0)
		rc = tags_column(a->children[2], p);
	if (rc == 0)
		rc = make_array(a->children[5], p->n, 1, p->t->others);
	for (int i = 0; i < p->t->others && rc == 0; i++)
		rc = text_column(a->children[5]->children[i], p, other_of, i, false);
	if (rc != 0)
		release_array(a);
	a->release = rc == 0 ? release_array : NULL;
	return rc;
}

/* --- the stream --- */

struct rest {
	const struct convert_table *t;
	int64_t at, end;
	const char *why;
};

static int
get_schema(struct ArrowArrayStream *s, struct ArrowSchema *out)
{
	struct rest *r = s->private_data;
	int rc = table_schema(out, r->t);

	r->why = rc ? "no memory" : NULL;
	return rc;
}

static int
get_next(struct ArrowArrayStream *s, struct ArrowArray *out)
{
	struct rest *r = s->private_data;
	struct part p = { .t = r->t, .from = r->at, .n = r->end - r->at < BATCH ? r->end - r->at : BATCH };
	int rc;

	*out = (struct ArrowArray){ 0 };
	if (p.n == 0)
		return 0;
	rc = make_batch(out, &p);
	r->why = rc == EOVERFLOW ? "1000 rows hold more than 2 GiB of text" : rc ? "no memory" : NULL;
	r->at += p.n;
	return rc;
}

static const char *
get_last_error(struct ArrowArrayStream *s)
{
	return ((struct rest *)s->private_data)->why;
}

static void
release_stream(struct ArrowArrayStream *s)
{
	free(s->private_data);
	s->release = NULL;
}

enum status
convert_stream(struct ArrowArrayStream *out, const struct convert_table *t, int64_t from, int64_t n)
{
	struct rest *r = malloc(sizeof *r);

	*out = (struct ArrowArrayStream){ get_schema, get_next, get_last_error, release_stream, r };
	if (!r)
		return ace_fail(ACE_ENOMEM, "no memory");
	*r = (struct rest){ .t = t, .at = from, .end = from + n };
	return ACE_OK;
}

int64_t
convert_bytes(const struct convert_table *t, int64_t n)
{
	int64_t all = 0;

	for (int64_t i = 0; i < t->n; i++) {
		const struct convert_song *s = &t->song[i];
		int64_t one = 20 + 4 * (t->others + s->tags) + (int64_t)(strlen(s->key) + strlen(s->path) + strlen(s->lyrics));
		for (int k = 0; k < s->tags; k++)
			one += (int64_t)strlen(s->tag[k]);
		for (int k = 0; k < s->others; k++)
			one += (int64_t)strlen(s->other[k]);
		all += one * (n / t->n + (i < n % t->n));
	}
	return all;
}
