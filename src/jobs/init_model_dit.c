/* SPDX-License-Identifier: Apache-2.0 */
/* the music transformer and its lyric encoder (transformer.md sections 1, 2) */
#include "jobs/init_model_parts.h"

#include <math.h>
#include <stdio.h>

enum { PATCH = 2048, CHANNELS = 8, ROWS = 16, SINUSOID = 256, DEPTH_KERNEL = 3, POSITIONS = 32768 };

static const double mlp_ratio = 2.5;

static void
attention(struct init_list *l, int64_t i, const char *kind, int64_t D, bool added)
{
	static const char *const names[] = {
		"to_q",	      "to_k",	    "to_v",	  "to_out.0",
		"add_k_proj", "add_v_proj", "add_q_proj", "to_add_out"
	};
	char name[64];

	for (int k = 0; k < (added ? 8 : 4);
	     k++) { /* the last four are never read, but every file has them */
		snprintf(name, sizeof name, "transformer_blocks.%d.%s.%s", (int)i, kind, names[k]);
		init_linear(l, true, name, 2, init_dims(D, D));
	}
}

static void
block(struct init_list *l, int64_t i, int64_t D, int64_t F)
{
	char name[64];

#define NAME(text) (snprintf(name, sizeof name, "transformer_blocks.%d.%s", (int)i, text), name)
	init_add(l, INIT_NORMAL, 1 / sqrt((double)D), 2, init_dims(6, D), "%s",
		 NAME("scale_shift_table"));
	attention(l, i, "attn", D, false);
	attention(l, i, "cross_attn", D, true);
	init_linear(l, true, NAME("ff.inverted_conv.conv"), 3, init_dims(2 * F, D, 1));
	init_linear(l, true, NAME("ff.depth_conv.conv"), 3, init_dims(2 * F, 1, DEPTH_KERNEL));
	init_linear(l, false, NAME("ff.point_conv.conv"), 3, init_dims(D, F, 1));
#undef NAME
}

static void
lyric_layer(struct init_list *l, const struct init_sizes *s, int64_t i)
{
	static const char *const square[] = { "linear_q", "linear_k", "linear_v", "linear_out",
					      "linear_pos" };
	int64_t E = s->lyric, d = E / s->lyric_heads;
	char name[64];

#define NAME(text) (snprintf(name, sizeof name, "lyric_encoder.encoders.%d.%s", (int)i, text), name)
	for (int k = 0; k < 5; k++) {
		char part[24];
		snprintf(part, sizeof part, "self_attn.%s", square[k]);
		init_linear(l, k < 4, NAME(part), 2, init_dims(E, E));
	}
	for (int k = 0; k < 2; k++) /* X. Glorot and Y. Bengio, 2010 */
		init_add(l, INIT_UNIFORM, sqrt(6.0 / (double)(s->lyric_heads + d)), 2,
			 init_dims(s->lyric_heads, d), "%s",
			 NAME(k ? "self_attn.pos_bias_v" : "self_attn.pos_bias_u"));
	init_linear(l, true, NAME("feed_forward.w_1"), 2, init_dims(s->lyric_ff, E));
	init_linear(l, true, NAME("feed_forward.w_2"), 2, init_dims(E, s->lyric_ff));
	init_norm(l, NAME("norm_ff"), E);
	init_norm(l, NAME("norm_mha"), E);
#undef NAME
}

static void
projectors(struct init_list *l, const struct init_sizes *s, int64_t D)
{
	for (int k = 0; k < 2; k++) {
		const int64_t out[] = { 2 * D, 2 * D, s->tap_dim[k] }, in[] = { D, 2 * D, 2 * D };
		for (int j = 0; j < 3; j++) {
			char name[32];
			snprintf(name, sizeof name, "projectors.%d.%d", k, 2 * j);
			init_linear(l, true, name, 2, init_dims(out[j], in[j]));
		}
	}
}

void
init_dit(struct init_list *l, const struct init_sizes *s)
{
	int64_t D = s->heads * s->head_dim, F = (int64_t)((double)D * mlp_ratio);

	for (int64_t i = 0; i < s->layers; i++)
		block(l, i, D, F);
	init_linear(l, true, "timestep_embedder.linear_1", 2, init_dims(D, SINUSOID));
	init_linear(l, true, "timestep_embedder.linear_2", 2, init_dims(D, D));
	init_linear(l, true, "t_block.1", 2, init_dims(6 * D, D));
	init_linear(l, true, "speaker_embedder", 2, init_dims(D, s->speaker));
	init_linear(l, true, "genre_embedder", 2, init_dims(D, s->text));
	init_add(l, INIT_NORMAL, 1, 2, init_dims(INIT_VOCAB, s->lyric), "lyric_embs.weight");
	init_linear(l, true, "lyric_encoder.embed.out.0", 2, init_dims(s->lyric, s->lyric));
	init_norm(l, "lyric_encoder.embed.out.1", s->lyric);
	for (int64_t i = 0; i < s->lyric_layers; i++)
		lyric_layer(l, s, i);
	init_norm(l, "lyric_encoder.after_norm", s->lyric);
	init_linear(l, true, "lyric_proj", 2, init_dims(D, s->lyric));
	projectors(l, s, D);
	init_linear(l, true, "proj_in.early_conv_layers.0", 4, init_dims(PATCH, CHANNELS, ROWS, 1));
	init_norm(l, "proj_in.early_conv_layers.1", PATCH);
	init_linear(l, true, "proj_in.early_conv_layers.2", 4, init_dims(D, PATCH, 1, 1));
	init_add(l, INIT_NORMAL, 1 / sqrt((double)D), 2, init_dims(2, D),
		 "final_layer.scale_shift_table");
	init_linear(l, true, "final_layer.linear", 2, init_dims(ROWS * CHANNELS, D));
}

cJSON *
init_dit_config(const struct init_sizes *s)
{
	const struct {
		const char *key;
		int64_t v;
	} number[] = {
		{ "in_channels", CHANNELS },
		{ "out_channels", CHANNELS },
		{ "num_layers", s->layers },
		{ "inner_dim", s->heads * s->head_dim },
		{ "attention_head_dim", s->head_dim },
		{ "num_attention_heads", s->heads },
		{ "max_position", POSITIONS },
		{ "max_height", ROWS },
		{ "max_width", POSITIONS },
		{ "speaker_embedding_dim", s->speaker },
		{ "text_embedding_dim", s->text },
		{ "lyric_encoder_vocab_size", INIT_VOCAB },
		{ "lyric_hidden_size", s->lyric },
	};
	static const char *const ssl[] = { "mert", "m-hubert" };
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "_class_name", "ACEStepTransformer2DModel");
	for (size_t i = 0; i < sizeof number / sizeof *number; i++)
		cJSON_AddNumberToObject(o, number[i].key, (double)number[i].v);
	cJSON_AddNumberToObject(o, "mlp_ratio", mlp_ratio);
	cJSON_AddNumberToObject(o, "rope_theta", 1e6);
	init_json_numbers(o, "patch_size", 2, init_dims(ROWS, 1));
	init_json_numbers(o, "ssl_encoder_depths", 2, init_dims(s->tap, s->tap));
	init_json_numbers(o, "ssl_latent_dims", 2, s->tap_dim);
	cJSON_AddItemToObject(o, "ssl_names", cJSON_CreateStringArray(ssl, 2));
	return o;
}

void
init_json_numbers(cJSON *o, const char *key, int n, const int64_t *v)
{
	cJSON *list = cJSON_AddArrayToObject(o, key);

	for (int i = 0; i < n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateNumber((double)v[i]));
}
