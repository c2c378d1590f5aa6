/* SPDX-License-Identifier: Apache-2.0 */
/* the folder of a random model: made beside its place, put there when it is whole */
#include "jobs/init_model_parts.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const entries[] = { "ace_step_transformer", "music_dcae_f8c8",
				       "music_vocoder",	       "umt5-base",
				       "lyric_vocab.json",     "init_model.json" };

static bool
is_ours(const char *name)
{
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
		if (strcmp(entries[i], name) == 0)
			return true;
	return false;
}

/* An entry of dir into name: one that is a model's when ours, else one that is not; "" when there
 * is none. */
static enum status
find_entry(const char *dir, bool ours, char name[256])
{
	DIR *d = opendir(dir);
	struct dirent *e;

	name[0] = 0;
	if (!d)
		return ace_fail(ACE_ECREATE, "%s: cannot look into it: %s", dir, strerror(errno));
	while (!name[0] && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    is_ours(e->d_name) == ours)
			memcpy(name, e->d_name, strlen(e->d_name) + 1);
	closedir(d);
	return ACE_OK;
}

/* An existing folder can be replaced by another: it is empty, no mount point and not the one we
 * stand in. */
static enum status
check_replaceable(const char *dir, const char *path)
{
	char name[256], *up = file_path("%s/..", path);
	struct stat here, it, parent;
	int bad;

	ACE_TRY(find_entry(path, true, name));
	if (name[0]) {
		free(up);
		return ace_fail(ACE_ECREATE, "%s: holds a model already (%s)", dir, name);
	}
	ACE_TRY(find_entry(path, false, name));
	bad = !up || stat(".", &here) != 0 || stat(path, &it) != 0 || stat(up, &parent) != 0;
	free(up);
	if (name[0])
		return ace_fail(ACE_ECREATE,
				"%s: is not empty (%s), wanted a new or an empty folder", dir,
				name);
	if (bad || it.st_dev != parent.st_dev)
		return ace_fail(ACE_ECREATE,
				"%s: is where a file system is mounted, wanted a folder below it",
				dir);
	if (it.st_dev == here.st_dev && it.st_ino == here.st_ino)
		return ace_fail(ACE_ECREATE, "%s: is the current folder, wanted one below it", dir);
	return ACE_OK;
}

/* Take the folder that path names for ourselves; *fd is closed when we end, however that is. */
static enum status
lock(const char *path, int *fd)
{
	struct stat ours, now;

	*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return ace_fail(ACE_ECREATE, "%s: is in the way: %s", path, strerror(errno));
	if (flock(*fd, LOCK_EX | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK) /* file systems without locks: go on */
		return ace_fail(ACE_ECREATE, "%s: another ace-init-model is writing it", path);
	if (fstat(*fd, &ours) != 0 || stat(path, &now) != 0 || ours.st_dev != now.st_dev ||
	    ours.st_ino != now.st_ino)
		return ace_fail(ACE_ECREATE, "%s: another ace-init-model has taken it away", path);
	return ACE_OK;
}

/* A part that was left by a kill is removed; anything else of that name is not ours to touch. */
static enum status
clear_part(const char *part)
{
	enum status st;
	char name[256];
	int fd;

	if ((st = lock(part, &fd)) == ACE_OK && (st = find_entry(part, false, name)) == ACE_OK) {
		if (name[0])
			st = ace_fail(ACE_ECREATE, "%s: is in the way, and is not ours (%s)", part,
				      name);
		else
			st = file_remove_tree(part);
	}
	if (fd >= 0)
		close(fd);
	return st;
}

static enum status
make_part(struct init_folder *f, const char *dir)
{
	char *slash = strrchr(f->target, '/');
	enum status st = ACE_OK;
	int made;

	if (slash && slash != f->target) {
		*slash = 0;
		st = file_mkdirs(f->target);
		*slash = '/';
	}
	if (st != ACE_OK)
		return st;
	made = mkdir(f->part, 0777);
	if (made != 0 && errno == EEXIST) {
		ACE_TRY(clear_part(f->part));
		made = mkdir(f->part, 0777);
	}
	if (made != 0)
		return ace_fail(ACE_ECREATE, "%s: cannot create the folder: %s", dir,
				strerror(errno));
	return lock(f->part, &f->lock);
}

static void
folder_free(struct init_folder *f)
{
	if (f->lock >= 0)
		close(f->lock);
	free(f->target);
	free(f->part);
	*f = (struct init_folder){ .lock = -1 };
}

enum status
init_folder_begin(struct init_folder *f, const char *dir)
{
	size_t n = strlen(dir);
	struct stat s;
	enum status st;

	*f = (struct init_folder){ .lock = -1 };
	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n == 0)
		return ace_fail(ACE_EUSAGE, "the folder's name is empty");
	f->target = lstat(dir, &s) == 0 ? realpath(dir, NULL) : file_path("%.*s", (int)n, dir);
	f->part = f->target ? file_path("%s.part", f->target) : NULL;
	if (!f->part)
		st = ace_fail(errno == ENOMEM ? ACE_ENOMEM : ACE_ECREATE, "%s: %s", dir,
			      strerror(errno));
	else if (file_exists(f->target) && !file_is_dir(f->target))
		st = ace_fail(ACE_ECREATE, "%s: is not a folder", dir);
	else
		st = file_is_dir(f->target) ? check_replaceable(dir, f->target) : ACE_OK;
	if (st == ACE_OK)
		st = make_part(f, dir);
	if (st != ACE_OK)
		folder_free(f);
	return st;
}

enum status
init_folder_end(struct init_folder *f)
{
	enum status st = file_sync(f->part);

	if (st == ACE_OK)
		st = file_rename(f->part, f->target);
	if (st == ACE_OK)
		folder_free(f);
	return st;
}

enum status
init_folder_undo(struct init_folder *f)
{
	enum status st = f->part ? file_remove_tree(f->part) : ACE_OK;

	folder_free(f);
	return st;
}
