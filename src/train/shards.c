/* SPDX-License-Identifier: Apache-2.0 */
#include "train/shards.h"

#include "ops/rows.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A hook cannot return what failed: it is kept, and the pass goes on with whatever numbers there are. */
static void
keep(struct shards *s, enum status st)
{
	if (st == ACE_OK || s->status != ACE_OK)
		return;
	s->status = st;
	snprintf(s->message, sizeof s->message, "%s", ace_message());
}

/* --- values of a unit, put together in a slot --- */

static void
start_values(struct shards *s, struct shard_slot *slot, int u)
{
	struct unit *n = &s->unit[u];
	struct arena a = { .base = slot->memory, .size = n->bytes };

	slot->unit = u;
	slot->here = false;
	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *g = &s->segment[i];
		g->values = arena_tensor(&a, g->dtype, 1, g->count);
		slot->ticket = link_allgather(s->link, g->values, g->my_values, "block %d", u);
	}
}

void
shards_point(struct shards *s, int u, bool grads)
{
	struct unit *n = &s->unit[u];

	for (int i = n->first; i < n->first + n->n; i++) {
		const struct segment *g = &s->segment[i];
		struct tensor whole = grads ? g->grads : g->values;
		if (grads && !g->train)
			continue;
		for (int k = g->first; k < g->first + g->n; k++) {
			struct shard_place *q = &s->place[k];
			struct tensor *x = grads ? &q->p->grad : &q->p->value;
			x->data = whole.data ? tensor_slice(whole, q->at, tensor_count(*x)).data : NULL;
		}
	}
}

static void
wait_values(struct shards *s, struct shard_slot *slot)
{
	if (slot->here)
		return;
	if (s->unit[slot->unit].n > 0)
		keep(s, link_join(s->link, slot->ticket));
	slot->here = true;
	shards_point(s, slot->unit, false);
}

static void
drop_values(struct shards *s, struct shard_slot *slot)
{
	struct unit *n = &s->unit[slot->unit];

	wait_values(s, slot);		/* what is under way must not be written to later */
	for (int i = n->first; i < n->first + n->n; i++)
		s->segment[i].values.data = NULL;
	shards_point(s, slot->unit, false);
	slot->unit = -1;
}

static struct shard_slot *
slot_of(struct shards *s, int u)
{
	for (int i = 0; i < SHARD_SLOTS; i++)
		if (s->values[i].unit == u)
			return &s->values[i];
	return NULL;
}

/* Begin to put a block together, unless it is under way. */
static struct shard_slot *
want(struct shards *s, int u)
{
	struct shard_slot *slot = slot_of(s, u);

	if (slot)
		return slot;
	slot = slot_of(s, -1);
	assert(slot);
	start_values(s, slot, u);
	return slot;
}

/* --- gradients of a unit on their way to their ranks --- */

/* The sums that are under way are added to this rank's. */
static void
finish_grads(struct shards *s, struct shard_slot *slot)
{
	struct unit *n;

	if (slot->unit < 0)
		return;
	n = &s->unit[slot->unit];
	keep(s, link_join(s->link, slot->ticket));
	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *g = &s->segment[i];
		if (g->train)
			rows_axpy(s->dev, g->my_grads, g->sum, 1.f);
	}
	slot->unit = -1;
}

/* Zeros for the backward pass of a unit to add to. */
static void
open_grads(struct shards *s, struct shard_slot *slot, int u)
{
	struct unit *n = &s->unit[u];
	struct arena a = { .base = slot->memory, .size = n->sum_bytes };

	finish_grads(s, slot);
	rows_fill(s->dev, tensor_of(slot->memory, F32, 1, (int64_t)(n->grad_bytes / sizeof(float))), 0.f);
	for (int i = n->first; i < n->first + n->n; i++)
		if (s->segment[i].train)
			s->segment[i].grads = arena_tensor(&a, F32, 1, s->segment[i].count);
	for (int i = n->first; i < n->first + n->n; i++)
		if (s->segment[i].train)
			s->segment[i].sum = arena_tensor(&a, F32, 1, s->segment[i].part);
	shards_point(s, u, true);
	slot->unit = u;
}

