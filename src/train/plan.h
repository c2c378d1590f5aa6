/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - the memory of a training run, by part, before it starts (layout.md section 4: the dry device)
 *
 * The same code that trains is opened and run on the dry device, so that there is no second list of sizes. */
#ifndef ACE_TRAIN_PLAN_H
#define ACE_TRAIN_PLAN_H

#include "train/forecast.h"
#include "train/step.h"

enum plan_part {
	PLAN_BASE_MAPPED,		/* frozen weights as pages of their file */
	PLAN_BASE_COPIED,		/* frozen weights of another type than the file's; of a cuda device: all of them */
	PLAN_BASE_QUANTIZED,		/* frozen weights in 8 or 4 bits, with their scales */
	PLAN_TRAINED,			/* values that train: adapters */
	PLAN_GRADS,
	PLAN_GATHERED,			/* sharding: blocks that are put together from all ranks, sums on their way */
	PLAN_STATES,			/* of the optimiser */
	PLAN_AVERAGE,			/* of the values that train (ema) */
	PLAN_ACTIVATIONS,		/* the arena of a step */
	PLAN_WORKSPACE,			/* of the kernels (cpu) */
	PLAN_BATCHES,			/* read ahead, and the one in use */
	PLAN_SAVING,			/* a checkpoint put together in memory; not a cuda device's */
	PLAN_PARTS,
};

struct plan {
	enum dev_kind device;		/* whose memory it is */
	size_t bytes[PLAN_PARTS];
	struct step_shape shape;
	double flops;			/* of the products of a micro step */
	int64_t calls;			/* kernels called in it */
	int64_t parameters, used, trained;	/* numbers in the model's files, read by the pass, that train */
	int modules;			/* with adapters */
	int ranks;			/* that train together; what is said here is one's */
	double sent;			/* bytes to other ranks in an update */
	size_t checkpoint;		/* bytes of one on the disk */
	struct forecast forecast;	/* where rates were given */
	size_t trained_bytes;		/* of all that trains, whichever rank has it */
	size_t host;			/* cuda: bytes besides, of states and gradients in the host's memory */
};

const char *plan_name(enum plan_part part);
size_t plan_total(const struct plan *p);

/* m and s are open on the dry device, s with room for the largest batch. */
enum status plan_make(struct plan *p, const struct dit *m, struct step *s) ACE_NODISCARD;

/* Bytes of one checkpoint on the disk. */
size_t plan_checkpoint(const struct plan *p);
#endif
