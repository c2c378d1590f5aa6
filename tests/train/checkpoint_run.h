/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_run.h - a small run to save: two linear layers with adapters, and an optimiser's state over them */
#ifndef ACE_TESTS_TRAIN_CHECKPOINT_RUN_H
#define ACE_TESTS_TRAIN_CHECKPOINT_RUN_H

#include "support/test.h"
#include "train/checkpoint.h"

enum { RUN_MODULES = 3, RUN_PARAMS = 2 * RUN_MODULES };

extern const char *const run_groups[OPTIM_GROUPS];

struct run {
	struct dev dev;
	struct params ps;
	struct linear layer[RUN_MODULES];
	struct optim o;
	float *state[RUN_PARAMS][2];
	uint16_t *shift[RUN_PARAMS];
};

/* Modules without adapters; then adapters of ranks 2, 3, 2, or those of a checkpoint; then the optimiser over them. */
void run_open(struct run *r);
void run_adapters(struct run *r);
void run_optim(struct run *r);
void run_close(struct run *r);

/* Every value and state number by (seed, where it is); scalars too. */
void run_fill(struct run *r, uint64_t seed);

/* Fails unless all are those of the seed, bit for bit. */
void run_is(const struct run *r, uint64_t seed);

/* All of the above. */
void run_open_filled(struct run *r, uint64_t seed);

/* A save as a training loop puts it together. */
struct checkpoint_save *run_save(const struct run *r, int64_t step);

/* Written, before it returns; the folder's path, owned by the caller. */
char *run_save_now(const struct run *r, const char *dir, int64_t step, const struct checkpoint_rule *rule);

/* Files below dir with their paths in it, sorted, each followed by a newline; owned by the caller. */
char *run_listing(const char *dir);
#endif
