/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a save, in a thread of its own, and putting it in its place in one step. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "train/checkpoint_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folders above a file of a checkpoint; each is synced with the rest at the end. */
enum status
checkpoint_make_parents(const char *folder, const char *name)
{
	const char *slash = strrchr(name, '/');
	enum status st;
	char *path;

	if (!slash)
		return ACE_OK;
	path = file_path("%s/%.*s", folder, (int)(slash - name), name);
	st = path ? file_mkdirs(path) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	free(path);
	return st;
}

/* The folders between folder and a file, innermost first. */
enum status
checkpoint_sync_parents(const char *folder, const char *name)
{
	char *path = file_path("%s/%s", folder, name);
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", folder);

	for (char *slash; st == ACE_OK && (slash = strrchr(path, '/')) && (size_t)(slash - path) > strlen(folder);) {
		*slash = 0;
		st = file_sync(path);
	}
	free(path);
	return st;
}

static enum status
list_file(cJSON *files, const struct saved_file *f, const char *path, int64_t *bytes)
{
	cJSON *e = cJSON_CreateObject();
	int64_t size = file_size(path);
	char hex[65];

	cJSON_AddItemToArray(files, e);
	ACE_TRY(sha256_file(path, hex));
	if (size < 0)
		return ace_fail(ACE_EIO, "%s: it was written and is not there", path);
	*bytes += size;
	if (!cJSON_AddStringToObject(e, "name", f->name) || !cJSON_AddNumberToObject(e, "size", (double)size) ||
	    !cJSON_AddStringToObject(e, "sha256", hex) ||
	    (f->kind == SAVED_TENSORS && !cJSON_AddNumberToObject(e, "tensors", f->n)))
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	return ACE_OK;
}

enum status
checkpoint_write_files(const struct checkpoint_save *s, const char *folder, cJSON *files, int64_t *bytes)
{
	for (int i = 0; i < s->n; i++) {
		if (s->file[i].parted)
			continue;
		char *path = file_path("%s/%s", folder, s->file[i].name);
		enum status st = path ? checkpoint_make_parents(folder, s->file[i].name) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
		if (st == ACE_OK)
			st = saved_file_write(&s->file[i], path);
		if (st == ACE_OK)
			st = list_file(files, &s->file[i], path, bytes);
		if (st == ACE_OK)
			st = checkpoint_sync_parents(folder, s->file[i].name);
		free(path);
		ACE_TRY(st);
	}
	return ACE_OK;
}

/* The manifest, and last of all the guard. */
static enum status
finish_folder(const char *folder, const cJSON *manifest)
{
	char *m = file_path("%s/%s", folder, CHECKPOINT_MANIFEST), *g = file_path("%s/%s", folder, CHECKPOINT_GUARD);
	enum status st;

	if (!m || !g)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	else if ((st = json_write(m, manifest)) == ACE_OK && (st = file_sync(folder)) == ACE_OK)
		st = file_write(g, "complete\n", 9);
	free(m);
	free(g);
	return st == ACE_OK ? file_sync(folder) : st;
}

/* The manifest of files, which it takes, around what is in folder. */
static enum status
complete_folder(const struct checkpoint_save *s, const char *folder, cJSON *files)
{
	cJSON *manifest = cJSON_CreateObject(), *facts;
	enum status st;

	cJSON_AddNumberToObject(manifest, "version", CHECKPOINT_VERSION);
	cJSON_AddStringToObject(manifest, "checkpoint", s->name);
	facts = cJSON_Duplicate(s->facts, true);
	if (!cJSON_AddItemToObject(manifest, "files", files) || !facts || !cJSON_AddItemToObject(manifest, "metadata", facts) ||
	    !cJSON_AddNumberToObject(facts, "global_step", (double)s->parsed.step) ||
	    !cJSON_AddStringToObject(facts, "product", PACKAGE_STRING)) {
		cJSON_Delete(manifest);
		return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	}
	st = finish_folder(folder, manifest);
	cJSON_Delete(manifest);
	return st;
}

