/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/lyric_layer.h"

#include "ops/lyric.h"
#include "ops/modulate.h"
#include "ops/rows.h"

enum { DROP_ATTN, DROP_HIDDEN, DROP_FF };

static bool
drops(const struct ctx *c, const struct lyric_layer *l)
{
	return c->training && l->dropout > 0.f;
}

static void
drop(struct ctx *c, const struct lyric_layer *l, struct tensor y, struct tensor x, int place, bool add)
{
	rows_dropout(c->dev, y, x, rng_sub(c->rng, l->stream + (uint64_t)place), l->dropout, add);
}

/* y = x + drop(y) */
static void
residual(struct ctx *c, const struct lyric_layer *l, struct tensor y, struct tensor x, int place)
{
	if (drops(c, l))
		drop(c, l, y, y, place, false);
	rows_axpy(c->dev, y, x, 1.f);
}

static void
norm(struct ctx *c, const struct layer_norm *l, struct tensor y, struct tensor stat, struct tensor x)
{
	lyric_layer_norm(c->dev, y, stat, x, l->w.value, l->b.value);
}

/* drop(silu(a)) on top of the arena */
static struct tensor
hidden(struct ctx *c, const struct lyric_layer *l, struct tensor a)
{
	struct tensor h = arena_like(c->act, a);

	silu_forward(c->dev, h, a);
	if (drops(c, l))
		drop(c, l, h, h, DROP_HIDDEN, false);
	return h;
}

struct linears_use
lyric_layer_qkv(const struct lyric_layer *l)
{
	return linears_of(&l->qkv, &l->q, &l->k, &l->v);
}

static struct tensor
half_like(struct ctx *c, struct tensor x)
{
	return arena_make(c->act, c->half, x.rank, x.dim);
}

static void
places(struct ctx *c, const struct lyric_layer *l, struct lyric_layer_save *s, struct tensor x, const struct lyric_shared *sh)
{
	int64_t B = x.dim[0], Y = x.dim[1];

	s->stat1 = arena_tensor(c->act, F32, 2, B * Y, 2);
	s->stat2 = arena_tensor(c->act, F32, 2, B * Y, 2);
	s->x1 = arena_like(c->act, x);
	linears_output(c, lyric_layer_qkv(l), B, Y, s->qkv);
	s->o = half_like(c, x);
	s->lse = arena_tensor(c->act, F32, 3, B, Y, l->bias_u.value.dim[0]);
	s->p = half_like(c, sh->pe);
	s->a = arena_tensor(c->act, c->half, 3, B, Y, linear_out(&l->w1));
}

void
lyric_layer_forward(struct ctx *c, const struct lyric_layer *l, struct lyric_layer_save *s, struct tensor y, struct tensor x,
                    const struct lyric_shared *sh)
{
	/* what has no other place, one after the other */
	struct tensor h = c->half == F32 && y.rank ? y : linears_input(c, lyric_layer_qkv(l), x.dim[0], x.dim[1]), h2 = h;
	struct tensor *qkv = s->qkv;
	size_t mark;

	places(c, l, s, x, sh);
	s->y1 = h;
	norm(c, &l->norm_mha, h, s->stat1, x);
	linears_forward(c, lyric_layer_qkv(l), &s->qkv_save, qkv, h, (struct tensor){ 0 });
	linear_forward(c, &l->pos, &s->pos_save, s->p, sh->pe);
	ctx_weaken(c, qkv[0]);
	lyric_attention(c->dev, s->o, s->lse, qkv[0], qkv[1], qkv[2], s->p, l->bias_u.value, l->bias_v.value, sh->mask);
	linear_forward(c, &l->out, &s->out_save, s->x1, s->o);
	residual(c, l, s->x1, x, DROP_ATTN);

	if (c->half != F32)
		h2 = half_like(c, x);
	norm(c, &l->norm_ff, h2, s->stat2, s->x1);
	linear_forward(c, &l->w1, &s->w1_save, s->a, h2);
	if (!y.rank)
		return;
	mark = arena_mark(c->act);
	linear_forward(c, &l->w2, NULL, y, hidden(c, l, s->a));
	arena_release(c->act, mark);
	residual(c, l, y, s->x1, DROP_FF);
}

static bool
norm_trains(const struct layer_norm *l)
{
	return l->w.train || l->b.train;
}

static bool
inputs_train(const struct lyric_layer *l)
{
	return linears_train(lyric_layer_qkv(l)) || linear_trains(&l->pos) ||
	       l->bias_u.train || l->bias_v.train || norm_trains(&l->norm_mha);
}

bool
lyric_layer_trains(const struct lyric_layer *l)
{
	return inputs_train(l) || linear_trains(&l->out) || linear_trains(&l->w1) || linear_trains(&l->w2) || norm_trains(&l->norm_ff);
}

