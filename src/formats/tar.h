/* SPDX-License-Identifier: Apache-2.0 */
/* tar.h - members of tar archives into memory, by libarchive, which is loaded when one is opened
 *
 * Nothing is unpacked to disk. What a hostile archive may hold is given with what is wrong with it, and not read: links,
 * devices, absolute names, names with "..", members above TAR_MEMBER. An archive that unpacks to more than 1000 times its size is refused. */
#ifndef ACE_FORMATS_TAR_H
#define ACE_FORMATS_TAR_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

#define TAR_MEMBER ((size_t)1 << 30)	/* most bytes of one member */

struct tar;

struct tar_member {
	const char *name;		/* borrowed until the next call, as data */
	const char *data;
	size_t size;
	const char *wrong;		/* "link" ..., and data is NULL; NULL: nothing. Static */
};

/* ustar, pax, GNU; plain or compressed by gzip, zstd or xz. ACE_EDEVICE: no libarchive here. */
enum status tar_open(struct tar **t, const char *path) ACE_NODISCARD;
void tar_close(struct tar *t);		/* NULL will do */

/* The next member that is no folder; *more false at the end. ACE_EDATA when the archive is damaged: nothing follows. */
enum status tar_next(struct tar *t, struct tar_member *m, bool *more) ACE_NODISCARD;

/* Whether archives can be read here. */
bool tar_load(void);
#endif