/* tmp becomes path. What has that name already (a damaged one, or a run that went on from before it) is exchanged, so that at
 * no moment there is none of that name; file systems that cannot exchange have it moved aside first. */
static enum status
put_in_place(const char *dir, const char *tmp, const char *path)
{
	char *old;
	enum status st = ACE_OK;

	if (file_is_dir(path)) {
		if (checkpoint_foreign(path))
			return ace_fail(ACE_ECREATE, "%s: another program made that one; choose another output_dir", path);
		if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE) == 0) {
			ACE_TRY(file_sync(dir));
			return file_remove_tree(tmp);
		}
		if (!(old = file_path("%s-old-tmp", path)))
			return ace_fail(ACE_ENOMEM, "%s: no memory", path);
		st = file_remove_tree(old);
		if (st == ACE_OK && rename(path, old) != 0)
			st = ace_fail(ACE_EIO, "%s: cannot move the old one aside: %s", path, strerror(errno));
		if (st == ACE_OK)
			st = file_rename(tmp, path);
		if (st == ACE_OK)
			st = file_remove_tree(old);
		free(old);
		return st;
	}
	return file_rename(tmp, path);
}

enum status
checkpoint_make_folder(struct checkpoint_writer *w)
{
	w->path = file_path("%s/%s", w->dir, w->save->name);
	w->tmp = w->path ? file_path("%s-tmp", w->path) : NULL;
	w->files = cJSON_CreateArray();
	if (!w->tmp || !w->files)
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->dir);
	ACE_TRY(file_mkdirs(w->dir));
	ACE_TRY(file_remove_tree(w->tmp));
	if (mkdir(w->tmp, 0777) != 0)
		return ace_fail(ACE_ECREATE, "%s: cannot create the folder: %s", w->tmp, strerror(errno));
	return ACE_OK;
}

void
checkpoint_drop_folder(struct checkpoint_writer *w)
{
	if (w->tmp && file_remove_tree(w->tmp) != ACE_OK)
		msg_warn("%s", ace_message());
}

enum status
checkpoint_publish(struct checkpoint_writer *w)
{
	cJSON *files = w->files;

	w->files = NULL;
	ACE_TRY(complete_folder(w->save, w->tmp, files));
	checkpoint_at("guarded");
	ACE_TRY(put_in_place(w->dir, w->tmp, w->path));
	checkpoint_at("in place");
	ACE_TRY(checkpoint_verify(w->path, false));
	if (w->rotate && checkpoint_rotate(w->dir, w->save->parsed.suffix, &w->rule, w->save->name, &w->report.removed) != ACE_OK)
		msg_warn("%s; older checkpoints are left", ace_message());
	return ACE_OK;
}

static enum status
write_save(struct checkpoint_writer *w)
{
	enum status st = checkpoint_make_folder(w);
	char message[sizeof w->message];

	if (st == ACE_OK)
		st = checkpoint_write_files(w->save, w->tmp, w->files, &w->report.bytes);
	if (st == ACE_OK)
		st = checkpoint_publish(w);
	if (st == ACE_OK)
		return st;
	snprintf(message, sizeof message, "%s", ace_message());
	checkpoint_drop_folder(w);
	return ace_fail(st, "%s", message);
}

static void *
run(void *me)
{
	struct checkpoint_writer *w = me;

	w->status = w->work(w);
	snprintf(w->message, sizeof w->message, "%s", w->status == ACE_OK ? "" : ace_message());
	w->report.seconds = clock_now() - w->began;
	atomic_store(&w->finished, true);
	return NULL;
}

enum status
checkpoint_writer_open(struct checkpoint_writer **w, const char *dir, bool background)
{
	*w = NULL;
	ACE_TRY(file_mkdirs(dir));
	*w = calloc(1, sizeof **w);
	if (*w)
		(*w)->dir = strdup(dir);
	if (!*w || !(*w)->dir) {
		free(*w);
		*w = NULL;
		return ace_fail(ACE_ENOMEM, "%s: no memory", dir);
	}
	(*w)->background = background;
	return ACE_OK;
}

