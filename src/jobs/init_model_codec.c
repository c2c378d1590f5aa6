/* SPDX-License-Identifier: Apache-2.0 */
/* the autoencoder and the vocoder (audio_codec.md sections 1, 5, 7, 8) */
#include "jobs/init_model_parts.h"

#include <math.h>
#include <stdio.h>

enum { CHANNELS = 2, LATENT = 8, VIT_FROM = 3, SCALE_FROM = 2, SCALE = 5, MLP = 4 };
enum {
	BANDS = 128,
	N_FFT = 2048,
	HOP = 512,
	UPS = 7,
	KERNELS = 4,
	DILATIONS = 3,
	END_KERNEL = 13,
	STAGE_KERNEL = 7
};

static const int64_t encoder_layers[INIT_STAGES] = { 2, 2, 3, 3 },
		     decoder_layers[INIT_STAGES] = { 3, 3, 3, 3 };
static const int64_t up_rate[UPS] = { 4, 4, 2, 2, 2, 2, 2 },
		     up_kernel[UPS] = { 8, 8, 4, 4, 4, 4, 4 };
static const int64_t kernel[KERNELS] = { 3, 7, 11, 13 };

/* name "encoder.down_blocks.2.1": convolutions and a norm, added to what comes in. */
static void
res_block(struct init_list *l, const char *block, int64_t C)
{
	char name[64];

	snprintf(name, sizeof name, "%s.conv1", block);
	init_linear(l, true, name, 4, init_dims(C, C, 3, 3));
	snprintf(name, sizeof name, "%s.conv2", block);
	init_linear(l, false, name, 4, init_dims(C, C, 3, 3));
	snprintf(name, sizeof name, "%s.norm", block);
	init_norm(l, name, C);
}

static void
vit_block(struct init_list *l, const char *block, int64_t C, int64_t head)
{
	int64_t inner = C / head * head;
	char name[80];

#define NAME(text) (snprintf(name, sizeof name, "%s.%s", block, text), name)
	init_linear(l, false, NAME("attn.to_q"), 2, init_dims(inner, C));
	init_linear(l, false, NAME("attn.to_k"), 2, init_dims(inner, C));
	init_linear(l, false, NAME("attn.to_v"), 2, init_dims(inner, C));
	init_linear(l, false, NAME("attn.to_qkv_multiscale.0.proj_in"), 4,
		    init_dims(3 * inner, 1, SCALE, SCALE));
	init_linear(l, false, NAME("attn.to_qkv_multiscale.0.proj_out"), 4,
		    init_dims(3 * inner, head, 1, 1));
	init_linear(l, false, NAME("attn.to_out"), 2, init_dims(C, 2 * inner));
	init_norm(l, NAME("attn.norm_out"), C);
	init_linear(l, true, NAME("conv_out.conv_inverted"), 4, init_dims(2 * MLP * C, C, 1, 1));
	init_linear(l, true, NAME("conv_out.conv_depth"), 4, init_dims(2 * MLP * C, 1, 3, 3));
	init_linear(l, false, NAME("conv_out.conv_point"), 4, init_dims(C, MLP * C, 1, 1));
	init_norm(l, NAME("conv_out.norm"), C);
#undef NAME
}

/* The blocks of a stage, numbered from first on. */
static void
stage(struct init_list *l, const char *half, const struct init_sizes *s, int i, int64_t first,
      int64_t layers)
{
	for (int64_t j = 0; j < layers; j++) {
		char block[48];
		snprintf(block, sizeof block, "%s.%d.%d", half, i, (int)(first + j));
		if (i < VIT_FROM)
			res_block(l, block, s->dcae[i]);
		else
			vit_block(l, block, s->dcae[i], s->dcae_head);
	}
}

