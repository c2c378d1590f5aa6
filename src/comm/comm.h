/* SPDX-License-Identifier: Apache-2.0 */
/* comm.h - a group of ranks: what they exchange, and how one learns that another is gone (layout.md section 4)
 *
 * Every rank makes the same calls in the same order, over all groups together; one thread of a process makes them. Started
 * operations run one after another in that order, beside what the rank computes. Sums run in the order of the ranks, so that a
 * result is the same bits for a given size of the group, whatever the timing.
 *
 * The first failure is kept (comm->status): whatever is waited for afterwards fails with it, in every rank that can still be
 * reached. Numbers are in host memory. */
#ifndef ACE_COMM_COMM_H
#define ACE_COMM_COMM_H

#include "base/status.h"
#include "num/tensor.h"

#include <stdbool.h>
#include <stdint.h>

enum comm_sum { COMM_SUM, COMM_MAX, COMM_MIN };	/* of max and min: a NaN in one rank is the result */

enum { COMM_PATIENCE = 600 };			/* seconds */

struct comm_ops;
struct engine;

struct comm {
	int rank, size;
	int node, nodes;		/* the node of this rank, of how many that the group is on */
	int node_rank, node_size;	/* among the ranks of the group on this node */
	const char *host;		/* name of this rank's node; owned */
	enum status status;		/* first failure, as far as this rank knows */
	const struct comm_ops *ops;	/* the rest is the room's */
	struct engine *engine;
	int *world;			/* [size] ranks in the first group; NULL: the same */
	int context;
	int64_t entered;		/* operations started */
	bool agreed;			/* the last agreement was that something failed */
};

/* How many ranks a launcher (mpirun, srun) says that it has started, by its environment; 1: none, or it does not say. */
int comm_launched(void);

/* This rank, as that launcher says; 0 when it does not. For what happens before there is a group. */
int comm_launched_rank(void);

/* The MPI that is there ("Open MPI v4.1.4"), into text; "" in a build without. */
void comm_library(char text[128]);

/* The group of all ranks; alone (size 1, without MPI) when no launcher speaks. patience: how many seconds nothing may happen
 * in an operation before a rank counts as lost. ACE_ERANK: the others do not come; ACE_ECONFIG: there is a launcher, but this
 * build has no MPI, or its MPI does not know that launcher. *c is owned (comm_close). Collective. */
enum status comm_open(struct comm **c, double patience) ACE_NODISCARD;

/* The end of a rank, which came to st (with this thread's message where it failed). What all agreed on, or ACE_OK: waits for
 * all, and is st or the failure of another. A failure of this rank alone: the others learn it in what they wait for. c may be
 * NULL: st. After ACE_OK or an agreed failure the group is gone in good order, *c is freed and NULL; else it is kept for
 * comm_abandon. Collective over comm. */
enum status comm_close(struct comm **c, enum status st) ACE_NODISCARD;

/* Whether a failure of this rank is one that all came to (comm_agree) and can still be told by the first: before comm_close, since
 * a launcher ends the other ranks as soon as one is gone. c may be NULL. */
bool comm_agreed(const struct comm *c);

/* Ends all ranks, this one too, with an exit code; for a group that failed. Returns only where there is no other rank. The
 * lowest rank that lives is given time to do it first, so that one message is seen. */
void comm_abandon(struct comm *c, int code);

/* Whether this rank is the one to tell of a failure: the lowest that is not known to be lost. */
bool comm_speaks(const struct comm *c);

/* Patience from now on, in all groups. working: ranks may come as late as they like, as long as their process answers when it
 * is asked, every so many seconds; for phases in which they have different amounts to do. */
void comm_set_patience(struct comm *c, double seconds, bool working);

/* That patience; infinite while ranks may be late, and of a group of one. */
double comm_patience(const struct comm *c);

/* From on to off the end of another rank's process on this node is a failure even where nothing is waited for: for those who wait
 * for something else, which will then not come. */
void comm_watch(struct comm *c, bool on);

/* The failure of another rank, as soon as it is known here; does not wait. For long work between operations. */
enum status comm_check(struct comm *c) ACE_NODISCARD;

