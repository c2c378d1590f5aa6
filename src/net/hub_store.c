/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hub_store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hub.h"
#include "base/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { REF_LIMIT = 200 };

enum status
hub_store_open(struct hub_store *s, const struct hub_repo *r)
{
	const char *slash = strchr(r->name, '/');

	*s = (struct hub_store){ .cache = hub_cache() };
	s->name = file_path("%s--%.*s--%s", r->dataset ? "datasets" : "models", (int)(slash - r->name), r->name, slash + 1);
	if (s->cache && s->name)
		s->folder = file_path("%s/%s", s->cache, s->name);
	if (s->folder && r->commit[0])
		s->snapshot = file_path("%s/snapshots/%s", s->folder, r->commit);
	if (s->folder && (s->snapshot || !r->commit[0]))
		return ACE_OK;
	hub_store_close(s);
	return ace_fail(ACE_ENOMEM, "%s: no memory", r->name);
}

void
hub_store_close(struct hub_store *s)
{
	free(s->cache);
	free(s->name);
	free(s->folder);
	free(s->snapshot);
	*s = (struct hub_store){ 0 };
}

static bool
is_commit(const char *text)
{
	return strlen(text) == 40 && strspn(text, "0123456789abcdef") == 40;
}

enum status
hub_store_find(const struct hub_store *s, const char *revision, char commit[41])
{
	char *path = NULL, *text = NULL;
	size_t size;

	snprintf(commit, 41, "%s", is_commit(revision) ? revision : "");
	if (!commit[0]) {
		path = file_path("%s/refs/%s", s->folder, revision);
		if (path && file_exists(path) && file_read(path, REF_LIMIT, &text, &size) == ACE_OK) {
			text[strcspn(text, " \r\n")] = 0;
			snprintf(commit, 41, "%s", is_commit(text) ? text : "");
		}
		free(text);
		free(path);
	}
	path = commit[0] ? file_path("%s/snapshots/%s", s->folder, commit) : NULL;
	if (!path || !file_is_dir(path))
		commit[0] = 0;
	free(path);
	return commit[0] ? ACE_OK : ace_fail(ACE_ENOINPUT, "%s: revision %s of it is not there", s->folder, revision);
}

char *
hub_store_blob(const struct hub_store *s, const char *etag, const char *behind)
{
	return file_path("%s/blobs/%s%s", s->folder, etag, behind);
}

bool
hub_store_has(const struct hub_store *s, const struct hub_file *f)
{
	char *path = f->etag[0] ? hub_store_blob(s, f->etag, "") : NULL;
	int64_t size = path ? file_size(path) : -1;

	free(path);
	return size >= 0 && (f->size < 0 || size == f->size);
}

/* --- locks --- */

static enum status
make_folders(const struct hub_store *s, char **lock_path, const char *etag)
{
	char *blobs = file_path("%s/blobs", s->folder), *locks = file_path("%s/.locks/%s", s->cache, s->name);
	enum status st = blobs && locks ? file_mkdirs(blobs) : ace_fail(ACE_ENOMEM, "%s: no memory", s->folder);

	if (st == ACE_OK)
		st = file_mkdirs(locks);
	*lock_path = st == ACE_OK ? file_path("%s/%s.lock", locks, etag) : NULL;
	if (st == ACE_OK && !*lock_path)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", s->folder);
	free(blobs);
	free(locks);
	return st;
}

