/* SPDX-License-Identifier: Apache-2.0 */
/* text_file.h - small text files beside songs: captions, lyrics */
#ifndef ACE_DATA_TEXT_FILE_H
#define ACE_DATA_TEXT_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { TEXT_FILE_LIMIT = 1 << 20 };

/* A regular file, or something else by that name (which reading then says). */
bool text_file_there(const char *path);

/* The whole file, a byte order mark dropped, CR LF made LF; owned by the caller, 0 behind the end. Larger than the limit, or
 * not readable: ACE_EIO, naming it. */
enum status text_file_read(const char *path, char **text, size_t *len) ACE_NODISCARD;

/* UTF-8 without 0 bytes (of which UTF-16 is full). */
bool text_file_good(const char *text, size_t len);
#endif
