/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/safetensors.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct st_writer {
	char *path, *part;
	FILE *f;
	size_t *bytes; /* of each item, in the file's order */
	int *index;    /* which item that is */
	int n, at;
	size_t done;  /* bytes of item at */
	int64_t size; /* of the whole file */
};

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(const struct st_item *const *)a)->name,
		      (*(const struct st_item *const *)b)->name);
}

static int
by_size_then_name(const void *a, const void *b)
{
	const struct st_item *x = *(const struct st_item *const *)a,
			     *y = *(const struct st_item *const *)b;
	size_t sx = dtype_size(x->value.dtype), sy = dtype_size(y->value.dtype);

	return sx != sy ? (sx > sy ? -1 : 1) : strcmp(x->name, y->name);
}

/* Pointers to the items in the file's order; owned by the caller. */
static enum status
sort_items(const char *path, const struct st_item *item, int n, const struct st_item ***order)
{
	const struct st_item **o = malloc(((size_t)n + 1) * sizeof *o);

	*order = o;
	if (!o)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (int i = 0; i < n; i++)
		o[i] = &item[i];
	qsort(o, (size_t)n, sizeof *o, by_name);
	for (int i = 0; i < n; i++)
		if (strcmp(o[i]->name, "__metadata__") == 0 ||
		    (i > 0 && strcmp(o[i - 1]->name, o[i]->name) == 0))
			return ace_fail(
				ACE_EBUG,
				"%s: tensor %s is to be written twice, or has a reserved name",
				path, o[i]->name);
	qsort(o, (size_t)n, sizeof *o, by_size_then_name);
	return ACE_OK;
}

static bool
add_numbers(cJSON *o, const char *key, const int64_t *v, int n)
{
	cJSON *list = cJSON_AddArrayToObject(o, key);
	bool ok = list != NULL;

	for (int i = 0; i < n && ok; i++)
		ok = cJSON_AddItemToArray(list, cJSON_CreateNumber((double)v[i]));
	return ok;
}

static enum status
make_header(const char *path, const struct st_item *const *order, int n, const char *const *meta,
	    int n_meta, char **text)
{
	cJSON *root = cJSON_CreateObject(), *m;
	int64_t range[2] = { 0, 0 };
	bool ok = root != NULL;

	if (ok && n_meta > 0) {
		m = cJSON_AddObjectToObject(root, "__metadata__");
		ok = m != NULL;
		for (int i = 0; i < n_meta && ok; i++)
			ok = cJSON_AddStringToObject(m, meta[2 * i], meta[2 * i + 1]);
	}
	for (int i = 0; i < n && ok; i++) {
		const struct tensor *x = &order[i]->value;
		cJSON *e = cJSON_CreateObject();
		range[0] = range[1];
		range[1] += (int64_t)tensor_bytes(*x);
		ok = e && cJSON_AddItemToObject(root, order[i]->name, e) &&
		     cJSON_AddStringToObject(e, "dtype", dtype_name(x->dtype)) &&
		     add_numbers(e, "shape", x->dim, x->rank) &&
		     add_numbers(e, "data_offsets", range, 2);
	}
	*text = ok ? cJSON_PrintUnformatted(root) : NULL;
	cJSON_Delete(root);
	return *text ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory for the header", path);
}

static enum status
put(struct st_writer *w, const void *data, size_t bytes)
{
	if (fwrite(data, 1, bytes, w->f) != bytes)
		return ace_fail(ACE_EIO, "%s: cannot write: %s", w->path, strerror(errno));
	return ACE_OK;
}

/* Length, JSON, and blanks up to a multiple of 8 bytes, at which the data begins. */
static enum status
pack_header(const char *path, const char *header, char **packed, size_t *size)
{
	size_t len = strlen(header), pad = (8 - len % 8) % 8;

	*size = 8 + len + pad;
	*packed = malloc(*size);
	if (!*packed)
		return ace_fail(ACE_ENOMEM, "%s: no memory for the header", path);
	for (int i = 0; i < 8; i++)
		(*packed)[i] = (char)(unsigned char)((uint64_t)(len + pad) >> 8 * i);
	memcpy(*packed + 8, header, len);
	memset(*packed + 8 + len, ' ', pad);
	return ACE_OK;
}

static enum status
put_header(struct st_writer *w, const char *header)
{
	enum status st;
	char *packed;
	size_t size;

	ACE_TRY(pack_header(w->path, header, &packed, &size));
	st = put(w, packed, size);
	w->size += (int64_t)size;
	free(packed);
	return st;
}

static void
pass_over_empty(struct st_writer *w)
{
	while (w->at < w->n && w->bytes[w->at] == 0)
		w->at++;
}

static void
writer_free(struct st_writer *w)
{
	if (w->f)
		fclose(w->f);
	free(w->index);
	free(w->bytes);
	free(w->part);
	free(w->path);
	free(w);
}

