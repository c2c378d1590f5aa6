/* SPDX-License-Identifier: Apache-2.0 */
#include "train/forecast.h"
#include "train/shards.h"

#include <math.h>

/* Ranks that exchange: so many, so many of them on a node. */
struct ring {
	double n, here;
	bool grouped;			/* what is started together goes around once */
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

/* All of what is started together. */
static double
carry_all(const struct ring *g, const struct shards *s, int from, int to, bool grads)
{
	double t = 0, all = 0;

	for (int i = from; i < to; i++) {
		const struct segment *x = &s->segment[i];
		double bytes = !grads ? bytes_of(x) : x->train ? (double)x->count * 4 : 0;
		if (g->grouped)
			all += bytes;
		else
			t += carry(g, bytes, 1);
	}
	return t + carry(g, all, 1);
}

/* What a unit takes: to be put together, and its gradients to be summed. */
static double
gather(const struct ring *g, const struct shards *s, int unit)
{
	return carry_all(g, s, s->unit[unit].first, s->unit[unit].first + s->unit[unit].n, false);
}

static double
sum_segments(const struct ring *g, const struct shards *s, int from, int to)
{
	return carry_all(g, s, from, to, true);
}

static double
sum(const struct ring *g, const struct shards *s, int unit)
{
	return sum_segments(g, s, s->unit[unit].first, s->unit[unit].first + s->unit[unit].n);
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

/* The backward pass of a unit whose values are there: the sums of each group begin as soon as its gradients are made, which take the room of
 * the sums before. Those of a feed-forward are taken to be half of a block's time. */
static void
backward_of(struct clocks *c, const struct ring *g, const struct shards *s, int u, double seconds, double sent[SHARD_GROUPS])
{
	const struct unit *n = &s->unit[u];

	wait_for(c, sent[0]);
	if (u < DIT_FRONTS)
		wait_for(c, sent[1]);
	c->now += u < DIT_FRONTS ? 0 : seconds / 2;
	sent[0] = n->trains ? start(c, sum_segments(g, s, n->first, n->second)) : sent[0];
	if (u < DIT_FRONTS)
		return;
	wait_for(c, sent[1]);
	c->now += seconds / 2;
	sent[1] = n->trains ? start(c, sum_segments(g, s, n->second, n->first + n->n)) : sent[1];
}

/* A pass of sharding=full, hybrid: shards_begin, _before, _within, _after, _end with a clock. */
static void
pass_full(struct clocks *c, const struct ring *g, const struct shards *s, double forward, double backward)
{
	int last = s->units - 2, rest = s->units - 1, ahead;
	double there, here, next = 0, sent[SHARD_GROUPS] = { 0 };

	there = start(c, gather(g, s, rest));
	here = start(c, gather(g, s, 0));
	wait_for(c, there);
	for (int u = 0; u <= last; u++, here = next) {
		wait_for(c, here);
		ahead = shards_ahead(s, u, false);
		next = ahead >= 0 ? start(c, gather(g, s, ahead)) : 0;
		c->now += u >= DIT_FRONTS ? forward : 0;
	}
	for (int u = last; u >= 0; u = ahead, here = next) {
		wait_for(c, here);
		ahead = shards_ahead(s, u, true);
		next = ahead >= 0 && !shards_stays(s, ahead) ? start(c, gather(g, s, ahead)) : 0;
		backward_of(c, g, s, u, backward, sent);
	}
	if (s->unit[rest].trains)
		start(c, sum(g, s, rest));
	wait_for(c, c->link);
}

static void
update_full(struct clocks *c, const struct ring *g, const struct shards *s, const struct forecast_rates *r, int64_t accumulation)
{
	int blocks = s->units - 1 - DIT_FRONTS;
	double forward = r->compute * r->forward / blocks, backward = r->compute * (1 - r->forward) / (blocks - s->first_block);

	for (int64_t k = 0; k < accumulation; k++)
		pass_full(c, g, s, forward, backward);
}

/* sharding=optimizer: values of the update before come while the forward pass runs, where it is the only one; sums go in the last backward
 * pass, the rest behind it. */
static void
update_optimizer(struct clocks *c, const struct ring *g, const struct shards *s, const struct forecast_rates *r, int64_t accumulation)
{
	int rest = s->units - 1, blocks = rest - DIT_FRONTS;
	double backward = r->compute * (1 - r->forward) / (blocks - s->first_block), here = gather(g, s, rest);

	wait_for(c, here);
	for (int u = 0; u < rest; u++) {
		here += gather(g, s, u);
		if (accumulation == 1)
			wait_for(c, here);
		c->now += u >= DIT_FRONTS ? r->compute * r->forward / blocks : 0;
	}
	if (accumulation > 1)
		c->now = here + (double)accumulation * r->compute - r->compute * (1 - r->forward);
	c->link = here;
	for (int u = rest - 1; u >= 0; u--) {	/* those before the blocks are over at once */
		c->now += u >= shards_block(s->first_block) ? backward : 0;
		start(c, sum(g, s, u));
	}
	start(c, sum(g, s, rest));
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
	struct ring g = { parts, fmin(parts, r->node_ranks), link_groups(), r, f }, across = { ranks / parts, 1, false, r, f };
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
