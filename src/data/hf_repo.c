/* SPDX-License-Identifier: Apache-2.0 */
#include "data/hf_repo.h"

#include "base/file.h"
#include "base/hub.h"
#include "data/discover.h"
#include "data/hf_parts.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STATE_LIMIT = 64 << 20, SHARDS = 1 << 20, SPLITS = 1000 };

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for a list of files");
}

/* --- what may be reached --- */

enum status
hf_repo_allow(struct hf_repo *r, const char *folder)
{
	char *real = realpath(folder, NULL), **more;

	if (!real)
		return ACE_OK;
	more = realloc(r->inside, (size_t)(r->insides + 1) * sizeof *more);
	if (!more) {
		free(real);
		return no_memory();
	}
	r->inside = more;
	r->inside[r->insides++] = real;
	return ACE_OK;
}

bool
hf_repo_holds(const struct hf_repo *r, const char *path)
{
	char *real = realpath(path, NULL);
	bool inside = false;

	for (int i = 0; real && !inside && i < r->insides; i++) {
		size_t n = strcmp(r->inside[i], "/") == 0 ? 0 : strlen(r->inside[i]);
		inside = strncmp(real, r->inside[i], n) == 0 && real[n] == '/';
	}
	free(real);
	return inside;
}

char *
hf_followed(const struct hf_repo *r, const char *path)
{
	enum { LINK_LIMIT = 300 };
	const char *slash = strrchr(path, '/');
	char *text = NULL, *target = NULL;
	int64_t size = r->blobs ? file_size(path) : -1;
	size_t n;

	if (slash && size > 3 && size < LINK_LIMIT && file_read(path, LINK_LIMIT, &text, &n) == ACE_OK &&
	    strncmp(text, "../", 3) == 0 && strlen(text) == n && !strchr(text, '\n')) {
		target = file_path("%.*s/%s", (int)(slash - path), path, text);
		if (target && (!file_exists(target) || !hf_repo_holds(r, target))) {
			free(target);
			target = NULL;
		}
	}
	free(text);
	return target ? target : strdup(path);
}

static enum status
set_root(struct hf_repo *r, const char *root)
{
	char *blobs = file_path("%s/../../blobs", root), *real = realpath(root, NULL), *up;
	enum status st = ACE_OK;

	r->root = strdup(root);
	if (!r->root || !blobs)
		st = no_memory();
	if (st == ACE_OK)
		st = hf_repo_allow(r, root);
	/* a snapshot of the hub cache is made of links to files beside it */
	up = real ? strrchr(real, '/') : NULL;
	if (st == ACE_OK && up && up - real >= 10 && strncmp(up - 10, "/snapshots", 10) == 0) {
		st = hf_repo_allow(r, blobs);
		r->blobs = blobs;
		blobs = NULL;
	}
	free(blobs);
	free(real);
	return st;
}

/* --- files and splits --- */

bool
hf_kind_of(const char *name, enum hf_kind *kind)
{
	static const struct { const char *end; enum hf_kind kind; } known[] = {
		{ ".parquet", HF_ARROW }, { ".arrow", HF_ARROW }, { ".csv", HF_CSV }, { ".jsonl", HF_JSON }, { ".json", HF_JSON },
		{ ".tar", HF_TAR }, { ".tar.gz", HF_TAR }, { ".tgz", HF_TAR }, { ".tar.zst", HF_TAR },
	};
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t m = strlen(known[i].end);
		if (n > m && strcasecmp(name + n - m, known[i].end) == 0) {
			*kind = known[i].kind;
			return true;
		}
	}
	return false;
}

const struct hf_split *
hf_repo_split(const struct hf_repo *r, const char *name)
{
	for (int i = 0; i < r->n; i++)
		if (strcmp(r->split[i].name, name) == 0)
			return &r->split[i];
	return NULL;
}

static enum status
split_named(struct hf_repo *r, const char *name, struct hf_split **out)
{
	struct hf_split *more;

	*out = (struct hf_split *)hf_repo_split(r, name);
	if (*out)
		return ACE_OK;
	if (r->n == SPLITS)
		return ace_fail(ACE_EDATA, "%s: more than %d splits", r->root, SPLITS);
	more = realloc(r->split, (size_t)(r->n + 1) * sizeof *more);
	if (!more)
		return no_memory();
	r->split = more;
	*out = &r->split[r->n];
	**out = (struct hf_split){ .name = strdup(name) };
	if (!(*out)->name)
		return no_memory();
	r->n++;
	return ACE_OK;
}

