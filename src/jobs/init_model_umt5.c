/* SPDX-License-Identifier: Apache-2.0 */
/* the prompt encoder (text.md section 1), with the start of T5's own code: products of unit size
 * without a 1/sqrt(d) */
#include "jobs/init_model_parts.h"

#include <math.h>

enum { BUCKETS = 32, DISTANCE = 128 };

static void
block(struct init_list *l, const struct init_sizes *s, int i)
{
	int64_t D = s->text, inner = s->text_head * s->text_heads;
	double d = 1 / sqrt((double)D);
	const struct {
		const char *name;
		double deviation; /* 0: a norm, of ones */
		int64_t dim[2];
	} part[] = {
		{ "0.SelfAttention.q", 1 / sqrt((double)(D * s->text_head)), { inner, D } },
		{ "0.SelfAttention.k", d, { inner, D } },
		{ "0.SelfAttention.v", d, { inner, D } },
		{ "0.SelfAttention.o", 1 / sqrt((double)inner), { D, inner } },
		{ "0.SelfAttention.relative_attention_bias", d, { BUCKETS, s->text_heads } },
		{ "0.layer_norm", 0, { D } },
		{ "1.DenseReluDense.wi_0", d, { s->text_ff, D } },
		{ "1.DenseReluDense.wi_1", d, { s->text_ff, D } },
		{ "1.DenseReluDense.wo", 1 / sqrt((double)s->text_ff), { D, s->text_ff } },
		{ "1.layer_norm", 0, { D } },
	};

	for (size_t k = 0; k < sizeof part / sizeof *part; k++) {
		bool norm = part[k].deviation == 0;
		init_add(l, norm ? INIT_CONSTANT : INIT_NORMAL, norm ? 1 : part[k].deviation,
			 norm ? 1 : 2, part[k].dim, "encoder.block.%d.layer.%s.weight", i,
			 part[k].name);
	}
}

void
init_umt5(struct init_list *l, const struct init_sizes *s)
{
	init_add(l, INIT_NORMAL, 1, 2, init_dims(s->text_rows, s->text), "shared.weight");
	for (int64_t i = 0; i < s->text_blocks; i++)
		block(l, s, (int)i);
	init_add(l, INIT_CONSTANT, 1, 1, &s->text, "encoder.final_layer_norm.weight");
}

cJSON *
init_umt5_config(const struct init_sizes *s, enum dtype dtype)
{
	static const char *const architecture = "UMT5EncoderModel";
	const struct {
		const char *key;
		int64_t v;
	} number[] = {
		{ "vocab_size", s->text_rows },
		{ "d_model", s->text },
		{ "d_kv", s->text_head },
		{ "d_ff", s->text_ff },
		{ "num_layers", s->text_blocks },
		{ "num_decoder_layers", s->text_blocks },
		{ "num_heads", s->text_heads },
		{ "relative_attention_num_buckets", BUCKETS },
		{ "relative_attention_max_distance", DISTANCE },
		{ "pad_token_id", 0 },
		{ "eos_token_id", 1 },
		{ "decoder_start_token_id", 0 },
	};
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToObject(o, "architectures", cJSON_CreateStringArray(&architecture, 1));
	cJSON_AddStringToObject(o, "model_type", "umt5");
	for (size_t i = 0; i < sizeof number / sizeof *number; i++)
		cJSON_AddNumberToObject(o, number[i].key, (double)number[i].v);
	cJSON_AddNumberToObject(o, "dropout_rate", 0.1);
	cJSON_AddNumberToObject(o, "layer_norm_epsilon", 1e-6);
	cJSON_AddStringToObject(o, "feed_forward_proj", "gated-gelu");
	cJSON_AddTrueToObject(o, "is_encoder_decoder");
	cJSON_AddFalseToObject(o, "tie_word_embeddings");
	cJSON_AddStringToObject(o, "tokenizer_class", "T5Tokenizer");
	cJSON_AddStringToObject(o, "dtype", dtype == BF16 ? "bfloat16" : "float32");
	return o;
}
