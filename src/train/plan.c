/* SPDX-License-Identifier: Apache-2.0 */
#include "train/plan.h"

#include "data/prefetch.h"
#include "models/lyrics_file.h"

#include <assert.h>
#include <stdlib.h>

const char *
plan_name(enum plan_part part)
{
	switch (part) {
	case PLAN_BASE_MAPPED: return "base weights, mapped";
	case PLAN_BASE_COPIED: return "base weights, converted";
	case PLAN_BASE_QUANTIZED: return "base weights, in few bits";
	case PLAN_TRAINED: return "values that train";
	case PLAN_GRADS: return "gradients";
	case PLAN_GATHERED: return "blocks that are put together";
	case PLAN_STATES: return "optimizer states";
	case PLAN_AVERAGE: return "averages of the values";
	case PLAN_ACTIVATIONS: return "activations";
	case PLAN_WORKSPACE: return "workspace";
	case PLAN_BATCHES: return "batches";
	case PLAN_SAVING: return "checkpoint being saved";
	case PLAN_PARTS: break;
	}
	return "";
}

size_t
plan_total(const struct plan *p)
{
	size_t sum = 0;

	for (int i = 0; i < PLAN_PARTS; i++)
		sum += p->bytes[i];
	return sum;
}

static void
count(struct plan *p, const struct dit *m)
{
	for (int i = 0; i < m->weights.n; i++)
		for (int k = 0; k < m->weights.file[i].n; k++)
			p->parameters += tensor_count(m->weights.file[i].entry[k].value);
	for (int i = 0; i < dit_n_params(m); i++) {
		const struct param *q = m->params.param[i];
		const struct st_entry *e = weights_find(&m->weights, q->name);
		if (e)
			p->used += tensor_count(q->value);
		if (!q->train)
			continue;
		p->trained += tensor_count(q->value);
		p->bytes[PLAN_TRAINED] += tensor_bytes(q->value);
		if (e && e->value.dtype != q->value.dtype)	/* counted as a copy when it was read */
			p->bytes[PLAN_BASE_COPIED] -= tensor_bytes(q->value);
	}
	for (int i = 0; i < m->params.n_modules; i++)
		p->modules += m->params.module[i].l->rank > 0;
}

/* The frozen weights that lie in the mapping of their file. */
static enum status
mapped(const struct dit *m, size_t *bytes)
{
	int all = dit_n_params(m);
	struct tensor *x = malloc((size_t)all * sizeof *x + 1);

	if (!x)
		return ace_fail(ACE_ENOMEM, "no memory for a plan");
	for (int i = 0; i < all; i++)
		x[i] = m->params.param[i]->value;
	*bytes = weights_resident(&m->weights, x, all);
	free(x);
	return ACE_OK;
}

static size_t
lyrics_bytes(const struct dit *m)
{
	size_t sum = 0;

	for (int i = 0; i < dit_n_params(m); i++)
		if (lyrics_file_holds(m->params.param[i]->name))
			sum += tensor_bytes(m->params.param[i]->value);
	return sum;
}

static size_t
scale_bytes(const struct dit *m)
{
	size_t sum = 0;

	for (int i = 0; i < dit_n_params(m); i++)
		if (m->params.param[i]->scale.rank)
			sum += tensor_bytes(m->params.param[i]->scale);
	return sum;
}

static enum status
host_parts(struct plan *p, const struct dit *m, const struct step *s, const struct step_needs *needs)
{
	size_t tensors = p->bytes[PLAN_TRAINED];
	struct exchange_bytes parts;

	ACE_TRY(mapped(m, &p->bytes[PLAN_BASE_MAPPED]));
	if (exchange_takes(s->o.exchange, &parts)) {
		if (s->o.exchange->sharding != SHARDING_OPTIMIZER) {
			p->bytes[PLAN_BASE_MAPPED] = 0;
			p->bytes[PLAN_BASE_COPIED] = parts.frozen;
			p->bytes[PLAN_BASE_QUANTIZED] = scale_bytes(m);	/* the numbers are among the frozen */
		}
		p->bytes[PLAN_TRAINED] = tensors = parts.trained;
		p->bytes[PLAN_GRADS] = parts.grads;
		p->bytes[PLAN_GATHERED] = parts.room;
	}
	p->bytes[PLAN_WORKSPACE] = needs->workspace;
	p->bytes[PLAN_BATCHES] = (PREFETCH_RING + 1) * s->stage_bytes;
	/* each rank has what it writes; files of adapters are the first one's */
	p->bytes[PLAN_SAVING] = p->checkpoint / (size_t)exchange_ranks(s->o.exchange);
	if (p->modules > 0 && exchange_ranks(s->o.exchange) > 1)
		p->bytes[PLAN_SAVING] += p->trained_bytes * (s->o.ema.interval ? 2 : 1);
	if (s->o.ema.interval)			/* the values, while averages are in their place */
		p->bytes[PLAN_SAVING] += tensors;
	return ACE_OK;
}

