/* SPDX-License-Identifier: Apache-2.0 */
#include "net/download.h"

#include "base/file.h"
#include "base/msg.h"
#include "net/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A download while it runs. */
struct run {
	struct download *d;
	struct digest digest;
	int fd;
	int64_t at;			/* bytes in the file and in the digest */
	int64_t asked;			/* where the request in work began */
	bool looked;			/* its headers have been looked at */
	bool moved;			/* a byte came since the last count of tries began */
};

static enum status
start_over(struct run *r)
{
	if (ftruncate(r->fd, 0) != 0)
		return ace_fail(ACE_EIO, "%s: cannot empty it: %s", r->d->part, strerror(errno));
	if (r->d->got && r->at > 0)
		r->d->got(r->d->me, -r->at, false);
	r->at = 0;
	digest_init(&r->digest, r->d->etag, r->d->size);
	return ACE_OK;
}

static enum status
check_commit(const struct run *r, const struct http_reply *a)
{
	char commit[80];

	if (!r->d->commit || !http_first(a, "x-repo-commit", commit, sizeof commit) || strcmp(commit, r->d->commit) == 0)
		return ACE_OK;
	return ace_fail(ACE_ECONFIG, "%s: is of commit %.40s, wanted %s: the revision has moved on", r->d->name, commit, r->d->commit);
}

/* Whether what follows belongs behind what is there. */
static enum status
look(struct run *r, const struct http_reply *a)
{
	long long from, to, all = -1;
	char range[80];

	r->looked = true;
	ACE_TRY(check_commit(r, a));
	if (a->code == 200)
		return r->at > 0 ? start_over(r) : ACE_OK;
	if (!http_last(a, "content-range", range, sizeof range) || sscanf(range, "bytes %lld-%lld/%lld", &from, &to, &all) < 2 ||
	    from != r->at)
		return ace_fail(ACE_EDATA, "%s: asked for bytes from %lld on, got \"%s\"", r->d->name, (long long)r->at,
				http_last(a, "content-range", range, sizeof range) ? range : "no Content-Range");
	if (all >= 0 && r->d->size >= 0 && all != r->d->size)
		return ace_fail(ACE_EDATA, "%s: the server has %lld bytes, wanted %lld", r->d->name, all, (long long)r->d->size);
	return ACE_OK;
}

