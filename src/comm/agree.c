/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks decide together, bytes whose number only one of them knows, and smaller groups: all made of the operations. */
#include "comm/comm.h"

#include "base/crc32c.h"
#include "comm/comm_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 2048 };

/* One number of every rank into all [size]. */
static enum status
numbers(struct comm *c, enum comm_kind kind, int64_t mine, int64_t *all, const char *what)
{
	struct comm_op op = { .kind = kind, .dtype = I64, .out = all, .in = &mine, .n = 1 };

	if (what)
		snprintf(op.label, sizeof op.label, "%s", what);
	return comm_wait(c, comm_start_op(c, &op));
}

static int64_t *
room_for(const struct comm *c)
{
	int64_t *all = calloc((size_t)c->size, sizeof *all);

	if (!all)
		(void)ace_fail(ACE_ENOMEM, "no memory for a number of %d ranks", c->size);
	return all;
}

/* --- agreements --- */

static int
weight(enum status st)
{
	return st == ACE_OK ? 0 : st == ACE_ESTOPPED ? 1 : st == ACE_ERANK ? 2 : 3;
}

/* A status, and what tells messages apart. */
static int64_t
state_of(enum status st)
{
	return st == ACE_OK || st == ACE_ESTOPPED ? (int64_t)st
	                                          : (int64_t)crc32c(0, ace_message(), strlen(ace_message())) << 8 | (int64_t)st;
}

static enum status
status_of(int64_t state)
{
	return (enum status)(state & 0xff);
}

/* Whose failure counts; -1: nobody's. *alike: all ranks say the same. */
static int
spokesman(const int64_t *state, int n, bool *alike)
{
	int at = -1;

	*alike = true;
	for (int r = 0; r < n; r++) {
		*alike = *alike && state[r] == state[0];
		if (weight(status_of(state[r])) > (at < 0 ? 0 : weight(status_of(state[at]))))
			at = r;
	}
	return at;
}

static enum status
spread_message(struct comm *c, int from, enum status st)
{
	char message[MESSAGE] = "";
	struct tensor x = tensor_of(message, U8, 1, MESSAGE);

	if (c->rank == from)
		snprintf(message, sizeof message, "rank %d (%s): %s", c->rank, c->host, ace_message());
	ACE_TRY(comm_broadcast(c, x, from, "a message"));
	message[MESSAGE - 1] = 0;
	return ace_fail(st, "%s", message);
}

enum status
comm_agree(struct comm *c, enum status st)
{
	int64_t *state;
	enum status worst;
	bool alike;
	int from;

	if (c->size == 1)
		return st;
	if (!(state = room_for(c)))
		return ACE_ENOMEM;	/* the others wait in vain, until this rank's end tells them */
	worst = numbers(c, COMM_AGREEMENT, state_of(st), state, NULL);
	from = worst == ACE_OK ? spokesman(state, c->size, &alike) : -1;
	if (from >= 0) {
		worst = status_of(state[from]);
		if (worst != ACE_ESTOPPED && !alike)
			worst = spread_message(c, from, worst);
		c->agreed = c->status == ACE_OK;
	}
	free(state);
	return worst;
}

enum status
comm_agree_flags(struct comm *c, uint32_t flags, uint32_t *all)
{
	int64_t *each;
	enum status st;

	*all = flags;
	if (c->size == 1)
		return c->status;
	if (!(each = room_for(c)))
		return ACE_ENOMEM;
	st = numbers(c, COMM_AGREEMENT, flags, each, NULL);
	for (int r = 0; st == ACE_OK && r < c->size; r++)
		*all |= (uint32_t)each[r];
	free(each);
	return st;
}

/* --- bytes --- */

enum status
comm_share(struct comm *c, char **data, size_t *size, size_t limit, const char *what)
{
	int64_t n = c->rank == 0 ? (int64_t)*size : 0;
	struct tensor x = tensor_of(&n, I64, 1, 1);
	enum status st = ACE_OK;

	ACE_TRY(comm_broadcast(c, x, 0, what));
	if (n < 0 || (size_t)n > limit)
		return ace_fail(ACE_EDATA, "%s has %lld bytes, at most %zu are passed on", what, (long long)n, limit);
	if (c->rank > 0) {
		*data = malloc((size_t)n + 1);
		*size = (size_t)n;
		if (!*data)
			st = ace_fail(ACE_ENOMEM, "no memory for %lld bytes of %s", (long long)n, what);
	}
	st = comm_agree(c, st);
	if (st == ACE_OK)
		st = comm_broadcast(c, tensor_of(*data, U8, 1, n), 0, what);
	if (c->rank > 0 && st != ACE_OK) {
		free(*data);
		*data = NULL;
	} else if (c->rank > 0) {
		(*data)[n] = 0;
	}
	return st;
}

/* Where the bytes of every rank begin, at [size + 1]. */
static enum status
offsets(struct comm *c, size_t size, size_t limit, size_t *at, const char *what)
{
	int64_t *each = room_for(c);
	enum status st = each ? numbers(c, COMM_ALLGATHER, (int64_t)size, each, what) : ACE_ENOMEM;

	at[0] = 0;
	for (int r = 0; st == ACE_OK && r < c->size; r++) {
		if (each[r] < 0 || (uint64_t)each[r] > limit - at[r])
			st = ace_fail(ACE_EDATA, "%s of %d ranks have more than %zu bytes together", what, c->size, limit);
		else
			at[r + 1] = at[r] + (size_t)each[r];
	}
	free(each);
	return st;
}

