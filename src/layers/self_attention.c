/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/self_attention.h"

#include "ops/attend.h"

#include <assert.h>

void
self_attention_forward(struct ctx *c, const struct self_attention *l, struct self_attention_save *s, struct tensor y,
                       struct tensor x, struct tensor cs, struct tensor mask)
{
	assert(x.rank == 3 && tensor_same(x, y));
	s->q = arena_like(c->act, x);
	s->k = arena_like(c->act, x);
	s->v = arena_like(c->act, x);
	s->o = arena_like(c->act, x);
	s->den = arena_tensor(c->act, F32, 3, x.dim[0], x.dim[1], l->heads);
	linear_forward(c, &l->q, &s->q_save, s->q, x);
	linear_forward(c, &l->k, &s->k_save, s->k, x);
	linear_forward(c, &l->v, &s->v_save, s->v, x);
	attend_rope_relu(c->dev, s->q, s->q, cs, mask);
	attend_rope_relu(c->dev, s->k, s->k, cs, mask);
	attend_mask_rows(c->dev, s->v, s->v, mask);
	attend_linear(c->dev, s->o, s->den, s->q, s->k, s->v);
	linear_forward(c, &l->out, &s->out_save, y, s->o);
}

bool
self_attention_wants_x(const struct self_attention *l)
{
	return linear_wants_x(&l->q) || linear_wants_x(&l->k) || linear_wants_x(&l->v);
}

static bool
inputs_train(const struct self_attention *l)
{
	return linear_trains(&l->q) || linear_trains(&l->k) || linear_trains(&l->v);
}

bool
self_attention_trains(const struct self_attention *l)
{
	return inputs_train(l) || linear_trains(&l->out);
}

void
self_attention_backward(struct ctx *c, const struct self_attention *l, const struct self_attention_save *s, struct tensor dx,
                        struct tensor dy, struct tensor x, struct tensor cs, struct tensor mask, bool want_dx)
{
	bool deeper = want_dx || inputs_train(l);
	size_t mark = arena_mark(c->act);
	struct tensor dout, dq, dk, dv;

	if (!deeper) {
		linear_backward(c, &l->out, &s->out_save, dx, dy, s->o, LINEAR_NO_DX);
		return;
	}
	dout = arena_like(c->act, s->o);
	dq = arena_like(c->act, s->q);
	dk = arena_like(c->act, s->k);
	dv = arena_like(c->act, s->v);
	linear_backward(c, &l->out, &s->out_save, dout, dy, s->o, LINEAR_DX);
	attend_linear_backward(c->dev, dq, dk, dv, dout, s->q, s->k, s->v, s->o, s->den);
	attend_rope_relu_backward(c->dev, dq, dq, s->q, cs, mask);
	attend_rope_relu_backward(c->dev, dk, dk, s->k, cs, mask);
	attend_mask_rows(c->dev, dv, dv, mask);
	linear_backward(c, &l->q, &s->q_save, dx, dq, x, want_dx ? LINEAR_DX : LINEAR_NO_DX);
	linear_backward(c, &l->k, &s->k_save, dx, dk, x, want_dx ? LINEAR_DX_ADD : LINEAR_NO_DX);
	linear_backward(c, &l->v, &s->v_save, dx, dv, x, want_dx ? LINEAR_DX_ADD : LINEAR_NO_DX);
	arena_release(c->act, mark);
}