enum status
hub_store_lock(const struct hub_store *s, const char *etag, bool (*stop)(void), int *fd)
{
	struct timespec tick = { .tv_nsec = 50000000 };
	double began = clock_now();
	bool said = false;
	enum status st;
	char *path;

	*fd = -1;
	ACE_TRY(make_folders(s, &path, etag));
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
	st = *fd >= 0 ? ACE_OK : ace_fail(ACE_ECREATE, "%s: cannot create: %s", path, strerror(errno));
	while (st == ACE_OK && flock(*fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;			/* a file system without locks: the hub's tools go on as well */
		if (!said && clock_now() - began > 2) {
			msg_info("%s is being fetched by somebody else: waiting", etag);
			said = true;
		}
		if (stop && stop())
			st = ace_fail(ACE_ESTOPPED, "stopped");
		nanosleep(&tick, NULL);
	}
	if (st != ACE_OK)
		hub_store_unlock(*fd);
	free(path);
	return st;
}

void
hub_store_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* --- blobs, links, references --- */

enum status
hub_store_blob_done(const struct hub_store *s, const char *etag)
{
	char *from = hub_store_blob(s, etag, ".incomplete"), *to = hub_store_blob(s, etag, "");
	enum status st = from && to ? file_rename(from, to) : ace_fail(ACE_ENOMEM, "%s: no memory", s->folder);

	free(from);
	free(to);
	return st;
}

/* The folder of a file. */
static enum status
make_parent(const char *path)
{
	char *folder = file_path("%s", path), *slash = folder ? strrchr(folder, '/') : NULL;
	enum status st;

	if (!slash) {
		free(folder);
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	}
	*slash = 0;
	st = file_mkdirs(folder);
	free(folder);
	return st;
}

/* From snapshots/COMMIT/a/b to blobs/ETAG: up once for each step. Owned by the caller. */
static char *
way_up(const char *path, const char *etag)
{
	size_t ups = 2, n;
	char *text, *at;

	for (const char *p = path; (p = strchr(p, '/')); p++)
		ups++;
	n = strlen(etag);
	at = text = malloc(3 * ups + 6 + n + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < ups; i++, at += 3)
		memcpy(at, "../", 3);
	memcpy(at, "blobs/", 6);
	memcpy(at + 6, etag, n + 1);
	return text;
}

/* A link beside the place, then renamed onto it. Where links are not to be had, the bytes themselves. */
static enum status
place(const char *to, const char *way, const char *blob)
{
	char *beside = file_path("%s.%ld.link", to, (long)getpid());
	enum status st = ACE_OK;

	if (!beside)
		return ace_fail(ACE_ENOMEM, "%s: no memory", to);
	unlink(beside);			/* of one that was killed */
	if (symlink(way, beside) != 0 && link(blob, beside) != 0)
		st = ace_fail(ACE_ECREATE, "%s: cannot link it to its bytes: %s", to, strerror(errno));
	if (st == ACE_OK && rename(beside, to) != 0)
		st = ace_fail(ACE_ECREATE, "%s: cannot create: %s", to, strerror(errno));
	if (st != ACE_OK)
		unlink(beside);
	free(beside);
	return st;
}

enum status
hub_store_link(const struct hub_store *s, const struct hub_file *f)
{
	char *to = file_path("%s/%s", s->snapshot, f->path), *way = way_up(f->path, f->etag), *blob = hub_store_blob(s, f->etag, "");
	char there[400];
	enum status st;
	ssize_t n;

	if (!to || !way || !blob) {
		st = ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	} else {
		n = readlink(to, there, sizeof there - 1);
		if (n > 0 && (size_t)n == strlen(way) && memcmp(there, way, (size_t)n) == 0)
			st = ACE_OK;
		else if ((st = make_parent(to)) == ACE_OK)
			st = place(to, way, blob);
	}
	free(to);
	free(way);
	free(blob);
	return st;
}

enum status
hub_store_ref(const struct hub_store *s, const struct hub_repo *r)
{
	char *path;
	enum status st;

	if (strcmp(r->revision, r->commit) == 0)
		return ACE_OK;
	path = file_path("%s/refs/%s", s->folder, r->revision);
	st = path ? make_parent(path) : ace_fail(ACE_ENOMEM, "%s: no memory", s->folder);
	if (st == ACE_OK)
		st = file_write(path, r->commit, 40);
	free(path);
	return st;
}
