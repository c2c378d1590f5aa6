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
	link_group(s->link, true);
	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *g = &s->segment[i];
		g->values = arena_tensor(&a, g->dtype, 1, g->count);
		slot->ticket = link_fetch(s->link, g->values, g->my_values, "unit %d", u);
	}
	link_group(s->link, false);
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
			x->data = whole.data ? tensor_slice(whole, q->at, shards_numbers(*x)).data : NULL;
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

/* A free one, else one whose unit has run, else one that was wanted ahead and has not; not that of a unit that is about to run. */
static struct shard_slot *
free_slot(struct shards *s, int about)
{
	struct shard_slot *slot = slot_of(s, -1);

	for (int spent = 1; !slot && spent >= 0; spent--)
		for (int i = 0; !slot && i < SHARD_SLOTS; i++)
			if (s->values[i].unit != about && s->values[i].spent == spent)
				slot = &s->values[i];
	assert(slot);
	if (slot->unit >= 0)
		drop_values(s, slot);
	return slot;
}

/* Begin to put a unit together, unless it is there or under way. */
static struct shard_slot *
want(struct shards *s, int u, int about)
{
	struct shard_slot *slot = slot_of(s, u);

	if (!slot) {
		slot = free_slot(s, about);
		start_values(s, slot, u);
	}
	slot->spent = false;
	return slot;
}

int
shards_ahead(const struct shards *s, int u, bool backward)
{
	if (!backward)
		return u + 1 < s->units - 1 ? u + 1 : -1;
	if (u > shards_block(s->first_block))
		return u - 1;
	for (int front = u < DIT_FRONTS ? u + 1 : 0; front < DIT_FRONTS; front++)
		if (s->unit[front].trains)
			return front;
	return -1;
}

bool
shards_stays(const struct shards *s, int u)
{
	return u >= DIT_FRONTS && u < s->units - 1 && u >= s->units - 1 - SHARD_SLOTS;
}

/* --- gradients of a unit on their way to their ranks --- */

/* Whether sums over nodes begin while the pass goes on. Two groups of NCCL at a time have not been run yet. */
static bool
is_early(const struct shards *s)
{
	return s->across && link_way(s->beyond) != LINK_NCCL;
}

/* What the ranks of a node have come to, summed over the nodes. */
static void
start_across(struct shards *s, int from, int to)
{
	for (int i = from; i < to; i++)
		if (s->segment[i].train)
			s->ticket_beyond = link_allreduce(s->beyond, s->segment[i].my_grads, COMM_SUM, "gradients of unit %d between nodes",
			                                  s->segment[i].unit);
}

/* The sums that are under way are this rank's, or are added to them. */
static void
finish_grads(struct shards *s, struct shard_slot *slot)
{
	if (slot->unit < 0)
		return;
	keep(s, link_join(s->link, slot->ticket));
	for (int i = slot->from; i < slot->to; i++) {
		struct segment *g = &s->segment[i];
		if (g->train && g->sum.rank)
			rows_axpy(s->dev, g->my_grads, g->sum, 1.f);
	}
	if (is_early(s) && s->last)
		start_across(s, slot->from, slot->to);
	slot->unit = -1;
}

static void
clear(struct shards *s, const struct segment *g, int64_t from, int64_t to)
{
	if (to > from)
		rows_fill(s->dev, tensor_slice(g->grads, from, to - from), 0.f);
}

/* Zeros for a backward pass to add to, and between what it writes. */
static void
clear_grads(struct shards *s, const struct segment *g)
{
	int64_t from = 0;

	for (int k = g->first; k < g->first + g->n && !s->idle; k++) {
		const struct shard_place *q = &s->place[k];
		if (!q->p->once)
			continue;
		clear(s, g, from, q->at);
		from = q->at + tensor_count(q->p->value);
	}
	clear(s, g, from, g->count);
}

/* Room for the backward pass of segments of a unit. */
static void
open_grads(struct shards *s, struct shard_slot *slot, int u, int from, int to)
{
	struct arena a = { .base = slot->memory, .size = slot->bytes };

	finish_grads(s, slot);
	for (int i = from; i < to; i++) {
		struct segment *g = &s->segment[i];
		if (!g->train)
			continue;
		g->grads = arena_tensor(&a, F32, 1, g->count);
		clear_grads(s, g);
	}
	shards_point(s, u, true);
	slot->unit = u;
	slot->from = from;
	slot->to = to;
}

static void
send_grads(struct shards *s, struct shard_slot *slot)
{
	link_group(s->link, true);
	for (int i = slot->from; i < slot->to; i++) {
		struct segment *g = &s->segment[i];
		struct tensor mine;
		if (!g->train)
			continue;
		mine = s->fresh ? g->my_grads : shards_part(s, g->grads, g->part);
		slot->ticket = link_reduce_scatter(s->link, mine, g->grads, COMM_SUM, "gradients of unit %d", slot->unit);
		g->sum = s->fresh ? (struct tensor){ 0 } : mine;
		g->grads.data = NULL;
	}
	link_group(s->link, false);
	shards_point(s, slot->unit, true);
}

/* All of a front's, or the first group of a block's. */
static void
open_unit(struct shards *s, int u)
{
	const struct unit *n = &s->unit[u];

	if (u < DIT_FRONTS)
		finish_grads(s, &s->grad[1]);
	open_grads(s, &s->grad[0], u, n->first, n->second);
}

/* --- sums of resident gradients --- */

