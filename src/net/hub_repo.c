/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hub_repo.h"

#include "base/file.h"
#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INFO_LIMIT = 64 << 20, PAGES_MOST = 100000, FILES_MOST = 5000000 };

/* --- which repository --- */

/* A name that the hub allows, and that is one step of a path. */
static bool
is_name(const char *text, size_t n)
{
	if (n == 0 || n > 96 || text[0] == '.' || text[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	return true;
}

static bool
is_revision(const char *text)
{
	if (!*text || strlen(text) > 200 || *text == '/' || *text == '.' || strstr(text, "..") || strstr(text, "//"))
		return false;
	for (; *text; text++)
		if (!isgraph((unsigned char)*text) || *text == '\\')
			return false;
	return true;
}

enum status
hub_repo_parse(struct hub_repo *r, const char *word, bool dataset, const char *revision)
{
	const char *at = strchr(word, '@'), *name = word, *slash;
	size_t n;

	*r = (struct hub_repo){ .dataset = dataset };
	if (strncmp(word, "datasets/", 9) == 0 && strchr(word + 9, '/')) {
		r->dataset = true;
		name = word + 9;
	} else if (strncmp(word, "models/", 7) == 0 && strchr(word + 7, '/')) {
		r->dataset = false;
		name = word + 7;
	}
	n = at ? (size_t)(at - name) : strlen(name);
	slash = memchr(name, '/', n);
	if (!slash || !is_name(name, (size_t)(slash - name)) || !is_name(slash + 1, n - (size_t)(slash - name) - 1))
		return ace_fail(ACE_EUSAGE, "\"%s\": wanted OWNER/NAME of a model, datasets/OWNER/NAME, or lyric-vocab", word);
	if (at)
		revision = at + 1;
	if (!is_revision(revision))
		return ace_fail(ACE_EUSAGE, "\"%s\" is no revision; wanted a branch, a tag or a commit", revision);
	r->name = strndup(name, n);
	r->revision = strdup(revision);
	return r->name && r->revision ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", word);
}

void
hub_repo_free(struct hub_repo *r)
{
	free(r->name);
	free(r->revision);
	*r = (struct hub_repo){ 0 };
}

/* --- asking --- */

static const char *
kind_of(const struct hub_repo *r)
{
	return r->dataset ? "data set" : "model";
}

/* Why the hub gives nothing. what: the repository, or a file of it. */
static enum status
refused(const struct hub *hub, const struct hub_repo *r, const char *what, const struct http_reply *a)
{
	char error[80] = "";
	const char *token = hub->token ? "the token is one of an account that may not read it"
	                               : "a token of an account that may read it goes into HF_TOKEN";

	http_first(a, "x-error-code", error, sizeof error);
	if (strcmp(error, "GatedRepo") == 0)
		return ace_fail(ACE_ENOINPUT, "%s: access must be asked for at %s/%s%s\n%s", what, hub->base, r->dataset ? "datasets/" : "",
				r->name, token);
	if (strcmp(error, "RevisionNotFound") == 0)
		return ace_fail(ACE_ENOINPUT, "%s: has no revision \"%s\"", r->name, r->revision);
	if (strcmp(error, "EntryNotFound") == 0)
		return ace_fail(ACE_ENOINPUT, "%s: no such file in %s at %s", what, r->name, r->revision);
	if (strcmp(error, "RepoNotFound") == 0 || a->code == 401 || a->code == 403)
		return ace_fail(ACE_ENOINPUT, "%s: no such %s on %s, or a private one\n%s", what, kind_of(r), hub->base, token);
	return ace_fail(a->code == 404 ? ACE_ENOINPUT : ACE_ERANK, "%s: %s answers with code %d", what, hub->base, a->code);
}

static bool
is_commit(const char *text)
{
	return text && strlen(text) == 40 && strspn(text, "0123456789abcdef") == 40;
}

static const char *
string_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* base/api/KIND/NAME/PART/REVISION, the revision escaped whole; owned by the caller */
static char *
api_url(const struct hub *hub, const struct hub_repo *r, const char *part, const char *behind)
{
	char *revision = http_escape(r->revision, false);
	char *url = revision ? file_path("%s/api/%s/%s/%s/%s%s", hub->base, r->dataset ? "datasets" : "models", r->name, part, revision,
					 behind)
	                     : NULL;

	free(revision);
	return url;
}

/* GET JSON; *root is NULL when the code is not 200. */
static enum status
get_json(struct http *h, const char *url, struct http_reply *a, cJSON **root)
{
	char name[200], *text = NULL;
	enum status st;
	size_t size;

	*root = NULL;
	http_shown(url, name);
	st = http_text(h, url, INFO_LIMIT, &text, &size, a);
	if (st == ACE_OK && text)
		st = json_parse(text, size, name, root);
	free(text);
	return st;
}

enum status
hub_info(const struct hub *hub, struct http *h, struct hub_repo *r)
{
	char *url = api_url(hub, r, "revision", "");
	struct http_reply a = { 0 };
	cJSON *root = NULL;
	enum status st;

	if (!url)
		return ace_fail(ACE_ENOMEM, "%s: no memory", r->name);
	st = get_json(h, url, &a, &root);
	if (st == ACE_OK && !root)
		st = refused(hub, r, r->name, &a);
	else if (st == ACE_OK && !is_commit(string_of(root, "sha")))
		st = ace_fail(ACE_EDATA, "%s: names no commit", url);
	else if (st == ACE_OK)
		memcpy(r->commit, string_of(root, "sha"), 41);
	if (st == ACE_OK && is_commit(r->revision) && strcmp(r->revision, r->commit) != 0)
		st = ace_fail(ACE_EDATA, "%s: asked for commit %s, got %s", url, r->revision, r->commit);
	cJSON_Delete(root);
	http_reply_free(&a);
	free(url);
	return st;
}

/* --- the list of files --- */

void
hub_list_free(struct hub_list *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->file[i].path);
	free(l->file);
	*l = (struct hub_list){ 0 };
}

/* A path that stays in its folder, and can be written as it is. */
static bool
is_path(const char *p)
{
	if (!*p || strlen(p) > 2000)
		return false;
	for (const char *step = p;; step += strcspn(step, "/") + 1) {
		size_t n = strcspn(step, "/");
		if (n == 0 || n > 230 || (n == 1 && step[0] == '.') || (n == 2 && step[0] == '.' && step[1] == '.'))
			return false;
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)step[i] < 32 || step[i] == 127 || step[i] == '\\')
				return false;
		if (!step[n])
			return true;
	}
}

