/* SPDX-License-Identifier: Apache-2.0 */
/* Which param lies where, and the memory of all that. */
#include "train/shards.h"

#include "ops/rows.h"
#include "train/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES, GRADS, ROOM };

enum { SHARED_BYTES = 2 << 20 };		/* what GPUs open to each other is of whole pages of theirs */

static int64_t
padded(int64_t n, int64_t to)
{
	return (n + to - 1) / to * to;
}

int64_t
shards_numbers(struct tensor value)
{
	return tensor_count(value) / (value.dtype == I4 ? 2 : 1);
}

static int
unit_of(const struct shards *s, const struct param *p)
{
	int block = exchange_block_of(p, s->m->stack.n);

	return block >= 0 ? shards_block(block) : dit_front_of(p) < DIT_FRONTS ? (int)dit_front_of(p) : s->units - 1;
}

/* A block's feed-forward is the first thing that its backward pass is through with. */
static int
group_of(const struct shards *s, const struct param *p, int unit)
{
	return unit >= DIT_FRONTS && unit < s->units - 1 && !strstr(p->name, ".ff.");
}

/* The places of one kind, in a segment of their own. */
static void
list_segment(struct shards *s, struct segment like)
{
	struct segment *g = &s->segment[s->segments];

	*g = like;
	g->first = s->places;
	for (int i = 0; i < dit_n_params(s->m); i++) {
		struct param *p = dit_param(s->m, i);
		if (unit_of(s, p) != g->unit || group_of(s, p, g->unit) != g->group || p->value.dtype != g->dtype ||
		    p->train != g->train || (!p->train && !s->full))
			continue;
		s->place[s->places++] = (struct shard_place){ .p = p, .number = i, .segment = s->segments, .at = g->count };
		g->count += padded(shards_numbers(p->value), SHARD_ALIGN);
		g->n++;
	}
	g->dtype = like.dtype == I4 ? I8 : like.dtype;
	g->count = padded(g->count, (int64_t)SHARD_ALIGN * s->ranks);
	g->part = g->count / s->ranks;
	s->segments += g->n > 0;
	s->unit[g->unit].trains = s->unit[g->unit].trains || (g->n > 0 && g->train);
}

/* Matrices of blocks: whether the product that makes a gradient writes it. */
static void
find_once(struct shards *s)
{
	dit_mark_once(s->m);
	for (int k = 0; k < s->places; k++)
		s->place[k].p->fresh = s->place[k].p->once;
}

/* Unit by unit, each with its frozen and its trained params, F32 and 16 bits apart. */
static enum status
list_places(struct shards *s)
{
	static const struct { enum dtype dtype; bool train; } kinds[] = { { F32, false }, { BF16, false }, { I8, false },
		{ F8, false }, { I4, false }, { F16, false }, { F32, true }, { BF16, true } };
	enum { KINDS = sizeof kinds / sizeof *kinds };
	int all = dit_n_params(s->m);

	s->units = s->m->stack.n + DIT_FRONTS + 1;
	s->place = calloc((size_t)all + 1, sizeof *s->place);
	s->unit = calloc((size_t)s->units, sizeof *s->unit);
	s->segment = calloc((size_t)SHARD_GROUPS * KINDS * (size_t)s->units, sizeof *s->segment);
	s->item = calloc((size_t)all + 1, sizeof *s->item);
	if (!s->place || !s->unit || !s->segment || !s->item)
		return ace_fail(ACE_ENOMEM, "no memory for a list of %d parameters", all);
	for (int u = 0; u < s->units; u++) {
		s->unit[u].first = s->segments;
		for (int group = 0; group < SHARD_GROUPS; group++) {
			if (group == 1)
				s->unit[u].second = s->segments;
			for (int k = 0; k < KINDS; k++)
				list_segment(s, (struct segment){ .dtype = kinds[k].dtype, .train = kinds[k].train, .unit = u, .group = group });
		}
		s->unit[u].n = s->segments - s->unit[u].first;
	}
	find_once(s);
	return ACE_OK;
}

static struct tensor
vector(struct arena *a, enum dtype t, int64_t n)
{
	return arena_tensor(a, t, 1, n);
}

struct tensor
shards_part(const struct shards *s, struct tensor whole, int64_t part)
{
	return tensor_slice(whole, part * s->rank, part);
}

/* Places of all segments in the three allocations. */
static void
lay(struct shards *s, struct arena a[3])
{
	s->frozen_bytes = 0;
	for (int i = 0; i < s->segments; i++) {
		struct segment *g = &s->segment[i];
		size_t before = a[VALUES].used;
		if (s->full) {
			g->my_values = vector(&a[VALUES], g->dtype, g->part);
			g->values = tensor_of(NULL, g->dtype, 1, g->count);
		} else {
			g->values = vector(&a[VALUES], g->dtype, g->count);
			g->my_values = shards_part(s, g->values, g->part);
		}
		if (!g->train) {
			s->frozen_bytes += a[VALUES].used - before;
			continue;
		}
		if (s->full) {
			g->my_grads = vector(&a[GRADS], F32, g->part);
			g->grads = tensor_of(NULL, F32, 1, g->count);
		} else {
			g->grads = vector(&a[GRADS], F32, g->count);
			g->my_grads = shards_part(s, g->grads, g->part);
		}
	}
}

