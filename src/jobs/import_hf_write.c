/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/import_hf_parts.h"

#include "base/file.h"
#include "text/chars.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 80, PIECE = 1 << 20, EARLY = 1 << 16 };

/* The stem of a path: its last part without its last extension. */
static void
stem_of(const char *path, const char **from, size_t *n)
{
	const char *slash = strrchr(path, '/'), *dot;

	*from = slash ? slash + 1 : path;
	dot = strrchr(*from, '.');
	*n = dot && dot > *from ? (size_t)(dot - *from) : strlen(*from);
}

char *
import_name(const struct hf_song *s, int64_t row)
{
	const char *from = s->key ? s->key : "", *bad = "/\\:*?\"<>|";
	size_t n = strlen(from), at = 0;
	char safe[NAME_BYTES + 1];

	if (!s->key && s->name)
		stem_of(s->name, &from, &n);
	if (utf8_valid(from, n) < n)
		n = 0;
	while (n > 0) {
		size_t len = utf8_len(*from);
		if (at + len > NAME_BYTES)
			break;
		memcpy(safe + at, from, len);
		if ((unsigned char)*from < 32 || *from == 127 || strchr(bad, *from))
			safe[at] = '_';
		at += len;
		from += len;
		n -= len;
	}
	while (at > 0 && (safe[at - 1] == ' ' || safe[at - 1] == '.'))
		at--;
	safe[at] = 0;
	return file_path("%06lld%s%s", (long long)row, at ? "-" : "", safe);
}

/* --- one file --- */

/* Files are not synced one by one: the run syncs them all at its end, and the next one looks at their sizes. */
static enum status
write_all(int fd, const char *path, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
		data += n;
		size -= (size_t)n;
	}
	return ACE_OK;
}

static enum status
finish(int fd, enum status st, const char *part, const char *path)
{
	if (close(fd) != 0 && st == ACE_OK)
		st = ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
	if (st == ACE_OK && rename(part, path) != 0)
		st = ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
	if (st != ACE_OK)
		unlink(part);
	return st;
}

static enum status
create(const char *part, int *fd)
{
	*fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	return *fd >= 0 ? ACE_OK : ace_fail(ACE_ECREATE, "%s: %s", part, strerror(errno));
}

/* The disk begins to write what the run will wait for at its end, while the next songs are read. */
static void
begin_writing(int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static enum status
put(const char *folder, const char *name, const char *end, const char *data, size_t size)
{
	char *path = file_path("%s/%s.%s", folder, name, end), *part = path ? file_path("%s.part", path) : NULL;
	enum status st = part ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");
	int fd = -1;

	if (st == ACE_OK)
		st = create(part, &fd);
	if (st == ACE_OK) {
		st = write_all(fd, path, data, size);
		if (size >= EARLY)
			begin_writing(fd);
		st = finish(fd, st, part, path);
	}
	free(path);
	free(part);
	return st;
}

/* A text beside a sound that is not there yet: nothing reads it before that is, so it needs no other name while it is written. */
static enum status
put_text(const char *folder, const char *name, const char *end, const char *data, size_t size)
{
	char *path = file_path("%s/%s.%s", folder, name, end);
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666) : -1;
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");

	if (st == ACE_OK && fd < 0)		/* of a run before: the sound may be there */
		st = put(folder, name, end, data, size);
	else if (st == ACE_OK) {
		st = write_all(fd, path, data, size);
		if (close(fd) != 0 && st == ACE_OK)
			st = ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
		if (st != ACE_OK)
			unlink(path);
	}
	free(path);
	return st;
}

/* The rest of a file into another, by the kernel where it can. */
static enum status
copy_rest(struct hf_song *s, int from, int to, const char *path, char *piece)
{
	ssize_t n;

	do
		n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
	while (n > 0);
	if (n == 0)
		return ACE_OK;
	if (errno == ENOSPC || errno == EIO || errno == EDQUOT)
		return ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
	for (;;) {
		n = read(from, piece, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			s->code = "unreadable";
		if (n <= 0)
			return n == 0 ? ACE_OK : ace_fail(ACE_EIO, "%s: %s", s->file, strerror(errno));
		ACE_TRY(write_all(to, path, piece, (size_t)n));
	}
}

static enum status
copy_sound(struct hf_song *s, const char *folder, const char *name)
{
	char *path = file_path("%s/%s.%s", folder, name, s->end), *part = path ? file_path("%s.part", path) : NULL;
	char *piece = malloc(PIECE);
	int from = open(s->file, O_RDONLY | O_CLOEXEC), to = -1;
	enum status st = part && piece ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");
	struct stat info;

	if (st == ACE_OK && from < 0) {
		s->code = "unreadable";
		st = ace_fail(ACE_EIO, "%s: %s", s->file, strerror(errno));
	}
	if (st == ACE_OK)
		st = create(part, &to);
	if (st == ACE_OK) {
		st = copy_rest(s, from, to, path, piece);
		begin_writing(to);
		if (st == ACE_OK && fstat(to, &info) == 0)
			s->size = (size_t)info.st_size;
		st = finish(to, st, part, path);
	}
	if (from >= 0)
		close(from);
	free(piece);
	free(path);
	free(part);
	return st;
}

/* A caption a line, so a line break in one is a blank. */
static enum status
put_captions(const struct hf_song *s, const char *folder, const char *name)
{
	struct buffer b = { 0 };
	enum status st;

	for (int i = 0; i < s->captions; i++) {
		size_t from = b.len;
		buffer_str(&b, s->caption[i]);
		for (size_t k = from; !b.bad && k < b.len; k++)
			if (b.data[k] == '\n' || b.data[k] == '\r')
				b.data[k] = ' ';
		buffer_char(&b, '\n');
	}
	st = buffer_done(&b) ? put_text(folder, name, "txt", b.data, b.len) : ace_fail(ACE_ENOMEM, "no memory");
	buffer_free(&b);
	return st;
}

enum status
import_write(struct hf_song *s, const char *folder, const char *name)
{
	enum status st = put_captions(s, folder, name);

	if (st == ACE_OK && s->lyrics && *s->lyrics)
		st = put_text(folder, name, "lyrics", s->lyrics, strlen(s->lyrics));
	if (st == ACE_OK)
		st = s->bytes ? put(folder, name, s->end, s->bytes, s->size) : copy_sound(s, folder, name);
	return s->code ? ACE_OK : st;
}