static bool
is_etag(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > 128 || *text == '.' || *text == '-')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("-_", *text))
			return false;
	return true;
}

static enum status
add(struct hub_list *l, const char *name, const char *path, int64_t size, const char *etag)
{
	struct hub_file *f;

	if (!is_path(path))
		return ace_fail(ACE_EDATA, "%s: has a file whose path leaves its folder or cannot be written", name);
	if (etag && !is_etag(etag))
		return ace_fail(ACE_EDATA, "%s: %s: its etag is none", name, path);
	if (l->n >= FILES_MOST)
		return ace_fail(ACE_EDATA, "%s: has more than %d files", name, FILES_MOST);
	if (l->n == l->room) {
		int room = l->room ? 2 * l->room : 64;
		struct hub_file *more = realloc(l->file, (size_t)room * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory for %d files", name, room);
		l->file = more;
		l->room = room;
	}
	f = &l->file[l->n];
	*f = (struct hub_file){ .path = strdup(path), .size = size };
	if (!f->path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", name);
	snprintf(f->etag, sizeof f->etag, "%s", etag ? etag : "");
	l->n++;
	return ACE_OK;
}

static enum status
add_page(struct hub_list *l, const char *name, const cJSON *page)
{
	const cJSON *v;

	if (!cJSON_IsArray(page))
		return ace_fail(ACE_EDATA, "%s: its list of files is no array", name);
	cJSON_ArrayForEach(v, page) {
		const char *type = string_of(v, "type"), *path = string_of(v, "path"), *etag = string_of(v, "oid");
		const cJSON *lfs = cJSON_GetObjectItemCaseSensitive(v, "lfs");
		bool large = cJSON_IsObject(lfs);
		int64_t size;
		if (!type || !path)
			return ace_fail(ACE_EDATA, "%s: its list of files has an entry without type or path", name);
		if (strcmp(type, "file") != 0)
			continue;
		if (large)
			etag = string_of(lfs, "oid");
		ACE_TRY(json_i64(large ? lfs : v, name, "size", -1, &size));
		if (size < -1)
			return ace_fail(ACE_EDATA, "%s: %s: %lld bytes", name, path, (long long)size);
		ACE_TRY(add(l, name, path, size, etag));
	}
	return ACE_OK;
}

/* The address of rel="next" in a Link header, absolute; NULL: none. Only of the same host. */
static enum status
next_page(const char *url, const struct http_reply *a, char **next)
{
	char link[4096], *at = link, *end;

	*next = NULL;
	if (!http_last(a, "link", link, sizeof link))
		return ACE_OK;
	for (; (at = strchr(at, '<')) && (end = strchr(at, '>')); at = end) {
		size_t n = strcspn(end, ",");
		char *rel = strstr(end, "rel=\"next\"");
		*end++ = 0;
		if (!rel || rel > end + n)
			continue;
		*next = http_join(url, at + 1);
		if (*next && http_same_origin(url, *next))
			return ACE_OK;
		free(*next);
		*next = NULL;
		return ace_fail(ACE_EDATA, "%s: the rest of the list is said to be on another host", http_shown(url, (char[200]){ 0 }));
	}
	return ACE_OK;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct hub_file *)a)->path, ((const struct hub_file *)b)->path);
}

