/* SPDX-License-Identifier: Apache-2.0 */
/* generation.h - from noise to a clean latent: the calls of a run, their guidance and their steps (sampling.md section 5)
 *
 * One clip at a time, F32 in host memory. The network is the caller's. */
#ifndef ACE_FLOW_GENERATION_H
#define ACE_FLOW_GENERATION_H

#include "flow/guidance.h"
#include "flow/sampler.h"
#include "num/rng.h"

/* Outputs that one call of the network is asked for, at most, and their order. */
enum { GENERATION_CONDITIONS, GENERATION_NONE, GENERATION_TEXT, GENERATION_BRANCHES };

struct generation_options {
	enum sampler_kind kind;
	double shift;
	int steps;			/* as asked for: what audio-to-audio leaves of them is worked out here */
	const int *place;		/* NULL, or the chosen steps of a run (sampler_plan_chosen), borrowed; steps says how many */
	double omega;
	struct guidance_options guidance;
	double strength;		/* of the reference in audio-to-audio, 0: none; else x begins between it and the noise */
	/* Repainting (section 6): NULL, or [frames], borrowed: which frames of the reference are made anew. Euler's scheduler, steps
	 * without omega; the others are the reference, at every step as noisy as the run is. */
	const bool *again;
	double variance;		/* of it, above 0 to 1: the run begins at step trunc(steps (1 - variance)) */
};

#define GENERATION_DEFAULT                                                                                                      \
	(struct generation_options){ .kind = SAMPLER_EULER, .shift = 3, .steps = 60, .omega = 10, .guidance = GUIDANCE_DEFAULT }

struct generation_network {
	void *me;
	/* out[b]: the velocity at x [channels, rows, frames] of branch b; branches from GENERATION_CONDITIONS on, n of them (1, 2 or 3;
	 * all are given places in out). A failure ends the run. call of calls: for who shows how far it is. */
	enum status (*velocity)(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call,
	                        int calls);
};

/* Ping-pong draws fresh noise at each step: numbers of rng_sub(fresh, call), or, where it is not NULL, given [calls, numbers of x]. */
struct generation_noise {
	struct rng fresh;
	const float *given;
};

/* x [channels, rows, frames], in: standard normal numbers; out: the latent. reference: as large, read in audio-to-audio and repainting.
 * ACE_ECONFIG for options that cannot be, ACE_EDATA when a number is not finite at the end, and what velocity gives. */
enum status generation_run(const struct generation_options *o, float *x, const float *reference, int64_t channels, int64_t rows,
                           int64_t frames, const struct generation_noise *noise, const struct generation_network *network)
	ACE_NODISCARD;

/* Calls that such a run takes, and outputs that they give together (its cost); false: the options cannot be. */
bool generation_cost(const struct generation_options *o, int *calls, int *outputs);
#endif
