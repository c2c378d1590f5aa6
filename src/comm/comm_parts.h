/* SPDX-License-Identifier: Apache-2.0 */
/* comm_parts.h - what the files of this room share; of no use elsewhere */
#ifndef ACE_COMM_COMM_PARTS_H
#define ACE_COMM_COMM_PARTS_H

#include "comm/comm.h"

enum comm_kind { COMM_ALLGATHER, COMM_REDUCE_SCATTER, COMM_ALLREDUCE, COMM_BROADCAST, COMM_GATHER, COMM_BARRIER,
		 COMM_AGREEMENT /* an allgather that is called something else */ };

enum { COMM_LABEL = 64, COMM_CONTEXTS = 256 /* groups that a run may make */ };

/* One operation over a group. */
struct comm_op {
	enum comm_kind kind;
	enum dtype dtype;
	enum comm_sum sum;
	int root;
	void *out;
	const void *in;			/* gather: out [at[n]] on rank 0, in [at[rank + 1] - at[rank]] */
	const size_t *at;		/* gather */
	int64_t n;			/* numbers of one rank (all-gather, reduce-scatter), of all (all-reduce, broadcast) */
	struct comm *c;
	int64_t number;			/* of the group's operations */
	char label[COMM_LABEL];		/* "block 17"; "": nothing to add */
};

struct comm_ops {
	int64_t (*start)(struct comm *c, const struct comm_op *op);	/* the ticket */
	enum status (*wait)(struct comm *c, int64_t ticket);		/* with its message */
	bool (*done)(struct comm *c, int64_t ticket);
	void (*patience)(struct comm *c, double seconds, bool working);
	double (*patient)(const struct comm *c);
	void (*watch)(struct comm *c, bool on);
	enum status (*check)(struct comm *c);
	int (*new_context)(struct comm *c);		/* the next number of a group that this rank has not used */
	void (*use_context)(struct comm *c, int context);
	/* st, ACE_OK or agreed: wait for all and end in good order. Else tell the others. */
	enum status (*close)(struct comm *c, enum status st, bool agreed);
	void (*abandon)(struct comm *c, int code);
	bool (*speaks)(const struct comm *c);
	int64_t (*sent)(const struct comm *c);		/* bytes */
};

/* --- self.c --- */

enum status self_open(struct comm *c) ACE_NODISCARD;
extern const struct comm_ops self_ops;

/* --- mpi.c --- */

enum status mpi_open(struct comm *c, double patience) ACE_NODISCARD;
void mpi_library(char text[128]);

/* --- sum.c: the only place that adds, in the order of the sources --- */

/* out [n] = sum of from [sources] [n]; out may be one of them. */
void sum_sources(void *out, const void *const *from, int sources, int64_t n, enum dtype t, enum comm_sum sum);
bool sum_knows(enum dtype t);

/* --- comm.c --- */

/* Begin op of group c, its place in the group's operations filled in; the ticket. */
int64_t comm_start_op(struct comm *c, struct comm_op *op);

/* What the operations of these names are, their arguments checked. */
struct comm_op comm_allgather_op(struct comm *c, struct tensor all, struct tensor part);
struct comm_op comm_reduce_scatter_op(struct comm *c, struct tensor part, struct tensor all, enum comm_sum sum);
struct comm_op comm_allreduce_op(struct tensor x, enum comm_sum sum);

/* --- agree.c --- */

/* node, nodes, node_rank, node_size of g out of the nodes of its ranks, numbered anyhow [size]. */
enum status comm_place(struct comm *g, const int64_t *node) ACE_NODISCARD;

/* "all-gather of block 17" into text; returns text. */
const char *comm_op_text(const struct comm_op *op, char *text, size_t size);
#endif
