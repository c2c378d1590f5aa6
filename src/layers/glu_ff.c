/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/glu_ff.h"

#include "ops/glu_conv.h"

#include <assert.h>

static struct tensor
gated(struct ctx *c, const struct glu_ff *l, struct tensor a)
{
	return arena_tensor(c->act, F32, 3, a.dim[0], a.dim[1], linear_in(&l->point));
}

void
glu_ff_forward(struct ctx *c, const struct glu_ff *l, struct glu_ff_save *s, struct tensor y, struct tensor x)
{
	struct tensor u;
	size_t mark;

	assert(x.rank == 3 && linear_out(&l->inverted) == 2 * linear_in(&l->point));
	s->a = arena_tensor(c->act, F32, 3, x.dim[0], x.dim[1], linear_out(&l->inverted));
	linear_forward(c, &l->inverted, &s->inverted_save, s->a, x);
	if (!y.rank)
		return;
	mark = arena_mark(c->act);
	u = gated(c, l, s->a);
	glu_conv_forward(c->dev, u, s->a, l->depth_w.value, l->depth_b.value);
	linear_forward(c, &l->point, NULL, y, u);
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
	struct tensor da = arena_like(c->act, s->a), du = gated(c, l, s->a), u = { 0 };

	if (linear_wants_x(&l->point)) {
		u = gated(c, l, s->a);
		glu_conv_forward(c->dev, u, s->a, l->depth_w.value, l->depth_b.value);
	}
	linear_backward(c, &l->point, NULL, du, dy, u, LINEAR_DX);
	if (l->depth_w.train || l->depth_b.train) {
		assert(l->depth_w.train && l->depth_b.train);
		glu_conv_grads(c->dev, l->depth_w.grad, l->depth_b.grad, du, s->a, l->depth_w.value, l->depth_b.value);
	}
	glu_conv_backward(c->dev, da, du, s->a, l->depth_w.value, l->depth_b.value);
	linear_backward(c, &l->inverted, &s->inverted_save, dx, da, x, LINEAR_DX);
	arena_release(c->act, mark);
}
