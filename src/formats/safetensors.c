/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/safetensors.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MAX = 100 * 1000 * 1000 };

static enum status
map_file(struct st_file *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);	/* a pipe would wait for its other end */
	enum status st = ACE_OK;
	struct stat s;

	if (fd < 0)
		return ace_fail(errno == ENOENT || errno == ENOTDIR ? ACE_ENOINPUT : ACE_EIO, "%s: %s", path,
		                errno == ENOENT ? "no such file" : strerror(errno));
	if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
		st = ace_fail(ACE_EDATA, "%s: not a regular file", path);
	} else if (s.st_size < 8) {
		st = ace_fail(ACE_EDATA, "%s: %lld bytes, too short for a safetensors file", path, (long long)s.st_size);
	} else {
		f->size = (size_t)s.st_size;
		f->map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (f->map == MAP_FAILED) {
			f->map = NULL;
			st = ace_fail(ACE_EIO, "%s: cannot map: %s", path, strerror(errno));
		}
	}
	close(fd);
	return st;
}

static enum status
whole(const cJSON *v, int64_t *n)
{
	if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > 9e15 ||
	    v->valuedouble != (double)(int64_t)v->valuedouble)
		return ACE_EDATA;
	*n = (int64_t)v->valuedouble;
	return ACE_OK;
}

static enum status
read_entry(struct st_file *f, const cJSON *v, size_t data_at, struct st_entry *e)
{
	const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(v, "dtype");
	const cJSON *shape = cJSON_GetObjectItemCaseSensitive(v, "shape");
	const cJSON *range = cJSON_GetObjectItemCaseSensitive(v, "data_offsets");
	int64_t from, to, count = 1, dim[TENSOR_RANK] = { 0 };
	int rank = cJSON_GetArraySize(shape);
	enum dtype t;

	if (!cJSON_IsObject(v) || !cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(range) ||
	    cJSON_GetArraySize(range) != 2)
		return ace_fail(ACE_EDATA, "%s: tensor %s: header without dtype, shape or data_offsets", f->path, v->string);
	if (!dtype_parse(dtype->valuestring, &t))
		return ace_fail(ACE_EDATA, "%s: tensor %s: unknown dtype %s", f->path, v->string, dtype->valuestring);
	if (rank > TENSOR_RANK)
		return ace_fail(ACE_EDATA, "%s: tensor %s: %d dimensions, at most %d are known", f->path, v->string, rank, TENSOR_RANK);
	for (int i = 0; i < rank; i++) {
		if (whole(cJSON_GetArrayItem(shape, i), &dim[i]) || (dim[i] && count > INT64_MAX / 8 / dim[i]))
			return ace_fail(ACE_EDATA, "%s: tensor %s: dimension %d is not a sensible size", f->path, v->string, i);
		count *= dim[i];
	}
	if (whole(cJSON_GetArrayItem(range, 0), &from) || whole(cJSON_GetArrayItem(range, 1), &to) || from > to ||
	    (uint64_t)to > f->size - data_at)
		return ace_fail(ACE_EDATA, "%s: tensor %s: data_offsets are outside the file (%zu bytes)", f->path, v->string, f->size);
	if ((uint64_t)(to - from) != (uint64_t)count * dtype_size(t))
		return ace_fail(ACE_EDATA, "%s: tensor %s: %lld bytes of data, its shape and dtype want %lld", f->path, v->string,
		                (long long)(to - from), (long long)count * (long long)dtype_size(t));
	e->name = v->string;
	e->value = tensor_make((char *)f->map + data_at + from, t, rank, dim);
	if ((uintptr_t)e->value.data % dtype_size(t) != 0)
		return ace_fail(ACE_EDATA, "%s: tensor %s: data is not aligned to its dtype", f->path, v->string);
	return ACE_OK;
}

static int
by_place(const void *a, const void *b)
{
	const char *x = ((const struct st_entry *)a)->value.data, *y = ((const struct st_entry *)b)->value.data;

	return x < y ? -1 : x > y;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct st_entry *)a)->name, ((const struct st_entry *)b)->name);
}

