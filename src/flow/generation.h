/* SPDX-License-Identifier: Apache-2.0 */
/* generation.h - from noise to a clean latent: the calls of a run, their guidance and their steps (sampling.md section 5)
 *
 * One clip at a time, F32 in host memory. The network is the caller's. */
#ifndef ACE_FLOW_GENERATION_H
#define ACE_FLOW_GENERATION_H

#include "flow/guided.h"
#include "flow/sampler.h"
#include "num/rng.h"

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

/* Editing (section 6): from one set of conditions to another. From step trunc(steps from) to trunc(steps to) the difference of what the
 * network says under both, at the source under the same noise, moves the source; behind that the run is an ordinary one. */
struct edit_options {
	double from, to;		/* 0 <= from < to <= 1 */
	int average;			/* draws of noise a step, from 1 */
};

#define EDIT_DEFAULT (struct edit_options){ .from = 0, .to = 1, .average = 1 }

/* x [channels, rows, frames] out; source as large; was, wanted: the network under the conditions of the source and of what it becomes.
 * o: euler without a list of steps, a strength or repainting. Errors as above. */
enum status generation_edit(const struct generation_options *o, const struct edit_options *e, float *x, const float *source,
                            int64_t channels, int64_t rows, int64_t frames, struct rng fresh, const struct generation_network *was,
                            const struct generation_network *wanted) ACE_NODISCARD;
bool generation_edit_cost(const struct generation_options *o, const struct edit_options *e, int *calls);

/* Calls that a run of generation_run takes, and outputs that they give together (its cost); false: the options cannot be. */
bool generation_cost(const struct generation_options *o, int *calls, int *outputs);
#endif
