/* SPDX-License-Identifier: Apache-2.0 */
/* A save of several ranks: each writes and hashes its own bytes of common files, beside its steps; the first one puts it all in its
 * place when every rank is known to be done. What the ranks say to each other is said between steps, never by the thread. */
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "train/checkpoint_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 4 << 20 };		/* hashed while it is in the cache, then written */

static const size_t digests_limit = (size_t)1 << 30;

void (*checkpoint_stage)(const char *stage);

void
checkpoint_at(const char *stage)
{
	if (checkpoint_stage)
		checkpoint_stage(stage);
}

void
checkpoint_writer_join(struct checkpoint_writer *w, struct comm *c)
{
	w->comm = c && c->size > 1 ? c : NULL;
}

/* --- what each rank writes --- */

static int
by_place(const void *a, const void *b)
{
	const struct saved_part *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static enum status
put(int fd, const char *path, const char *data, size_t n, int64_t at, struct sha256 *sum)
{
	while (n > 0) {
		size_t piece = n < PIECE ? n : PIECE;
		sha256_add(sum, data, piece);
		for (size_t done = 0; done < piece;) {
			ssize_t k = pwrite(fd, data + done, piece - done, (off_t)(at + (int64_t)done));
			if (k < 0 && errno == EINTR)
				continue;
			if (k <= 0)
				return ace_fail(ACE_EIO, "%s: cannot write: %s", path, strerror(k < 0 ? errno : ENOSPC));
			done += (size_t)k;
		}
		data += piece;
		at += (int64_t)piece;
		n -= piece;
	}
	return ACE_OK;
}

/* Room for all of a file, so that a full disk shows before it is half written; not every file system can. */
static enum status
reserve(int fd, const char *path, int64_t size)
{
	if (size == 0 || fallocate(fd, 0, 0, (off_t)size) == 0 || errno != ENOSPC)
		return ACE_OK;
	return ace_fail(ACE_EIO, "%s: cannot write: %s", path, strerror(ENOSPC));
}

static bool
add_range(cJSON *ranges, int64_t from, int64_t n)
{
	cJSON *last = ranges->child ? ranges->child->prev : NULL;
	cJSON *before = last ? last->prev : NULL;

	if (last && (int64_t)(before->valuedouble + last->valuedouble) == from) {
		cJSON_SetNumberValue(last, last->valuedouble + (double)n);
		return true;
	}
	return cJSON_AddItemToArray(ranges, cJSON_CreateNumber((double)from)) &&
	       cJSON_AddItemToArray(ranges, cJSON_CreateNumber((double)n));
}

static enum status
write_ranges(const struct saved_file *f, int fd, const char *path, cJSON *ranges, struct sha256 *sum, bool header)
{
	bool ok = true;

	if (header) {
		int64_t size = (int64_t)f->header_size;
		for (int i = 0; i < f->n; i++)
			size += (int64_t)tensor_bytes(f->item[i].value);
		ACE_TRY(reserve(fd, path, size));
		ACE_TRY(put(fd, path, f->header, f->header_size, 0, sum));
		ok = add_range(ranges, 0, (int64_t)f->header_size);
	}
	for (int i = 0; ok && i < f->parts; i++) {
		const struct saved_part *p = &f->part[i];
		if (i == f->parts / 2)
			checkpoint_at("half written");
		ACE_TRY(put(fd, path, p->data, p->bytes, p->at, sum));
		ok = add_range(ranges, p->at, (int64_t)p->bytes);
	}
	if (!ok)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	return fsync(fd) == 0 ? ACE_OK : ace_fail(ACE_EIO, "%s: cannot write: %s", path, strerror(errno));
}

/* This rank's bytes of file f, and what is to be said of them. */
static enum status
write_parts(const struct checkpoint_writer *w, const struct saved_file *f, bool header, cJSON *all)
{
	cJSON *e = cJSON_CreateObject(), *ranges = cJSON_AddArrayToObject(e, "ranges");
	char *path = file_path("%s/%s", w->tmp, f->name), hex[65];
	enum status st = ACE_OK;
	struct sha256 sum;
	int fd;

	cJSON_AddItemToArray(all, e);
	if (!ranges || !path) {
		free(path);
		return ace_fail(ACE_ENOMEM, "%s: no memory", w->tmp);
	}
	sha256_init(&sum);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		st = ace_fail(ACE_ECREATE, "%s: cannot create: %s", path, strerror(errno));
	else
		st = write_ranges(f, fd, path, ranges, &sum, header);
	if (fd >= 0 && close(fd) != 0 && st == ACE_OK)
		st = ace_fail(ACE_EIO, "%s: cannot close: %s", path, strerror(errno));
	sha256_hex(&sum, hex);
	if (st == ACE_OK && (!cJSON_AddStringToObject(e, "file", f->name) || !cJSON_AddStringToObject(e, "sha256", hex)))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	free(path);
	return st;
}

/* The thread of every rank. */
static enum status
write_mine(struct checkpoint_writer *w)
{
	bool first = w->comm->rank == 0;
	cJSON *all = cJSON_CreateArray();
	enum status st = all ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", w->tmp);

	checkpoint_at("begun");
	if (st == ACE_OK && first)
		st = checkpoint_write_files(w->save, w->tmp, w->files, &w->report.bytes);
	for (int i = 0; st == ACE_OK && i < w->save->n; i++)
		if (w->save->file[i].parted && (first || w->save->file[i].parts > 0))
			st = write_parts(w, &w->save->file[i], first, all);
	if (st == ACE_OK && !(w->digests = cJSON_PrintUnformatted(all)))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", w->tmp);
	cJSON_Delete(all);
	if (st == ACE_OK)
		checkpoint_at("written");
	return st;
}

/* --- before: where everything goes --- */

/* Where this rank's bytes go in file f, whose header the first rank has; sizes [2]: of that, and of the data. */
static enum status
lay_out(const struct checkpoint_writer *w, struct saved_file *f, int64_t sizes[2])
{
	int64_t *at = malloc(((size_t)f->n + 1) * sizeof *at);
	enum status st;

	if (!at)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->name);
	st = st_layout(f->name, f->item, f->n, (const char *const *)f->meta, f->n_meta, &f->header, &f->header_size, at, &sizes[1]);
	sizes[0] = (int64_t)f->header_size;
	for (int i = 0; st == ACE_OK && i < f->parts; i++)
		f->part[i].at = at[f->part[i].item] + (int64_t)f->part[i].from;
	free(at);
	if (st == ACE_OK && f->parts)
		qsort(f->part, (size_t)f->parts, sizeof *f->part, by_place);
	if (st == ACE_OK && w->comm->rank == 0)
		st = checkpoint_make_parents(w->tmp, f->name);
	return st;
}

