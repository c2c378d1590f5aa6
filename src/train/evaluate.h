/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate.h - the loss on clips that are held out (training.md section 13)
 *
 * The mean of the loss that is trained, without any dropping, over a few clips, each at times spread evenly over the table, with
 * noise that is the same every time: what changes from one evaluation to the next is the model. */
#ifndef ACE_TRAIN_EVALUATE_H
#define ACE_TRAIN_EVALUATE_H

#include "train/step.h"

struct evaluation_options {
	const struct data_options *data;	/* of the run; borrowed while opening */
	const char *dataset;			/* eval_dataset_id; NULL: all data sets of dataset_type eval */
	int64_t clips;				/* num_eval_images, at most */
	int64_t times;				/* eval_timesteps, >= 1 */
};

struct evaluation {
	struct batch *batch;		/* a clip each, read when it was opened */
	int n;
	int64_t times;
	double *loss;			/* [n times], of all ranks */
	struct arena act;		/* the step's, or, where that is too small, its own: */
	void *memory;
	struct step *step;		/* borrowed */
};

/* Read the clips. Not while a prefetch of the same process reads. No such data set: ACE_ECONFIG. evaluation_close in any case. */
enum status evaluation_open(struct evaluation *e, struct step *s, const struct evaluation_options *o) ACE_NODISCARD;
void evaluation_close(struct evaluation *e);

/* Between two updates. Of rules that average the values that they show. Not finite: no failure. Ranks share the clips and times; the
 * loss is that of one rank, to the bit. Collective over the ranks. */
enum status evaluation_loss(struct evaluation *e, double *loss) ACE_NODISCARD;
#endif
