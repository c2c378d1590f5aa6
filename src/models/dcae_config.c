/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dcae_config.h"

#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH_MAX = 1 << 14, LAYERS_MAX = 256, KERNEL_MAX = 31, CONFIG_BYTES = 1 << 20 };

struct reading {
	const char *name;		/* of the file, for messages */
	const cJSON *root;
};

static enum status
whole(const struct reading *r, const char *key, const cJSON *v, int low, int high, int *out)
{
	if (!cJSON_IsNumber(v) || !(v->valuedouble >= low && v->valuedouble <= high) || v->valuedouble != (int)v->valuedouble)
		return ace_fail(ACE_EDATA, "%s: %s is not a whole number from %d to %d", r->name, key, low, high);
	*out = (int)v->valuedouble;
	return ACE_OK;
}

static enum status
number(const struct reading *r, const char *key, int low, int high, int *out)
{
	return whole(r, key, cJSON_GetObjectItemCaseSensitive(r->root, key), low, high, out);
}

/* Entry i of a list with n entries. */
static enum status
entry(const struct reading *r, const char *key, int n, int i, const cJSON **v)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(r->root, key);

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != n)
		return ace_fail(ACE_EDATA, "%s: %s is not a list with one entry for each of the %d stages", r->name, key, n);
	*v = cJSON_GetArrayItem(list, i);
	return ACE_OK;
}

/* A name given once for all stages or once for each; absent: fallback. */
static enum status
name_of(const struct reading *r, const char *key, int n, int i, const char *fallback, const char **name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->root, key);

	*name = fallback;
	if ((!v || cJSON_IsNull(v)) && fallback)
		return ACE_OK;
	if (cJSON_IsArray(v))
		ACE_TRY(entry(r, key, n, i, &v));
	if (!cJSON_IsString(v))
		return ace_fail(ACE_EDATA, "%s: %s is not a name or a list of %d names", r->name, key, n);
	*name = v->valuestring;
	return ACE_OK;
}

/* The one value of a key that is built. */
static enum status
only(const struct reading *r, const char *key, int n, int i, const char *wanted)
{
	const char *name;

	ACE_TRY(name_of(r, key, n, i, wanted, &name));
	if (strcmp(name, wanted))
		return ace_fail(ACE_ECONFIG, "%s: %s \"%s\" is not supported, only \"%s\"", r->name, key, name, wanted);
	return ACE_OK;
}

static enum status
yes_no(const struct reading *r, const char *key, bool fallback, bool *out)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->root, key);

	*out = v && !cJSON_IsNull(v) ? cJSON_IsTrue(v) : fallback;
	if (v && !cJSON_IsNull(v) && !cJSON_IsBool(v))
		return ace_fail(ACE_EDATA, "%s: %s is not true or false", r->name, key);
	return ACE_OK;
}

/* Keys begin with the half's name, "encoder" or "decoder". */
#define KEY(text) snprintf(key, sizeof key, "%s_" text, half)

static enum status
read_stage(const struct reading *r, const char *half, int n, int i, struct dcae_stage *s)
{
	char key[64];
	const cJSON *v, *scale;
	const char *kind;

	KEY("block_out_channels");
	ACE_TRY(entry(r, key, n, i, &v));
	ACE_TRY(whole(r, key, v, 1, WIDTH_MAX, &s->width));
	KEY("layers_per_block");
	ACE_TRY(entry(r, key, n, i, &v));
	ACE_TRY(whole(r, key, v, i == 0 ? 1 : 0, LAYERS_MAX, &s->layers));
	KEY("block_types");
	ACE_TRY(name_of(r, key, n, i, NULL, &kind));
	if (strcmp(kind, "ResBlock") && strcmp(kind, "EfficientViTBlock"))
		return ace_fail(ACE_ECONFIG, "%s: %s \"%s\" is not supported, only ResBlock and EfficientViTBlock", r->name, key,
		                kind);
	s->kind = kind[0] == 'R' ? DCAE_RES : DCAE_VIT;
	KEY("qkv_multiscales");
	ACE_TRY(entry(r, key, n, i, &v));
	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > DCAE_SCALES)
		return ace_fail(ACE_EDATA, "%s: %s has an entry that is no list of at most %d sizes", r->name, key, DCAE_SCALES);
	cJSON_ArrayForEach(scale, v) {
		int *k = &s->scale[s->scales++];
		ACE_TRY(whole(r, key, scale, 1, KERNEL_MAX, k));
		if (*k % 2 == 0)
			return ace_fail(ACE_ECONFIG, "%s: %s has the even size %d, only odd ones are supported", r->name, key, *k);
	}
	return ACE_OK;
}