enum status
hf_repo_add(struct hf_repo *r, const char *split, const char *path, enum hf_kind kind)
{
	const char *slash = strrchr(path, '/');
	struct hf_split *s;
	struct hf_file *f;

	ACE_TRY(split_named(r, split, &s));
	if ((s->n & (s->n - 1)) == 0) {		/* full at each power of two */
		f = realloc(s->file, (size_t)(s->n ? 2 * s->n : 1) * sizeof *f);
		if (!f)
			return no_memory();
		s->file = f;
	}
	f = &s->file[s->n];
	*f = (struct hf_file){ .path = hf_followed(r, path), .kind = kind,
		.folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".") };
	s->n++;
	return f->path && f->folder ? ACE_OK : no_memory();
}

void
hf_repo_close(struct hf_repo *r)
{
	for (int i = 0; i < r->n; i++) {
		for (int k = 0; k < r->split[i].n; k++) {
			free(r->split[i].file[k].path);
			free(r->split[i].file[k].folder);
		}
		free(r->split[i].file);
		free(r->split[i].name);
	}
	for (int i = 0; i < r->insides; i++)
		free(r->inside[i]);
	free(r->inside);
	free(r->blobs);
	free(r->split);
	free(r->root);
	*r = (struct hf_repo){ 0 };
}

/* --- saved to disk --- */

/* A name of one step, as shards and splits have. */
static bool
is_plain(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 250;
}

static enum status
saved_split(struct hf_repo *r, const char *folder, const char *split)
{
	char *path = file_path("%s/state.json", folder);
	const cJSON *files, *f, *indices;
	cJSON *root = NULL;
	enum status st = path ? json_read(path, STATE_LIMIT, &root) : no_memory();

	files = cJSON_GetObjectItemCaseSensitive(root, "_data_files");
	indices = cJSON_GetObjectItemCaseSensitive(root, "_indices_files");
	if (st == ACE_OK && cJSON_GetArraySize(indices) > 0)
		st = ace_fail(ACE_EDATA, "%s: the set was saved with a selection of its rows (_indices_files)\n"
		              "flatten the indices first: dataset.flatten_indices().save_to_disk(...)", path);
	else if (st == ACE_OK && !cJSON_IsArray(files))
		st = ace_fail(ACE_EDATA, "%s: no list _data_files", path);
	else if (st == ACE_OK && cJSON_GetArraySize(files) > SHARDS)
		st = ace_fail(ACE_EDATA, "%s: %d files, at most %d can be", path, cJSON_GetArraySize(files), SHARDS);
	cJSON_ArrayForEach(f, (st == ACE_OK ? files : NULL)) {
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(f, "filename");
		char *shard;
		if (!cJSON_IsString(name) || !is_plain(name->valuestring)) {
			st = ace_fail(ACE_EDATA, "%s: \"%.80s\" is no name of a file beside it", path,
			              cJSON_IsString(name) ? name->valuestring : "?");
			break;
		}
		shard = file_path("%s/%s", folder, name->valuestring);
		st = !shard ? no_memory()
		     : !file_exists(shard) ? ace_fail(ACE_ENOINPUT, "%s: no such file, and %s lists it", shard, path)
		     : !hf_repo_holds(r, shard) ? ace_fail(ACE_EDATA, "%s: a link that leaves the data set", shard)
		                                : hf_repo_add(r, split, shard, HF_ARROW);
		free(shard);
		if (st != ACE_OK)
			break;
	}
	/* names in the rows are relative to the set, not to a shard: the same folder here */
	cJSON_Delete(root);
	free(path);
	return st;
}

