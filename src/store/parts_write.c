/* SPDX-License-Identifier: Apache-2.0 */
#include "store/parts.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* A lock by file; file systems that have none are trusted. *fd -1: no lock. */
static enum status
take(const char *folder, const char *name, int how, int *fd)
{
	char *path = file_path("%s/%s", folder, name);
	enum status st = ACE_OK;

	*fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
	if (!path)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	else if (*fd < 0)
		st = ace_fail(ACE_ECREATE, "%s: cannot write to the store: %s", folder, strerror(errno));
	else if (flock(*fd, how | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		st = ace_fail(ACE_ECONFIG, "%s: another process is writing to this store", folder);
	free(path);
	return st;
}

/* Remove what a killed writer of this rank left; find the next number. */
static enum status
clean(struct parts_writer *w)
{
	size_t name = strlen(w->kind->prefix) + PART_SUFFIX;
	DIR *d = opendir(w->folder);
	struct dirent *e;
	int64_t number;
	int rank;

	if (!d)
		return ace_fail(ACE_EIO, "%s: cannot list: %s", w->folder, strerror(errno));
	while ((e = readdir(d))) {
		if (!parts_parse(e->d_name, w->kind, &rank, &number) || rank != w->rank)
			continue;
		if (strcmp(e->d_name + name, ".part") == 0)
			unlinkat(dirfd(d), e->d_name, 0);
		else if (number >= w->number)	/* a damaged one, too, keeps its number */
			w->number = number + 1;
	}
	closedir(d);
	return ACE_OK;
}

static enum status
find_run(struct parts_writer *w)
{
	struct parts p;

	ACE_TRY(parts_open(&p, w->kind, w->folder, false));
	for (int i = 0; i < p.n; i++)
		if (p.part[i].run >= w->run)
			w->run = p.part[i].run + 1;
	parts_close(&p);
	return ACE_OK;
}

enum status
parts_writer_open(struct parts_writer *w, const struct parts_kind *kind, const char *folder, int rank, bool all)
{
	char name[PART_NAME];
	enum status st;

	*w = (struct parts_writer){ .kind = kind, .rank = rank, .folder_lock = -1, .rank_lock = -1,
		                    .folder = file_path("%s", folder), .run = all ? 0 : 1 };
	if (!w->folder)
		return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	if (rank < 0 || rank >= PARTS_RANKS)
		st = ace_fail(ACE_EUSAGE, "shard %d; wanted 0 to %d", rank, PARTS_RANKS - 1);
	else
		st = file_mkdirs(folder);
	snprintf(name, sizeof name, ".lock-%s", kind->prefix);
	if (st == ACE_OK)
		st = take(folder, name, all ? LOCK_EX : LOCK_SH, &w->folder_lock);
	snprintf(name, sizeof name, ".lock-%s-%04d", kind->prefix, rank);
	if (st == ACE_OK)
		st = take(folder, name, LOCK_EX, &w->rank_lock);
	if (st == ACE_OK)
		st = clean(w);
	if (st == ACE_OK && !all)
		st = find_run(w);
	if (st != ACE_OK)
		parts_writer_close(w);
	return st;
}

void
parts_writer_close(struct parts_writer *w)
{
	if (w->folder_lock >= 0)
		close(w->folder_lock);
	if (w->rank_lock >= 0)
		close(w->rank_lock);
	free(w->folder);
	*w = (struct parts_writer){ .folder_lock = -1, .rank_lock = -1 };
}

enum status
parts_begin(struct parts_writer *w, const struct facts *facts, struct h5 *f)
{
	char name[PART_NAME], *path;
	enum status st;

	if (w->number >= PARTS_NUMBERS)
		return ace_fail(ACE_ECREATE, "%s: %d parts of one writer; merge them first", w->folder, PARTS_NUMBERS);
	parts_name(name, w->kind, w->rank, w->number);
	path = file_path("%s/%s", w->folder, name);
	st = path ? h5_create(f, path) : ace_fail(ACE_ENOMEM, "%s: no memory", w->folder);
	free(path);
	ACE_TRY(st);
	if ((st = h5_put_text(f, "kind", w->kind->prefix)) == ACE_OK &&
	    (st = h5_put_i64(f, "version", w->kind->version)) == ACE_OK &&
	    (st = h5_put_i64(f, "run", w->run)) == ACE_OK)
		st = h5_put_facts(f, facts);
	if (st != ACE_OK)
		h5_close(f);
	return st;
}

enum status
parts_seal(struct parts_writer *w, struct h5 *f)
{
	int64_t bytes = 0;

	ACE_TRY(h5_save(f, &bytes));
	w->bytes += bytes;
	w->number++;
	return ACE_OK;
}
