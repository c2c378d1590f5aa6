/* SPDX-License-Identifier: Apache-2.0 */
#include "comm/link_parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- which way --- */

#ifdef HAVE_NCCL
/* Whether no two ranks of a node have the same GPU. */
static enum status
apart(struct comm *c, struct dev *d, bool *are)
{
	int64_t mine[2] = { c->node, nccl_place(d) }, *all = malloc((size_t)c->size * sizeof mine);
	enum status st;

	if (!all)
		return ace_fail(ACE_ENOMEM, "no memory for the places of %d GPUs", c->size);
	st = comm_allgather(c, tensor_of(all, I64, 2, c->size, 2), tensor_of(mine, I64, 1, 2), "the places of the GPUs");
	*are = true;
	for (int i = 0; st == ACE_OK && i < c->size; i++)
		for (int k = 0; k < i; k++)
			*are = *are && memcmp(all + 2 * i, all + 2 * k, sizeof mine) != 0;
	free(all);
	return st;
}

/* Whether all ranks can; else why not. */
static enum status
all_can(struct comm *c, struct dev *d, bool *can, char why[160])
{
	int64_t there = nccl_there(why), all = there;
	bool alone = true;

	ACE_TRY(comm_allreduce(c, tensor_of(&all, I64, 1, 1), COMM_MIN, "which ranks have NCCL"));
	if (there && !all)
		snprintf(why, 160, "another rank has no NCCL");
	if (all)
		ACE_TRY(apart(c, d, &alone));
	if (!alone)
		snprintf(why, 160, "ranks share a GPU");
	*can = all && alone;
	return ACE_OK;
}
#else
static enum status
all_can(struct comm *c, struct dev *d, bool *can, char why[160])
{
	(void)c, (void)d;
	*can = false;
	snprintf(why, 160, "this build has no NCCL");
	return ACE_OK;
}
#endif

static enum status
choose(struct link *k, enum link_way way)
{
	char why[160] = "as asked for";
	bool can = false;

	k->way = way;
	if (way == LINK_AUTO || way == LINK_PLAIN)
		k->way = dev_is_host(k->d) ? LINK_PLAIN : LINK_NCCL;
	if (k->way == LINK_NCCL && k->d->kind != DEV_CUDA)
		return ace_fail(ACE_ECONFIG, "NCCL joins GPUs; this rank computes on the cpu");
	if (k->way == LINK_NCCL)
		ACE_TRY(all_can(k->c, k->d, &can, why));
	if (way == LINK_NCCL && !can)
		return ace_fail(ACE_ECONFIG, "no NCCL: %s", why);
	if (k->way == LINK_NCCL && !can)
		k->way = LINK_STAGED;
	snprintf(k->text, sizeof k->text, k->way == LINK_STAGED ? "MPI through host memory (%s)" : "MPI", why);
	return ACE_OK;
}

enum status
link_open(struct link **k, struct comm *c, struct dev *d, enum link_way way)
{
	struct link *new = calloc(1, sizeof *new);
	enum status st;

	*k = new;
	if (!new)
		return ace_fail(ACE_ENOMEM, "no memory for a group of devices");
	new->c = c;
	new->d = d;
	st = choose(new, way);
#ifdef HAVE_NCCL
	if (st == ACE_OK && new->way == LINK_NCCL)
		st = nccl_open(new);
#endif
	if (st == ACE_OK)
		return ACE_OK;
	link_close(new);
	*k = NULL;
	return st;
}

void
link_close(struct link *k)
{
	if (!k)
		return;
#ifdef HAVE_NCCL
	if (k->nccl)
		nccl_close(k);
#endif
	for (int i = 0; i < LINK_STAGES; i++)
		if (k->stage[i].host)
			k->d->m->unpin(k->d, k->stage[i].host);
	free(k);
}

enum link_way
link_way(const struct link *k)
{
	return k->way;
}

const char *
link_text(const struct link *k)
{
	return k->text;
}

/* --- through the host --- */

static void
keep(struct link *k, enum status st)
{
	if (st == ACE_OK || k->status != ACE_OK)
		return;
	k->status = st;
	snprintf(k->message, sizeof k->message, "%s", ace_message());
}

/* The result of a stage, to where it belongs. */
static void
land(struct link *k, struct link_stage *s)
{
	if (!s->number)
		return;
	keep(k, comm_wait(k->c, s->ticket));
	s->number = 0;
	if (k->status == ACE_OK && s->bytes > 0)
		k->d->m->upload_later(k->d, s->to, (const char *)s->host + s->from, s->bytes);
}

/* Room for bytes; what lay there before may still be on its way to the device. */
static bool
grow(struct link *k, struct link_stage *s, size_t bytes)
{
	if (bytes <= s->room)
		return true;
	if (s->host) {
		k->d->m->sync(k->d);
		k->d->m->unpin(k->d, s->host);
	}
	s->room = 0;
	s->host = k->d->m->pinned(k->d, bytes);
	if (s->host)
		s->room = bytes;
	else
		keep(k, ace_fail(ACE_ENOMEM, "no memory of the host for an exchange of %zu bytes", bytes));
	return s->host;
}

