/* SPDX-License-Identifier: Apache-2.0 */
/* The operations over a group, made of messages between two ranks.
 *
 * Small ones take log2(size) rounds (J. Bruck et al., Efficient Algorithms for All-to-All Communications in Multiport
 * Message-Passing Systems, 1997, section 4); large ones send every byte once to whoever needs it, in pieces, so that scratch
 * and messages under way stay bounded. */
#include "comm/engine.h"

#include "base/clock.h"

#include <assert.h>
#include <string.h>

enum {
	SMALL = 64 << 10,		/* bytes of all ranks together, up to which rounds are fewer than messages */
	SMALL_BROADCAST = 64 << 10,
	LINKS = 32,			/* log2 of ranks, and one */
};

static int
peer_of(const struct comm *c, int rank)
{
	rank = (rank % c->size + c->size) % c->size;
	return c->world ? c->world[rank] : rank;
}

/* Until at most left messages of f are under way. */
static enum status
wait_for(struct engine *e, struct flight *f, int left)
{
	for (int idle = 0; f->n > left; idle++) {
		int arrived;
		ACE_TRY(flight_test(e, f, &arrived));
		if (arrived > 0) {
			e->moved = clock_now();
			idle = -1;
			continue;
		}
		ACE_TRY(engine_pause(e, idle));
	}
	return ACE_OK;
}

static enum status
send(struct engine *e, struct flight *f, const struct comm *c, int to, const void *data, size_t bytes)
{
	if (bytes == 0)
		return ACE_OK;
	assert(f->n < f->cap);
	atomic_fetch_add(&e->sent[c->context], (int64_t)bytes);
	return flight_send(e, f, peer_of(c, to), c->context, data, bytes);
}

static enum status
receive(struct engine *e, struct flight *f, const struct comm *c, int from, void *data, size_t bytes)
{
	if (bytes == 0)
		return ACE_OK;
	assert(f->n < f->cap);
	return flight_receive(e, f, peer_of(c, from), c->context, data, bytes);
}

static size_t
piece(size_t total, size_t at)
{
	return at >= total ? 0 : total - at < WIRE_PIECE ? total - at : WIRE_PIECE;
}

/* --- all-gather --- */

/* Rounds: after the k-th every rank has what it and the 2^k - 1 behind it gave. out may be in's owner, but not in scratch's
 * first SMALL bytes. */
static enum status
gather_small(struct engine *e, const struct comm *c, char *out, const char *in, size_t bytes)
{
	struct flight *f = &e->flight[0];
	char *have = e->scratch;

	memcpy(have, in, bytes);
	for (int n = 1; n < c->size; n *= 2) {
		int more = n < c->size - n ? n : c->size - n;
		ACE_TRY(receive(e, f, c, c->rank + n, have + (size_t)n * bytes, (size_t)more * bytes));
		ACE_TRY(send(e, f, c, c->rank - n, have, (size_t)more * bytes));
		ACE_TRY(wait_for(e, f, 0));
	}
	for (int i = 0; i < c->size; i++)
		memcpy(out + (size_t)((c->rank + i) % c->size) * bytes, have + (size_t)i * bytes, bytes);
	return ACE_OK;
}

/* Where rank r's part of x is: each bytes, the last ones shorter, of total. */
struct parts_of {
	char *x;
	size_t each, total;
};

static char *
part_at(const struct parts_of *p, int r, size_t *bytes)
{
	size_t at = (size_t)r * p->each;

	at = at < p->total ? at : p->total;
	*bytes = p->total - at < p->each ? p->total - at : p->each;
	return p->x + at;
}

/* Every part to everyone, each rank beginning with its neighbour; own parts are in place. */
static enum status
gather_large(struct engine *e, const struct comm *c, const struct parts_of *p)
{
	struct flight *f = &e->flight[0];
	size_t mine, theirs, most;
	char *own = part_at(p, c->rank, &mine), *other;

	for (int k = 1; k < c->size; k++) {
		other = part_at(p, (c->rank - k + c->size) % c->size, &theirs);
		most = mine > theirs ? mine : theirs;
		for (size_t at = 0; at < most; at += WIRE_PIECE) {
			ACE_TRY(wait_for(e, f, WIRE_WINDOW - 2));
			ACE_TRY(receive(e, f, c, c->rank - k, other + at, piece(theirs, at)));
			ACE_TRY(send(e, f, c, c->rank + k, own + at, piece(mine, at)));
		}
	}
	return wait_for(e, f, 0);
}

