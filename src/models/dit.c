/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit.h"

#include "models/dit_parts.h"
#include "models/lyric_encoder.h"
#include "ops/ends.h"
#include "ops/modulate.h"
#include "ops/rows.h"

#include <assert.h>

static void
run_block(struct ctx *c, void *me, int i, struct tensor y, struct tensor x)
{
	struct dit *m = me;
	bool modulation = c->training && (m->block[i].table.train || dit_time_trains(m));

	ctx_block(c, &m->weak, i);
	block_forward(c, &m->block[i], &m->save.block[i], y, x, &m->save.shared, modulation);
	c->tau = 0.f;
}

static enum status
check_weak(const struct weakening *w, int n, const char *what)
{
	if (w->from >= 0 && w->from <= w->to && w->to <= n && w->clip >= 0)
		return ACE_OK;
	return ace_fail(ACE_ECONFIG, "weak queries are wanted in %s %d to %d, and the model has %d", what, w->from, w->to - 1, n);
}

enum status
dit_weaken(struct dit *m, const struct weakening *blocks, const struct weakening *lyric_layers)
{
	ACE_TRY(check_weak(blocks, m->cfg.layers, "blocks"));
	ACE_TRY(check_weak(lyric_layers, m->lyric->n, "layers of the lyric encoder"));
	m->weak = *blocks;
	m->lyric->weak = *lyric_layers;
	return ACE_OK;
}

int
dit_first_block(const struct dit *m)
{
	int i = 0;

	if (dit_patch_trains(m) || dit_tokens_train(m) || dit_time_trains(m))
		return 0;
	while (i < m->cfg.layers && !block_trains(&m->block[i]))
		i++;
	return i;
}

/* Whether projections come between block i and the one above. */
static bool
is_tap(const struct dit *m, int i)
{
	for (int k = 0; k < DIT_TAPS; k++)
		if (m->cfg.tap[k] == i)
			return true;
	return false;
}

static void
run_block_backward(struct ctx *c, void *me, int i, struct tensor dx, struct tensor x)
{
	struct dit *m = me;
	struct block_shared *sh = &m->save.shared;

	dit_projections_backward(c, m, i, dx);
	sh->number = i;
	sh->gated = sh->below.rank > 0;
	sh->below = sh->dz.rank && i > dit_first_block(m) && !is_tap(m, i - 1) ? m->save.block[i - 1].m : (struct tensor){ 0 };
	sh->below_ff = sh->below.rank && !m->stack.hooks.before ? &m->block[i - 1].ff : NULL;
	block_backward(c, &m->block[i], &m->save.block[i], dx, x, sh, dit_patch_trains(m) || i > dit_first_block(m));
}

static void
check(const struct dit *m, struct tensor v, const struct dit_input *in)
{
	int64_t B = v.dim[0], T = v.dim[3];

	assert(v.rank == 4 && v.dtype == F32 && v.dim[1] == DIT_CHANNELS && v.dim[2] == DIT_ROWS && T > 0 && B > 0);
	assert(tensor_same(v, in->latents));
	assert(in->frame_mask.rank == 2 && in->frame_mask.dim[0] == B && in->frame_mask.dim[1] == T);
	assert(in->text.rank == 3 && in->text.dim[0] == B && in->text.dim[2] == m->cfg.text_dim);
	assert(in->text_mask.rank == 2 && in->text_mask.dim[0] == B && in->text_mask.dim[1] == in->text.dim[1]);
	assert(in->speaker.rank == 2 && in->speaker.dim[0] == B && in->speaker.dim[1] == m->cfg.speaker_dim);
	assert(in->lyric_ids.rank == 2 && in->lyric_ids.dtype == I32 && in->lyric_ids.dim[0] == B);
	assert(tensor_same_shape(in->lyric_mask, in->lyric_ids) && in->lyric_mask.dtype == F32);
	assert(in->timestep.dtype == F32 && tensor_count(in->timestep) == B);
}

static struct tensor
one_row(struct tensor e)
{
	return tensor_view(e, 3, e.dim[0], 1, e.dim[1]);
}

enum { FINAL_SHIFT, FINAL_SCALE };

