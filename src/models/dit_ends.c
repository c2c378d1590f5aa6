/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_parts.h"
#include "ops/attend.h"
#include "ops/ends.h"
#include "ops/modulate.h"
#include "ops/quant.h"
#include "ops/rows.h"

#include <string.h>

enum dit_front
dit_front_of(const struct param *p)
{
	static const struct { const char *name; enum dit_front front; } part[] = { { "timestep_embedder.", DIT_TIME }, { "t_block.", DIT_TIME },
		{ "speaker_embedder.", DIT_TOKENS }, { "genre_embedder.", DIT_TOKENS }, { "lyric_", DIT_TOKENS } };

	for (size_t i = 0; i < sizeof part / sizeof *part; i++)
		if (strncmp(p->name, part[i].name, strlen(part[i].name)) == 0)
			return part[i].front;
	return DIT_FRONTS;
}

bool
dit_time_trains(const struct dit *m)
{
	return linear_trains(&m->time1) || linear_trains(&m->time2) || linear_trains(&m->t_block);
}

void
dit_time_forward(struct ctx *c, struct dit *m)
{
	struct dit_save *s = &m->save;
	int64_t B = m->in->timestep.dim[0], D = m->cfg.width;

	s->sinusoid = arena_tensor(c->act, F32, 2, B, linear_in(&m->time1));
	s->time1 = arena_tensor(c->act, F32, 2, B, D);
	s->time1_act = arena_like(c->act, s->time1);
	s->e = arena_like(c->act, s->time1);
	s->e_act = arena_like(c->act, s->time1);
	s->tb = arena_tensor(c->act, F32, 2, B, 6 * D);
	ends_sinusoid(c->dev, s->sinusoid, m->in->timestep);
	linear_forward(c, &m->time1, &s->time1_save, s->time1, s->sinusoid);
	silu_forward(c->dev, s->time1_act, s->time1);
	linear_forward(c, &m->time2, &s->time2_save, s->e, s->time1_act);
	silu_forward(c->dev, s->e_act, s->e);
	linear_forward(c, &m->t_block, &s->t_block, s->tb, s->e_act);
}

void
dit_time_backward(struct ctx *c, struct dit *m, struct tensor de)
{
	struct dit_save *s = &m->save;
	size_t mark = arena_mark(c->act);
	struct tensor h = arena_like(c->act, s->e);
	struct tensor dtb = tensor_view(s->shared.dt, 2, s->tb.dim[0], s->tb.dim[1]);

	linear_backward(c, &m->t_block, &s->t_block, h, dtb, s->e_act, LINEAR_DX);
	silu_backward(c->dev, h, h, s->e);
	rows_axpy(c->dev, de, h, 1.f);
	linear_backward(c, &m->time2, &s->time2_save, h, de, s->time1_act, LINEAR_DX);
	silu_backward(c->dev, h, h, s->time1);
	linear_backward(c, &m->time1, &s->time1_save, h, h, s->sinusoid, LINEAR_NO_DX);
	arena_release(c->act, mark);
}

bool
dit_tokens_train(const struct dit *m)
{
	return linear_trains(&m->speaker) || linear_trains(&m->genre) || linear_trains(&m->lyric_proj) || dit_lyrics_train(m);
}

/* Tokens at .. of enc [B, M, D] = l(x), x [B, n, in] */
static void
embed(struct ctx *c, const struct linear *l, struct tensor enc, struct tensor x, int64_t at)
{
	size_t mark = arena_mark(c->act);
	struct tensor y = arena_tensor(c->act, c->half, 3, x.dim[0], x.dim[1], linear_out(l));

	linear_forward(c, l, NULL, y, x);
	ends_place(c->dev, enc, y, at);
	arena_release(c->act, mark);
}

/* Columns behind each encoder token for the adapters of the blocks' keys and values. */
static int64_t
dit_enc_room(const struct dit *m)
{
	int64_t most = 0;

	for (int64_t i = 0; i < m->cfg.layers; i++)
		if (m->block[i].cross.kv.r > most)
			most = m->block[i].cross.kv.r;
	return most;
}

static struct tensor
column(struct tensor mask)
{
	return tensor_view(mask, 3, mask.dim[0], mask.dim[1], 1);
}