static enum status
read_half(const struct reading *r, const char *half, struct dcae_half *h)
{
	char key[64];
	const cJSON *v;

	KEY("block_out_channels");
	v = cJSON_GetObjectItemCaseSensitive(r->root, key);
	h->stages = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 0;
	if (h->stages < 1 || h->stages > DCAE_STAGES)
		return ace_fail(ACE_EDATA, "%s: %s is not a list of 1 to %d widths", r->name, key, DCAE_STAGES);
	for (int i = 0; i < h->stages; i++) {
		ACE_TRY(read_stage(r, half, h->stages, i, &h->stage[i]));
		KEY("norm_types");
		ACE_TRY(only(r, key, h->stages, i, "rms_norm"));
		KEY("act_fns");
		ACE_TRY(only(r, key, h->stages, i, "silu"));
	}
	return ACE_OK;
}

/* What a Down, the ends and the attention divide by must divide. */
static enum status
check_widths(const struct reading *r, const struct dcae_config *c, const struct dcae_half *h, const char *half)
{
	for (int i = 0; i < h->stages; i++) {
		const struct dcae_stage *s = &h->stage[i];
		if (i > 0 && 4 * s[-1].width % s->width)
			return ace_fail(ACE_EDATA, "%s: %s widths %d and %d: the second does not divide 4 times the first", r->name, half,
			                s[-1].width, s->width);
		if (s->kind == DCAE_VIT && s->width < c->head)
			return ace_fail(ACE_EDATA, "%s: %s width %d is below attention_head_dim %d", r->name, half, s->width, c->head);
	}
	if (h->shortcut && h->stage[h->stages - 1].width % c->latent)
		return ace_fail(ACE_EDATA, "%s: %s width %d is no multiple of latent_channels %d", r->name, half,
		                h->stage[h->stages - 1].width, c->latent);
	return ACE_OK;
}

static enum status
read_all(const struct reading *r, struct dcae_config *c)
{
	const char *act;

	ACE_TRY(number(r, "in_channels", 1, 64, &c->channels));
	ACE_TRY(number(r, "latent_channels", 1, 1024, &c->latent));
	ACE_TRY(number(r, "attention_head_dim", 1, 1024, &c->head));
	ACE_TRY(only(r, "downsample_block_type", 1, 0, "Conv"));
	ACE_TRY(only(r, "upsample_block_type", 1, 0, "interpolate"));
	ACE_TRY(name_of(r, "decoder_conv_act_fn", 1, 0, "relu", &act));
	if (strcmp(act, "relu") && strcmp(act, "silu"))
		return ace_fail(ACE_ECONFIG, "%s: decoder_conv_act_fn \"%s\" is not supported, only relu and silu", r->name, act);
	c->decoder_silu = act[0] == 's';
	ACE_TRY(yes_no(r, "encoder_out_shortcut", true, &c->encoder.shortcut));
	ACE_TRY(yes_no(r, "decoder_in_shortcut", true, &c->decoder.shortcut));
	ACE_TRY(read_half(r, "encoder", &c->encoder));
	ACE_TRY(read_half(r, "decoder", &c->decoder));
	ACE_TRY(check_widths(r, c, &c->encoder, "encoder"));
	return check_widths(r, c, &c->decoder, "decoder");
}

enum status
dcae_config_read(struct dcae_config *c, const char *folder)
{
	char *path = file_path("%s/config.json", folder);
	enum status st;
	cJSON *root;

	*c = (struct dcae_config){ 0 };
	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory for its name", folder);
	if ((st = json_read(path, CONFIG_BYTES, &root)) == ACE_OK) {
		struct reading r = { .name = path, .root = root };
		st = read_all(&r, c);
		cJSON_Delete(root);
	}
	free(path);
	return st;
}