static void
final_forward(struct ctx *c, struct dit *m, struct tensor v)
{
	struct dit_save *s = &m->save;
	struct tensor x = s->x[m->cfg.layers], y, o;
	size_t mark;

	s->final_m = arena_tensor(c->act, F32, 3, x.dim[0], 2, x.dim[2]);
	s->final_r = arena_tensor(c->act, F32, 2, x.dim[0], x.dim[1]);
	mark = arena_mark(c->act);
	y = arena_make(c->act, c->half, x.rank, x.dim);
	o = arena_tensor(c->act, F32, 3, x.dim[0], x.dim[1], linear_out(&m->final));
	modulation_forward(c->dev, s->final_m, m->final_table.value, one_row(s->e));
	rms_modulate_forward(c->dev, y, s->final_r, x, s->final_m, FINAL_SHIFT, FINAL_SCALE);
	linear_forward(c, &m->final, NULL, o, y);
	ends_latents_of_tokens(c->dev, v, o, true);
	arena_release(c->act, mark);
}

/* dx = for dv; de [B, D] += when wanted (rank). */
static void
final_backward(struct ctx *c, struct dit *m, struct tensor dx, struct tensor de, struct tensor dv)
{
	struct dit_save *s = &m->save;
	struct tensor x = s->x[m->cfg.layers], y = { 0 }, o, dm;
	size_t mark = arena_mark(c->act);

	o = arena_tensor(c->act, F32, 3, x.dim[0], x.dim[1], linear_out(&m->final));
	ends_latent_tokens(c->dev, o, dv, true);
	if (linear_wants_x(&m->final)) {
		y = arena_make(c->act, c->half, x.rank, x.dim);
		rms_modulate_forward(c->dev, y, s->final_r, x, s->final_m, FINAL_SHIFT, FINAL_SCALE);
	}
	linear_backward(c, &m->final, NULL, dx, o, y, LINEAR_DX);
	if (m->final_table.train || de.rank) {
		dm = arena_like(c->act, s->final_m);
		rows_fill(c->dev, dm, 0.f);
		rms_modulate_grads(c->dev, dm, dx, x, s->final_r, FINAL_SHIFT, FINAL_SCALE);
		modulation_backward(c->dev, m->final_table.train ? m->final_table.grad : (struct tensor){ 0 },
		                    de.rank ? one_row(de) : de, dm);
	}
	rms_modulate_backward(c->dev, dx, dx, x, s->final_r, s->final_m, FINAL_SCALE, false);
	arena_release(c->act, mark);
}

void
dit_front_begins(struct dit *m, enum dit_front front, bool backward)
{
	if (m->front.before)
		m->front.before(m->front.me, front, backward);
}

void
dit_front_ends(struct dit *m, enum dit_front front, bool backward)
{
	if (m->front.after)
		m->front.after(m->front.me, front, backward);
}

static bool
in_fp8(const struct ctx *c, const struct dit *m)
{
	return c->half != F32 && m->block[0].attn.qkv.turned.rank;
}

/* Of the residual stream and its gradients. Beside what rounding to e4m3 does, that to 16 bits is small (doc/benchmarks.md). */
static enum dtype
stream_type(const struct ctx *c, const struct dit *m)
{
	return in_fp8(c, m) ? c->half : F32;
}

/* Where the blocks' products are in fp8: for rows of the frames. */
static void
place_casts(struct ctx *c, const struct dit *m, int64_t rows, int64_t width)
{
	c->cast = (struct cast_place){ .of = NULL };
	if (in_fp8(c, m))
		linears_cast_place(c, rows, width);
}

void
dit_forward(struct ctx *c, struct dit *m, struct tensor v, const struct dit_input *in)
{
	struct dit_save *s = &m->save;
	size_t mark = arena_mark(c->act);
	int64_t B = v.dim[0], T = v.dim[3];

	check(m, v, in);
	if (dit_prepare(m) != ACE_OK) {
		c->dev->status = ACE_EDEVICE;		/* the message was kept */
		return;
	}
	c->half = dit_half(m);
	params_spread(&m->params, c->dev);
	m->in = in;
	s->shared = (struct block_shared){ .hooks = &m->stack.hooks };
	dit_front_begins(m, DIT_TIME, false);
	dit_time_forward(c, m);
	dit_front_ends(m, DIT_TIME, false);
	s->shared.t = tensor_view(s->tb, 3, B, 6, m->cfg.width);
	dit_front_begins(m, DIT_TOKENS, false);
	dit_tokens_forward(c, m);
	dit_front_ends(m, DIT_TOKENS, false);
	s->x[0] = arena_tensor(c->act, stream_type(c, m), 3, B, T, m->cfg.width);
	dit_patch_forward(c, m, s->x[0]);
	place_casts(c, m, B * T, m->cfg.width);
	m->stack.me = m;
	m->stack.forward = run_block;
	m->stack.backward = run_block_backward;
	stack_forward(c, &m->stack);
	if (in->projections)
		dit_projections_forward(c, m);
	final_forward(c, m, v);
	if (!c->training)
		arena_release(c->act, mark);
}