/* Bytes of operations over c that this rank has sent to others until now (not those that NCCL carries: link.h). */
int64_t comm_sent(const struct comm *c);

/* --- groups --- */

/* The ranks that give the same color, in the order of their ranks; color < 0: none, *part is NULL. *part is owned
 * (comm_leave, before comm_close). Collective over comm. */
enum status comm_split(struct comm *c, int color, struct comm **part) ACE_NODISCARD;

/* For hybrid sharding: the ranks of this node, and those with this rank's number on the other nodes. ACE_ECONFIG when the
 * nodes have different numbers of ranks. Collective over comm. */
enum status comm_split_nodes(struct comm *c, struct comm **inside, struct comm **across) ACE_NODISCARD;
void comm_leave(struct comm *part);

/* --- started now, waited for later ---
 *
 * The words (printf) say what it is about, as in "block 17"; they are seen when it gets stuck. Buffers stay untouched until
 * comm_wait. n is the size of the group. All ranks give the same shapes: ACE_EBUG when a message shows that they do not. */

/* all [n, ...] = part [...] of every rank. part may be this rank's place in all. Any dtype. */
int64_t comm_allgather_start(struct comm *c, struct tensor all, struct tensor part, const char *fmt, ...)
	ACE_PRINTF(4, 5);

/* part [...] = sum over ranks of all [n, ...], the place of this rank; part may be that place. F32 F64 I64; BF16 is summed in
 * F32 and rounded once. */
int64_t comm_reduce_scatter_start(struct comm *c, struct tensor part, struct tensor all, enum comm_sum sum,
				  const char *fmt, ...) ACE_PRINTF(5, 6);

/* x = sum over ranks of x; dtypes as above. */
int64_t comm_allreduce_start(struct comm *c, struct tensor x, enum comm_sum sum, const char *fmt, ...)
	ACE_PRINTF(4, 5);

/* Until that operation and all before it are over. */
enum status comm_wait(struct comm *c, int64_t ticket) ACE_NODISCARD;
bool comm_done(struct comm *c, int64_t ticket);		/* it is over, or has failed: comm_wait does not wait */

/* --- at once; all collective over comm --- */

enum status comm_allgather(struct comm *c, struct tensor all, struct tensor part, const char *what) ACE_NODISCARD;
enum status comm_reduce_scatter(struct comm *c, struct tensor part, struct tensor all, enum comm_sum sum,
				const char *what) ACE_NODISCARD;
enum status comm_allreduce(struct comm *c, struct tensor x, enum comm_sum sum, const char *what) ACE_NODISCARD;

/* x of rank root to all. Any dtype. */
enum status comm_broadcast(struct comm *c, struct tensor x, int root, const char *what) ACE_NODISCARD;

/* Bytes of rank 0 (its *data, *size) to all: the others get memory of their own (free), with a 0 byte behind the end. More
 * than limit: ACE_EDATA everywhere. */
enum status comm_share(struct comm *c, char **data, size_t *size, size_t limit, const char *what) ACE_NODISCARD;

/* size bytes of every rank to rank 0: *all one behind another, those of rank r from at[r] to at[r + 1]; both are owned (free),
 * and NULL on the other ranks. More than limit together: ACE_EDATA everywhere. */
enum status comm_gather(struct comm *c, const void *data, size_t size, size_t limit, char **all, size_t **at,
			const char *what) ACE_NODISCARD;

enum status comm_barrier(struct comm *c, const char *what) ACE_NODISCARD;

/* What all came to: ACE_OK, or the failure of the lowest rank that has one, with its message behind "rank N (host): ". Lost
 * ranks (ACE_ERANK) count only when nothing else failed, ACE_ESTOPPED only when nothing did at all. What all ranks say alike
 * (a wrong option) stands without a rank in front. */
enum status comm_agree(struct comm *c, enum status st) ACE_NODISCARD;

/* Bits that some rank has set; for what is asked of one and done by all (stop, save). */
enum status comm_agree_flags(struct comm *c, uint32_t flags, uint32_t *all) ACE_NODISCARD;
#endif