/* op on memory of the host: what goes in is copied there, what comes out is copied back when it lands. */
static void
stage(struct link *k, struct comm_op *op)
{
	struct link_stage *s = &k->stage[k->started % LINK_STAGES];
	size_t part = (size_t)op->n * dtype_size(op->dtype), all = part * (size_t)k->c->size, own = part * (size_t)k->c->rank;
	struct dev *d = k->d;
	char *host;

	land(k, s);
	if (k->status != ACE_OK || !grow(k, s, (op->kind == COMM_ALLREDUCE ? part : all) + 1))
		return;
	host = s->host;
	s->number = k->started;
	s->to = op->out;
	s->from = op->kind == COMM_REDUCE_SCATTER ? own : 0;
	s->bytes = op->kind == COMM_ALLGATHER ? all : part;
	if (op->kind == COMM_ALLGATHER)
		d->m->download_later(d, host + own, op->in, part);
	else
		d->m->download_later(d, host, op->in, op->kind == COMM_REDUCE_SCATTER ? all : part);
	d->m->sync(d);			/* the messages are another thread's */
	if (d->status != ACE_OK)
		keep(k, d->status);
	op->in = op->kind == COMM_ALLGATHER ? host + own : host;
	op->out = op->kind == COMM_REDUCE_SCATTER ? host + own : host;
	s->ticket = comm_start_op(k->c, op);
}

/* --- operations --- */

ACE_PRINTF(3, 0) static int64_t
begin(struct link *k, struct comm_op *op, const char *fmt, va_list ap)
{
	vsnprintf(op->label, sizeof op->label, fmt, ap);
	if (k->way == LINK_PLAIN)
		return comm_start_op(k->c, op);
	k->started++;
	dev_join(k->d);			/* gradients that are made beside the kernels */
	if (k->way == LINK_STAGED)
		stage(k, op);
#ifdef HAVE_NCCL
	if (k->way == LINK_NCCL)
		nccl_start(k, op);
#endif
	return k->started;
}

int64_t
link_allgather(struct link *k, struct tensor all, struct tensor part, const char *fmt, ...)
{
	struct comm_op op = comm_allgather_op(k->c, all, part);
	va_list ap;
	int64_t n;

	va_start(ap, fmt);
	n = begin(k, &op, fmt, ap);
	va_end(ap);
	return n;
}

int64_t
link_fetch(struct link *k, struct tensor all, struct tensor part, const char *fmt, ...)
{
	struct comm_op op = comm_allgather_op(k->c, all, part);
	va_list ap;
	int64_t n;

	va_start(ap, fmt);
#ifdef HAVE_NCCL
	if (k->peers) {
		vsnprintf(op.label, sizeof op.label, fmt, ap);
		n = ++k->started;
		dev_join(k->d);
		nccl_fetch(k, &op);
	} else
#endif
	n = begin(k, &op, fmt, ap);
	va_end(ap);
	return n;
}

enum status
link_share(struct link *k, void *base, size_t bytes)
{
#ifdef HAVE_NCCL
	if (k->way == LINK_NCCL && k->c->nodes == 1 && k->c->size > 1)
		return nccl_share(k, base, bytes);
#endif
	(void)k, (void)base, (void)bytes;
	return ACE_OK;
}

bool
link_groups(void)
{
	return getenv("ACE_NCCL_GROUPS") != NULL;
}

void
link_group(struct link *k, bool on)
{
#ifdef HAVE_NCCL
	if (k->way == LINK_NCCL && link_groups())
		nccl_group(k, on);
#endif
	(void)k, (void)on;
}

void
link_publish(struct link *k)
{
#ifdef HAVE_NCCL
	if (k->peers)
		nccl_publish(k);
#endif
	(void)k;
}

int64_t
link_reduce_scatter(struct link *k, struct tensor part, struct tensor all, enum comm_sum sum, const char *fmt, ...)
{
	struct comm_op op = comm_reduce_scatter_op(k->c, part, all, sum);
	va_list ap;
	int64_t n;

	va_start(ap, fmt);
	n = begin(k, &op, fmt, ap);
	va_end(ap);
	return n;
}

int64_t
link_allreduce(struct link *k, struct tensor x, enum comm_sum sum, const char *fmt, ...)
{
	struct comm_op op = comm_allreduce_op(x, sum);
	va_list ap;
	int64_t n;

	va_start(ap, fmt);
	n = begin(k, &op, fmt, ap);
	va_end(ap);
	return n;
}

/* Stages up to a number, oldest first. */
static void
land_up_to(struct link *k, int64_t number)
{
	int64_t from = k->started - LINK_STAGES + 1;

	for (int64_t i = from > 1 ? from : 1; i <= number; i++)
		if (k->stage[i % LINK_STAGES].number == i)
			land(k, &k->stage[i % LINK_STAGES]);
}

enum status
link_join(struct link *k, int64_t number)
{
	if (k->way == LINK_PLAIN)
		return comm_wait(k->c, number);
	if (k->way == LINK_STAGED)
		land_up_to(k, number);
#ifdef HAVE_NCCL
	if (k->way == LINK_NCCL)
		nccl_join(k, number);
#endif
	return k->status == ACE_OK ? ACE_OK : ace_fail(k->status, "%s", k->message);
}

enum status
link_host(const struct link *k, struct tensor x, const void **at, void **copy)
{
	*at = x.data;
	*copy = NULL;
	if (dev_is_host(k->d) || !x.data)
		return ACE_OK;
	*copy = malloc(tensor_bytes(x) + 1);
	if (!*copy)
		return ace_fail(ACE_ENOMEM, "no memory for a copy of %zu bytes", tensor_bytes(x));
	k->d->m->download(k->d, *copy, x.data, tensor_bytes(x));
	*at = *copy;
	return k->d->status;
}
