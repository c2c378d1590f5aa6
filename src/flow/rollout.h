/* SPDX-License-Identifier: Apache-2.0 */
/* rollout.h - scheduled sampling: a noisy latent that the network made itself, from a noisier one (training.md section 10)
 *
 * A sample that is to be trained at table index i is noised exactly at an earlier, noisier index j and carried on to i by the
 * network, without gradient and without dropout; the target stays what it was. */
#ifndef ACE_FLOW_ROLLOUT_H
#define ACE_FLOW_ROLLOUT_H

#include "dev/dev.h"
#include "flow/reflex.h"
#include "flow/timestep.h"
#include "num/tensor.h"

enum rollout_strategy { ROLLOUT_UNIFORM, ROLLOUT_BIASED_EARLY, ROLLOUT_BIASED_LATE };
enum rollout_sampler { ROLLOUT_EULER, ROLLOUT_HEUN };

struct rollout_options {
	int64_t longest;		/* scheduled_sampling_max_step_offset, table steps; 0: off */
	double chance;			/* scheduled_sampling_probability; ignored while there is a ramp */
	enum rollout_strategy strategy;
	enum rollout_sampler sampler;
	int64_t ramp_steps, start_step;	/* updates; ramp_steps 0: no ramp */
	double prob_start, prob_end;	/* of the ramp; NAN: chance */
	bool cosine;			/* shape of the ramp */
	struct reflex_options reflex;
};

/* "euler", "heun"; "unipc" and "dpm" give euler with *replaced set, for a notice. false: no such name. */
bool rollout_sampler_named(enum rollout_sampler *s, const char *name, bool *replaced);
bool rollout_strategy_named(enum rollout_strategy *s, const char *name);

/* The chance that a sample is rolled out at this update (the global step). */
double rollout_chance(const struct rollout_options *o, int64_t step);

/* How many table steps a sample is rolled out, from two uniform numbers in [0, 1): 0 unless keep < chance. */
int64_t rollout_offset(const struct rollout_options *o, double chance, double keep, double offset);

/* The source index of a sample with target index: r = rng_stream(seed, RNG_ROLLOUT, step, sample), a stream of its own, so
 * that switching rollouts on changes no other draw. A continuous time (target -1) is never rolled out: -1. */
int64_t rollout_source(const struct rollout_options *o, double chance, int64_t target, struct rng r);

/* What carries samples on: v out, the velocity at x [B, ...] and timestep [B] F32, both on the device. */
struct rollout_network {
	void *me;
	void (*velocity)(void *me, struct tensor v, struct tensor x, struct tensor timestep);
};

struct rollout {
	struct dev *dev;
	struct tensor v, ahead;		/* F32, room for the largest x; ahead: heun only, else rank 0 */
	struct tensor numbers;		/* [3, largest B] F32: timesteps, steps, half steps */
	float *host;			/* the same, pinned */
	void *memory;			/* owned, with host */
	size_t bytes;			/* of memory; known on the dry device, too */
};

/* Room for x of up to dim (dim[0]: the largest B; the rest multiplied: the largest sample). */
enum status rollout_open(struct rollout *r, struct dev *d, enum rollout_sampler sampler, int rank, const int64_t dim[])
	ACE_NODISCARD;
void rollout_close(struct rollout *r);

/* How many network calls n samples take. */
int64_t rollout_calls(enum rollout_sampler sampler, int64_t n, const int64_t *source, const int64_t *target);

/* Carry x [B, ...] F32, noised at source[b], to target[b] >= source[b]; host arrays. Samples move together, each stands still
 * once it has arrived: as many network calls as the longest way has steps (heun: twice as many). Source -1: stands still. */
void rollout_run(struct rollout *r, const struct flow_options *o, enum rollout_sampler sampler, struct tensor x,
                 const int64_t *source, const int64_t *target, const struct rollout_network *n);
#endif
