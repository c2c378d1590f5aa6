/* SPDX-License-Identifier: Apache-2.0 */
/* train_validate.h - what the files that render while training share; of no use elsewhere */
#ifndef ACE_JOBS_TRAIN_VALIDATE_H
#define ACE_JOBS_TRAIN_VALIDATE_H

#include "jobs/generate_parts.h"
#include "jobs/train_parts.h"

enum { TRAIN_VALIDATION_RATE = 48000 };
#define TRAIN_BENCHMARK "benchmarks/base_model"	/* in a run's folder */

/* Adapters that are heard together beside those that train. */
struct train_adapters {
	char *label;			/* in a clip's name; "": none. Owned, as the paths */
	struct generate_lora lora[GENERATE_LORAS];
	int n;
};

struct train_validation {
	struct generate_job job;
	struct generate_clips clips;
	struct generate_conditioned heard;	/* on the first rank */
	struct generate_model model;
	int64_t steps, epochs, after_step, after_epoch;
	int64_t copies;			/* num_validation_images: 1 */
	bool startup, randomize, raw, average;
	bool benchmark;			/* disable_benchmark=false: what the model makes without what trains, once */
	bool bare;			/* the clips under way are that */
	bool seeds;			/* clip k has seed + k */
	const char *script;		/* validation_external_script, in the place of clips; borrowed, NULL: none */
	bool background;		/* nobody waits for it */
	struct train_adapters *other;	/* runs, one after the other; owned */
	int others;
	bool without;			/* heard without them as well */
	char *own;			/* what trains, in files meanwhile; NULL: no others are wanted */
	int64_t frames;
	struct train_validation *batch;	/* validation_on_batch: the clips of a batch; NULL: not wanted */
	struct data *data;		/* of those: where they are read again, on the first rank */
	/* of the clips under way */
	const struct train_adapters *with;	/* NULL: what trains alone */
	struct train *train;
	float *latent;			/* [clips][channels, rows, frames] */
	uint64_t seed;
	int done;
	enum status st;
};

/* What validation options say of a run, and the other parts of the model, which must be there. */
enum status train_validation_fill(struct generate_job *j, const struct settings *s) ACE_NODISCARD;

/* v->latent of all v->clips from v->heard, by the values that train or by their average; v->st: what went wrong with one of them.
 * Collective. */
enum status train_validation_sample(struct train_validation *v, bool average) ACE_NODISCARD;

/* train_clips.c: the latents that were made, as songs with ending in their names. */
enum status train_validation_write(const struct train_validation *v, const char *ending) ACE_NODISCARD;

/* train_adapters.c: those that options name (whose files must be there); that they fit the model; the next clips are heard with a, or NULL;
 * all of it away. */
enum status train_adapters_open(struct train_validation *v) ACE_NODISCARD;
enum status train_adapters_check(const struct train_validation *v) ACE_NODISCARD;
void train_adapters_use(struct train_validation *v, const struct train_adapters *a);
void train_adapters_close(struct train_validation *v);

/* train_on_batch.c: open, ready and close as in train_parts.h; run: at is the batch, st what has gone wrong before, for which nothing is
 * made. run is collective. */
enum status train_on_batch_open(struct train_validation *v) ACE_NODISCARD;
enum status train_on_batch_ready(struct train_validation *v) ACE_NODISCARD;
void train_on_batch_close(struct train_validation *v);
enum status train_on_batch(struct train_validation *v, struct loop_place at) ACE_NODISCARD;
#endif
