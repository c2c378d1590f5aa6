/* SPDX-License-Identifier: Apache-2.0 */
/* The card of a data set, README.md: its YAML header says which files make up which split (datasets.md 4.4). */
#include "base/file.h"
#include "base/msg.h"
#include "data/hf_parts.h"

#include <stdlib.h>
#include <string.h>

enum { CARD_LIMIT = 16 << 20 };

/* Patterns come with the set: one that would take for ever to try matches nothing. */
static bool
match(const char *p, const char *s, int *tries)
{
	if (--*tries < 0)
		return false;
	for (; *p; p++) {
		if (p[0] == '*' && p[1] == '*') {
			p += 2;
			if (*p == '/' && match(p + 1, s, tries))	/* "**" may be no folder at all */
				return true;
			for (;; s++) {
				if (match(p, s, tries))
					return true;
				if (!*s)
					return false;
			}
		}
		if (*p == '*') {
			for (;; s++) {
				if (match(p + 1, s, tries))
					return true;
				if (!*s || *s == '/')
					return false;
			}
		}
		if (*p == '[' && strchr(p + 1, ']')) {
			bool not_in = p[1] == '!', in = false;
			if (!*s || *s == '/')
				return false;
			for (p += not_in ? 2 : 1; *p && *p != ']'; p++) {
				if (p[1] == '-' && p[2] && p[2] != ']') {
					in |= *s >= p[0] && *s <= p[2];
					p += 2;
				} else {
					in |= *s == *p;
				}
			}
			if (in == not_in || !*p)
				return false;
			s++;
			continue;
		}
		if (!*s || (*p == '?' ? *s == '/' : *p != *s))
			return false;
		s++;
	}
	return !*s;
}

bool
hf_glob(const char *pattern, const char *name)
{
	int tries = 100000;

	return match(pattern, name, &tries);
}

/* The lines of `configs` in the header between "---" lines; other keys may be written in any way. */
static bool
find_configs(const char *text, size_t size, const char **from, size_t *n)
{
	const char *end = text + size, *p = text;
	bool in = false;

	if (size < 4 || strncmp(text, "---", 3) != 0)
		return false;
	*from = NULL;
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p)), *next = eol ? eol + 1 : end;
		if (p > text && strncmp(p, "---", 3) == 0)
			break;
		if (strncmp(p, "configs:", 8) == 0) {
			*from = p;
			in = true;
		} else if (in && *p != ' ' && *p != '-' && *p != '\n' && *p != '\r' && *p != '#') {
			break;
		}
		p = next;
	}
	*n = *from ? (size_t)(p - *from) : 0;
	return *from != NULL;
}

/* Files that a pattern names, into a split. */
static enum status
add_pattern(struct hf_repo *r, const struct hf_listing *l, const char *split, const cJSON *pattern)
{
	const char *p = cJSON_IsString(pattern) ? pattern->valuestring : "";
	int found = 0;

	if (strncmp(p, "./", 2) == 0)
		p += 2;
	if (*p == '/' || strstr(p, "..") || strstr(p, "://"))
		return ace_fail(ACE_EDATA, "%s/README.md: data file \"%.100s\" of split \"%s\" is not in the repository", r->root, p,
		                split);
	for (int i = 0; i < l->n; i++) {
		enum hf_kind kind;
		enum status st;
		char *path;
		if (!hf_glob(p, l->name[i]) || !hf_kind_of(l->name[i], &kind))
			continue;
		path = file_path("%s/%s", r->root, l->name[i]);
		st = path ? hf_repo_add(r, split, path, kind) : ace_fail(ACE_ENOMEM, "no memory");
		free(path);
		if (st != ACE_OK)
			return st;
		found++;
	}
	if (found == 0)
		return ace_fail(ACE_ENOINPUT, "%s: no file \"%.100s\", which README.md names as split \"%s\"", r->root, p, split);
	return ACE_OK;
}

