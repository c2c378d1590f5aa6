/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors that are kept whole, turn by turn; see shards.h. */
#include "train/shards.h"

#include "ops/rows.h"

int
shards_turn(const struct shards *s, const struct shard_place *q)
{
	if (!q->whole)
		return 0;
	return s->full ? s->segment[q->segment].unit + 1 : 1;
}

int
shards_turns(const struct shards *s)
{
	return !s->whole ? 0 : s->full ? s->units : 1;
}

/* Whether segment i is put together in a turn: something in it is kept whole. */
static bool
in_turn(const struct shards *s, int i, int turn)
{
	const struct segment *g = &s->segment[i];
	bool whole = false;

	for (int k = g->first; g->train && k < g->first + g->n && !whole; k++)
		whole = shards_turn(s, &s->place[k]) == turn;
	return whole;
}

/* Whether this rank's values of a segment are those of the last update but for its part: they are, beside whole tensors, of parts that
 * were updated before the turn. */
static bool
stale(const struct shards *s, const struct segment *g)
{
	bool parts = s->full;

	for (int k = g->first; k < g->first + g->n; k++)
		parts = parts || !s->place[k].whole;
	return parts;
}

/* full: room for what is put together, which no pass uses now. */
static void
give_room(struct shards *s, int turn, bool grads)
{
	int u = turn - 1;
	bool rest = u == s->units - 1;
	struct arena v = { .base = rest ? s->rest.memory : s->values[0].memory, .size = rest ? s->rest.bytes : s->values[0].bytes };
	struct arena g = { .base = rest ? s->rest_grad.memory : s->grad[0].memory, .size = rest ? s->rest_grad.bytes : s->grad[0].bytes };

	for (int i = 0; i < s->segments; i++) {
		struct segment *x = &s->segment[i];
		if (!in_turn(s, i, turn))
			continue;
		x->values = arena_tensor(&v, x->dtype, 1, x->count);
		if (grads)
			x->grads = arena_tensor(&g, F32, 1, x->count);
	}
}

static void
take_room(struct shards *s, int turn)
{
	for (int i = 0; i < s->segments; i++)
		if (in_turn(s, i, turn))
			s->segment[i].values.data = s->segment[i].grads.data = NULL;
	shards_point(s, turn - 1, false);
	shards_point(s, turn - 1, true);
}

enum status
shards_turn_open(struct shards *s, int turn, bool grads)
{
	int64_t ticket = 0;

	ACE_TRY(shards_settle(s));
	if (s->full)
		give_room(s, turn, grads);
	for (int i = 0; i < s->segments; i++) {
		struct segment *g = &s->segment[i];
		if (!in_turn(s, i, turn))
			continue;
		if (stale(s, g))
			ticket = link_allgather(s->link, g->values, g->my_values, "values of turn %d", turn);
		if (grads)
			ticket = link_allgather(s->link, g->grads, g->my_grads, "gradients of turn %d", turn);
	}
	if (s->full) {
		shards_point(s, turn - 1, false);
		shards_point(s, turn - 1, true);
	}
	return ticket ? link_join(s->link, ticket) : ACE_OK;
}

/* As whole numbers: what one rank has and the others have not is passed on to the bit. */
static struct tensor
as_bits(struct tensor x)
{
	return tensor_of(x.data, I64, 1, (int64_t)(tensor_bytes(x) / sizeof(int64_t)));
}

/* Zeros where another rank owns. */
static void
leave_mine(struct shards *s, struct segment *g)
{
	for (int k = g->first; k < g->first + g->n; k++) {
		struct shard_place *q = &s->place[k];
		struct tensor x = tensor_slice(g->values, q->at, tensor_count(q->p->value));
		if (q->owner != s->rank)	/* an odd bf16 number has padding behind it */
			rows_fill(s->dev, tensor_of(x.data, F32, 1, (int64_t)(tensor_bytes(x) + 3) / 4), 0.f);
	}
}

enum status
shards_turn_close(struct shards *s, int turn, bool changed)
{
	enum status st = ACE_OK;
	int64_t ticket = 0;

	for (int i = 0; changed && i < s->segments; i++) {
		struct segment *g = &s->segment[i];
		if (!in_turn(s, i, turn))
			continue;
		leave_mine(s, g);
		ticket = link_reduce_scatter(s->link, as_bits(g->my_values), as_bits(g->values), COMM_SUM, "values of turn %d", turn);
	}
	if (ticket)
		st = link_join(s->link, ticket);
	if (s->full)
		take_room(s, turn);
	return st;
}

double
shards_turn_bytes(const struct shards *s)
{
	double bytes = 0;

	for (int i = 0; i < s->segments; i++) {
		const struct segment *g = &s->segment[i];
		double values = (double)g->count * (double)dtype_size(g->dtype);
		if (s->whole && in_turn(s, i, s->full ? g->unit + 1 : 1))
			bytes += (double)g->count * 4 + values + (stale(s, g) ? values : 0);
	}
	return bytes;
}
