/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

char *
file_path(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

static enum status
read_fd(int fd, const char *path, size_t limit, char **data, size_t *size)
{
	size_t cap = 1 << 16, n = 0;
	char *buf = malloc(cap + 1);

	while (buf) {
		ssize_t r = read(fd, buf + n, cap - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			free(buf);
			return ace_fail(ACE_EIO, "%s: cannot read: %s", path, strerror(errno));
		}
		if (r == 0)
			break;
		n += (size_t)r;
		if (n > limit) {
			free(buf);
			return ace_fail(ACE_EDATA, "%s: larger than %zu bytes", path, limit);
		}
		if (n == cap) {
			char *more = realloc(buf, 2 * cap + 1);
			if (!more)
				free(buf);
			buf = more;
			cap *= 2;
		}
	}
	if (!buf)
		return ace_fail(ACE_ENOMEM, "%s: no memory to read it", path);
	buf[n] = 0;
	*data = buf;
	*size = n;
	return ACE_OK;
}

enum status
file_read(const char *path, size_t limit, char **data, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum status st;

	*data = NULL;
	*size = 0;
	if (fd < 0)
		return ace_fail(errno == ENOENT || errno == ENOTDIR ? ACE_ENOINPUT : ACE_EIO, "%s: %s", path,
		                errno == ENOENT ? "no such file" : strerror(errno));
	st = read_fd(fd, path, limit, data, size);
	close(fd);
	return st;
}

enum status
file_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd) != 0;
	/* some file systems refuse fsync of a folder; that is not a lost file */
	int err = bad && fd >= 0 && (errno == EINVAL || errno == EROFS) ? 0 : errno;

	if (fd >= 0)
		close(fd);
	if (bad && err)
		return ace_fail(ACE_EIO, "%s: cannot sync: %s", path, strerror(err));
	return ACE_OK;
}

static enum status
sync_parent(const char *path)
{
	char *dir = file_path("%s", path), *slash = dir ? strrchr(dir, '/') : NULL;
	enum status st;

	if (!dir)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if (slash == dir)
		slash++;
	if (slash)
		*slash = 0;
	st = file_sync(slash ? dir : ".");
	free(dir);
	return st;
}

enum status
file_rename(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return ace_fail(ACE_EIO, "%s: cannot rename to %s: %s", from, to, strerror(errno));
	return sync_parent(to);
}

static enum status
write_fd(int fd, const char *path, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t w = write(fd, data, size < (1u << 30) ? size : (1u << 30));
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return ace_fail(ACE_EIO, "%s: cannot write: %s", path, strerror(errno));
		data += w;
		size -= (size_t)w;
	}
	if (fsync(fd) != 0)
		return ace_fail(ACE_EIO, "%s: cannot sync: %s", path, strerror(errno));
	return ACE_OK;
}

enum status
file_write(const char *path, const void *data, size_t size)
{
	char *part = file_path("%s.part", path);
	enum status st;
	int fd;

	if (!part)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		st = ace_fail(ACE_ECREATE, "%s: cannot create: %s", path, strerror(errno));
		free(part);
		return st;
	}
	st = write_fd(fd, path, data, size);
	if (close(fd) != 0 && st == ACE_OK)
		st = ace_fail(ACE_EIO, "%s: cannot close: %s", path, strerror(errno));
	if (st == ACE_OK)
		st = file_rename(part, path);
	if (st != ACE_OK)
		unlink(part);
	free(part);
	return st;
}

enum status
file_mkdirs(const char *path)
{
	char *p = file_path("%s", path);
	int err = 0;

	if (!p)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (char *s = p + 1; !err; s++)
		if (*s == '/' || *s == 0) {
			char keep = *s;
			*s = 0;
			if (mkdir(p, 0777) != 0 && errno != EEXIST)
				err = errno;
			*s = keep;
			if (!keep)
				break;
		}
	free(p);
	if (!err && !file_is_dir(path))
		err = ENOTDIR;
	if (err)
		return ace_fail(ACE_ECREATE, "%s: cannot create the folder: %s", path, strerror(err));
	return ACE_OK;
}

static enum status
remove_at(int parent, const char *name, const char *path)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum status st = ACE_OK;
	struct dirent *e;
	DIR *d;

	if (fd < 0) {
		if (errno == ENOENT || unlinkat(parent, name, 0) == 0 || errno == ENOENT)
			return ACE_OK;
		return ace_fail(ACE_EIO, "%s/%s: cannot remove: %s", path, name, strerror(errno));
	}
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return ace_fail(ACE_EIO, "%s/%s: cannot read the folder: %s", path, name, strerror(errno));
	}
	while (st == ACE_OK && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			st = remove_at(dirfd(d), e->d_name, path);
	closedir(d);
	if (st == ACE_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		st = ace_fail(ACE_EIO, "%s: cannot remove the folder %s: %s", path, name, strerror(errno));
	return st;
}

enum status
file_remove_tree(const char *path)
{
	return remove_at(AT_FDCWD, path, path);
}

bool
file_exists(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0;
}

bool
file_is_dir(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

int64_t
file_size(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 && S_ISREG(s.st_mode) ? (int64_t)s.st_size : -1;
}

int64_t
file_free_bytes(const char *path)
{
	char *p = file_path("%s", path);
	struct statvfs v;
	int64_t n = -1;

	while (p && *p) {
		char *slash;
		if (statvfs(p, &v) == 0) {
			n = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
			break;
		}
		slash = strrchr(p, '/');
		if (!slash) {
			n = statvfs(".", &v) == 0 ? (int64_t)v.f_bavail * (int64_t)v.f_frsize : -1;
			break;
		}
		slash[slash == p] = 0;
	}
	free(p);
	return n;
}
