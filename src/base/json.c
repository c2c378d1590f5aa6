/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 64 };

/* The text's brackets, outside strings, never deeper than DEPTH: cJSON's own limit is a thousand. */
static bool
shallow(const char *t, size_t n)
{
	int depth = 0;
	bool string = false;

	for (size_t i = 0; i < n; i++) {
		if (string) {
			if (t[i] == '\\')
				i++;
			else if (t[i] == '"')
				string = false;
		} else if (t[i] == '"') {
			string = true;
		} else if (t[i] == '{' || t[i] == '[') {
			if (++depth > DEPTH)
				return false;
		} else if (t[i] == '}' || t[i] == ']') {
			depth--;
		}
	}
	return true;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The first key that stands twice in one object, NULL when there is none. */
static const char *
twice(const cJSON *v, bool *nomem)
{
	const cJSON *c;
	const char *bad = NULL, **names;
	size_t n = 0, i = 0;

	if (!cJSON_IsObject(v) && !cJSON_IsArray(v))
		return NULL;
	cJSON_ArrayForEach(c, v) {
		n++;
		if (!bad)
			bad = twice(c, nomem);
	}
	if (bad || !cJSON_IsObject(v) || n < 2)
		return bad;
	names = malloc(n * sizeof *names);
	if (!names) {
		*nomem = true;
		return NULL;
	}
	cJSON_ArrayForEach(c, v)
		names[i++] = c->string;
	qsort(names, n, sizeof *names, by_name);
	for (i = 1; i < n && !bad; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			bad = names[i];
	free(names);
	return bad;
}

enum status
json_parse(const char *text, size_t size, const char *name, cJSON **root)
{
	const char *end = NULL, *bad;
	bool nomem = false;
	cJSON *v;

	*root = NULL;
	if (!shallow(text, size))
		return ace_fail(ACE_EDATA, "%s: JSON nested deeper than %d", name, DEPTH);
	v = cJSON_ParseWithLengthOpts(text, size, &end, 0);
	if (!v) {
		long line = 1;
		for (const char *p = text; end && p < end && p < text + size; p++)
			line += *p == '\n';
		return ace_fail(ACE_EDATA, "%s: not valid JSON near line %ld", name, line);
	}
	while (end < text + size && *end && strchr(" \t\r\n", *end))
		end++;
	if (end < text + size) {
		cJSON_Delete(v);
		return ace_fail(ACE_EDATA, "%s: more text behind the JSON value", name);
	}
	bad = twice(v, &nomem);
	if (bad || nomem) {
		enum status st = bad ? ace_fail(ACE_EDATA, "%s: key \"%s\" stands twice in one object", name, bad)
		                     : ace_fail(ACE_ENOMEM, "%s: no memory", name);
		cJSON_Delete(v);
		return st;
	}
	*root = v;
	return ACE_OK;
}

enum status
json_read(const char *path, size_t limit, cJSON **root)
{
	enum status st;
	char *text;
	size_t size;

	*root = NULL;
	ACE_TRY(file_read(path, limit, &text, &size));
	st = json_parse(text, size, path, root);
	free(text);
	return st;
}

enum status
json_f64(const cJSON *o, const char *name, const char *key, double fallback, double *v)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(o, key);

	*v = fallback;
	if (!m || cJSON_IsNull(m))
		return ACE_OK;
	if (!cJSON_IsNumber(m) || !isfinite(m->valuedouble))
		return ace_fail(ACE_EDATA, "%s: %s is not a number", name, key);
	*v = m->valuedouble;
	return ACE_OK;
}

enum status
json_i64(const cJSON *o, const char *name, const char *key, int64_t fallback, int64_t *v)
{
	double d;

	ACE_TRY(json_f64(o, name, key, (double)fallback, &d));
	if (d != floor(d) || fabs(d) > 9007199254740992.0)
		return ace_fail(ACE_EDATA, "%s: %s is %g, wanted a whole number", name, key, d);
	*v = (int64_t)d;
	return ACE_OK;
}

enum status
json_write(const char *path, const cJSON *root)
{
	char *text = cJSON_Print(root);
	enum status st;

	if (!text)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = file_write(path, text, strlen(text));
	cJSON_free(text);
	return st;
}