void
init_dcae(struct init_list *l, const struct init_sizes *s)
{
	const int64_t *w = s->dcae;
	char name[48];

	init_linear(l, true, "encoder.conv_in", 4, init_dims(w[0], CHANNELS, 3, 3));
	for (int i = 0; i < INIT_STAGES; i++) {
		stage(l, "encoder.down_blocks", s, i, 0, encoder_layers[i]);
		snprintf(name, sizeof name, "encoder.down_blocks.%d.%d.conv", i,
			 (int)encoder_layers[i]);
		if (i + 1 < INIT_STAGES)
			init_linear(l, true, name, 4, init_dims(w[i + 1], w[i], 3, 3));
	}
	init_linear(l, true, "encoder.conv_out", 4, init_dims(LATENT, w[INIT_STAGES - 1], 3, 3));
	init_linear(l, true, "decoder.conv_in", 4, init_dims(w[INIT_STAGES - 1], LATENT, 3, 3));
	for (int i = 0; i < INIT_STAGES; i++) {
		bool up = i + 1 < INIT_STAGES;
		snprintf(name, sizeof name, "decoder.up_blocks.%d.0.conv", i);
		if (up)
			init_linear(l, true, name, 4, init_dims(w[i], w[i + 1], 3, 3));
		stage(l, "decoder.up_blocks", s, i, up, decoder_layers[i]);
	}
	init_norm(l, "decoder.norm_out", w[0]);
	init_linear(l, true, "decoder.conv_out", 4, init_dims(CHANNELS, w[0], 3, 3));
}

static void
dcae_half_config(cJSON *o, const char *half, const struct init_sizes *s, const int64_t *layers)
{
	cJSON *types, *scales;
	char key[48];

#define KEY(text) (snprintf(key, sizeof key, "%s_%s", half, text), key)
	init_json_numbers(o, KEY("block_out_channels"), INIT_STAGES, s->dcae);
	init_json_numbers(o, KEY("layers_per_block"), INIT_STAGES, layers);
	types = cJSON_AddArrayToObject(o, KEY("block_types"));
	scales = cJSON_AddArrayToObject(o, KEY("qkv_multiscales"));
#undef KEY
	for (int i = 0; i < INIT_STAGES; i++) {
		cJSON *list = cJSON_CreateArray();
		cJSON_AddItemToArray(
			types, cJSON_CreateString(i < VIT_FROM ? "ResBlock" : "EfficientViTBlock"));
		if (i >= SCALE_FROM)
			cJSON_AddItemToArray(list, cJSON_CreateNumber(SCALE));
		cJSON_AddItemToArray(scales, list);
	}
}

cJSON *
init_dcae_config(const struct init_sizes *s)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "_class_name", "AutoencoderDC");
	cJSON_AddNumberToObject(o, "in_channels", CHANNELS);
	cJSON_AddNumberToObject(o, "latent_channels", LATENT);
	cJSON_AddNumberToObject(o, "attention_head_dim", (double)s->dcae_head);
	dcae_half_config(o, "encoder", s, encoder_layers);
	dcae_half_config(o, "decoder", s, decoder_layers);
	cJSON_AddStringToObject(o, "decoder_norm_types", "rms_norm");
	cJSON_AddStringToObject(o, "decoder_act_fns", "silu");
	cJSON_AddStringToObject(o, "downsample_block_type", "Conv");
	cJSON_AddStringToObject(o, "upsample_block_type", "interpolate");
	cJSON_AddNumberToObject(o, "scaling_factor", 0.41407);
	return o;
}

/* A convolution under weight norm (T. Salimans and D. Kingma, 2016): g the norms of v's rows, so
 * that the weight is v. */
static void
normed(struct init_list *l, const char *name, int64_t out, int64_t in, int64_t k, int64_t bias)
{
	double inputs = (double)(in * k);

	init_add(l, INIT_UNIFORM, 1 / sqrt(inputs), 3, init_dims(out, in, k), "%s.weight_v", name);
	init_add(l, INIT_ROW_NORMS, 0, 3, init_dims(out, 1, 1), "%s.weight_g", name);
	init_add(l, INIT_UNIFORM, 1 / sqrt(inputs), 1, &bias, "%s.bias", name);
}

