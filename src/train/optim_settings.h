/* SPDX-License-Identifier: Apache-2.0 */
/* optim_settings.h - which update rule, with which numbers (training.md section 4) */
#ifndef ACE_TRAIN_OPTIM_SETTINGS_H
#define ACE_TRAIN_OPTIM_SETTINGS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum optim_rule {
	OPTIM_ADAMW,		/* torch-adamw */
	OPTIM_ADAM,		/* torch-adam: decay goes into the gradient */
	OPTIM_SGD,
	OPTIM_ADAFACTOR,
	OPTIM_ADAMW_BF16,	/* the default; on F32 weights torch-adamw with its own eps */
	OPTIM_OPTIMI_ADAMW,
	OPTIM_STABLEADAMW,
	OPTIM_LION,
	OPTIM_ADAMW8BIT,
	OPTIM_SCHEDULEFREE,
	OPTIM_PRODIGY,
};

struct optim_settings {
	enum optim_rule rule;
	double beta1, beta2, eps, weight_decay;
	double momentum, dampening;	/* sgd */
	bool nesterov;
	double beta2_decay, eps2, d;	/* adafactor */
	double d0, d_coef;		/* prodigy */
	bool factored;			/* matrices of two dimensions only, the longer of at least 32 */
	int64_t prodigy_steps;		/* stop adapting after so many updates; 0: never */
	int64_t warmup;			/* schedule-free: its own warm-up, in updates */
	bool far;			/* cuda: the state lies in the host's memory (optim.h); not of optim_settings_resolve */
};

/* What the user said; a number that was not given is NAN, a text NULL. */
struct optim_wish {
	const char *optimizer;			/* its name or an alias */
	const char *config;			/* optimizer_config: "key=value,key=value" */
	double beta1, beta2;			/* optimizer_beta1/2: both or none */
	double adam_beta1, adam_beta2, adam_epsilon, adam_weight_decay;	/* only where set by the user */
	int64_t prodigy_steps, warmup;		/* lr_warmup_steps */
};

/* Table default < adam_* < optimizer_config < optimizer_beta1/2. A value of optimizer_config with a dot is a real number,
 * digits a whole one, true, false and none themselves. Keys that the rule lacks, and options for such, are dropped and listed
 * in unknown (comma list, cut to size; "" when there are none) for a notice. ACE_ECONFIG naming what is wrong: an optimizer
 * that is not built, listing those that are; a value out of range; one of the two betas alone. */
enum status optim_settings_resolve(struct optim_settings *o, const struct optim_wish *w, char *unknown, size_t size)
	ACE_NODISCARD;

/* "torch-adamw", the rule's own name. */
const char *optim_rule_name(enum optim_rule rule);

/* false for the rules that are never clipped (optimi-stableadamw, prodigy). */
bool optim_clips(enum optim_rule rule);

/* true for schedule-free and prodigy: what is saved and shown is not where training stands (optim_average). */
bool optim_averages(enum optim_rule rule);

/* false for the rules that look at a tensor as a whole (torch-adafactor, optimi-stableadamw, prodigy): they take no parts of one. */
bool optim_parts(enum optim_rule rule);

/* false for schedule-free: the rate stays learning_rate whatever lr_scheduler says. */
bool optim_follows_schedule(enum optim_rule rule);
#endif
