/* SPDX-License-Identifier: Apache-2.0 */
/* params_pack.c - weights side by side, with their adapters around them (layers/linears.h) */
#include "models/params.h"

#include "kernels/kernels.h"
#include "ops/adapters.h"
#include "ops/quant.h"

#include <stdlib.h>
#include <string.h>

static bool
can_pack(const struct params *ps, struct linear *const l[], int n)
{
	bool train = false, adapted = false;

	if (dev_like(ps->dev) != DEV_CUDA || ps->dtype != BF16 || ps->apart)
		return false;
	for (int i = 0; i < n; i++) {
		if (!l[i]->w.scale.rank && l[i]->w.value.dtype != BF16)	/* F32, because it trains */
			return false;
		if (linear_in(l[i]) % 8 || linear_out(l[i]) % 8 || linear_in(l[i]) != linear_in(l[0]))
			return false;
		if ((l[i]->w.scale.rank > 0) != (l[0]->w.scale.rank > 0))
			return false;
		train |= l[i]->w.train;
		adapted |= l[i]->rank > 0;
		if (l[i]->rank > 0 && i > 0 && l[0]->rank > 0 && l[i]->dropout != l[0]->dropout)
			return false;
	}
	return !(train && adapted);		/* an update of the weights would not know the rows' distance */
}

/* The biases one behind the other; those that train move there, of others it is a copy in the type of the results. */
static enum status
pack_biases(struct params *ps, struct linears *g, struct linear *const l[], int n, enum dtype result)
{
	struct dev *d = ps->dev;
	bool train = false;
	int64_t at = 0;
	void *data;

	g->b = (struct tensor){ 0 };
	for (int i = 0; i < n; i++) {
		if (!l[i]->b.value.rank)
			return ACE_OK;
		train |= l[i]->b.train;
	}
	ACE_TRY(params_own(ps, (size_t)g->out * sizeof(float), l[0]->b.name, &data));
	g->b = tensor_of(data, train ? F32 : result, 1, g->out);
	for (int i = 0; i < n; i++) {
		struct tensor part = tensor_slice(g->b, at, linear_out(l[i]));
		d->k->copy(d, part, l[i]->b.value);
		at += linear_out(l[i]);
		if (train) {
			d->m->sync(d);
			params_disown(ps, l[i]->b.value.data);
			l[i]->b.value = part;
		}
	}
	return d->status;
}

static enum status
add_place(struct params *ps, struct linears *g, const struct linear *l, int64_t row, int64_t col, int64_t across)
{
	if (ps->n_places == ps->places_cap) {
		int cap = ps->places_cap ? 2 * ps->places_cap : 64;
		void *more = realloc(ps->place, (size_t)cap * sizeof *ps->place);
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for the places of %d adapters", cap);
		ps->place = more;
		ps->places_cap = cap;
	}
	ps->place[ps->n_places++] = (struct adapter_place){ .a = l->lora_a.value.data, .b = l->lora_b.value.data,
		.rows = (uint16_t *)g->below.data + col * tensor_ld(g->below),
		.columns = (uint16_t *)g->right.data + row * tensor_ld(g->right) + col,
		.across = (uint16_t *)g->across.data + across, .in = g->in, .out = linear_out(l), .rank = l->rank,
		.ld = tensor_ld(g->below), .ld_columns = tensor_ld(g->right), .scale = l->scale };
	if (g->in > ps->widest)
		ps->widest = g->in;
	if (linear_out(l) > ps->widest)
		ps->widest = linear_out(l);
	return ACE_OK;
}

/* Where weights stood alone, or in a former pack, their memory is given back. */
static enum status
pack_weights(struct params *ps, struct linears *g, struct linear *const l[], int n)
{
	struct dev *d = ps->dev;
	void *former = g->w.data, *data;
	struct tensor w;
	int64_t row = 0;

	if (n == 1 && g->r == 0 && !l[0]->w.value.ld) {
		g->w = tensor_view(l[0]->w.value, 2, g->out, g->in);
		return ACE_OK;
	}
	w = tensor_of(NULL, BF16, 2, g->out + g->r, g->in + g->r);
	ACE_TRY(params_own(ps, tensor_bytes(w), l[0]->w.name, &data));
	w.data = data;
	if (g->r)
		d->k->fill(d, w, 0.f);
	for (int i = 0; i < n; i++) {
		int64_t out = linear_out(l[i]);
		struct tensor to = tensor_columns(tensor_slice(w, row, out), 0, g->in), from = l[i]->w.value;
		if (!g->r)
			to = tensor_slice(w, row, out);
		d->k->copy(d, to, from.ld ? from : tensor_view(from, 2, out, g->in));
		if (!from.ld && !former) {
			d->m->sync(d);
			params_disown(ps, from.data);
		}
		l[i]->w.value = to;
		row += out;
	}
	d->m->sync(d);
	if (former)
		params_disown(ps, former);
	g->w = w;
	g->right = (struct tensor){ 0 };
	g->below = (struct tensor){ 0 };
	if (g->r) {
		g->right = tensor_columns(tensor_slice(w, 0, g->out), g->in, g->r);
		g->below = tensor_columns(tensor_slice(w, g->out, g->r), 0, g->in);
	}
	return d->status;
}

