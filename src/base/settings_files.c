/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and config.env; TOML stands in settings_toml.c. */
#include "base/settings_parts.h"

#include "base/file.h"
#include "base/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 4 << 20 };

enum status
settings_expand(const char *text, const char *where, const char *key, char **expanded)
{
	static const char mark[] = "{env:";
	size_t size = strlen(text) + 1, at = 0;
	char *to = malloc(size);

	while (to && *text) {
		const char *end = strncmp(text, mark, 5) == 0 ? strchr(text, '}') : NULL, *value;
		char name[128], *more;
		if (!end) {
			to[at++] = *text++;
			continue;
		}
		snprintf(name, sizeof name, "%.*s", (int)(end - text - 5), text + 5);
		value = getenv(name);
		if (!value) {
			free(to);
			return ace_fail(ACE_ECONFIG, "%s: %s wants the environment variable %s, which is not set",
					where, key, name);
		}
		size += strlen(value);
		more = realloc(to, size);
		if (!more)
			break;
		to = more;
		memcpy(to + at, value, strlen(value));
		at += strlen(value);
		text = end + 1;
	}
	if (!to || *text) {
		free(to);
		return ace_fail(ACE_ENOMEM, "%s: no memory for %s", where, key);
	}
	to[at] = 0;
	*expanded = to;
	return ACE_OK;
}

/* The text of a JSON value, owned by the caller; NULL: memory ran out. */
static char *
json_text(const cJSON *v)
{
	char number[40];

	if (cJSON_IsNull(v))
		return strdup("None");
	if (cJSON_IsBool(v))
		return strdup(cJSON_IsTrue(v) ? "true" : "false");
	if (cJSON_IsNumber(v)) {
		settings_number(v->valuedouble, number, sizeof number);
		return strdup(number);
	}
	return cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
}

static enum status
json_member(struct settings *s, struct given_list *l, const char *path, const cJSON *v)
{
	const struct origin from = { FROM_FILE, path };
	const struct option *o = option_find(v->string, &(bool){ false });
	bool nested = cJSON_IsArray(v) || cJSON_IsObject(v);
	char *text, *expanded;
	enum status st;

	if (v->string[0] == '_')
		return ACE_OK;		/* notes of effective.json */
	if (nested && o && o->type != OPT_JSON && o->type != OPT_STRING)
		return ace_fail(ACE_ECONFIG, "%s: %s is %s; wanted %s", path, o->name,
				cJSON_IsArray(v) ? "a list" : "an object", option_wanted(o, (char[1000]){ 0 }, 1000));
	text = json_text(v);
	if (!text)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = settings_expand(text, path, v->string, &expanded);
	free(text);
	ACE_TRY(st);
	st = settings_key(s, l, v->string, expanded, &from);
	free(expanded);
	return st;
}

enum status
settings_read_json(struct settings *s, struct given_list *l, const char *path)
{
	cJSON *root = NULL;
	enum status st = json_read(path, FILE_LIMIT, &root);

	if (st != ACE_OK)
		return st == ACE_EDATA ? ACE_ECONFIG : st;
	if (!cJSON_IsObject(root))
		st = ace_fail(ACE_ECONFIG, "%s: wanted an object, {\"key\": value, ...}", path);
	for (const cJSON *v = root->child; v && st == ACE_OK; v = v->next)
		st = json_member(s, l, path, v);
	cJSON_Delete(root);
	return st;
}

const char *
env_file_value(const struct env_list *e, const char *key, bool *shell)
{
	for (int i = e->n; i-- > 0;)
		if (strcmp(e->v[i].key, key) == 0) {
			*shell = e->v[i].shell;
			return e->v[i].value;
		}
	return NULL;
}

void
env_free(struct env_list *e)
{
	for (int i = 0; i < e->n; i++) {
		free(e->v[i].key);
		free(e->v[i].value);
	}
	free(e->v);
	*e = (struct env_list){ 0 };
}

/* What stands behind '=': quotes stripped, a comment behind a blank cut off. false: a quote is not closed. */
static bool
env_value(char *text)
{
	char *to = text, quote = 0;

	for (char *p = text; *p; p++) {
		if (quote && *p == quote)
			quote = 0;
		else if (!quote && (*p == '"' || *p == '\''))
			quote = *p;
		else if (!quote && isspace((unsigned char)*p))
			break;
		else if (*p == '\\' && quote != '\'' && p[1])
			*to++ = *++p;
		else
			*to++ = *p;
	}
	*to = 0;
	return !quote;
}

/* Key and value join the list, behind what there is with "+=". */
static enum status
env_add(struct env_list *e, const char *key, const char *value, bool append)
{
	bool shell = false;
	const char *before = append ? env_file_value(e, key, &shell) : NULL;
	void *more = realloc(e->v, ((size_t)e->n + 1) * sizeof *e->v);

	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for the environment");
	e->v = more;
	if (append && !before && (before = getenv(key)))
		shell = true;
	e->v[e->n].shell = shell;
	e->v[e->n].key = strdup(key);
	e->v[e->n].value = file_path("%s%s", before ? before : "", value);
	if (!e->v[e->n].key || !e->v[e->n].value) {
		free(e->v[e->n].key);
		free(e->v[e->n].value);
		return ace_fail(ACE_ENOMEM, "no memory for the environment");
	}
	e->n++;
	return ACE_OK;
}

static enum status
env_line(struct env_list *e, const char *path, int number, char *line)
{
	char *key = line + strspn(line, " \t\r"), *end;
	bool append;

	if (!*key || *key == '#')
		return ACE_OK;
	if (strncmp(key, "export", 6) == 0 && isspace((unsigned char)key[6]))
		key += 6 + strspn(key + 6, " \t");
	end = key;
	while (isalnum((unsigned char)*end) || *end == '_')
		end++;
	append = *end == '+';
	if (end == key || isdigit((unsigned char)*key) || end[append] != '=')
		return ace_fail(ACE_ECONFIG, "%s:%d: wanted KEY=VALUE", path, number);
	if (!env_value(end + append + 1))
		return ace_fail(ACE_ECONFIG, "%s:%d: a quote is not closed", path, number);
	*end = 0;
	return env_add(e, key, end + append + 1, append);
}

enum status
env_read(struct env_list *e, const char *path)
{
	char *data, *rest, *line;
	enum status st = ACE_OK;
	size_t size;
	int number = 0;

	ACE_TRY(file_read(path, FILE_LIMIT, &data, &size));
	if (strlen(data) != size)
		st = ace_fail(ACE_ECONFIG, "%s: holds a zero byte; wanted lines KEY=VALUE", path);
	rest = data;
	while (st == ACE_OK && (line = strsep(&rest, "\n")))
		st = env_line(e, path, ++number, line);
	free(data);
	return st;
}
