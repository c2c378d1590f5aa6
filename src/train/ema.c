/* SPDX-License-Identifier: Apache-2.0 */
#include "train/ema.h"

#include "kernels/kernels.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double
ema_decay(const struct ema_options *o, int64_t t)
{
	double s = (double)(t > 1 ? t - 1 : 0), d;

	if (o->warmup > 0)
		return t < o->warmup ? 0 : o->decay;
	d = (1 + s) / (10 + s);
	if (s == 0)
		return 0;
	return d < o->decay ? d : o->decay;
}

/* Lay out the weights, the places of exchanges and the shadows. */
static void
place(struct ema *e, struct arena *a)
{
	int64_t most = 0;

	e->weight = arena_tensor(a, F32, 1, 1 + e->n);
	for (int i = 0; i < e->n; i++) {
		struct tensor v = e->param[i]->value;
		e->shadow[i] = arena_make(a, F32, v.rank, v.dim);
		most = tensor_count(v) > most ? tensor_count(v) : most;
	}
	e->spare[0] = arena_tensor(a, F32, 1, most);
	if (e->dev != e->from)
		e->spare[1] = arena_tensor(a, F32, 1, most);
}

static enum status
open_lists(struct ema *e, struct param *const *param, const struct ema_place *at, int n)
{
	e->param = calloc((size_t)n + 1, sizeof *e->param);
	e->place = calloc((size_t)n + 1, sizeof *e->place);
	e->shadow = calloc((size_t)n + 1, sizeof *e->shadow);
	e->y = calloc((size_t)n + 1, sizeof *e->y);
	e->z = calloc((size_t)n + 1, sizeof *e->z);
	e->pull = calloc((size_t)n + 1, sizeof *e->pull);
	if (!e->param || !e->place || !e->shadow || !e->y || !e->z || !e->pull)
		return ace_fail(ACE_ENOMEM, "no memory for a list of %d averages", n);
	for (int i = 0; i < n; i++)
		if (param[i]->train) {
			e->place[e->n] = at ? at[i] : (struct ema_place){ 0 };
			e->param[e->n++] = param[i];
		}
	return ACE_OK;
}

static enum status
open_all(struct ema *e, struct param *const *param, const struct ema_place *at, int n)
{
	struct arena a = { 0 };

	if (e->opt.host && e->from->kind == DEV_CUDA) {
		ACE_TRY(dev_open(&e->own, DEV_CPU, 0));
		kernels_attach(&e->own);
		e->dev = &e->own;
	}
	ACE_TRY(open_lists(e, param, at, n));
	place(e, &a);
	e->bytes = a.used;
	ACE_TRY(dev_alloc(e->dev, e->bytes, "averages of the weights", &e->memory));
	a = (struct arena){ .base = e->memory, .size = e->bytes };
	place(e, &a);
	e->next = e->dev->m->pinned(e->dev, (size_t)(1 + e->n) * sizeof *e->next);
	if (!e->next)
		return ace_fail(ACE_ENOMEM, "no memory for the weight of an average");
	ema_restart(e);
	return e->dev->status;
}

enum status
ema_init(struct ema *e, struct dev *d, const struct ema_options *o, struct param *const *param, const struct ema_place *at, int n)
{
	enum status st;

	assert(o->interval >= 1 && n >= 0);
	*e = (struct ema){ .dev = d, .from = d, .opt = *o };
	st = open_all(e, param, at, n);
	if (st != ACE_OK)
		ema_free(e);
	return st;
}

void
ema_free(struct ema *e)
{
	if (!e || !e->dev)
		return;
	free(e->param);
	free(e->place);
	free(e->shadow);
	free(e->y);
	free(e->z);
	free(e->pull);
	if (e->memory)
		e->dev->m->free(e->dev, e->memory);
	if (e->next)
		e->dev->m->unpin(e->dev, e->next);
	if (e->dev == &e->own)
		dev_close(&e->own);
	*e = (struct ema){ 0 };
}

void
ema_follow(struct ema *e, const struct optim *o)
{
	if (!optim_averages(o->set.rule))
		return;
	for (int i = 0; i < e->n; i++) {
		struct tensor master = optim_state(o, e->param[i], "master"), z = optim_state(o, e->param[i], "z");
		if (!z.rank)
			continue;
		e->y[i] = master;
		e->z[i] = z;
		e->pull[i] = (float)(1 - 1 / o->set.beta1);
	}
}

static struct tensor
within(struct tensor room, struct tensor x)
{
	x.data = room.data;
	return x;
}

/* x as dev sees it: itself, or a copy in one of the spare places. */
static struct tensor
here(struct ema *e, struct tensor x, int spare)
{
	struct tensor y = within(e->spare[spare], x);

	if (e->dev == e->from)
		return x;
	e->from->m->download(e->from, y.data, x.data, tensor_bytes(x));
	return y;
}

/* What is averaged of param i. */
static struct tensor
shown(struct ema *e, int i)
{
	struct tensor x = e->spare[0], y = here(e, e->y[i].rank ? e->y[i] : e->param[i]->value, 0), z;

	if (!e->z[i].rank)
		return y;
	assert(y.dtype == F32 && e->z[i].dtype == F32);
	x = within(x, y);
	if (x.data != y.data)
		e->dev->k->copy(e->dev, x, y);
	z = here(e, e->z[i], 1);
	e->dev->k->lerp(e->dev, x, z, tensor_slice(e->weight, 1 + i, 1));
	return x;
}

static void
send(struct ema *e, double weight)
{
	e->next[0] = (float)weight;
	memcpy(e->next + 1, e->pull, (size_t)e->n * sizeof *e->next);
	e->dev->m->upload_later(e->dev, e->weight.data, e->next, tensor_bytes(e->weight));
}

void
ema_turn(struct ema *e, int turn)
{
	for (int i = 0; i < e->n; i++) {
		if (e->place[i].turn != turn)
			continue;
		if (e->anew)
			e->dev->k->copy(e->dev, e->shadow[i], shown(e, i));
		else
			e->dev->k->lerp(e->dev, e->shadow[i], shown(e, i), tensor_slice(e->weight, 0, 1));
	}
}

double
ema_update(struct ema *e, int64_t t)
{
	double decay = ema_decay(&e->opt, t);

	if (t % e->opt.interval != 0)
		return -1;
	send(e, 1 - decay);
	e->anew = false;
	ema_turn(e, 0);
	return decay;
}

void
ema_restart(struct ema *e)
{
	send(e, 0);
	e->anew = true;
	ema_turn(e, 0);
}

/* The average of param i in the place of its value. */
static void
show(struct ema *e, int i)
{
	struct tensor value = e->param[i]->value, x = within(e->spare[0], value);

	if (e->dev == e->from) {
		e->dev->k->copy(e->dev, value, e->shadow[i]);
		return;
	}
	e->dev->k->copy(e->dev, x, e->shadow[i]);
	e->from->m->upload(e->from, value.data, x.data, tensor_bytes(x));
}

void
ema_show(struct ema *e, int turn)
{
	for (int i = 0; i < e->n; i++)
		if (e->place[i].turn == turn)
			show(e, i);
}

struct tensor
ema_shadow(const struct ema *e, const char *name, int64_t *first)
{
	for (int i = 0; i < e->n; i++)
		if (strcmp(e->param[i]->name, name) == 0) {
			if (first)
				*first = e->place[i].first;
			return e->shadow[i];
		}
	return (struct tensor){ 0 };
}
