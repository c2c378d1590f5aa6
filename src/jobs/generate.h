/* SPDX-License-Identifier: Apache-2.0 */
/* generate.h - prompts and lyrics -> latents -> sound (sampling.md) */
#ifndef ACE_JOBS_GENERATE_H
#define ACE_JOBS_GENERATE_H

#include "audio/write.h"
#include "base/settings.h"
#include "flow/generation.h"
#include "models/dit.h"

enum { GENERATE_LORAS = 16, GENERATE_PROMPTS = 1000, GENERATE_STEPS = 1000, GENERATE_SECONDS = 240 };

struct generate_lora {
	char *path;			/* a file, or a folder that holds one; owned */
	float strength;
};

struct generate_job {
	/* where the parts of the model lie; owned */
	char *model, *transformer, *codec;
	struct dit_options dit;
	struct generate_lora lora[GENERATE_LORAS];
	int loras;
	enum dev_kind device;
	int threads;			/* 0: as many as may be */
	bool tf32;
	/* texts; borrowed */
	const char *negative;		/* NULL: none */
	const char *vocab, *tables, *unidic;	/* NULL: where they are looked for */
	int text_tokens, lyric_tokens;
	bool per_song, whole_lyrics;
	/* the run */
	struct generation_options loop;
	int place[GENERATE_STEPS];	/* loop.place points here */
	bool erg_tag;			/* outputs without conditions hear a weakened prompt, */
	bool erg_lyric;			/* weakened lyrics, */
	struct weakening layers, blocks;	/* and are weak here; of layers and blocks none when they are not to be. clip is not
						 * looked at */
	double seconds;
	uint64_t seed;			/* of the first clip; clip k has seed + k */
	const char *noise;		/* a file; borrowed; NULL: numbers of the seed */
	const char *reference;		/* a file to begin from; borrowed; NULL: none. loop.strength says how near */
	bool repaint;			/* parts of it are made anew, loop.variance: */
	double from, to;		/* seconds of it, none: from == to; to may be INFINITY, its end; */
	double before, after;		/* seconds that are added */
	bool edits;			/* the reference turns from one prompt to another, by edit */
	struct edit_options edit;
	bool retake;			/* noise towards that of the seed other */
	uint64_t other;
	double variance;
	/* what comes of it */
	const char *output;		/* a file, or the folder of several; borrowed */
	bool folder, sound;		/* sound: false, the latent alone */
	enum audio_format format;
	int rate;
	bool chunked, latents, notes;
	const struct settings *settings;	/* borrowed: what it was all made from */
};

/* A clip to make; texts are owned. */
struct generate_clip {
	char *name;			/* of its file in the folder; "" of a single one */
	char *prompt;
	char *lyrics;			/* NULL: instrumental */
	float strength;			/* of all adapters: their own times this */
};

struct generate_clips {
	struct generate_clip *clip;
	int n;
	bool edits;			/* there is one more, clip[n]: what the reference is */
};

/* From the options. generate_job_free in any case. */
enum status generate_fill(struct generate_job *j, const struct settings *s) ACE_NODISCARD;
void generate_job_free(struct generate_job *j);

/* The clips that prompt, lyrics and prompts ask for. generate_clips_free in any case. */
enum status generate_clips_of(struct generate_clips *c, const struct settings *s) ACE_NODISCARD;
void generate_clips_free(struct generate_clips *c);

/* Make them. ACE_ESTOPPED when a signal asked for it: what was finished is written. */
enum status generate_make(const struct generate_job *j, const struct generate_clips *c) ACE_NODISCARD;

/* The program. */
enum status generate_run(struct settings *s) ACE_NODISCARD;
#endif
