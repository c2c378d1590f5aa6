/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_config.h"

#include "base/file.h"
#include "base/json.h"

#include <stdlib.h>

/* A list of at most DIT_TAPS numbers; absent: the fallback, given twice. */
static enum status
numbers(const cJSON *root, const char *path, const char *key, int64_t a, int64_t b, int64_t *v, int *n)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, key), *e;

	*n = 0;
	if (!list || cJSON_IsNull(list)) {
		v[0] = a;
		v[1] = b;
		*n = 2;
		return ACE_OK;
	}
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > DIT_TAPS)
		return ace_fail(ACE_EDATA, "%s: %s is not a list of at most %d numbers", path, key, DIT_TAPS);
	cJSON_ArrayForEach(e, list) {
		if (!cJSON_IsNumber(e) || e->valuedouble < 0 || e->valuedouble > 65536)
			return ace_fail(ACE_EDATA, "%s: entry %d of %s is not a number from 0 to 65536", path, *n, key);
		v[(*n)++] = (int64_t)e->valuedouble;
	}
	return ACE_OK;
}

static enum status
read_sizes(struct dit_config *cfg, const cJSON *root, const char *path)
{
	const struct {
		const char *key;
		int64_t fallback, *v, least, most;
	} field[] = {
		{ "num_layers", 28, &cfg->layers, 1, 1024 },
		{ "num_attention_heads", 24, &cfg->heads, 1, 1024 },
		{ "attention_head_dim", 64, &cfg->head_dim, 2, 1024 },
		{ "speaker_embedding_dim", 512, &cfg->speaker_dim, 1, 65536 },
		{ "text_embedding_dim", 768, &cfg->text_dim, 1, 65536 },
		{ "lyric_hidden_size", 1024, &cfg->lyric_dim, 1, 65536 },
		{ "lyric_encoder_vocab_size", 6681, &cfg->lyric_vocab, 1, 1 << 24 },
	};

	for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
		ACE_TRY(json_i64(root, path, field[i].key, field[i].fallback, field[i].v));
		if (*field[i].v < field[i].least || *field[i].v > field[i].most)
			return ace_fail(ACE_EDATA, "%s: %s is %lld, wanted %lld to %lld", path, field[i].key,
			                (long long)*field[i].v, (long long)field[i].least, (long long)field[i].most);
	}
	if (cfg->head_dim % 2)
		return ace_fail(ACE_EDATA, "%s: attention_head_dim is %lld, wanted an even number", path, (long long)cfg->head_dim);
	return ACE_OK;
}

/* Collecting walks the blocks in order, so entry k of what feeds the projectors is the k-th smallest depth. */
static void
sort(int64_t *v, int n)
{
	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && v[j] < v[j - 1]; j--) {
			int64_t t = v[j];
			v[j] = v[j - 1];
			v[j - 1] = t;
		}
}

static enum status
read_fields(struct dit_config *cfg, const cJSON *root, const char *path)
{
	double ratio;
	int64_t depth[DIT_TAPS];
	int n_depths, n_dims;

	if (!cJSON_IsObject(root))
		return ace_fail(ACE_EDATA, "%s: not an object", path);
	ACE_TRY(read_sizes(cfg, root, path));
	ACE_TRY(json_f64(root, path, "mlp_ratio", 4.0, &ratio));
	ACE_TRY(json_f64(root, path, "rope_theta", 1e6, &cfg->rope_theta));
	cfg->width = cfg->heads * cfg->head_dim;
	if (!(ratio > 0 && ratio * (double)cfg->width >= 1 && ratio <= 64) || !(cfg->rope_theta > 0))
		return ace_fail(ACE_EDATA, "%s: mlp_ratio is %g and rope_theta %g, wanted positive numbers", path, ratio,
		                cfg->rope_theta);
	cfg->hidden = (int64_t)((double)cfg->width * ratio);
	ACE_TRY(numbers(root, path, "ssl_encoder_depths", 9, 9, depth, &n_depths));
	ACE_TRY(numbers(root, path, "ssl_latent_dims", 1024, 768, cfg->tap_dim, &n_dims));
	sort(depth, n_depths);
	for (int i = 0; i < n_depths; i++)
		if (depth[i] < cfg->layers && cfg->n_taps < n_dims)
			cfg->tap[cfg->n_taps++] = depth[i];
	return ACE_OK;
}

enum status
dit_config_read(struct dit_config *cfg, const char *folder)
{
	char *path = file_path("%s/config.json", folder);
	enum status st;
	cJSON *root = NULL;

	*cfg = (struct dit_config){ 0 };
	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	st = json_read(path, 1u << 20, &root);
	if (st == ACE_OK) {
		st = read_fields(cfg, root, path);
		cJSON_Delete(root);
	}
	free(path);
	return st;
}
