/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a repository, in the order of their names. */
#include "base/file.h"
#include "data/hf_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH = 32, FILES = 1 << 21 };

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for a list of files");
}

static enum status
list(struct hf_listing *l, const struct hf_repo *r, const char *below, int depth);

static enum status
list_name(struct hf_listing *l, const struct hf_repo *r, char *name, const char *path, int depth)
{
	struct stat info;

	if (lstat(path, &info) != 0)
		return errno == ENOENT ? ACE_OK : ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
	if (S_ISDIR(info.st_mode))
		return list(l, r, name, depth + 1);
	if (S_ISLNK(info.st_mode) && (stat(path, &info) != 0 || !hf_repo_holds(r, path)))
		return ACE_OK;
	if (!S_ISREG(info.st_mode))
		return ACE_OK;
	if (l->n == FILES)
		return ace_fail(ACE_EDATA, "%s: more than %d files", r->root, FILES);
	if (l->n == l->cap) {
		int cap = l->cap ? 2 * l->cap : 64;
		char **more = realloc(l->name, (size_t)cap * sizeof *more);
		if (!more)
			return no_memory();
		l->name = more;
		l->cap = cap;
	}
	l->name[l->n] = strdup(name);
	return l->name[l->n] ? l->n++, ACE_OK : no_memory();
}

static enum status
list(struct hf_listing *l, const struct hf_repo *r, const char *below, int depth)
{
	char *folder = file_path("%s%s%s", r->root, *below ? "/" : "", below);
	DIR *d = folder ? opendir(folder) : NULL;
	enum status st = !folder ? no_memory() : !d ? ace_fail(ACE_EIO, "%s: %s", folder, strerror(errno)) : ACE_OK;
	struct dirent *e;

	if (st == ACE_OK && depth > DEPTH)
		st = ace_fail(ACE_EDATA, "%s: more than %d folders in each other", folder, DEPTH);
	while (st == ACE_OK && (e = readdir(d))) {
		char *name, *path;
		if (e->d_name[0] == '.')
			continue;
		name = file_path("%s%s%s", below, *below ? "/" : "", e->d_name);
		path = file_path("%s/%s", folder, e->d_name);
		st = name && path ? list_name(l, r, name, path, depth) : no_memory();
		free(name);
		free(path);
	}
	if (d)
		closedir(d);
	free(folder);
	return st;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum status
hf_listing_read(struct hf_listing *l, const struct hf_repo *r)
{
	*l = (struct hf_listing){ 0 };
	ACE_TRY(list(l, r, "", 0));
	if (l->n > 1)
		qsort(l->name, (size_t)l->n, sizeof *l->name, by_bytes);
	return ACE_OK;
}

void
hf_listing_free(struct hf_listing *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->name[i]);
	free(l->name);
	*l = (struct hf_listing){ 0 };
}
