/* SPDX-License-Identifier: Apache-2.0 */
/* step_roll.c - scheduled sampling in a micro step (training.md section 10): clips noised at an earlier time than theirs, and carried
 * on to theirs by the network as it is. How far depends on the clip, so that no device can record it. */
#include "train/step_parts.h"

#include "flow/noise.h"
#include "ops/rows.h"

#include <assert.h>
#include <stdlib.h>

/* Room on the host for a batch's velocities, latents, data and biases, its mask, its times and weights, and its losses. */
static enum status
reflex_open(struct step *s)
{
	const struct step_shape *n = &s->room;
	int64_t numbers = n->B * n->T * (4 * DIT_CHANNELS * DIT_ROWS + 1) + 3 * n->B + 1;

	assert(s->o.form.cost == FLOW_L2);
	s->reflex = s->dev->m->pinned(s->dev, (size_t)numbers * sizeof *s->reflex);
	return s->reflex ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for the loss of a batch's rollouts");
}

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
	if (s->o.rollout.reflex.on)
		ACE_TRY(reflex_open(s));
	return rollout_open(&s->rollout, s->dev, s->o.rollout.sampler, 4, dim);
}

void
step_roll_close(struct step *s)
{
	rollout_close(&s->rollout);
	if (s->reflex)
		s->dev->m->unpin(s->dev, s->reflex);
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
	if (s->calls > 0 && s->reflex)
		s->calls += 2;
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

/* The velocity at the exact latents less that at those which were rolled out. */
static void
find_bias(struct step *s, struct network *n, const struct step_reflex *r)
{
	struct dev *d = s->dev;

	velocity(n, r->v, n->in.latents, n->in.timestep);
	flow_mix(d, r->noise, r->x0, r->noise, r->sigma, F32);
	velocity(n, r->bias, r->noise, n->in.timestep);
	rows_axpy(d, r->bias, r->v, -1.f);
}

void
step_roll(struct step *s, const struct ctx *c, const struct dit_input *in, const struct step_reflex *r)
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
	n.in = *in;
	if (s->calls_here > 0 && r->bias.rank)
		find_bias(s, &n, r);
	for (int64_t k = s->calls_here; k < s->calls; k++)
		exchange_idle_forward(s->o.exchange);
}

/* x to the host, behind what is there. */
static const float *
fetch(struct step *s, float **to, struct tensor x)
{
	const float *at = *to;

	s->dev->m->download(s->dev, *to, x.data, tensor_bytes(x));
	*to += tensor_count(x);
	return at;
}

void
step_reflex_loss(struct step *s, const struct step_inputs *in, struct tensor x, const struct step_reflex *r, struct tensor loss)
{
	struct dev *d = s->dev;
	float *next = s->reflex, *v = next;
	struct reflex_batch b = { .B = x.dim[0], .rows = DIT_CHANNELS * DIT_ROWS, .T = x.dim[3] };

	if (dev_is_dry(d) || x.data == NULL)
		return;
	b.v = fetch(s, &next, r->v);
	b.x = fetch(s, &next, x);
	b.x0 = fetch(s, &next, in->x0);
	b.bias = s->calls_here > 0 ? fetch(s, &next, r->bias) : NULL;
	b.mask = fetch(s, &next, in->frame_mask);
	b.sigma = fetch(s, &next, in->sigma);
	b.weight = fetch(s, &next, in->weight);
	reflex_loss(&s->o.rollout.reflex, &b, v, next);
	d->m->upload(d, r->v.data, v, tensor_bytes(r->v));
	d->m->upload(d, loss.data, next, tensor_bytes(loss));
}
