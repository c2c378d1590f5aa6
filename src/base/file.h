/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - whole files, folders, and outputs that appear whole or not at all */
#ifndef ACE_BASE_FILE_H
#define ACE_BASE_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Read a file whole, at most limit bytes (a larger one fails). *data is owned by the caller (free), has a
 * 0 byte behind its end; *size without it. Missing: ACE_ENOINPUT, unreadable: ACE_EIO, too large: ACE_EDATA. */
enum status file_read(const char *path, size_t limit, char **data, size_t *size) ACE_NODISCARD;

/* Write PATH.part, fsync, rename to path, fsync the folder. ACE_ECREATE or ACE_EIO; nothing is left behind. */
enum status file_write(const char *path, const void *data, size_t size) ACE_NODISCARD;

/* fsync of an existing file or folder by path. */
enum status file_sync(const char *path) ACE_NODISCARD;

/* rename from to to, then fsync the folder of to. */
enum status file_rename(const char *from, const char *to) ACE_NODISCARD;

/* A folder and its missing parents (mkdir -p). */
enum status file_mkdirs(const char *path) ACE_NODISCARD;

/* Remove a folder with all that is in it; symbolic links are removed, never followed. Missing is no failure. */
enum status file_remove_tree(const char *path) ACE_NODISCARD;

bool file_exists(const char *path);
bool file_is_dir(const char *path);
int64_t file_size(const char *path);		/* -1 when there is none */

/* Bytes free for this user on the file system of path (or of its nearest existing parent); -1 unknown. */
int64_t file_free_bytes(const char *path);

/* printf into a fresh string owned by the caller; NULL when memory is out. */
char *file_path(const char *fmt, ...) ACE_PRINTF(1, 2);
#endif
