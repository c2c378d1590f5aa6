/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit.h"

#include "models/dit_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status
open_attention(struct dit *m, const char *prefix, struct linear *q, struct linear *k, struct linear *v, struct linear *out)
{
	static const char *const ending[] = { "to_q", "to_k", "to_v", "to_out.0" };
	struct linear *part[] = { q, k, v, out };
	int64_t D = m->cfg.width;
	char name[96];

	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "%s.%s", prefix, ending[i]);
		ACE_TRY(params_linear(&m->params, part[i], name, true, 2, params_dims(D, D)));
	}
	return ACE_OK;
}

static enum status
open_block(struct dit *m, int64_t i)
{
	struct params *ps = &m->params;
	struct block *l = &m->block[i];
	int64_t D = m->cfg.width, F = m->cfg.hidden;
	char name[96];

#define NAME(text) (snprintf(name, sizeof name, "transformer_blocks.%lld.%s", (long long)i, text), name)
	ACE_TRY(params_tensor(ps, &l->table, NAME("scale_shift_table"), false, 2, params_dims(6, D)));
	ACE_TRY(open_attention(m, NAME("attn"), &l->attn.q, &l->attn.k, &l->attn.v, &l->attn.out));
	ACE_TRY(open_attention(m, NAME("cross_attn"), &l->cross.q, &l->cross.k, &l->cross.v, &l->cross.out));
	ACE_TRY(params_linear(ps, &l->ff.inverted, NAME("ff.inverted_conv.conv"), true, 3, params_dims(2 * F, D, 1)));
	ACE_TRY(params_tensor(ps, &l->ff.depth_w, NAME("ff.depth_conv.conv.weight"), false, 3, params_dims(2 * F, 1, 3)));
	ACE_TRY(params_tensor(ps, &l->ff.depth_b, NAME("ff.depth_conv.conv.bias"), false, 1, params_dims(2 * F)));
	ACE_TRY(params_linear(ps, &l->ff.point, NAME("ff.point_conv.conv"), false, 3, params_dims(D, F, 1)));
#undef NAME
	l->attn.heads = l->cross.heads = m->cfg.heads;
	return ACE_OK;
}

static enum status
open_projectors(struct dit *m)
{
	int64_t D = m->cfg.width;

	for (int k = 0; k < m->cfg.n_taps; k++) {
		const int64_t out[] = { 2 * D, 2 * D, m->cfg.tap_dim[k] }, in[] = { D, 2 * D, 2 * D };
		for (int j = 0; j < 3; j++) {
			char name[64];
			snprintf(name, sizeof name, "projectors.%d.%d", k, 2 * j);
			ACE_TRY(params_linear(&m->params, &m->projector[k][j], name, true, 2, params_dims(out[j], in[j])));
		}
	}
	return ACE_OK;
}

/* Time, conditions, patches and the last layer. Sizes that no configuration gives come from the shapes. */
static enum status
open_ends(struct dit *m)
{
	struct params *ps = &m->params;
	int64_t D = m->cfg.width, conv[TENSOR_RANK], sinusoid[TENSOR_RANK];

	ACE_TRY(params_shape(ps, "timestep_embedder.linear_1.weight", 2, sinusoid));
	if (sinusoid[1] < 2 || sinusoid[1] % 2)
		return ace_fail(ACE_EDATA, "%s: timestep_embedder.linear_1.weight takes %lld numbers, wanted an even count",
		                m->weights.path, (long long)sinusoid[1]);
	ACE_TRY(params_linear(ps, &m->time1, "timestep_embedder.linear_1", true, 2, params_dims(D, sinusoid[1])));
	ACE_TRY(params_linear(ps, &m->time2, "timestep_embedder.linear_2", true, 2, params_dims(D, D)));
	ACE_TRY(params_linear(ps, &m->t_block, "t_block.1", true, 2, params_dims(6 * D, D)));
	ACE_TRY(params_linear(ps, &m->speaker, "speaker_embedder", true, 2, params_dims(D, m->cfg.speaker_dim)));
	ACE_TRY(params_linear(ps, &m->genre, "genre_embedder", true, 2, params_dims(D, m->cfg.text_dim)));
	ps->dtype = m->opt.lyrics_train ? F32 : m->opt.dtype;
	ACE_TRY(params_linear(ps, &m->lyric_proj, "lyric_proj", true, 2, params_dims(D, m->cfg.lyric_dim)));
	ps->dtype = m->opt.dtype;
	ACE_TRY(params_shape(ps, "proj_in.early_conv_layers.0.weight", 4, conv));
	if (conv[0] < DIT_GROUPS || conv[0] % DIT_GROUPS)
		return ace_fail(ACE_EDATA, "%s: proj_in.early_conv_layers.0.weight has %lld rows, wanted a multiple of %d",
		                m->weights.path, (long long)conv[0], DIT_GROUPS);
	ACE_TRY(params_linear(ps, &m->patch1, "proj_in.early_conv_layers.0", true, 4,
	                      params_dims(conv[0], DIT_CHANNELS, DIT_ROWS, 1)));
	ACE_TRY(params_tensor(ps, &m->norm_w, "proj_in.early_conv_layers.1.weight", false, 1, params_dims(conv[0])));
	ACE_TRY(params_tensor(ps, &m->norm_b, "proj_in.early_conv_layers.1.bias", false, 1, params_dims(conv[0])));
	ACE_TRY(params_linear(ps, &m->patch2, "proj_in.early_conv_layers.2", true, 4, params_dims(D, conv[0], 1, 1)));
	ACE_TRY(params_tensor(ps, &m->final_table, "final_layer.scale_shift_table", false, 2, params_dims(2, D)));
	return params_linear(ps, &m->final, "final_layer.linear", true, 2, params_dims(DIT_ROWS * DIT_CHANNELS, D));
}