static enum status
allgather(struct engine *e, const struct comm *c, char *out, const char *in, size_t bytes)
{
	struct parts_of p = { out, bytes, bytes * (size_t)c->size };

	if (p.total <= SMALL)
		return gather_small(e, c, out, in, bytes);
	if (in != out + (size_t)c->rank * bytes)
		memcpy(out + (size_t)c->rank * bytes, in, bytes);
	return gather_large(e, c, &p);
}

/* --- sums --- */

/* One piece of the sums: numbers off ... off + each - 1 of every rank's part. */
struct slice {
	const struct parts_of *p;
	size_t off, each;		/* bytes */
	char *room;			/* [size][each] */
	struct flight *f;
};

static size_t
slice_at(const struct slice *s, int r, char **at)
{
	size_t bytes;

	*at = part_at(s->p, r, &bytes) + s->off;
	return bytes <= s->off ? 0 : bytes - s->off < s->each ? bytes - s->off : s->each;
}

static enum status
begin_slice(struct engine *e, const struct comm *c, const struct slice *s)
{
	char *at;
	size_t mine = slice_at(s, c->rank, &at), theirs;

	for (int k = 1; k < c->size; k++) {
		int from = (c->rank - k + c->size) % c->size, to = (c->rank + k) % c->size;
		ACE_TRY(receive(e, s->f, c, from, s->room + (size_t)from * s->each, mine));
		theirs = slice_at(s, to, &at);
		ACE_TRY(send(e, s->f, c, to, at, theirs));
	}
	return ACE_OK;
}

static enum status
end_slice(struct engine *e, const struct comm_op *op, const struct slice *s, char *out)
{
	const struct comm *c = op->c;
	char *own;
	size_t bytes = slice_at(s, c->rank, &own);

	ACE_TRY(wait_for(e, s->f, 0));
	if (bytes == 0)
		return ACE_OK;
	for (int r = 0; r < c->size; r++)
		e->from[r] = r == c->rank ? own : s->room + (size_t)r * s->each;
	sum_sources(out + s->off, e->from, c->size, (int64_t)(bytes / dtype_size(op->dtype)), op->dtype, op->sum);
	return ACE_OK;
}

/* out = sum of all ranks' part of mine; while one piece is summed the next is under way. */
static enum status
scatter(struct engine *e, const struct comm_op *op, const struct parts_of *p, char *out)
{
	size_t half = ENGINE_SCRATCH / 2, each = half / (size_t)op->c->size / 64 * 64;
	struct slice s[2];
	int now = 0;

	each = each < WIRE_PIECE ? each : WIRE_PIECE;
	for (int i = 0; i < 2; i++)
		s[i] = (struct slice){ .p = p, .each = each, .room = e->scratch + (size_t)i * half, .f = &e->flight[i] };
	if (p->each > 0)
		ACE_TRY(begin_slice(e, op->c, &s[0]));
	for (size_t off = 0; off < p->each; off += each, now = !now) {
		s[!now].off = off + each;
		if (off + each < p->each)
			ACE_TRY(begin_slice(e, op->c, &s[!now]));
		ACE_TRY(end_slice(e, op, &s[now], out));
	}
	return ACE_OK;
}

static enum status
allreduce(struct engine *e, const struct comm_op *op)
{
	const struct comm *c = op->c;
	size_t number = dtype_size(op->dtype), bytes = (size_t)op->n * number, own;
	struct parts_of p = { op->out, 0, bytes };

	if (bytes * (size_t)c->size <= SMALL) {
		char *all = e->scratch + SMALL;
		ACE_TRY(gather_small(e, c, all, op->in, bytes));
		for (int r = 0; r < c->size; r++)
			e->from[r] = all + (size_t)r * bytes;
		sum_sources(op->out, e->from, c->size, op->n, op->dtype, op->sum);
		return ACE_OK;
	}
	p.each = (size_t)((op->n + c->size - 1) / c->size) * number;
	ACE_TRY(scatter(e, op, &p, part_at(&p, c->rank, &own)));
	return gather_large(e, c, &p);
}

