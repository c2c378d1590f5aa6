/* SPDX-License-Identifier: Apache-2.0 */
#include "train/forecast.h"
#include "train/shards.h"

#include <math.h>

/* Ranks that exchange: so many, so many of them on a node. */
struct ring {
	double n, here;
	const struct forecast_rates *r;
	struct forecast *f;		/* what it carries is added to exchange and card */
};

/* The seconds of an all-gather or reduce-scatter of x bytes; rounds 2: of an all-reduce. */
static double
carry(const struct ring *g, double x, int rounds)
{
	double v = rounds * (g->n - 1) / g->n * x, hops = rounds * (g->n - 1) * g->r->hop, t, card = 0;

	if (g->n < 2 || x <= 0)
		return 0;
	t = g->here > 1 ? v / g->r->link : 0;
	if (g->here < g->n)
		card = v / g->here;
	t = fmax(t, card / g->r->node) + hops;
	g->f->exchange += t;
	g->f->card += card;
	return t;
}

static double
bytes_of(const struct segment *s)
{
	return (double)s->count * (double)dtype_size(s->dtype);
}

/* What a unit takes: to be put together, and its gradients to be summed. */
static double
gather(const struct ring *g, const struct shards *s, int unit)
{
	double t = 0;

	for (int i = s->unit[unit].first; i < s->unit[unit].first + s->unit[unit].n; i++)
		t += carry(g, bytes_of(&s->segment[i]), 1);
	return t;
}

static double
sum(const struct ring *g, const struct shards *s, int unit)
{
	double t = 0;

	for (int i = s->unit[unit].first; i < s->unit[unit].first + s->unit[unit].n; i++)
		if (s->segment[i].train)
			t += carry(g, (double)s->segment[i].count * 4, 1);
	return t;
}

/* The clocks of the kernels and of the exchange beside them, which takes one operation after the other. */
struct clocks {
	double now, link;
};

/* An operation that may begin now; when it will be over. */
static double
start(struct clocks *c, double seconds)
{
	c->link = fmax(c->link, c->now) + seconds;
	return c->link;
}

static void
wait_for(struct clocks *c, double until)
{
	c->now = fmax(c->now, until);
}

/* A pass of sharding=full, hybrid: shards_begin, _before, _after, _end with a clock. */
static void
pass_full(struct clocks *c, const struct ring *g, const struct shards *s, double forward, double backward)
{
	int blocks = s->units - 1, rest = blocks;
	double here, next = 0, sent[2] = { 0 };

	wait_for(c, start(c, gather(g, s, rest)));
	here = start(c, gather(g, s, 0));
	for (int i = 0; i < blocks; i++, here = next) {
		wait_for(c, here);
		next = i + 1 < blocks ? start(c, gather(g, s, i + 1)) : 0;
		c->now += forward;
	}
	here = start(c, gather(g, s, blocks - 1));
	for (int i = blocks - 1; i >= s->first_block; i--, here = next) {
		wait_for(c, here);
		next = i > s->first_block ? start(c, gather(g, s, i - 1)) : 0;
		wait_for(c, sent[i % 2]);		/* its room */
		c->now += backward;
		sent[i % 2] = s->unit[i].trains ? start(c, sum(g, s, i)) : 0;
	}
	if (s->unit[rest].trains)
		start(c, sum(g, s, rest));
	wait_for(c, c->link);
}

static void
update_full(struct clocks *c, const struct ring *g, const struct shards *s, const struct forecast_rates *r, int64_t accumulation)
{
	int blocks = s->units - 1;
	double forward = r->compute * r->forward / blocks, backward = r->compute * (1 - r->forward) / (blocks - s->first_block);

	for (int64_t k = 0; k < accumulation; k++)
		pass_full(c, g, s, forward, backward);
}

/* sharding=optimizer: values of the update before come while the forward pass runs, where it is the only one; sums go in the last backward
 * pass, the rest behind it. */
static void
update_optimizer(struct clocks *c, const struct ring *g, const struct shards *s, const struct forecast_rates *r, int64_t accumulation)
{
	int blocks = s->units - 1;
	double backward = r->compute * (1 - r->forward) / (blocks - s->first_block), here = gather(g, s, blocks);

	wait_for(c, here);
	for (int i = 0; i < blocks; i++) {
		here += gather(g, s, i);
		if (accumulation == 1)
			wait_for(c, here);
		c->now += r->compute * r->forward / blocks;
	}
	if (accumulation > 1)
		c->now = here + (double)accumulation * r->compute - r->compute * (1 - r->forward);
	c->link = here;
	for (int i = blocks - 1; i >= 0; i--) {
		c->now += i >= s->first_block ? backward : 0;
		start(c, sum(g, s, i));
	}
	start(c, sum(g, s, blocks));
	wait_for(c, c->link);
}

/* sharding=none: all behind the pass, or in pieces during the last backward pass. */
static void
update_none(struct clocks *c, const struct ring *g, const struct exchange *x, const struct forecast_rates *r, int64_t accumulation)
{
	double bytes = (double)tensor_bytes(x->grads), half = x->half.rank ? (double)tensor_bytes(x->half) : 0;
	int pieces = bytes > EXCHANGE_BEHIND ? EXCHANGE_PIECES : 1;

	c->now += (double)accumulation * r->compute;
	if (pieces > 1)
		c->now -= r->compute * (1 - r->forward);
	for (int i = 0; i < pieces; i++) {
		c->now += pieces > 1 ? r->compute * (1 - r->forward) / pieces : 0;
		start(c, carry(g, bytes / pieces, 2));
	}
	start(c, carry(g, half, 2));
	wait_for(c, c->link);
}

static void
join_nodes(struct clocks *c, const struct ring *across, const struct shards *s)
{
	for (int i = 0; i < s->segments; i++)
		if (s->segment[i].train)
			wait_for(c, start(c, carry(across, (double)s->segment[i].part * 4, 2)));
}

void
forecast_make(struct forecast *f, const struct exchange *x, const struct forecast_rates *r, int64_t accumulation, double checkpoint)
{
	const struct shards *s = x->shards;
	double ranks = exchange_ranks(x), parts = s ? exchange_parts(x) : ranks;
	struct ring g = { parts, fmin(parts, r->node_ranks), r, f }, across = { ranks / parts, 1, r, f };
	struct clocks c = { 0 };

	*f = (struct forecast){ .sent = exchange_traffic(x, accumulation), .part = checkpoint / ranks };
	if (!s)
		update_none(&c, &g, x, r, accumulation);
	else if (s->full)
		update_full(&c, &g, s, r, accumulation);
	else
		update_optimizer(&c, &g, s, r, accumulation);
	if (s) {
		join_nodes(&c, &across, s);
		c.now = fmax(c.now, c.link) + carry(&g, shards_turn_bytes(s), 1);
	}
	f->step = c.now;
	f->exposed = c.now - (double)accumulation * r->compute;
	f->efficiency = (double)accumulation * r->compute / c.now;
	f->stall = f->part / r->copy;
	f->written = fmax(f->stall, checkpoint / r->disk);
}
