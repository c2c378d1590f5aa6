/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/cross_attention.h"

#include "ops/attend.h"

#include <assert.h>

void
cross_attention_forward(struct ctx *c, const struct cross_attention *l, struct cross_attention_save *s, struct tensor y,
                        struct tensor x, const struct cross_attention_keys *keys)
{
	assert(x.rank == 3 && tensor_same(x, y) && keys->enc.rank == 3);
	s->q = arena_like(c->act, x);
	s->o = arena_like(c->act, x);
	s->k = arena_like(c->act, keys->enc);
	s->v = arena_like(c->act, keys->enc);
	s->lse = arena_tensor(c->act, F32, 3, x.dim[0], x.dim[1], l->heads);
	linear_forward(c, &l->q, &s->q_save, s->q, x);
	linear_forward(c, &l->k, &s->k_save, s->k, keys->enc);
	linear_forward(c, &l->v, &s->v_save, s->v, keys->enc);
	attend_rope(c->dev, s->q, s->q, keys->cs, false);
	attend_rope(c->dev, s->k, s->k, keys->cs, false);
	attend_softmax(c->dev, s->o, s->lse, s->q, s->k, s->v, keys->frame_mask, keys->mask);
	linear_forward(c, &l->out, &s->out_save, y, s->o);
}

static bool
inputs_train(const struct cross_attention *l)
{
	return linear_trains(&l->q) || linear_trains(&l->k) || linear_trains(&l->v);
}

bool
cross_attention_trains(const struct cross_attention *l)
{
	return inputs_train(l) || linear_trains(&l->out);
}

void
cross_attention_backward(struct ctx *c, const struct cross_attention *l, const struct cross_attention_save *s, struct tensor dx,
                         struct tensor denc, struct tensor dy, struct tensor x, const struct cross_attention_keys *keys,
                         bool want_dx, bool want_denc)
{
	size_t mark = arena_mark(c->act);
	struct tensor dout, dq, dk, dv;

	if (!want_dx && !want_denc && !inputs_train(l)) {
		linear_backward(c, &l->out, &s->out_save, dx, dy, s->o, LINEAR_NO_DX);
		return;
	}
	dout = arena_like(c->act, s->o);
	dq = arena_like(c->act, s->q);
	dk = arena_like(c->act, s->k);
	dv = arena_like(c->act, s->v);
	linear_backward(c, &l->out, &s->out_save, dout, dy, s->o, LINEAR_DX);
	attend_softmax_backward(c->dev, dq, dk, dv, dout, s->q, s->k, s->v, s->o, s->lse, keys->frame_mask, keys->mask);
	attend_rope(c->dev, dq, dq, keys->cs, true);
	attend_rope(c->dev, dk, dk, keys->cs, true);
	linear_backward(c, &l->q, &s->q_save, dx, dq, x, want_dx ? LINEAR_DX_ADD : LINEAR_NO_DX);
	linear_backward(c, &l->k, &s->k_save, denc, dk, keys->enc, want_denc ? LINEAR_DX_ADD : LINEAR_NO_DX);
	linear_backward(c, &l->v, &s->v_save, denc, dv, keys->enc, want_denc ? LINEAR_DX_ADD : LINEAR_NO_DX);
	arena_release(c->act, mark);
}
