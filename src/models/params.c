/* SPDX-License-Identifier: Apache-2.0 */
#include "models/params.h"

#include "base/file.h"
#include "kernels/kernels.h"
#include "ops/quant.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void
params_init(struct params *ps, struct weights *w, struct dev *dev, enum dtype dtype)
{
	*ps = (struct params){ .w = w, .dev = dev, .dtype = dtype, .base = dtype };
}

void
params_free(struct params *ps)
{
	if (!ps)
		return;
	for (int i = 0; i < ps->n_texts; i++)
		free(ps->text[i]);
	for (int i = 0; i < ps->n_owned; i++)
		ps->dev->m->free(ps->dev, ps->owned[i]);
	if (ps->far)
		ps->dev->m->unpin(ps->dev, ps->far);
	free(ps->param);
	free(ps->module);
	free(ps->text);
	free(ps->owned);
	free(ps->place);
	*ps = (struct params){ 0 };
}

/* Room for one more element of size bytes in *list. */
static enum status
grow(void **list, int n, int *cap, size_t size)
{
	void *more;
	int want;

	if (n < *cap)
		return ACE_OK;
	want = *cap ? 2 * *cap : 64;
	more = realloc(*list, (size_t)want * size);
	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for a list of %d parameters", want);
	*list = more;
	*cap = want;
	return ACE_OK;
}

static enum status
keep_text(struct params *ps, const char *a, const char *b, const char **text)
{
	void *list = ps->text;
	char *s;

	ACE_TRY(grow(&list, ps->n_texts, &ps->texts_cap, sizeof *ps->text));
	ps->text = list;
	s = file_path("%s%s", a, b);
	if (!s)
		return ace_fail(ACE_ENOMEM, "no memory for the name %s%s", a, b);
	ps->text[ps->n_texts++] = s;
	*text = s;
	return ACE_OK;
}

enum status
params_own(struct params *ps, size_t bytes, const char *what, void **p)
{
	void *list = ps->owned;

	ACE_TRY(grow(&list, ps->n_owned, &ps->owned_cap, sizeof *ps->owned));
	ps->owned = list;
	ACE_TRY(dev_alloc(ps->dev, bytes, what, p));
	ps->owned[ps->n_owned++] = *p;
	return ACE_OK;
}

void
params_disown(struct params *ps, void *p)
{
	for (int i = ps->n_owned - 1; p && i >= 0; i--)
		if (ps->owned[i] == p) {
			ps->dev->m->free(ps->dev, p);
			ps->owned[i] = ps->owned[--ps->n_owned];
			return;
		}
}

static enum status
list_param(struct params *ps, struct param *p)
{
	void *list = ps->param;

	ACE_TRY(grow(&list, ps->n, &ps->cap, sizeof *ps->param));
	ps->param = list;
	ps->param[ps->n++] = p;
	p->grad = tensor_make(NULL, F32, p->value.rank, p->value.dim);
	return ACE_OK;
}

/* The value moves to a cuda device; where the file has another type it is converted there. */
static enum status
upload(struct params *ps, struct param *p, enum dtype dtype)
{
	struct tensor host = p->value;
	void *raw;

	p->value.dtype = dtype;
	if (!dev_is_dry(ps->dev))
		weights_read_ahead(ps->w, host);
	ACE_TRY(params_own(ps, tensor_bytes(p->value), p->name, &p->value.data));
	if (host.dtype == dtype) {
		ps->dev->m->upload(ps->dev, p->value.data, host.data, tensor_bytes(host));
		return ps->dev->status;
	}
	ACE_TRY(dev_alloc(ps->dev, tensor_bytes(host), p->name, &raw));
	ps->dev->m->upload(ps->dev, raw, host.data, tensor_bytes(host));
	host.data = raw;
	ps->dev->k->copy(ps->dev, p->value, host);
	ps->dev->m->sync(ps->dev);
	ps->dev->m->free(ps->dev, raw);
	return ps->dev->status;
}

