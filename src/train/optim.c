/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optim.h"

#include "kernels/kernels.h"
#include "kernels/optim_formula.h"
#include "train/optim_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CODES_BLOCK = 256, CODES_LEAST = 4096, FACTORS_LEAST = 32 };

static_assert(OPTIM_GROUPS == 2, "a name for each group's scalars");

static void
name_scalars(struct optim *o, const char *const *name)
{
	for (int i = 1; *name; i++, name++) {
		assert(i < OPTIM_SCALARS);
		o->scalar[i].name = *name;
	}
}

void
optim_init(struct optim *o, struct dev *d, const struct optim_settings *set, uint64_t seed)
{
	*o = (struct optim){ .dev = d, .set = *set, .seed = seed };
	o->scalar[SCALAR_T].name = "t";
	if (set->rule == OPTIM_SCHEDULEFREE)
		name_scalars(o, (const char *const[]){ "lr_max.0", "lr_max.1", "weight_sum.0", "weight_sum.1", NULL });
	if (set->rule == OPTIM_PRODIGY) {
		static const char *const names[] = { "d", "d_numerator", "d_denominator", "weight_sum.0", "weight_sum.1", NULL };
		name_scalars(o, names);
		o->scalar[SCALAR_D].value = set->d0;
	}
}

void
optim_free(struct optim *o)
{
	if (!o)
		return;
	if (o->memory)
		o->dev->m->free(o->dev, o->memory);
	if (o->pinned)
		o->dev->m->unpin(o->dev, o->pinned);
	if (o->far)
		o->dev->m->unpin(o->dev, o->far);
	free(o->item);
	*o = (struct optim){ 0 };
}

