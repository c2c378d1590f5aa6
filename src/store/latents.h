/* SPDX-License-Identifier: Apache-2.0 */
/* latents.h - the store of prepared clips: latents and lyric tokens, with where they came from (datasets.md section 7)
 *
 * A folder of part files latents-RRRR-NNNNNN.h5 (rank or shard, running number). A part appears whole or not at all, and
 * is never written again; an item is done when its part has appeared. A later run's item of a key replaces an earlier one.
 * Not for several threads at once; different stores may be used by different threads. */
#ifndef ACE_STORE_LATENTS_H
#define ACE_STORE_LATENTS_H

#include "num/dtype.h"
#include "store/facts.h"

#include <stdint.h>

enum { LATENTS_VERSION = 1 };

/* One clip. Texts are borrowed from the store, or from the caller of latents_put. */
struct latent_item {
	const char *key;		/* unique in the store: path below the data set's folder, UTF-8 */
	const char *source;		/* path as it was opened */
	int64_t source_size, source_mtime;	/* bytes; nanoseconds since 1970 */
	char source_sha256[65];		/* of the file */
	char audio_sha256[65];		/* of the prepared samples, F32, planar */
	int64_t samples;		/* at 48 kHz, per channel, as encoded */
	int64_t real_samples;		/* of these, before zeros were appended */
	int64_t channels, rows, frames;	/* of the latent: 8, 16, T */
	double seconds;			/* of the source */
	double bucket;			/* seconds */
	const char (*caption)[65];	/* keys into the text store */
	int captions;
	char lyrics_sha256[65];		/* of the lyrics text, "" when there are none */
	int lyrics;			/* tokens, >= 1 */
	int lyric_lines, lyric_skipped, lyric_unknown;	/* lines, lines left out, unknown tokens */
};

struct latents;

struct latents_options {
	const struct facts *want;	/* compared with every part that is in use; NULL: nothing is */
	bool override;			/* differences are a warning, not a failure */
	bool verify;			/* read every number of parts that the index does not know yet */
};

/* Index all parts of the folder, or of a single part file. A part that cannot be read is left out with a warning that names it: its items are missing
 * then. No folder, or no part in it: ACE_OK and an empty store. */
enum status latents_open(struct latents **s, const char *folder, const struct latents_options *o) ACE_NODISCARD;
void latents_close(struct latents *s);

int64_t latents_count(const struct latents *s);
/* Number i in 0 .. count-1, by bytes of the keys. Borrowed. */
const struct latent_item *latents_item(const struct latents *s, int64_t i);
int64_t latents_find(const struct latents *s, const char *key);	/* -1: none */
const struct facts *latents_facts(const struct latents *s, int64_t i);	/* of the item's part */
bool latents_stale(const struct latents *s, int64_t i);	/* override: its part differs from want */
int latents_parts(const struct latents *s);		/* in use */
int latents_damaged(const struct latents *s);		/* parts left out */
/* What is wrong with part i of these, its path first; borrowed. */
const char *latents_damage(const struct latents *s, int i);
int64_t latents_bytes(const struct latents *s);		/* of the parts in use */

/* The latent [channels, rows, frames] as F32; the lyric ids and mask [lyrics]. A number that was changed on disk is
 * noticed: ACE_EDATA, naming the part. */
enum status latents_read(struct latents *s, int64_t i, float *latent) ACE_NODISCARD;
enum status latents_read_lyrics(struct latents *s, int64_t i, int32_t *id, uint8_t *mask) ACE_NODISCARD;

/* Clips in the place of a store's, whose latents are made when they are read: the same functions give them. make writes
 * [channels, rows, frames] of the item that it gets; facts are copied. Not for several threads at once. */
typedef enum status latent_maker(void *me, const struct latent_item *item, float *latent);
enum status latents_made_open(struct latents **s, const struct facts *facts, latent_maker *make, void *me) ACE_NODISCARD;
/* One more; all is copied but source, which is not kept. Keys come in the order of their bytes, each once. mask: one for all
 * lyric tokens. */
enum status latents_made_add(struct latents *s, const struct latent_item *item, const int32_t *lyric_id, int mask) ACE_NODISCARD;

/* Writing: items are kept in memory until 64 of them or 30 s have come together, then written as one part. */
struct latents_writer;

/* rank: 0 .. 9999, one writer a rank at a time (a lock says so). Left-over .part files of the rank are removed. dtype BF16
 * or F32, kept as the fact latent_dtype ("bf16", "f32") beside facts, which are copied. */
enum status latents_writer_open(struct latents_writer **w, const char *folder, int rank, enum dtype dtype,
                                const struct facts *facts) ACE_NODISCARD;
/* Take one clip: all is copied; item->lyrics ids, and one mask for them all. May seal. */
enum status latents_put(struct latents_writer *w, const struct latent_item *item, const float *latent,
                        const int32_t *lyric_id, int lyric_mask) ACE_NODISCARD;
/* A key that is no more (its file is gone or went bad): readers forget it. */
enum status latents_drop(struct latents_writer *w, const char *key) ACE_NODISCARD;
/* Write what is kept now. */
enum status latents_seal(struct latents_writer *w) ACE_NODISCARD;
int64_t latents_sealed(const struct latents_writer *w);	/* items done by this writer */
int64_t latents_written(const struct latents_writer *w);	/* bytes */
/* Does not seal: what is not sealed is lost. */
void latents_writer_close(struct latents_writer *w);

/* Pack all parts into few large ones and remove the old. The result does not depend on how many ranks wrote, or in which
 * order. Nobody may write meanwhile (ACE_ECONFIG). */
enum status latents_merge(const char *folder, int64_t *parts_before, int64_t *parts_after) ACE_NODISCARD;

/* Remove parts that hold nothing in use any more; how many. */
enum status latents_sweep(const char *folder, int *removed) ACE_NODISCARD;

/* Make the index over the parts anew where it is missing or old; a folder that cannot be written is no failure. */
enum status latents_index(const char *folder) ACE_NODISCARD;
#endif
