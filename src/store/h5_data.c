/* SPDX-License-Identifier: Apache-2.0 */
#include "store/h5_lib.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 20 };	/* bytes of a table's chunk */
#define TABLE_LIMIT ((size_t)1 << 31)

/* The compound of t; texts: as wide as in the table. */
static hid_t
row_type(const struct table *t, H5T_str_t pad)
{
	hid_t c = H5Tcreate(H5T_COMPOUND, t->stride), s;

	for (int i = 0; c >= 0 && i < t->columns; i++) {
		const struct column *k = &t->column[i];
		switch (k->kind) {
		case COLUMN_I64:
			H5Tinsert(c, k->name, k->offset, H5T_NATIVE_INT64);
			break;
		case COLUMN_F64:
			H5Tinsert(c, k->name, k->offset, H5T_NATIVE_DOUBLE);
			break;
		case COLUMN_TEXT:
			s = h5_text_type(k->size, pad);
			H5Tinsert(c, k->name, k->offset, s);
			H5Tclose(s);
			break;
		}
	}
	return c;
}

static hid_t
create_list(int rank, const hsize_t *chunk)
{
	hid_t c = H5Pcreate(H5P_DATASET_CREATE);

	H5Pset_chunk(c, rank, chunk);
	H5Pset_fletcher32(c);
	H5Pset_obj_track_times(c, 0);
	H5Pset_fill_time(c, H5D_FILL_TIME_NEVER);
	return c;
}

/* The group in front of a name. Made by itself, since one that comes along with its first array keeps the time. */
static void
make_group(hid_t file, const char *name)
{
	const char *slash = strrchr(name, '/');
	char group[64];
	hid_t c;

	if (!slash)
		return;
	assert((size_t)(slash - name) < sizeof group);
	snprintf(group, sizeof group, "%.*s", (int)(slash - name), name);
	if (H5Lexists(file, group, H5P_DEFAULT) > 0)
		return;
	c = H5Pcreate(H5P_GROUP_CREATE);
	H5Pset_obj_track_times(c, 0);
	H5Gclose(H5Gcreate2(file, group, H5P_DEFAULT, c, H5P_DEFAULT));
	H5Pclose(c);
}

static herr_t
put(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dim, const hsize_t *chunk, const void *data,
    const char *dtype)
{
	hid_t space = H5Screate_simple(rank, dim, NULL), c = create_list(rank, chunk), d;
	herr_t e = -1;

	make_group(file, name);
	d = H5Dcreate2(file, name, type, space, H5P_DEFAULT, c, H5P_DEFAULT);
	if (d >= 0) {
		e = H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
		if (e >= 0 && dtype)
			e = h5_attach_text(d, "dtype", dtype);
		if (H5Dclose(d) < 0)
			e = -1;
	}
	H5Pclose(c);
	H5Sclose(space);
	return e;
}

enum status
h5_put_table(struct h5 *f, const char *name, const struct table *t)
{
	hsize_t n = (hsize_t)t->n, chunk = PIECE / t->stride + 1;
	hid_t type;
	herr_t e;

	if (t->n == 0)
		return ACE_OK;
	h5_enter();
	type = row_type(t, H5T_STR_NULLTERM);
	e = put(f->id, name, type, 1, &n, chunk < n ? &chunk : &n, t->row, NULL);
	H5Tclose(type);
	return h5_leave(e < 0 ? h5_unmade(f, name) : ACE_OK);
}

/* Text sizes of the wanted columns, as the file has them. */
static bool
learn(hid_t type, struct table *t)
{
	for (int i = 0; i < t->columns; i++) {
		int m = H5Tget_member_index(type, t->column[i].name);
		H5T_class_t want = t->column[i].kind == COLUMN_TEXT  ? H5T_STRING
		                   : t->column[i].kind == COLUMN_F64 ? H5T_FLOAT
		                                                     : H5T_INTEGER;
		hid_t k;
		size_t size;
		if (m < 0 || H5Tget_member_class(type, (unsigned)m) != want)
			return false;
		k = H5Tget_member_type(type, (unsigned)m);
		size = H5Tget_size(k);
		if (want == H5T_STRING && H5Tis_variable_str(k) != 0)
			size = TABLE_TEXT;
		H5Tclose(k);
		if (want == H5T_STRING && size >= TABLE_TEXT)
			return false;
		if (want == H5T_STRING)
			table_widen(t, i, size);
	}
	return true;
}

enum status
h5_get_table(struct h5 *f, const char *name, struct table *t)
{
	enum status st = ACE_OK;
	hid_t d, type = -1, space = -1, m;
	hsize_t n = 0;
	bool ok;

	h5_enter();
	if (H5Lexists(f->id, name, H5P_DEFAULT) == 0)
		return h5_leave(table_rows(t, 0));
	d = H5Dopen2(f->id, name, H5P_DEFAULT);
	ok = d >= 0 && (type = H5Dget_type(d)) >= 0 && H5Tget_class(type) == H5T_COMPOUND &&
	     (space = H5Dget_space(d)) >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
	     H5Sget_simple_extent_dims(space, &n, NULL) == 1 && learn(type, t) && n < TABLE_LIMIT / t->stride;
	if (ok)
		st = table_rows(t, (int64_t)n);
	if (ok && st == ACE_OK) {
		m = row_type(t, H5T_STR_NULLTERM);
		ok = H5Dread(d, m, H5S_ALL, H5S_ALL, H5P_DEFAULT, t->row) >= 0;
		H5Tclose(m);
	}
	H5Sclose(space);
	H5Tclose(type);
	H5Dclose(d);
	if (!ok) {
		table_free(t);
		st = h5_bad(f, "table", name);
	}
	return h5_leave(st);
}

