/* SPDX-License-Identifier: Apache-2.0 */
#include "models/umt5.h"

#include "models/umt5_blocks.h"
#include "ops/rows.h"
#include "ops/text.h"

#include <stdio.h>

/* The running pass. */
struct pass {
	struct ctx *c;
	struct umt5 *m;
	int block;
	bool half;		/* bf16: round where a bf16 forward stores */
};

static void
told(const struct pass *p, const char *name, struct tensor x)
{
	char text[64];

	if (!p->m->tap || !x.data)
		return;
	snprintf(text, sizeof text, "block%d.%s", p->block, name);
	p->m->tap(p->m->me, text, x);
}

/* What bf16 stores is rounded already. */
static void
round_stored(const struct pass *p, struct tensor x)
{
	if (p->half && x.dtype == F32)
		text_round(p->c->dev, x);
}

/* y = x w^T */
static void
product(const struct pass *p, const char *name, struct tensor y, struct tensor x, struct tensor w)
{
	rows_gemm(p->c->dev, rows_of(y), rows_of(x), w, false, true, 1.f, 0.f);
	round_stored(p, y);
	told(p, name, y);
}

static void
add(const struct pass *p, struct tensor x, struct tensor y)
{
	rows_axpy(p->c->dev, x, y, 1.f);
	round_stored(p, x);
}

/* x += attention of its norm; h [B, T, width] is scratch. */
static void
attend(const struct pass *p, struct tensor x, struct tensor h, struct tensor mask, float tau)
{
	const struct umt5_block *b = &p->m->block[p->block];
	const struct umt5_config *k = &p->m->config;
	struct arena *act = p->c->act;
	int64_t B = x.dim[0], T = x.dim[1];
	size_t mark = arena_mark(act);
	struct tensor o = arena_tensor(act, x.dtype, 3, B, T, k->inner), bias = arena_tensor(act, F32, 3, k->heads, T, T), a = { 0 };
	struct tensor q, key, v;

	text_rms(p->c->dev, h, x, b->attn_norm, k->eps, p->half);
	told(p, "attn_norm", h);
	if (b->qkv.rank) {
		struct tensor all = arena_tensor(act, x.dtype, 3, B, T, 3 * k->inner);
		product(p, "qkv", all, h, b->qkv);
		q = tensor_columns(all, 0, k->inner);
		key = tensor_columns(all, k->inner, k->inner);
		v = tensor_columns(all, 2 * k->inner, k->inner);
	} else {
		q = arena_like(act, o);
		key = arena_like(act, o);
		v = arena_like(act, o);
		product(p, "q", q, h, b->q);
		product(p, "k", key, h, b->k);
		product(p, "v", v, h, b->v);
	}
	if (tau != 1.f && p->block >= UMT5_ERG_FROM && p->block < UMT5_ERG_TO) {
		rows_scale(p->c->dev, q, q, tau);
		round_stored(p, q);
	}
	text_bias(p->c->dev, bias, b->bias, k->distance);
	told(p, "position_bias", bias);
	if (p->m->tap)
		a = arena_tensor(act, F32, 4, B, k->heads, T, T);
	text_attend(p->c->dev, o, a, q, key, v, bias, mask, p->half);
	if (p->m->tap)
		told(p, "attn_weights", a);
	product(p, "o", h, o, b->o);
	add(p, x, h);
	told(p, "after_attn", x);
	arena_release(act, mark);
}

static void
feed_forward(const struct pass *p, struct tensor x, struct tensor h)
{
	const struct umt5_block *b = &p->m->block[p->block];
	struct arena *act = p->c->act;
	size_t mark = arena_mark(act);
	struct tensor u = arena_tensor(act, x.dtype, 3, x.dim[0], x.dim[1], p->m->config.ff), w = arena_like(act, u);

	text_rms(p->c->dev, h, x, b->ff_norm, p->m->config.eps, p->half);
	told(p, "ff_norm", h);
	product(p, "wi_0", u, h, b->wi_0);
	product(p, "wi_1", w, h, b->wi_1);
	text_gate(p->c->dev, u, u, w, p->half);
	product(p, "wo", h, u, b->wo);
	add(p, x, h);
	arena_release(act, mark);
}

void
umt5_forward(struct ctx *c, struct umt5 *m, struct tensor x, struct tensor ids, struct tensor mask, float tau)
{
	struct pass p = { .c = c, .m = m, .half = m->dtype == BF16 };
	size_t mark = arena_mark(c->act);
	bool stored = umt5_stores_half(m);
	struct tensor now = stored ? arena_tensor(c->act, BF16, 3, x.dim[0], x.dim[1], x.dim[2]) : x, h = arena_like(c->act, now);

	text_embed(c->dev, now, m->table, ids);
	round_stored(&p, now);
	for (; p.block < m->config.blocks; p.block++) {
		told(&p, "in", now);
		attend(&p, now, h, mask, tau);
		feed_forward(&p, now, h);
	}
	text_rms(c->dev, now, now, m->final_norm, m->config.eps, p.half);
	if (stored)
		rows_copy(c->dev, x, now);
	arena_release(c->act, mark);
}
