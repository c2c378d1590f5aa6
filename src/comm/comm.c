/* SPDX-License-Identifier: Apache-2.0 */
#include "comm/comm.h"

#include "comm/comm_parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- open and close --- */

static int
number_in(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n = text && *text ? strtol(text, &end, 10) : 0;

	return n > 0 && *end == 0 && n < 1 << 24 ? (int)n : 0;
}

int
comm_launched(void)
{
	/* Open MPI's mpirun; MPICH, Intel and others by PMI; srun's step, whatever it speaks */
	static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (number_in(names[i]) > 0)
			return number_in(names[i]);
	return getenv("PMIX_RANK") ? 2 : 1;	/* some other launcher by PMIx: it knows how many */
}

int
comm_launched_rank(void)
{
	static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID" };

	for (size_t i = 0; i < sizeof names / sizeof *names && comm_launched() > 1; i++)
		if (getenv(names[i]))
			return number_in(names[i]);
	return 0;
}

void
comm_library(char text[128])
{
	*text = 0;
#ifdef HAVE_MPI
	mpi_library(text);
#endif
}

#ifdef HAVE_MPI
/* srun --mpi=none: every rank would find itself alone, or MPI would end the program. */
static enum status
check_launcher(int launched)
{
	static const char *const names[] = { "OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_FD", "MPI_LOCALNRANKS" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (getenv(names[i]))
			return ACE_OK;
	return ace_fail(ACE_ECONFIG, "srun started %d ranks and tells them nothing of each other\n"
			"give it --mpi=pmix, or another kind of `srun --mpi=list` that this MPI speaks", launched);
}
#endif

enum status
comm_open(struct comm **c, double patience)
{
	int launched = comm_launched();
	struct comm *g = calloc(1, sizeof *g);
	enum status st;

	*c = NULL;
	if (!g)
		return ace_fail(ACE_ENOMEM, "no memory for a group of ranks");
#ifdef HAVE_MPI
	st = launched > 1 ? check_launcher(launched) : self_open(g);
	if (st == ACE_OK && launched > 1)
		st = mpi_open(g, patience);
#else
	(void)patience;
	st = launched > 1 ? ace_fail(ACE_ECONFIG, "%d ranks were started, but this build has no MPI (configure --with-mpi)",
				     launched)
			  : self_open(g);
#endif
	if (st != ACE_OK) {
		free(g);
		return st;
	}
	*c = g;
	return ACE_OK;
}

static void
free_group(struct comm *c)
{
	free((char *)c->host);
	free(c->world);
	free(c);
}

enum status
comm_close(struct comm **c, enum status st)
{
	struct comm *g = *c;

	if (!g)
		return st;
	st = g->ops->close(g, st, g->agreed);
	if (g->status != ACE_OK)
		return st;
	free_group(g);
	*c = NULL;
	return st;
}

bool
comm_agreed(const struct comm *c)
{
	return c && c->agreed && c->status == ACE_OK;
}

void
comm_leave(struct comm *part)
{
	if (part)
		free_group(part);
}

void
comm_abandon(struct comm *c, int code)
{
	if (c)
		c->ops->abandon(c, code);
}

bool
comm_speaks(const struct comm *c)
{
	return c->ops->speaks(c);
}

void
comm_set_patience(struct comm *c, double seconds, bool working)
{
	c->ops->patience(c, seconds, working);
}

double
comm_patience(const struct comm *c)
{
	return c->ops->patient(c);
}

void
comm_watch(struct comm *c, bool on)
{
	c->ops->watch(c, on);
}

enum status
comm_check(struct comm *c)
{
	return c->ops->check(c);
}

int64_t
comm_sent(const struct comm *c)
{
	return c->ops->sent(c);
}

/* --- operations --- */

const char *
comm_op_text(const struct comm_op *op, char *text, size_t size)
{
	static const char *const names[] = {
		[COMM_ALLGATHER] = "all-gather", [COMM_REDUCE_SCATTER] = "reduce-scatter", [COMM_ALLREDUCE] = "all-reduce",
		[COMM_BROADCAST] = "broadcast", [COMM_GATHER] = "gather", [COMM_BARRIER] = "barrier",
		[COMM_AGREEMENT] = "agreement",
	};
	const char *join = op->kind == COMM_BARRIER || op->kind == COMM_AGREEMENT ? "at" : "of";

	if (*op->label)
		snprintf(text, size, "%s %s %s", names[op->kind], join, op->label);
	else
		snprintf(text, size, "%s", names[op->kind]);
	return text;
}

static void ACE_PRINTF(2, 0)
label(struct comm_op *op, const char *fmt, va_list ap)
{
	if (fmt)
		vsnprintf(op->label, sizeof op->label, fmt, ap);
}

int64_t
comm_start_op(struct comm *c, struct comm_op *op)
{
	op->c = c;
	op->number = ++c->entered;
	c->agreed = false;
	return c->ops->start(c, op);
}

/* Begin with words, and wait. */
static enum status
finish(struct comm *c, struct comm_op *op, const char *what)
{
	if (what)
		snprintf(op->label, sizeof op->label, "%s", what);
	return comm_wait(c, comm_start_op(c, op));
}

struct comm_op
comm_allgather_op(struct comm *c, struct tensor all, struct tensor part)
{
	assert(all.dtype == part.dtype && tensor_count(all) == c->size * tensor_count(part) && !all.ld && !part.ld);
	return (struct comm_op){ .kind = COMM_ALLGATHER, .dtype = all.dtype, .out = all.data, .in = part.data,
				 .n = tensor_count(part) };
}

struct comm_op
comm_reduce_scatter_op(struct comm *c, struct tensor part, struct tensor all, enum comm_sum sum)
{
	assert(all.dtype == part.dtype && tensor_count(all) == c->size * tensor_count(part) && !all.ld && !part.ld);
	assert(sum_knows(all.dtype));
	return (struct comm_op){ .kind = COMM_REDUCE_SCATTER, .dtype = all.dtype, .sum = sum, .out = part.data,
				 .in = all.data, .n = tensor_count(part) };
}

struct comm_op
comm_allreduce_op(struct tensor x, enum comm_sum sum)
{
	assert(sum_knows(x.dtype) && !x.ld);
	return (struct comm_op){ .kind = COMM_ALLREDUCE, .dtype = x.dtype, .sum = sum, .out = x.data, .in = x.data,
				 .n = tensor_count(x) };
}

#define START(c, op, fmt)               \
	do {                            \
		va_list ap;             \
		va_start(ap, fmt);      \
		label(&op, fmt, ap);    \
		va_end(ap);             \
		return comm_start_op(c, &op);   \
	} while (0)

int64_t
comm_allgather_start(struct comm *c, struct tensor all, struct tensor part, const char *fmt, ...)
{
	struct comm_op op = comm_allgather_op(c, all, part);

	START(c, op, fmt);
}

int64_t
comm_reduce_scatter_start(struct comm *c, struct tensor part, struct tensor all, enum comm_sum sum, const char *fmt, ...)
{
	struct comm_op op = comm_reduce_scatter_op(c, part, all, sum);

	START(c, op, fmt);
}

int64_t
comm_allreduce_start(struct comm *c, struct tensor x, enum comm_sum sum, const char *fmt, ...)
{
	struct comm_op op = comm_allreduce_op(x, sum);

	START(c, op, fmt);
}

enum status
comm_wait(struct comm *c, int64_t ticket)
{
	return c->ops->wait(c, ticket);
}

bool
comm_done(struct comm *c, int64_t ticket)
{
	return c->ops->done(c, ticket);
}

enum status
comm_allgather(struct comm *c, struct tensor all, struct tensor part, const char *what)
{
	struct comm_op op = comm_allgather_op(c, all, part);

	return finish(c, &op, what);
}

enum status
comm_reduce_scatter(struct comm *c, struct tensor part, struct tensor all, enum comm_sum sum, const char *what)
{
	struct comm_op op = comm_reduce_scatter_op(c, part, all, sum);

	return finish(c, &op, what);
}

enum status
comm_allreduce(struct comm *c, struct tensor x, enum comm_sum sum, const char *what)
{
	struct comm_op op = comm_allreduce_op(x, sum);

	return finish(c, &op, what);
}

static enum status
broadcast(struct comm *c, void *data, enum dtype t, int64_t n, int root, const char *what)
{
	struct comm_op op = { .kind = COMM_BROADCAST, .dtype = t, .root = root, .out = data, .in = data, .n = n };

	assert(root >= 0 && root < c->size);
	return finish(c, &op, what);
}

enum status
comm_broadcast(struct comm *c, struct tensor x, int root, const char *what)
{
	assert(!x.ld);
	return broadcast(c, x.data, x.dtype, tensor_count(x), root, what);
}

enum status
comm_barrier(struct comm *c, const char *what)
{
	struct comm_op op = { .kind = COMM_BARRIER, .dtype = U8 };

	return finish(c, &op, what);
}
