/* SPDX-License-Identifier: Apache-2.0 */
/* guided.h - one output of the network out of those that guidance takes (sampling.md sections 3, 4)
 *
 * One clip at a time, F32 in host memory. The network is the caller's. */
#ifndef ACE_FLOW_GUIDED_H
#define ACE_FLOW_GUIDED_H

#include "flow/guidance.h"

/* Outputs that one call of the network is asked for, at most, and their order. */
enum { GENERATION_CONDITIONS, GENERATION_NONE, GENERATION_TEXT, GENERATION_BRANCHES };

struct generation_network {
	void *me;
	/* out[b]: the velocity at x [channels, rows, frames] of branch b; branches from GENERATION_CONDITIONS on, n of them (1, 2 or 3;
	 * all are given places in out). A failure ends the run. call of calls: for who shows how far it is. */
	enum status (*velocity)(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call,
	                        int calls);
};

struct guided {
	const struct guidance_options *how;	/* borrowed */
	int start, end;				/* the calls in which it acts */
	struct guidance guidance;
	float *out[GENERATION_BRANCHES];	/* owned by out[0] */
};

/* For a run of so many steps. ACE_ECONFIG, ACE_ENOMEM. guided_close in any case. */
enum status guided_plan(struct guided *g, const struct guidance_options *how, int steps) ACE_NODISCARD;
enum status guided_open(struct guided *g, int64_t channels, int64_t rows, int64_t frames) ACE_NODISCARD;	/* behind guided_plan */
void guided_close(struct guided *g);

/* How many outputs call i takes. */
int guided_branches(const struct guided *g, int i);

/* The velocity at x of call i, in out[GENERATION_CONDITIONS]; shown of calls is what the network is told. */
enum status guided_velocity(struct guided *g, const struct generation_network *network, const float *x, float timestep, int i, int shown,
                            int calls) ACE_NODISCARD;
#endif
