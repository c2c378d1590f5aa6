/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - the checksum that an etag of the hub is: SHA-256 of the bytes (64 hex digits), or git's name of a blob (40) */
#ifndef ACE_NET_DIGEST_H
#define ACE_NET_DIGEST_H

#include "base/sha1.h"
#include "base/sha256.h"

struct digest {
	const char *etag;	/* borrowed */
	int64_t size;		/* of the file; git's name begins with it */
	struct sha256 sha256;
	struct sha1 sha1;
};

/* An etag that is neither is not checked. */
void digest_init(struct digest *d, const char *etag, int64_t size);
void digest_add(struct digest *d, const void *data, size_t size);
/* What the bytes are, into hex (the etag itself when it is not checked); returns hex. */
const char *digest_hex(struct digest *d, char hex[65]);

/* Add n bytes of an open file, from its beginning. */
enum status digest_file(struct digest *d, int fd, const char *path, int64_t n) ACE_NODISCARD;
#endif
