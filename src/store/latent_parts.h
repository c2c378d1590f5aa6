/* SPDX-License-Identifier: Apache-2.0 */
/* latent_parts.h - what a part of the latent store looks like; shared by its reader and its writer
 *
 *   items       one row a clip, columns below
 *   captions    keys of all clips' captions; items say which are theirs
 *   latents/N   [channels, rows, frames] of row N, BF16 or F32, one chunk
 *   lyric_ids, lyric_mask   of all clips, I32 and U8; items say which are theirs */
#ifndef ACE_STORE_LATENT_PARTS_H
#define ACE_STORE_LATENT_PARTS_H

#include "store/latents.h"
#include "store/parts.h"

enum latent_column {
	LC_KEY, LC_SOURCE, LC_SOURCE_SIZE, LC_SOURCE_MTIME, LC_SOURCE_SHA256, LC_AUDIO_SHA256, LC_SAMPLES, LC_REAL_SAMPLES,
	LC_CHANNELS, LC_ROWS, LC_FRAMES, LC_SECONDS, LC_BUCKET, LC_CAPTION_FIRST, LC_CAPTIONS, LC_LYRICS_SHA256, LC_LYRIC_FIRST,
	LC_LYRICS, LC_LYRIC_LINES, LC_LYRIC_SKIPPED, LC_LYRIC_UNKNOWN, LC_DROPPED, LC_COLUMNS
};

enum { LATENT_NAME = 32, LATENT_FRAMES = 1 << 20, LATENT_SIDE = 1 << 12 /* of channels, of rows */ };

extern const struct parts_kind latent_parts;

/* Clips that no store holds (latents_made.c). */
struct latent_made {
	struct facts facts;
	latent_maker *make;
	void *me;
	int32_t **lyric;		/* of each item; owned, as the texts of the items */
	uint8_t *mask;
	int64_t room;
};

struct latents {
	struct parts parts;
	struct latent_item *item;
	int32_t *row;			/* of each item, in parts */
	int64_t n;
	bool *stale;			/* of each part */
	char (*caption)[65];		/* of all rows */
	struct latent_made *made;	/* NULL: a store; else parts are empty */
};

void latents_made_free(struct latents *s);

/* "latents/000012" */
void latent_name(char name[LATENT_NAME], int64_t row);
#endif
