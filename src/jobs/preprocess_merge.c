/* SPDX-License-Identifier: Apache-2.0 */
/* What the shards of an array job have sealed, packed into few parts. */
#include "jobs/preprocess_parts.h"

#include "base/file.h"
#include "base/msg.h"
#include "text/buffer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAILURES_LIMIT = 64 << 20 };

/* Lines of text that are compared as a whole; "path" is their first member, so that their order is the songs'. */
static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_of_a_shard(const char *name)
{
	int shard, n = 0;

	return sscanf(name, "failures-%d.jsonl%n", &shard, &n) == 1 && n == (int)strlen(name);
}

/* All lines of the shards' files into text. */
static enum status
gather(const char *folder, struct buffer *text)
{
	DIR *d = opendir(folder);
	enum status st = ACE_OK;
	struct dirent *e;

	while (d && st == ACE_OK && (e = readdir(d))) {
		char *path, *data = NULL;
		size_t size;
		if (!is_of_a_shard(e->d_name))
			continue;
		path = file_path("%s/%s", folder, e->d_name);
		st = path ? file_read(path, FAILURES_LIMIT, &data, &size) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
		if (st == ACE_OK)
			buffer_add(text, data, size);
		free(data);
		free(path);
	}
	if (d)
		closedir(d);
	return st;
}

static void
remove_gathered(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (is_of_a_shard(e->d_name))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

enum status
prep_sort_lines(char *text, size_t size, struct buffer *sorted)
{
	size_t n = 0, most = 1;
	char **line, *save = NULL;

	for (size_t i = 0; i < size; i++)
		most += text[i] == '\n';
	line = malloc(most * sizeof *line);
	if (!line)
		return ace_fail(ACE_ENOMEM, "no memory for %zu lines", most);
	for (char *t = size ? strtok_r(text, "\n", &save) : NULL; t; t = strtok_r(NULL, "\n", &save))
		line[n++] = t;
	if (n > 1)
		qsort(line, n, sizeof *line, by_text);
	for (size_t i = 0; i < n; i++) {
		buffer_str(sorted, line[i]);
		buffer_char(sorted, '\n');
	}
	free(line);
	return sorted->bad ? ace_fail(ACE_ENOMEM, "no memory for %zu lines", n) : ACE_OK;
}

/* The shards' failures into failures.jsonl, in the order of the songs. */
static enum status
join_failures(struct prep *p, const char *folder)
{
	struct buffer text = { 0 }, sorted = { 0 };
	char *path = file_path("%s/failures.jsonl", folder);
	enum status st = path ? gather(folder, &text) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);

	if (st == ACE_OK && text.bad)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	if (st == ACE_OK)
		st = prep_sort_lines(text.data, text.len, &sorted);
	if (st == ACE_OK && sorted.len > 0)
		st = file_write(path, sorted.data, sorted.len);
	if (st == ACE_OK && sorted.len > 0) {
		remove_gathered(folder);
		for (size_t i = 0; i < sorted.len; i++)
			p->r->failed += sorted.data[i] == '\n';
		snprintf(p->r->failures, sizeof p->r->failures, "%s", path);
	}
	free(path);
	buffer_free(&text);
	buffer_free(&sorted);
	return st;
}

enum status
prep_merge(struct prep *p)
{
	const struct dataset_list *l = p->job->list;

	for (int i = 0; i < l->n; i++) {
		const struct dataset *e = &l->entry[i];
		int64_t before, after;
		if (e->no_cache && !file_is_dir(e->store))	/* runs make what would be in it */
			continue;
		if (!file_is_dir(e->store))
			return ace_fail(ACE_ENOINPUT, "%s: no such store; nothing was prepared for \"%s\" yet",
					e->store, e->id);
		if (e->kind == DATASET_TEXTS) {
			ACE_TRY(texts_merge(e->store, &before, &after));
		} else {
			ACE_TRY(latents_merge(e->store, &before, &after));
			ACE_TRY(join_failures(p, e->store));
		}
		msg_info("%s: %lld parts are %lld now", e->store, (long long)before, (long long)after);
	}
	if (*p->r->failures)
		msg_info("%lld songs failed or were left out -> %s", (long long)p->r->failed, p->r->failures);
	return ACE_OK;
}
