/* SPDX-License-Identifier: Apache-2.0 */
/* lyrics_file.h - where the lyrics of a song lie, and what they say (datasets.md section 2) */
#ifndef ACE_DATA_LYRICS_FILE_H
#define ACE_DATA_LYRICS_FILE_H

#include "data/dataset.h"

enum lyrics_reason { LYRICS_OK, LYRICS_NOT_UTF8, LYRICS_UNREADABLE };

/* "ok", "lyrics_not_utf8", "lyrics_unreadable": what reports say. */
const char *lyrics_reason_name(enum lyrics_reason r);

struct lyrics_text {
	char *text;			/* "" for an instrumental; else stripped, LF line ends, UTF-8; owned */
	size_t len;
	char *path;			/* the file it came from, NULL: none; owned */
	enum lyrics_reason reason;
};

/* Lyrics of the song at path by the entry's lyrics_* keys; upstream: the song has NAME_prompt.txt in the place of NAME.txt, so
 * that NAME_lyrics.txt is looked for when the keys say nothing. Files of white space count as absent; the first that says
 * something wins. Larger than 1 MiB, or not readable: ACE_EIO, LYRICS_UNREADABLE. Not UTF-8, or with 0 bytes: ACE_EDATA. Both
 * name the file; to holds only the reason then. */
enum status lyrics_find(struct lyrics_text *to, const struct dataset *d, const char *path, bool upstream) ACE_NODISCARD;
void lyrics_text_free(struct lyrics_text *t);

/* Candidate number i (from 0) of the song at path; owned by the caller. NULL: no more, or (errno ENOMEM) no memory. */
char *lyrics_candidate(const struct dataset *d, const char *path, bool upstream, int i);

/* The first {token} of a lyrics_filename_format that is unknown, n bytes; NULL when all are known. */
const char *lyrics_bad_token(const char *format, size_t *n);
#endif
