/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/weights.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	POPULATE_READ = 22,		/* Linux 5.14; madvise says EINVAL where it is not known */
	HASH_PART = 1 << 24,
	AROUND = 1 << 16,		/* bytes that one page fault may map on either side */
};

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

/* The shard of that name, opened when it is not yet: its number. */
static enum status
find_shard(struct weights *w, const char *dir, const char *index, const char *name, int *i)
{
	char *path;
	enum status st = ACE_OK;

	if (!plain_name(name))
		return ace_fail(ACE_EDATA, "%s: shard \"%s\" is not a plain file name", index, name);
	path = file_path("%s/%s", dir, name);
	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", index);
	for (*i = 0; *i < w->n && strcmp(w->file[*i].path, path) != 0;)
		++*i;
	if (*i == w->n)
		st = add_file(w, path);
	free(path);
	return st;
}

/* A tensor stands in one shard only: else what is found would depend on the order of the index. */
static enum status
check_shards(const struct weights *w, const char *index)
{
	for (int i = 1; i < w->n; i++)
		for (int k = 0; k < w->file[i].n; k++)
			for (int j = 0; j < i; j++)
				if (st_find(&w->file[j], w->file[i].entry[k].name))
					return ace_fail(ACE_EDATA, "%s: tensor %s is in %s and in %s", index,
							w->file[i].entry[k].name, w->file[j].path, w->file[i].path);
	return ACE_OK;
}

static enum status
open_index(struct weights *w, const char *dir, const char *index)
{
	const cJSON *map, *v;
	enum status st = ACE_OK;
	cJSON *root;
	int i = 0;

	ACE_TRY(json_read(index, 64u << 20, &root));
	map = cJSON_GetObjectItemCaseSensitive(root, "weight_map");
	if (!cJSON_IsObject(map))
		st = ace_fail(ACE_EDATA, "%s: no object weight_map", index);
	cJSON_ArrayForEach(v, map) {
		if (st == ACE_OK && !cJSON_IsString(v))
			st = ace_fail(ACE_EDATA, "%s: weight_map of %s is not a file name", index, v->string);
		if (st == ACE_OK)
			st = find_shard(w, dir, index, v->valuestring, &i);
		if (st == ACE_OK && !st_find(&w->file[i], v->string))
			st = ace_fail(ACE_EDATA, "%s: tensor %s is not in %s", index, v->string, v->valuestring);
	}
	cJSON_Delete(root);
	return st == ACE_OK ? check_shards(w, index) : st;
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

/* advice for the pages of the mapping that hold size bytes at p, and margin bytes around them. false: p is in no mapping, or the
 * advice is not known. */
static bool
advise(const struct weights *w, const char *p, size_t size, size_t margin, int advice)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (int i = 0; p && i < w->n; i++) {
		const char *map = w->file[i].map, *end = map + w->file[i].size;
		uintptr_t from, to;
		if (p < map || p >= end)
			continue;
		from = (uintptr_t)((size_t)(p - map) > margin ? p - margin : map) / page * page;
		to = (uintptr_t)((size_t)(end - p) > size + margin ? p + size + margin : end);
		return madvise((void *)from, to - from, advice) == 0;
	}
	return false;
}

void
weights_read_ahead(const struct weights *w, struct tensor x)
{
	const char *p = x.data;
	size_t size = tensor_bytes(x);

	for (int i = 0; p && i < w->n; i++) {
		const char *map = w->file[i].map;
		volatile char sum = 0;
		if (p < map || p >= map + w->file[i].size || advise(w, p, size, 0, POPULATE_READ))
			continue;
		for (size_t k = 0; k < size; k += 4096)
			sum = (char)(sum + p[k]);
	}
}

void
weights_let_go(const struct weights *w, struct tensor x)
{
	(void)advise(w, x.data, tensor_bytes(x), AROUND, MADV_DONTNEED);
}

bool
weights_is_copy(const struct weights *w, struct tensor x)
{
	for (int i = 0; i < w->n_owned; i++)
		if (x.data && w->owned[i] == x.data)
			return true;
	return false;
}

