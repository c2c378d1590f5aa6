/* SPDX-License-Identifier: Apache-2.0 */
/* Clips that were rendered while training (training.md section 13), to be listened to from the page. */
#include "jobs/report_parts.h"

#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000, NAME = 160, JSON_LIMIT = 1 << 20 };

struct clip {
	long long step;
	char name[NAME];		/* "validation_0" */
};

struct list {
	struct clip *clip;
	int n;
};

/* step_NUMBER_NAME.wav */
static bool
read_name(struct clip *c, const char *file)
{
	int at = 0;
	size_t n;

	if (sscanf(file, "step_%lld_%n", &c->step, &at) != 1 || at == 0)
		return false;
	n = strlen(file + at);
	if (n < 5 || n - 4 >= NAME || strcmp(file + at + n - 4, ".wav") != 0)
		return false;
	memcpy(c->name, file + at, n - 4);
	c->name[n - 4] = 0;
	return true;
}

static int
by_name_and_step(const void *a, const void *b)
{
	const struct clip *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : (x->step > y->step) - (x->step < y->step);
}

static void
find(struct list *l, const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	l->clip = d ? calloc(MOST, sizeof *l->clip) : NULL;
	while (l->clip && l->n < MOST && (e = readdir(d)))
		l->n += read_name(&l->clip[l->n], e->d_name);
	if (d)
		closedir(d);
	if (l->n > 0)
		qsort(l->clip, (size_t)l->n, sizeof *l->clip, by_name_and_step);
}

/* The bytes of a path that a reference may not hold as they are. */
static void
put_reference(struct buffer *b, const char *path)
{
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_./~", c))
			report_put(b, "%c", c);
		else
			report_put(b, "%%%02X", c);
	}
}

/* What a clip was asked for, from the file beside it. */
static void
put_prompt(struct buffer *b, const char *folder, const struct clip *c)
{
	char *path = file_path("%s/step_%lld_%s.json", folder, c->step, c->name);
	cJSON *root = NULL;
	const char *prompt;

	if (path && file_exists(path) && json_read(path, JSON_LIMIT, &root) == ACE_OK) {
		prompt = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "prompt"));
		if (prompt && *prompt) {
			buffer_str(b, "<p>");
			report_escape(b, prompt);
			buffer_str(b, "</p>\n");
		}
	}
	cJSON_Delete(root);
	free(path);
}

void
report_clips(struct buffer *b, const char *folder, const char *reference)
{
	struct list l = { 0 };

	find(&l, folder);
	if (l.n > 0)
		buffer_str(b, "<h2>Clips</h2>\n");
	for (int i = 0; i < l.n; i++) {
		const struct clip *c = &l.clip[i];
		bool first = i == 0 || strcmp(c->name, l.clip[i - 1].name) != 0;
		bool last = i + 1 == l.n || strcmp(c->name, l.clip[i + 1].name) != 0;
		if (first) {
			buffer_str(b, "<h3>");
			report_escape(b, c->name);
			buffer_str(b, "</h3>\n");
			put_prompt(b, folder, &l.clip[i]);
			buffer_str(b, "<table>\n");
		}
		report_put(b, "<tr><td>step %lld</td><td><audio controls=\"controls\" preload=\"none\" src=\"", c->step);
		put_reference(b, reference);
		report_put(b, "/step_%lld_", c->step);
		put_reference(b, c->name);
		buffer_str(b, ".wav\"></audio></td></tr>\n");
		if (last)
			buffer_str(b, "</table>\n");
	}
	free(l.clip);
}