/* Together the tensors cover the data area exactly once. */
static enum status
check_cover(struct st_file *f, size_t data_at)
{
	const char *at = (const char *)f->map + data_at;

	qsort(f->entry, (size_t)f->n, sizeof *f->entry, by_place);
	for (int i = 0; i < f->n; i++) {
		const struct st_entry *e = &f->entry[i];
		size_t bytes = tensor_bytes(e->value);
		if (bytes == 0)
			continue;
		if ((const char *)e->value.data != at)
			return ace_fail(ACE_EDATA, "%s: tensor %s %s the data before it", f->path, e->name,
			                (const char *)e->value.data < at ? "overlaps" : "leaves a hole behind");
		at += bytes;
	}
	if (at != (const char *)f->map + f->size)
		return ace_fail(ACE_EDATA, "%s: %zu bytes behind the last tensor", f->path,
		                (size_t)((const char *)f->map + f->size - at));
	return ACE_OK;
}

static enum status
read_meta(struct st_file *f, const cJSON *m)
{
	const cJSON *v;
	int n = 0;

	if (!cJSON_IsObject(m))
		return ace_fail(ACE_EDATA, "%s: __metadata__ is not an object", f->path);
	f->meta = calloc(2 * (size_t)cJSON_GetArraySize(m) + 1, sizeof *f->meta);
	if (!f->meta)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	cJSON_ArrayForEach(v, m) {
		if (!cJSON_IsString(v))
			return ace_fail(ACE_EDATA, "%s: metadata %s is not text", f->path, v->string);
		f->n_meta = ++n;
		f->meta[2 * n - 2] = strdup(v->string);
		f->meta[2 * n - 1] = strdup(v->valuestring);
		if (!f->meta[2 * n - 2] || !f->meta[2 * n - 1])
			return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	}
	return ACE_OK;
}

static bool
has_control(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			return true;
	return false;
}

static enum status
read_header(struct st_file *f, const cJSON *root, size_t data_at)
{
	const cJSON *v;

	if (!cJSON_IsObject(root))
		return ace_fail(ACE_EDATA, "%s: the header is not an object", f->path);
	f->entry = calloc((size_t)cJSON_GetArraySize(root) + 1, sizeof *f->entry);
	if (!f->entry)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	cJSON_ArrayForEach(v, root) {
		if (strcmp(v->string, "__metadata__") == 0) {
			ACE_TRY(read_meta(f, v));
			continue;
		}
		if (has_control(v->string))	/* it could not be named in a message of one line */
			return ace_fail(ACE_EDATA, "%s: the name of tensor number %d holds a control character", f->path, f->n);
		ACE_TRY(read_entry(f, v, data_at, &f->entry[f->n]));
		char *name = strdup(v->string);
		if (!name)
			return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
		f->entry[f->n++].name = name;
	}
	ACE_TRY(check_cover(f, data_at));
	qsort(f->entry, (size_t)f->n, sizeof *f->entry, by_name);
	return ACE_OK;
}

enum status
st_open(struct st_file *f, const char *path)
{
	uint64_t header = 0;
	enum status st;
	cJSON *root = NULL;

	*f = (struct st_file){ .path = strdup(path) };
	if (!f->path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if ((st = map_file(f, path)) != ACE_OK)
		goto fail;
	for (int i = 7; i >= 0; i--)
		header = header << 8 | ((const unsigned char *)f->map)[i];
	if (header > HEADER_MAX || header > f->size - 8 || header < 2) {
		st = ace_fail(ACE_EDATA, "%s: header of %llu bytes in a file of %zu (at most %d are read)", path,
		              (unsigned long long)header, f->size, HEADER_MAX);
		goto fail;
	}
	if ((st = json_parse((const char *)f->map + 8, (size_t)header, path, &root)) != ACE_OK)
		goto fail;
	if ((st = read_header(f, root, (size_t)header + 8)) != ACE_OK)
		goto fail;
	cJSON_Delete(root);
	return ACE_OK;
fail:
	cJSON_Delete(root);
	st_close(f);
	return st;
}

void
st_close(struct st_file *f)
{
	if (!f)
		return;
	for (int i = 0; f->entry && i < f->n; i++)
		free((char *)(uintptr_t)f->entry[i].name);
	for (int i = 0; f->meta && i < 2 * f->n_meta; i++)
		free(f->meta[i]);
	free(f->entry);
	free(f->meta);
	free(f->path);
	if (f->map)
		munmap(f->map, f->size);
	*f = (struct st_file){ 0 };
}

const struct st_entry *
st_find(const struct st_file *f, const char *name)
{
	struct st_entry key = { .name = name };

	return f->n ? bsearch(&key, f->entry, (size_t)f->n, sizeof key, by_name) : NULL;
}

const char *
st_meta(const struct st_file *f, const char *key)
{
	for (int i = 0; i < f->n_meta; i++)
		if (strcmp(f->meta[2 * i], key) == 0)
			return f->meta[2 * i + 1];
	return NULL;
}
