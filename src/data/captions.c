/* SPDX-License-Identifier: Apache-2.0 */
#include "data/captions.h"

#include "base/file.h"
#include "data/caption_filter.h"
#include "data/text_file.h"
#include "num/rng.h"
#include "text/buffer.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

const char *
caption_reason_name(enum caption_reason r)
{
	switch (r) {
	case CAPTION_OK: return "ok";
	case CAPTION_MISSING: return "caption_missing";
	case CAPTION_EMPTY: return "caption_empty";
	case CAPTION_NOT_UTF8: return "caption_not_utf8";
	case CAPTION_UNREADABLE: return "caption_unreadable";
	}
	return "?";
}

void
captions_free(struct captions *c)
{
	for (int i = 0; i < c->n; i++)
		free(c->text[i]);
	free(c->text);
	*c = (struct captions){ .reason = c->reason };
}

/* text, stripped, unless it is empty, there already, or one too many. */
static enum status
add(struct captions *c, const char *text, size_t len)
{
	char *copy, **more;

	chars_strip(&text, &len, true, true, char_is_space);
	if (len == 0 || c->n == CAPTIONS_MOST)
		return ACE_OK;
	for (int i = 0; i < c->n; i++)
		if (strlen(c->text[i]) == len && memcmp(c->text[i], text, len) == 0)
			return ACE_OK;
	more = realloc(c->text, (size_t)(c->n + 1) * sizeof *more);
	copy = strndup(text, len);
	if (more)
		c->text = more;
	if (!more || !copy) {
		free(copy);
		return ace_fail(ACE_ENOMEM, "no memory for captions");
	}
	c->text[c->n++] = copy;
	return ACE_OK;
}

static const char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* path without its last extension; bytes of it. */
static size_t
stem(const char *path)
{
	const char *dot = strrchr(name_of(path), '.');

	return dot && dot > name_of(path) ? (size_t)(dot - path) : strlen(path);
}

static enum status
find_file(struct captions *c, const char *path, char **file)
{
	static const char *const ends[] = { ".txt", "_prompt.txt" };

	for (int i = 0; i < 2; i++) {
		*file = file_path("%.*s%s", (int)stem(path), path, ends[i]);
		if (!*file)
			return ace_fail(ACE_ENOMEM, "%s: no memory", path);
		if (text_file_there(*file)) {
			c->upstream = i == 1;
			return ACE_OK;
		}
		free(*file);
	}
	*file = NULL;
	c->reason = CAPTION_MISSING;
	return ace_fail(ACE_EDATA, "%s: caption file %.*s.txt is missing", path, (int)(stem(path) - (size_t)(name_of(path) - path)),
	                name_of(path));
}

static enum status
from_file(struct captions *c, const struct dataset *d, const char *path)
{
	enum status st = ACE_OK;
	char *file, *text;
	size_t len;

	ACE_TRY(find_file(c, path, &file));
	if (text_file_read(file, &text, &len) != ACE_OK) {
		c->reason = CAPTION_UNREADABLE;
		free(file);
		return ace_fail_prefix(ACE_EDATA, "%s: caption file ", path);
	}
	if (!text_file_good(text, len)) {
		c->reason = CAPTION_NOT_UTF8;
		st = ace_fail(ACE_EDATA, "%s: caption file %s is not UTF-8 text", path, name_of(file));
	}
	if (st == ACE_OK && d->whole_file)
		st = add(c, text, len);
	for (size_t from = 0, n; st == ACE_OK && !d->whole_file && from < len; from += n + 1) {
		const char *end = memchr(text + from, '\n', len - from);
		n = end ? (size_t)(end - text) - from : len - from;
		st = add(c, text + from, n);
	}
	if (st == ACE_OK && c->n == 0) {
		c->reason = CAPTION_EMPTY;
		st = ace_fail(ACE_EDATA, "%s: caption file %s is empty", path, name_of(file));
	}
	free(text);
	free(file);
	return st;
}

static enum status
from_name(struct captions *c, const char *path)
{
	const char *name = name_of(path);
	size_t n = stem(path) - (size_t)(name - path);
	char *copy = strndup(name, n);
	enum status st;

	if (!copy)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (char *p = copy; *p; p++)
		if (*p == '_')
			*p = ' ';
	if (!text_file_good(copy, n)) {
		c->reason = CAPTION_NOT_UTF8;
		st = ace_fail(ACE_EDATA, "%s: the file's name is not UTF-8", path);
	} else if ((st = add(c, copy, n)) == ACE_OK && c->n == 0) {
		c->reason = CAPTION_EMPTY;
		st = ace_fail(ACE_EDATA, "%s: the file's name gives no caption", path);
	}
	free(copy);
	return st;
}

/* Each prompt in front of each caption. */
static enum status
put_prompts(struct captions *c, const struct dataset *d)
{
	struct captions all = { .upstream = c->upstream };
	enum status st = ACE_OK;

	for (int i = 0; st == ACE_OK && i < c->n; i++)
		for (int k = 0; st == ACE_OK && k < d->prompts; k++) {
			char *text = file_path("%s %s", d->prompt[k], c->text[i]);
			st = text ? add(&all, text, strlen(text)) : ace_fail(ACE_ENOMEM, "no memory for captions");
			free(text);
		}
	captions_free(c);
	*c = all;
	return st;
}

/* --- shuffled tags --- */

struct tags {
	const char **at;
	size_t *len;
	int n;
};

