/* SPDX-License-Identifier: Apache-2.0 */
/* A save put together in memory. */
#include "base/file.h"
#include "base/pages.h"
#include "models/lyrics_file.h"
#include "train/checkpoint_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status
checkpoint_begin(struct checkpoint_save **s, int64_t step, const char *suffix)
{
	struct checkpoint_save *n = calloc(1, sizeof *n);

	*s = NULL;
	if (n)
		n->facts = cJSON_CreateObject();
	if (!n || !n->facts) {
		free(n);
		return ace_fail(ACE_ENOMEM, "no memory for a checkpoint");
	}
	snprintf(n->name, sizeof n->name, "checkpoint-%" PRId64 "%s%s", step, suffix ? "-" : "", suffix ? suffix : "");
	if (step < 0 || !checkpoint_parse(n->name, &n->parsed) || n->parsed.temporary || strcmp(n->parsed.suffix, "tmp") == 0) {
		enum status st = ace_fail(ACE_EBUG, "%s is no checkpoint's name", n->name);
		checkpoint_save_free(n);
		return st;
	}
	*s = n;
	return ACE_OK;
}

static void
free_file(struct saved_file *f)
{
	for (int i = 0; i < f->n; i++)
		free((char *)(uintptr_t)f->item[i].name);
	for (int i = 0; i < 2 * f->n_meta; i++)
		free(f->meta[i]);
	if (f->kind == SAVED_ADAPTERS) {
		const char *text[] = { f->how.flavour, f->how.title, f->how.description, f->how.comment, f->how.resolution,
			f->how.trigger_words };
		for (size_t i = 0; i < sizeof text / sizeof *text; i++)
			free((char *)(uintptr_t)text[i]);
	}
	adapter_set_free(&f->set);
	if (f->done)
		f->done(f->me);
	free(f->part);
	free(f->header);
	free(f->item);
	free(f->meta);
	free(f->data);
	free(f->name);
}

void
checkpoint_save_free(struct checkpoint_save *s)
{
	if (!s)
		return;
	if (s->from)
		dev_keep_end(s->from);
	while (s->room) {
		struct saved_room *r = s->room;
		s->room = r->before;
		pages_give(r, r->bytes);
	}
	for (int i = 0; i < s->n; i++)
		free_file(&s->file[i]);
	free(s->file);
	cJSON_Delete(s->facts);
	free(s);
}

bool
checkpoint_plain(const char *name)
{
	if (strcmp(name, CHECKPOINT_MANIFEST) == 0 || strcmp(name, CHECKPOINT_GUARD) == 0)
		return false;
	for (const char *p = name;;) {
		size_t n = strcspn(p, "/");
		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && memcmp(p, "..", 2) == 0))
			return false;
		if (!p[n])
			return true;
		p += n + 1;
	}
}

static struct saved_file *
find(struct checkpoint_save *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (strcmp(s->file[i].name, name) == 0)
			return &s->file[i];
	return NULL;
}

