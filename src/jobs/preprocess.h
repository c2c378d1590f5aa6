/* SPDX-License-Identifier: Apache-2.0 */
/* preprocess.h - songs -> latents, captions -> embeddings, lyrics -> tokens, into the stores (datasets.md sections 5 and 7)
 *
 * What is in the stores already and still fits is kept. An item is done when its part of the store is sealed; the rest is
 * done again by the next run. Shard i of n takes every n-th song, and rank r of its k every k-th of these; the merged stores depend
 * neither on n nor on k. */
#ifndef ACE_JOBS_PREPROCESS_H
#define ACE_JOBS_PREPROCESS_H

#include "base/settings.h"
#include "comm/comm.h"
#include "data/dataset.h"
#include "dev/dev.h"
#include "num/dtype.h"

#include <stdio.h>

enum { PREPROCESS_SHARDS = 10000 };	/* writers of one store, at most */

enum preprocess_what {
	PREPROCESS_ALL,
	PREPROCESS_CHECK,		/* lists, captions, lyrics, headers of files; what is in the stores against them; nothing written */
	PREPROCESS_DRY_RUN,		/* the same with models, disk, memory and time; nothing written */
	PREPROCESS_MERGE,		/* pack what the shards have sealed */
};

struct preprocess_job {
	enum preprocess_what what;
	const struct dataset_list *list;	/* borrowed, as all texts here */
	const char *model;		/* NULL: CHECK does not compare stores with it. Else a folder with umt5-base, and the codec's folders unless codec says otherwise */
	const char *codec;		/* folder with music_dcae_f8c8 and music_vocoder; NULL: model */
	const char *model_name;		/* kept in the stores for people; NULL: model */
	const char *lyric_vocab;	/* file; NULL: lyric_vocab.json in model. Wanted only where there are lyrics */
	const char *text_data, *unidic;	/* folders of text/line.h; NULL: where it looks itself */
	bool per_song;			/* lyrics in one language a song; else one a line (text/lyric.h) */
	enum dev_kind device;
	int threads;			/* 0: what dev_open chooses */
	enum dtype latent_dtype;	/* BF16 or F32 */
	bool bf16_codec;		/* the autoencoder runs in bf16, on a cuda device */
	int text_tokens, lyric_tokens;	/* longest; 256, 4096 */
	bool whole_lyrics;		/* a line of lyrics that cannot be read fails its song, instead of being left out */
	bool ignore_missing;		/* a file that is gone when its turn comes does not count as bad */
	bool verify;			/* read all that is in the stores; what is damaged is done anew */
	bool override;			/* latents made with other settings are kept, with a warning */
	uint64_t seed;			/* of windows drawn at random */
	int seal_every;			/* items; 0: as the store likes */
	int shard, shards;		/* 0 ... shards - 1; shards 0: one */
	struct comm *comm;		/* the ranks that do this shard together; NULL: this one alone */
	double max_bad;			/* songs that may fail, or percent of them */
	bool max_bad_percent;
	const char *next;		/* said at the end; NULL: nothing */
	FILE *out;			/* what CHECK finds, a line each; NULL: nowhere */
};

/* What came of it; clips of this shard, of all its ranks. */
struct preprocess_report {
	int64_t files;
	int64_t fresh, updated, kept;	/* encoded; only captions, lyrics or dates written anew; unchanged */
	int64_t failed, skipped;	/* bad; left out by a rule (silent, too_short, too_long ...) */
	int64_t gone;			/* entries of songs that are no more, dropped */
	int64_t captions, fresh_captions, cut_captions;	/* of the songs, each once; encoded now; longer than text_tokens */
	int64_t with_lyrics, instrumental, tokens, unknown, lyric_lines, lyric_skipped;
	int64_t unknown_songs;		/* clips with more unknown tokens than LYRIC_UNKNOWN_MOST */
	int64_t short_data, cut;	/* files shorter than their header says; clips cut to 240 s */
	double seconds;			/* of sound encoded, as prepared */
	double elapsed;			/* of encoding it */
	int64_t bytes;			/* written */
	int64_t findings;		/* of CHECK: places where stores and songs differ, damaged parts */
	int64_t need, free_bytes;	/* estimated before; -1 unknown */
	char failures[1024];		/* the last failures.jsonl that was written, "" when none was */
};

/* Do the job, saying how it goes. ACE_ENOINPUT: no songs, or no model; ACE_EDATA: more songs than max_bad are bad, or none is
 * left; ACE_EIO: the disk is full or will be; ACE_ESTOPPED: stop_asked on any rank, what was done is sealed. r is filled as far as
 * it came. CHECK ends with ACE_EDATA when something is in the stores and does not fit the songs, the model or itself; stores
 * that are empty fit. The list is walked for audio and eval entries. Collective over the job's ranks. */
enum status preprocess_run(const struct preprocess_job *job, struct preprocess_report *r) ACE_NODISCARD;

/* The job that a program's options describe, done by the ranks of c: what ace-preprocess is. */
enum status preprocess_settings(struct settings *s, struct comm *c) ACE_NODISCARD;

/* What the stores of the list lack, of entries whose stores are to be filled on demand: done as ace-preprocess would, with the
 * options of another program. Entries without such stores are left alone. Collective over c (NULL: alone). */
enum status preprocess_missing(const struct settings *s, const struct dataset_list *l, struct comm *c) ACE_NODISCARD;

/* What of the options says how songs and lyrics are prepared; lists, folders of models, shards and ranks are the caller's. */
enum status preprocess_fill(const struct settings *s, struct preprocess_job *j) ACE_NODISCARD;

/* "10%" or "3" of max_bad; "2/8" of shard (from 1). ACE_EUSAGE, saying what is wanted. */
enum status preprocess_max_bad(const char *text, double *most, bool *percent) ACE_NODISCARD;
enum status preprocess_shard(const char *text, int *shard, int *shards) ACE_NODISCARD;
#endif