static void
send_grads(struct shards *s, struct shard_slot *slot)
{
	struct unit *n = &s->unit[slot->unit];

	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *g = &s->segment[i];
		if (!g->train)
			continue;
		slot->ticket = link_reduce_scatter(s->link, g->sum, g->grads, COMM_SUM, "gradients of block %d", slot->unit);
		g->grads.data = NULL;
	}
	shards_point(s, slot->unit, true);
}

/* --- sums of resident gradients --- */

static void
start_sums(struct shards *s, int u)
{
	struct unit *n = &s->unit[u];

	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *g = &s->segment[i];
		s->ticket = link_reduce_scatter(s->link, g->my_grads, g->grads, COMM_SUM, "gradients of block %d", u);
	}
	n->started = true;
}

/* --- values that stay whole, behind an update --- */

/* A unit's values are there; the last block's come last. */
static enum status
join_values(struct shards *s, int u)
{
	s->pending = s->pending && u != s->units - 2;
	return s->unit[u].n > 0 ? link_join(s->link, s->unit[u].ticket) : ACE_OK;
}

static void
gather_values(struct shards *s, int u)
{
	struct unit *n = &s->unit[u];

	for (int i = n->first; i < n->first + n->n; i++)
		n->ticket = s->ticket = link_allgather(s->link, s->segment[i].values, s->segment[i].my_values, "values of block %d", u);
}

enum status
shards_settle(struct shards *s)
{
	if (!s->pending)
		return ACE_OK;
	s->pending = false;
	return link_join(s->link, s->ticket);
}

/* In the order in which a forward pass wants them. */
enum status
shards_values(struct shards *s)
{
	if (s->full || s->segments == 0)
		return ACE_OK;
	ACE_TRY(shards_settle(s));
	gather_values(s, s->units - 1);
	for (int u = 0; u < s->units - 1; u++)
		gather_values(s, u);
	s->pending = true;
	return ACE_OK;
}

/* --- around blocks and passes --- */

void
shards_before(struct shards *s, int block, bool backward)
{
	int ahead = backward ? block - 1 : block + 1, blocks = s->units - 1;
	struct shard_slot *slot;

	if (!s->full) {
		if (s->pending && !backward)
			keep(s, join_values(s, block));
		return;
	}
	slot = want(s, block);
	wait_values(s, slot);
	if (backward ? ahead >= s->first_block : ahead < blocks)
		(void)want(s, ahead);
	if (backward && s->unit[block].trains) {
		open_grads(s, &s->grad[s->turn], block);
		s->turn = (s->turn + 1) % SHARD_SLOTS;
	}
}

void
shards_after(struct shards *s, int block, bool backward)
{
	if (s->full) {
		drop_values(s, slot_of(s, block));
		if (backward && s->unit[block].trains)
			send_grads(s, &s->grad[(s->turn + SHARD_SLOTS - 1) % SHARD_SLOTS]);
	} else if (backward && s->last) {
		start_sums(s, block);
	}
}

enum status
shards_begin(struct shards *s, bool last)
{
	int rest = s->units - 1;

	s->last = last;
	if (!s->full)
		return s->pending ? join_values(s, rest) : ACE_OK;
	start_values(s, &s->rest, rest);
	wait_values(s, &s->rest);
	if (s->unit[rest].trains && !s->forward)
		open_grads(s, &s->rest_grad, rest);
	return s->status == ACE_OK ? ACE_OK : ace_fail(s->status, "%s", s->message);
}

