/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_lyrics.h - what the model will read of a lyrics file: lines, their languages, cleaned text, tokens, what is unknown */
#ifndef ACE_JOBS_INSPECT_LYRICS_H
#define ACE_JOBS_INSPECT_LYRICS_H

#include "text/lyric.h"

#include <stdio.h>

struct inspect_lyrics {
	struct lines_from from;		/* vocabulary, tables, dictionary; borrowed */
	bool per_song;			/* text/lyric.h */
	int max_tokens;			/* 0: the default */
	bool json;
};

/* Write to out, as text or as one JSON object, how the lyrics file path (UTF-8) is read. Control characters and those that turn
 * the direction of writing are written as \xNN. Lyrics that cannot be used as a whole: ACE_EDATA, as lyric_encode says. */
enum status inspect_lyrics(FILE *out, const char *path, const struct inspect_lyrics *how) ACE_NODISCARD;
#endif