enum status
comm_gather(struct comm *c, const void *data, size_t size, size_t limit, char **all, size_t **at, const char *what)
{
	struct comm_op op = { .kind = COMM_GATHER, .dtype = U8, .in = data };
	size_t *places = calloc((size_t)c->size + 1, sizeof *places);
	enum status st = ACE_OK;
	char *room = NULL;

	*all = NULL;
	*at = NULL;
	if (!places)
		return ace_fail(ACE_ENOMEM, "no memory for %d ranks", c->size);
	st = offsets(c, size, limit, places, what);
	if (st == ACE_OK) {
		if (c->rank == 0 && !(room = calloc(1, places[c->size] + 1)))
			st = ace_fail(ACE_ENOMEM, "no memory for %zu bytes of %s", places[c->size], what);
		st = comm_agree(c, st);
	}
	if (st == ACE_OK) {
		op.out = room;
		op.at = places;
		snprintf(op.label, sizeof op.label, "%s", what);
		st = comm_wait(c, comm_start_op(c, &op));
	}
	if (st != ACE_OK || c->rank > 0) {
		free(room);
		free(places);
		return st;
	}
	*all = room;
	*at = places;
	return ACE_OK;
}

/* --- smaller groups --- */

static int
by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

enum status
comm_place(struct comm *g, const int64_t *node)
{
	int64_t *sorted = malloc((size_t)g->size * sizeof *sorted);

	if (!sorted)
		return ace_fail(ACE_ENOMEM, "no memory for a group of %d ranks", g->size);
	memcpy(sorted, node, (size_t)g->size * sizeof *sorted);
	qsort(sorted, (size_t)g->size, sizeof *sorted, by_number);
	for (int r = 0; r < g->size; r++) {
		bool first = r == 0 || sorted[r] != sorted[r - 1];
		g->node += first && sorted[r] < node[g->rank];
		g->nodes += first;
		g->node_size += node[r] == node[g->rank];
		g->node_rank += node[r] == node[g->rank] && r < g->rank;
	}
	free(sorted);
	return ACE_OK;
}

/* Members of my color into g: their ranks in the first group, and their nodes [size of c]. */
static enum status
members(struct comm *c, int color, const int64_t *colors, const int64_t *nodes, struct comm *g, int64_t *node)
{
	g->world = malloc((size_t)c->size * sizeof *g->world);
	g->host = strdup(c->host);
	if (!g->world || !g->host)
		return ace_fail(ACE_ENOMEM, "no memory for a group of %d ranks", c->size);
	for (int r = 0; r < c->size; r++) {
		if (colors[r] != color)
			continue;
		if (r == c->rank)
			g->rank = g->size;
		node[g->size] = nodes[r];
		g->world[g->size++] = c->world ? c->world[r] : r;
	}
	return comm_place(g, node);
}

enum status
comm_split(struct comm *c, int color, struct comm **part)
{
	int64_t *all = malloc(4 * (size_t)c->size * sizeof *all), *context, *colors, *nodes;
	struct comm *g = calloc(1, sizeof *g);
	enum status st = ACE_OK;
	int next = 0;

	*part = NULL;
	if (!all || !g)
		st = ace_fail(ACE_ENOMEM, "no memory for a group of ranks");
	st = comm_agree(c, st);
	if (st != ACE_OK)
		goto out;
	context = all, colors = all + c->size, nodes = colors + c->size;
	if ((st = numbers(c, COMM_ALLGATHER, c->ops->new_context(c), context, "a new group")) != ACE_OK ||
	    (st = numbers(c, COMM_ALLGATHER, color < 0 ? -1 : color, colors, "a new group")) != ACE_OK ||
	    (st = numbers(c, COMM_ALLGATHER, c->node, nodes, "a new group")) != ACE_OK)
		goto out;
	for (int r = 0; r < c->size; r++)
		next = context[r] > next ? (int)context[r] : next;
	if (next >= COMM_CONTEXTS) {
		st = ace_fail(ACE_EBUG, "%d groups of ranks were made, more than there can be", next);
		goto out;
	}
	g->ops = c->ops;
	g->engine = c->engine;
	g->context = next;
	c->ops->use_context(c, next);
	if (color >= 0)
		st = members(c, color, colors, nodes, g, nodes + c->size);
	st = comm_agree(c, st);
	if (st == ACE_OK && color >= 0) {
		*part = g;
		g = NULL;
	}
out:
	free(all);
	comm_leave(g);
	return st;
}

enum status
comm_split_nodes(struct comm *c, struct comm **inside, struct comm **across)
{
	int64_t *sizes = malloc((size_t)c->size * sizeof *sizes);
	enum status st = comm_agree(c, sizes ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a group of ranks"));

	*inside = *across = NULL;
	if (st == ACE_OK)
		st = numbers(c, COMM_ALLGATHER, c->node_size, sizes, "sizes of nodes");
	for (int r = 1; st == ACE_OK && r < c->size; r++)
		if (sizes[r] != sizes[0])
			st = ace_fail(ACE_ECONFIG, "%lld ranks run on the node of rank 0, %lld on that of rank %d; a split by nodes "
				      "wants as many on each", (long long)sizes[0], (long long)sizes[r], r);
	free(sizes);
	if (st == ACE_OK)
		st = comm_split(c, c->node, inside);
	if (st == ACE_OK)
		st = comm_split(c, c->node_rank, across);
	if (st != ACE_OK) {
		comm_leave(*inside);
		*inside = NULL;
	}
	return st;
}