/* The first rank's sizes against what this one has; its header counts. */
static enum status
take_sizes(struct saved_file *f, const int64_t mine[2], const int64_t theirs[2])
{
	if (mine[1] != theirs[1])
		return ace_fail(ACE_EBUG, "%s: %lld bytes on this rank, %lld on the first", f->name, (long long)mine[1],
		                (long long)theirs[1]);
	for (int i = 0; i < f->parts; i++)
		f->part[i].at += theirs[0];
	return ACE_OK;
}

/* Layouts of all files that have parts. Collective. */
static enum status
lay_out_all(struct checkpoint_writer *w, enum status st)
{
	enum { MOST = 16 };
	int64_t mine[2 * MOST + 1] = { 0 }, all[2 * MOST + 1];
	struct checkpoint_save *s = w->save;
	int n = 0;

	for (int i = 0; st == ACE_OK && i < s->n; i++)
		if (s->file[i].parted)
			st = n < MOST ? lay_out(w, &s->file[i], &mine[1 + 2 * n++]) : ace_fail(ACE_EBUG, "%s: too many files", s->name);
	mine[0] = n;
	memcpy(all, mine, sizeof all);
	ACE_TRY(comm_agree(w->comm, st));
	ACE_TRY(comm_broadcast(w->comm, tensor_of(all, I64, 1, 2 * MOST + 1), 0, "the layout of a checkpoint"));
	if (all[0] != n)
		st = ace_fail(ACE_EBUG, "%s: %d common files on this rank, %d on the first", s->name, n, (int)all[0]);
	n = 0;
	for (int i = 0; st == ACE_OK && i < s->n; i++)
		if (s->file[i].parted) {
			st = take_sizes(&s->file[i], &mine[1 + 2 * n], &all[1 + 2 * n]);
			n++;
		}
	return comm_agree(w->comm, st);
}

enum status
checkpoint_commit_ranks(struct checkpoint_writer *w, enum status st)
{
	if (st == ACE_OK && w->comm->rank == 0)
		st = checkpoint_make_folder(w);
	else if (st == ACE_OK && !(w->tmp = file_path("%s/%s-tmp", w->dir, w->save->name)))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", w->dir);
	st = lay_out_all(w, st);
	if (st != ACE_OK) {
		checkpoint_forget(w);
		return st;
	}
	w->phase = CHECKPOINT_PARTS;
	checkpoint_start(w, write_mine);
	return ACE_OK;
}

/* --- after: what all have written --- */

