/* SPDX-License-Identifier: Apache-2.0 */
#include "models/umt5.h"

#include "base/file.h"
#include "base/json.h"
#include "kernels/kernels.h"
#include "models/umt5_blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A whole number of config.json from 1 to top; fallback 0: it must be there. */
static enum status
read_size(const cJSON *root, const char *path, const char *key, int64_t fallback, int64_t top, int64_t *v)
{
	ACE_TRY(json_i64(root, path, key, fallback, v));
	if (*v < 1 || *v > top)
		return ace_fail(ACE_EDATA, "%s: %s is %lld, wanted 1 ... %lld", path, key, (long long)*v,
				(long long)top);
	return ACE_OK;
}

static enum status
read_config(struct umt5_config *c, const char *path, const cJSON *root)
{
	const cJSON *proj = cJSON_GetObjectItemCaseSensitive(root, "feed_forward_proj");
	double eps;

	if (!cJSON_IsObject(root))
		return ace_fail(ACE_EDATA, "%s: not an object", path);
	if (proj && !(cJSON_IsString(proj) && strcmp(proj->valuestring, "gated-gelu") == 0))
		return ace_fail(ACE_EDATA, "%s: feed_forward_proj is %s, wanted gated-gelu", path,
		                cJSON_IsString(proj) ? proj->valuestring : "no text");
	ACE_TRY(read_size(root, path, "d_model", 0, 1 << 16, &c->width));
	ACE_TRY(read_size(root, path, "d_kv", 0, 1 << 12, &c->head));
	ACE_TRY(read_size(root, path, "d_ff", 0, 1 << 18, &c->ff));
	ACE_TRY(read_size(root, path, "num_layers", 0, 1 << 10, &c->blocks));
	ACE_TRY(read_size(root, path, "num_heads", 0, 1 << 10, &c->heads));
	ACE_TRY(read_size(root, path, "vocab_size", 0, 1 << 24, &c->rows));
	ACE_TRY(read_size(root, path, "relative_attention_num_buckets", 32, 1 << 12, &c->buckets));
	ACE_TRY(read_size(root, path, "relative_attention_max_distance", 128, 1 << 24, &c->distance));
	ACE_TRY(json_f64(root, path, "layer_norm_epsilon", 1e-6, &eps));
	if (!(eps >= 0 && eps < 1))
		return ace_fail(ACE_EDATA, "%s: layer_norm_epsilon is %g, wanted 0 ... 1", path, eps);
	if (c->buckets % 4 || c->distance <= c->buckets / 4)
		return ace_fail(
			ACE_EDATA,
			"%s: %lld relative buckets up to distance %lld, wanted a multiple of 4 and a larger distance",
			path, (long long)c->buckets, (long long)c->distance);
	c->eps = (float)eps;
	c->inner = c->head * c->heads;
	return ACE_OK;
}

enum status
umt5_config_read(struct umt5_config *c, const char *folder)
{
	char *path = file_path("%s/config.json", folder);
	enum status st;
	cJSON *root = NULL;

	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	st = json_read(path, 1 << 20, &root);
	if (st == ACE_OK)
		st = read_config(c, path, root);
	cJSON_Delete(root);
	free(path);
	return st;
}

/* The table stays in the mapping, whatever its type: rows are widened as they are looked up. */
static enum status
find_table(struct umt5 *m)
{
	const struct st_entry *e = weights_find(&m->weights, "shared.weight");
	char found[80];

	if (!e)
		e = weights_find(&m->weights, "encoder.embed_tokens.weight");
	if (!e)
		return ace_fail(ACE_EDATA,
				"%s: tensor shared.weight is missing (and encoder.embed_tokens.weight)",
				m->weights.path);
	m->table = e->value;
	if (m->table.rank != 2 || m->table.dim[0] != m->config.rows || m->table.dim[1] != m->config.width)
		return ace_fail(ACE_EDATA, "%s: tensor %s has shape %s, wanted [%lld, %lld]", m->weights.path, e->name,
		                tensor_shape_text(m->table, found, sizeof found), (long long)m->config.rows,
		                (long long)m->config.width);
	if (m->table.dtype != F32 && m->table.dtype != BF16 && m->table.dtype != F16)
		return ace_fail(ACE_EDATA, "%s: tensor %s is %s, wanted a floating point type", m->weights.path,
				e->name, dtype_name(m->table.dtype));
	return ACE_OK;
}

static enum status
get(struct umt5 *m, int block, const char *name, int64_t a, int64_t b, struct tensor *x)
{
	char text[128];

	snprintf(text, sizeof text, "encoder.block.%d.layer.%s.weight", block, name);
	ACE_TRY(weights_get(&m->weights, text, m->dtype, b ? 2 : 1, (const int64_t[TENSOR_RANK]){ a, b }, x));
	return placed_take(&m->placed, m->dev, text, x);
}