enum status
params_tensor(struct params *ps, struct param *p, const char *name, bool matrix, int rank, const int64_t dim[])
{
	enum dtype dtype = matrix ? ps->dtype : F32, read = dtype;
	const struct st_entry *e = weights_find(ps->w, name);
	bool move = dev_like(ps->dev) == DEV_CUDA;

	*p = (struct param){ 0 };
	if (move && e && (e->value.dtype == F32 || e->value.dtype == BF16))
		read = e->value.dtype;
	ACE_TRY(keep_text(ps, name, "", &p->name));
	ACE_TRY(weights_get(ps->w, name, read, rank, dim, &p->value));
	if (move)
		ACE_TRY(upload(ps, p, dtype));
	return list_param(ps, p);
}

bool
params_quantizes(const struct params *ps, const char *name, int rank)
{
	if (ps->left && strncmp(name, ps->left, strlen(ps->left)) == 0)
		return false;
	return (ps->base == I8 || ps->base == F8 || ps->base == I4) && (rank != 3 || ps->quantize_conv1d);
}

/* The value, just read, gives way to its 8 or 4 bits; rows that are no pairs stay as they are. */
static enum status
quantize(struct params *ps, struct param *p)
{
	struct tensor w = p->value, wm = tensor_view(w, 2, w.dim[0], tensor_count(w) / w.dim[0]);
	struct tensor q = w, scale = tensor_of(NULL, ps->base == F8 ? F32 : w.dtype, 1, w.dim[0]);

	if (ps->base == I4 && wm.dim[1] % 2 != 0)
		return ACE_OK;
	if (ps->base == I4)
		scale = tensor_of(NULL, w.dtype, 3, w.dim[0], INT64_C(2), wm.dim[1] / quant_group(wm.dim[1]));
	q.dtype = ps->base;
	ACE_TRY(params_own(ps, tensor_bytes(q), p->name, &q.data));
	ACE_TRY(params_own(ps, tensor_bytes(scale), p->name, &scale.data));
	quant_make(ps->dev, tensor_view(q, 2, wm.dim[0], wm.dim[1]), scale, wm);
	p->value = q;
	p->scale = scale;
	ps->quantized += tensor_bytes(q) + tensor_bytes(scale);
	if (dev_like(ps->dev) == DEV_CUDA) {
		ps->dev->m->sync(ps->dev);
		params_disown(ps, w.data);
	} else {
		weights_give_back(ps->w, w);
	}
	return ps->dev->status;
}

enum status
params_linear(struct params *ps, struct linear *l, const char *name, bool bias, int rank, const int64_t dim[])
{
	const char *weight, *bias_name;
	void *list = ps->module;

	assert(rank >= 2);
	*l = (struct linear){ .stream = (uint64_t)ps->n_modules };
	ACE_TRY(grow(&list, ps->n_modules, &ps->modules_cap, sizeof *ps->module));
	ps->module = list;
	ACE_TRY(keep_text(ps, name, "", &ps->module[ps->n_modules].name));
	ps->module[ps->n_modules++].l = l;
	ACE_TRY(keep_text(ps, name, ".weight", &weight));
	ACE_TRY(params_tensor(ps, &l->w, weight, true, rank, dim));
	if (params_quantizes(ps, name, rank))
		ACE_TRY(quantize(ps, &l->w));
	if (!bias)
		return ACE_OK;
	ACE_TRY(keep_text(ps, name, ".bias", &bias_name));
	return params_tensor(ps, &l->b, bias_name, false, 1, dim);
}

bool
params_has(const struct params *ps, const char *name)
{
	return weights_find(ps->w, name) != NULL;
}

