/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.h - noise levels of a generation and the steps between them (sampling.md sections 1, 2, 5, 6)
 *
 * Samples are F32 in host memory, [B, C, H, T]: a step reads and writes a few MB at most, beside a network call of TFLOPs. */
#ifndef ACE_FLOW_SAMPLER_H
#define ACE_FLOW_SAMPLER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum sampler_kind { SAMPLER_EULER, SAMPLER_HEUN, SAMPLER_PINGPONG };

/* "euler", "heun", "pingpong"; false: no such name. */
bool sampler_named(enum sampler_kind *kind, const char *name);
const char *sampler_name(enum sampler_kind kind);

/* The training table's first and last sigma: how noisy a run can begin, and the level it is counted down to. share: 1, or what is
 * left of it in audio-to-audio. */
void sampler_limits(double shift, double share, float *high, float *low);

/* The calls of a run: call i has timestep[i] and goes from sigma[i] to sigma[i + 1]. */
struct schedule_of_run {
	enum sampler_kind kind;
	int n;				/* calls of the network: the steps, or 2 steps - 1 of Heun */
	float *timestep;		/* [n], 0 .. 1000; owned */
	float *sigma;			/* [n + 1], the last 0; owned */
};

/* A run of so many steps (1 .. 1000000); share as above. ACE_ECONFIG for a number out of range. r is owned (sampler_free). */
enum status sampler_plan(struct schedule_of_run *r, enum sampler_kind kind, double shift, double share, int steps) ACE_NODISCARD;

/* A run of chosen steps: one-based places, rising, of a run of as many steps as the last says; the levels are shifted once more.
 * Euler and ping-pong. ACE_ECONFIG for places that do not rise or a kind that cannot. */
enum status sampler_plan_chosen(struct schedule_of_run *r, enum sampler_kind kind, double shift, const int *place, int n) ACE_NODISCARD;
void sampler_free(struct schedule_of_run *r);

/* The factor of what is not the mean in a step: 0.9 .. 1.1 for omega -inf .. inf. */
double sampler_omega(double omega);

struct sampler {
	const struct schedule_of_run *run;	/* borrowed */
	double omega;				/* the option's value; no effect in ping-pong */
	int64_t clips, per_clip;		/* B, numbers of one */
	bool joint;				/* the mean of a step runs over all clips, as in the published sampler; else over each */
	float *d1, *x1;				/* of Heun's first half; owned */
	float dt1;
};

/* Room for samples of such a size. ACE_ENOMEM. */
enum status sampler_open(struct sampler *s, const struct schedule_of_run *run, double omega, int64_t clips, int64_t per_clip) ACE_NODISCARD;
void sampler_close(struct sampler *s);

/* x, after call i gave v (calls in their order). noise [B, ...]: standard normal numbers, read by ping-pong only. */
void sampler_step(struct sampler *s, int i, float *x, const float *v, const float *noise);

/* Latent frames of so many seconds: one less than preparation makes of a clip as long. */
int64_t sampler_frames(double seconds);

/* Where audio-to-audio begins: x = reference (1 - high) + noise high, high of sampler_limits with share 1 - strength. x may be noise. */
void sampler_begin_from(float *x, const float *reference, const float *noise, int64_t n, float high);
/* How many of the steps are left of it. */
int sampler_steps_from(int steps, double strength);

/* Another noise near the first: x = cos(a) noise + sin(a) other, a = variance pi / 2. x may be noise. */
void sampler_retake(float *x, const float *noise, const float *other, int64_t n, double variance);
#endif
