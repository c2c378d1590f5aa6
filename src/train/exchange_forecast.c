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

/* What a unit takes, whose segments go around together: to be put together, and its gradients to be summed. */
static double
gather(const struct ring *g, const struct shards *s, int unit)
{
	double bytes = 0;

	for (int i = s->unit[unit].first; i < s->unit[unit].first + s->unit[unit].n; i++)
		bytes += bytes_of(&s->segment[i]);
	return carry(g, bytes, 1);
}

static double
sum_segments(const struct ring *g, const struct shards *s, int from, int to)
{
	double bytes = 0;

	for (int i = from; i < to; i++)
		bytes += s->segment[i].train ? (double)s->segment[i].count * 4 : 0;
	return carry(g, bytes, 1);
}

static double
sum(const struct ring *g, const struct shards *s, int unit)
{
	return sum_segments(g, s, s->unit[unit].first, s->unit[unit].first + s->unit[unit].n);
}

/* The clocks of the kernels, of the exchange beside them, which takes one operation after the other, and of that between nodes. */
struct clocks {
	double now, link, net;
};

/* Sums under way: until then, of these segments. */
struct way {
	double until;
	int from, to;
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

/* A pass of sharding=full, hybrid: within the rings g, and, in the last one of an update, over the nodes by across. */
struct pass {
	struct clocks *c;
	const struct ring *g, *across;
	const struct shards *s;
	double forward, backward;	/* seconds of a block */
	bool last;
};

/* Sums are there: their room is free, and those over the nodes begin. */
static void
finish(const struct pass *p, struct way *w)
{
	double bytes = 0;

	wait_for(p->c, w->until);
	for (int i = w->from; p->last && i < w->to; i++)
		bytes += p->s->segment[i].train ? (double)p->s->segment[i].part * 4 : 0;
	if (bytes > 0)
		p->c->net = fmax(p->c->net, p->c->now) + carry(p->across, bytes, 2);
	*w = (struct way){ 0 };
}

static struct way
send(const struct pass *p, int from, int to)
{
	return (struct way){ start(p->c, sum_segments(p->g, p->s, from, to)), from, to };
}

/* The backward pass of a unit whose values are there: the sums of each group begin as soon as its gradients are made, which take the room of
 * the sums before. Those of a feed-forward are taken to be half of a block's time. */
static void
backward_of(const struct pass *p, int u, struct way way[SHARD_GROUPS])
{
	const struct unit *n = &p->s->unit[u];

	finish(p, &way[0]);
	if (u < DIT_FRONTS)
		finish(p, &way[1]);
	p->c->now += u < DIT_FRONTS ? 0 : p->backward / 2;
	if (n->trains)
		way[0] = send(p, n->first, n->second);
	if (u < DIT_FRONTS)
		return;
	finish(p, &way[1]);
	p->c->now += p->backward / 2;
	if (n->trains)
		way[1] = send(p, n->second, n->first + n->n);
}

/* shards_begin, _before, _within, _after, _end with a clock. */
static void
pass_full(const struct pass *p)
{
	const struct shards *s = p->s;
	int last = s->units - 2, rest = s->units - 1, ahead;
	struct way way[SHARD_GROUPS] = { 0 }, of_rest = { 0 };
	struct clocks *c = p->c;
	double there, here, next = 0;

	there = start(c, gather(p->g, s, rest));
	here = start(c, gather(p->g, s, 0));
	wait_for(c, there);
	for (int u = 0; u <= last; u++, here = next) {
		wait_for(c, here);
		ahead = shards_ahead(s, u, false);
		next = ahead >= 0 ? start(c, gather(p->g, s, ahead)) : 0;
		c->now += u >= DIT_FRONTS ? p->forward : 0;
	}
	for (int u = last; u >= 0; u = ahead, here = next) {
		wait_for(c, here);
		ahead = shards_ahead(s, u, true);
		next = ahead >= 0 && !shards_stays(s, ahead) ? start(c, gather(p->g, s, ahead)) : 0;
		backward_of(p, u, way);
	}
	if (s->unit[rest].trains)
		of_rest = send(p, s->unit[rest].first, s->unit[rest].second);
	finish(p, &way[0]);
	finish(p, &way[1]);
	finish(p, &of_rest);
	wait_for(c, fmax(c->link, c->net));
}

static void
update_full(struct clocks *c, const struct ring *g, const struct ring *across, const struct shards *s, const struct forecast_rates *r,
            int64_t accumulation)
{
	int blocks = s->units - 1 - DIT_FRONTS;
	struct pass p = { .c = c, .g = g, .across = across, .s = s, .forward = r->compute * r->forward / blocks,
		.backward = r->compute * (1 - r->forward) / (blocks - s->first_block) };

	for (int64_t k = 0; k < accumulation; k++) {
		p.last = k == accumulation - 1;
		pass_full(&p);
	}
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
		update_full(&c, &g, &across, s, r, accumulation);
	else
		update_optimizer(&c, &g, s, r, accumulation);
	if (s)
		c.now = fmax(c.now, c.link) + carry(&g, shards_turn_bytes(s), 1);
	f->step = c.now;
	f->exposed = c.now - (double)accumulation * r->compute;
	f->efficiency = (double)accumulation * r->compute / c.now;
	f->stall = f->part / r->copy;
	f->written = fmax(f->stall, checkpoint / r->disk);
}
