/* SPDX-License-Identifier: Apache-2.0 */
/* optim_parts.h - what the files of optim.h share */
#ifndef ACE_TRAIN_OPTIM_PARTS_H
#define ACE_TRAIN_OPTIM_PARTS_H

#include "kernels/optim_numbers.h"
#include "train/optim.h"

/* What lies in pinned memory. */
struct optim_pinned {
	float numbers[OPTIM_GROUPS][OPTIM_NUMBERS];
	int64_t stream[2];
	float weight;			/* of a move to or from the average */
	float sums[2];			/* prodigy's, of an update */
};

/* Where a rule's scalars lie in optim.scalar, beside t. */
enum {
	SCALAR_T,
	SCALAR_MOST = 1, SCALAR_SUM = 1 + OPTIM_GROUPS,	/* schedule-free: largest rate and sum of weights, a group each */
	SCALAR_D = 1, SCALAR_NUMERATOR, SCALAR_DENOMINATOR, SCALAR_SUM_D,	/* prodigy: sums from SCALAR_SUM_D */
};

/* The tensor that the update works on: the master where there is one, else the value. */
struct tensor optim_weights(const struct optim_item *it);

struct tensor optim_item_state(const struct optim_item *it, const char *name);

/* The numbers of update t = scalar[0] + 1 for a group; moves the scalars on. */
void optim_numbers(struct optim *o, int group, double rate, int64_t t, float n[OPTIM_NUMBERS]);

/* The two tables [2, 256] that 8-bit codes stand for: signed, unsigned; sorted. */
void optim_code_tables(float table[2][256]);
#endif
