/* SPDX-License-Identifier: Apache-2.0 */
/* hf_song.h - what a row of a data set says about a song: sound, captions, lyrics (datasets.md sections 2 and 3) */
#ifndef ACE_DATA_HF_SONG_H
#define ACE_DATA_HF_SONG_H

#include "data/hf_rows.h"

/* Which columns say what; NULL: the usual ones. Lists are names between commas; "a.b" is member b of the struct a. */
struct hf_columns {
	const char *audio;		/* audio: a struct of bytes and path, bytes, or a path; else filename, file_name, path */
	const char *caption;		/* list; each that is there gives captions. caption */
	const char *fallback;		/* when those say nothing; NULL: none */
	const char *fields;		/* list, joined by a blank when it is given; else prompt, or without one tags */
	const char *description;	/* when nothing else says anything; NULL: none */
	const char *lyrics;		/* lyrics, else norm_lyrics */
	bool bare;			/* audio may be a path without its extension, or a number that is one */
	bool stem;			/* where nothing says a caption, the name of the sound's file without its extension is one */
};

enum { HF_CAPTIONS = 64 };		/* most of one song */

struct hf_song {
	char *key;			/* keys, key, id, or the name in a tar shard; NULL: none */
	char *caption[HF_CAPTIONS];	/* the first is the row's own, recaptions follow; not stripped */
	int captions;
	bool tags;			/* the first is a list of tags, joined by ", ": training may shuffle it */
	bool stem;			/* the caption is the file's name */
	char *lyrics;			/* NULL: null or no such column; "" instrumental. As it is in the row */
	const char *bytes;		/* the sound itself, borrowed from the row; NULL: not in it */
	size_t size;
	char *name;			/* the path that the row says, or the name in the shard; NULL: none */
	char *file;			/* where that file is, when the row has no bytes */
	const char *end;		/* extension for a file of it, "wav" ...: borrowed from name or static; NULL: unknown */
	double seconds;			/* what the row says; -1: nothing */
	const char *code;		/* not usable, and ace_message says why: static. NULL: it is */
};

/* The row's song. A path is looked for below the folder of the row's file, the root, as it is (below the working folder, if it
 * is one that hf_repo_holds), then below the other folders that it holds; one that leads elsewhere is refused, whatever is there. A row that is not usable is no
 * failure: code is set, and key and what else was read stays. ACE_ENOMEM. */
enum status hf_song_read(struct hf_song *s, const struct hf_repo *repo, const struct hf_row *row, const struct hf_columns *c)
	ACE_NODISCARD;
void hf_song_free(struct hf_song *s);

/* The names of the columns that hf_song_read looks at, and those of more (ended by NULL; may be NULL), for hf_rows_open; ended by
 * NULL, owned by the caller (free the list and each name). bytes: with the sound itself. NULL: no memory. */
char **hf_song_columns(const struct hf_columns *c, const char *const *more, bool bytes);
void hf_names_free(char **names);

/* "wav", "flac", "mp3" ... by the first bytes; NULL: no sound that is known. Static. */
const char *hf_sound_kind(const char *bytes, size_t n);
#endif
