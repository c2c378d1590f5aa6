/* SPDX-License-Identifier: Apache-2.0 */
#include "net/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 64, 40 or 0 */
static int
kind(const char *etag)
{
	size_t n = etag ? strspn(etag, "0123456789abcdef") : 0;

	return etag && etag[n] == 0 && (n == 64 || n == 40) ? (int)n : 0;
}

void
digest_init(struct digest *d, const char *etag, int64_t size)
{
	char head[40];

	d->etag = etag;
	d->size = size;
	sha256_init(&d->sha256);
	sha1_init(&d->sha1);
	if (kind(etag) == 40)
		sha1_add(&d->sha1, head, (size_t)snprintf(head, sizeof head, "blob %lld", (long long)size) + 1);
}

void
digest_add(struct digest *d, const void *data, size_t size)
{
	if (kind(d->etag) == 64)
		sha256_add(&d->sha256, data, size);
	if (kind(d->etag) == 40)
		sha1_add(&d->sha1, data, size);
}

const char *
digest_hex(struct digest *d, char hex[65])
{
	if (kind(d->etag) == 64)
		sha256_hex(&d->sha256, hex);
	else if (kind(d->etag) == 40)
		sha1_hex(&d->sha1, hex);
	else
		snprintf(hex, 65, "%s", d->etag ? d->etag : "");
	return hex;
}

enum status
digest_file(struct digest *d, int fd, const char *path, int64_t n)
{
	enum { CHUNK = 1 << 20 };
	char *buf = malloc(CHUNK);
	enum status st = buf ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", path);

	for (int64_t at = 0; st == ACE_OK && at < n;) {
		ssize_t r = pread(fd, buf, n - at < CHUNK ? (size_t)(n - at) : CHUNK, at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			st = ace_fail(ACE_EIO, "%s: cannot read: %s", path, r < 0 ? strerror(errno) : "it has become shorter");
			break;
		}
		digest_add(d, buf, (size_t)r);
		at += r;
	}
	free(buf);
	return st;
}
