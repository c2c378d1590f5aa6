/* SPDX-License-Identifier: Apache-2.0 */
/* ema.h - the running average of the weights that train (training.md section 6) */
#ifndef ACE_TRAIN_EMA_H
#define ACE_TRAIN_EMA_H

#include "train/optim.h"

struct ema_options {
	double decay;			/* ema_decay, 0.995 */
	int64_t warmup;			/* ema_warmup_steps */
	int64_t interval;		/* ema_update_interval, >= 1 */
	bool host;			/* ema_device=cpu: a cuda device's averages are kept, and moved, in the host's memory */
};

/* Of a rank that has a part of what trains (exchange.h): where a param begins in the whole, and the turn in which its value is there. */
struct ema_place {
	int64_t first;
	int turn;			/* 0: always */
};

struct ema {
	struct dev *dev;		/* where the averages are */
	struct dev *from;		/* where the params are; another one than dev where the averages are the host's */
	struct dev own;			/* that host */
	struct ema_options opt;
	struct param **param;		/* those that train, in the order given; borrowed */
	struct ema_place *place;	/* one a param */
	struct tensor *shadow;		/* F32, one a param */
	struct tensor *y, *z;		/* what is averaged: y (rank 0: the value), or y + pull (z - y) where z has a rank */
	float *pull;
	int n;
	bool anew;			/* the last course was not an update but a new beginning */
	struct tensor weight;		/* [1 + n] F32: of the average, then pull */
	struct tensor spare[2];		/* as large as the largest shadow: places of what is averaged, from another device or on the way to it */
	float *next;			/* the weights on their way to the device */
	void *memory;			/* owned, one allocation */
	size_t bytes;			/* its size; known on the dry device, too */
};

/* The decay in force at update t = 1, 2, ... */
double ema_decay(const struct ema_options *o, int64_t t);

/* Shadows of the params with train set, equal to their present values; those of another turn by ema_turn. place [n], or NULL: whole
 * params. */
enum status ema_init(struct ema *e, struct dev *d, const struct ema_options *o, struct param *const *param,
                     const struct ema_place *place, int n) ACE_NODISCARD;
void ema_free(struct ema *e);

/* After update t (the global step): shadow -= (1 - decay)(shadow - value) when t is a multiple of the interval. Returns
 * the decay used; -1 when it was not t's turn. */
double ema_update(struct ema *e, int64_t t);

/* Behind ema_init, ema_update (unless -1) or ema_restart: the same for what has that turn. */
void ema_turn(struct ema *e, int turn);

/* A rule that averages by itself (optim_average) trains at other values than it shows: follow those that it shows. After
 * ema_init, for each optimiser. */
void ema_follow(struct ema *e, const struct optim *o);

/* Begin again at the present values. The device must be synced since the last update (reading the loss does). */
void ema_restart(struct ema *e);

/* The averages in the place of the values of a turn; the caller has a copy of those. */
void ema_show(struct ema *e, int turn);

/* The shadow of a param by name, with where it begins in the whole (first may be NULL); rank 0 when it has none. */
struct tensor ema_shadow(const struct ema *e, const char *name, int64_t *first);
#endif