/* A zeroed gradient like x when it is wanted, else rank 0. */
static struct tensor
wanted(struct ctx *c, struct tensor x, bool want)
{
	struct tensor g = { 0 };

	if (want) {
		g = arena_like(c->act, x);
		rows_fill(c->dev, g, 0.f);
	}
	return g;
}

/* Whether adapters lie around every layer of the blocks' attentions, alike in all. */
static bool
adapters_alike(const struct dit *m)
{
	const struct block *a = m->block;

	for (int i = 0; i < m->cfg.layers; i++) {
		const struct block *b = &m->block[i];
		int64_t r[] = { b->attn.qkv.r, b->attn.o.r, b->cross.qs.r, b->cross.kv.r };
		int64_t first[] = { a->attn.qkv.r, a->attn.o.r, a->cross.qs.r, a->cross.kv.r };
		for (size_t k = 0; k < sizeof r / sizeof *r; k++)
			if (r[k] == 0 || r[k] != first[k])
				return false;
	}
	return true;
}

static bool
outs_alike(const struct dit *m)
{
	for (int i = 0; i < m->cfg.layers; i++)
		if (m->block[i].ff.out.r != m->block[0].ff.out.r)
			return false;
	return true;
}

/* Where gradients outlive their block's pass, so that those of adapters may be made beside the next block's softmax attention, which
 * leaves the memory to them. Not where a block's memory is the next one's, or where somebody waits for a block's gradients. */
static void
late_places(struct ctx *c, struct dit *m, int64_t B, int64_t T)
{
	struct block_shared *sh = &m->save.shared;
	const struct block *b = m->block;

	sh->dz = sh->below = (struct tensor){ 0 };
	m->save.later.n = 0;
	if (c->half != F32 && !m->stack.interval && outs_alike(m))
		linears_output(c, glu_ff_out(&b->ff), B, T, &sh->dz);
	if (c->half == F32 || !b->attn.qkv.r || m->stack.interval)
		return;
	linears_output(c, self_attention_qkv(&b->attn), B, T, sh->late[0].dqkv);
	if (m->stack.hooks.after || !adapters_alike(m)) {
		sh->late[1] = sh->late[0];
		return;
	}
	linears_output(c, self_attention_qkv(&b->attn), B, T, sh->late[1].dqkv);
	for (int i = 0; i < 2; i++) {
		linears_output(c, self_attention_out(&b->attn), B, T, &sh->late[i].dz);
		linears_output(c, cross_attention_q(&b->cross), B, T, &sh->late[i].dq);
		linears_output(c, cross_attention_kv(&b->cross), B, sh->keys.enc.dim[1], sh->late[i].dkv);
	}
	sh->later = &m->save.later;
}

void
dit_backward(struct ctx *c, struct dit *m, const struct dit_input *in, struct tensor dv)
{
	struct dit_save *s = &m->save;
	size_t mark = arena_mark(c->act);
	bool time = dit_time_trains(m), tokens = dit_tokens_train(m);
	struct tensor dx = arena_like(c->act, s->x[0]), de = wanted(c, s->e, time);

	check(m, dv, in);
	assert(c->training);
	c->half = dit_half(m);
	m->in = in;
	s->shared.dt = wanted(c, s->shared.t, time);
	s->shared.denc = wanted(c, tensor_make(NULL, F32, 3, s->shared.keys.enc.dim), tokens);
	final_backward(c, m, dx, de, dv);
	late_places(c, m, dx.dim[0], dx.dim[1]);
	place_casts(c, m, dx.dim[0] * dx.dim[1], 3 * m->cfg.width);	/* of q, k, v side by side */
	stack_backward(c, &m->stack, dx, dit_first_block(m));
	linears_make_later(c, s->shared.later);
	dev_join(c->dev);
	if (dit_patch_trains(m))
		dit_patch_backward(c, m, dx);
	if (time) {
		dit_front_begins(m, DIT_TIME, true);
		dit_time_backward(c, m, de);
		dit_front_ends(m, DIT_TIME, true);
	}
	if (tokens) {
		dit_front_begins(m, DIT_TOKENS, true);
		dit_tokens_backward(c, m);
		dit_front_ends(m, DIT_TOKENS, true);
	}
	arena_release(c->act, mark);
}
