/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/import_hf_parts.h"

#include "base/file.h"
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_MOST ((int64_t)1 << 33)

void
import_json_text(struct buffer *b, const char *text)
{
	char hex[8];

	if (!text) {
		buffer_str(b, "null");
		return;
	}
	buffer_char(b, '"');
	for (const char *from = text;; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= 32 && c != '"' && c != '\\')
			continue;
		buffer_add(b, from, (size_t)(text - from));
		from = text + 1;
		if (c == 0)
			break;
		if (c == '\n')
			buffer_str(b, "\\n");
		else if (c < 32) {
			snprintf(hex, sizeof hex, "\\u%04x", c);
			buffer_str(b, hex);
		} else {
			buffer_char(b, '\\');
			buffer_char(b, (char)c);
		}
	}
	buffer_char(b, '"');
}

void
import_json_number(struct buffer *b, const char *key, int64_t n)
{
	char text[80];

	snprintf(text, sizeof text, ",\"%.40s\":%lld", key, (long long)n);
	buffer_str(b, text);
}

/* --- what is done --- */

struct import_done *
import_index_split(struct import_index *x, const char *split)
{
	struct import_done *more;

	for (int i = 0; i < x->n; i++)
		if (strcmp(x->done[i].split, split) == 0)
			return &x->done[i];
	more = realloc(x->done, (size_t)(x->n + 1) * sizeof *more);
	if (!more)
		return NULL;
	x->done = more;
	more[x->n] = (struct import_done){ .split = strdup(split) };
	return more[x->n].split ? &more[x->n++] : NULL;
}

bool
import_is_done(const struct import_done *d, int64_t row)
{
	return row >= 0 && row < d->cap && (d->bits[row >> 3] >> (row & 7) & 1);
}

static enum status
set_done(struct import_done *d, int64_t row)
{
	if (row >= d->cap) {
		int64_t cap = d->cap ? d->cap : 1 << 12;
		unsigned char *more;
		while (cap <= row)
			cap *= 2;
		more = realloc(d->bits, (size_t)(cap / 8));
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for %lld rows", (long long)row);
		memset(more + d->cap / 8, 0, (size_t)((cap - d->cap) / 8));
		d->bits = more;
		d->cap = cap;
	}
	d->n += !import_is_done(d, row);
	d->bits[row >> 3] |= (unsigned char)(1 << (row & 7));
	while (import_is_done(d, d->first))
		d->first++;
	return ACE_OK;
}

/* --- reading an index that is there --- */

/* Whether the file of the line is there with its size; lines in place have none. */
static bool
still_there(const struct import_job *job, const cJSON *line)
{
	const cJSON *file = cJSON_GetObjectItemCaseSensitive(line, "file"), *bytes = cJSON_GetObjectItemCaseSensitive(line, "bytes");
	char *path;
	bool there;

	if (job->in_place)
		return true;
	if (!cJSON_IsString(file) || !cJSON_IsNumber(bytes))
		return false;
	path = file_path("%s/%s", job->folder, file->valuestring);
	there = path && (double)file_size(path) == bytes->valuedouble;
	free(path);
	return there;
}

static enum status
take_line(struct import_index *x, const struct import_job *job, const cJSON *line)
{
	const cJSON *row = cJSON_GetObjectItemCaseSensitive(line, "row"), *split = cJSON_GetObjectItemCaseSensitive(line, "split");
	struct import_done *d;

	x->finished = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "finished"));
	if (!cJSON_IsNumber(row) || !cJSON_IsString(split) || !(row->valuedouble >= 0 && row->valuedouble < (double)ROWS_MOST) ||
	    !still_there(job, line))
		return ACE_OK;
	d = import_index_split(x, split->valuestring);
	return d ? set_done(d, (int64_t)row->valuedouble) : ace_fail(ACE_ENOMEM, "no memory");
}

/* The lines; *whole: bytes up to the end of the last whole one. */
static enum status
read_lines(struct import_index *x, const struct import_job *job, const char *settings, off_t *whole)
{
	FILE *f = fopen(x->path, "rbe");
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;
	enum status st = f ? ACE_OK : ace_fail(ACE_EIO, "%s: %s", x->path, strerror(errno));

	*whole = 0;
	while (st == ACE_OK && (n = getline(&text, &cap, f)) > 0 && text[n - 1] == '\n') {
		const cJSON *said;
		cJSON *line;
		st = json_parse(text, (size_t)n - 1, x->path, &line);
		if (st != ACE_OK)
			break;
		said = cJSON_GetObjectItemCaseSensitive(line, "settings");
		if (*whole == 0 && !cJSON_IsString(said))
			st = ace_fail(ACE_ECREATE, "%s: not the index of an import; choose another folder", x->path);
		else if (*whole == 0 && strcmp(said->valuestring, settings) != 0)
			st = ace_fail(ACE_ECONFIG, "%s holds an import of other things\n  there:  %s\n  wanted: %s\n  choose another "
			              "folder, or remove that one", job->folder, said->valuestring, settings);
		else if (*whole > 0)
			st = take_line(x, job, line);
		cJSON_Delete(line);
		*whole += n;
	}
	if (f)
		fclose(f);
	free(text);
	return st;
}

static bool
is_empty(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	bool empty = true;

	while (d && empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

static enum status
append(struct import_index *x, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(x->fd, text, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ace_fail(ACE_EIO, "%s: %s", x->path, strerror(errno));
		text += n;
		size -= (size_t)n;
	}
	return ACE_OK;
}

enum status
import_index_add(struct import_index *x, const struct buffer *line)
{
	return append(x, line->data, line->len);
}

static enum status
begin(struct import_index *x, const char *settings)
{
	struct buffer b = { 0 };
	enum status st;

	buffer_str(&b, "{\"settings\":");
	import_json_text(&b, settings);
	buffer_str(&b, "}\n");
	st = buffer_done(&b) ? append(x, b.data, b.len) : ace_fail(ACE_ENOMEM, "no memory");
	buffer_free(&b);
	return st;
}

enum status
import_index_open(struct import_index *x, const struct import_job *job, const char *settings)
{
	off_t whole = 0;
	bool there;

	*x = (struct import_index){ .fd = -1, .path = file_path("%s/index.jsonl", job->folder) };
	if (!x->path)
		return ace_fail(ACE_ENOMEM, "no memory");
	there = file_exists(x->path);
	if (!there && file_is_dir(job->folder) && !is_empty(job->folder))
		return ace_fail(ACE_ECREATE, "%s: there are other things in this folder; wanted a new or an empty one, or one of an import",
		                job->folder);
	ACE_TRY(file_mkdirs(job->folder));
	x->fd = open(x->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (x->fd < 0)
		return ace_fail(ACE_ECREATE, "%s: %s", x->path, strerror(errno));
	if (flock(x->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return ace_fail(ACE_ECREATE, "%s: another import is writing there", job->folder);
	if (there)
		ACE_TRY(read_lines(x, job, settings, &whole));
	if (ftruncate(x->fd, whole) != 0)		/* half a line of a run that was killed */
		return ace_fail(ACE_EIO, "%s: %s", x->path, strerror(errno));
	return whole == 0 ? begin(x, settings) : ACE_OK;
}

void
import_index_close(struct import_index *x)
{
	for (int i = 0; i < x->n; i++) {
		free(x->done[i].split);
		free(x->done[i].bits);
	}
	free(x->done);
	free(x->path);
	if (x->fd >= 0)
		close(x->fd);
	*x = (struct import_index){ .fd = -1 };
}