void
checkpoint_forget(struct checkpoint_writer *w)
{
	checkpoint_save_free(w->save);
	cJSON_Delete(w->files);
	free((char *)(uintptr_t)w->rule.protect);
	free(w->path);
	free(w->tmp);
	free(w->digests);
	w->save = NULL;
	w->files = NULL;
	w->rule.protect = NULL;
	w->path = w->tmp = w->digests = NULL;
	w->busy = false;
}

void
checkpoint_reported(struct checkpoint_writer *w)
{
	if (w->n_ready == CHECKPOINT_REPORTS)
		memmove(&w->ready[0], &w->ready[1], --w->n_ready * sizeof *w->ready);
	w->ready[w->n_ready++] = w->report;
}

enum status
checkpoint_join(struct checkpoint_writer *w)
{
	if (w->joinable)
		pthread_join(w->thread, NULL);
	w->joinable = false;
	return w->status == ACE_OK ? ACE_OK : ace_fail(w->status, "%s", w->message);
}

/* Take the result of the save in flight, waiting for it. */
static enum status
collect(struct checkpoint_writer *w)
{
	enum status st;

	if (!w->busy)
		return ACE_OK;
	st = checkpoint_join(w);
	checkpoint_forget(w);
	if (st == ACE_OK)
		checkpoint_reported(w);
	return st;
}

/* The thread takes no signal: they are for the loop. */
static bool
start_thread(struct checkpoint_writer *w)
{
	sigset_t all, old;
	bool ok;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
		return false;
	ok = pthread_create(&w->thread, NULL, run, w) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ok;
}

void
checkpoint_start(struct checkpoint_writer *w, enum status (*work)(struct checkpoint_writer *w))
{
	w->work = work;
	atomic_store(&w->finished, false);
	w->joinable = w->background && start_thread(w);
	if (!w->joinable)
		run(w);
}

enum status
checkpoint_commit(struct checkpoint_writer *w, struct checkpoint_save *s, const struct checkpoint_rule *rule)
{
	enum status taken = saved_taken(s), st;
	double start = clock_now(), waited;
	char *protect = rule && rule->protect ? strdup(rule->protect) : NULL;

	st = w->comm ? checkpoint_wait(w) : collect(w);
	waited = clock_now() - start;
	if (st == ACE_OK)
		st = taken;
	if (st == ACE_OK && rule && rule->protect && !protect)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	if (st != ACE_OK && !w->comm) {
		checkpoint_save_free(s);
		free(protect);
		return st;
	}
	w->report = (struct checkpoint_report){ .step = s->parsed.step, .waited = waited };
	snprintf(w->report.name, sizeof w->report.name, "%s", s->name);
	w->rotate = rule != NULL;
	if (rule)
		w->rule = *rule;
	w->rule.protect = protect;
	w->save = s;
	w->busy = true;
	w->began = clock_now();
	if (w->comm)
		return checkpoint_commit_ranks(w, st);
	checkpoint_start(w, write_save);
	return w->joinable ? ACE_OK : collect(w);
}

enum status
checkpoint_wait(struct checkpoint_writer *w)
{
	return w->comm ? checkpoint_wait_ranks(w) : collect(w);
}

enum status
checkpoint_poll(struct checkpoint_writer *w, bool *done, struct checkpoint_report *r)
{
	enum status st = !w->comm && w->busy && atomic_load(&w->finished) ? collect(w) : ACE_OK;

	*done = w->n_ready > 0;
	if (*done) {
		*r = w->ready[0];
		memmove(&w->ready[0], &w->ready[1], --w->n_ready * sizeof *w->ready);
	}
	return st;
}

enum status
checkpoint_writer_close(struct checkpoint_writer *w)
{
	enum status st = ACE_OK;

	if (!w)
		return ACE_OK;
	if (!w->comm)
		st = collect(w);
	else if (w->busy) {		/* the ranks have not agreed on it: it stays unfinished */
		st = checkpoint_join(w);
		checkpoint_forget(w);
	}
	free(w->dir);
	free(w);
	return st;
}