static void
give(struct arena *a, size_t bytes, struct shard_slot *slot)
{
	struct tensor x = arena_tensor(a, U8, 1, (int64_t)bytes + 1);

	*slot = (struct shard_slot){ .memory = x.data, .bytes = bytes, .unit = -1 };
}

static size_t
larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Bytes of a unit put together, and of the gradients of each group. */
static void
measure_unit(struct shards *s, struct unit *n)
{
	struct arena v = { 0 }, g[SHARD_GROUPS] = { 0 };

	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *x = &s->segment[i];
		vector(&v, x->dtype, x->count);
		if (x->train)
			vector(&g[x->group], F32, x->count);
	}
	n->bytes = v.used;
	for (int i = 0; i < SHARD_GROUPS; i++)
		n->grad_bytes[i] = g[i].used;
}

/* Room for what is put together: two units' values, a block's gradients, group by group, or a front's, and all of the rest. */
static void
lay_room(struct shards *s, struct arena *a)
{
	struct unit most = { 0 }, *rest = &s->unit[s->units - 1];
	size_t front = 0;

	if (!s->full)
		return;
	for (int u = 0; u < s->units; u++)
		measure_unit(s, &s->unit[u]);
	for (struct unit *n = s->unit; n < rest; n++) {
		most.bytes = larger(most.bytes, n->bytes);
		for (int i = 0; n >= s->unit + DIT_FRONTS && i < SHARD_GROUPS; i++)
			most.grad_bytes[i] = larger(most.grad_bytes[i], n->grad_bytes[i]);
		if (n < s->unit + DIT_FRONTS)
			front = larger(front, n->grad_bytes[0]);
	}
	most.grad_bytes[0] = larger(most.grad_bytes[0], front > most.grad_bytes[1] ? front - most.grad_bytes[1] : 0);
	for (int i = 0; i < SHARD_SLOTS; i++)
		give(a, most.bytes, &s->values[i]);
	give(a, most.grad_bytes[0], &s->grad[0]);
	give(a, most.grad_bytes[1], &s->grad[1]);
	s->grad[0].bytes += s->grad[1].bytes;		/* what a front, or a turn, may take */
	give(a, rest->bytes, &s->rest);
	give(a, rest->grad_bytes[0], &s->rest_grad);
}

static enum status
take_memory(struct shards *s)
{
	static const char *const what[3] = { "this rank's part of the weights", "the gradients", "blocks that are put together" };
	struct arena a[3] = { 0 };

	lay(s, a);
	lay_room(s, &a[ROOM]);
	for (int i = 0; i < 3; i++) {
		s->bytes[i] = a[i].used;
		if (i == VALUES && dev_like(s->dev) == DEV_CUDA)
			s->bytes[i] = a[i].used = (size_t)padded((int64_t)a[i].used, SHARED_BYTES);
		if (a[i].used == 0)
			continue;
		ACE_TRY(dev_alloc(s->dev, a[i].used, what[i], &s->memory[i]));
		a[i] = (struct arena){ .base = s->memory[i], .size = a[i].used };
	}
	lay(s, a);
	lay_room(s, &a[ROOM]);
	s->grads = tensor_of(s->memory[GRADS], F32, 1, (int64_t)(s->bytes[GRADS] / sizeof(float)));
	return ACE_OK;
}

/* [from, from + n) of x's numbers, as a segment has them, seen as one dimension. */
static struct tensor
numbers(struct tensor x, int64_t from, int64_t n)
{
	return tensor_slice(tensor_of(x.data, x.dtype == I4 ? I8 : x.dtype, 1, shards_numbers(x)), from, n);
}

/* What of a param falls into this rank's part; false: nothing. */
static bool
overlap(const struct shards *s, const struct shard_place *q, int64_t *first, int64_t *n)
{
	const struct segment *g = &s->segment[q->segment];
	int64_t from = g->part * s->rank - q->at, end = from + g->part, count = shards_numbers(q->p->value);

	from = from > 0 ? from : 0;
	end = end < count ? end : count;
	*first = from;
	*n = end - from;
	return *n > 0;
}

/* Values of the model, wherever it had them. */
static void
bring(struct shards *s, struct tensor to, struct tensor from)
{
	if (s->dev->kind == DEV_CUDA)
		rows_copy(s->dev, to, from);
	else
		s->dev->m->upload(s->dev, to.data, from.data, tensor_bytes(to));
}

