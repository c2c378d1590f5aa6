/* SPDX-License-Identifier: Apache-2.0 */
#include "models/lyric_encoder.h"

#include "ops/lyric.h"
#include "ops/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DROP_EMBEDDED, DROP_SCALED, DROP_POSITIONS, DROP_LAYERS = 16, PER_LAYER = 4 };

static enum status
open_norm(struct params *ps, struct layer_norm *l, const char *name, int64_t E)
{
	char full[96];

	snprintf(full, sizeof full, "%s.weight", name);
	ACE_TRY(params_tensor(ps, &l->w, full, false, 1, params_dims(E)));
	snprintf(full, sizeof full, "%s.bias", name);
	return params_tensor(ps, &l->b, full, false, 1, params_dims(E));
}

static enum status
open_layer(struct lyric_encoder *m, struct params *ps, int i)
{
	struct lyric_layer *l = &m->layer[i];
	const struct {
		const char *name;
		struct linear *l;
		bool bias;
	} square[] = { { "linear_q", &l->q, true }, { "linear_k", &l->k, true }, { "linear_v", &l->v, true },
		{ "linear_out", &l->out, true }, { "linear_pos", &l->pos, false } };
	int64_t E = m->width, heads[TENSOR_RANK], wide[TENSOR_RANK];
	char name[96];

#define NAME(text) (snprintf(name, sizeof name, "lyric_encoder.encoders.%d.%s", i, text), name)
	for (size_t k = 0; k < sizeof square / sizeof *square; k++) {
		char part[32];
		snprintf(part, sizeof part, "self_attn.%s", square[k].name);
		ACE_TRY(params_linear(ps, square[k].l, NAME(part), square[k].bias, 2, params_dims(E, E)));
	}
	ACE_TRY(params_shape(ps, NAME("self_attn.pos_bias_u"), 2, heads));
	if (heads[0] < 1 || heads[1] < 1 || heads[0] > E || heads[1] > E || heads[0] * heads[1] != E)
		return ace_fail(ACE_EDATA, "%s: %s is [%lld, %lld], wanted heads and their size, %lld together", ps->w->path, name,
		                (long long)heads[0], (long long)heads[1], (long long)E);
	ACE_TRY(params_tensor(ps, &l->bias_u, NAME("self_attn.pos_bias_u"), false, 2, heads));
	ACE_TRY(params_tensor(ps, &l->bias_v, NAME("self_attn.pos_bias_v"), false, 2, heads));
	ACE_TRY(params_shape(ps, NAME("feed_forward.w_1.weight"), 2, wide));
	if (wide[0] < 1)
		return ace_fail(ACE_EDATA, "%s: %s has no rows", ps->w->path, name);
	ACE_TRY(params_linear(ps, &l->w1, NAME("feed_forward.w_1"), true, 2, params_dims(wide[0], E)));
	ACE_TRY(params_linear(ps, &l->w2, NAME("feed_forward.w_2"), true, 2, params_dims(E, wide[0])));
	ACE_TRY(open_norm(ps, &l->norm_ff, NAME("norm_ff"), E));
	ACE_TRY(open_norm(ps, &l->norm_mha, NAME("norm_mha"), E));
#undef NAME
	l->dropout = m->dropout;
	l->stream = LYRIC_STREAM + DROP_LAYERS + (uint64_t)i * PER_LAYER;
	return ACE_OK;
}

static int
count_layers(const struct params *ps)
{
	char name[96];
	int n = 0;

	for (;; n++) {
		snprintf(name, sizeof name, "lyric_encoder.encoders.%d.norm_mha.weight", n);
		if (!params_has(ps, name))
			return n;
	}
}

enum status
lyric_encoder_open(struct lyric_encoder *m, struct params *ps, int64_t vocab, int64_t width, float dropout, int interval)
{
	*m = (struct lyric_encoder){ .width = width, .dropout = dropout, .n = count_layers(ps) };
	if (m->n == 0)
		return ace_fail(ACE_EDATA, "%s: no layers lyric_encoder.encoders", ps->w->path);
	m->layer = calloc((size_t)m->n, sizeof *m->layer);
	m->save = calloc((size_t)m->n, sizeof *m->save);
	m->x = calloc((size_t)m->n + 1, sizeof *m->x);
	if (!m->layer || !m->save || !m->x)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %d lyric encoder layers", ps->w->path, m->n);
	m->stack = (struct stack){ .n = m->n, .interval = interval, .x = m->x };
	ACE_TRY(params_tensor(ps, &m->embs, "lyric_embs.weight", true, 2, params_dims(vocab, width)));
	ACE_TRY(params_linear(ps, &m->embed, "lyric_encoder.embed.out.0", true, 2, params_dims(width, width)));
	ACE_TRY(open_norm(ps, &m->embed_norm, "lyric_encoder.embed.out.1", width));
	for (int i = 0; i < m->n; i++)
		ACE_TRY(open_layer(m, ps, i));
	return open_norm(ps, &m->after_norm, "lyric_encoder.after_norm", width);
}

void
lyric_encoder_close(struct lyric_encoder *m)
{
	if (!m)
		return;
	free(m->layer);
	free(m->save);
	free(m->x);
	*m = (struct lyric_encoder){ 0 };
}

static void
run_layer(struct ctx *c, void *me, int i, struct tensor y, struct tensor x)
{
	struct lyric_encoder *m = me;

	ctx_block(c, &m->weak, i);
	lyric_layer_forward(c, &m->layer[i], &m->save[i], y, x, &m->shared);
	c->tau = 0.f;
}

