/* SPDX-License-Identifier: Apache-2.0 */
/* discover.h - the songs below a folder (datasets.md section 2) */
#ifndef ACE_DATA_DISCOVER_H
#define ACE_DATA_DISCOVER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* What a row of a data set says about its song. */
struct song_row {
	int64_t number;			/* in the split */
	char **caption;			/* owned, as all here */
	int captions;
	bool tags;			/* the first caption is a list of tags */
	char *lyrics;			/* NULL: none */
	char *file;			/* of the sound; NULL: it is in the row */
	char *shard;			/* the file of the row */
	double seconds;			/* as the row says; -1: nothing */
	const char *code;		/* not usable, static; NULL: it is */
	char *why;
};

struct song_source;			/* songs.c: the data set, while it is read */

struct song {
	struct song_row *row;		/* of a data set; NULL: a file below the folder */
	char *key;			/* path below the folder, with '/' between; owned */
	int64_t size, mtime;		/* bytes; nanoseconds since 1970 */
	bool bad_name;			/* not UTF-8, or with control characters: no store can keep it */
};

struct songs {
	struct song *song;		/* owned; by bytes of the keys */
	int64_t n;
	char *folder;			/* owned; the name of a data set */
	struct song_source *source;	/* owned; NULL: a folder */
	int64_t ignored;		/* files with other extensions, or hidden */
	int64_t outside;		/* links that lead out of the folder: left out */
};

/* All sound files below folder, by their extension. Hidden names and links to folders are passed over; a link to a file is
 * taken when that file lies below folder too. No such folder: ACE_ENOINPUT; one below it that cannot be read: ACE_EIO. */
enum status songs_find(struct songs *s, const char *folder) ACE_NODISCARD;
void songs_free(struct songs *s);

/* "FOLDER/KEY", and of rows a name for people, owned by the caller; NULL: no memory. */
char *song_path(const struct songs *s, int64_t i);

/* Whether the extension of a name is one of sound files (wav flac mp3 ... and films), in any case. */
bool songs_is_sound(const char *name);

/* The extensions themselves, "wav" first; NULL: no more. Static. */
const char *songs_extension(int i);
#endif
