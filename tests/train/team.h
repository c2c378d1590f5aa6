/* SPDX-License-Identifier: Apache-2.0 */
/* team.h - ranks that train a tiny random model together, a batch of two clips each a micro step */
#ifndef ACE_TESTS_TRAIN_TEAM_H
#define ACE_TESTS_TRAIN_TEAM_H

#include "train/step.h"

struct team_options {
	enum sharding sharding;
	const char *rule;		/* optimizer */
	int64_t adapters;		/* their rank; 0: all trains */
	int64_t accumulation, nonfinite;
	double loss_scale;		/* fp16; 0: fp32 */
	bool average;			/* one is kept */
};

struct team {
	struct comm *c;
	struct exchange x;
	struct step step;
	struct dev dev;
	struct dit m;
	struct dataset_list list;
	struct data *data;
	struct batch b;
};

/* A folder with model and stores, made by the first rank; the same on all, owned. Collective. */
char *team_folder(struct comm *c);
void team_folder_free(struct comm *c, char *folder);

/* On the cpu, one thread. Collective. */
void team_open(struct team *t, struct comm *c, const char *folder, const struct team_options *o);
void team_close(struct team *t);

/* The same step on the dry device, for the ranks of x, a plan, which it keeps; without data. */
void team_plan(struct team *t, const struct exchange *x, const char *folder, const struct team_options *o);

/* This rank's batch of turn n. */
void team_batch(struct team *t, int n);
#endif
