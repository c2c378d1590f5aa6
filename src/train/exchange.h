/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.h - what the ranks of a run do together in an update (training.md section 2, datasets.md section 6)
 *
 * Every rank runs its own batches; before the update the gradients of all are summed, in pieces that start while the backward pass
 * of the last micro step still runs, and so are the losses and the counts of clips. Sums have a fixed order, so that a number of
 * ranks always gives the same bits. With sharding the ranks part the state of the optimiser, or all that a model is (shards.h).
 * An exchange that is NULL is a rank alone, and does nothing.
 *
 * Ranks make the same calls in the same order; one without a batch in a micro step calls exchange_idle instead of having its pass.
 * The device may be any; on a cuda device nothing waits for sums but what comes behind them (comm/link.h). What is exchanged within a
 * pass is asked for one by one: ranks run batches of different shapes, and would have to record the same ones. */
#ifndef ACE_TRAIN_EXCHANGE_H
#define ACE_TRAIN_EXCHANGE_H

#include "comm/link.h"
#include "models/dit.h"
#include "train/checkpoint.h"
#include "train/ema.h"
#include "train/optim.h"

enum sharding {
	SHARDING_NONE,			/* every rank has all */
	SHARDING_OPTIMIZER,		/* a part of the optimiser's state */
	SHARDING_FULL,			/* a part of values, gradients and state */
	SHARDING_HYBRID,		/* the same among the ranks of a node; each node has all */
};

/* Bytes of gradients up to which a GPU's passes are recorded and their sums wait for the pass: those of adapters, which take less time than
 * asking for the kernels one by one would. In how many pieces, about, larger ones are summed while the pass runs. */
enum { EXCHANGE_BEHIND = 256 << 20, EXCHANGE_PIECES = 16 };

const char *sharding_name(enum sharding s);	/* as the option has it */

/* Gradients that are summed in one go. */
struct exchange_piece {
	int64_t from, n;		/* numbers of the vector of all gradients */
	int low;			/* complete when the backward pass has left this block; -1: when the pass is over */
};

struct shards;

struct exchange {
	struct comm *comm;		/* borrowed; NULL: only a plan, for the dry device */
	enum sharding sharding;
	enum link_way way;		/* how the devices reach each other; LINK_AUTO: as well as they can */
	int ranks, node_ranks;		/* of a plan */
	struct comm *inside, *across;	/* hybrid: the ranks of this node, those with this one's part; owned */
	struct link *link, *beyond;	/* of the ranks that share, or of all, and of across; owned */
	struct tensor half;		/* the model's gradients in BF16; rank 0: none */
	struct tensor measures;		/* [ranks that share, segments + 1, 2] on the device; owned */
	struct shards *shards;		/* unless SHARDING_NONE; owned */
	struct dev *dev;
	struct tensor grads;		/* what an update clears, one vector; the model's, or the shards' */
	struct exchange_piece *piece;	/* in the order in which they become complete */
	int n, cap, started;
	int64_t ticket;			/* of the last one started */
	bool running;			/* between exchange_begin and exchange_end */
	bool last;			/* the pass under way completes the gradients */
};

/* Bytes that a rank has because of its sharding, in the place of a model's own. */
struct exchange_bytes {
	size_t frozen, trained, grads, room;
};

/* How many ranks train together, and which one this is. */
int exchange_ranks(const struct exchange *x);
int exchange_rank(const struct exchange *x);

/* The block that a param is of, of so many; -1: of none. */
int exchange_block_of(const struct param *p, int blocks);

/* Gradients for all that trains in m, *grads as one vector of this rank's; takes the hooks of m's stack, so m must not move. x->comm
 * and x->sharding are set, the rest is zero; x may be NULL. exchange_free in any case. Collective over the ranks. */
enum status exchange_open(struct exchange *x, struct dit *m, struct tensor *grads) ACE_NODISCARD;
void exchange_free(struct exchange *x);

/* Which params are kept whole (shards.h): they are updated by one rank, turn by turn. Before exchange_item. */
enum status exchange_keep(struct exchange *x, bool (*whole)(const void *me, const char *name), const void *me) ACE_NODISCARD;

/* What this rank updates: number i of it, of x, or (NULL) of all m; false: there are no more. p: a param of the model, or a part of
 * one from first on. */
struct exchange_item {
	struct param *p;
	int64_t number, first, whole;	/* whole: numbers of the tensor; 0: p is all of it */
	int turn;			/* in which its value, and gradient, can be looked at; 0: always */
};
bool exchange_item(struct exchange *x, struct dit *m, int i, struct exchange_item *it);

/* The same for the values that this rank has between two turns, whoever updates them; without train set: nothing of it. NULL: there
 * are no more. */
struct param *exchange_held(struct exchange *x, struct dit *m, int i);

/* Run run for turn 0, then for each turn that there is. grads: gradients (exchange_gradients) are there as well; changed: run writes to
 * values, which the ranks have again behind exchange_values. Collective over the ranks. */
enum status exchange_turns(struct exchange *x, bool grads, bool changed, void (*run)(void *me, int turn), void *me) ACE_NODISCARD;

/* v [n] = sum of v over the ranks that have parts of one model. Collective over the ranks. */
enum status exchange_part_sums(struct exchange *x, double *v, int n) ACE_NODISCARD;

