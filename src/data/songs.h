/* SPDX-License-Identifier: Apache-2.0 */
/* songs.h - the songs of an entry of the data set list, be they files below a folder or rows of a Hugging Face data set, which
 * are read where they are */
#ifndef ACE_DATA_SONGS_H
#define ACE_DATA_SONGS_H

#include "data/captions.h"
#include "data/dataset.h"
#include "data/discover.h"
#include "data/lyrics_file.h"

/* Files as songs_find; rows in their order, with what they say, keys "000000012". Size and date of a song inside a row are those
 * of the file that the row is in. Rows that are not usable are there, with a code. */
enum status songs_of(struct songs *s, const struct dataset *d) ACE_NODISCARD;

/* Captions and lyrics of song i; path: song_path of it. As captions_read and lyrics_find. */
enum status song_captions(struct captions *to, const struct dataset *d, const struct songs *s, int64_t i, const char *path)
	ACE_NODISCARD;
enum status song_lyrics(struct lyrics_text *to, const struct dataset *d, const struct songs *s, int64_t i, const char *path,
                        bool upstream) ACE_NODISCARD;

/* Its sound as a file: the file itself, or one in memory that ends with song_close. */
struct song_file {
	const char *path;		/* borrowed until song_close */
	char text[40];
	int fd;				/* -1: a file on disk */
};

/* path: song_path of song i, borrowed until song_close. Rows are read fastest in their order. May be called from several threads.
 * ACE_EDATA, ACE_ENOINPUT: the row is not what it was. */
enum status song_open(const struct songs *s, int64_t i, const char *path, struct song_file *f) ACE_NODISCARD;
void song_close(struct song_file *f);

/* The file whose size and date are those of the song. */
const char *song_dated(const struct songs *s, int64_t i, const char *path);

/* What a row says of the length, in seconds; -1: nothing, or a file. */
double song_seconds(const struct songs *s, int64_t i);

void song_source_close(struct song_source *s);	/* NULL will do */
#endif
