/* SPDX-License-Identifier: Apache-2.0 */
/* step_roll.c - scheduled sampling in a micro step (training.md section 10): clips noised at an earlier time than theirs, and carried
 * on to theirs by the network as it is. How far depends on the clip, so that no device can record it. */
#include "train/step_parts.h"

#include <assert.h>
#include <stdlib.h>

enum status
step_roll_open(struct step *s)
{
	const int64_t dim[] = { s->room.B, DIT_CHANNELS, DIT_ROWS, s->room.T };

	if (s->o.rollout.longest <= 0)
		return ACE_OK;
	assert(s->o.form.target == FLOW_X0);
	s->way = calloc((size_t)(2 * s->room.B), sizeof *s->way);
	if (!s->way)
		return ace_fail(ACE_ENOMEM, "no memory for the ways of a batch's rollouts");
	return rollout_open(&s->rollout, s->dev, s->o.rollout.sampler, 4, dim);
}

void
step_roll_close(struct step *s)
{
	rollout_close(&s->rollout);
	free(s->way);
}

float
step_roll_draw(struct step *s, int64_t i, struct flow_time t, struct rng r)
{
	int64_t *source = s->way, *target = s->way ? s->way + s->room.B : NULL;

	if (!s->way)
		return t.sigma;
	source[i] = rollout_source(&s->o.rollout, rollout_chance(&s->o.rollout, s->updates), t.index, r);
	target[i] = t.index;
	return source[i] < 0 ? t.sigma : flow_time_at(&s->o.flow, source[i]).sigma;
}

enum status
step_roll_calls(struct step *s, int64_t B)
{
	s->calls = s->way ? rollout_calls(s->o.rollout.sampler, B, s->way, s->way + s->room.B) : 0;
	s->calls_here = s->calls;
	return s->way ? exchange_most(s->o.exchange, &s->calls) : ACE_OK;
}

/* The network of a pass, without gradient and without dropping. */
struct network {
	struct ctx c;
	struct dit *m;
	struct dit_input in;
};

static void
velocity(void *me, struct tensor v, struct tensor x, struct tensor timestep)
{
	struct network *n = me;
	size_t mark = arena_mark(n->c.act);

	n->in.latents = x;
	n->in.timestep = timestep;
	dit_forward(&n->c, n->m, v, &n->in);
	arena_release(n->c.act, mark);
}

void
step_roll(struct step *s, const struct ctx *c, const struct dit_input *in)
{
	struct network n = { *c, s->m, *in };
	const struct rollout_network net = { &n, velocity };

	if (!s->way)
		return;
	n.c.training = false;
	if (dev_is_dry(c->dev)) {
		velocity(&n, in->latents, in->latents, in->timestep);	/* what one evaluation takes */
		return;
	}
	rollout_run(&s->rollout, &s->o.flow, s->o.rollout.sampler, in->latents, s->way, s->way + s->room.B, &net);
	for (int64_t k = s->calls_here; k < s->calls; k++)
		exchange_idle_forward(s->o.exchange);
}
