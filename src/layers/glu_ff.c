/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/glu_ff.h"

#include "ops/glu_conv.h"

#include <assert.h>

struct linears_use
glu_ff_in(const struct glu_ff *l)
{
	return linears_of(&l->in, &l->inverted);
}

struct linears_use
glu_ff_out(const struct glu_ff *l)
{
	return linears_of(&l->out, &l->point);
}

/* With 16-bit activations what forward takes is given back at once: an adapter's h is then computed again. */
static const struct linears_save *
kept(const struct ctx *c, const struct glu_ff_save *s)
{
	return c->half == F32 ? &s->in_save : NULL;
}

void
glu_ff_keep(struct ctx *c, const struct glu_ff *l, struct glu_ff_save *s, int64_t B, int64_t T)
{
	linears_output(c, glu_ff_in(l), B, T, &s->a);
}

void
glu_ff_forward(struct ctx *c, const struct glu_ff *l, struct glu_ff_save *s, struct tensor y, struct tensor x)
{
	struct tensor u, none = { 0 };
	size_t mark;

	assert(x.rank == 3 && linear_out(&l->inverted) == 2 * linear_in(&l->point));
	linears_forward(c, glu_ff_in(l), c->half == F32 ? &s->in_save : NULL, &s->a, x, none);
	if (!y.rank)
		return;
	mark = arena_mark(c->act);
	u = linears_input(c, glu_ff_out(l), x.dim[0], x.dim[1]);
	glu_conv_forward(c->dev, u, s->a, l->depth_w.value, l->depth_b.value);
	linears_forward(c, glu_ff_out(l), NULL, &y, u, none);
	arena_release(c->act, mark);
}

bool
glu_ff_trains(const struct glu_ff *l)
{
	return linear_trains(&l->inverted) || linear_trains(&l->point) || l->depth_w.train || l->depth_b.train;
}

void
glu_ff_backward(struct ctx *c, const struct glu_ff *l, const struct glu_ff_save *s, struct tensor dx, struct tensor dy,
                struct tensor x)
{
	size_t mark = arena_mark(c->act);
	int64_t B = s->a.dim[0], T = s->a.dim[1];
	struct tensor da[LINEARS], du = linears_input(c, glu_ff_out(l), B, T), u = { 0 };

	linears_output(c, glu_ff_in(l), B, T, da);
	if (linear_wants_x(&l->point)) {
		u = linears_input(c, glu_ff_out(l), B, T);
		glu_conv_forward(c->dev, u, s->a, l->depth_w.value, l->depth_b.value);
	}
	linears_backward(c, glu_ff_out(l), NULL, du, &dy, u, LINEAR_DX, true);
	if (l->depth_w.train || l->depth_b.train) {
		assert(l->depth_w.train && l->depth_b.train);
		glu_conv_grads(c->dev, l->depth_w.grad, l->depth_b.grad, du, s->a, l->depth_w.value, l->depth_b.value);
	}
	glu_conv_backward(c->dev, da[0], du, s->a, l->depth_w.value, l->depth_b.value);
	linears_backward(c, glu_ff_in(l), kept(c, s), dx, da, x, LINEAR_DX, true);
	dev_join(c->dev);
	arena_release(c->act, mark);
}