enum status
optim_add(struct optim *o, struct param *p, int group, int64_t number, int64_t first)
{
	struct optim_item *more;

	assert(group >= 0 && group < OPTIM_GROUPS && first >= 0 && !o->pinned);
	if (!p->train)
		return ACE_OK;
	assert(p->value.dtype == F32 || p->value.dtype == BF16);
	assert((p->grad.dtype == F32 || p->grad.dtype == BF16) && tensor_count(p->grad) == tensor_count(p->value));
	if (o->n == o->cap) {
		int cap = o->cap ? 2 * o->cap : 64;
		more = realloc(o->item, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for a list of %d parameters", cap);
		o->item = more;
		o->cap = cap;
	}
	o->item[o->n++] = (struct optim_item){ .p = p, .group = group, .number = number, .first = first,
		.whole = tensor_count(p->value) };
	return ACE_OK;
}

enum status
optim_add_part(struct optim *o, struct param *p, int group, int64_t number, int64_t first, int64_t whole)
{
	assert(optim_parts(o->set.rule) && p->train && p->value.rank == 1 && first % CODES_BLOCK == 0);
	ACE_TRY(optim_add(o, p, group, number, first));
	o->item[o->n - 1].whole = whole;
	return ACE_OK;
}

/* Append a state of a type, shaped as the value or by rank and dim. */
static void
add_state(struct optim_item *it, struct arena *a, const char *name, enum dtype t, int rank, const int64_t dim[])
{
	int i = 0;

	while (it->state[i].name)
		i++;
	assert(i < OPTIM_STATES - 1);
	it->state[i] = (struct optim_state){ name, arena_make(a, t, rank, dim) };
}

static void
add_like(struct optim_item *it, struct arena *a, const char *name, enum dtype t)
{
	add_state(it, a, name, t, it->p->value.rank, it->p->value.dim);
}

static void
add_codes(struct optim_item *it, struct arena *a)
{
	enum dtype type = it->p->value.dtype;
	int64_t count = tensor_count(it->p->value), blocks[1] = { count / CODES_BLOCK };

	if (it->whole < CODES_LEAST || it->whole % CODES_BLOCK != 0) {
		add_like(it, a, "exp_avg", type);
		add_like(it, a, "exp_avg_sq", type);
		return;
	}
	add_like(it, a, "exp_avg.codes", U8);
	add_state(it, a, "exp_avg.scale", F32, 1, blocks);
	add_like(it, a, "exp_avg_sq.codes", U8);
	add_state(it, a, "exp_avg_sq.scale", F32, 1, blocks);
}

static void
add_factors(struct optim_item *it, struct arena *a)
{
	struct tensor v = it->p->value, row = v, col = v;

	if (v.rank < 2) {
		add_like(it, a, "variance", F32);
		return;
	}
	row.dim[v.rank - 1] = 1;
	col.dim[v.rank - 2] = 1;
	add_state(it, a, "row_var", F32, v.rank, row.dim);
	add_state(it, a, "col_var", F32, v.rank, col.dim);
}

static void
add_prodigy(const struct optim_settings *set, struct optim_item *it, struct arena *a)
{
	struct tensor v = it->p->value;
	int64_t some[1] = { (tensor_count(v) + PRODIGY_EVERY - 1) / PRODIGY_EVERY };
	bool large = v.rank == 2 && (v.dim[0] >= FACTORS_LEAST || v.dim[1] >= FACTORS_LEAST);

	add_like(it, a, "z", F32);
	if (set->factored && large) {
		add_state(it, a, "exp_avg_sq.row", F32, 1, &v.dim[0]);
		add_state(it, a, "exp_avg_sq.col", F32, 1, &v.dim[1]);
	} else {
		add_like(it, a, "exp_avg_sq", F32);
	}
	add_state(it, a, "s", BF16, 1, some);
	add_state(it, a, "p0", BF16, 1, some);
}

/* The state of one param under a rule. */
static void
add_states(const struct optim_settings *set, struct optim_item *it, struct arena *a)
{
	bool half = it->p->value.dtype == BF16;
	enum dtype type = half ? BF16 : F32;

	memset(it->state, 0, sizeof it->state);
	switch (set->rule) {
	case OPTIM_ADAMW_BF16:
		add_like(it, a, "exp_avg", type);
		add_like(it, a, "exp_avg_sq", type);
		return;
	case OPTIM_OPTIMI_ADAMW:
		add_like(it, a, "exp_avg", type);
		add_like(it, a, "exp_avg_sq", type);
		if (half)
			add_like(it, a, "kahan_comp", BF16);
		return;
	case OPTIM_LION:
		add_like(it, a, "exp_avg", type);
		if (half)
			add_like(it, a, "kahan_comp", BF16);
		return;
	case OPTIM_ADAMW8BIT: add_codes(it, a); return;
	case OPTIM_ADAMW: case OPTIM_ADAM: case OPTIM_STABLEADAMW:
		add_like(it, a, "exp_avg", F32);
		add_like(it, a, "exp_avg_sq", F32);
		break;
	case OPTIM_SGD: add_like(it, a, "momentum_buffer", F32); break;
	case OPTIM_ADAFACTOR: add_factors(it, a); break;
	case OPTIM_PRODIGY: add_prodigy(set, it, a); break;
	case OPTIM_SCHEDULEFREE:
		add_like(it, a, "z", F32);
		add_like(it, a, "exp_avg_sq", F32);
		break;
	}
	if (half)
		add_like(it, a, "master", F32);
}

void
optim_states_of(const struct optim *o, struct optim_item *it, struct param *whole)
{
	struct arena none = { 0 };

	*it = (struct optim_item){ .p = whole, .whole = tensor_count(whole->value) };
	add_states(&o->set, it, &none);
}

static bool
in_pieces(const struct optim *o)
{
	enum optim_rule r = o->set.rule;

	return dev_like(o->dev) == DEV_CUDA && (r == OPTIM_ADAMW || r == OPTIM_ADAM || r == OPTIM_ADAMW_BF16);
}

static int64_t
pieces_of(const struct optim_item *it)
{
	return (tensor_count(it->p->value) + UPDATE_PIECE - 1) / UPDATE_PIECE;
}

/* states: where these are, which may be a. */
static void
place(struct optim *o, struct arena *a, struct arena *states)
{
	const int64_t size = sizeof(struct update_piece);

	o->pieces = 0;
	for (int i = 0; in_pieces(o) && i < o->n; i++)
		o->pieces += pieces_of(&o->item[i]);
	if (o->pieces)
		o->table = arena_tensor(a, U8, 2, o->pieces, size);
	for (int i = 0; i < OPTIM_GROUPS; i++)
		o->numbers[i] = arena_tensor(a, F32, 1, OPTIM_NUMBERS);
	o->stream = arena_tensor(a, I64, 1, 2);
	if (o->set.rule == OPTIM_ADAMW8BIT)
		o->scratch = arena_tensor(a, F32, 2, 2, 256);
	else if (o->set.rule == OPTIM_SCHEDULEFREE)
		o->scratch = arena_tensor(a, F32, 1, 1);
	else if (o->set.rule == OPTIM_PRODIGY)
		o->scratch = arena_tensor(a, F32, 1, 2);
	for (int i = 0; i < o->n; i++)
		add_states(&o->set, &o->item[i], states);
}

struct tensor
optim_item_state(const struct optim_item *it, const char *name)
{
	for (int i = 0; i < OPTIM_STATES && it->state[i].name; i++)
		if (strcmp(it->state[i].name, name) == 0)
			return it->state[i].value;
	return (struct tensor){ 0 };
}

struct tensor
optim_weights(const struct optim_item *it)
{
	struct tensor master = optim_item_state(it, "master");

	return master.rank ? master : it->p->value;
}

void
optim_begin(struct optim *o, int turn)
{
	struct dev *d = o->dev;

	for (int i = 0; i < o->n; i++) {
		struct tensor z = optim_item_state(&o->item[i], "z"), master = optim_item_state(&o->item[i], "master");
		if (z.rank && o->item[i].turn == turn)
			d->k->copy(d, z, o->item[i].p->value);
		if (master.rank && o->item[i].turn == turn)
			d->k->copy(d, master, o->item[i].p->value);
	}
}

/* Masters and start points from the values; the code tables. */
static void
start(struct optim *o)
{
	struct dev *d = o->dev;

	optim_begin(o, 0);
	if (o->set.rule == OPTIM_ADAMW8BIT) {
		float table[2][256];
		optim_code_tables(table);
		d->m->upload(d, o->scratch.data, table, sizeof table);
	}
}

/* From x[at] on, x of a real device. */
static void *
from(struct tensor x, int64_t at)
{
	return (char *)x.data + at * (int64_t)dtype_size(x.dtype);
}

/* The table of all pieces, which are on the device by now. */
static enum status
fill_table(struct optim *o)
{
	struct update_piece *host = malloc((size_t)o->pieces * sizeof *host), *q = host;

	if (!host)
		return ace_fail(ACE_ENOMEM, "no memory for a list of %lld parts of an update", (long long)o->pieces);
	for (int i = 0; i < o->n; i++) {
		const struct optim_item *it = &o->item[i];
		struct tensor value = it->p->value, p = optim_weights(it), g = it->p->grad;
		struct tensor m = optim_item_state(it, "exp_avg"), v = optim_item_state(it, "exp_avg_sq");
		int64_t count = tensor_count(value);
		assert(!value.ld);
		for (int64_t at = 0; at < count; at += UPDATE_PIECE, q++) {
			*q = (struct update_piece){ .p = from(p, at), .m = from(m, at), .v = from(v, at), .g = from(g, at),
				.first = it->first + at, .number = it->number, .group = it->group,
				.count = (int32_t)(count - at < UPDATE_PIECE ? count - at : UPDATE_PIECE), .round = p.dtype == BF16,
				.half_g = g.dtype == BF16, .left = o->leaves_grads || it->p->once };
			if (p.data != value.data)
				q->w = from(value, at);
		}
	}
	o->dev->m->upload(o->dev, o->table.data, host, (size_t)o->pieces * sizeof *host);
	free(host);
	return o->dev->status;
}

enum status
optim_alloc(struct optim *o)
{
	struct dev *d = o->dev;
	bool far = o->set.far && dev_like(d) == DEV_CUDA;
	struct arena a = { 0 }, b = { 0 };

	assert(!o->pinned);
	place(o, &a, far ? &b : &a);
	o->bytes = a.used;
	o->far_bytes = b.used;
	ACE_TRY(dev_alloc(d, o->bytes, "the state of the optimizer", &o->memory));
	if (far)
		ACE_TRY(dev_alloc_far(d, o->far_bytes, "the state of the optimizer", &o->far));
	o->pinned = d->m->pinned(d, sizeof(struct optim_pinned));
	if (!o->pinned)
		return ace_fail(ACE_ENOMEM, "no memory for the numbers of an update");
	a = (struct arena){ .base = o->memory, .size = o->bytes };
	b = (struct arena){ .base = o->far, .size = o->far_bytes };
	place(o, &a, far ? &b : &a);
	d->k->fill(d, tensor_of(o->memory, F32, 1, (int64_t)(o->bytes / sizeof(float))), 0.f);
	if (far)
		d->k->fill(d, tensor_of(o->far, F32, 1, (int64_t)(o->far_bytes / sizeof(float))), 0.f);
	start(o);
	return o->pieces && !dev_is_dry(d) ? fill_table(o) : d->status;
}

struct tensor
optim_state(const struct optim *o, const struct param *p, const char *name)
{
	for (int i = 0; i < o->n; i++)
		if (o->item[i].p == p)
			return optim_item_state(&o->item[i], name);
	return (struct tensor){ 0 };
}
