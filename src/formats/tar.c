/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/tar.h"

#include "base/file.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifndef HAVE_ARCHIVE

bool
tar_load(void)
{
	return false;
}

enum status
tar_open(struct tar **t, const char *path)
{
	*t = NULL;
	return ace_fail(ACE_EDEVICE, "%s: this build has no libarchive, which reads tar files: install libarchive-dev (Debian) or "
	                "libarchive-devel (Fedora) and configure again", path);
}

void
tar_close(struct tar *t)
{
	(void)t;
}

enum status
tar_next(struct tar *t, struct tar_member *m, bool *more)
{
	(void)t;
	(void)m;
	*more = false;
	return ACE_OK;
}

#else

#include <archive.h>
#include <archive_entry.h>

enum { PIECE = 1 << 18, RATIO = 1000 };
#define SLACK ((int64_t)64 << 20)	/* what any archive may unpack to, whatever its size */

/* The functions, by their names. */
#define NEEDED(F) \
	F(archive_read_new) F(archive_read_free) F(archive_read_support_format_tar) F(archive_read_support_filter_gzip) \
	F(archive_read_support_filter_zstd) F(archive_read_support_filter_xz) F(archive_read_open_filename) \
	F(archive_read_next_header) F(archive_read_data) F(archive_read_data_skip) F(archive_error_string) \
	F(archive_entry_pathname) F(archive_entry_filetype) F(archive_entry_size) F(archive_entry_hardlink)

static struct {
	bool tried, there;
#define MEMBER(f) __typeof__(f) *f;
	NEEDED(MEMBER)
#undef MEMBER
} lib;

struct tar {
	struct archive *a;
	char *path, *data, *name;
	size_t cap;
	int64_t size, unpacked;
};

bool
tar_load(void)
{
	static const char *const names[] = { "libarchive.so.13", "libarchive.so" };
	void *so = NULL, *f;

	if (lib.tried)
		return lib.there;
	lib.tried = true;
	for (int i = 0; i < 2 && !so; i++)
		so = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	lib.there = so != NULL;
#define FIND(name)                                    \
	f = so ? dlsym(so, #name) : NULL;             \
	memcpy(&lib.name, &f, sizeof f);              \
	lib.there = lib.there && f;
	NEEDED(FIND)
#undef FIND
	return lib.there;
}

enum status
tar_open(struct tar **out, const char *path)
{
	struct tar *t;

	*out = NULL;
	if (!tar_load())
		return ace_fail(ACE_EDEVICE, "%s: libarchive, which reads tar files, is not installed here", path);
	if (!file_exists(path))
		return ace_fail(ACE_ENOINPUT, "%s: no such file", path);
	t = calloc(1, sizeof *t);
	if (!t || !(t->path = strdup(path)) || !(t->a = lib.archive_read_new())) {
		tar_close(t);
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	}
	t->size = file_size(path);
	lib.archive_read_support_format_tar(t->a);
	(void)lib.archive_read_support_filter_gzip(t->a);
	(void)lib.archive_read_support_filter_zstd(t->a);
	(void)lib.archive_read_support_filter_xz(t->a);
	if (lib.archive_read_open_filename(t->a, path, PIECE) != ARCHIVE_OK) {
		const char *why = lib.archive_error_string(t->a);
		enum status st = ace_fail(ACE_EDATA, "%s: no tar archive (%s)", path, why ? why : "unknown format");
		tar_close(t);
		return st;
	}
	*out = t;
	return ACE_OK;
}

void
tar_close(struct tar *t)
{
	if (!t)
		return;
	if (t->a)
		lib.archive_read_free(t->a);
	free(t->data);
	free(t->name);
	free(t->path);
	free(t);
}

static enum status
damaged(const struct tar *t)
{
	const char *why = lib.archive_error_string(t->a);

	return ace_fail(ACE_EDATA, "%s: damaged archive: %s", t->path, why ? why : "it ends early");
}

static bool
leaves(const char *name)
{
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return true;
		p += n + (p[n] == '/');
	}
	return false;
}

/* What makes a member unusable; NULL: nothing. */
static const char *
wrong_with(struct archive_entry *e, const char *name)
{
	if (lib.archive_entry_hardlink(e) || lib.archive_entry_filetype(e) == AE_IFLNK)
		return "a link";
	if (lib.archive_entry_filetype(e) != AE_IFREG)
		return "no file";
	if (name[0] == '/')
		return "an absolute name";
	if (leaves(name))
		return "a name that leaves the archive";
	return lib.archive_entry_size(e) < 0 || (uint64_t)lib.archive_entry_size(e) > TAR_MEMBER ? "larger than 1 GiB" : NULL;
}

/* All of a member; memory grows with what arrives, not with what is promised. */
static enum status
read_data(struct tar *t, size_t *size, const char **wrong)
{
	ssize_t got;

	*size = 0;
	do {
		if (t->cap - *size < PIECE) {
			size_t cap = t->cap ? 2 * t->cap : (size_t)4 * PIECE;
			char *more = realloc(t->data, cap + 1);
			if (!more)
				return ace_fail(ACE_ENOMEM, "%s: no memory for a member", t->path);
			t->data = more;
			t->cap = cap;
		}
		got = lib.archive_read_data(t->a, t->data + *size, PIECE);
		if (got < 0)
			return damaged(t);
		*size += (size_t)got;
		t->unpacked += got;
		if (t->unpacked > SLACK && t->unpacked / RATIO > t->size)
			return ace_fail(ACE_EDATA, "%s: unpacks to more than %d times its size of %lld bytes", t->path, RATIO,
			                (long long)t->size);
		if (*size > TAR_MEMBER) {
			*wrong = "larger than 1 GiB";
			return ACE_OK;
		}
	} while (got > 0);
	t->data[*size] = 0;
	return ACE_OK;
}

enum status
tar_next(struct tar *t, struct tar_member *m, bool *more)
{
	struct archive_entry *e;
	const char *name;
	int rc;

	*m = (struct tar_member){ 0 };
	*more = false;
	do {
		rc = lib.archive_read_next_header(t->a, &e);
		if (rc == ARCHIVE_EOF)
			return ACE_OK;
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return damaged(t);
	} while (lib.archive_entry_filetype(e) == AE_IFDIR);
	name = lib.archive_entry_pathname(e);
	free(t->name);
	t->name = strdup(name ? name : "");
	if (!t->name)
		return ace_fail(ACE_ENOMEM, "%s: no memory", t->path);
	m->name = t->name;
	m->wrong = *t->name ? wrong_with(e, t->name) : "a name that cannot be read";
	*more = true;
	if (!m->wrong)
		ACE_TRY(read_data(t, &m->size, &m->wrong));
	if (m->wrong)
		m->size = 0;
	else
		m->data = t->data;
	return ACE_OK;
}
#endif
