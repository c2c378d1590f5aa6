/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.h - one file out of a Python wheel, which is a zip archive (PKWARE APPNOTE 6.3, PEP 427) */
#ifndef ACE_NET_WHEEL_H
#define ACE_NET_WHEEL_H

#include "base/status.h"

/* The only member of the archive whose name ends with that text, at most limit bytes. *text is owned by the caller. name: for
 * messages. ACE_EDATA: no archive, no such member or several, or a damaged one. */
enum status wheel_member(const void *data, size_t size, const char *name, const char *ending, size_t limit, char **text,
			 size_t *length) ACE_NODISCARD;
#endif
