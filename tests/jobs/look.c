/* SPDX-License-Identifier: Apache-2.0 */
#include "look.h"

#include "base/file.h"
#include "jobs/inspect.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 32 };

enum status
look_text(const char *line, char **text)
{
	char program[] = "ace-inspect", *words = strdup(line), *rest = words, *argv[WORDS] = { program };
	struct settings s;
	size_t size;
	FILE *out = open_memstream(text, &size);
	enum status st;
	int n = 1;

	assert_non_null(out);
	while (n < WORDS - 1 && (argv[n] = strtok_r(n == 1 ? words : NULL, " ", &rest)))
		n++;
	st = settings_load(&s, program_named("ace-inspect"), n, argv);
	if (st == ACE_OK)
		st = inspect_run(&s, out);
	settings_free(&s);
	assert_int_equal(fclose(out), 0);
	free(words);
	return st;
}

cJSON *
look_json(enum status want, const char *line)
{
	char *whole = file_path("--json %s", line), *text;
	const char *end;
	enum status st = look_text(whole, &text);
	cJSON *o;

	if (st != want)
		fail_msg("%s: status %d, wanted %d: %s", line, st, want, ace_message());
	o = cJSON_ParseWithOpts(text, &end, false);
	if (!cJSON_IsObject(o) || strspn(end, " \n") != strlen(end))
		fail_msg("%s: not one JSON object: %.300s", line, text);
	free(text);
	free(whole);
	return o;
}

double
look_number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("no number %s", key);
	return v->valuedouble;
}

const char *
look_word(const cJSON *o, const char *key)
{
	const char *v = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	if (!v)
		fail_msg("no text %s", key);
	return v;
}

const cJSON *
look_row(const cJSON *o, const char *table, const char *key, const char *value)
{
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(o, table), *row;

	if (!cJSON_IsArray(t))
		fail_msg("no table %s", table);
	cJSON_ArrayForEach(row, t)
		if (strcmp(look_word(row, key), value) == 0)
			return row;
	return NULL;
}

int
look_rows(const cJSON *o, const char *table)
{
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(o, table);

	if (!cJSON_IsArray(t))
		fail_msg("no table %s", table);
	return cJSON_GetArraySize(t);
}

int
look_notes(const cJSON *o, const char *text)
{
	const cJSON *note;
	int n = 0;

	cJSON_ArrayForEach(note, cJSON_GetObjectItemCaseSensitive(o, "notes"))
		n += strstr(note->valuestring, text) != NULL;
	return n;
}
