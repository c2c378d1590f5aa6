/* SPDX-License-Identifier: Apache-2.0 */
/* hub_store.h - writing into the cache of the hub, so that its own tools find what we fetched and we what they did
 *
 *   CACHE/KIND--OWNER--NAME/blobs/ETAG                      the bytes; ETAG.incomplete while they come
 *   CACHE/KIND--OWNER--NAME/snapshots/COMMIT/PATH           a relative link to them
 *   CACHE/KIND--OWNER--NAME/refs/REVISION                   the commit
 *   CACHE/.locks/KIND--OWNER--NAME/ETAG.lock                locked (flock) by whoever writes the blob
 *
 * datasets.md section 4.5. Blobs are complete or not there. */
#ifndef ACE_NET_HUB_STORE_H
#define ACE_NET_HUB_STORE_H

#include "net/hub_repo.h"

struct hub_store {
	char *cache;		/* its root; owned */
	char *name;		/* "models--OWNER--NAME"; owned */
	char *folder;		/* cache/name; owned */
	char *snapshot;		/* folder/snapshots/COMMIT; owned; NULL while the commit is unknown */
};

/* r->commit may be "". Nothing is made. */
enum status hub_store_open(struct hub_store *s, const struct hub_repo *r) ACE_NODISCARD;
void hub_store_close(struct hub_store *s);

/* The commit that a revision is in the cache, into commit; ACE_ENOINPUT when it is not there. */
enum status hub_store_find(const struct hub_store *s, const char *revision, char commit[41]) ACE_NODISCARD;

/* blobs/ETAG with what is behind it ("", ".incomplete"); owned by the caller, NULL: no memory. */
char *hub_store_blob(const struct hub_store *s, const char *etag, const char *behind);
/* Whether the blob is there and has that size (-1: any). */
bool hub_store_has(const struct hub_store *s, const struct hub_file *f);

/* The folders, and the lock of one blob; waits for another process that writes it, asking stop meanwhile. *fd: -1 on failure,
 * else for hub_store_unlock. */
enum status hub_store_lock(const struct hub_store *s, const char *etag, bool (*stop)(void), int *fd) ACE_NODISCARD;
void hub_store_unlock(int fd);

/* The finished part becomes the blob. */
enum status hub_store_blob_done(const struct hub_store *s, const char *etag) ACE_NODISCARD;
/* snapshots/COMMIT/PATH shows the blob; what is there already and shows another is replaced. */
enum status hub_store_link(const struct hub_store *s, const struct hub_file *f) ACE_NODISCARD;
/* refs/REVISION says commit; nothing for a revision that is the commit. */
enum status hub_store_ref(const struct hub_store *s, const struct hub_repo *r) ACE_NODISCARD;
#endif
