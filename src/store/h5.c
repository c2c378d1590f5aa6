/* SPDX-License-Identifier: Apache-2.0 */
#include "store/h5.h"

#include "base/file.h"
#include "store/h5_lib.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };	/* bytes by which a file in memory grows */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void
h5_enter(void)
{
	pthread_mutex_lock(&lock);
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);	/* kept by each thread */
}

enum status
h5_leave(enum status st)
{
	if (st != ACE_OK)
		H5Eclear2(H5E_DEFAULT);	/* what a thread keeps of failures would be lost with it */
	pthread_mutex_unlock(&lock);
	return st;
}

enum status
h5_bad(const struct h5 *f, const char *what, const char *name)
{
	return ace_fail(ACE_EDATA, "%s: damaged: cannot read %s %s", f->path, what, name);
}

enum status
h5_unmade(const struct h5 *f, const char *name)
{
	return ace_fail(ACE_EBUG, "%s: cannot compose %s", f->path, name);
}

/* Newest headers: small, and with checksums. */
static hid_t
access_list(void)
{
	hid_t a = H5Pcreate(H5P_FILE_ACCESS);

	H5Pset_libver_bounds(a, H5F_LIBVER_V110, H5F_LIBVER_V110);
#if H5_VERSION_GE(1, 10, 7)
	H5Pset_file_locking(a, 0, 1);	/* sealed parts never change; some cluster file systems have no locks */
#endif
	H5Pset_fclose_degree(a, H5F_CLOSE_STRONG);
	return a;
}

static enum status
named(struct h5 *f, const char *path)
{
	f->id = -1;
	f->path = file_path("%s", path);
	return f->path ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", path);
}

enum status
h5_open(struct h5 *f, const char *path)
{
	hid_t a;

	ACE_TRY(named(f, path));
	h5_enter();
	a = access_list();
	f->id = H5Fopen(path, H5F_ACC_RDONLY, a);
	H5Pclose(a);
	if (f->id < 0) {
		(void)ace_fail(file_exists(path) ? ACE_EDATA : ACE_ENOINPUT, "%s: %s", path,
		               file_exists(path) ? "damaged: not a whole HDF5 file" : "no such file");
		free(f->path);
		f->path = NULL;
		return h5_leave(file_exists(path) ? ACE_EDATA : ACE_ENOINPUT);
	}
	return h5_leave(ACE_OK);
}

/* The memory that the library composes a file in, handed to us when it closes it: only then is the image whole (with the
 * newest headers, a copy of an open file has a superblock whose checksum is wrong). */
struct image {
	unsigned char *data;
	size_t size;
};

static void *
image_realloc(void *data, size_t size, H5FD_file_image_op_t op, void *me)
{
	void *more = realloc(data, size);

	(void)op;
	if (more)
		((struct image *)me)->size = size;
	return more;
}

static herr_t
image_free(void *data, H5FD_file_image_op_t op, void *me)
{
	struct image *i = me;

	if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE) {
		free(i->data);	/* where there is a file of that name, HDF5 reads it and closes it first */
		i->data = data;
	} else {
		free(data);
	}
	return 0;
}

static void *
image_me(void *me)
{
	return me;
}

static herr_t
image_done(void *me)
{
	(void)me;
	return 0;
}

enum status
h5_create(struct h5 *f, const char *path)
{
	H5FD_file_image_callbacks_t how = { .image_realloc = image_realloc, .image_free = image_free, .udata_copy = image_me,
		                            .udata_free = image_done };
	hid_t a, c;

	ACE_TRY(named(f, path));
	f->image = calloc(1, sizeof *f->image);
	how.udata = f->image;
	h5_enter();
	a = access_list();
	c = H5Pcreate(H5P_FILE_CREATE);
	H5Pset_fapl_core(a, PIECE, 0);
	H5Pset_file_image_callbacks(a, &how);
	H5Pset_obj_track_times(c, 0);
	f->id = f->image ? H5Fcreate(path, H5F_ACC_TRUNC, c, a) : -1;
	H5Pclose(c);
	H5Pclose(a);
	(void)h5_leave(ACE_OK);
	if (f->id < 0) {
		h5_close(f);
		return ace_fail(ACE_ENOMEM, "%s: cannot compose an HDF5 file in memory", path);
	}
	return ACE_OK;
}

void
h5_close(struct h5 *f)
{
	if (!f->path)
		return;
	if (f->id >= 0) {
		h5_enter();
		H5Fclose(f->id);
		(void)h5_leave(ACE_OK);
	}
	if (f->image)
		free(f->image->data);
	free(f->image);
	free(f->path);
	*f = (struct h5){ .id = -1 };
}

