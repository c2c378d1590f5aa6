/* SPDX-License-Identifier: Apache-2.0 */
/* step_parts.h - what the files of step.h share */
#ifndef ACE_TRAIN_STEP_PARTS_H
#define ACE_TRAIN_STEP_PARTS_H

#include "train/step.h"

/* What each clip weighs until it is known how many there are in the update: about what it will in their mean, and a power of two,
 * so that taking it back rounds nothing. */
double step_weight(const struct step *s);

/* How much too large losses and gradients are made: 1 without a loss scale. */
double step_loss_scale(const struct step *s);

/* Gradients begin anew. */
void step_forget(struct step *s);

/* step_roll.c; all of it does nothing unless s->o.rollout is on. */
enum status step_roll_open(struct step *s) ACE_NODISCARD;
void step_roll_close(struct step *s);

/* Draw the way of clip i, whose time is t; the sigma that it is noised at. */
float step_roll_draw(struct step *s, int64_t i, struct flow_time t, struct rng r);

/* How often the network is run for that, for a batch of B clips that were drawn (0: none), or for that of the rank that needs it most. */
enum status step_roll_calls(struct step *s, int64_t B) ACE_NODISCARD;

/* Where a rollout leads astray (flow/reflex.h): tensors like the latents. */
struct step_reflex {
	struct tensor x0, noise, sigma;	/* noise becomes the exact latents */
	struct tensor v;		/* room for a velocity */
	struct tensor bias;		/* out; rank 0: nothing of that is wanted */
};

/* Carry in->latents on to their times. */
void step_roll(struct step *s, const struct ctx *c, const struct dit_input *in, const struct step_reflex *r);

/* The loss and its gradient, into v, on the host. */
void step_reflex_loss(struct step *s, const struct step_inputs *in, struct tensor x, const struct step_reflex *r, struct tensor loss);
#endif
