/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_parts.h"

#include "models/lyric_encoder.h"

enum dtype
dit_half(const struct dit *m)
{
	return dev_like(m->dev) == DEV_CUDA && m->opt.dtype == BF16 ? BF16 : F32;
}

static enum status
pack_block(struct params *ps, struct block *b)
{
	struct self_attention *a = &b->attn;
	struct cross_attention *x = &b->cross;

	ACE_TRY(params_pack(ps, &a->qkv, (struct linear *const[]){ &a->q, &a->k, &a->v }, 3, BF16));
	ACE_TRY(params_pack(ps, &a->o, (struct linear *const[]){ &a->out }, 1, BF16));
	ACE_TRY(params_pack(ps, &x->qs, (struct linear *const[]){ &x->q }, 1, BF16));
	ACE_TRY(params_pack(ps, &x->kv, (struct linear *const[]){ &x->k, &x->v }, 2, BF16));
	ACE_TRY(params_pack(ps, &x->o, (struct linear *const[]){ &x->out }, 1, F32));
	ACE_TRY(params_pack(ps, &b->ff.in, (struct linear *const[]){ &b->ff.inverted }, 1, BF16));
	return params_pack(ps, &b->ff.out, (struct linear *const[]){ &b->ff.point }, 1, BF16);
}

enum status
dit_prepare(struct dit *m)
{
	struct params *ps = &m->params;

	if (dit_half(m) == F32 || m->packed == ps->changes + 1)
		return ACE_OK;
	params_pack_begin(ps);
	for (int64_t i = 0; i < m->cfg.layers; i++)
		ACE_TRY(pack_block(ps, &m->block[i]));
	for (int i = 0; i < m->lyric->n; i++) {
		struct lyric_layer *l = &m->lyric->layer[i];
		ACE_TRY(params_pack(ps, &l->qkv, (struct linear *const[]){ &l->q, &l->k, &l->v }, 3, BF16));
	}
	ACE_TRY(params_pack_end(ps));
	m->packed = ps->changes + 1;
	return ACE_OK;
}
