/* SPDX-License-Identifier: Apache-2.0 */
/* scale.h - what scale measures, and the model that it trains: for scale.c and scale_model.c alone */
#ifndef ACE_TESTS_BENCH_SCALE_H
#define ACE_TESTS_BENCH_SCALE_H

#include "train/state.h"

enum { SCALE_CLIPS = 64 };

struct scale_options {
	const char *preset, *name, *optimizer, *save, *resume;	/* folders, or NULL */
	struct step_shape shape;
	int rank, interval, layers, steps;
	int64_t accumulation;
	enum sharding sharding;
	enum link_way way;
	enum dev_kind device;		/* cuda or cpu */
	bool full, fp32;
};

struct scale {
	struct scale_options o;
	struct comm *comm;		/* of one rank, where nothing has started more */
	struct exchange exchange;	/* of several */
	char *folder;			/* of files that go with the run; owned */
	struct dev dev;
	struct dit m;
	struct step step;
	struct batch batch;
	struct dataset_list list;
	struct data *data;		/* a few clips, for what checkpoints say of it */
	struct checkpoint_writer *writer;
	int64_t next;			/* batch of the first rank */
	uint32_t flags;			/* of all ranks, behind the last update */
	double ms, least, host_ms, open_s, sent, stall_ms, beside_ms, restore_s;
	int beside;
	struct step_report last;
	struct checkpoint_report saved;
	int64_t next_step;
	double next_loss;
};

/* The folder: the same on all ranks; with a model of the preset, and stores. On a cuda device the model's file is a hole, and its
 * weights are made there. Collective. */
enum status scale_folder(struct scale *b) ACE_NODISCARD;

/* Device, model, step, batch. Collective. */
enum status scale_open(struct scale *b) ACE_NODISCARD;

/* Everything but the ranks. */
void scale_close(struct scale *b);
#endif
