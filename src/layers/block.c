/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/block.h"

#include "ops/modulate.h"
#include "ops/rows.h"

enum { SHIFT1, SCALE1, GATE1, SHIFT2, SCALE2, GATE2, N_ROWS };

static const struct tensor none;

static struct tensor
per_frame(struct ctx *c, struct tensor x)
{
	return arena_tensor(c->act, F32, 2, x.dim[0], x.dim[1]);
}

static bool
same_type(const struct ctx *c, struct tensor x)
{
	return c->half == x.dtype;
}

/* With F32 activations what has no other place lies in h, one after the other, and is computed again in backward. With 16-bit
 * ones the modulated input and the copy of x1 are kept, as the adapters' gradients want them, and x1 itself is not, unless the stream is
 * of 16 bits too: then there is one. */
static void
places(struct ctx *c, const struct block *l, struct block_save *s, struct tensor y, struct tensor x, struct tensor *h)
{
	int64_t B = x.dim[0], T = x.dim[1];

	s->m = arena_tensor(c->act, F32, 3, B, N_ROWS, x.dim[2]);
	s->r1 = per_frame(c, x);
	s->r2 = per_frame(c, x);
	s->x2 = arena_like(c->act, x);
	if (c->half == F32) {
		s->x1 = s->xh = arena_like(c->act, x);
		s->y1 = *h = y.rank ? y : arena_like(c->act, x);
		return;
	}
	s->xh = linears_input(c, cross_attention_q(&l->cross), B, T);
	s->x1 = same_type(c, x) ? s->xh : y.rank ? y : arena_like(c->act, x);
	s->y1 = linears_input(c, self_attention_qkv(&l->attn), B, T);
}

static struct tensor
half_like(struct ctx *c, struct tensor x)
{
	return arena_make(c->act, c->half, x.rank, x.dim);
}

void
block_forward(struct ctx *c, const struct block *l, struct block_save *s, struct tensor y, struct tensor x,
              const struct block_shared *sh, bool modulation)
{
	bool tail = y.rank > 0 || modulation;
	struct tensor h = none, z;
	size_t mark;

	places(c, l, s, y, x, &h);
	s->attn_out = modulation ? half_like(c, x) : none;
	s->ff_out = modulation ? half_like(c, x) : none;

	cross_attention_begin(c, &l->cross, &s->cross, &sh->keys);
	modulation_forward(c->dev, s->m, l->table.value, sh->t);
	rms_modulate_cast(c->dev, s->y1, s->r1, x, s->m, SHIFT1, SCALE1, linears_cast(c, self_attention_qkv(&l->attn), s->y1, false));
	z = modulation ? s->attn_out : s->xh;
	self_attention_forward(c, &l->attn, &s->attn, z, s->y1, sh->keys.cs, sh->keys.frame_mask);
	gate_add_half(c->dev, s->x1, same_type(c, x) ? none : s->xh, x, z, s->m, GATE1,
	              linears_cast(c, cross_attention_q(&l->cross), s->xh, false));

	cross_attention_forward(c, &l->cross, &s->cross, s->x2, s->xh, s->x1, &sh->keys);

	glu_ff_keep(c, &l->ff, &s->ff, x.dim[0], x.dim[1]);
	mark = arena_mark(c->act);
	if (!h.rank)
		h = linears_input(c, glu_ff_in(&l->ff), x.dim[0], x.dim[1]);
	rms_modulate_cast(c->dev, h, s->r2, s->x2, s->m, SHIFT2, SCALE2, linears_cast(c, glu_ff_in(&l->ff), h, false));
	z = modulation ? s->ff_out : h;
	glu_ff_forward(c, &l->ff, &s->ff, tail ? z : none, h);
	if (y.rank)
		gate_add(c->dev, y, s->x2, z, s->m, GATE2);
	if (c->half != F32)
		arena_release(c->act, mark);
}

bool
block_trains(const struct block *l)
{
	return l->table.train || self_attention_trains(&l->attn) || cross_attention_trains(&l->cross) || glu_ff_trains(&l->ff);
}