static void
backbone(struct init_list *l, const struct init_sizes *s)
{
	const int64_t *w = s->vocoder_dim;
	char name[48];

#define NAME(...) (snprintf(name, sizeof name, "backbone." __VA_ARGS__), name)
	for (int i = 0; i < INIT_STAGES; i++) {
		if (i == 0)
			init_linear(l, true, NAME("channel_layers.0.0"), 3,
				    init_dims(w[0], BANDS, STAGE_KERNEL));
		init_norm(l, NAME("channel_layers.%d.%d", i, i == 0), w[i ? i - 1 : 0]);
		if (i > 0)
			init_linear(l, true, NAME("channel_layers.%d.1", i), 3,
				    init_dims(w[i], w[i - 1], 1));
		for (int j = 0; j < (int)s->vocoder_depth[i]; j++) {
			int64_t C = w[i];
			init_linear(l, true, NAME("stages.%d.%d.dwconv", i, j), 3,
				    init_dims(C, 1, STAGE_KERNEL));
			init_norm(l, NAME("stages.%d.%d.norm", i, j), C);
			init_linear(l, true, NAME("stages.%d.%d.pwconv1", i, j), 2,
				    init_dims(MLP * C, C));
			init_linear(l, true, NAME("stages.%d.%d.pwconv2", i, j), 2,
				    init_dims(C, MLP * C));
			/* ConvNeXt's 1e-6 would hide the block; this is the start for shallow nets
			 * of H. Touvron et al., 2021 */
			init_add(l, INIT_CONSTANT, 0.1, 1, &C, "%s",
				 NAME("stages.%d.%d.gamma", i, j));
		}
	}
	init_norm(l, NAME("norm"), w[INIT_STAGES - 1]);
#undef NAME
}

void
init_vocoder(struct init_list *l, const struct init_sizes *s, const float *window,
	     const float *filters)
{
	int64_t C = s->vocoder_channels;
	char name[48];

	backbone(l, s);
	normed(l, "head.conv_pre", C, s->vocoder_dim[INIT_STAGES - 1], END_KERNEL, C);
	for (int i = 0; i < UPS; i++, C /= 2) {
		snprintf(name, sizeof name, "head.ups.%d", i); /* transposed: inputs first */
		normed(l, name, C, C / 2, up_kernel[i], C / 2);
		for (int j = 0; j < 2 * KERNELS * DILATIONS; j++) {
			int k = j / (2 * DILATIONS);
			snprintf(name, sizeof name, "head.resblocks.%d.convs%d.%d", i * KERNELS + k,
				 j / DILATIONS % 2 + 1, j % DILATIONS);
			normed(l, name, C / 2, C / 2, kernel[k], C / 2);
		}
	}
	normed(l, "head.conv_post", 1, C, END_KERNEL, 1);
	init_add(l, INIT_VALUES, 0, 1, init_dims(N_FFT), "mel_transform.spectrogram.window");
	l->v[l->n - 1].values = window;
	init_add(l, INIT_VALUES, 0, 2, init_dims(N_FFT / 2 + 1, BANDS),
		 "mel_transform.mel_scale.fb");
	l->v[l->n - 1].values = filters;
}

cJSON *
init_vocoder_config(const struct init_sizes *s)
{
	const struct {
		const char *key;
		int64_t v;
	} number[] = {
		{ "input_channels", BANDS },
		{ "num_mels", s->vocoder_dim[INIT_STAGES - 1] },
		{ "upsample_initial_channel", s->vocoder_channels },
		{ "pre_conv_kernel_size", END_KERNEL },
		{ "post_conv_kernel_size", END_KERNEL },
		{ "sampling_rate", 44100 },
		{ "n_fft", N_FFT },
		{ "win_length", N_FFT },
		{ "hop_length", HOP },
		{ "f_min", 40 },
		{ "f_max", 16000 },
		{ "n_mels", BANDS },
	};
	cJSON *o = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(o, "_class_name", "ADaMoSHiFiGANV1");
	init_json_numbers(o, "depths", INIT_STAGES, s->vocoder_depth);
	init_json_numbers(o, "dims", INIT_STAGES, s->vocoder_dim);
	cJSON_AddNumberToObject(o, "drop_path_rate", 0);
	init_json_numbers(o, "kernel_sizes", 1, init_dims(STAGE_KERNEL));
	init_json_numbers(o, "upsample_rates", UPS, up_rate);
	init_json_numbers(o, "upsample_kernel_sizes", UPS, up_kernel);
	init_json_numbers(o, "resblock_kernel_sizes", KERNELS, kernel);
	list = cJSON_AddArrayToObject(o, "resblock_dilation_sizes");
	for (int i = 0; i < KERNELS; i++)
		cJSON_AddItemToArray(list,
				     cJSON_CreateIntArray((const int[]){ 1, 3, 5 }, DILATIONS));
	for (size_t i = 0; i < sizeof number / sizeof *number; i++)
		cJSON_AddNumberToObject(o, number[i].key, (double)number[i].v);
	cJSON_AddFalseToObject(o, "use_template");
	return o;
}