static enum status
open_all(struct dit *m, const char *folder)
{
	ACE_TRY(dit_config_read(&m->cfg, folder));
	ACE_TRY(weights_open(&m->weights, folder));
	m->weights.dry = dev_is_dry(m->dev);
	params_init(&m->params, &m->weights, m->dev, m->opt.dtype);
	m->params.base = m->opt.base;
	m->params.half_grads = m->opt.half_grads;
	m->params.far_grads = m->opt.far_grads;
	m->params.left = m->opt.lyrics_train ? "lyric_" : NULL;
	m->params.quantize_conv1d = m->opt.quantize_feed_forward;
	m->block = calloc((size_t)m->cfg.layers, sizeof *m->block);
	m->save.block = calloc((size_t)m->cfg.layers, sizeof *m->save.block);
	m->save.x = calloc((size_t)m->cfg.layers + 1, sizeof *m->save.x);
	if (!m->block || !m->save.block || !m->save.x)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %lld blocks", folder, (long long)m->cfg.layers);
	for (int64_t i = 0; i < m->cfg.layers; i++)
		ACE_TRY(open_block(m, i));
	ACE_TRY(open_ends(m));
	m->params.dtype = m->opt.lyrics_train ? F32 : m->opt.dtype;
	ACE_TRY(dit_lyrics_open(m));
	m->params.dtype = m->opt.dtype;
	return m->opt.projectors ? open_projectors(m) : ACE_OK;
}

enum status
dit_open(struct dit *m, const char *folder, const struct dit_options *o, struct dev *d)
{
	enum status st;

	*m = (struct dit){ .dev = d, .opt = *o };
	st = open_all(m, folder);
	if (st != ACE_OK) {
		dit_close(m);
		return st;
	}
	m->stack.n = (int)m->cfg.layers;
	m->stack.interval = o->checkpoint_interval;
	m->stack.x = m->save.x;
	return ACE_OK;
}

void
dit_close(struct dit *m)
{
	if (!m)
		return;
	dit_lyrics_close(m);
	if (m->dev)
		params_free(&m->params);
	weights_close(&m->weights);
	free(m->block);
	free(m->save.block);
	free(m->save.x);
	*m = (struct dit){ 0 };
}

enum status
dit_add_lora(struct dit *m, const struct lora_options *o)
{
	return params_add_lora(&m->params, o);
}

enum status
dit_train(struct dit *m, unsigned parts)
{
	if (parts & DIT_LYRICS)
		ACE_TRY(params_train(&m->params, "lyric_"));
	if (parts & DIT_FULL)
		ACE_TRY(params_train(&m->params, ""));
	return ACE_OK;
}

enum status
dit_alloc_grads(struct dit *m, struct tensor *all)
{
	ACE_TRY(dit_prepare(m));
	return params_alloc_grads(&m->params, all);
}

bool
dit_mark_once(struct dit *m)
{
	static const char blocks[] = "transformer_blocks.";
	bool any = false;

	for (int i = 0; i < m->params.n_modules; i++) {
		struct param *p = &m->params.module[i].l->w;
		p->once = p->train && strncmp(p->name, blocks, sizeof blocks - 1) == 0;
		any |= p->once;
	}
	return any;
}

int
dit_n_params(const struct dit *m)
{
	return m->params.n;
}

struct param *
dit_param(struct dit *m, int i)
{
	return m->params.param[i];
}