/* q, k and v of a block on a device with memory of its own, one below the other: one product makes all three. */
static enum status
get_joined(struct umt5 *m, int block, struct tensor *x)
{
	static const char *const names[3] = { "q", "k", "v" };
	int64_t inner = m->config.inner, width = m->config.width;
	size_t each = (size_t)(inner * width) * dtype_size(m->dtype);
	char *all = malloc(3 * each), text[128];
	struct tensor part;
	enum status st = all ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for the weights of an attention");

	for (int i = 0; i < 3 && st == ACE_OK; i++) {
		snprintf(text, sizeof text, "encoder.block.%d.layer.0.SelfAttention.%s.weight", block, names[i]);
		st = weights_get(&m->weights, text, m->dtype, 2, (const int64_t[TENSOR_RANK]){ inner, width }, &part);
		if (st == ACE_OK)
			memcpy(all + (size_t)i * each, part.data, each);
	}
	*x = tensor_of(all, m->dtype, 2, 3 * inner, width);
	if (st == ACE_OK)
		st = placed_copy(&m->placed, m->dev, "encoder.block.*.layer.0.SelfAttention", x);
	free(all);
	return st;
}

static enum status
read_block(struct umt5 *m, int i)
{
	const struct umt5_config *c = &m->config;
	struct umt5_block *b = &m->block[i];

	ACE_TRY(get(m, i, "0.layer_norm", c->width, 0, &b->attn_norm));
	if (umt5_stores_half(m)) {
		ACE_TRY(get_joined(m, i, &b->qkv));
	} else {
		ACE_TRY(get(m, i, "0.SelfAttention.q", c->inner, c->width, &b->q));
		ACE_TRY(get(m, i, "0.SelfAttention.k", c->inner, c->width, &b->k));
		ACE_TRY(get(m, i, "0.SelfAttention.v", c->inner, c->width, &b->v));
	}
	ACE_TRY(get(m, i, "0.SelfAttention.o", c->width, c->inner, &b->o));
	ACE_TRY(get(m, i, "0.SelfAttention.relative_attention_bias", c->buckets, c->heads, &b->bias));
	ACE_TRY(get(m, i, "1.layer_norm", c->width, 0, &b->ff_norm));
	ACE_TRY(get(m, i, "1.DenseReluDense.wi_0", c->ff, c->width, &b->wi_0));
	ACE_TRY(get(m, i, "1.DenseReluDense.wi_1", c->ff, c->width, &b->wi_1));
	return get(m, i, "1.DenseReluDense.wo", c->width, c->ff, &b->wo);
}

static enum status
read_all(struct umt5 *m)
{
	ACE_TRY(find_table(m));
	for (int i = 0; i < m->config.blocks; i++)
		ACE_TRY(read_block(m, i));
	ACE_TRY(weights_get(&m->weights, "encoder.final_layer_norm.weight", m->dtype, 1,
	                    (const int64_t[TENSOR_RANK]){ m->config.width }, &m->final_norm));
	return placed_take(&m->placed, m->dev, "encoder.final_layer_norm.weight", &m->final_norm);
}

enum status
umt5_open(struct umt5 *m, const char *folder, enum dtype dtype, struct dev *d)
{
	enum status st;

	*m = (struct umt5){ .dtype = dtype, .dev = d };
	if (dtype != F32 && dtype != BF16)
		return ace_fail(
			ACE_ECONFIG,
			"the prompt encoder cannot run in %s (its activations overflow), wanted F32 or BF16",
			dtype_name(dtype));
	ACE_TRY(umt5_config_read(&m->config, folder));
	ACE_TRY(weights_open(&m->weights, folder));
	m->block = calloc((size_t)m->config.blocks, sizeof *m->block);
	st = m->block ? read_all(m) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	if (st != ACE_OK)
		umt5_close(m);
	return st;
}

void
umt5_close(struct umt5 *m)
{
	if (!m)
		return;
	weights_close(&m->weights);
	free(m->block);
	if (m->dev && m->memory)
		m->dev->m->free(m->dev, m->memory);
	if (m->dev)
		placed_free(&m->placed, m->dev);
	*m = (struct umt5){ 0 };
}

int
umt5_width(const struct umt5 *m)
{
	return (int)m->config.width;
}

const char *
umt5_hash(struct umt5 *m)
{
	if (!m->hash[0] && weights_hash(&m->weights, m->hash) != ACE_OK)
		m->hash[0] = 0;
	return m->hash[0] ? m->hash : NULL;
}