static enum status
add_patterns(struct hf_repo *r, const struct hf_listing *l, const char *split, const cJSON *v)
{
	const cJSON *one;

	if (!cJSON_IsArray(v))
		return add_pattern(r, l, split, v);
	cJSON_ArrayForEach(one, v)
		ACE_TRY(add_pattern(r, l, split, one));
	return ACE_OK;
}

/* data_files: a path, paths, or a list of {split, path}. */
static enum status
add_data_files(struct hf_repo *r, const struct hf_listing *l, const cJSON *files)
{
	const cJSON *one;

	if (cJSON_IsString(files))
		return add_pattern(r, l, "train", files);
	if (cJSON_IsObject(files)) {		/* {train: path, test: path} */
		cJSON_ArrayForEach(one, files)
			ACE_TRY(add_patterns(r, l, one->string, one));
		return ACE_OK;
	}
	cJSON_ArrayForEach(one, files) {
		const cJSON *split = cJSON_GetObjectItemCaseSensitive(one, "split");
		if (cJSON_IsString(one))
			ACE_TRY(add_pattern(r, l, "train", one));
		else
			ACE_TRY(add_patterns(r, l, cJSON_IsString(split) ? split->valuestring : "train",
			                     cJSON_GetObjectItemCaseSensitive(one, "path")));
	}
	return ACE_OK;
}

/* The configuration that was asked for, else the one that calls itself the default, else the only one. */
static const cJSON *
choose(const cJSON *configs, const char *wanted)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, configs) {
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(c, "config_name");
		const cJSON *is_default = cJSON_GetObjectItemCaseSensitive(c, "default");
		bool named = cJSON_IsString(name) && strcmp(name->valuestring, wanted ? wanted : "default") == 0;
		if (named || (!wanted && cJSON_IsString(is_default) && strcmp(is_default->valuestring, "true") == 0))
			return c;
	}
	return !wanted && cJSON_GetArraySize(configs) == 1 ? cJSON_GetArrayItem(configs, 0) : NULL;
}

static enum status
say_choice(const struct hf_repo *r, const cJSON *configs, const char *wanted)
{
	char names[300] = "";
	const cJSON *c;

	cJSON_ArrayForEach(c, configs) {
		const cJSON *name = cJSON_GetObjectItemCaseSensitive(c, "config_name");
		if (cJSON_IsString(name) && strlen(names) + strlen(name->valuestring) + 3 < sizeof names)
			strcat(strcat(names, *names ? ", " : ""), name->valuestring);
	}
	if (wanted)
		return ace_fail(ACE_EDATA, "%s: no configuration \"%s\"; there are %s", r->root, wanted, names);
	return ace_fail(ACE_EDATA, "%s: several configurations and none is the default: choose one of %s with config_name", r->root,
	                names);
}

enum status
hf_card_splits(struct hf_repo *r, const struct hf_listing *l, const char *config, bool *found)
{
	char *card = file_path("%s/README.md", r->root), *path = card ? hf_followed(r, card) : NULL, *text = NULL;
	const cJSON *configs, *chosen, *files;
	const char *from;
	size_t size, n;
	cJSON *root = NULL;
	enum status st = ACE_OK;

	*found = false;
	free(card);
	if (!path || !file_exists(path) || !hf_repo_holds(r, path)) {
		free(path);
		return ACE_OK;
	}
	st = file_read(path, CARD_LIMIT, &text, &size);
	if (st == ACE_OK && find_configs(text, size, &from, &n) && !(root = hf_yaml(from, n)))
		msg_warn("%s: its list of configs is written in a way that is not understood; going by the names of the files", path);
	configs = cJSON_GetObjectItemCaseSensitive(root, "configs");
	if (st == ACE_OK && cJSON_GetArraySize(configs) > 0) {
		chosen = choose(configs, config);
		files = cJSON_GetObjectItemCaseSensitive(chosen, "data_files");
		if (!chosen)
			st = say_choice(r, configs, config);
		else if (files && !cJSON_IsNull(files)) {
			*found = true;
			st = add_data_files(r, l, files);
		}
	}
	cJSON_Delete(root);
	free(text);
	free(path);
	return st;
}
