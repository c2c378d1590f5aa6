/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - what a run goes on from, in a checkpoint (training.md section 12): raw values and moments of all that trains, counters,
 * and the place in the data. Random streams have no state: the seed and the place say it all. */
#ifndef ACE_TRAIN_STATE_H
#define ACE_TRAIN_STATE_H

#include "train/checkpoint.h"
#include "train/loop.h"

/* What is written beside the numbers. Borrowed. */
struct state_facts {
	const char *model;			/* the transformer's mark */
	const struct adapter_write_options *adapter;	/* of the adapter file; global_step is set here. NULL: a full training */
};

/* Put all of a run into s, at l's place. Of several ranks each has an s, of a writer of theirs (checkpoint_writer_join). Collective over
 * the ranks. */
enum status state_save(struct checkpoint_save *s, const struct loop *l, const struct state_facts *f) ACE_NODISCARD;

/* The seed of the run that c is of. */
enum status state_seed(const struct checkpoint *c, uint64_t *seed) ACE_NODISCARD;

/* Check that c is of this model, optimizer and kind of training, before adapters are made from it: else ACE_ECONFIG. */
enum status state_check(const struct checkpoint *c, const struct step_options *o, const char *model) ACE_NODISCARD;

/* Run write while the values that train are what is to be shown of them: of schedule-free rules the average. Afterwards they are
 * what they were, to the bit. Ranks that have parts of them all take part; the first one has the whole then. */
enum status state_shown(struct step *s, enum status (*write)(void *me), void *me) ACE_NODISCARD;

/* The same, but no rank has more than its passes need. Collective over the ranks. */
enum status state_looked_at(struct step *s, enum status (*run)(void *me), void *me) ACE_NODISCARD;

/* As state_shown (whole), or as state_looked_at, while the values are the averages of ema.h. */
enum status state_average_shown(struct step *s, bool whole, enum status (*write)(void *me), void *me) ACE_NODISCARD;

/* Values and moments into an opened step, whose updates become the checkpoint's; *at: the next batch. A lyrics embedder that has
 * not been training up to now begins as it is, with a notice. Collective over the ranks. */
enum status state_restore(const struct checkpoint *c, struct step *step, struct loop_place *at) ACE_NODISCARD;
#endif
