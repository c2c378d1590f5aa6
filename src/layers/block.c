/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/block.h"

#include "ops/modulate.h"
#include "ops/rows.h"

enum { SHIFT1, SCALE1, GATE1, SHIFT2, SCALE2, GATE2, N_ROWS };

static struct tensor
per_frame(struct ctx *c, struct tensor x)
{
	return arena_tensor(c->act, F32, 2, x.dim[0], x.dim[1]);
}

void
block_forward(struct ctx *c, const struct block *l, struct block_save *s, struct tensor y, struct tensor x,
              const struct block_shared *sh, bool modulation)
{
	bool tail = y.rank > 0 || modulation;
	struct tensor h = y.rank ? y : arena_like(c->act, x);	/* what has no other place, one after the other */

	s->m = arena_tensor(c->act, F32, 3, x.dim[0], N_ROWS, x.dim[2]);
	s->r1 = per_frame(c, x);
	s->r2 = per_frame(c, x);
	s->x1 = arena_like(c->act, x);
	s->x2 = arena_like(c->act, x);
	s->attn_out = modulation ? arena_like(c->act, x) : (struct tensor){ 0 };
	s->ff_out = modulation ? arena_like(c->act, x) : (struct tensor){ 0 };

	modulation_forward(c->dev, s->m, l->table.value, sh->t);
	rms_modulate_forward(c->dev, h, s->r1, x, s->m, SHIFT1, SCALE1);
	struct tensor z = modulation ? s->attn_out : s->x1;
	self_attention_forward(c, &l->attn, &s->attn, z, h, sh->keys.cs, sh->keys.frame_mask);
	gate_add(c->dev, s->x1, x, z, s->m, GATE1);

	cross_attention_forward(c, &l->cross, &s->cross, s->x2, s->x1, &sh->keys);
	rows_axpy(c->dev, s->x2, s->x1, 1.f);

	rms_modulate_forward(c->dev, h, s->r2, s->x2, s->m, SHIFT2, SCALE2);
	z = modulation ? s->ff_out : h;
	glu_ff_forward(c, &l->ff, &s->ff, tail ? z : (struct tensor){ 0 }, h);
	if (y.rank)
		gate_add(c->dev, y, s->x2, z, s->m, GATE2);
}

bool
block_trains(const struct block *l)
{
	return l->table.train || self_attention_trains(&l->attn) || cross_attention_trains(&l->cross) || glu_ff_trains(&l->ff);
}

/* The feed-forward and its residual; h is scratch like x. */
static void
ff_backward(struct ctx *c, const struct block *l, const struct block_save *s, struct tensor dx, struct tensor dm, struct tensor h)
{
	size_t mark = arena_mark(c->act);
	struct tensor y = { 0 };

	if (dm.rank)
		gate_grads(c->dev, dm, dx, s->ff_out, GATE2);
	if (linear_wants_x(&l->ff.inverted)) {
		y = arena_like(c->act, dx);
		rms_modulate_forward(c->dev, y, s->r2, s->x2, s->m, SHIFT2, SCALE2);
	}
	gate_backward(c->dev, h, dx, s->m, GATE2);
	glu_ff_backward(c, &l->ff, &s->ff, h, h, y);
	if (dm.rank)
		rms_modulate_grads(c->dev, dm, h, s->x2, s->r2, SHIFT2, SCALE2);
	rms_modulate_backward(c->dev, dx, h, s->x2, s->r2, s->m, SCALE2, true);
	arena_release(c->act, mark);
}

static void
attn_backward(struct ctx *c, const struct block *l, const struct block_save *s, struct tensor dx, struct tensor x,
              struct tensor dm, struct tensor h, const struct block_shared *sh, bool want_dx)
{
	size_t mark = arena_mark(c->act);
	bool want_dy = want_dx || dm.rank;
	struct tensor y = { 0 };

	if (dm.rank)
		gate_grads(c->dev, dm, dx, s->attn_out, GATE1);
	if (self_attention_wants_x(&l->attn)) {
		y = arena_like(c->act, x);
		rms_modulate_forward(c->dev, y, s->r1, x, s->m, SHIFT1, SCALE1);
	}
	gate_backward(c->dev, h, dx, s->m, GATE1);
	self_attention_backward(c, &l->attn, &s->attn, h, h, y, sh->keys.cs, sh->keys.frame_mask, want_dy);
	if (dm.rank)
		rms_modulate_grads(c->dev, dm, h, x, s->r1, SHIFT1, SCALE1);
	if (want_dx)
		rms_modulate_backward(c->dev, dx, h, x, s->r1, s->m, SCALE1, true);
	arena_release(c->act, mark);
}

void
block_backward(struct ctx *c, const struct block *l, const struct block_save *s, struct tensor dx, struct tensor x,
               const struct block_shared *sh, bool want_dx)
{
	bool modulation = l->table.train || sh->dt.rank > 0;
	bool want_attn = want_dx || modulation || self_attention_trains(&l->attn);
	size_t mark = arena_mark(c->act);
	struct tensor h = arena_like(c->act, x), dm = { 0 };

	if (modulation) {
		dm = arena_like(c->act, s->m);
		rows_fill(c->dev, dm, 0.f);
	}
	ff_backward(c, l, s, dx, dm, h);
	cross_attention_backward(c, &l->cross, &s->cross, dx, sh->denc, dx, s->x1, &sh->keys, want_attn, sh->denc.rank > 0);
	if (want_attn)
		attn_backward(c, l, s, dx, x, dm, h, sh, want_dx);
	if (modulation)
		modulation_backward(c->dev, l->table.train ? l->table.grad : (struct tensor){ 0 }, sh->dt, dm);
	arena_release(c->act, mark);
}