static bool
norm_trains(const struct layer_norm *l)
{
	return l->w.train || l->b.train;
}

/* Whether anything before the layers trains. */
static bool
front_trains(const struct lyric_encoder *m)
{
	return m->embs.train || linear_trains(&m->embed) || norm_trains(&m->embed_norm);
}

static int
first_layer(const struct lyric_encoder *m)
{
	int i = 0;

	if (front_trains(m))
		return 0;
	while (i < m->n && !lyric_layer_trains(&m->layer[i]))
		i++;
	return i;
}

bool
lyric_encoder_trains(const struct lyric_encoder *m)
{
	return first_layer(m) < m->n || norm_trains(&m->after_norm);
}

static void
run_layer_backward(struct ctx *c, void *me, int i, struct tensor dx, struct tensor x)
{
	struct lyric_encoder *m = me;

	lyric_layer_backward(c, &m->layer[i], &m->save[i], dx, x, &m->shared, front_trains(m) || i > first_layer(m));
}

static void
drop(struct ctx *c, const struct lyric_encoder *m, struct tensor x, int place)
{
	if (c->training && m->dropout > 0.f)
		rows_dropout(c->dev, x, x, rng_sub(c->rng, LYRIC_STREAM + (uint64_t)place), m->dropout, false);
}

/* x[0] from the ids. The dropped norm is not kept: its mask is drawn again. */
static void
embed(struct ctx *c, struct lyric_encoder *m, struct tensor x)
{
	lyric_embedding(c->dev, m->tokens, m->embs.value, m->ids);
	linear_forward(c, &m->embed, NULL, m->embedded, m->tokens);
	lyric_layer_norm(c->dev, x, m->embed_stat, m->embedded, m->embed_norm.w.value, m->embed_norm.b.value);
	drop(c, m, x, DROP_EMBEDDED);
	rows_scale(c->dev, x, x, sqrtf((float)m->width));
	drop(c, m, x, DROP_SCALED);
}

/* The table is made in F32 whatever it is stored in. */
static void
positions(struct ctx *c, struct lyric_encoder *m, int64_t Y)
{
	size_t mark = arena_mark(c->act);
	struct tensor pe = c->half == F32 ? m->shared.pe : arena_tensor(c->act, F32, 2, 2 * Y - 1, m->width);

	lyric_positions(c->dev, pe);
	drop(c, m, pe, DROP_POSITIONS);
	if (c->half != F32)
		rows_copy(c->dev, m->shared.pe, pe);
	arena_release(c->act, mark);
}

void
lyric_encoder_forward(struct ctx *c, struct lyric_encoder *m, struct tensor y, struct tensor ids, struct tensor mask)
{
	int64_t B = ids.dim[0], Y = ids.dim[1];
	size_t mark = arena_mark(c->act);

	m->ids = ids;
	m->shared.mask = mask;
	m->shared.pe = arena_tensor(c->act, c->half, 2, 2 * Y - 1, m->width);
	m->x[0] = arena_tensor(c->act, F32, 3, B, Y, m->width);
	m->tokens = arena_like(c->act, m->x[0]);
	m->embedded = arena_like(c->act, m->x[0]);
	m->embed_stat = arena_tensor(c->act, F32, 2, B * Y, 2);
	m->after_stat = arena_tensor(c->act, F32, 2, B * Y, 2);
	positions(c, m, Y);
	embed(c, m, m->x[0]);
	m->stack.me = m;
	m->stack.forward = run_layer;
	m->stack.backward = run_layer_backward;
	stack_forward(c, &m->stack);
	lyric_layer_norm(c->dev, y, m->after_stat, m->x[m->n], m->after_norm.w.value, m->after_norm.b.value);
	if (!c->training)
		arena_release(c->act, mark);
}

static void
embed_backward(struct ctx *c, struct lyric_encoder *m, struct tensor dx)
{
	size_t mark = arena_mark(c->act);
	struct tensor dt = arena_like(c->act, dx);

	drop(c, m, dx, DROP_SCALED);
	rows_scale(c->dev, dx, dx, sqrtf((float)m->width));
	drop(c, m, dx, DROP_EMBEDDED);
	if (norm_trains(&m->embed_norm))
		lyric_layer_norm_grads(c->dev, m->embed_norm.w.grad, m->embed_norm.b.grad, dx, m->embedded, m->embed_stat);
	lyric_layer_norm_backward(c->dev, dx, dx, m->embedded, m->embed_stat, m->embed_norm.w.value, false);
	linear_backward(c, &m->embed, NULL, dt, dx, m->tokens, m->embs.train ? LINEAR_DX : LINEAR_NO_DX);
	if (m->embs.train)
		lyric_embedding_backward(c->dev, m->embs.grad, dt, m->ids);
	arena_release(c->act, mark);
}

void
lyric_encoder_backward(struct ctx *c, struct lyric_encoder *m, struct tensor dy)
{
	struct tensor x = m->x[m->n];

	if (norm_trains(&m->after_norm))
		lyric_layer_norm_grads(c->dev, m->after_norm.w.grad, m->after_norm.b.grad, dy, x, m->after_stat);
	lyric_layer_norm_backward(c->dev, dy, dy, x, m->after_stat, m->after_norm.w.value, false);
	stack_backward(c, &m->stack, dy, first_layer(m));
	if (front_trains(m))
		embed_backward(c, m, dy);
}
