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

/* OWNER/NAME in the cache; give: what to give in its place. */
static enum status
in_cache(const char *name, const char *revision, const char *kind, const char *wanted, const char *give, char **folder)
{
	const char *slash = strchr(name, '/');
	char *cache, *repository;
	enum status st = ACE_OK;

	if (!slash || slash == name || !is_plain(slash + 1) || *name == '.')
		return ace_fail(ACE_ENOINPUT, "%s: no such folder; wanted %s", name, wanted);
	cache = hub_cache();
	repository = cache ? file_path("%s/%s--%.*s--%s", cache, kind, (int)(slash - name), name, slash + 1) : NULL;
	if (repository)
		*folder = snapshot(repository, revision ? revision : "main");
	free(repository);
	if (!*folder)
		st = ace_fail(ACE_ENOINPUT, "%s: no such folder, and revision %s of it is not in %s; give %s", name,
			      revision ? revision : "main", cache ? cache : "the hub cache", give);
	free(cache);
	return st;
}

static enum status
copy_of(const char *name, char **folder)
{
	*folder = strdup(name);
	return *folder ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");
}

enum status
hub_model(const char *name, const char *revision, char **folder)
{
	*folder = NULL;
	if (file_is_dir(name))
		return copy_of(name, folder);
	return in_cache(name, revision, "models", "a model folder (model=FOLDER)", "model=FOLDER", folder);
}

enum status
hub_dataset(const char *name, const char *revision, char **folder)
{
	char *snapshots;
	bool repository;

	*folder = NULL;
	if (!file_is_dir(name))
		return in_cache(name, revision, "datasets", "a folder, a file, or OWNER/NAME of the hub cache",
		                "a folder (ace-fetch brings it there)", folder);
	snapshots = file_path("%s/snapshots", name);
	repository = snapshots && file_is_dir(snapshots);
	free(snapshots);
	if (!repository)
		return copy_of(name, folder);
	*folder = snapshot(name, revision ? revision : "main");
	if (!*folder)
		return ace_fail(ACE_ENOINPUT, "%s: revision %s of it is not in this cache", name, revision ? revision : "main");
	return ACE_OK;
}

char *
hub_own_vocab(void)
{
	const char *v = set_env("XDG_CACHE_HOME");

	if (v)
		return file_path("%s/ace-toolchain/lyric_vocab.json", v);
	v = set_env("HOME");
	return file_path("%s/.cache/ace-toolchain/lyric_vocab.json", v ? v : "");
}

char *
hub_lyric_vocab(const char *model)
{
	char *beside = file_path("%s/lyric_vocab.json", model), *own;

	if (!beside || file_exists(beside))
		return beside;
	own = hub_own_vocab();
	if (own && file_exists(own)) {
		free(beside);
		return own;
	}
	free(own);
	return beside;
}
