/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hub.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { REF_LIMIT = 200 };

static const char *
set_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

char *
hub_cache(void)
{
	const char *v;

	if ((v = set_env("HF_HUB_CACHE")))
		return strdup(v);
	if ((v = set_env("HF_HOME")))
		return file_path("%s/hub", v);
	if ((v = set_env("XDG_CACHE_HOME")))
		return file_path("%s/huggingface/hub", v);
	v = set_env("HOME");
	return file_path("%s/.cache/huggingface/hub", v ? v : "");
}

/* A name of one step: no '/', no "..", nothing hidden. */
static bool
is_plain(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/');
}

/* The snapshot of a repository's folder that revision names, owned; NULL: there is none. */
static char *
snapshot(const char *repository, const char *revision)
{
	char *ref, *text = NULL, *path;
	size_t size;

	if (*revision == '.' || strstr(revision, ".."))
		return NULL;
	ref = file_path("%s/refs/%s", repository, revision);
	if (ref && file_exists(ref) && file_read(ref, REF_LIMIT, &text, &size) == ACE_OK)
		text[strcspn(text, " \r\n")] = 0;
	free(ref);
	path = file_path("%s/snapshots/%s", repository, text && is_plain(text) ? text : revision);
	free(text);
	if (path && file_is_dir(path))
		return path;
	free(path);
	return NULL;
}

enum status
hub_model(const char *name, const char *revision, char **folder)
{
	const char *slash = strchr(name, '/');
	char *cache, *repository, *found = NULL;

	*folder = NULL;
	if (file_is_dir(name)) {
		*folder = strdup(name);
		return *folder ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");
	}
	if (!slash || slash == name || !is_plain(slash + 1) || *name == '.')
		return ace_fail(ACE_ENOINPUT, "%s: no such folder; wanted a model folder (model=FOLDER)", name);
	cache = hub_cache();
	repository = cache ? file_path("%s/models--%.*s--%s", cache, (int)(slash - name), name, slash + 1) : NULL;
	if (repository)
		found = snapshot(repository, revision ? revision : "main");
	free(repository);
	if (!found) {
		enum status st = ace_fail(ACE_ENOINPUT, "%s: no such folder, and revision %s of it is not in %s; give model=FOLDER",
					  name, revision ? revision : "main", cache ? cache : "the hub cache");
		free(cache);
		return st;
	}
	free(cache);
	*folder = found;
	return ACE_OK;
}