/* dx += the norm's part of dy when add_dx; its own gradients when they are wanted. */
static void
norm_backward(struct ctx *c, const struct layer_norm *l, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat,
              bool add_dx)
{
	if (norm_trains(l))
		lyric_layer_norm_grads(c->dev, l->w.grad, l->b.grad, dy, x, stat);
	if (add_dx)
		lyric_layer_norm_backward(c->dev, dx, dy, x, stat, l->w.value, true);
}

/* The gradient of a branch behind its dropout: dx itself, or a masked copy on top of the arena. */
static struct tensor
branch(struct ctx *c, const struct lyric_layer *l, struct tensor dx, int place)
{
	struct tensor dz;

	if (!drops(c, l))
		return dx;
	dz = arena_like(c->act, dx);
	drop(c, l, dz, dx, place, false);
	return dz;
}

static void
ff_backward(struct ctx *c, const struct lyric_layer *l, const struct lyric_layer_save *s, struct tensor dx)
{
	size_t mark = arena_mark(c->act);
	struct tensor da = arena_like(c->act, s->a), y = half_like(c, dx), h = { 0 };
	struct tensor dz = branch(c, l, dx, DROP_FF);

	if (linear_wants_x(&l->w2))
		h = hidden(c, l, s->a);
	linear_backward(c, &l->w2, NULL, da, dz, h, LINEAR_DX);
	if (drops(c, l))
		drop(c, l, da, da, DROP_HIDDEN, false);
	silu_backward(c->dev, da, da, s->a);
	if (linear_wants_x(&l->w1))
		norm(c, &l->norm_ff, y, s->stat2, s->x1);
	struct tensor dy = linear_wants_x(&l->w1) ? half_like(c, dx) : y;
	linear_backward(c, &l->w1, &s->w1_save, dy, da, y, LINEAR_DX);
	norm_backward(c, &l->norm_ff, dx, dy, s->x1, s->stat2, true);
	arena_release(c->act, mark);
}

static struct tensor
grad_of(const struct param *p)
{
	return p->train ? p->grad : (struct tensor){ 0 };
}

static void
attention_backward(struct ctx *c, const struct lyric_layer *l, const struct lyric_layer_save *s, struct tensor dx, struct tensor x,
                   const struct lyric_shared *sh, bool want_dx)
{
	size_t mark = arena_mark(c->act);
	enum linear_dx first = want_dx || norm_trains(&l->norm_mha) ? LINEAR_DX : LINEAR_NO_DX;
	struct tensor dz = branch(c, l, dx, DROP_ATTN), dout = half_like(c, x), y = s->y1, dp = { 0 }, d[LINEARS];

	linears_output(c, lyric_layer_qkv(l), x.dim[0], x.dim[1], d);
	linear_backward(c, &l->out, &s->out_save, dout, dz, s->o, LINEAR_DX);
	if (linear_trains(&l->pos)) {
		dp = arena_like(c->act, s->p);
		rows_fill(c->dev, dp, 0.f);
	}
	lyric_attention_backward(c->dev, d[0], d[1], d[2], dp, grad_of(&l->bias_u), grad_of(&l->bias_v), dout, s->qkv[0], s->qkv[1],
	                         s->qkv[2], s->p, l->bias_u.value, l->bias_v.value, s->o, s->lse, sh->mask);
	if (dp.rank)
		linear_backward(c, &l->pos, &s->pos_save, dp, dp, sh->pe, LINEAR_NO_DX);
	if (c->half == F32 && linears_want_x(lyric_layer_qkv(l))) {
		y = arena_like(c->act, x);
		norm(c, &l->norm_mha, y, s->stat1, x);
	}
	linears_backward(c, lyric_layer_qkv(l), &s->qkv_save, dout, d, y, first, false);
	if (first == LINEAR_DX)
		norm_backward(c, &l->norm_mha, dx, dout, x, s->stat1, want_dx);
	dev_join(c->dev);
	arena_release(c->act, mark);
}

void
lyric_layer_backward(struct ctx *c, const struct lyric_layer *l, const struct lyric_layer_save *s, struct tensor dx, struct tensor x,
                     const struct lyric_shared *sh, bool want_dx)
{
	size_t mark = arena_mark(c->act);

	ff_backward(c, l, s, dx);
	if (want_dx || inputs_train(l))
		attention_backward(c, l, s, dx, x, sh, want_dx);
	else if (linear_trains(&l->out))
		linear_backward(c, &l->out, &s->out_save, dx, branch(c, l, dx, DROP_ATTN), s->o, LINEAR_NO_DX);
	arena_release(c->act, mark);
}
