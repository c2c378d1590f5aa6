/* SPDX-License-Identifier: Apache-2.0 */
#include "train/exchange.h"

#include "base/msg.h"
#include "ops/rows.h"
#include "train/clip.h"
#include "train/shards.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIECE_LEAST = 1 << 20 };		/* numbers; smaller ones of neighbouring blocks are sent together */

static const char *const shardings[] = { "none", "optimizer", "full", "hybrid" };

const char *
sharding_name(enum sharding s)
{
	return shardings[s];
}

int
exchange_ranks(const struct exchange *x)
{
	return !x ? 1 : x->comm ? x->comm->size : x->ranks;
}

int
exchange_rank(const struct exchange *x)
{
	return x && x->comm ? x->comm->rank : 0;
}

static enum status
add_piece(struct exchange *x, struct exchange_piece p)
{
	struct exchange_piece *more;

	if (x->n == x->cap) {
		int cap = x->cap ? 2 * x->cap : 64;
		more = realloc(x->piece, (size_t)cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for a list of %d pieces of the gradients", cap);
		x->piece = more;
		x->cap = cap;
	}
	x->piece[x->n++] = p;
	return ACE_OK;
}

int
exchange_block_of(const struct param *p, int blocks)
{
	int block, n = 0;

	if (sscanf(p->name, "transformer_blocks.%d.%n", &block, &n) == 1 && n > 0 && block >= 0 && block < blocks)
		return block;
	return -1;
}

/* A piece for each run of params of one block, with the padding behind them. */
static enum status
list_pieces(struct exchange *x, struct dit *m)
{
	const float *base = x->grads.data;
	int64_t end = tensor_count(x->grads);

	for (int i = 0; i < dit_n_params(m); i++) {
		const struct param *p = dit_param(m, i);
		struct exchange_piece *last = x->n ? &x->piece[x->n - 1] : NULL;
		int block = exchange_block_of(p, m->stack.n);
		int64_t from;
		if (!p->train)
			continue;
		from = (const float *)p->grad.data - base;
		if (last)
			last->n = from - last->from;
		if (!last || last->low != block)
			ACE_TRY(add_piece(x, (struct exchange_piece){ from, 0, block }));
	}
	if (x->n)
		x->piece[x->n - 1].n = end - x->piece[x->n - 1].from;
	return ACE_OK;
}

/* Last block first, as the backward pass goes; what is of no block comes last. */
static int
by_completion(const void *a, const void *b)
{
	const struct exchange_piece *x = a, *y = b;

	if (x->low != y->low)
		return x->low > y->low ? -1 : 1;
	return x->from > y->from ? -1 : x->from < y->from;
}

/* Neighbours in memory that become complete one after the other, together. */
static void
join_pieces(struct exchange *x)
{
	int64_t all = tensor_count(x->grads), least = all / EXCHANGE_PIECES > PIECE_LEAST ? all / EXCHANGE_PIECES : PIECE_LEAST;
	int n = 0;

	for (int i = 0; i < x->n; i++) {
		struct exchange_piece p = x->piece[i], *last = n ? &x->piece[n - 1] : NULL;
		if (last && last->n < least && p.from + p.n == last->from && (p.low < 0) == (last->low < 0)) {
			last->from = p.from;
			last->n += p.n;
			last->low = p.low;
		} else {
			x->piece[n++] = p;
		}
	}
	x->n = n;
}

static void
start_piece(struct exchange *x)
{
	const struct exchange_piece *p = &x->piece[x->started++];

	x->ticket = link_allreduce(x->link, tensor_slice(x->grads, p->from, p->n), COMM_SUM, "gradients %d of %d", x->started, x->n);
}

/* The model's pass also runs on the dry device, to be measured: nothing is exchanged then. */
static void
before_block(void *me, int block, bool backward)
{
	struct exchange *x = me;

	if (x->running && x->shards)
		shards_before(x->shards, shards_block(block), backward);
}

static void
after_block(void *me, int block, bool backward)
{
	struct exchange *x = me;

	if (x->running && x->shards)
		shards_after(x->shards, shards_block(block), backward);
	while (x->running && backward && x->last && x->started < x->n && x->piece[x->started].low >= block)
		start_piece(x);
}

static void
within_block(void *me, int block)
{
	struct exchange *x = me;

	if (x->running && x->shards)
		shards_within(x->shards, shards_block(block));
}

static void
before_front(void *me, int front, bool backward)
{
	struct exchange *x = me;

	if (x->running && x->shards)
		shards_before(x->shards, front, backward);
}

static void
after_front(void *me, int front, bool backward)
{
	struct exchange *x = me;

	if (x->running && x->shards)
		shards_after(x->shards, front, backward);
}

/* The ranks that share: of a node, or all. */
static enum status
open_shards(struct exchange *x, struct dit *m)
{
	bool full = x->sharding != SHARDING_OPTIMIZER;
	int rank = exchange_rank(x), ranks = exchange_ranks(x);
	struct comm *group = x->comm;

	if (x->sharding == SHARDING_HYBRID && x->comm) {
		ACE_TRY(comm_split_nodes(x->comm, &x->inside, &x->across));
		group = x->inside;
		rank = group->rank;
		ranks = group->size;
	} else if (x->sharding == SHARDING_HYBRID) {
		ranks = x->node_ranks;
	}
	x->shards = calloc(1, sizeof *x->shards);
	if (!x->shards)
		return ace_fail(ACE_ENOMEM, "no memory for the parts of a model");
	ACE_TRY(shards_open(x->shards, m, group, rank, ranks, full));
	x->shards->across = x->across && x->across->size > 1 ? x->across : NULL;
	if (dev_is_dry(m->dev))
		return ACE_OK;
	ACE_TRY(link_open(&x->link, group, m->dev, x->way));
	x->shards->link = x->link;
	if (x->shards->memory[0])
		ACE_TRY(link_share(x->link, x->shards->memory[0], x->shards->bytes[0]));
	if (x->shards->across)
		ACE_TRY(link_open(&x->beyond, x->across, m->dev, x->way));
	x->shards->beyond = x->beyond;
	x->measures = tensor_of(NULL, F32, 3, ranks, x->shards->segments + 1, 2);
	ACE_TRY(dev_alloc(m->dev, tensor_bytes(x->measures), "norms of gradients", &x->measures.data));
	rows_fill(m->dev, x->measures, 0.f);
	return m->dev->status;
}

/* All of it on every rank: gradients are summed piece by piece. */
static enum status
open_whole(struct exchange *x, struct dit *m)
{
	ACE_TRY(dit_alloc_grads(m, &x->grads));
	x->half = m->params.half;
	if (dev_is_dry(m->dev))
		return ACE_OK;
	ACE_TRY(list_pieces(x, m));
	if (x->n)
		qsort(x->piece, (size_t)x->n, sizeof *x->piece, by_completion);
	join_pieces(x);
	return link_open(&x->link, x->comm, m->dev, x->way);
}

enum status
exchange_open(struct exchange *x, struct dit *m, struct tensor *grads)
{
	if (!x)
		return dit_alloc_grads(m, grads);
	x->dev = m->dev;
	if (m->opt.far_grads && dev_like(m->dev) == DEV_CUDA)
		return ace_fail(ACE_ECONFIG, "optimizer_offload_gradients with several ranks is not built; optimizer_cpu_offload_method alone is");
	ACE_TRY(x->sharding == SHARDING_NONE ? open_whole(x, m) : open_shards(x, m));
	if (x->shards)
		x->grads = x->shards->grads;
	*grads = x->grads;
	if (dev_is_dry(m->dev))
		return ACE_OK;
	m->stack.hooks = (struct stack_hooks){ x, before_block, within_block, after_block };
	m->front = (struct stack_hooks){ .me = x, .before = before_front, .after = after_front };
	return ACE_OK;
}

void
exchange_free(struct exchange *x)
{
	if (!x)
		return;
	if (x->shards && x->link && shards_settle(x->shards) != ACE_OK)
		msg_debug("%s", ace_message());		/* of a run that has failed, and has said so */
	link_close(x->beyond);
	link_close(x->link);
	if (x->measures.data)
		x->dev->m->free(x->dev, x->measures.data);
	shards_close(x->shards);
	free(x->shards);
	comm_leave(x->inside);
	comm_leave(x->across);
	free(x->piece);
	*x = (struct exchange){ .comm = x->comm, .sharding = x->sharding, .way = x->way, .ranks = x->ranks,
		.node_ranks = x->node_ranks };
}

bool
exchange_in_pass(const struct exchange *x, bool last)
{
	if (!x)
		return false;
	if (x->shards)
		return x->shards->full || last;
	return last && (x->dev->kind != DEV_CUDA || tensor_bytes(x->grads) > EXCHANGE_BEHIND);
}

bool
exchange_tells_later(const struct exchange *x)
{
	return !x || !x->link || link_way(x->link) == LINK_NCCL;
}

const char *
exchange_text(const struct exchange *x)
{
	return x && x->link ? link_text(x->link) : NULL;
}

bool
exchange_item(struct exchange *x, struct dit *m, int i, struct exchange_item *it)
{
	struct shards *s = x ? x->shards : NULL;
	int n = s ? s->items : dit_n_params(m);
	struct shard_place *q;

	if (i >= n)
		return false;
	if (!s) {
		*it = (struct exchange_item){ .p = dit_param(m, i), .number = i };
		return true;
	}
	q = s->item[i];
	if (q->whole)
		*it = (struct exchange_item){ .p = q->p, .number = q->number, .turn = shards_turn(s, q) };
	else
		*it = (struct exchange_item){ &q->mine, q->number, q->first, tensor_count(q->p->value), 0 };
	return true;
}

enum status
exchange_begin(struct exchange *x, bool last)
{
	if (!x)
		return ACE_OK;
	x->running = exchange_in_pass(x, last);
	x->last = last;
	if (!x->running)		/* no block will wait for its values */
		ACE_TRY(x->shards ? shards_settle(x->shards) : ACE_OK);
	return x->shards ? shards_begin(x->shards, last) : ACE_OK;
}

enum status
exchange_end(struct exchange *x)
{
	if (!x)
		return ACE_OK;
	x->running = false;
	return x->shards ? shards_end(x->shards) : ACE_OK;
}

enum status
exchange_idle(struct exchange *x, bool last, int64_t forwards)
{
	return x && x->shards ? shards_idle(x->shards, last, forwards) : ACE_OK;
}

enum status
exchange_most(struct exchange *x, int64_t *forwards)
{
	if (!x || !x->shards || !x->shards->full)
		return ACE_OK;
	return comm_allreduce(x->shards->group, tensor_of(forwards, I64, 1, 1), COMM_MAX, "runs of the blocks");
}

void
exchange_idle_forward(struct exchange *x)
{
	if (x && x->shards)
		shards_idle_forward(x->shards);
}

void
exchange_idle_tokens(struct exchange *x)
{
	if (!x || !x->shards || !x->shards->full)
		return;
	shards_before(x->shards, DIT_TOKENS, false);
	shards_after(x->shards, DIT_TOKENS, false);
}

void
exchange_looks(struct exchange *x, bool on)
{
	if (x && x->shards)
		x->shards->forward = on;
}

enum status
exchange_gradients(struct exchange *x)
{
	enum status st = ACE_OK;

	if (!x)
		return ACE_OK;
	if (x->shards)
		return shards_gradients(x->shards);
	while (x->started < x->n)
		start_piece(x);
	if (x->half.rank)
		x->ticket = link_allreduce(x->link, x->half, COMM_SUM, "gradients in bf16");
	if (x->n || x->half.rank)
		st = link_join(x->link, x->ticket);
	x->started = 0;
	return st;
}

enum status
exchange_add(struct exchange *x, struct tensor v)
{
	return x ? link_join(x->link, link_allreduce(x->link, v, COMM_SUM, "losses")) : ACE_OK;
}

enum status
exchange_measure(struct exchange *x, struct dev *d, struct tensor measured, struct tensor grads)
{
	struct shards *s = x ? x->shards : NULL;
	struct tensor mine;

	if (!s) {
		clip_measure(d, measured, grads);
		return ACE_OK;
	}
	mine = tensor_view(tensor_slice(x->measures, s->rank, 1), 2, s->segments + 1, 2);
	for (int i = 0; i < s->segments; i++)
		if (s->segment[i].train)
			clip_measure(d, tensor_view(tensor_slice(mine, i, 1), 1, 2), s->segment[i].my_grads);
	ACE_TRY(link_join(x->link, link_allgather(x->link, x->measures, mine, "the norm of the gradients")));
	clip_join(d, measured, x->measures);
	return d->status;
}

bool
exchange_is_fresh(const struct exchange *x)
{
	return x && x->shards && !x->shards->full && x->shards->fresh;
}

bool
exchange_forget(struct exchange *x)
{
	if (!x || !x->shards)
		return false;
	shards_forget(x->shards);
	return true;
}

enum status
exchange_values(struct exchange *x)
{
	return x && x->shards ? shards_values(x->shards) : ACE_OK;
}

enum status
exchange_settle(struct exchange *x)
{
	if (!x || !x->shards)
		return ACE_OK;
	ACE_TRY(shards_settle(x->shards));
	link_publish(x->link);
	return ACE_OK;
}

enum status
exchange_sums(struct exchange *x, double *v, int n)
{
	if (!x)
		return ACE_OK;
	return comm_allreduce(x->comm, tensor_of(v, F64, 1, n), COMM_SUM, "losses and counts");
}

enum status
exchange_agree(struct exchange *x, enum status st)
{
	return x ? comm_agree(x->comm, st) : st;
}

int
exchange_parts(const struct exchange *x)
{
	return x && x->shards ? x->shards->ranks : 1;
}

struct exchange
exchange_planned(const struct exchange *x)
{
	return (struct exchange){ .sharding = x->sharding, .ranks = exchange_ranks(x),
		.node_ranks = x->comm ? x->comm->node_size : x->node_ranks };
}

/* Each rank's share of what goes around among n: all-gather and reduce-scatter send every part but one. */
static double
around(double bytes, int n)
{
	return bytes * (n - 1) / n;
}

/* Whether a unit is put together for the backward pass too. */
static bool
again(const struct shards *s, int unit)
{
	if (!s->full || unit == s->units - 1 || shards_stays(s, unit))
		return false;
	return unit < DIT_FRONTS ? s->unit[unit].trains : unit >= shards_block(s->first_block);
}

double
exchange_traffic(const struct exchange *x, int64_t accumulation)
{
	int all = exchange_ranks(x), n = exchange_parts(x);
	double grads = 0, values = 0, turns, passes = (double)accumulation;

	if (!x || !x->shards)
		return x ? 2 * around((double)tensor_bytes(x->grads) + (x->half.rank ? (double)tensor_bytes(x->half) : 0), all) : 0;
	turns = around(shards_turn_bytes(x->shards), n);
	for (int i = 0; i < x->shards->segments; i++) {
		const struct segment *g = &x->shards->segment[i];
		double bytes = (double)g->count * (double)dtype_size(g->dtype);
		grads += g->train ? (double)g->count * 4 : 0;
		values += again(x->shards, g->unit) ? 2 * bytes : bytes;
	}
	if (!x->shards->full)
		return turns + around(grads + values, n);
	return turns + passes * around(grads + values, n) + 2 * around(grads / n, all / n);
}

bool
exchange_takes(const struct exchange *x, struct exchange_bytes *b)
{
	const struct shards *s = x ? x->shards : NULL;

	if (!s)
		return false;
	*b = (struct exchange_bytes){ s->frozen_bytes, s->bytes[0] - s->frozen_bytes, s->bytes[1], s->bytes[2] };
	return true;
}