/* Where a hub has no list with sizes: the names alone, of the info. */
static enum status
names_only(const struct hub *hub, struct http *h, const struct hub_repo *r, struct hub_list *l)
{
	char *url = api_url(hub, r, "revision", "");
	struct http_reply a = { 0 };
	cJSON *root = NULL;
	const cJSON *v;
	enum status st = url ? get_json(h, url, &a, &root) : ace_fail(ACE_ENOMEM, "%s: no memory", r->name);

	if (st == ACE_OK && !root)
		st = refused(hub, r, r->name, &a);
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(root, "siblings"))
		if (st == ACE_OK && string_of(v, "rfilename"))
			st = add(l, r->name, string_of(v, "rfilename"), -1, NULL);
	cJSON_Delete(root);
	http_reply_free(&a);
	free(url);
	return st;
}

enum status
hub_files(const struct hub *hub, struct http *h, const struct hub_repo *r, struct hub_list *l)
{
	char *url = api_url(hub, r, "tree", "?recursive=true&expand=false"), *next = NULL;
	enum status st = url ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", r->name);

	*l = (struct hub_list){ 0 };
	for (int page = 0; st == ACE_OK && url; page++) {
		struct http_reply a = { 0 };
		cJSON *root = NULL;
		next = NULL;
		st = get_json(h, url, &a, &root);
		if (st == ACE_OK && !root && page == 0 && a.code == 404)
			st = names_only(hub, h, r, l);
		else if (st == ACE_OK && !root)
			st = refused(hub, r, r->name, &a);
		else if (st == ACE_OK)
			st = add_page(l, r->name, root);
		if (st == ACE_OK && root)
			st = page < PAGES_MOST ? next_page(url, &a, &next)
			                       : ace_fail(ACE_EDATA, "%s: its list of files does not end", r->name);
		cJSON_Delete(root);
		http_reply_free(&a);
		free(url);
		url = next;
	}
	free(url);
	if (st != ACE_OK) {
		hub_list_free(l);
		return st;
	}
	if (l->n > 1)
		qsort(l->file, (size_t)l->n, sizeof *l->file, by_path);
	return ACE_OK;
}

/* --- one file --- */

char *
hub_file_url(const struct hub *hub, const struct hub_repo *r, const char *path)
{
	char *revision = http_escape(r->revision, false), *place = http_escape(path, true), *url = NULL;

	if (revision && place)
		url = file_path("%s/%s%s/resolve/%s/%s", hub->base, r->dataset ? "datasets/" : "", r->name, revision, place);
	free(revision);
	free(place);
	return url;
}

/* W/"abc" and "abc" as abc */
static void
bare_etag(char *text)
{
	char *from = strncmp(text, "W/", 2) == 0 ? text + 2 : text;
	size_t n;

	from += *from == '"';
	n = strcspn(from, "\"");
	memmove(text, from, n);
	text[n] = 0;
}

enum status
hub_file_head(const struct hub *hub, struct http *h, const struct hub_repo *r, struct hub_file *f)
{
	char *url = hub_file_url(hub, r, f->path), text[200];
	struct http_reply a = { 0 };
	enum status st = url ? http_head(h, url, &a) : ace_fail(ACE_ENOMEM, "%s: no memory", r->name);

	if (st == ACE_OK && a.code != 200 && !(a.code >= 301 && a.code <= 308))
		st = refused(hub, r, f->path, &a);
	if (st == ACE_OK && r->commit[0] && http_first(&a, "x-repo-commit", text, sizeof text) && strcmp(text, r->commit) != 0)
		st = ace_fail(ACE_ECONFIG, "%s: is of commit %.40s, wanted %s: the revision has moved on", f->path, text, r->commit);
	if (st == ACE_OK && (http_first(&a, "x-linked-size", text, sizeof text) ||
	                     (a.code == 200 && http_last(&a, "content-length", text, sizeof text))))
		f->size = strspn(text, "0123456789") == strlen(text) && strlen(text) < 18 ? atoll(text) : -1;
	if (st == ACE_OK && (http_first(&a, "x-linked-etag", text, sizeof text) || http_first(&a, "etag", text, sizeof text))) {
		bare_etag(text);
		if (is_etag(text))
			snprintf(f->etag, sizeof f->etag, "%s", text);
	}
	if (st == ACE_OK && (!f->etag[0] || f->size < 0))
		st = ace_fail(ACE_EDATA, "%s: the server says no %s", f->path, f->etag[0] ? "size" : "etag");
	http_reply_free(&a);
	free(url);
	return st;
}