static enum status
begin(struct st_writer *w, const struct st_item *item, const struct st_item *const *order,
      const char *header)
{
	if (!w->path || !w->part || !w->bytes || !w->index)
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->path ? w->path : "safetensors");
	for (int i = 0; i < w->n; i++) {
		w->bytes[i] = tensor_bytes(order[i]->value);
		w->index[i] = (int)(order[i] - item);
		w->size += (int64_t)w->bytes[i];
	}
	pass_over_empty(w);
	w->f = fopen(w->part, "wbe");
	if (!w->f)
		return ace_fail(ACE_ECREATE, "%s: cannot create: %s", w->path, strerror(errno));
	return put_header(w, header);
}

enum status
st_writer_open(struct st_writer **w, const char *path, const struct st_item *item, int n,
	       const char *const *meta, int n_meta)
{
	const struct st_item **order = NULL;
	char *header = NULL;
	enum status st;

	*w = NULL;
	st = sort_items(path, item, n, &order);
	if (st == ACE_OK)
		st = make_header(path, order, n, meta, n_meta, &header);
	if (st == ACE_OK) {
		*w = calloc(1, sizeof **w);
		if (*w) {
			**w = (struct st_writer){
				.path = strdup(path),
				.part = file_path("%s.part", path),
				.n = n,
				.bytes = calloc((size_t)n + 1, sizeof *(*w)->bytes),
				.index = calloc((size_t)n + 1, sizeof *(*w)->index)
			};
			st = begin(*w, item, order, header);
		} else {
			st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
		}
	}
	if (st != ACE_OK) {
		st_writer_abort(*w);
		*w = NULL;
	}
	cJSON_free(header);
	free(order);
	return st;
}

int
st_writer_next(const struct st_writer *w)
{
	return w->at < w->n ? w->index[w->at] : -1;
}

int64_t
st_writer_size(const struct st_writer *w)
{
	return w->size;
}

enum status
st_writer_put(struct st_writer *w, const void *data, size_t bytes)
{
	const char *p = data;

	while (bytes > 0) {
		size_t missing = w->at < w->n ? w->bytes[w->at] - w->done : 0,
		       part = bytes < missing ? bytes : missing;
		if (part == 0)
			return ace_fail(ACE_EBUG, "%s: %zu bytes more than its tensors have",
					w->path, bytes);
		ACE_TRY(put(w, p, part));
		p += part;
		bytes -= part;
		w->done += part;
		if (w->done == w->bytes[w->at]) {
			w->done = 0;
			w->at++;
			pass_over_empty(w);
		}
	}
	return ACE_OK;
}

enum status
st_writer_commit(struct st_writer *w)
{
	enum status st = ACE_OK;

	if (w->at < w->n)
		st = ace_fail(ACE_EBUG, "%s: item %d is not written to its end", w->path,
			      w->index[w->at]);
	else if (fflush(w->f) != 0 || fsync(fileno(w->f)) != 0)
		st = ace_fail(ACE_EIO, "%s: cannot write: %s", w->path, strerror(errno));
	if (st == ACE_OK) {
		int bad = fclose(w->f);
		w->f = NULL;
		st = bad ? ace_fail(ACE_EIO, "%s: cannot close: %s", w->path, strerror(errno))
			 : file_rename(w->part, w->path);
	}
	if (st != ACE_OK)
		unlink(w->part);
	writer_free(w);
	return st;
}

void
st_writer_abort(struct st_writer *w)
{
	if (!w)
		return;
	if (w->f) /* else the file was never made, or is someone else's */
		unlink(w->part);
	writer_free(w);
}

enum status
st_write(const char *path, const struct st_item *item, int n, const char *const *meta, int n_meta)
{
	enum status st;
	struct st_writer *w;

	ACE_TRY(st_writer_open(&w, path, item, n, meta, n_meta));
	for (int i; (i = st_writer_next(w)) >= 0;) {
		st = st_writer_put(w, item[i].value.data, tensor_bytes(item[i].value));
		if (st != ACE_OK) {
			st_writer_abort(w);
			return st;
		}
	}
	return st_writer_commit(w);
}

enum status
st_layout(const char *path, const struct st_item *item, int n, const char *const *meta, int n_meta, char **header,
	  size_t *header_size, int64_t *at, int64_t *data_size)
{
	const struct st_item **order = NULL;
	char *text = NULL;
	enum status st;

	*header = NULL;
	*data_size = 0;
	st = sort_items(path, item, n, &order);
	if (st == ACE_OK)
		st = make_header(path, order, n, meta, n_meta, &text);
	if (st == ACE_OK)
		st = pack_header(path, text, header, header_size);
	for (int i = 0; st == ACE_OK && i < n; i++) {
		at[order[i] - item] = *data_size;
		*data_size += (int64_t)tensor_bytes(order[i]->value);
	}
	cJSON_free(text);
	free(order);
	return st;
}