size_t
umt5_memory(struct umt5 *m, int64_t B, int64_t T)
{
	struct arena a = { 0 };
	struct dev dry;
	struct ctx c = { .dev = &dry, .act = &a };

	if (dev_open(&dry, DEV_DRY, 1) != ACE_OK)
		return 0;
	kernels_attach(&dry);
	umt5_forward(&c, m, tensor_of(NULL, F32, 3, B, T, m->config.width), tensor_of(NULL, I32, 2, B, T),
	             tensor_of(NULL, F32, 2, B, T), 0.5f);
	dev_close(&dry);
	return a.peak;
}

static enum status
check_ids(const struct umt5 *m, const int32_t *ids, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (ids[i] < 0 || ids[i] >= m->config.rows)
			return ace_fail(ACE_EDATA,
					"%s: token id %d, the table has %lld rows: another model's tokenizer?",
					m->weights.path, ids[i], (long long)m->config.rows);
	return ACE_OK;
}

/* The pass on a device with memory of its own. Of the table only the rows that ids name go there. */
static enum status
encode_there(struct umt5 *m, struct arena *a, const int32_t *ids, const float *mask, int64_t B, int64_t T, float tau, float *out)
{
	size_t row = (size_t)m->config.width * dtype_size(m->table.dtype);
	int64_t n = B * T;
	size_t all = ((size_t)n * row + 7) / 8 * 8;
	struct dev *d = m->dev;
	struct ctx c = { .dev = d, .act = a };
	struct umt5 there = *m;
	struct tensor x = arena_tensor(a, F32, 3, B, T, m->config.width), at = arena_tensor(a, I32, 2, B, T);
	struct tensor seen = arena_tensor(a, F32, 2, B, T);
	char *rows = malloc(all + (size_t)n * sizeof(int32_t));
	int32_t *order;

	there.table = arena_tensor(a, m->table.dtype, 2, n, m->config.width);
	if (!rows)
		return ace_fail(ACE_ENOMEM, "no memory for the embeddings of %lld tokens", (long long)n);
	order = (int32_t *)(void *)(rows + all);
	for (int64_t i = 0; i < n; i++) {
		memcpy(rows + (size_t)i * row, (const char *)m->table.data + (size_t)ids[i] * row, row);
		order[i] = (int32_t)i;
	}
	d->m->upload(d, there.table.data, rows, (size_t)n * row);
	d->m->upload(d, at.data, order, (size_t)n * sizeof *order);
	d->m->upload(d, seen.data, mask, (size_t)n * sizeof *mask);
	free(rows);
	umt5_forward(&c, &there, x, at, seen, tau);
	d->m->download(d, out, x.data, tensor_bytes(x));
	return d->status;
}

enum status
umt5_encode_batch(struct umt5 *m, const int32_t *ids, const float *mask, int64_t B, int64_t T, float tau, float *out)
{
	bool here = dev_is_host(m->dev) || dev_is_dry(m->dev);
	size_t size = umt5_memory(m, B, T);
	struct arena a = { 0 };
	struct ctx c = { .dev = m->dev, .act = &a };

	ACE_TRY(check_ids(m, ids, B * T));
	if (!here) {		/* what goes there and comes back */
		arena_tensor(&a, F32, 2, B * T, m->config.width);
		arena_tensor(&a, F32, 2, B * T, m->config.width);
		arena_tensor(&a, F32, 2, 2, B * T + ARENA_ALIGN);
		size += a.used;
	}
	if (size > m->size) {
		void *memory;
		if (m->memory)
			m->dev->m->free(m->dev, m->memory);
		m->memory = NULL;
		m->size = 0;
		ACE_TRY(dev_alloc(m->dev, size, "the prompt encoder", &memory));
		m->memory = memory;
		m->size = size;
	}
	a = (struct arena){ .base = m->memory, .size = m->size };
	if (!here)
		return encode_there(m, &a, ids, mask, B, T, tau, out);
	umt5_forward(&c, m, tensor_of(out, F32, 3, B, T, m->config.width),
		     tensor_of((void *)(uintptr_t)ids, I32, 2, B, T),
		     tensor_of((void *)(uintptr_t)mask, F32, 2, B, T), tau);
	return m->dev->status;
}

enum status
umt5_encode_erg(struct umt5 *m, const int32_t *ids, int n, float tau, float *out)
{
	float *mask = malloc(((size_t)n + 1) * sizeof *mask);
	enum status st;

	if (!mask)
		return ace_fail(ACE_ENOMEM, "no memory for a text of %d tokens", n);
	for (int i = 0; i < n; i++)
		mask[i] = 1.f;
	st = umt5_encode_batch(m, ids, mask, 1, n, tau, out);
	free(mask);
	return st;
}

enum status
umt5_encode(struct umt5 *m, const int32_t *ids, int n, float *out)
{
	return umt5_encode_erg(m, ids, n, 1.f, out);
}