void
weights_give_back(struct weights *w, struct tensor x)
{
	if (w->dry && !x.data) {
		w->copied -= tensor_bytes(x);
		return;
	}
	for (int i = w->n_owned - 1; i >= 0; i--)
		if (w->owned[i] == x.data) {
			free(x.data);
			w->owned[i] = w->owned[--w->n_owned];
			w->copied -= tensor_bytes(x);
			return;
		}
	w->mapped -= tensor_bytes(x);
	weights_let_go(w, x);
}

static int
by_address(const void *a, const void *b)
{
	const char *x = ((const struct tensor *)a)->data, *y = ((const struct tensor *)b)->data;

	return (x > y) - (x < y);
}

size_t
weights_resident(const struct weights *w, struct tensor *x, int n)
{
	size_t sum = 0;

	qsort(x, (size_t)n, sizeof *x, by_address);
	for (int i = 0; i < w->n; i++) {
		const char *map = w->file[i].map;
		size_t size = w->file[i].size, done = 0;
		for (int k = 0; k < n; k++) {
			const char *p = x[k].data;
			size_t from, to;
			if (!p || p < map || p >= map + size)
				continue;
			from = (size_t)(p - map) / AROUND * AROUND;
			to = ((size_t)(p - map) + tensor_bytes(x[k]) + AROUND - 1) / AROUND * AROUND;
			to = to < size ? to : size;
			from = from > done ? from : done;
			if (to > from)
				sum += to - from;
			done = to > done ? to : done;
		}
	}
	return sum;
}

/* Whether no number of x became infinite in y, of type F16. */
static bool
holds(struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);
	float v;

	for (int64_t i = 0; i < n; i++)
		if ((((const uint16_t *)y.data)[i] & 0x7fff) == 0x7c00 &&
		    dtype_convert(&v, F32, (const char *)x.data + (size_t)i * dtype_size(x.dtype), x.dtype, 1) && isfinite(v))
			return false;
	return true;
}

static enum status
converted(struct weights *w, const char *name, enum dtype dtype, struct tensor *x)
{
	struct tensor y = tensor_make(NULL, dtype, x->rank, x->dim);
	size_t bytes = tensor_bytes(y);
	void **more;

	if (!dtype_convert(NULL, dtype, NULL, x->dtype, 0))
		return ace_fail(ACE_EDATA, "%s: tensor %s is %s, wanted a floating point type", w->path, name, dtype_name(x->dtype));
	w->copied += bytes;
	if (w->dry) {
		*x = y;
		return ACE_OK;
	}
	more = realloc(w->owned, ((size_t)w->n_owned + 1) * sizeof *more);
	if (more)
		w->owned = more;
	y.data = more ? aligned_alloc(64, (bytes + 63) / 64 * 64 + 64) : NULL;
	if (!y.data)
		return ace_fail(ACE_ENOMEM, "%s: no memory for tensor %s (%zu bytes)", w->path, name, bytes);
	w->owned[w->n_owned++] = y.data;
	dtype_convert(y.data, dtype, x->data, x->dtype, tensor_count(*x));
	if (dtype == F16 && !holds(y, *x))
		return ace_fail(ACE_EDATA, "%s: tensor %s has values beyond what fp16 holds (65504); wanted bf16 or fp32", w->path, name);
	/* the original has been read and need not stay, nor what the kernel has mapped around it unasked */
	weights_let_go(w, *x);
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
	if (x->dtype != dtype)
		return converted(w, name, dtype, x);
	w->mapped += tensor_bytes(*x);
	return ACE_OK;
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
		const char *data = all[i]->value.data;
		size_t bytes = tensor_bytes(all[i]->value), part;
		for (size_t from = 0; from < bytes; from += part) {
			part = bytes - from < HASH_PART ? bytes - from : HASH_PART;
			sha256_add(&s, data + from, part);
			(void)advise(w, data + from, part, AROUND, MADV_DONTNEED);	/* it counts as this process's memory */
		}
	}
	sha256_hex(&s, hex);
	free(all);
	return ACE_OK;
}
