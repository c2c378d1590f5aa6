/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - the learning rate of an update: a pure function of how many updates are done (training.md section 5) */
#ifndef ACE_TRAIN_SCHEDULE_H
#define ACE_TRAIN_SCHEDULE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum schedule_kind {
	SCHEDULE_CONSTANT,
	SCHEDULE_CONSTANT_WITH_WARMUP,
	SCHEDULE_LINEAR,
	SCHEDULE_COSINE,
	SCHEDULE_COSINE_WITH_RESTARTS,
	SCHEDULE_POLYNOMIAL,
	SCHEDULE_SINE,
};

struct schedule {
	enum schedule_kind kind;
	bool compat;		/* cosine, its restarts and sine as the Python trainer has them */
	double rate;		/* L, learning_rate */
	int64_t warmup;		/* w, lr_warmup_steps, in updates */
	int64_t steps;		/* n, max_train_steps */
	double cycles;		/* lr_num_cycles */
	double power, end;	/* lr_power, lr_end */
};

/* Set kind by the name of lr_scheduler, and rate, warmup and the rest as they are: "constant" with a warm-up becomes
 * constant_with_warmup, "cosine_with_warmup" is cosine. ACE_ECONFIG naming the option: an unknown name, a sine without
 * warm-up, a polynomial whose end is not below the rate. */
enum status schedule_named(struct schedule *s, const char *name) ACE_NODISCARD;

/* The rate of the update before which k updates are done (the first: k = 0). */
double schedule_rate(const struct schedule *s, int64_t k);
#endif