static enum status
saved_splits(struct hf_repo *r, const char *dict)
{
	const cJSON *list, *name;
	cJSON *root;
	enum status st = json_read(dict, STATE_LIMIT, &root);

	if (st != ACE_OK)
		return st;
	list = cJSON_GetObjectItemCaseSensitive(root, "splits");
	if (cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > SPLITS)
		st = ace_fail(ACE_EDATA, "%s: no list of splits", dict);
	cJSON_ArrayForEach(name, (st == ACE_OK ? list : NULL)) {
		char *folder;
		if (!cJSON_IsString(name) || !is_plain(name->valuestring)) {
			st = ace_fail(ACE_EDATA, "%s: \"%.80s\" is no name of a split", dict,
			              cJSON_IsString(name) ? name->valuestring : "?");
			break;
		}
		folder = file_path("%s/%s", r->root, name->valuestring);
		st = folder ? saved_split(r, folder, name->valuestring) : no_memory();
		free(folder);
		if (st != ACE_OK)
			break;
	}
	cJSON_Delete(root);
	return st;
}

/* The name of the split that a saved folder says it is; "train" when it says none. */
static enum status
saved_one(struct hf_repo *r)
{
	char *path = file_path("%s/state.json", r->root);
	const cJSON *split;
	cJSON *root = NULL;
	enum status st = path ? json_read(path, STATE_LIMIT, &root) : no_memory();

	split = cJSON_GetObjectItemCaseSensitive(root, "_split");
	if (st == ACE_OK)
		st = saved_split(r, r->root, cJSON_IsString(split) && is_plain(split->valuestring) ? split->valuestring
		                                                                                   : "train");
	cJSON_Delete(root);
	free(path);
	return st;
}

/* --- a repository without a card --- */

/* Whether word stands in the first n bytes of name by itself. */
static bool
has_word(const char *name, size_t n, const char *word)
{
	size_t m = strlen(word);

	for (size_t i = 0; i + m <= n; i++)
		if (strncasecmp(name + i, word, m) == 0 && (i == 0 || !isalnum((unsigned char)name[i - 1])) &&
		    (i + m == n || !isalnum((unsigned char)name[i + m])))
			return true;
	return false;
}

/* The split that a file's name or else its folders' names tell. */
static const char *
split_by_name(const char *name)
{
	static const struct { const char *word, *split; } words[] = {
		{ "train", "train" }, { "training", "train" }, { "test", "test" }, { "eval", "test" },
		{ "validation", "validation" }, { "valid", "validation" }, { "val", "validation" }, { "dev", "validation" },
	};
	const char *end = name + strlen(name);

	while (end > name) {
		const char *start = end;
		while (start > name && start[-1] != '/')
			start--;
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (has_word(start, (size_t)(end - start), words[i].word))
				return words[i].split;
		end = start > name ? start - 1 : name;
	}
	return "train";
}

static const char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool
is_metadata(const char *name)
{
	name = name_of(name);
	return strcmp(name, "metadata.csv") == 0 || strcmp(name, "metadata.jsonl") == 0 || strcmp(name, "metadata.parquet") == 0;
}

static bool
ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcasecmp(name + n - m, end) == 0;
}

/* Files of the first kind that there is, in the order of datasets.md 4.4. */
static bool
is_of_group(const char *name, int group)
{
	enum hf_kind kind;

	switch (group) {
	case 0: return strncmp(name, "data/", 5) == 0 && !strchr(name + 5, '/') && ends_with(name, ".parquet") && !is_metadata(name);
	case 1: return ends_with(name, ".parquet") && !is_metadata(name);
	case 2: return ends_with(name, ".arrow");
	case 3: return ends_with(name, ".jsonl") && !is_metadata(name);
	case 4: return ends_with(name, ".csv") && !is_metadata(name);
	case 5: return is_metadata(name);
	case 6: return hf_kind_of(name, &kind) && kind == HF_TAR;
	case 7: return ends_with(name, ".json") && strcmp(name_of(name), "dataset_infos.json") != 0;
	default: return false;
	}
}

