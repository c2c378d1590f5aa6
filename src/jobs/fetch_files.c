/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/fetch_files.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "net/digest.h"
#include "net/download.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What the threads share, under lock. */
struct work {
	struct fetch_files *f;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int next, done, running;
	int64_t there, came;	/* bytes of the wanted that are there; that came now */
	enum status status;	/* first failure, and what it said */
	char *message;
};

const char *
fetch_size(double bytes, char text[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	int i = 0;

	for (; bytes >= 1000 && i < 4; i++)
		bytes /= 1000;
	snprintf(text, 32, i == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[i]);
	return text;
}

/* --- one file --- */

/* A file that was there. */
static void
was_there(struct work *w, const struct hub_file *file)
{
	pthread_mutex_lock(&w->lock);
	w->there += file->size;
	pthread_mutex_unlock(&w->lock);
}

static void
got(void *me, int64_t bytes, bool came)
{
	struct work *w = me;

	pthread_mutex_lock(&w->lock);
	w->there += bytes;
	w->came += came ? bytes : 0;
	pthread_mutex_unlock(&w->lock);
}

/* Whether the bytes of a blob are what its name says. */
static enum status
is_sound(const struct fetch_files *f, const struct hub_file *file, bool *sound)
{
	char *path = hub_store_blob(f->store, file->etag, ""), hex[65];
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", file->path);
	struct digest d;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	*sound = false;
	if (fd >= 0) {
		digest_init(&d, file->etag, file_size(path));
		st = digest_file(&d, fd, path, file_size(path));
		*sound = st == ACE_OK && strcmp(digest_hex(&d, hex), file->etag) == 0;
		close(fd);
	}
	free(path);
	return st;
}

static enum status
bring(struct work *w, struct http *h, const struct hub_file *file)
{
	const struct fetch_files *f = w->f;
	char *url = hub_file_url(f->hub, f->repo, file->path), *part = hub_store_blob(f->store, file->etag, ".incomplete");
	struct download d = { .url = url, .name = file->path, .part = part, .size = file->size, .etag = file->etag,
			      .commit = f->repo->commit, .got = got, .me = w };
	enum status st = url && part ? download_run(h, &d) : ace_fail(ACE_ENOMEM, "%s: no memory", file->path);

	if (st == ACE_OK)
		st = hub_store_blob_done(f->store, file->etag);
	free(url);
	free(part);
	return st;
}

/* Under the blob's lock: another process may have brought it meanwhile. */
static enum status
bring_locked(struct work *w, struct http *h, const struct hub_file *file, bool *kept)
{
	char *blob = hub_store_blob(w->f->store, file->etag, "");
	enum status st = blob ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", file->path);
	bool sound = true;

	*kept = hub_store_has(w->f->store, file);
	if (st == ACE_OK && *kept && w->f->job->verify)
		st = is_sound(w->f, file, &sound);
	if (st == ACE_OK && (!sound || (!*kept && file_exists(blob)))) {
		msg_warn("%s: damaged in the cache: fetching it again", file->path);
		unlink(blob);
		*kept = false;
	}
	if (st == ACE_OK && !*kept)
		st = bring(w, h, file);
	else if (st == ACE_OK)
		was_there(w, file);
	free(blob);
	return st;
}

static enum status
one(struct work *w, struct http *h, const struct hub_file *file)
{
	bool kept = hub_store_has(w->f->store, file);
	enum status st = ACE_OK;
	int lock;

	if (kept && !w->f->job->verify) {
		was_there(w, file);
	} else {
		ACE_TRY(hub_store_lock(w->f->store, file->etag, stop_asked, &lock));
		st = bring_locked(w, h, file, &kept);
		hub_store_unlock(lock);
	}
	if (st == ACE_OK)
		st = hub_store_link(w->f->store, file);
	pthread_mutex_lock(&w->lock);
	if (st == ACE_OK && kept)
		w->f->kept++;
	else if (st == ACE_OK)
		w->f->fetched++;
	pthread_mutex_unlock(&w->lock);
	return st;
}

/* --- threads --- */

/* The next file to do; -1: none, or one has failed. */
static int
take(struct work *w)
{
	int i;

	pthread_mutex_lock(&w->lock);
	i = w->status == ACE_OK && w->next < w->f->list->n && !stop_asked() ? w->next++ : -1;
	pthread_mutex_unlock(&w->lock);
	return i;
}

static void *
worker(void *me)
{
	struct work *w = me;
	struct http h;
	enum status st = http_open(&h, w->f->options);

	for (int i; st == ACE_OK && (i = take(w)) >= 0;) {
		st = one(w, &h, &w->f->list->file[i]);
		pthread_mutex_lock(&w->lock);
		w->done += st == ACE_OK;
		pthread_mutex_unlock(&w->lock);
	}
	http_close(&h);
	pthread_mutex_lock(&w->lock);
	if (st != ACE_OK && w->status == ACE_OK) {
		w->status = st;
		w->message = strdup(ace_message());
	}
	w->running--;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
show(const struct work *w, int64_t total, double began)
{
	char left[32] = "?", name[100];
	double seconds = clock_now() - began, rate = seconds > 0 ? (double)w->came / seconds : 0;
	int64_t unit = total < 10000000 ? 1000 : 1000000;

	if (rate > 0)
		clock_length((double)(total - w->there) / rate, left, sizeof left);
	snprintf(name, sizeof name, "%s", strchr(w->f->repo->name, '/') + 1);
	msg_progress(name, w->there / unit, total / unit, "%s  %.1f MB/s  %s left  %d of %d files", unit == 1000 ? "kB" : "MB",
	             rate / 1e6, left, w->done, w->f->list->n);
}

/* Until all threads have ended. */
static void
watch(struct work *w, int64_t total)
{
	double began = clock_now();
	struct timespec until;

	pthread_mutex_lock(&w->lock);
	while (w->running > 0) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&w->ended, &w->lock, &until);
		if (w->running > 0 && w->there < total)
			show(w, total, began);
	}
	w->f->seconds = clock_now() - began;
	pthread_mutex_unlock(&w->lock);
	msg_progress_end();
}

enum status
fetch_files(struct fetch_files *f)
{
	struct work w = { .f = f, .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
	int n = f->job->connections < f->list->n ? f->job->connections : f->list->n, started = 0;
	pthread_t *thread = calloc((size_t)n + 1, sizeof *thread);
	int64_t total = 0;
	enum status st;

	if (!thread)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->repo->name);
	for (int i = 0; i < f->list->n; i++)
		total += f->list->file[i].size;
	w.running = n;
	while (started < n && pthread_create(&thread[started], NULL, worker, &w) == 0)
		started++;
	pthread_mutex_lock(&w.lock);
	w.running -= n - started;
	pthread_mutex_unlock(&w.lock);
	watch(&w, total);
	for (int i = 0; i < started; i++)
		pthread_join(thread[i], NULL);
	free(thread);
	f->bytes = w.came;
	st = w.status;
	if (st == ACE_OK && n > 0 && started == 0)
		st = ace_fail(ACE_ENOMEM, "%s: no thread can be started", f->repo->name);
	else if (st == ACE_OK && w.done < f->list->n)
		st = ace_fail(ACE_ESTOPPED, "stopped");
	else if (st != ACE_OK)
		st = ace_fail(st, "%s", w.message ? w.message : "no memory");
	free(w.message);
	return st;
}
