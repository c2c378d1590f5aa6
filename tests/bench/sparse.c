/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/sparse.h"

#include "jobs/init_model_parts.h"
#include "kernels/kernels.h"
#include "ops/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
sparse_ok(enum status st, const char *what)
{
	if (st != ACE_OK) {
		fprintf(stderr, "%s: %s\n", what, ace_message());
		exit(1);
	}
}

/* A safetensors file of these names and shapes, whose numbers are a hole. */
static void
write_sparse(const char *path, const struct init_list *l)
{
	cJSON *root = cJSON_CreateObject();
	char *text;
	uint64_t at = 0, size;
	FILE *f = fopen(path, "wb");

	for (int i = 0; i < l->n; i++) {
		cJSON *o = cJSON_AddObjectToObject(root, l->v[i].name), *shape = cJSON_AddArrayToObject(o, "shape");
		cJSON *range = cJSON_AddArrayToObject(o, "data_offsets");
		uint64_t bytes = 2;
		cJSON_AddStringToObject(o, "dtype", "BF16");
		for (int k = 0; k < l->v[i].rank; k++) {
			cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)l->v[i].dim[k]));
			bytes *= (uint64_t)l->v[i].dim[k];
		}
		cJSON_AddItemToArray(range, cJSON_CreateNumber((double)at));
		cJSON_AddItemToArray(range, cJSON_CreateNumber((double)(at += bytes)));
	}
	text = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	if (!f || !text)
		exit(1);
	size = (strlen(text) + 7) / 8 * 8;
	fwrite(&size, 8, 1, f);
	fprintf(f, "%-*s", (int)size, text);
	fflush(f);
	if (ftruncate(fileno(f), (off_t)(8 + size + at)))
		exit(1);
	fclose(f);
	free(text);
}

void
sparse_model(const char *folder, const char *preset, int layers)
{
	const struct init_sizes *found = init_sizes_of(preset);
	struct init_sizes s;
	struct init_list l = { 0 };
	char path[600], *text;
	cJSON *config;
	FILE *f;

	if (!found) {
		fprintf(stderr, "no preset %s\n", preset);
		exit(64);
	}
	s = *found;
	if (layers > 0)
		s.layers = layers;
	init_dit(&l, &s);
	config = init_dit_config(&s);
	text = cJSON_Print(config);
	snprintf(path, sizeof path, "%s/config.json", folder);
	f = fopen(path, "w");
	if (!f || !text || l.bad)
		exit(1);
	fputs(text, f);
	fclose(f);
	free(text);
	cJSON_Delete(config);
	snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", folder);
	write_sparse(path, &l);
	init_list_free(&l);
}

void
sparse_randomize(struct dev *d, struct tensor x, struct tensor block, float scale)
{
	static int64_t at;
	struct tensor flat = tensor_view(x, 1, tensor_count(x));

	for (int64_t i = 0, n; i < flat.dim[0]; i += n) {
		at = (at + 8 * 104729) % (SPARSE_BLOCK / 2);
		n = flat.dim[0] - i < SPARSE_BLOCK / 2 ? flat.dim[0] - i : SPARSE_BLOCK / 2;
		d->k->scale(d, tensor_slice(flat, i, n), tensor_slice(block, at, n), scale);
	}
}

struct tensor
sparse_room(struct dev *d, enum dtype t, int rank, const int64_t dim[])
{
	struct tensor x = tensor_make(NULL, t, rank, dim);

	sparse_ok(dev_alloc(d, tensor_bytes(x), "an input", &x.data), "memory");
	return x;
}

struct tensor
sparse_normal(struct dev *d)
{
	struct tensor x = sparse_room(d, F32, 1, (const int64_t[TENSOR_RANK]){ SPARSE_BLOCK });
	float *host = malloc(tensor_bytes(x));

	if (!host)
		exit(1);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), host, SPARSE_BLOCK);
	d->m->upload(d, x.data, host, tensor_bytes(x));
	free(host);
	return x;
}

/* A weight in F16, by way of F32. */
static void
randomize_half(struct dev *d, struct tensor w, struct tensor block, float scale)
{
	struct tensor wide = w;

	wide.dtype = F32;
	sparse_ok(dev_alloc(d, tensor_bytes(wide), "a weight", &wide.data), "memory");
	sparse_randomize(d, wide, block, scale);
	d->k->copy(d, w, wide);
	d->m->sync(d);
	d->m->free(d, wide.data);
}

/* A weight in 8 or 4 bits: of random numbers in 16, which take a place of its own for a while. */
static void
randomize_quantized(struct dev *d, struct param *p, struct tensor block, float scale)
{
	struct tensor q = tensor_view(p->value, 2, p->value.dim[0], tensor_count(p->value) / p->value.dim[0]), w = q;

	w.dtype = p->scale.dtype == F32 && q.dtype != F8 ? F32 : BF16;
	sparse_ok(dev_alloc(d, tensor_bytes(w), "a weight", &w.data), "memory");
	sparse_randomize(d, w, block, scale);
	quant_make(d, q, p->scale, w);
	d->m->sync(d);
	d->m->free(d, w.data);
}

void
sparse_fill(struct dit *m, struct tensor block)
{
	for (int i = 0; i < dit_n_params(m); i++) {
		struct param *p = dit_param(m, i);
		struct tensor w = p->value;
		float scale = w.rank < 2 ? 0.02f : 1.f / sqrtf((float)(tensor_count(w) / w.dim[0]));
		if (p->scale.rank)
			randomize_quantized(m->dev, p, block, scale);
		else if (w.dtype == F16)
			randomize_half(m->dev, w, block, scale);
		else
			sparse_randomize(m->dev, w, block, scale);
	}
}