/* The 8 or 4 bits and scales of several layers one behind the other; once, as they do not depend on adapters. */
static enum status
join_quantized(struct params *ps, struct linears *g, struct linear *const l[], int n)
{
	struct tensor q = tensor_of(NULL, l[0]->w.value.dtype, 2, g->out, g->in);
	struct tensor scale = l[0]->w.scale;
	struct dev *d = ps->dev;
	int64_t row = 0;

	if (n == 1) {
		g->q = tensor_view(l[0]->w.value, 2, g->out, g->in);
		g->scale = l[0]->w.scale;
		return ACE_OK;
	}
	scale.dim[0] = g->out;
	ACE_TRY(params_own(ps, tensor_bytes(q), l[0]->w.name, &q.data));
	ACE_TRY(params_own(ps, tensor_bytes(scale), l[0]->w.name, &scale.data));
	for (int i = 0; i < n; i++) {
		int64_t out = linear_out(l[i]);
		struct tensor part = tensor_slice(q, row, out), scales = tensor_slice(scale, row, out);
		d->k->copy(d, part, tensor_view(l[i]->w.value, 2, out, g->in));
		d->k->copy(d, scales, l[i]->w.scale);
		d->m->sync(d);
		params_disown(ps, l[i]->w.value.data);
		params_disown(ps, l[i]->w.scale.data);
		l[i]->w.value = part;
		l[i]->w.scale = scales;
		row += out;
	}
	g->q = q;
	g->scale = scale;
	return d->status;
}

/* e4m3 of sizes that the tensor cores take goes into products as it is: backward reads it the other way round. */
static enum status
turn(struct params *ps, struct linears *g, struct linear *const l[], int n)
{
	struct tensor turned = tensor_of(NULL, F8, 2, g->in, g->out), ones = tensor_of(NULL, F32, 1, g->in);

	if (g->q.dtype != F8 || g->in % 16)
		return ACE_OK;
	for (int i = 0; i < n; i++)
		if (linear_out(l[i]) % 16)
			return ACE_OK;
	ACE_TRY(params_own(ps, tensor_bytes(turned), l[0]->w.name, &turned.data));
	ACE_TRY(params_own(ps, tensor_bytes(ones), l[0]->w.name, &ones.data));
	quant_f8_turn(ps->dev, turned, g->q);
	ps->dev->k->fill(ps->dev, ones, 1.f);
	g->turned = turned;
	g->ones = ones;
	return ps->dev->status;
}

static enum status
pack_quantized(struct params *ps, struct linears *g, struct linear *const l[], int n)
{
	struct dev *d = ps->dev;

	if (!g->q.rank) {
		ACE_TRY(join_quantized(ps, g, l, n));
		ACE_TRY(turn(ps, g, l, n));
	}
	params_disown(ps, g->right.data);
	params_disown(ps, g->below.data);
	g->w = tensor_of(NULL, BF16, 2, g->out + g->r, g->in + g->r);
	g->right = g->below = (struct tensor){ 0 };
	if (!g->r)
		return ACE_OK;
	g->right = tensor_of(NULL, BF16, 2, g->out, g->r);
	g->below = tensor_of(NULL, BF16, 2, g->r, g->in);
	ACE_TRY(params_own(ps, tensor_bytes(g->right), l[0]->lora_b.name, &g->right.data));
	ACE_TRY(params_own(ps, tensor_bytes(g->below), l[0]->lora_a.name, &g->below.data));
	d->k->fill(d, g->right, 0.f);
	return d->status;
}

enum status
params_pack(struct params *ps, struct linears *g, struct linear *const l[], int n, enum dtype result)
{
	int64_t row = 0, col = 0, across = 0, size = 0;
	void *data;

	if (!can_pack(ps, l, n))
		return ACE_OK;
	params_disown(ps, g->b.data);
	params_disown(ps, g->across.data);
	g->in = linear_in(l[0]);
	g->out = g->r = 0;
	for (int i = 0; i < n; i++) {
		g->out += linear_out(l[i]);
		g->r += adapter_width(l[i]->rank);
		size += adapter_width(l[i]->rank) * linear_out(l[i]);
	}
	ACE_TRY(l[0]->w.scale.rank ? pack_quantized(ps, g, l, n) : pack_weights(ps, g, l, n));
	ACE_TRY(pack_biases(ps, g, l, n, result));
	g->across = (struct tensor){ 0 };
	if (!g->r)
		return ACE_OK;
	ACE_TRY(params_own(ps, (size_t)size * 2, l[0]->lora_b.name, &data));
	g->across = tensor_of(data, BF16, 1, size);
	for (int i = 0; i < n; i++) {
		if (l[i]->rank > 0)
			ACE_TRY(add_place(ps, g, l[i], row, col, across));
		row += linear_out(l[i]);
		col += adapter_width(l[i]->rank);
		across += adapter_width(l[i]->rank) * linear_out(l[i]);
	}
	return ACE_OK;
}

void
params_pack_begin(struct params *ps)
{
	params_disown(ps, ps->table.data);
	ps->table = (struct tensor){ 0 };
	ps->n_places = 0;
	ps->widest = 0;
}

enum status
params_pack_end(struct params *ps)
{
	size_t bytes = (size_t)ps->n_places * sizeof *ps->place;
	void *data;

	if (!ps->n_places)
		return ACE_OK;
	ACE_TRY(params_own(ps, bytes, "the places of adapters", &data));
	ps->dev->m->upload(ps->dev, data, ps->place, bytes);
	ps->table = tensor_of(data, I64, 1, (int64_t)(bytes / sizeof(int64_t)));
	return ps->dev->status;
}

void
params_spread(const struct params *ps, struct dev *d)
{
	if (ps->n_places)
		adapters_spread(d, ps->table, ps->n_places, ps->widest);
}