enum status
h5_save(struct h5 *f, int64_t *bytes)
{
	enum { END = 28 };	/* of the superblock, versions 2 and 3: where the file ends, 8 bytes */
	enum status st = ACE_OK;
	struct image *m = f->image;
	uint64_t n = 0;
	bool ok;

	h5_enter();
	ok = H5Fclose(f->id) >= 0;
	(void)h5_leave(st);
	f->id = -1;
	for (int i = 7; ok && m->data && m->size > END + 8 && i >= 0; i--)
		n = n << 8 | m->data[END + i];
	if (n == 0 || n > m->size)
		st = ace_fail(ACE_ENOMEM, "%s: no memory to compose it", f->path);
	else
		st = file_write(f->path, m->data, n);
	*bytes = (int64_t)n;
	h5_close(f);
	return st;
}

/* --- attributes of the root --- */

hid_t
h5_text_type(size_t size, H5T_str_t pad)
{
	hid_t t = H5Tcopy(H5T_C_S1);

	H5Tset_size(t, size > 0 ? size : 1);
	H5Tset_strpad(t, pad);
	H5Tset_cset(t, H5T_CSET_UTF8);
	return t;
}

static herr_t
attach(hid_t to, const char *name, hid_t file_type, hid_t memory_type, const void *v)
{
	hid_t space = H5Screate(H5S_SCALAR);
	hid_t a = H5Acreate2(to, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
	herr_t e = a < 0 ? -1 : H5Awrite(a, memory_type, v);

	if (a >= 0)
		H5Aclose(a);
	H5Sclose(space);
	return e;
}

herr_t
h5_attach_text(hid_t to, const char *name, const char *text)
{
	hid_t t = h5_text_type(strlen(text), H5T_STR_NULLPAD);
	herr_t e = attach(to, name, t, t, text);

	H5Tclose(t);
	return e;
}

enum status
h5_put_i64(struct h5 *f, const char *name, int64_t v)
{
	h5_enter();
	return h5_leave(attach(f->id, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &v) < 0 ? h5_unmade(f, name) : ACE_OK);
}

enum status
h5_put_text(struct h5 *f, const char *name, const char *text)
{
	h5_enter();
	return h5_leave(h5_attach_text(f->id, name, text) < 0 ? h5_unmade(f, name) : ACE_OK);
}

enum status
h5_get_i64(struct h5 *f, const char *name, int64_t *v)
{
	herr_t e = -1;
	hid_t a, s;

	h5_enter();
	a = H5Aopen(f->id, name, H5P_DEFAULT);
	if (a >= 0) {
		s = H5Aget_space(a);
		if (s >= 0 && H5Sget_simple_extent_npoints(s) == 1)
			e = H5Aread(a, H5T_NATIVE_INT64, v);
		H5Sclose(s);
		H5Aclose(a);
	}
	return h5_leave(e < 0 ? h5_bad(f, "attribute", name) : ACE_OK);
}

enum status
h5_put_facts(struct h5 *f, const struct facts *facts)
{
	for (int i = 0; i < facts->n; i++)
		ACE_TRY(h5_put_text(f, facts->fact[i].name, facts->fact[i].value));
	return ACE_OK;
}

/* Attribute number i, when it is a short text. */
static herr_t
get_fact(hid_t file, hsize_t i, struct facts *facts)
{
	char name[FACT_NAME], value[FACT_VALUE] = "";
	hid_t a = H5Aopen_by_idx(file, ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT), t, m, s;
	herr_t e = -1;

	if (a < 0)
		return -1;
	t = H5Aget_type(a);
	s = H5Aget_space(a);
	if (H5Tget_class(t) != H5T_STRING) {
		e = 0;
	} else if (H5Tis_variable_str(t) == 0 && H5Tget_size(t) < sizeof value && H5Sget_simple_extent_npoints(s) == 1 &&
	           H5Aget_name(a, sizeof name, name) < (ssize_t)sizeof name && facts->n < FACTS_MAX) {
		m = h5_text_type(sizeof value, H5T_STR_NULLTERM);
		e = H5Aread(a, m, value);
		H5Tclose(m);
		if (e >= 0)
			facts_set(facts, name, false, "%s", value);
	}
	H5Sclose(s);
	H5Tclose(t);
	H5Aclose(a);
	return e;
}

enum status
h5_get_facts(struct h5 *f, struct facts *facts)
{
	H5O_info_t info;
	herr_t e;

	facts->n = 0;
	h5_enter();
	e = H5Oget_info1(f->id, &info);
	for (hsize_t i = 0; e >= 0 && i < info.num_attrs; i++)
		e = get_fact(f->id, i, facts);
	return h5_leave(e < 0 ? h5_bad(f, "the", "attributes") : ACE_OK);
}
