/* SPDX-License-Identifier: Apache-2.0 */
/* shards.h - parameters in equal parts, one a rank, that are put together where they are needed (layout.md sections 4 and 8)
 *
 * S. Rajbhandari and others, ZeRO: Memory Optimizations Toward Training Trillion Parameter Models, 2020.
 *
 * The params of a block that are of one type, and either train or do not, lie one behind another in a segment. Each begins at a
 * multiple of SHARD_ALIGN numbers and the whole is padded, so that the ranks' parts are of the same size and no 8-bit code's block
 * is cut. A rank has a part of a segment, and of a param what falls into it: the optimiser's item.
 *
 *   optimizer   values and gradients of what trains are whole on every rank, and so is what does not train; a rank updates its
 *               part, and the values are put together again behind the update
 *   full        of values, gradients and states a rank keeps its part alone; a unit (a block, or a part of what runs before the
 *               blocks) is put together just before it runs, while the one before it still runs, and its gradients are summed and
 *               parted while the next one runs; those of a block's feed-forward while the rest of the block's are made. Where several
 *               groups of ranks have the same parts (hybrid), these are then summed over the groups, in the last pass of an update,
 *               or by NCCL behind it
 *
 * An update's gradients begin with what its first pass makes: where a matrix has one product that makes its gradient, that writes
 * (param.fresh), and with full the first sums are written to a rank's part. Only the others are cleared, and later passes add.
 *
 * A rule that looks at whole tensors (optim_parts) cannot update a part. Its tensors are kept whole: each has one owner, which has its
 * state and updates it, and values and gradients are parted as ever. Turn by turn they are put together on all ranks, the owners
 * change what is theirs, and the parts of that go back. It costs about as much traffic again as an update has; states stay where they
 * are, and the numbers are those of a rank that has all.
 *
 * For train/exchange*.c alone. */
#ifndef ACE_TRAIN_SHARDS_H
#define ACE_TRAIN_SHARDS_H

#include "comm/link.h"
#include "models/dit.h"

enum { SHARD_ALIGN = 256, SHARD_SLOTS = 2, SHARD_GROUPS = 2 };

struct segment {
	enum dtype dtype;		/* I8 for values of 4 bits as well: a number is a pair of them */
	bool train;
	int unit, group;		/* group: of a block's, 0 for the feed-forward, whose gradients are made first */
	int first, n;			/* places */
	int64_t count, part;		/* numbers: whole, padded; of a rank */
	struct tensor values, grads;	/* [count] whole; data NULL while they are not there. grads F32, of what trains */
	struct tensor my_values, my_grads;	/* [part] */
	struct tensor sum;		/* [part] full: where a pass's sums, to be added to my_grads, come; rank 0: they come there */
	void *shown;			/* owned, the device's: whole values, between shards_show and shards_hide */
};

struct shard_place {
	struct param *p;		/* the model's */
	int number;			/* its index there */
	int segment;
	int64_t at;			/* first number in the segment */
	struct param mine;		/* what this rank has of it: value and gradient of one dimension; value.rank 0: nothing */
	int64_t first;			/* where that begins in the param */
	bool whole;			/* it is kept whole: */
	int owner;			/* the rank of the group that updates it */
};

/* What is put together at once, in the order in which a pass wants it: the parts before the blocks (enum dit_front), the blocks, and, as the
 * last one, the rest, which all of a pass has. */
struct unit {
	int first, n;			/* segments */
	int second;			/* the first of group 1; behind the last one: there is one group */
	bool trains;			/* some of them do */
	bool started;			/* optimizer: its sums, in this update */
	int64_t ticket;			/* optimizer: of its values, while s->pending */
	bool whole;			/* some of what trains is kept whole */
	size_t bytes, grad_bytes[SHARD_GROUPS];	/* put together */
};

/* Room for one unit, or for a group of its gradients. */
struct shard_slot {
	void *memory;
	size_t bytes;
	int unit;			/* -1: free */
	int from, to;			/* gradients: segments */
	int64_t ticket;
	bool here;			/* values: the ticket was waited for */
	bool spent;			/* and the unit has run; it stays until the room is wanted */
};

