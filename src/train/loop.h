/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - updates one after the other: where in the data a run stands, and when it has reached its end (training.md section 2)
 *
 * Micro batches that are left over at the end of an epoch count for the first update of the next one. */
#ifndef ACE_TRAIN_LOOP_H
#define ACE_TRAIN_LOOP_H

#include "data/prefetch.h"
#include "train/step.h"

/* The next batch to be taken, by the first of the ranks; epochs and batches count from 0. */
struct loop_place {
	int64_t epoch, number;
};

struct loop_limits {
	int64_t steps;			/* the end is when so many updates are done */
	double epochs;			/* or when so many epochs, rounded up, are through; 0: any number */
};

struct loop_report {
	struct step_report step;
	double epoch;			/* passes that are done, with the part of the present one: 1.5 */
	struct loop_place batch;	/* the last one that this rank has taken for it */
	bool epoch_ended;		/* an epoch ended in this update: that whose number of passes is epochs_done */
	int64_t epochs_done;
	double seconds, waited;		/* of the update; of it waiting for batches */
};

struct loop {
	struct step *step;		/* borrowed, as data */
	struct data *data;
	struct loop_limits limits;
	struct loop_place at;		/* behind the last update */
	struct loop_place next;		/* behind the last batch that was taken */
	struct loop_report taken;	/* of the update under way, as far as batches say it */
	bool names;			/* say the clips of each batch that this rank takes; may be set once it is open */
	struct prefetch *ahead;
};

/* Updates an epoch has, as the limits of a run count them: ceil(turns / accumulation), a turn being a batch for each rank. */
int64_t loop_steps_per_epoch(const struct data *d, int64_t accumulation, int ranks);

/* What ends a run (training.md section 2): steps > 0 are steps, with strict also the epochs where they are above 0; else as many
 * steps as the epochs have (fractions count), and the epochs. ACE_ECONFIG when that is no step at all. */
enum status loop_limits_of(struct loop_limits *l, int64_t steps, double epochs, bool strict, int64_t steps_per_epoch) ACE_NODISCARD;

/* From at on, as one of the ranks of the step's exchange; the updates done so far are the step's. */
enum status loop_open(struct loop *l, struct step *step, struct data *data, const struct loop_limits *limits,
                      struct loop_place at) ACE_NODISCARD;
void loop_close(struct loop *l);

/* One update; *more false: the end was reached before it, and r is not set. Collective over the ranks. */
enum status loop_update(struct loop *l, struct loop_report *r, bool *more) ACE_NODISCARD;
#endif
