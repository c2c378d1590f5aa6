/* SPDX-License-Identifier: Apache-2.0 */
#include "data/discover.h"

#include "base/file.h"
#include "base/msg.h"
#include "data/songs.h"
#include "text/chars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 64 };			/* folders in folders */

static const char *const known[] = { "wav",  "wave", "flac", "mp3", "m4a",  "mp4a", "aac",
				     "ogg",  "oga",  "opus", "wma", "aiff", "aif",  "aifc",
				     "alac", "mp4",  "mpeg", "mpg", "mkv",  "webm" };

const char *
songs_extension(int i)
{
	return i >= 0 && (size_t)i < sizeof known / sizeof *known ? known[i] : NULL;
}

bool
songs_is_sound(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && dot > name && i < sizeof known / sizeof *known; i++)
		if (strcasecmp(dot + 1, known[i]) == 0)
			return true;
	return false;
}

struct walk {
	struct songs *to;
	char *real;			/* the folder without links; owned */
	int64_t cap;
};

static bool
is_good_name(const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)key[i] < 32 || key[i] == 127)
			return false;
	return utf8_valid(key, n) == n;
}

static enum status
add(struct walk *w, const char *key, const struct stat *info)
{
	struct songs *s = w->to;

	if (s->n == w->cap) {
		int64_t cap = w->cap ? 2 * w->cap : 64;
		struct song *more = realloc(s->song, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory for %lld files", s->folder, (long long)cap);
		s->song = more;
		w->cap = cap;
	}
	s->song[s->n] = (struct song){ .key = strdup(key), .size = info->st_size, .bad_name = !is_good_name(key),
		.mtime = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec };
	if (!s->song[s->n].key)
		return ace_fail(ACE_ENOMEM, "%s: no memory", s->folder);
	s->n++;
	return ACE_OK;
}

/* Whether a link's target lies below the folder. */
static bool
is_inside(const struct walk *w, const char *key)
{
	char *path = file_path("%s/%s", w->real, key), *real = path ? realpath(path, NULL) : NULL;
	size_t n = strcmp(w->real, "/") == 0 ? 0 : strlen(w->real);
	bool inside = real && strncmp(real, w->real, n) == 0 && real[n] == '/';

	free(path);
	free(real);
	return inside;
}

static enum status
walk(struct walk *w, int fd, const char *below, int depth);

/* One name of a folder. */
static enum status
visit(struct walk *w, int folder, const char *name, const char *key, int depth)
{
	struct stat info;

	if (name[0] == '.') {
		w->to->ignored += strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
		return ACE_OK;
	}
	if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? ACE_OK : ace_fail(ACE_EIO, "%s/%s: %s", w->to->folder, key, strerror(errno));
	if (S_ISDIR(info.st_mode)) {
		int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return ace_fail(ACE_EIO, "%s/%s: cannot read the folder: %s", w->to->folder, key, strerror(errno));
		return walk(w, fd, key, depth + 1);
	}
	if (!songs_is_sound(name)) {
		w->to->ignored++;
		return ACE_OK;
	}
	if (S_ISLNK(info.st_mode)) {
		if (fstatat(folder, name, &info, 0) != 0 || S_ISDIR(info.st_mode))
			return ACE_OK;		/* leads nowhere, or to a folder that is visited by itself */
		if (!is_inside(w, key)) {
			w->to->outside++;
			return ACE_OK;
		}
	}
	if (!S_ISREG(info.st_mode))
		return ACE_OK;
	return add(w, key, &info);
}

/* Takes fd. */
static enum status
walk(struct walk *w, int fd, const char *below, int depth)
{
	DIR *d = fdopendir(fd);
	enum status st = ACE_OK;
	struct dirent *e;

	if (!d) {
		close(fd);
		return ace_fail(ACE_EIO, "%s/%s: cannot read the folder: %s", w->to->folder, below, strerror(errno));
	}
	if (depth > DEPTH)
		st = ace_fail(ACE_EDATA, "%s/%s: more than %d folders in each other", w->to->folder, below, DEPTH);
	while (st == ACE_OK && (e = readdir(d))) {
		char *key = file_path("%s%s%s", below, *below ? "/" : "", e->d_name);
		st = key ? visit(w, dirfd(d), e->d_name, key, depth) : ace_fail(ACE_ENOMEM, "%s: no memory", w->to->folder);
		free(key);
	}
	closedir(d);
	return st;
}

static int
by_key(const void *a, const void *b)
{
	return strcmp(((const struct song *)a)->key, ((const struct song *)b)->key);
}

enum status
songs_find(struct songs *s, const char *folder)
{
	struct walk w = { .to = s };
	enum status st;
	int fd;

	*s = (struct songs){ .folder = strdup(folder) };
	w.real = realpath(folder, NULL);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!s->folder)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	else if (fd < 0 || !w.real)
		st = ace_fail(ACE_ENOINPUT, "%s: %s", folder,
		              errno == ENOENT    ? "no such folder"
		              : errno == ENOTDIR ? "not a folder"
		                                 : strerror(errno));
	else
		st = walk(&w, fd, "", 0);
	if (fd >= 0 && (!s->folder || !w.real))
		close(fd);
	free(w.real);
	if (st != ACE_OK) {
		songs_free(s);
		return st;
	}
	if (s->n > 1)
		qsort(s->song, (size_t)s->n, sizeof *s->song, by_key);
	if (s->outside > 0)
		msg_warn("%s: %lld links lead out of the folder and are passed over", folder, (long long)s->outside);
	return ACE_OK;
}

static void
row_free(struct song_row *r)
{
	if (!r)
		return;
	for (int i = 0; i < r->captions; i++)
		free(r->caption[i]);
	free(r->caption);
	free(r->lyrics);
	free(r->file);
	free(r->shard);
	free(r->why);
	free(r);
}

void
songs_free(struct songs *s)
{
	for (int64_t i = 0; i < s->n; i++) {
		free(s->song[i].key);
		row_free(s->song[i].row);
	}
	song_source_close(s->source);
	free(s->song);
	free(s->folder);
	*s = (struct songs){ 0 };
}

char *
song_path(const struct songs *s, int64_t i)
{
	const struct song_row *r = s->song[i].row;

	if (r)
		return r->file ? strdup(r->file) : file_path("%s: row %lld", r->shard, (long long)r->number);
	return file_path("%s/%s", s->folder, s->song[i].key);
}