enum status
shards_end(struct shards *s)
{
	int rest = s->units - 1;

	if (s->full) {
		for (int i = 0; i < SHARD_SLOTS; i++) {
			finish_grads(s, &s->grad[i]);
			if (s->values[i].unit >= 0)
				drop_values(s, &s->values[i]);
		}
		drop_values(s, &s->rest);
		if (s->unit[rest].trains && !s->forward)
			send_grads(s, &s->rest_grad);
		finish_grads(s, &s->rest_grad);
	}
	return s->status == ACE_OK ? ACE_OK : ace_fail(s->status, "%s", s->message);
}

void
shards_idle_forward(struct shards *s)
{
	for (int i = 0; s->full && i < s->units - 1; i++) {
		shards_before(s, i, false);
		shards_after(s, i, false);
	}
}

enum status
shards_idle(struct shards *s, bool last, int64_t forwards)
{
	ACE_TRY(shards_begin(s, last));
	for (int64_t k = 0; k <= forwards; k++)
		shards_idle_forward(s);
	for (int i = s->units - 2; s->full && !s->forward && i >= s->first_block; i--) {
		shards_before(s, i, true);
		shards_after(s, i, true);
	}
	return shards_end(s);
}

enum status
shards_gradients(struct shards *s)
{
	enum status st = ACE_OK;
	int64_t ticket = 0;

	if (!s->full) {
		for (int u = s->units - 2; u >= 0; u--)
			if (!s->unit[u].started)
				start_sums(s, u);
		start_sums(s, s->units - 1);
		for (int u = 0; u < s->units; u++)
			s->unit[u].started = false;
		st = link_join(s->link, s->ticket);
	}
	for (int i = 0; st == ACE_OK && s->across && i < s->segments; i++)
		if (s->segment[i].train)
			ticket = link_allreduce(s->beyond, s->segment[i].my_grads, COMM_SUM, "gradients of block %d",
			                        s->segment[i].unit);
	if (st == ACE_OK && s->across)
		st = link_join(s->beyond, ticket);
	return st;
}

bool
shards_gathers(const struct shards *s)
{
	return !s->across || s->across->rank == 0;
}

/* Whole values, on the host, to where the model reads them. */
static enum status
show(struct shards *s, struct segment *g, char *all)
{
	enum status st = ACE_OK;

	g->shown = all;
	if (all && !dev_is_host(s->dev)) {
		size_t bytes = (size_t)g->count * dtype_size(g->dtype);
		st = dev_alloc(s->dev, bytes, "values that are put together", &g->shown);
		if (st == ACE_OK)
			s->dev->m->upload(s->dev, g->shown, all, bytes);
		free(all);
	}
	for (int k = g->first; st == ACE_OK && g->shown && k < g->first + g->n; k++)
		s->place[k].p->value.data = (char *)g->shown + (size_t)s->place[k].at * dtype_size(g->dtype);
	return st == ACE_OK ? s->dev->status : st;
}

enum status
shards_show(struct shards *s)
{
	ACE_TRY(shards_settle(s));
	if (!s->full || !shards_gathers(s))
		return ACE_OK;
	for (int i = 0; i < s->segments; i++) {
		struct segment *g = &s->segment[i];
		const void *mine;
		enum status st;
		void *copy;
		size_t *at;
		char *all;
		if (!g->train)
			continue;
		ACE_TRY(link_host(s->link, g->my_values, &mine, &copy));
		st = comm_gather(s->group, mine, tensor_bytes(g->my_values), SIZE_MAX / 2, &all, &at, "values");
		free(copy);
		ACE_TRY(st);
		free(at);
		ACE_TRY(show(s, g, all));
	}
	return ACE_OK;
}

void
shards_hide(struct shards *s)
{
	for (int i = 0; s->full && i < s->segments; i++) {
		struct segment *g = &s->segment[i];
		for (int k = g->first; g->train && k < g->first + g->n; k++)
			s->place[k].p->value.data = NULL;
		s->dev->m->free(s->dev, g->shown);
		g->shown = NULL;
	}
}
