/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/self_attention.h"

#include "ops/attend.h"

#include <assert.h>

struct linears_use
self_attention_qkv(const struct self_attention *l)
{
	return linears_of(&l->qkv, &l->q, &l->k, &l->v);
}

struct linears_use
self_attention_out(const struct self_attention *l)
{
	return linears_of(&l->o, &l->out);
}

void
self_attention_forward(struct ctx *c, const struct self_attention *l, struct self_attention_save *s, struct tensor y,
                       struct tensor x, struct tensor cs, struct tensor mask)
{
	int64_t B = x.dim[0], T = x.dim[1];
	struct tensor *qkv = s->qkv;

	assert(x.rank == 3 && tensor_same_shape(x, y));
	linears_output(c, self_attention_qkv(l), B, T, qkv);
	s->o = linears_input(c, self_attention_out(l), B, T);
	s->den = arena_tensor(c->act, F32, 3, B, T, l->heads);
	linears_forward(c, self_attention_qkv(l), &s->qkv_save, qkv, x, (struct tensor){ 0 });
	ctx_weaken(c, qkv[0]);
	attend_qkv_ready(c->dev, qkv[0], qkv[1], qkv[2], cs, mask);
	attend_linear(c->dev, s->o, s->den, qkv[0], qkv[1], qkv[2]);
	linears_forward(c, self_attention_out(l), &s->out_save, &y, s->o, (struct tensor){ 0 });
}

bool
self_attention_wants_x(const struct self_attention *l)
{
	return linears_want_x(self_attention_qkv(l));
}

bool
self_attention_trains(const struct self_attention *l)
{
	return linears_train(self_attention_qkv(l)) || linear_trains(&l->out);
}

void
self_attention_backward(struct ctx *c, const struct self_attention *l, const struct self_attention_save *s, struct tensor dx,
                        struct tensor dy, struct tensor x, struct tensor cs, struct tensor mask, bool want_dx,
                        const struct tensor *late, struct linears_later *later)
{
	struct linears_use out = self_attention_out(l), in = self_attention_qkv(l);
	size_t mark = arena_mark(c->act);
	const struct tensor *qkv = s->qkv;
	int64_t B = s->o.dim[0], T = s->o.dim[1];
	struct tensor dout, d[LINEARS];
	struct f8_cast cast = { .q = { 0 } };

	if (!want_dx && !linears_train(in)) {
		linears_backward(c, out, &s->out_save, dx, &dy, s->o, LINEAR_NO_DX, false);
		dev_join(c->dev);
		return;
	}
	out.later = in.later = later;
	dout = linears_input(c, out, B, T);	/* like o, whose rows may have room behind them */
	if (late)
		for (int i = 0; i < LINEARS; i++)
			d[i] = late[i];
	else
		linears_output(c, in, B, T, d);
	linears_backward(c, out, &s->out_save, dout, &dy, s->o, LINEAR_DX, false);
	attend_linear_backward(c->dev, d[0], d[1], d[2], dout, qkv[0], qkv[1], qkv[2], s->o, s->den);
	if (want_dx)
		cast = linears_cast(c, in, d[0], true);
	attend_qkv_ready_backward(c->dev, d[0], d[1], d[2], qkv[0], qkv[1], cs, mask, cast);
	if (late)
		dev_join(c->dev);
	linears_backward(c, in, &s->qkv_save, dx, d, x, want_dx ? LINEAR_DX : LINEAR_NO_DX, false);
	if (!late)
		dev_join(c->dev);
	arena_release(c->act, mark);
}