/* The feed-forward and its residual. dxh: rank 0, or what dx ends as in dxh's type; where that is dx's, dx itself stays as it was. */
static void
ff_backward(struct ctx *c, const struct block *l, const struct block_save *s, struct tensor dx, struct tensor dxh, struct tensor dm,
            const struct block_shared *sh)
{
	size_t mark = arena_mark(c->act);
	struct tensor y = none, h, dz = sh->dz;
	struct f8_cast cast;

	if (!sh->gated)
		linears_output(c, glu_ff_out(&l->ff), dx.dim[0], dx.dim[1], &dz);
	h = dz.ld || sh->gated ? half_like(c, dx) : dz;
	if (dm.rank)
		gate_grads(c->dev, dm, dx, s->ff_out, GATE2);
	if (linear_wants_x(&l->ff.inverted)) {
		y = linears_input(c, glu_ff_in(&l->ff), dx.dim[0], dx.dim[1]);
		rms_modulate_forward(c->dev, y, s->r2, s->x2, s->m, SHIFT2, SCALE2);
	}
	if (!sh->gated)
		gate_backward_cast(c->dev, dz, dx, s->m, GATE2, linears_cast(c, glu_ff_out(&l->ff), dz, true));
	glu_ff_backward(c, &l->ff, &s->ff, h, dz, y);
	if (dm.rank)
		rms_modulate_grads(c->dev, dm, h, s->x2, s->r2, SHIFT2, SCALE2);
	cast = linears_cast(c, cross_attention_out(&l->cross), dxh, true);
	if (dxh.rank && same_type(c, dx))
		rms_modulate_backward_half(c->dev, dxh, none, dx, h, s->x2, s->r2, s->m, SCALE2, none, 0, cast);
	else
		rms_modulate_backward_half(c->dev, dx, dxh, dx, h, s->x2, s->r2, s->m, SCALE2, none, 0, cast);
	arena_release(c->act, mark);
}

static void
attn_backward(struct ctx *c, const struct block *l, const struct block_save *s, struct tensor dx, struct tensor x,
              struct tensor dm, const struct block_shared *sh, bool want_dx)
{
	size_t mark = arena_mark(c->act);
	bool want_dy = want_dx || dm.rank;
	const struct block_late *at = &sh->late[sh->number % 2];
	const struct tensor *late = NULL;
	struct tensor y = s->y1, h, dz = at->dz;

	if (!sh->later)
		linears_output(c, self_attention_out(&l->attn), dx.dim[0], dx.dim[1], &dz);
	h = dz.ld ? half_like(c, dx) : dz;
	if (dm.rank)
		gate_grads(c->dev, dm, dx, s->attn_out, GATE1);
	if (c->half == F32 && self_attention_wants_x(&l->attn)) {
		y = arena_like(c->act, x);
		rms_modulate_forward(c->dev, y, s->r1, x, s->m, SHIFT1, SCALE1);
	}
	gate_backward_cast(c->dev, dz, dx, s->m, GATE1, linears_cast(c, self_attention_out(&l->attn), dz, true));
	if (at->dqkv[0].rank && tensor_ld(at->dqkv[0]) == l->attn.qkv.out + l->attn.qkv.r)
		late = at->dqkv;
	self_attention_backward(c, &l->attn, &s->attn, h, dz, y, sh->keys.cs, sh->keys.frame_mask, want_dy, late, sh->later);
	if (dm.rank)
		rms_modulate_grads(c->dev, dm, h, x, s->r1, SHIFT1, SCALE1);
	if (want_dx && sh->below.rank)
		rms_modulate_backward_half(c->dev, dx, sh->dz, dx, h, x, s->r1, s->m, SCALE1, sh->below, GATE2,
		                           sh->below_ff ? linears_cast(c, glu_ff_out(sh->below_ff), sh->dz, true) : (struct f8_cast){ 0 });
	else if (want_dx)
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
	struct cross_attention_late late = { .later = sh->later };
	struct tensor dm = none, dxh = none;

	if (sh->later) {
		const struct block_late *at = &sh->late[sh->number % 2];
		late = (struct cross_attention_late){ at->dq, { at->dkv[0], at->dkv[1] }, sh->later };
	}
	if (modulation) {
		dm = arena_like(c->act, s->m);
		rows_fill(c->dev, dm, 0.f);
	}
	if (c->half != F32)
		linears_output(c, cross_attention_out(&l->cross), dx.dim[0], dx.dim[1], &dxh);
	ff_backward(c, l, s, dx, dxh, dm, sh);
	if (sh->hooks && sh->hooks->within)
		sh->hooks->within(sh->hooks->me, sh->number);
	cross_attention_backward(c, &l->cross, &s->cross, dx, sh->denc, dxh.rank ? dxh : dx, s->xh, &sh->keys, want_attn,
	                         sh->denc.rank > 0, &late);
	if (want_attn)
		attn_backward(c, l, s, dx, x, dm, sh, want_dx);
	if (modulation)
		modulation_backward(c->dev, l->table.train ? l->table.grad : none, sh->dt, dm);
	if (!want_attn)
		dev_join(c->dev);
	arena_release(c->act, mark);
}
