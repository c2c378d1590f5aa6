/* SPDX-License-Identifier: Apache-2.0 */
#include "base/datadir.h"

#include "base/file.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEVELS = 6 };		/* build/tests/ROOM of a build folder two below the tree, and one to spare */

static char *
try_root(const char *root, const char *folder, const char *name)
{
	char *path = file_path("%s/%s/%s", root, folder, name);

	if (path && file_exists(path))
		return path;
	free(path);
	return NULL;
}

static char *
above_program(const char *folder, const char *name)
{
	char exe[PATH_MAX], *slash, *path = NULL;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n <= 0)
		return NULL;
	exe[n] = 0;
	for (int i = 0; i < LEVELS && !path && (slash = strrchr(exe, '/')) && slash > exe; i++) {
		*slash = 0;
		path = try_root(exe, folder, name);
	}
	return path;
}

char *
datadir_file(const char *folder, const char *name)
{
	const char *root = getenv("ACE_DATADIR");
	char *path = root && *root ? try_root(root, folder, name) : NULL;

	path = path ? path : try_root(".", folder, name);
	path = path ? path : above_program(folder, name);
	return path ? path : try_root(ACE_PKGDATADIR, folder, name);
}

char *
datadir_find(const char *name)
{
	return datadir_file("datasets", name);
}