/* --- from one to all, from all to one --- */

/* Whom rank v (counted from the root) hears and tells: a tree of log2(size) steps, or one long chain, along which every byte
 * passes once. */
static int
links(int v, int size, bool chain, int *parent, int child[LINKS])
{
	int n = 0, bit = 1;

	*parent = -1;
	if (chain) {
		*parent = v - 1;
		if (v + 1 < size)
			child[n++] = v + 1;
		return n;
	}
	while (bit < size && !(v & bit))
		bit *= 2;
	if (v > 0)
		*parent = v - bit;
	for (bit /= 2; bit > 0; bit /= 2)
		if (v + bit < size)
			child[n++] = v + bit;
	return n;
}

static enum status
broadcast(struct engine *e, const struct comm_op *op)
{
	const struct comm *c = op->c;
	size_t bytes = (size_t)op->n * dtype_size(op->dtype);
	int parent, child[LINKS], n;
	char *x = op->out;

	n = links((c->rank - op->root + c->size) % c->size, c->size, bytes > SMALL_BROADCAST, &parent, child);
	if (parent >= 0)
		ACE_TRY(receive(e, &e->flight[0], c, op->root + parent, x, piece(bytes, 0)));
	for (size_t at = 0; at < bytes; at += WIRE_PIECE) {	/* the next one comes while this one goes */
		ACE_TRY(wait_for(e, &e->flight[0], 0));
		if (parent >= 0 && at + WIRE_PIECE < bytes)
			ACE_TRY(receive(e, &e->flight[0], c, op->root + parent, x + at + WIRE_PIECE,
					piece(bytes, at + WIRE_PIECE)));
		ACE_TRY(wait_for(e, &e->flight[1], n));
		for (int i = 0; i < n; i++)
			ACE_TRY(send(e, &e->flight[1], c, op->root + child[i], x + at, piece(bytes, at)));
	}
	return wait_for(e, &e->flight[1], 0);
}

static enum status
gather(struct engine *e, const struct comm_op *op)
{
	const struct comm *c = op->c;
	struct flight *f = &e->flight[0];
	size_t own = op->at[c->rank + 1] - op->at[c->rank];

	if (c->rank > 0) {
		for (size_t at = 0; at < own; at += WIRE_PIECE) {
			ACE_TRY(wait_for(e, f, WIRE_WINDOW - 1));
			ACE_TRY(send(e, f, c, 0, (const char *)op->in + at, piece(own, at)));
		}
		return wait_for(e, f, 0);
	}
	if (own > 0)
		memcpy(op->out, op->in, own);
	for (int r = 1; r < c->size; r++) {
		char *to = (char *)op->out + op->at[r];
		size_t bytes = op->at[r + 1] - op->at[r];
		for (size_t at = 0; at < bytes; at += WIRE_PIECE) {
			ACE_TRY(wait_for(e, f, WIRE_WINDOW - 1));
			ACE_TRY(receive(e, f, c, r, to + at, piece(bytes, at)));
		}
	}
	return wait_for(e, f, 0);
}

/* --- which is which --- */

enum status
exchange_run(struct engine *e, const struct comm_op *op)
{
	const struct comm *c = op->c;
	size_t bytes = (size_t)op->n * dtype_size(op->dtype);
	struct parts_of p = { (char *)op->in, bytes, bytes * (size_t)c->size };
	char one = 0;

	switch (op->kind) {
	case COMM_ALLGATHER:
	case COMM_AGREEMENT: return allgather(e, c, op->out, op->in, bytes);
	case COMM_REDUCE_SCATTER: return scatter(e, op, &p, op->out);
	case COMM_ALLREDUCE: return allreduce(e, op);
	case COMM_BROADCAST: return broadcast(e, op);
	case COMM_GATHER: return gather(e, op);
	case COMM_BARRIER: return gather_small(e, c, e->scratch + SMALL, &one, 1);
	}
	return ACE_OK;
}

enum status
exchange_hello(struct engine *e, const struct hello *mine)
{
	struct comm all = { .rank = e->rank, .size = e->size };

	return allgather(e, &all, (char *)e->hello, (const char *)mine, sizeof *mine);
}