/* All that was asked of the device is known; what is neither trained nor of the step are the base weights. */
static void
device_parts(struct plan *p, const struct dev *d, const struct step *s, const struct step_needs *needs)
{
	enum { PRODUCTS = 40 << 20 };		/* cuBLASLt's work space */
	struct exchange_bytes parts;
	size_t rest = d->bytes;

	if (exchange_takes(s->o.exchange, &parts)) {
		p->bytes[PLAN_TRAINED] = parts.trained;
		p->bytes[PLAN_GRADS] = parts.grads;
		p->bytes[PLAN_GATHERED] = parts.room;
	}
	p->bytes[PLAN_BATCHES] = s->stage_bytes;
	p->bytes[PLAN_BASE_COPIED] = 0;
	if (s->o.ema.host) {
		rest -= s->ema.bytes;
		p->bytes[PLAN_AVERAGE] = 0;
	}
	for (int i = 0; i < PLAN_PARTS; i++)
		rest -= p->bytes[i];
	p->bytes[PLAN_BASE_COPIED] = rest;
	p->bytes[PLAN_WORKSPACE] = needs->workspace + PRODUCTS;
}

enum status
plan_make(struct plan *p, const struct dit *m, struct step *s)
{
	struct step_needs needs;
	size_t files, states;

	assert(dev_is_dry(m->dev));
	*p = (struct plan){ .shape = s->room, .device = dev_like(m->dev) };
	p->bytes[PLAN_BASE_COPIED] = m->weights.copied;
	p->bytes[PLAN_BASE_QUANTIZED] = m->params.quantized;
	count(p, m);
	p->host = s->optim.far_bytes + s->groups.optim.far_bytes + m->params.far_bytes;
	if (!m->params.far_bytes)
		p->bytes[PLAN_GRADS] = tensor_bytes(s->grads) + (m->params.half.rank ? tensor_bytes(m->params.half) : 0);
	p->bytes[PLAN_STATES] = s->optim.bytes + s->groups.optim.bytes;
	states = p->bytes[PLAN_STATES] + s->optim.far_bytes + s->groups.optim.far_bytes;
	/* raw values, the same once more as files for other programs, and the states: whole, whoever has them */
	files = p->trained_bytes = p->bytes[PLAN_TRAINED];
	if (s->o.groups.lyrics && p->modules == 0)
		files += lyrics_bytes(m);	/* by itself, beside the whole model */
	p->checkpoint = files + p->bytes[PLAN_TRAINED] + states * (size_t)exchange_parts(s->o.exchange);
	if (s->o.ema.interval)			/* raw averages, and files of them */
		p->checkpoint += files + (size_t)p->trained * sizeof(float);
	ACE_TRY(step_measure(s, s->room, &needs));
	p->bytes[PLAN_ACTIVATIONS] = needs.arena + s->rollout.bytes;
	p->flops = needs.flops;
	p->ranks = exchange_ranks(s->o.exchange);
	p->sent = exchange_traffic(s->o.exchange, s->o.accumulation);
	p->calls = needs.calls;
	p->bytes[PLAN_AVERAGE] = s->ema.bytes;
	if (p->device != DEV_CUDA)
		return host_parts(p, m, s, &needs);
	device_parts(p, m->dev, s, &needs);
	return ACE_OK;
}

size_t
plan_checkpoint(const struct plan *p)
{
	return p->checkpoint;
}