/* An entry of the manifest for file f: bytes and digests of all ranks, in their order. */
static enum status
list_parted(struct checkpoint_writer *w, const struct saved_file *f, cJSON *const *said)
{
	cJSON *e = cJSON_CreateObject(), *parts = cJSON_CreateArray(), *x, *n;
	double size = (double)f->header_size, there = 0;
	struct sha256 sum;
	bool ok = true;
	char hex[65];

	for (int i = 0; i < f->n; i++)
		size += (double)tensor_bytes(f->item[i].value);
	cJSON_AddItemToArray(w->files, e);
	sha256_init(&sum);
	for (int r = 0; r < w->comm->size; r++)
		cJSON_ArrayForEach(x, said[r]) {
			cJSON *digest = cJSON_GetObjectItemCaseSensitive(x, "sha256"), *ranges = cJSON_GetObjectItemCaseSensitive(x, "ranges");
			cJSON *copy;
			if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(x, "file")), f->name) != 0)
				continue;
			sha256_add(&sum, digest->valuestring, strlen(digest->valuestring));
			for (n = ranges->child; n && n->next; n = n->next->next)
				there += n->next->valuedouble;
			copy = cJSON_CreateObject();
			ok = ok && cJSON_AddItemToArray(parts, copy) &&
			     cJSON_AddStringToObject(copy, "sha256", digest->valuestring) &&
			     cJSON_AddItemToObject(copy, "ranges", cJSON_Duplicate(ranges, true));
		}
	sha256_hex(&sum, hex);
	ok = ok && cJSON_AddStringToObject(e, "name", f->name) && cJSON_AddNumberToObject(e, "size", size) &&
	     cJSON_AddStringToObject(e, "sha256", hex) && cJSON_AddNumberToObject(e, "tensors", f->n);
	if (!cJSON_AddItemToObject(e, "parts", parts) || !ok)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->name);
	w->report.bytes += (int64_t)size;
	if (there != size)
		return ace_fail(ACE_EBUG, "%s: the ranks have written %.0f of %.0f bytes", f->name, there, size);
	return ACE_OK;
}

/* On the first rank, text being what the ranks have said, rank r from at[r] on. */
static enum status
list_all(struct checkpoint_writer *w, const char *text, const size_t *at)
{
	cJSON **said = calloc((size_t)w->comm->size, sizeof *said);
	enum status st = said ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", w->tmp);

	for (int r = 0; st == ACE_OK && r < w->comm->size; r++)
		st = json_parse(text + at[r], at[r + 1] - at[r], "what a rank has written", &said[r]);
	for (int i = 0; st == ACE_OK && i < w->save->n; i++)
		if (w->save->file[i].parted)
			st = list_parted(w, &w->save->file[i], said);
	for (int r = 0; said && r < w->comm->size; r++)
		cJSON_Delete(said[r]);
	free(said);
	return st;
}

/* The thread of the first rank. */
static enum status
publish(struct checkpoint_writer *w)
{
	for (int i = 0; i < w->save->n; i++)
		if (w->save->file[i].parted)
			ACE_TRY(checkpoint_sync_parents(w->tmp, w->save->file[i].name));
	checkpoint_at("agreed");
	return checkpoint_publish(w);
}

/* The end of a save that all know to have failed: st, with its message. */
static enum status
give_up(struct checkpoint_writer *w, enum status st)
{
	char message[sizeof w->message];

	snprintf(message, sizeof message, "%s", ace_message());
	if (w->comm->rank == 0)
		checkpoint_drop_folder(w);
	checkpoint_forget(w);
	return ace_fail(st, "%s", message);
}

/* All have written their parts, or failed to. */
static enum status
end_parts(struct checkpoint_writer *w)
{
	enum status st = comm_agree(w->comm, checkpoint_join(w));
	char *text = NULL;
	size_t *at = NULL;

	if (st != ACE_OK)
		return give_up(w, st);
	st = comm_gather(w->comm, w->digests, strlen(w->digests), digests_limit, &text, &at, "what was written");
	if (st == ACE_OK && w->comm->rank == 0)
		st = list_all(w, text, at);
	free(text);
	free(at);
	st = comm_agree(w->comm, st);
	if (st != ACE_OK)
		return give_up(w, st);
	w->phase = CHECKPOINT_PUBLISHING;
	if (w->comm->rank == 0)
		checkpoint_start(w, publish);
	return ACE_OK;
}

static enum status
end_publishing(struct checkpoint_writer *w)
{
	enum status st = comm_agree(w->comm, w->comm->rank == 0 ? checkpoint_join(w) : ACE_OK);

	if (st != ACE_OK)
		return give_up(w, st);
	if (w->comm->rank == 0)
		checkpoint_reported(w);
	checkpoint_forget(w);
	return ACE_OK;
}

static enum status
go_on(struct checkpoint_writer *w)
{
	return w->phase == CHECKPOINT_PARTS ? end_parts(w) : end_publishing(w);
}

uint32_t
checkpoint_asks(const struct checkpoint_writer *w)
{
	if (!w || !w->comm || !w->busy || (w->phase == CHECKPOINT_PUBLISHING && w->comm->rank > 0))
		return 0;
	return atomic_load(&w->finished) ? CHECKPOINT_READY : CHECKPOINT_BUSY;
}

enum status
checkpoint_settle(struct checkpoint_writer *w, uint32_t asked)
{
	if (!w || !w->comm || !w->busy || (asked & CHECKPOINT_BUSY) || !(asked & CHECKPOINT_READY))
		return ACE_OK;
	return go_on(w);
}

enum status
checkpoint_wait_ranks(struct checkpoint_writer *w)
{
	while (w->busy)
		ACE_TRY(go_on(w));
	return ACE_OK;
}