/* Whether something is exchanged within a pass: then it is not recorded. */
bool exchange_in_pass(const struct exchange *x, bool last);

/* Whether an update needs no number on the host before it is asked for: its sums are the device's. */
bool exchange_tells_later(const struct exchange *x);

/* How the devices reach each other, in words; NULL: alone, or a plan. */
const char *exchange_text(const struct exchange *x);

/* Around a pass; last: no other one follows in this update. forwards: how often the blocks are run before that, by all ranks as often
 * as by the one that does most (exchange_most), be it by exchange_idle_forward. Collective over the ranks. */
enum status exchange_begin(struct exchange *x, bool last) ACE_NODISCARD;
enum status exchange_end(struct exchange *x) ACE_NODISCARD;
enum status exchange_idle(struct exchange *x, bool last, int64_t forwards) ACE_NODISCARD;
enum status exchange_most(struct exchange *x, int64_t *forwards) ACE_NODISCARD;
void exchange_idle_forward(struct exchange *x);
void exchange_idle_tokens(struct exchange *x);		/* the same where the lyric encoder alone is run (dit_lyric_states) */

/* Passes from here on have no backward pass, or have one again. */
void exchange_looks(struct exchange *x, bool on);

/* The gradients of all ranks, summed: all of them, or this rank's part. Collective over the ranks. */
enum status exchange_gradients(struct exchange *x) ACE_NODISCARD;

/* v = the sum over the ranks of v, on the device, behind all that was asked for. Collective over the ranks. */
enum status exchange_add(struct exchange *x, struct tensor v) ACE_NODISCARD;

/* measured [2] (clip.h) over the gradients of the whole model. Collective over the ranks. */
enum status exchange_measure(struct exchange *x, struct dev *d, struct tensor measured, struct tensor grads) ACE_NODISCARD;

/* The update is over: gradients begin anew. false: there are no parts, and the caller clears them. A pass behind it that is not exchanged is
 * another one than those that add (exchange_is_fresh). */
bool exchange_forget(struct exchange *x);
bool exchange_is_fresh(const struct exchange *x);

/* Behind an update, and behind values that were read: each rank has what its passes need, by the time they need it. Collective over
 * the ranks. exchange_settle: all is there, and this rank's own values may be written to other than by an update. */
enum status exchange_values(struct exchange *x) ACE_NODISCARD;
enum status exchange_settle(struct exchange *x) ACE_NODISCARD;

/* v [n] = sum over the ranks of v. Collective over the ranks. */
enum status exchange_sums(struct exchange *x, double *v, int n) ACE_NODISCARD;

/* What all came to (comm_agree). Collective over the ranks. */
enum status exchange_agree(struct exchange *x, enum status st) ACE_NODISCARD;

/* Whether a rank has only a part of what a checkpoint wants. */
bool exchange_parted(const struct exchange *x);

/* checkpoint_add_optim and checkpoint_restore_optim: the same files, whatever the sharding and the number of ranks. s is of a writer of all
 * ranks (checkpoint_writer_join), each of which adds its part, or its share of what several have. group_of: which of the groups a param is
 * of in o; -1: none. */
enum status exchange_save(struct exchange *x, struct checkpoint_save *s, const char *const group[OPTIM_GROUPS],
                          const struct optim *o, int (*group_of)(const void *me, const char *name), const void *me) ACE_NODISCARD;
enum status exchange_restore(struct exchange *x, const struct checkpoint *c, const char *const group[OPTIM_GROUPS],
                             struct optim *o, int (*group_of)(const void *me, const char *name), const void *me) ACE_NODISCARD;

/* The averages, raw, of all that trains: tensors "ema.PARAM.shadow" of CHECKPOINT_OPTIMIZER. */
enum status exchange_save_average(struct exchange *x, struct checkpoint_save *s, const struct ema *e) ACE_NODISCARD;
enum status exchange_restore_average(struct exchange *x, const struct checkpoint *c, struct ema *e) ACE_NODISCARD;

/* With several ranks: the value of a param, and host memory that every rank has, and that outlives s, into a file that all write. turn: 0, 1, 2
 * ... from tensor to tensor. */
enum status exchange_save_value(struct exchange *x, struct checkpoint_save *s, const char *file, const char *name, const struct param *p,
                                int turn) ACE_NODISCARD;
enum status exchange_save_file(struct exchange *x, struct checkpoint_save *s, const char *file, const char *name, struct tensor whole,
                               int turn) ACE_NODISCARD;

/* Until exchange_hide the model of the first rank has the values of all that trains. */
enum status exchange_show(struct exchange *x) ACE_NODISCARD;
void exchange_hide(struct exchange *x);

/* Of how many parts a rank has one; without sharding 1. */
int exchange_parts(const struct exchange *x);

/* The same ranks as a plan, for the dry device. */
struct exchange exchange_planned(const struct exchange *x);

/* Bytes that a rank, on average, sends to others in an update of so many micro steps: the gradients, and values that are put together; but for
 * an average (ema.h) of tensors that are kept whole, whose values are put together once more. */
double exchange_traffic(const struct exchange *x, int64_t accumulation);

/* What a rank has because of sharding; false: nothing, it has what the model has. */
bool exchange_takes(const struct exchange *x, struct exchange_bytes *b);
#endif