static enum status
take(void *me, const struct http_reply *a, const char *data, size_t size)
{
	struct run *r = me;

	if (!r->looked)
		ACE_TRY(look(r, a));
	if (r->d->size >= 0 && (int64_t)size > r->d->size - r->at)
		return ace_fail(ACE_EDATA, "%s: more than the %lld bytes that it should have", r->d->name, (long long)r->d->size);
	digest_add(&r->digest, data, size);
	for (size_t n = 0; n < size;) {
		ssize_t w = pwrite(r->fd, data + n, size - n, r->at + (int64_t)n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return ace_fail(ACE_EIO, "%s: cannot write: %s", r->d->part, strerror(errno));
		n += (size_t)w;
	}
	r->at += (int64_t)size;
	r->moved = true;
	if (r->d->got)
		r->d->got(r->d->me, (int64_t)size, true);
	return ACE_OK;
}

/* What a code other than 200 and 206 means. */
static enum status
refused(struct run *r, const struct http_reply *a)
{
	char error[80];

	ACE_TRY(check_commit(r, a));
	if (!http_first(a, "x-error-code", error, sizeof error))
		*error = 0;
	if (a->code == 401 || a->code == 403)
		return ace_fail(ACE_ENOINPUT, "%s: the server refuses it with code %d%s%s; a token that may read it goes into HF_TOKEN",
				r->d->name, a->code, *error ? ", " : "", error);
	return ace_fail(ACE_ENOINPUT, "%s: not there: the server answers with code %d%s%s", r->d->name, a->code, *error ? ", " : "",
			error);
}

/* One request; *again: another one may bring the rest. */
static enum status
request(struct http *h, struct run *r, struct http_reply *a, bool *again)
{
	struct http_request q = { .url = r->d->url, .from = r->at, .sink = take, .me = r };
	enum status st;

	r->looked = false;
	r->asked = r->at;
	st = http_once(h, &q, a);
	*again = a->again;
	if (st != ACE_OK)
		return st;
	if (a->code == 416 && r->at > 0) {	/* whole, or of another file: the size says it */
		if (r->at == r->d->size)
			return ACE_OK;
		*again = true;
		ACE_TRY(start_over(r));
		return ace_fail(ACE_ERANK, "%s: the server has nothing behind byte %lld", r->d->name, (long long)r->asked);
	}
	if (a->code != 200 && a->code != 206)
		return refused(r, a);
	if (!r->looked)		/* an empty body */
		ACE_TRY(look(r, a));
	if (r->d->size >= 0 && r->at < r->d->size) {
		*again = true;
		return ace_fail(ACE_ERANK, "%s: ended after %lld of %lld bytes", r->d->name, (long long)r->at,
				(long long)r->d->size);
	}
	return ACE_OK;
}

/* Requests until all is there; a try without a byte counts. */
static enum status
bring(struct http *h, struct run *r)
{
	struct http_reply a = { 0 };
	enum status st;
	bool again;

	for (int n = 1;; n++) {
		r->moved = false;
		st = request(h, r, &a, &again);
		if (st == ACE_OK || !again)
			break;
		if (r->moved)
			n = 1;
		if (n > h->opt.retries) {
			st = ace_fail_prefix(st, "tried %d times: ", n);
			break;
		}
		st = http_pause(h, n, &a);
		if (st != ACE_OK)
			break;
		http_reply_free(&a);
	}
	http_reply_free(&a);
	return st;
}

/* The file, and the digest of what is in it. */
static enum status
open_part(struct run *r)
{
	struct stat s;

	digest_init(&r->digest, r->d->etag, r->d->size);
	r->fd = open(r->d->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (r->fd < 0 || fstat(r->fd, &s) != 0)
		return ace_fail(ACE_ECREATE, "%s: cannot create: %s", r->d->part, strerror(errno));
	if (!S_ISREG(s.st_mode) || (r->d->size >= 0 && s.st_size > r->d->size) || (r->d->size < 0 && s.st_size > 0))
		return start_over(r);
	ACE_TRY(digest_file(&r->digest, r->fd, r->d->part, s.st_size));
	r->at = s.st_size;
	if (r->d->got)
		r->d->got(r->d->me, r->at, false);
	return ACE_OK;
}

static enum status
whole(struct http *h, struct run *r)
{
	char hex[65];

	for (int round = 0; round < 2; round++) {
		if (r->at != r->d->size || r->at == 0)
			ACE_TRY(bring(h, r));
		if (!r->d->etag || strcmp(digest_hex(&r->digest, hex), r->d->etag) == 0)
			return ACE_OK;
		if (round == 0)
			msg_debug("%s: checksum %s, wanted %s: once more from the beginning", r->d->name, hex, r->d->etag);
		ACE_TRY(start_over(r));
	}
	return ace_fail(ACE_EDATA, "%s: damaged on the way: its checksum is %s, wanted %s", r->d->name, hex, r->d->etag);
}

enum status
download_run(struct http *h, struct download *d)
{
	struct run r = { .d = d, .fd = -1 };
	enum status st;

	st = open_part(&r);
	if (st == ACE_OK)
		st = whole(h, &r);
	if (st == ACE_OK && fsync(r.fd) != 0)
		st = ace_fail(ACE_EIO, "%s: cannot sync: %s", d->part, strerror(errno));
	if (r.fd >= 0 && close(r.fd) != 0 && st == ACE_OK)
		st = ace_fail(ACE_EIO, "%s: cannot close: %s", d->part, strerror(errno));
	return st;
}
