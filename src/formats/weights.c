/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/weights.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

static enum status
add_file(struct weights *w, const char *path)
{
	struct st_file *more = realloc(w->file, ((size_t)w->n + 1) * sizeof *more);

	if (!more)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	w->file = more;
	ACE_TRY(st_open(&w->file[w->n], path));
	w->n++;
	return ACE_OK;
}

static bool
plain_name(const char *s)
{
	return s[0] && s[0] != '.' && !strchr(s, '/');
}

static enum status
add_shard(struct weights *w, const char *dir, const char *index, const char *name)
{
	char *path;
	enum status st;

	if (!plain_name(name))
		return ace_fail(ACE_EDATA, "%s: shard \"%s\" is not a plain file name", index, name);
	path = file_path("%s/%s", dir, name);
	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", index);
	st = ACE_OK;
	for (int i = 0; i < w->n; i++)
		if (strcmp(w->file[i].path, path) == 0)
			goto done;
	st = add_file(w, path);
done:
	free(path);
	return st;
}

static enum status
open_index(struct weights *w, const char *dir, const char *index)
{
	const cJSON *map, *v;
	enum status st = ACE_OK;
	cJSON *root;

	ACE_TRY(json_read(index, 64u << 20, &root));
	map = cJSON_GetObjectItemCaseSensitive(root, "weight_map");
	if (!cJSON_IsObject(map))
		st = ace_fail(ACE_EDATA, "%s: no object weight_map", index);
	cJSON_ArrayForEach(v, map) {
		if (st == ACE_OK && !cJSON_IsString(v))
			st = ace_fail(ACE_EDATA, "%s: weight_map of %s is not a file name", index, v->string);
		if (st == ACE_OK)
			st = add_shard(w, dir, index, v->valuestring);
		if (st == ACE_OK && !weights_find(w, v->string))
			st = ace_fail(ACE_EDATA, "%s: tensor %s is not in %s", index, v->string, v->valuestring);
	}
	cJSON_Delete(root);
	return st;
}

enum status
weights_open(struct weights *w, const char *path)
{
	static const char *const names[] = { "diffusion_pytorch_model.safetensors", "model.safetensors" };
	enum status st = ACE_ENOINPUT;

	*w = (struct weights){ .path = strdup(path) };
	if (!w->path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if (!file_is_dir(path)) {
		st = add_file(w, path);
		goto done;
	}
	for (int i = 0; i < 4; i++) {
		char *file = file_path("%s/%s%s", path, names[i % 2], i < 2 ? "" : ".index.json");
		bool there = file && file_exists(file);
		if (there)
			st = i < 2 ? add_file(w, file) : open_index(w, path, file);
		free(file);
		if (there)
			goto done;
	}
	st = ace_fail(ACE_ENOINPUT, "%s: no %s, %s or index of shards in this folder", path, names[0], names[1]);
done:
	if (st != ACE_OK)
		weights_close(w);
	return st;
}

void
weights_close(struct weights *w)
{
	if (!w)
		return;
	for (int i = 0; i < w->n; i++)
		st_close(&w->file[i]);
	for (int i = 0; i < w->n_owned; i++)
		free(w->owned[i]);
	free(w->file);
	free(w->owned);
	free(w->path);
	*w = (struct weights){ 0 };
}

const struct st_entry *
weights_find(const struct weights *w, const char *name)
{
	const struct st_entry *e = NULL;

	for (int i = 0; i < w->n && !e; i++)
		e = st_find(&w->file[i], name);
	return e;
}

static enum status
converted(struct weights *w, const char *name, enum dtype dtype, struct tensor *x)
{
	void **more = realloc(w->owned, ((size_t)w->n_owned + 1) * sizeof *more);
	struct tensor y = *x;
	size_t bytes;

	y.dtype = dtype;
	bytes = tensor_bytes(y);
	if (more)
		w->owned = more;
	y.data = more ? aligned_alloc(64, (bytes + 63) / 64 * 64 + 64) : NULL;
	if (!y.data)
		return ace_fail(ACE_ENOMEM, "%s: no memory for tensor %s (%zu bytes)", w->path, name, bytes);
	w->owned[w->n_owned++] = y.data;
	if (!dtype_convert(y.data, dtype, x->data, x->dtype, tensor_count(*x)))
		return ace_fail(ACE_EDATA, "%s: tensor %s is %s, wanted a floating point type", w->path, name, dtype_name(x->dtype));
	*x = y;
	return ACE_OK;
}

enum status
weights_get(struct weights *w, const char *name, enum dtype dtype, int rank, const int64_t dim[], struct tensor *x)
{
	const struct st_entry *e = weights_find(w, name);
	char found[80], wanted[80];

	if (!e)
		return ace_fail(ACE_EDATA, "%s: tensor %s is missing", w->path, name);
	*x = e->value;
	if (rank >= 0) {
		struct tensor want = tensor_make(NULL, dtype, rank, dim);
		if (!tensor_same_shape(*x, want))
			return ace_fail(ACE_EDATA, "%s: tensor %s has shape %s, wanted %s", w->path, name,
			                tensor_shape_text(*x, found, sizeof found), tensor_shape_text(want, wanted, sizeof wanted));
	}
	return x->dtype == dtype ? ACE_OK : converted(w, name, dtype, x);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(const struct st_entry *const *)a)->name, (*(const struct st_entry *const *)b)->name);
}

enum status
weights_hash(const struct weights *w, char hex[65])
{
	const struct st_entry **all;
	struct sha256 s;
	size_t n = 0, at = 0;

	for (int i = 0; i < w->n; i++)
		n += (size_t)w->file[i].n;
	all = malloc((n + 1) * sizeof *all);
	if (!all)
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->path);
	for (int i = 0; i < w->n; i++)
		for (int j = 0; j < w->file[i].n; j++)
			all[at++] = &w->file[i].entry[j];
	qsort(all, n, sizeof *all, by_name);
	sha256_init(&s);
	for (size_t i = 0; i < n; i++) {
		char line[96];
		tensor_shape_text(all[i]->value, line, sizeof line);
		sha256_add(&s, all[i]->name, strlen(all[i]->name) + 1);
		sha256_add(&s, line, strlen(line));
		sha256_add(&s, dtype_name(all[i]->value.dtype), strlen(dtype_name(all[i]->value.dtype)));
		sha256_add(&s, all[i]->value.data, tensor_bytes(all[i]->value));
	}
	sha256_hex(&s, hex);
	free(all);
	return ACE_OK;
}