static enum status
new_file(struct checkpoint_save *s, const char *name, enum saved_kind kind, struct saved_file **f)
{
	*f = NULL;
	if (!checkpoint_plain(name) || find(s, name))
		return ace_fail(ACE_EBUG, "%s: a file %s cannot be added", s->name, name);
	if (s->n == s->cap) {
		int cap = s->cap ? 2 * s->cap : 16;
		struct saved_file *more = realloc(s->file, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
		s->file = more;
		s->cap = cap;
	}
	s->file[s->n] = (struct saved_file){ .name = strdup(name), .kind = kind };
	if (!s->file[s->n].name)
		return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	*f = &s->file[s->n++];
	return ACE_OK;
}

/* The file of tensors with that name, made when it is not there. */
static enum status
tensors(struct checkpoint_save *s, const char *name, struct saved_file **f)
{
	*f = find(s, name);
	if (!*f)
		return new_file(s, name, SAVED_TENSORS, f);
	return (*f)->kind == SAVED_TENSORS ? ACE_OK : ace_fail(ACE_EBUG, "%s: %s is no file of tensors", s->name, name);
}

/* A tensor without its bytes. */
static enum status
new_item(struct checkpoint_save *s, struct saved_file *f, const char *tensor, struct tensor value)
{
	if (f->n == f->cap) {
		int cap = f->cap ? 2 * f->cap : 64;
		struct st_item *more = realloc(f->item, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
		f->item = more;
		f->cap = cap;
	}
	value.data = NULL;
	f->item[f->n] = (struct st_item){ strdup(tensor), value };
	if (!f->item[f->n].name)
		return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	f->n++;
	return ACE_OK;
}

enum status
saved_taken(struct checkpoint_save *s)
{
	struct dev *d = s->from;

	s->from = NULL;
	if (!d)
		return ACE_OK;
	dev_keep_end(d);
	return d->status;
}

/* So many bytes that are the save's; NULL: memory is out. */
static void *
room(struct checkpoint_save *s, size_t bytes)
{
	enum { BEGIN = 64, MOST = 64 << 20 };
	struct saved_room *r = s->room;

	bytes = (bytes + BEGIN - 1) / BEGIN * BEGIN;
	if (!r || r->bytes - r->used < bytes) {
		size_t all = bytes + BEGIN > MOST ? bytes + BEGIN : MOST;
		r = pages_take(all);
		if (!r)
			return NULL;
		*r = (struct saved_room){ .before = s->room, .bytes = all, .used = BEGIN };
		s->room = r;
	}
	r->used += bytes;
	return (char *)r + r->used - bytes;
}

/* value's bytes, on d or (NULL) the host. From a device they come until saved_taken. */
static enum status
copy(struct checkpoint_save *s, const char *tensor, struct dev *d, struct tensor value, void **to)
{
	size_t bytes = tensor_bytes(value);

	assert(!d || !dev_is_dry(d));
	*to = room(s, bytes);
	if (!*to)
		return ace_fail(ACE_ENOMEM, "%s: no memory for a copy of %s (%zu bytes)", s->name, tensor, bytes);
	if (s->from && d && s->from != d)
		ACE_TRY(saved_taken(s));
	if (d)
		dev_keep(s->from = d, *to, value.data, bytes);
	else if (bytes)
		memcpy(*to, value.data, bytes);
	return ACE_OK;
}

enum status
checkpoint_add_tensor(struct checkpoint_save *s, const char *file, const char *tensor, struct dev *d, struct tensor value)
{
	struct saved_file *f;

	ACE_TRY(tensors(s, file, &f));
	if (f->parted)
		return ace_fail(ACE_EBUG, "%s: %s has parts of several ranks", s->name, file);
	ACE_TRY(new_item(s, f, tensor, value));
	return copy(s, tensor, d, value, &f->item[f->n - 1].value.data);
}

/* *part: where this rank's bytes of it belong; NULL: it has none. */
static enum status
new_part(struct checkpoint_save *s, const char *file, const char *tensor, struct tensor whole, struct tensor mine, int64_t first,
         struct saved_part **part)
{
	size_t from = (size_t)first * dtype_size(whole.dtype);
	struct saved_file *f;

	*part = NULL;
	ACE_TRY(tensors(s, file, &f));
	if ((f->n > 0 && !f->parted) || (mine.rank && from + tensor_bytes(mine) > tensor_bytes(whole)))
		return ace_fail(ACE_EBUG, "%s: %s is no place for a part of %s", s->name, file, tensor);
	f->parted = true;
	ACE_TRY(new_item(s, f, tensor, whole));
	if (!mine.rank || tensor_bytes(mine) == 0)
		return ACE_OK;
	if (f->parts == f->parts_cap) {
		int cap = f->parts_cap ? 2 * f->parts_cap : 64;
		struct saved_part *more = realloc(f->part, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
		f->part = more;
		f->parts_cap = cap;
	}
	*part = &f->part[f->parts++];
	**part = (struct saved_part){ .item = f->n - 1, .from = from, .bytes = tensor_bytes(mine) };
	return ACE_OK;
}

enum status
checkpoint_add_part(struct checkpoint_save *s, const char *file, const char *tensor, struct tensor whole, struct dev *d,
                    struct tensor mine, int64_t first)
{
	struct saved_part *part;
	void *data = NULL;

	ACE_TRY(new_part(s, file, tensor, whole, mine, first, &part));
	if (!part)
		return ACE_OK;
	ACE_TRY(copy(s, tensor, d, mine, &data));
	part->data = data;
	return ACE_OK;
}

enum status
checkpoint_add_borrowed(struct checkpoint_save *s, const char *file, const char *tensor, struct tensor whole, struct tensor mine,
                        int64_t first)
{
	struct saved_part *part;

	ACE_TRY(new_part(s, file, tensor, whole, mine, first, &part));
	if (!part)
		return ACE_OK;
	part->data = mine.data;
	return ACE_OK;
}

enum status
checkpoint_add_meta(struct checkpoint_save *s, const char *file, const char *key, const char *value)
{
	struct saved_file *f;
	char **more, *k = strdup(key), *v = strdup(value);
	enum status st = tensors(s, file, &f);

	for (int i = 0; st == ACE_OK && k && v && i < f->n_meta; i++)
		if (strcmp(f->meta[2 * i], key) == 0) {
			free(k);
			free(f->meta[2 * i + 1]);
			f->meta[2 * i + 1] = v;
			return ACE_OK;
		}
	more = st == ACE_OK && k && v ? realloc(f->meta, 2 * ((size_t)f->n_meta + 1) * sizeof *more) : NULL;
	if (!more) {
		free(k);
		free(v);
		return st != ACE_OK ? st : ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	}
	f->meta = more;
	more[2 * f->n_meta] = k;
	more[2 * f->n_meta++ + 1] = v;
	return ACE_OK;
}

static bool
own(const char **text)
{
	if (!*text)
		return true;
	*text = strdup(*text);
	return *text != NULL;
}

enum status
checkpoint_add_adapters(struct checkpoint_save *s, const char *file, const struct params *ps, const struct tensor *value,
                        const struct adapter_write_options *o)
{
	struct saved_file *f;
	const char **text[6];
	bool ok = true;

	ACE_TRY(new_file(s, file, SAVED_ADAPTERS, &f));
	f->how = *o;
	text[0] = &f->how.flavour;
	text[1] = &f->how.title;
	text[2] = &f->how.description;
	text[3] = &f->how.comment;
	text[4] = &f->how.resolution;
	text[5] = &f->how.trigger_words;
	for (int i = 0; i < 6; i++)
		ok &= own(text[i]);
	if (!ok)
		return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	return adapter_snapshot(&f->set, ps, value);
}

enum status
checkpoint_add_lyrics(struct checkpoint_save *s, const char *file, const struct params *ps)
{
	for (int i = 0; i < ps->n; i++)
		if (lyrics_file_holds(ps->param[i]->name))
			ACE_TRY(checkpoint_add_tensor(s, file, ps->param[i]->name, ps->dev, ps->param[i]->value));
	return checkpoint_add_meta(s, file, "format", "pt");
}

enum status
checkpoint_add_bytes(struct checkpoint_save *s, const char *file, const void *data, size_t size)
{
	struct saved_file *f;

	ACE_TRY(new_file(s, file, SAVED_BYTES, &f));
	f->data = malloc(size + 1);
	if (!f->data)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %s", s->name, file);
	memcpy(f->data, data, size);
	f->size = size;
	return ACE_OK;
}

enum status
checkpoint_add_json(struct checkpoint_save *s, const char *file, const cJSON *root)
{
	char *text = cJSON_Print(root);
	enum status st;

	if (!text)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %s", s->name, file);
	st = checkpoint_add_bytes(s, file, text, strlen(text));
	cJSON_free(text);
	return st;
}

enum status
checkpoint_add_written(struct checkpoint_save *s, const char *file, enum status (*write)(void *me, const char *path),
                       void (*done)(void *me), void *me)
{
	struct saved_file *f;
	enum status st = new_file(s, file, SAVED_WRITTEN, &f);

	if (st != ACE_OK) {
		if (done)
			done(me);
		return st;
	}
	f->write = write;
	f->done = done;
	f->me = me;
	return ACE_OK;
}

enum status
checkpoint_add_fact(struct checkpoint_save *s, const char *key, const char *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(s->facts, key);
	if (!cJSON_AddStringToObject(s->facts, key, value))
		return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	return ACE_OK;
}

enum status
checkpoint_add_training(struct checkpoint_save *s, const struct checkpoint_training *t)
{
	cJSON *root = cJSON_CreateObject(), *list, *map;
	enum status st;
	bool ok;

	ok = cJSON_AddNumberToObject(root, "global_step", (double)t->global_step) &&
	     cJSON_AddNumberToObject(root, "epoch_step", (double)t->epoch_step) &&
	     cJSON_AddNumberToObject(root, "epoch", (double)t->epoch);
	list = cJSON_AddArrayToObject(root, "exhausted_backends");
	for (int i = 0; ok && i < t->n_exhausted; i++)
		ok = cJSON_AddItemToArray(list, cJSON_CreateString(t->exhausted[i]));
	map = cJSON_AddObjectToObject(root, "repeats");
	for (int i = 0; ok && i < t->n_datasets; i++)
		ok = cJSON_AddNumberToObject(map, t->dataset[i], (double)t->repeats[i]) != NULL;
	ok = ok && list && map;
	st = ok ? checkpoint_add_json(s, CHECKPOINT_TRAINING, root) : ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	cJSON_Delete(root);
	return st;
}

enum status
saved_file_write(const struct saved_file *f, const char *path)
{
	switch (f->kind) {
	case SAVED_BYTES: return file_write(path, f->data, f->size);
	case SAVED_TENSORS: return st_write(path, f->item, f->n, (const char *const *)f->meta, f->n_meta);
	case SAVED_ADAPTERS: return adapter_write(path, &f->set, &f->how);
	case SAVED_WRITTEN: return f->write(f->me, path);
	}
	return ace_fail(ACE_EBUG, "%s: a file of no kind", path);
}