void
dit_tokens_forward(struct ctx *c, struct dit *m)
{
	const struct dit_input *in = m->in;
	struct cross_attention_keys *keys = &m->save.shared.keys;
	int64_t B = in->text.dim[0], S = in->text.dim[1], Y = in->lyric_ids.dim[1], T = in->latents.dim[3];
	int64_t M = 1 + S + Y;
	struct tensor speaker = tensor_view(in->speaker, 3, B, 1, in->speaker.dim[1]);

	keys->enc = arena_tensor(c->act, c->half, 3, B, M, m->cfg.width + dit_enc_room(m));
	if (dit_enc_room(m))
		keys->enc = tensor_columns(keys->enc, 0, m->cfg.width);
	keys->mask = arena_tensor(c->act, F32, 2, B, M);
	keys->frame_mask = in->frame_mask;
	keys->cs = arena_tensor(c->act, F32, 3, 2, T > M ? T : M, m->cfg.head_dim);
	m->save.lyric = arena_tensor(c->act, c->half, 3, B, Y, m->cfg.lyric_dim);
	attend_rope_table(c->dev, keys->cs, (float)m->cfg.rope_theta);
	embed(c, &m->speaker, keys->enc, speaker, 0);
	embed(c, &m->genre, keys->enc, in->text, 1);
	if (Y > 0) {
		dit_lyrics_forward(c, m, m->save.lyric);
		embed(c, &m->lyric_proj, keys->enc, m->save.lyric, 1 + S);
	}
	if (c->half != F32 && m->block[0].cross.kv.turned.rank) {	/* once for all blocks */
		keys->cast.q = arena_tensor(c->act, F8, 2, B * M, m->cfg.width);
		keys->cast.s = arena_tensor(c->act, F32, 1, B * M);
		quant_f8_rows(c->dev, keys->cast.q, keys->cast.s, keys->enc, keys->cast.c);
	}
	rows_fill(c->dev, keys->mask, 1.f);
	if (m->opt.attention_masks) {
		ends_place(c->dev, column(keys->mask), column(in->text_mask), 1);
		ends_place(c->dev, column(keys->mask), column(in->lyric_mask), 1 + S);
	} else {
		keys->frame_mask = arena_like(c->act, in->frame_mask);
		rows_fill(c->dev, keys->frame_mask, 1.f);
	}
}

/* Gradients of l for the tokens at .. of denc. */
static void
embed_backward(struct ctx *c, struct dit *m, const struct linear *l, struct tensor x, int64_t at)
{
	size_t mark = arena_mark(c->act);
	struct tensor dy;

	if (linear_trains(l)) {
		dy = arena_tensor(c->act, c->half, 3, x.dim[0], x.dim[1], linear_out(l));
		ends_take(c->dev, dy, m->save.shared.denc, at);
		linear_backward(c, l, NULL, dy, dy, x, LINEAR_NO_DX);
	}
	arena_release(c->act, mark);
}

void
dit_tokens_backward(struct ctx *c, struct dit *m)
{
	const struct dit_input *in = m->in;
	int64_t B = in->text.dim[0], S = in->text.dim[1], Y = in->lyric_ids.dim[1];
	size_t mark = arena_mark(c->act);
	struct tensor dy, dx;

	embed_backward(c, m, &m->speaker, tensor_view(in->speaker, 3, B, 1, in->speaker.dim[1]), 0);
	embed_backward(c, m, &m->genre, in->text, 1);
	if (Y > 0 && !dit_lyrics_train(m))
		embed_backward(c, m, &m->lyric_proj, m->save.lyric, 1 + S);
	else if (Y > 0) {
		dy = arena_tensor(c->act, c->half, 3, B, Y, m->cfg.width);
		dx = arena_tensor(c->act, F32, 3, B, Y, m->cfg.lyric_dim);
		ends_take(c->dev, dy, m->save.shared.denc, 1 + S);
		linear_backward(c, &m->lyric_proj, NULL, dx, dy, m->save.lyric, LINEAR_DX);
		dit_lyrics_backward(c, m, dx);
	}
	arena_release(c->act, mark);
}

bool
dit_patch_trains(const struct dit *m)
{
	return linear_trains(&m->patch1) || linear_trains(&m->patch2) || m->norm_w.train || m->norm_b.train;
}

void
dit_patch_forward(struct ctx *c, struct dit *m, struct tensor x)
{
	struct dit_save *s = &m->save;
	int64_t B = x.dim[0], T = x.dim[1], C = linear_out(&m->patch1);
	bool keep = c->training && dit_patch_trains(m);
	size_t mark = arena_mark(c->act);

	s->tokens = arena_tensor(c->act, F32, 3, B, T, linear_in(&m->patch1));
	s->conv = arena_tensor(c->act, F32, 3, B, T, C);
	s->stat = arena_tensor(c->act, F32, 3, B, DIT_GROUPS, 2);
	s->norm = keep ? arena_like(c->act, s->conv) : s->conv;
	ends_latent_tokens(c->dev, s->tokens, m->in->latents, false);
	linear_forward(c, &m->patch1, NULL, s->conv, s->tokens);
	ends_group_norm(c->dev, s->norm, s->stat, s->conv, m->norm_w.value, m->norm_b.value, 1e-6f);
	linear_forward(c, &m->patch2, NULL, x, s->norm);
	if (!keep)
		arena_release(c->act, mark);
}

void
dit_patch_backward(struct ctx *c, struct dit *m, struct tensor dx)
{
	struct dit_save *s = &m->save;
	size_t mark = arena_mark(c->act);
	struct tensor dn = arena_like(c->act, s->norm), dw = m->norm_w.grad, db = m->norm_b.grad;

	linear_backward(c, &m->patch2, NULL, dn, dx, s->norm, LINEAR_DX);
	if (!m->norm_w.train || !m->norm_b.train) {	/* adapters alone: the norm's own gradients have no place */
		dw = arena_like(c->act, m->norm_w.value);
		db = arena_like(c->act, m->norm_b.value);
		rows_fill(c->dev, dw, 0.f);
		rows_fill(c->dev, db, 0.f);
	}
	ends_group_norm_backward(c->dev, dn, dw, db, dn, s->conv, s->stat, m->norm_w.value);
	linear_backward(c, &m->patch1, NULL, dn, dn, s->tokens, LINEAR_NO_DX);
	arena_release(c->act, mark);
}
