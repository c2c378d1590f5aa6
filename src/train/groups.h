/* SPDX-License-Identifier: Apache-2.0 */
/* groups.h - which parameters follow which rule and which rate (training.md section 11)
 *
 * The lyrics embedder, where lyrics_embedder_train asks for it, is a group of its own: of the main optimiser, at its own rate or
 * the main one, or of an optimiser of its own. All else is the main group. Checkpoints call them "main" and "lyrics". */
#ifndef ACE_TRAIN_GROUPS_H
#define ACE_TRAIN_GROUPS_H

#include "train/clip.h"
#include "train/exchange.h"
#include "train/optim.h"
#include "train/schedule.h"

enum { GROUP_MAIN, GROUP_LYRICS };

struct groups_options {
	bool lyrics;			/* the lyrics embedder is a group of its own */
	bool own;			/* and has an optimiser of its own: */
	struct optim_settings optim;	/* its rule; copied from the main one when own is false */
	struct schedule schedule;	/* its rate, also when own is false */
};

struct groups {
	struct groups_options o;
	struct optim optim;		/* of the lyrics embedder; n is 0 unless own */
};

/* The names of the groups in the files of checkpoints, for the main optimiser and for the lyrics embedder's own. */
extern const char *const groups_main[OPTIM_GROUPS], *const groups_own[OPTIM_GROUPS];

/* Take what trains in m, or this rank's part of it (x; NULL: all), in: into main, which is initialised, and into the second
 * optimiser. Collective over the ranks. */
enum status groups_open(struct groups *g, struct optim *main, struct exchange *x, struct dit *m, const struct groups_options *o)
	ACE_NODISCARD;
void groups_free(struct groups *g);

/* The rate of the next update, k updates being done; of a rule that follows no schedule its peak. */
double groups_rate(const struct optim_settings *o, const struct schedule *s, int64_t k);

/* The update of both, at rate and lyrics (groups_rate each), from gradients measured together (clip.h): each is clipped as its
 * rule allows. limits [2] is written. scale, step: as of clip_limits and optim_step. Collective over the ranks. */
enum status groups_step(struct groups *g, struct optim *main, struct exchange *x, double rate, double lyrics, struct tensor limits,
                        struct tensor measured, const struct clip_options *clip, float scale, int64_t step) ACE_NODISCARD;

/* The same in two parts, where both optimisers take it so (optim.h): the host's, and the device's, which changes nothing where a number
 * of measured or losses is not finite; the host then takes its part back. scaling: rank 0, or what the gradients are too large by besides
 * (kernels/list_train.h) and measured no longer is. */
bool groups_are_whole(const struct groups *g, const struct optim *main);
void groups_prepare(struct groups *g, struct optim *main, double rate, double lyrics, int64_t step);
void groups_ask(struct groups *g, struct optim *main, struct tensor limits, struct tensor measured, struct tensor losses,
                struct tensor scaling, const struct clip_options *clip, float scale);
void groups_take_back(struct groups *g, struct optim *main);
#endif