struct shards {
	bool full;
	int rank, ranks;		/* that share */
	struct comm *group;		/* borrowed; NULL on the dry device */
	struct comm *across;		/* ranks with the same parts, whose gradients are summed as well; NULL: none */
	struct link *link, *beyond;	/* of group and across for memory of the device; borrowed */
	struct dit *m;
	struct dev *dev;
	struct segment *segment;
	struct shard_place *place;
	struct unit *unit;		/* [units]: fronts, blocks, the rest */
	struct shard_place **item;	/* [items] those of which this rank updates something, in the order of the model */
	int segments, places, units, items;
	bool whole;			/* something is kept whole */
	int first_block;		/* the lowest one with a backward pass */
	void *memory[3];		/* values, gradients, room for what is put together; owned */
	size_t bytes[3];
	size_t frozen_bytes;		/* of bytes[0], of what does not train */
	struct tensor grads;		/* all gradients that an update clears, one vector */
	struct shard_slot values[SHARD_SLOTS], rest, rest_grad;
	struct shard_slot grad[SHARD_GROUPS];	/* of a block, by group; a front's begin in the first and reach into the second */
	bool fresh;			/* no pass of this update has made gradients yet */
	bool idle;			/* nothing makes gradients in this pass: they are nought */
	bool last;			/* the pass under way completes the gradients */
	bool forward;			/* it has no backward pass */
	int64_t ticket;			/* optimizer: of the last sum started */
	int64_t ticket_beyond;		/* of the last sum over nodes */
	bool pending;			/* optimizer: values of the last update are on their way, and not all joined */
	enum status status;		/* the first failure in a hook, with its message */
	char message[1024];
};

/* Part m's params, whose values move; on a cuda device none lie side by side from then on. ACE_ENOMEM. shards_close in any case. */
enum status shards_open(struct shards *s, struct dit *m, struct comm *group, int rank, int ranks, bool full) ACE_NODISCARD;
void shards_close(struct shards *s);

/* How many numbers of a segment a value takes. */
int64_t shards_numbers(struct tensor value);

/* Keep whole what whole says; before the items are looked at. */
enum status shards_keep(struct shards *s, bool (*whole)(const void *me, const char *name), const void *me) ACE_NODISCARD;

/* The turn in which a place kept whole is whole: 1 up to shards_turns, which is 0 when there is none. optimizer: one for all. */
int shards_turn(const struct shards *s, const struct shard_place *q);
int shards_turns(const struct shards *s);

/* Put together the values of a turn, with their gradients, then part them again: with what their owners changed, or as they were.
 * A turn with nothing in it costs nothing. Collective over the group. */
enum status shards_turn_open(struct shards *s, int turn, bool grads) ACE_NODISCARD;
enum status shards_turn_close(struct shards *s, int turn, bool changed) ACE_NODISCARD;

/* Bytes that are put together in the turns of an update, on their way there and back. */
double shards_turn_bytes(const struct shards *s);

/* The params of a unit point to where its segments are, or to nothing. */
void shards_point(struct shards *s, int unit, bool grads);

static inline int
shards_block(int block)
{
	return DIT_FRONTS + block;
}

/* The unit that a pass runs behind u; -1: none. */
int shards_ahead(const struct shards *s, int u, bool backward);

/* Whether a unit is still there, from the forward pass, when the backward pass wants it. */
bool shards_stays(const struct shards *s, int u);

/* This rank's part of a whole vector. */
struct tensor shards_part(const struct shards *s, struct tensor whole, int64_t part);

/* The update is over: gradients begin anew. */
void shards_forget(struct shards *s);

/* Around a pass, and around each unit in it; a rank without a batch calls shards_idle instead, where others run the blocks so many
 * times before they train; where some run them more often, the rest calls shards_idle_forward. Failures show in the second.
 * Collective over the group. */
enum status shards_begin(struct shards *s, bool last) ACE_NODISCARD;
void shards_before(struct shards *s, int unit, bool backward);
void shards_within(struct shards *s, int unit);		/* gradients of group 0 are made */
void shards_after(struct shards *s, int unit, bool backward);
enum status shards_end(struct shards *s) ACE_NODISCARD;
enum status shards_idle(struct shards *s, bool last, int64_t forwards) ACE_NODISCARD;
void shards_idle_forward(struct shards *s);

/* Behind the last pass of an update: each rank's part of the gradients is the sum over all. Collective. */
enum status shards_gradients(struct shards *s) ACE_NODISCARD;

/* Behind the update: values whole again where they stay so, once they are asked for: each block waits for its own in a forward pass
 * between shards_begin and shards_end, and whatever else looks at whole values calls shards_settle. Collective over the group. */
enum status shards_values(struct shards *s) ACE_NODISCARD;
enum status shards_settle(struct shards *s) ACE_NODISCARD;

/* Whether this rank is of the group that has the parts that are gathered: with several groups (across) only the first one is. */
bool shards_gathers(const struct shards *s);

/* What trains, whole, as the values of the model's params on the group's first rank, until shards_hide. Collective over the ranks
 * that gather. */
enum status shards_show(struct shards *s) ACE_NODISCARD;
void shards_hide(struct shards *s);
#endif
