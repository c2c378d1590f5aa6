/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/cross_attention.h"

#include "ops/attend.h"

#include <assert.h>

struct linears_use
cross_attention_q(const struct cross_attention *l)
{
	return linears_of(&l->qs, &l->q);
}

struct linears_use
cross_attention_kv(const struct cross_attention *l)
{
	return linears_of(&l->kv, &l->k, &l->v);
}

struct linears_use
cross_attention_out(const struct cross_attention *l)
{
	return linears_of(&l->o, &l->out);
}

void
cross_attention_begin(struct ctx *c, const struct cross_attention *l, struct cross_attention_save *s,
                      const struct cross_attention_keys *keys)
{
	struct linears_use u = cross_attention_kv(l);

	u.cast = keys->cast;
	linears_output(c, u, keys->enc.dim[0], keys->enc.dim[1], s->kv);
	linears_forward_beside(c, u, &s->kv_save, s->kv, keys->enc);
}

void
cross_attention_forward(struct ctx *c, const struct cross_attention *l, struct cross_attention_save *s, struct tensor y,
                        struct tensor x, struct tensor add, const struct cross_attention_keys *keys)
{
	int64_t B = x.dim[0], T = x.dim[1];
	struct tensor none = { 0 };

	assert(x.rank == 3 && tensor_same_shape(x, y) && keys->enc.rank == 3);
	linears_output(c, cross_attention_q(l), B, T, &s->q);
	s->o = linears_input(c, cross_attention_out(l), B, T);
	s->lse = arena_tensor(c->act, F32, 3, B, T, l->heads);
	linears_forward(c, cross_attention_q(l), &s->q_save, &s->q, x, none);
	ctx_weaken(c, s->q);
	dev_join(c->dev);
	attend_rope_both(c->dev, s->q, s->kv[0], keys->cs, false);
	attend_softmax(c->dev, s->o, s->lse, s->q, s->kv[0], s->kv[1], keys->frame_mask, keys->mask);
	linears_forward(c, cross_attention_out(l), &s->out_save, &y, s->o, add);
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
                         bool want_dx, bool want_denc, const struct cross_attention_late *late)
{
	int64_t B = s->o.dim[0], T = s->o.dim[1], M = keys->enc.dim[1];
	struct linears_use q = cross_attention_q(l), kv = cross_attention_kv(l);
	struct tensor dout, dq, d[LINEARS];

	if (!want_dx && !want_denc && !inputs_train(l)) {
		linears_backward(c, cross_attention_out(l), &s->out_save, dx, &dy, s->o, LINEAR_NO_DX, false);
		return;
	}
	dout = linears_input(c, cross_attention_out(l), B, T);	/* like o, whose rows may have room behind them */
	if (late->later && late->dq.rank) {
		q.later = late->later;
		dq = late->dq;
	} else {
		linears_output(c, q, B, T, &dq);
	}
	if (late->later && late->dkv[0].rank) {
		kv.later = late->later;
		for (int i = 0; i < kv.n; i++)
			d[i] = late->dkv[i];
	} else {
		linears_output(c, kv, B, M, d);
	}
	linears_backward(c, cross_attention_out(l), &s->out_save, dout, &dy, s->o, LINEAR_DX, false);
	linears_make_later(c, late->later);
	attend_softmax_backward(c->dev, dq, d[0], d[1], dout, s->q, s->kv[0], s->kv[1], s->o, s->lse, keys->frame_mask, keys->mask);
	attend_rope_both(c->dev, dq, d[0], keys->cs, true);
	linears_backward_beside(c, kv, &s->kv_save, denc, d, keys->enc, want_denc ? LINEAR_DX_ADD : LINEAR_NO_DX, true);
	if (dx.dtype == dy.dtype)
		q.onto = dy;
	linears_backward(c, q, &s->q_save, dx, &dq, x, want_dx ? LINEAR_DX_ADD : LINEAR_NO_DX, false);
}