/* The values go to their new place; what they lay in is given back. */
static void
move(struct shards *s, struct shard_place *q)
{
	struct segment *g = &s->segment[q->segment];
	int64_t first, n, from = g->part * s->rank;
	struct tensor old = q->p->value;

	if (s->full && overlap(s, q, &first, &n)) {
		struct tensor to = numbers(g->my_values, q->at + first - from, n);
		bring(s, to, numbers(old, first, n));
	} else if (!s->full) {
		struct tensor to = numbers(g->values, q->at, shards_numbers(old));
		bring(s, to, numbers(old, 0, shards_numbers(old)));
		q->p->value.data = to.data;
		q->p->grad.data = numbers(g->grads, q->at, tensor_count(old)).data;
	}
	if (s->full)
		q->p->value.data = NULL;
	if (dev_is_dry(s->dev)) {
		s->dev->bytes -= dev_like(s->dev) == DEV_CUDA ? tensor_bytes(old) : 0;
		return;
	}
	if (s->dev->kind == DEV_CUDA)
		s->dev->m->sync(s->dev);
	else if (weights_is_copy(&s->m->weights, old))
		weights_give_back(&s->m->weights, old);
	else
		weights_let_go(&s->m->weights, old);
	params_disown(&s->m->params, old.data);
}

static void
make_item(struct shards *s, struct shard_place *q)
{
	struct segment *g = &s->segment[q->segment];
	int64_t first, n, from = g->part * s->rank;

	if (!g->train || !overlap(s, q, &first, &n))
		return;
	q->first = first;
	q->mine = (struct param){ .name = q->p->name, .train = true, .value = numbers(g->my_values, q->at + first - from, n),
		.grad = numbers(g->my_grads, q->at + first - from, n) };
	s->item[s->items++] = q;
}

static int
by_number(const void *a, const void *b)
{
	return (*(struct shard_place *const *)a)->number - (*(struct shard_place *const *)b)->number;
}

/* The largest ones first, each to the rank that has least. */
static int
by_size(const void *a, const void *b)
{
	const struct shard_place *x = *(struct shard_place *const *)a, *y = *(struct shard_place *const *)b;
	int64_t n = tensor_count(x->p->value), m = tensor_count(y->p->value);

	return n != m ? (n < m) - (n > m) : x->number - y->number;
}

static void
choose_owners(struct shards *s, struct shard_place **place, int n, int64_t *load)
{
	qsort(place, (size_t)n, sizeof *place, by_size);
	for (int i = 0; i < n; i++) {
		int least = 0;
		for (int r = 1; r < s->ranks; r++)
			least = load[r] < load[least] ? r : least;
		place[i]->owner = least;
		load[least] += tensor_count(place[i]->p->value);
	}
}

enum status
shards_keep(struct shards *s, bool (*whole)(const void *me, const char *name), const void *me)
{
	int64_t *load = calloc((size_t)s->ranks, sizeof *load);
	int n = 0;

	if (!load)
		return ace_fail(ACE_ENOMEM, "no memory for a list of %d ranks", s->ranks);
	for (int i = 0; i < s->places; i++) {
		struct shard_place *q = &s->place[i];
		q->whole = q->p->train && whole(me, q->p->name);
		if (!q->whole)
			continue;
		s->whole = s->unit[s->segment[q->segment].unit].whole = true;
		s->item[n++] = q;		/* has room for all */
	}
	choose_owners(s, s->item, n, load);
	free(load);
	s->items = 0;
	for (int i = 0; i < s->places; i++) {
		struct shard_place *q = &s->place[i];
		if (q->whole ? q->owner == s->rank : q->mine.value.rank > 0)
			s->item[s->items++] = q;
	}
	if (s->items)
		qsort(s->item, (size_t)s->items, sizeof *s->item, by_number);
	return ACE_OK;
}

enum status
shards_open(struct shards *s, struct dit *m, struct comm *group, int rank, int ranks, bool full)
{
	*s = (struct shards){ .full = full, .rank = rank, .ranks = ranks, .group = group, .m = m, .dev = m->dev };
	s->fresh = true;
	m->params.apart = true;
	ACE_TRY(dit_prepare(m));
	s->first_block = dit_first_block(m);
	ACE_TRY(list_places(s));
	ACE_TRY(take_memory(s));
	for (int i = VALUES; i <= GRADS && !dev_is_dry(s->dev); i++)
		if (s->memory[i])
			rows_fill(s->dev, tensor_of(s->memory[i], F32, 1, (int64_t)(s->bytes[i] / sizeof(float))), 0.f);
	for (int i = 0; i < s->places; i++) {
		move(s, &s->place[i]);
		make_item(s, &s->place[i]);
	}
	if (s->items)
		qsort(s->item, (size_t)s->items, sizeof *s->item, by_number);
	return ACE_OK;
}

void
shards_close(struct shards *s)
{
	if (!s || !s->dev)
		return;
	for (int i = 0; i < s->places; i++)
		s->place[i].p->value.data = s->place[i].p->grad.data = NULL;	/* they were in memory of ours */
	for (int i = 0; i < s->places; i++)
		s->place[i].p->fresh = false;
	shards_hide(s);
	for (int i = 0; i < 3; i++)
		s->dev->m->free(s->dev, s->memory[i]);
	free(s->segment);
	free(s->place);
	free(s->unit);
	free(s->item);
	*s = (struct shards){ 0 };
}