enum status
params_shape(const struct params *ps, const char *name, int rank, int64_t dim[TENSOR_RANK])
{
	const struct st_entry *e = weights_find(ps->w, name);
	char text[80];

	if (!e)
		return ace_fail(ACE_EDATA, "%s: tensor %s is missing", ps->w->path, name);
	if (e->value.rank != rank)
		return ace_fail(ACE_EDATA, "%s: tensor %s has shape %s, wanted %d dimensions", ps->w->path, name,
		                tensor_shape_text(e->value, text, sizeof text), rank);
	for (int i = 0; i < rank; i++)
		dim[i] = e->value.dim[i];
	return ACE_OK;
}

struct param *
params_find(const struct params *ps, const char *name)
{
	for (int i = 0; i < ps->n; i++)
		if (strcmp(ps->param[i]->name, name) == 0)
			return ps->param[i];
	return NULL;
}

static bool
ends_as(const char *module, const char *target)
{
	size_t n = strlen(module), k = strlen(target);

	if (n < k || strcmp(module + n - k, target) != 0)
		return false;
	return n == k || module[n - k - 1] == '.';
}

bool
params_is_target(const char *module, const struct lora_options *o)
{
	for (int i = 0; i < o->n_targets; i++)
		if (ends_as(module, o->target[i]))
			return true;
	return false;
}

static enum status
adapter_param(struct params *ps, struct param *p, const char *module, const char *ending, int64_t rows, int64_t cols)
{
	size_t bytes = (size_t)rows * (size_t)cols * sizeof(float);
	void *data;

	*p = (struct param){ .train = true };
	ACE_TRY(keep_text(ps, module, ending, &p->name));
	ACE_TRY(params_own(ps, bytes, p->name, &data));
	p->value = tensor_of(data, F32, 2, rows, cols);
	ps->dev->k->fill(ps->dev, p->value, 0.f);
	return list_param(ps, p);
}

enum status
params_add_adapter(struct params *ps, int module, int64_t rank, float scale, float dropout)
{
	const char *name = ps->module[module].name;
	struct linear *l = ps->module[module].l;

	assert(module >= 0 && module < ps->n_modules);
	if (l->rank > 0)
		return ace_fail(ACE_ECONFIG, "module %s already has an adapter", name);
	if (rank < 1 || !(dropout >= 0.f && dropout < 1.f))
		return ace_fail(ACE_ECONFIG, "adapter of %s: rank %lld and dropout %g, wanted rank >= 1 and 0 <= dropout < 1", name,
		                (long long)rank, (double)dropout);
	ACE_TRY(adapter_param(ps, &l->lora_a, name, ".lora_A.weight", rank, linear_in(l)));
	ACE_TRY(adapter_param(ps, &l->lora_b, name, ".lora_B.weight", linear_out(l), rank));
	l->rank = rank;
	l->scale = scale;
	l->dropout = dropout;
	ps->changes++;
	return ACE_OK;
}

/* A by the rule of the options; B stays zero. */
static enum status
init_a(struct params *ps, int module, const struct lora_options *o)
{
	struct tensor a = ps->module[module].l->lora_a.value;
	struct rng r = rng_stream(o->seed, RNG_INIT, 0, (uint64_t)module);
	float bound = 1.f / sqrtf((float)a.dim[1]), *host;
	int64_t n = tensor_count(a);

	if (dev_is_dry(ps->dev))
		return ACE_OK;
	host = malloc(tensor_bytes(a));
	if (!host)
		return ace_fail(ACE_ENOMEM, "no memory to initialise %s", ps->module[module].l->lora_a.name);
	if (o->init == LORA_INIT_GAUSSIAN)
		rng_normal_fill(r, host, n);
	for (int64_t i = 0; i < n; i++)
		host[i] = o->init == LORA_INIT_GAUSSIAN ? host[i] / (float)o->rank
		                                        : bound * (2.f * rng_uniform(r, (uint64_t)i) - 1.f);
	ps->dev->m->upload(ps->dev, a.data, host, tensor_bytes(a));
	free(host);
	return ACE_OK;
}