/* The parts of text between separators, stripped, without empty ones. */
static enum status
split(struct tags *t, const char *text, char separator)
{
	size_t most = 1;

	for (const char *p = text; *p; p++)
		most += *p == separator;
	*t = (struct tags){ .at = malloc(most * sizeof *t->at), .len = malloc(most * sizeof *t->len) };
	if (!t->at || !t->len)
		return ace_fail(ACE_ENOMEM, "no memory for captions");
	while (text) {
		const char *end = strchr(text, separator), *from = text;
		size_t n = end ? (size_t)(end - text) : strlen(text);
		chars_strip(&from, &n, true, true, char_is_space);
		if (n > 0) {
			t->at[t->n] = from;
			t->len[t->n++] = n;
		}
		text = end ? end + 1 : NULL;
	}
	return ACE_OK;
}

/* FNV-1a: names the caption's random stream. */
static uint64_t
hash_text(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

/* The tags behind the first ones in the order of variant number v; another variant, another order. */
static enum status
add_variant(struct captions *to, const struct caption_shuffle *s, const char *text, int v)
{
	const char *glue = s->separator == ',' ? ", " : s->separator == '.' ? ". " : " ";
	struct rng r = rng_sub(rng_stream(s->seed, RNG_CAPTION, 0, hash_text(text)), (uint64_t)v + 1);
	struct buffer b = { 0 };
	struct tags t;
	enum status st = split(&t, text, s->separator);

	for (int i = t.n - 1; st == ACE_OK && i > s->first; i--) {
		int k = s->first + (int)rng_below(r, (uint64_t)i, (uint64_t)(i - s->first) + 1);
		const char *at = t.at[i];
		size_t len = t.len[i];
		t.at[i] = t.at[k];
		t.len[i] = t.len[k];
		t.at[k] = at;
		t.len[k] = len;
	}
	for (int i = 0; st == ACE_OK && i < t.n; i++) {
		buffer_str(&b, i ? glue : "");
		buffer_add(&b, t.at[i], t.len[i]);
	}
	if (st == ACE_OK)
		st = buffer_done(&b) ? add(to, b.data, b.len) : ace_fail(ACE_ENOMEM, "no memory for captions");
	buffer_free(&b);
	free(t.at);
	free(t.len);
	return st;
}

static enum status
shuffle(struct captions *c, const struct caption_shuffle *s)
{
	struct captions all = { .upstream = c->upstream };
	enum status st = ACE_OK;

	for (int i = 0; st == ACE_OK && i < c->n; i++) {
		struct tags t;
		st = split(&t, c->text[i], s->separator);
		free(t.at);
		free(t.len);
		if (st == ACE_OK && (s->original || t.n < s->first + 2))
			st = add(&all, c->text[i], strlen(c->text[i]));
		for (int v = 0; st == ACE_OK && t.n >= s->first + 2 && v < s->count; v++)
			st = add_variant(&all, s, c->text[i], v);
	}
	captions_free(c);
	*c = all;
	return st;
}

/* Those of a row; a list of tags comes in another order, unless that is off, as upstream's trainer draws one. */
static enum status
from_row(struct captions *c, const struct dataset *d, const struct song_row *row)
{
	struct caption_shuffle one = { .on = true, .count = 1, .separator = ',', .seed = d->shuffle.seed };
	enum status st = ACE_OK;

	for (int i = 0; st == ACE_OK && i < row->captions; i++) {
		bool shuffled = i == 0 && row->tags && !d->shuffle.on && !d->shuffle.off;
		char *text = strdup(row->caption[i]);
		if (!text)
			return ace_fail(ACE_ENOMEM, "no memory for captions");
		if (row->tags)		/* upstream cuts these, and no others */
			text[chars_prefix(text, strlen(text), 256)] = 0;
		st = shuffled ? add_variant(c, &one, text, 0) : add(c, text, strlen(text));
		free(text);
	}
	if (st == ACE_OK && c->n == 0) {
		c->reason = CAPTION_EMPTY;
		st = ace_fail(ACE_EDATA, "%s: row %lld: its caption is empty", row->shard, (long long)row->number);
	}
	return st;
}

static enum status
leave_out(struct captions *c, const struct dataset *d, const char *path)
{
	struct captions all = { .upstream = c->upstream };
	enum status st = ACE_OK;

	for (int i = 0; st == ACE_OK && i < c->n; i++) {
		char *text;
		st = caption_filter_apply(d->filter, c->text[i], &text);
		if (st == ACE_OK)
			st = add(&all, text, strlen(text));
		free(text);
	}
	captions_free(c);
	*c = all;
	if (st == ACE_OK && c->n == 0) {
		c->reason = CAPTION_EMPTY;
		st = ace_fail(ACE_EDATA, "%s: caption_filter_list leaves nothing of its captions", path);
	}
	return st;
}

enum status
captions_of(struct captions *to, const struct dataset *d, const char *path, const struct song_row *row)
{
	enum status st = ACE_OK;

	*to = (struct captions){ 0 };
	if (d->captions == CAPTION_PROMPT || d->only_prompt) {
		for (int i = 0; st == ACE_OK && i < d->prompts; i++)
			st = add(to, d->prompt[i], strlen(d->prompt[i]));
		if (st == ACE_OK && to->n == 0) {
			to->reason = CAPTION_EMPTY;
			st = ace_fail(ACE_EDATA, "%s: instance_prompt is empty", path);
		}
	} else {
		st = row                               ? from_row(to, d, row)
		     : d->captions == CAPTION_FILENAME ? from_name(to, path)
		                                       : from_file(to, d, path);
		if (st == ACE_OK && d->prepend_prompt)
			st = put_prompts(to, d);
	}
	if (st == ACE_OK && d->shuffle.on)
		st = shuffle(to, &d->shuffle);
	if (st == ACE_OK && d->filter)
		st = leave_out(to, d, path);
	if (st != ACE_OK)
		captions_free(to);
	return st;
}

enum status
captions_read(struct captions *to, const struct dataset *d, const char *path)
{
	return captions_of(to, d, path, NULL);
}
