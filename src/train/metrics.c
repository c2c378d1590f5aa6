/* SPDX-License-Identifier: Apache-2.0 */
#include "train/metrics.h"

#include "base/clock.h"
#include "base/file.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The step of a line, false when it has none. Our lines have the key third, before any text of others. */
static bool
step_of(const char *line, int64_t *step)
{
	static const char key[] = "\"step\":";
	const char *p = strstr(line, key);
	char *end;

	if (!p)
		return false;
	*step = strtoll(p + sizeof key - 1, &end, 10);
	return end != p + sizeof key - 1;
}

/* Where the first line past the step begins, or the first that has no end; the file's size when all may stay. */
static int64_t
place_to_cut(FILE *in, int64_t after)
{
	int64_t at = 0, step;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, in)) > 0) {
		if (line[n - 1] != '\n' || (step_of(line, &step) && step > after))
			break;
		at += n;
	}
	free(line);
	return at;
}

static enum status
cut(int fd, const char *path, int64_t after)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *in = copy >= 0 ? fdopen(copy, "r") : NULL;
	struct stat s;
	int64_t at;
	bool failed;

	if (!in) {
		if (copy >= 0)
			close(copy);
		return ace_fail(ACE_EIO, "%s: cannot read: %s", path, strerror(errno));
	}
	at = place_to_cut(in, after);
	failed = ferror(in) != 0;
	fclose(in);
	if (failed || fstat(fd, &s) != 0)
		return ace_fail(ACE_EIO, "%s: cannot read: %s", path, strerror(errno));
	if (at < s.st_size && (ftruncate(fd, at) != 0 || fsync(fd) != 0))
		return ace_fail(ACE_EIO, "%s: cannot cut lines past step %lld: %s", path, (long long)after, strerror(errno));
	return ACE_OK;
}

static enum status
make_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	enum status st;
	char *dir;

	if (!slash || slash == path)
		return ACE_OK;
	dir = file_path("%.*s", (int)(slash - path), path);
	st = dir ? file_mkdirs(dir) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	free(dir);
	return st;
}

enum status
metrics_open(struct metrics *m, const char *path, int64_t after)
{
	struct stat s;
	enum status st;

	*m = (struct metrics){ .fd = -1 };
	ACE_TRY(make_folder(path));
	m->path = strdup(path);
	if (!m->path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	m->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
	if (m->fd < 0)
		st = ace_fail(ACE_ECREATE, "%s: cannot create: %s", path, strerror(errno));
	else if (fstat(m->fd, &s) != 0 || !S_ISREG(s.st_mode))
		st = ace_fail(ACE_ECREATE, "%s: not a regular file", path);
	else
		st = cut(m->fd, path, after);
	if (st != ACE_OK)
		metrics_close(m);
	return st;
}

void
metrics_close(struct metrics *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	free(m->path);
	*m = (struct metrics){ .fd = -1 };
}

/* The line and its end; owned by the caller. NULL: no memory. */
static char *
make_line(int64_t step, const struct metric *v, int n, const char *event)
{
	cJSON *o = cJSON_CreateObject();
	bool ok = cJSON_AddNumberToObject(o, "schema", METRICS_SCHEMA) != NULL, finite = true;
	char time[40], *text, *line;

	clock_utc(time, sizeof time);
	ok = ok && cJSON_AddStringToObject(o, "time", time) && cJSON_AddNumberToObject(o, "step", (double)step);
	for (int i = 0; ok && i < n; i++) {
		bool number = isfinite(v[i].value);
		finite &= number;
		ok = (number ? cJSON_AddNumberToObject(o, v[i].name, v[i].value) : cJSON_AddNullToObject(o, v[i].name)) != NULL;
	}
	if (ok && (event || !finite)) {
		char both[120];
		snprintf(both, sizeof both, "%s%s%s", event ? event : "", event && !finite ? " " : "", finite ? "" : "nonfinite");
		ok = cJSON_AddStringToObject(o, "event", both) != NULL;
	}
	text = ok ? cJSON_PrintUnformatted(o) : NULL;
	cJSON_Delete(o);
	line = text ? file_path("%s\n", text) : NULL;
	cJSON_free(text);
	return line;
}

enum status
metrics_put(struct metrics *m, int64_t step, const struct metric *v, int n, const char *event)
{
	char *line = make_line(step, v, n, event);
	enum status st = ACE_OK;
	size_t size;
	struct stat s;
	ssize_t w;

	if (!line)
		return ace_fail(ACE_ENOMEM, "%s: no memory for a line", m->path);
	size = strlen(line);
	if (fstat(m->fd, &s) != 0)
		s.st_size = -1;
	do
		w = write(m->fd, line, size);
	while (w < 0 && errno == EINTR);
	if (w != (ssize_t)size) {
		int err = w < 0 ? errno : ENOSPC;
		if (w > 0 && s.st_size >= 0 && ftruncate(m->fd, s.st_size) != 0)
			err = errno;
		st = ace_fail(ACE_EIO, "%s: cannot write: %s", m->path, strerror(err));
	}
	free(line);
	return st;
}