/* --- arrays --- */

static hid_t
file_type(enum dtype t)
{
	switch (t) {
	case U8:
		return H5T_STD_U8LE;
	case BF16:
	case U16:
		return H5T_STD_U16LE;
	case I32:
		return H5T_STD_I32LE;
	case F32:
		return H5T_IEEE_F32LE;
	case F64:
		return H5T_IEEE_F64LE;
	case F16:
	case F8:
	case I8:
	case I64:
	case U32:
	case I16:
	case BOOL:
	case I4:
		break;
	}
	assert(!"a type that stores do not use");
	return -1;
}

enum status
h5_put_array(struct h5 *f, const char *name, enum dtype t, int rank, const int64_t *dim, const int64_t *chunk,
             const void *data)
{
	hsize_t n[H5_RANK], c[H5_RANK];
	herr_t e;

	assert(rank >= 1 && rank <= H5_RANK);
	for (int i = 0; i < rank; i++) {
		if (dim[i] == 0)
			return ACE_OK;
		n[i] = (hsize_t)dim[i];
		c[i] = (hsize_t)(chunk[i] < dim[i] ? chunk[i] : dim[i]);
	}
	h5_enter();
	e = put(f->id, name, file_type(t), rank, n, c, data, t == BF16 ? "bf16" : NULL);
	return h5_leave(e < 0 ? h5_unmade(f, name) : ACE_OK);
}

/* A U16 array is BF16 when its attribute says so. */
static bool
is_bf16(hid_t d)
{
	char text[8] = "";
	hid_t a = H5Aexists(d, "dtype") > 0 ? H5Aopen(d, "dtype", H5P_DEFAULT) : -1, t, m;

	if (a < 0)
		return false;
	t = H5Aget_type(a);
	if (H5Tget_class(t) == H5T_STRING && H5Tis_variable_str(t) == 0 && H5Tget_size(t) < sizeof text) {
		m = h5_text_type(sizeof text, H5T_STR_NULLTERM);
		if (H5Aread(a, m, text) < 0)
			text[0] = 0;
		H5Tclose(m);
	}
	H5Tclose(t);
	H5Aclose(a);
	return strcmp(text, "bf16") == 0;
}

static bool
same_type(hid_t d, enum dtype t)
{
	hid_t type = H5Dget_type(d);
	bool same = H5Tequal(type, file_type(t)) > 0 && (t == BF16) == (t == BF16 || t == U16 ? is_bf16(d) : false);

	H5Tclose(type);
	return same;
}

static bool
shape_of(hid_t d, int *rank, int64_t *dim)
{
	hid_t space = H5Dget_space(d);
	int r = H5Sget_simple_extent_ndims(space);
	hsize_t n[H5_RANK];
	bool ok = r >= 1 && r <= H5_RANK && H5Sget_simple_extent_dims(space, n, NULL) == r;

	for (int i = 0; ok && i < r; i++) {
		ok = n[i] < (hsize_t)1 << 40;
		dim[i] = (int64_t)n[i];
	}
	*rank = r;
	H5Sclose(space);
	return ok;
}

enum status
h5_shape(struct h5 *f, const char *name, enum dtype *t, int *rank, int64_t *dim)
{
	static const enum dtype known[] = { BF16, U16, F32, F64, I32, U8 };
	bool ok = false;
	hid_t d;

	h5_enter();
	d = H5Dopen2(f->id, name, H5P_DEFAULT);
	for (size_t i = 0; d >= 0 && !ok && i < sizeof known / sizeof *known; i++)
		if (same_type(d, known[i])) {
			*t = known[i];
			ok = shape_of(d, rank, dim);
		}
	H5Dclose(d);
	return h5_leave(ok ? ACE_OK : h5_bad(f, "array", name));
}

static bool
read_rows(hid_t d, enum dtype t, int rank, const int64_t *dim, int64_t first, int64_t n, void *data)
{
	hsize_t from[H5_RANK] = { (hsize_t)first }, count[H5_RANK] = { (hsize_t)n };
	int64_t have[H5_RANK];
	hid_t space, memory;
	bool ok;
	int r;

	if (!same_type(d, t) || !shape_of(d, &r, have) || r != rank || first < 0 || n < 1 || n > have[0] - first)
		return false;
	for (int i = 1; i < rank; i++) {
		if (have[i] != dim[i])
			return false;
		count[i] = (hsize_t)dim[i];
	}
	space = H5Dget_space(d);
	memory = H5Screate_simple(rank, count, NULL);
	ok = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, count, NULL) >= 0 &&
	     H5Dread(d, file_type(t), memory, space, H5P_DEFAULT, data) >= 0;
	H5Sclose(memory);
	H5Sclose(space);
	return ok;
}

enum status
h5_get_rows(struct h5 *f, const char *name, enum dtype t, int rank, const int64_t *dim, int64_t first, int64_t n, void *data)
{
	bool ok;
	hid_t d;

	h5_enter();
	d = H5Dopen2(f->id, name, H5P_DEFAULT);
	ok = d >= 0 && read_rows(d, t, rank, dim, first, n, data);
	H5Dclose(d);
	return h5_leave(ok ? ACE_OK : h5_bad(f, "array", name));
}
