/* SPDX-License-Identifier: Apache-2.0 */
/* scaler.h - the loss scale of fp16 training (training.md section 3) */
#ifndef ACE_TRAIN_SCALER_H
#define ACE_TRAIN_SCALER_H

#include <stdbool.h>
#include <stdint.h>

struct scaler {
	double scale;			/* what the loss is multiplied by; 0: there is no scaling */
	int64_t good;			/* updates since the last change */
	int64_t interval;		/* good updates after which the scale is doubled */
	int64_t skipped;		/* updates that were; all but interval go into a checkpoint */
};

/* A scale below this does not mend what it is for. */
#define SCALER_LEAST 0x1p-24

/* 65536, doubled after 2000 good updates in a row. */
#define SCALER_DEFAULT (struct scaler){ .scale = 65536, .interval = 2000 }

/* After an update's gradients are there: finite says whether all of them are (clip_measure's sum of squares is). true: apply
 * the update, whose gradients are scale times too large (clip_limits takes that); its value before this call counts. false:
 * skip optimizer and average, leave the schedule where it is; the update counts all the same. */
bool scaler_update(struct scaler *s, bool finite);
#endif
