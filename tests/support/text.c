/* SPDX-License-Identifier: Apache-2.0 */
#include "support/text.h"

#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char stand_in[] = "\xef\xa3\xbf", escaped[] = "\\uf8ff";	/* U+F8FF, of the private use area */

cJSON *
text_json(const char *set, const char *file)
{
	const char *path = golden_path(set, file);
	size_t size;
	cJSON *root;
	char *text;

	assert_ok(file_read(path, 256u << 20, &text, &size));
	if (strstr(text, stand_in) || strstr(text, escaped))
		fail_msg("%s: holds U+F8FF, which stands for U+0000 here", path);
	for (char *p = text; *p; p++)
		if (*p == '\\' && strncmp(p, "\\u0000", 6) == 0)
			memcpy(p, escaped, 6);
		else if (*p == '\\')
			p++;
	assert_ok(json_parse(text, size, path, &root));
	free(text);
	return root;
}

char *
text_of(const cJSON *v, size_t *len)
{
	char *text, *to;

	if (!cJSON_IsString(v))
		fail_msg("a fixture's text is no text");
	text = to = malloc(strlen(v->valuestring) + 1);
	assert_non_null(text);
	for (const char *p = v->valuestring; *p;)
		if (strncmp(p, stand_in, 3) == 0) {
			*to++ = 0;
			p += 3;
		} else {
			*to++ = *p++;
		}
	*to = 0;
	*len = (size_t)(to - text);
	return text;
}

const char *
text_file(const char *dir, const char *name, const char *text)
{
	static char path[1024];

	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	return path;
}

int32_t *
text_numbers(const cJSON *v, int *n)
{
	const cJSON *x;
	int32_t *to;

	if (!cJSON_IsArray(v))
		fail_msg("a fixture's list of ids is no list");
	to = malloc(((size_t)cJSON_GetArraySize(v) + 1) * sizeof *to);
	assert_non_null(to);
	*n = 0;
	cJSON_ArrayForEach(x, v)
		to[(*n)++] = (int32_t)x->valuedouble;
	return to;
}

void
text_same_numbers(const char *what, const int32_t *got, int n_got, const int32_t *want, int n_want)
{
	int i = 0;

	while (i < n_got && i < n_want && got[i] == want[i])
		i++;
	if (i < n_got || i < n_want)
		fail_msg("%s: %d numbers, wanted %d; at %d: %d, wanted %d", what, n_got, n_want, i, i < n_got ? got[i] : -1,
		         i < n_want ? want[i] : -1);
}
