/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/arrow.h"

#include "base/file.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WHY = 400, PATH_MOST = 4096 };

static const struct arrow_shim *shim;

struct arrow_file {
	struct ArrowArrayStream stream;
	struct ArrowSchema schema;
	struct ArrowArray batch;
	char *path;
};

/* --- finding the shim --- */

/* The folder of the running program, without the '/' behind it; NULL when /proc does not tell. Owned. */
static char *
program_folder(void)
{
	char path[PATH_MOST], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n <= 0)
		return NULL;
	path[n] = 0;
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*slash = 0;
	return strdup(path);
}

static bool
load(const char *path, char *why, size_t size)
{
	const struct arrow_shim *(*get)(int);
	void *lib, *symbol;
	const char *said;

	if (!path || !file_exists(path))
		return false;
	lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		said = dlerror();
		snprintf(why, size, "%s", said ? said : "it cannot be loaded");
		return false;
	}
	symbol = dlsym(lib, "ace_arrow_shim");
	memcpy(&get, &symbol, sizeof get);	/* C has no cast for this */
	shim = symbol ? get(ARROW_SHIM_ABI) : NULL;
	if (!shim) {
		snprintf(why, size, "%s is of another build", path);
		dlclose(lib);
	}
	return shim != NULL;
}

enum status
arrow_load(void)
{
	static const char *const below[] = { "../formats", "../../src/formats", "../lib/" PACKAGE_TARNAME, NULL };
	const char *named = getenv("ACE_ARROW_SHIM");
	char why[WHY] = "", *folder;

	if (shim)
		return ACE_OK;
	if (named && *named) {
		if (!load(named, why, sizeof why))
			return ace_fail(ACE_EDEVICE, "ACE_ARROW_SHIM=%s: %s", named, *why ? why : "no such file");
		return ACE_OK;
	}
	folder = program_folder();
	for (int i = 0; folder && below[i] && !shim && !*why; i++) {
		char *path = file_path("%s/%s/ace-arrow.so", folder, below[i]);
		(void)load(path, why, sizeof why);
		free(path);
	}
	free(folder);
	if (!shim && !*why)
		(void)load(ACE_PKGLIBDIR "/ace-arrow.so", why, sizeof why);
	if (shim)
		return ACE_OK;
	if (*why)
		return ace_fail(ACE_EDEVICE, "Apache Arrow, which reads Parquet and Arrow files, cannot be loaded: %s", why);
	return ace_fail(ACE_EDEVICE, "this build has no Apache Arrow, which reads Parquet and Arrow files: "
	                "./quick-start arrow brings it, or configure --with-arrow=DIR");
}

const char *
arrow_version(void)
{
	return shim ? shim->version : "";
}

/* --- reading --- */

static enum status
fail(const char *path, int code, const char *why)
{
	enum status st = code == ENOENT ? ACE_ENOINPUT : code == EIO ? ACE_EIO : code == ENOMEM ? ACE_ENOMEM : ACE_EDATA;

	return ace_fail(st, "%s: %s", path, why && *why ? why : strerror(code));
}

enum status
arrow_open(struct arrow_file **out, const char *path, const char *const *columns)
{
	struct arrow_file *f;
	char why[WHY] = "";
	int rc;

	*out = NULL;
	if (!file_exists(path))
		return ace_fail(ACE_ENOINPUT, "%s: no such file", path);
	ACE_TRY(arrow_load());
	f = calloc(1, sizeof *f);
	if (!f || !(f->path = strdup(path))) {
		free(f);
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	}
	rc = shim->read(path, columns, &f->stream, why, sizeof why);
	if (rc == 0 && (rc = f->stream.get_schema(&f->stream, &f->schema)) != 0)
		snprintf(why, sizeof why, "%s", f->stream.get_last_error(&f->stream));
	if (rc != 0) {
		enum status st = fail(path, rc, why);
		arrow_close(f);
		return st;
	}
	if (strcmp(f->schema.format, "+s") != 0) {
		arrow_close(f);
		return ace_fail(ACE_EDATA, "%s: no table", path);
	}
	*out = f;
	return ACE_OK;
}

void
arrow_close(struct arrow_file *f)
{
	if (!f)
		return;
	if (f->batch.release)
		f->batch.release(&f->batch);
	if (f->schema.release)
		f->schema.release(&f->schema);
	if (f->stream.release)
		f->stream.release(&f->stream);
	free(f->path);
	free(f);
}

enum status
arrow_next(struct arrow_file *f, int64_t *rows)
{
	int rc;

	*rows = 0;
	do {
		if (f->batch.release)
			f->batch.release(&f->batch);
		f->batch = (struct ArrowArray){ 0 };
		rc = f->stream.get_next(&f->stream, &f->batch);
		if (rc != 0)
			return fail(f->path, rc, f->stream.get_last_error(&f->stream));
	} while (f->batch.release && f->batch.length == 0);
	*rows = f->batch.release ? f->batch.length : 0;
	return ACE_OK;
}

struct cell
arrow_row(const struct arrow_file *f, int64_t row)
{
	return cell_of_arrow(&f->schema, &f->batch, row);
}

const struct ArrowSchema *
arrow_schema(const struct arrow_file *f)
{
	return &f->schema;
}

enum status
arrow_parquet_rows(const char *path, int64_t *rows)
{
	char why[WHY] = "";
	int rc;

	*rows = 0;
	ACE_TRY(arrow_load());
	rc = shim->parquet_rows(path, rows, why, sizeof why);
	return rc == 0 ? ACE_OK : fail(path, rc, why);
}

enum status
arrow_write(const char *path, struct ArrowArrayStream *in, int64_t *rows)
{
	char why[WHY] = "";
	enum status st = arrow_load();
	int rc;

	*rows = 0;
	if (st != ACE_OK) {
		if (in->release)
			in->release(in);
		return st;
	}
	rc = shim->write(path, in, rows, why, sizeof why);
	return rc == 0 ? file_sync(path) : fail(path, rc, why);
}
