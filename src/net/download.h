/* SPDX-License-Identifier: Apache-2.0 */
/* download.h - one file: goes on where it was, and is what it should be at the end */
#ifndef ACE_NET_DOWNLOAD_H
#define ACE_NET_DOWNLOAD_H

#include "net/http.h"

struct download {
	const char *url;
	const char *name;		/* for messages */
	const char *part;		/* where the bytes go; what is there already is the beginning of them */
	int64_t size;			/* bytes, -1: not known before the server says so */
	const char *etag;		/* checksum (digest.h); "": none */
	const char *commit;		/* that X-Repo-Commit must name, when the server sends it; NULL: any */
	/* Progress: bytes that are there now, came: over the network; below 0 when it begins anew. May be NULL. */
	void (*got)(void *me, int64_t bytes, bool came);
	void *me;
};

/* Afterwards part is whole, checked and on the disk. A cut connection goes on with a Range; bytes that are not what the
 * checksum says are fetched once more from the beginning, then ACE_EDATA. ACE_ECONFIG: the commit is another (the branch has
 * moved on). What was fetched stays in part when it fails for any other reason. */
enum status download_run(struct http *h, struct download *d) ACE_NODISCARD;
#endif