enum status
params_add_lora(struct params *ps, const struct lora_options *o)
{
	float scale = o->rslora ? o->alpha / sqrtf((float)o->rank) : o->alpha / (float)o->rank;

	for (int t = 0; t < o->n_targets; t++) {
		bool found = false;
		for (int i = 0; i < ps->n_modules && !found; i++)
			found = ends_as(ps->module[i].name, o->target[t]);
		if (!found)
			return ace_fail(ACE_ECONFIG, "adapter target %s matches no linear module", o->target[t]);
	}
	for (int i = 0; i < ps->n_modules; i++) {
		if (ps->module[i].l->rank > 0 || !params_is_target(ps->module[i].name, o))
			continue;
		ACE_TRY(params_add_adapter(ps, i, o->rank, scale, o->dropout));
		ACE_TRY(init_a(ps, i, o));
	}
	return ACE_OK;
}

static bool
is_adapter(const char *name)
{
	return ends_as(name, "lora_A.weight") || ends_as(name, "lora_B.weight");
}

enum status
params_train(struct params *ps, const char *prefix)
{
	for (int i = 0; i < ps->n; i++) {
		struct param *p = ps->param[i];
		void *copy;

		if (p->train || is_adapter(p->name) || strncmp(p->name, prefix, strlen(prefix)) != 0)
			continue;
		if (p->scale.rank)
			return ace_fail(ACE_ECONFIG, "%s is kept in %d bits (base_model_precision) and cannot train", p->name, ps->base == I4 ? 4 : 8);
		p->train = true;
		ps->changes++;
		if (dev_like(ps->dev) == DEV_CUDA || weights_is_copy(ps->w, p->value) || (dev_is_dry(ps->dev) && !p->value.data))
			continue;	/* it is a copy already */
		ACE_TRY(params_own(ps, tensor_bytes(p->value), p->name, &copy));
		if (copy) {
			ps->dev->m->upload(ps->dev, copy, p->value.data, tensor_bytes(p->value));
			weights_let_go(ps->w, p->value);
		}
		p->value.data = copy;
	}
	return ACE_OK;
}

/* The gradients of one type, on top of a; measured, or laid out where a has a base. */
static void
place_grads(struct params *ps, struct arena *a, enum dtype type)
{
	for (int i = 0; i < ps->n; i++) {
		struct param *p = ps->param[i];
		if (p->train && p->grad.dtype == type)
			p->grad = arena_like(a, p->grad);
	}
}

static void
choose_types(struct params *ps)
{
	for (int i = 0; i < ps->n_modules && ps->half_grads && dev_like(ps->dev) == DEV_CUDA; i++) {
		struct param *w = &ps->module[i].l->w;
		if (w->train && w->value.dtype == BF16)
			w->grad.dtype = BF16;
	}
}

enum status
params_alloc_grads(struct params *ps, struct tensor *all)
{
	struct arena a = { 0 };
	struct tensor block;
	size_t whole;
	void *data;

	choose_types(ps);
	place_grads(ps, &a, F32);
	whole = a.used;
	place_grads(ps, &a, BF16);
	if (ps->far_grads && dev_like(ps->dev) == DEV_CUDA) {
		ACE_TRY(dev_alloc_far(ps->dev, ps->far_bytes = a.used, "the gradients", &ps->far));
		data = ps->far;
	} else {
		ACE_TRY(params_own(ps, a.used, "the gradients", &data));
	}
	block = tensor_of(data, F32, 1, (int64_t)(a.used / sizeof(float)));
	ps->dev->k->fill(ps->dev, block, 0.f);
	if (a.used > whole)
		ps->half = tensor_of(data ? (char *)data + whole : NULL, BF16, 1, (int64_t)((a.used - whole) / sizeof(uint16_t)));
	a = (struct arena){ .base = data, .size = a.used };
	place_grads(ps, &a, F32);
	place_grads(ps, &a, BF16);
	block.dim[0] = (int64_t)(whole / sizeof(float));
	if (all)
		*all = block;
	return ACE_OK;
}