static enum status
plain_splits(struct hf_repo *r, const struct hf_listing *l)
{
	enum { GROUPS = 8 };
	int found = 0, songs = 0;

	for (int group = 0; group < GROUPS && found == 0; group++)
		for (int i = 0; i < l->n; i++) {
			enum hf_kind kind;
			char *path;
			enum status st;
			if (!is_of_group(l->name[i], group) || !hf_kind_of(l->name[i], &kind))
				continue;
			path = file_path("%s/%s", r->root, l->name[i]);
			st = path ? hf_repo_add(r, split_by_name(l->name[i]), path, kind) : no_memory();
			free(path);
			if (st != ACE_OK)
				return st;
			found++;
		}
	for (int i = 0; i < l->n; i++)
		songs += songs_is_sound(l->name[i]);
	if (found > 0)
		return ACE_OK;
	if (songs > 0)
		return ace_fail(ACE_EDATA, "%s: a folder of %d songs without metadata.csv or metadata.jsonl: nothing to import\n"
		                "ace-preprocess dataset=%s takes it as it is", r->root, songs, r->root);
	return ace_fail(ACE_EDATA, "%s: no data set: no state.json, and no .parquet, .arrow, .jsonl, .csv or .tar file in it", r->root);
}

static enum status
repository(struct hf_repo *r, const char *config)
{
	struct hf_listing l = { 0 };
	enum status st = hf_listing_read(&l, r);
	bool found = false;

	r->what = "a repository";
	if (st == ACE_OK)
		st = hf_card_splits(r, &l, config, &found);
	if (st == ACE_OK && !found && config)
		st = ace_fail(ACE_EDATA, "%s: no README.md with a configuration \"%s\"", r->root, config);
	if (st == ACE_OK && !found)
		st = plain_splits(r, &l);
	hf_listing_free(&l);
	return st;
}

/* --- what was given --- */

static enum status
one_file(struct hf_repo *r, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	enum hf_kind kind;
	enum status st = folder ? set_root(r, folder) : no_memory();

	free(folder);
	r->what = "one file";
	if (st != ACE_OK)
		return st;
	if (!hf_kind_of(path, &kind))
		return ace_fail(ACE_EDATA, "%s: no data set; wanted a folder, or a .parquet, .arrow, .jsonl, .json, .csv or .tar file",
		                path);
	return hf_repo_add(r, "train", path, kind);
}

/* A cache of many repositories, of which one is wanted. */
static bool
is_cache(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d)))
		found = strncmp(e->d_name, "datasets--", 10) == 0 || strncmp(e->d_name, "models--", 8) == 0;
	if (d)
		closedir(d);
	return found;
}

static bool
has(const char *folder, const char *name)
{
	char *path = file_path("%s/%s", folder, name);
	bool there = path && file_exists(path);

	free(path);
	return there;
}

static enum status
one_folder(struct hf_repo *r, const char *folder, const char *config)
{
	char *dict;
	enum status st;

	if (is_cache(folder))
		return ace_fail(ACE_ENOINPUT, "%s: a hub cache of many repositories; give OWNER/NAME with HF_HUB_CACHE=%s, or one of its "
		                "folders", folder, folder);
	ACE_TRY(set_root(r, folder));
	if (!has(folder, "dataset_dict.json") && !has(folder, "state.json"))
		return repository(r, config);
	r->what = "a set saved to disk";
	if (config)
		return ace_fail(ACE_EUSAGE, "%s: a set saved to disk has no configurations, and \"%s\" was asked for", folder, config);
	if (!has(folder, "dataset_dict.json"))
		return saved_one(r);
	dict = file_path("%s/dataset_dict.json", folder);
	st = dict ? saved_splits(r, dict) : no_memory();
	free(dict);
	return st;
}

enum status
hf_repo_open(struct hf_repo *r, const char *source, const char *revision, const char *config)
{
	char *folder = NULL;
	enum status st = ACE_OK;
	size_t n = strlen(source);

	*r = (struct hf_repo){ .what = "a data set" };
	if (file_exists(source) && !file_is_dir(source)) {
		st = one_file(r, source);
	} else {
		st = hub_dataset(source, revision, &folder);
		for (n = folder ? strlen(folder) : 0; n > 1 && folder[n - 1] == '/'; n--)
			folder[n - 1] = 0;
		if (st == ACE_OK)
			st = one_folder(r, folder, config);
	}
	for (int i = 0; st == ACE_OK && i < r->n; i++)
		if (r->split[i].n == 0)
			st = ace_fail(ACE_EDATA, "%s: split \"%s\" has no files", source, r->split[i].name);
	free(folder);
	if (st != ACE_OK)
		hf_repo_close(r);
	return st;
}