static void
start_sums(struct shards *s, int u)
{
	struct unit *n = &s->unit[u];

	link_group(s->link, true);
	for (int i = n->first; i < n->first + n->n; i++) {
		struct segment *g = &s->segment[i];
		s->ticket = link_reduce_scatter(s->link, g->my_grads, g->grads, COMM_SUM, "gradients of unit %d", u);
	}
	link_group(s->link, false);
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

	link_group(s->link, true);
	for (int i = n->first; i < n->first + n->n; i++)
		n->ticket = s->ticket = link_fetch(s->link, s->segment[i].values, s->segment[i].my_values, "values of unit %d", u);
	link_group(s->link, false);
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
	if (s->segments == 0)
		return ACE_OK;
	ACE_TRY(shards_settle(s));
	link_publish(s->link);
	if (s->full)
		return ACE_OK;
	gather_values(s, s->units - 1);
	for (int u = 0; u < s->units - 1; u++)
		gather_values(s, u);
	s->pending = true;
	return ACE_OK;
}

/* --- around units and passes --- */

void
shards_before(struct shards *s, int unit, bool backward)
{
	int ahead = shards_ahead(s, unit, backward);

	if (!s->full) {
		if (s->pending && !backward)
			keep(s, join_values(s, unit));
		return;
	}
	wait_values(s, want(s, unit, unit));
	if (ahead >= 0)
		(void)want(s, ahead, unit);
	if (backward && s->unit[unit].trains)
		open_unit(s, unit);
}

void
shards_within(struct shards *s, int unit)
{
	const struct unit *n = &s->unit[unit];

	if (!s->full || !n->trains)
		return;
	send_grads(s, &s->grad[0]);
	open_grads(s, &s->grad[1], unit, n->second, n->first + n->n);
}

void
shards_after(struct shards *s, int unit, bool backward)
{
	if (s->full) {
		slot_of(s, unit)->spent = true;
		if (backward && s->unit[unit].trains)
			send_grads(s, &s->grad[unit < DIT_FRONTS ? 0 : 1]);
	} else if (backward && s->last) {
		start_sums(s, unit);
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
	(void)want(s, 0, 0);
	wait_values(s, &s->rest);
	if (s->unit[rest].trains && !s->forward)
		open_grads(s, &s->rest_grad, rest, s->unit[rest].first, s->unit[rest].second);
	return s->status == ACE_OK ? ACE_OK : ace_fail(s->status, "%s", s->message);
}

/* Matrices of blocks: whether the next product that makes a gradient writes it. full: always. */
static void
set_fresh(struct shards *s, bool fresh)
{
	s->fresh = fresh;
	for (int i = 0; !s->full && i < s->places; i++)
		s->place[i].p->fresh = s->place[i].p->once && fresh;
}

enum status
shards_end(struct shards *s)
{
	int rest = s->units - 1;

	if (s->full) {
		if (s->unit[rest].trains && !s->forward)
			send_grads(s, &s->rest_grad);
		for (int i = 0; i < SHARD_SLOTS; i++)
			if (s->values[i].unit >= 0)
				drop_values(s, &s->values[i]);
		drop_values(s, &s->rest);
		for (int i = 0; i < SHARD_GROUPS; i++)
			finish_grads(s, &s->grad[i]);
		finish_grads(s, &s->rest_grad);
	}
	if (!s->forward)
		set_fresh(s, false);
	return s->status == ACE_OK ? ACE_OK : ace_fail(s->status, "%s", s->message);
}

void
shards_forget(struct shards *s)
{
	for (int i = 0; !s->full && i < s->segments; i++)
		if (s->segment[i].train)
			clear_grads(s, &s->segment[i]);
	set_fresh(s, true);
}

void
shards_idle_forward(struct shards *s)
{
	for (int u = 0; s->full && u < s->units - 1; u++) {
		shards_before(s, u, false);
		shards_after(s, u, false);
	}
}

/* Gradients of a pass that does not run. */
static void
idle_backward(struct shards *s)
{
	if (!s->full && s->fresh)
		rows_fill(s->dev, s->grads, 0.f);
	for (int u = s->units - 2; s->full && u >= 0; u = shards_ahead(s, u, true)) {
		shards_before(s, u, true);
		if (u >= DIT_FRONTS)
			shards_within(s, u);
		shards_after(s, u, true);
	}
}

enum status
shards_idle(struct shards *s, bool last, int64_t forwards)
{
	ACE_TRY(shards_begin(s, last));
	s->idle = true;
	for (int64_t k = 0; k <= forwards; k++)
		shards_idle_forward(s);
	if (!s->forward)
		idle_backward(s);
	s->idle = false;
	return shards_end(s);
}

/* Sums that no pass has started, in the order of a pass. */
static void
start_others(struct shards *s)
{
	for (int u = s->units - 2; u >= DIT_FRONTS; u--)
		if (!s->unit[u].started)
			start_sums(s, u);
	for (int u = 0; u < DIT_FRONTS; u++)
		if (!s->unit[u].started)
			start_sums(s, u);
	start_sums(s, s->units - 1);
	for (int u = 0; u < s->units; u++)
		s->unit[u].started = false;
}

enum status
shards_gradients(struct shards *s)
{
	if (!s->full) {
		start_others(s);
		return link_join(s->link, s->ticket);
	}
	if (!s->across)
		return ACE_OK;
	if (!is_early(s))
		start_across(s, 0, s->segments);
	return link_join(s->beyond, s->ticket_beyond);
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
