/* SPDX-License-Identifier: Apache-2.0 */
#include "models/lyrics_file.h"

#include "base/file.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool
lyrics_file_holds(const char *name)
{
	size_t n = strlen(name);

	return strncmp(name, "lyric_", 6) == 0 && !strstr(name, ".lora_A.") && !strstr(name, ".lora_B.") && n > 6;
}

/* Without ".base_layer"; NULL when memory is out. */
static char *
plain(const char *key)
{
	static const char layer[] = ".base_layer.";
	const char *at = strstr(key, layer);

	return at ? file_path("%.*s.%s", (int)(at - key), key, at + sizeof layer - 1) : strdup(key);
}

static const struct st_entry *
find(const struct st_file *f, const char *name)
{
	const struct st_entry *e = st_find(f, name);
	const char *dot = strrchr(name, '.');
	char *below;

	if (e || !dot)
		return e;
	below = file_path("%.*s.base_layer%s", (int)(dot - name), name, dot);
	e = below ? st_find(f, below) : NULL;
	free(below);
	return e;
}

/* Every key is one of ours, or an adapter's beside them. */
static enum status
check_keys(const struct params *ps, const struct st_file *f)
{
	for (int i = 0; i < f->n; i++) {
		const char *key = f->entry[i].name;
		char *name;
		bool known;
		if (strstr(key, ".lora_A.") || strstr(key, ".lora_B."))
			continue;
		if (!(name = plain(key)))
			return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
		known = lyrics_file_holds(name) && params_find(ps, name);
		if (known && strcmp(name, key) != 0 && st_find(f, name)) {
			free(name);
			return ace_fail(ACE_EDATA, "%s: tensor %s is there a second time as base_layer", f->path, key);
		}
		free(name);
		if (!known)
			return ace_fail(ACE_EDATA, "%s: tensor %s is none of the model's lyrics embedder", f->path, key);
	}
	return ACE_OK;
}

static enum status
fill(struct params *ps, const struct st_file *f, struct param *p)
{
	const struct st_entry *e = find(f, p->name);
	int64_t n = tensor_count(p->value);
	char found[80], wanted[80];
	enum status st = ACE_OK;
	bool finite = true;
	float *wide;
	void *host;

	assert(p->train);
	if (!e)
		return ace_fail(ACE_EDATA, "%s: tensor %s is missing", f->path, p->name);
	if (!tensor_same_shape(e->value, p->value))
		return ace_fail(ACE_EDATA, "%s: tensor %s has shape %s, the model's has %s", f->path, p->name,
		                tensor_shape_text(e->value, found, sizeof found), tensor_shape_text(p->value, wanted, sizeof wanted));
	if (dev_is_dry(ps->dev))
		return ACE_OK;
	wide = malloc((size_t)n * sizeof *wide + 1);
	host = malloc(tensor_bytes(p->value) + 1);
	if (!wide || !host)
		st = ace_fail(ACE_ENOMEM, "%s: no memory for %s", f->path, p->name);
	else if (!dtype_convert(wide, F32, e->value.data, e->value.dtype, n))
		st = ace_fail(ACE_EDATA, "%s: tensor %s is %s, wanted a float type", f->path, p->name, dtype_name(e->value.dtype));
	for (int64_t i = 0; st == ACE_OK && i < n; i++)
		finite &= isfinite(wide[i]) != 0;
	if (st == ACE_OK && !finite)
		st = ace_fail(ACE_EDATA, "%s: tensor %s has values that are not finite", f->path, p->name);
	if (st == ACE_OK) {
		dtype_convert(host, p->value.dtype, wide, F32, n);
		ps->dev->m->upload(ps->dev, p->value.data, host, tensor_bytes(p->value));
	}
	free(wide);
	free(host);
	return st;
}

enum status
lyrics_file_read(struct params *ps, const char *path)
{
	enum status st;
	struct st_file f;

	ACE_TRY(st_open(&f, path));
	st = check_keys(ps, &f);
	for (int i = 0; st == ACE_OK && i < ps->n; i++)
		if (lyrics_file_holds(ps->param[i]->name))
			st = fill(ps, &f, ps->param[i]);
	st_close(&f);
	return st;
}

static struct tensor
value_of(const struct params *ps, const struct tensor *value, int i)
{
	return value && value[i].rank ? value[i] : ps->param[i]->value;
}

enum status
lyrics_file_items(const struct params *ps, const struct tensor *value, struct st_item **item, int *n, void **memory)
{
	size_t bytes = 0;
	char *at;

	*n = 0;
	for (int i = 0; i < ps->n; i++)
		if (lyrics_file_holds(ps->param[i]->name))
			bytes += (tensor_bytes(value_of(ps, value, i)) + 7) / 8 * 8;
	*item = calloc((size_t)ps->n + 1, sizeof **item);
	*memory = at = malloc(bytes + 1);
	if (!*item || !at) {
		free(*item);
		free(at);
		*item = NULL;
		*memory = NULL;
		return ace_fail(ACE_ENOMEM, "no memory for a copy of the lyrics embedder (%zu bytes)", bytes);
	}
	for (int i = 0; i < ps->n; i++) {
		const struct param *p = ps->param[i];
		struct tensor x = value_of(ps, value, i);
		if (!lyrics_file_holds(p->name))
			continue;
		(*item)[*n] = (struct st_item){ p->name, x };
		(*item)[(*n)++].value.data = at;
		if (!dev_is_dry(ps->dev))
			ps->dev->m->download(ps->dev, at, x.data, tensor_bytes(x));
		at += (tensor_bytes(x) + 7) / 8 * 8;
	}
	return ACE_OK;
}

enum status
lyrics_file_write(const char *folder, const struct params *ps)
{
	static const char *const meta[] = { "format", "pt" };
	char *inner = file_path("%s/" LYRICS_FOLDER, folder), *path = file_path("%s/" LYRICS_FILE, folder);
	enum status st = inner && path ? file_mkdirs(inner) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	struct st_item *item = NULL;
	void *memory = NULL;
	int n;

	if (st == ACE_OK)
		st = lyrics_file_items(ps, NULL, &item, &n, &memory);
	if (st == ACE_OK)
		st = st_write(path, item, n, meta, 1);
	free(item);
	free(memory);
	free(inner);
	free(path);
	return st;
}
