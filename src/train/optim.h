/* SPDX-License-Identifier: Apache-2.0 */
/* optim.h - update rules over a list of parameters (training.md section 4)
 *
 * Weights are F32, or BF16 where a rule says how it keeps what bf16 would lose: adamw_bf16 by stochastic rounding,
 * optimi-adamw and optimi-lion by a compensation tensor, ao-adamw8bit not at all, all others by an F32 master. Gradients
 * are F32. All state lies in one allocation, whose size the dry device tells as well; with far, in the host's memory, which a cuda device
 * reads and writes there: the same kernels, as fast as the bus. What changes from update to update is
 * read by the kernels from small tensors on the device, so that a captured update can be replayed. */
#ifndef ACE_TRAIN_OPTIM_H
#define ACE_TRAIN_OPTIM_H

#include "layers/ctx.h"
#include "train/optim_settings.h"

enum { OPTIM_GROUPS = 2, OPTIM_STATES = 8 };

struct optim_state {
	const char *name;		/* "exp_avg", "exp_avg_sq", "master", ...; NULL ends the list */
	struct tensor value;
};

struct optim_item {
	struct param *p;		/* borrowed */
	int group;			/* which rate it follows */
	int64_t number;			/* of the whole tensor in the model: keys its random stream */
	int64_t first;			/* where p begins in the whole tensor (a shard), in elements */
	int64_t whole;			/* elements of the whole tensor */
	int turn;			/* in which its value is there (exchange.h); 0, unless set behind optim_add: always */
	struct optim_state state[OPTIM_STATES];
};

/* A number of the optimiser that is no tensor, and belongs in a checkpoint: "t", "weight_sum", "d", ... */
struct optim_scalar {
	const char *name;
	double value;
};
enum { OPTIM_SCALARS = 6 };

struct optim {
	struct dev *dev;
	struct optim_settings set;
	uint64_t seed;
	struct optim_item *item;
	int n, cap;
	struct optim_scalar scalar[OPTIM_SCALARS];	/* [0] is t, the updates done; name NULL ends the list */
	bool leaves_grads;		/* set before optim_alloc: optim_ask need not clear gradients */
	bool averaged;			/* schedule-free: values are at the average (optim_average) */
	struct tensor numbers[OPTIM_GROUPS];	/* on the device: this update's, a group each (kernels/optim_numbers.h) */
	struct tensor stream;		/* [2] I64, on the device: the update's random stream */
	struct tensor scratch;		/* ao-adamw8bit: the two code tables [2, 256]; schedule-free: [1]; prodigy: [2] */
	struct tensor table;		/* cuda, adamw and its like: all params in pieces (adamw_pieces); else rank 0 */
	int64_t pieces;
	void *pinned;			/* owned: numbers and stream on their way to the device */
	void *memory;			/* owned: all of the above and the state; */
	size_t bytes;
	void *far;			/* or the state is here, beyond the bus */
	size_t far_bytes;
};

/* seed keys stochastic rounding. */
void optim_init(struct optim *o, struct dev *d, const struct optim_settings *set, uint64_t seed);
void optim_free(struct optim *o);

/* Take a param in; before optim_alloc. A param without train set is left out. number: its index among all params of the
 * model; first: 0 unless p is a shard. */
enum status optim_add(struct optim *o, struct param *p, int group, int64_t number, int64_t first) ACE_NODISCARD;

/* The same for a part of a tensor of whole elements, from first on, both multiples of 256 but for the tensor's end; p has one
 * dimension. Only for rules that update each number by itself (optim_parts). */
enum status optim_add_part(struct optim *o, struct param *p, int group, int64_t number, int64_t first, int64_t whole) ACE_NODISCARD;

/* The names, types and shapes of the state that a whole param has, into it->state, without data. */
void optim_states_of(const struct optim *o, struct optim_item *it, struct param *whole);

/* Make the state of all params taken in: zero, masters and start points equal to the values. optim_begin: those of another turn. */
enum status optim_alloc(struct optim *o) ACE_NODISCARD;
void optim_begin(struct optim *o, int turn);

/* One update: values and state from the gradients, which are only read (where optim_is_whole:
 * and then zero). rate[group]; limits [2] as clip_limits gives them
 * (rules that are never clipped read them all the same: give them {1, inf}, see optim_clips); step: the global step, which
 * keys stochastic rounding (it differs from t where updates were skipped). The device must be synced between two steps
 * (reading the loss does): the numbers of this one lie in pinned memory until then. prodigy alone waits for the device, since
 * its step size is a number of the host: no recorded update for it. */
void optim_step(struct optim *o, const double rate[OPTIM_GROUPS], struct tensor limits, int64_t step);

/* The same in two parts, where optim_is_whole: optim_prepare is the host's, optim_ask asks the device and may be recorded, to be run
 * after any other optim_prepare. Gradients are zero afterwards, and a factor of limits that is NaN leaves all as it was. */
bool optim_is_whole(const struct optim *o);
void optim_prepare(struct optim *o, const double rate[OPTIM_GROUPS], int64_t step);
void optim_ask(struct optim *o, struct tensor limits);
void optim_take_back(struct optim *o);		/* the last optim_prepare, whose update left all as it was */

/* Behind optim_ask, which leaves out what has a turn: that. Then, where optim_learns (prodigy), sums [2] of the update are read, summed
 * over ranks that share its items, and learnt from. optim_step does it for a rank that has all. */
void optim_turn(struct optim *o, struct tensor limits, int turn);
bool optim_learns(const struct optim *o);
void optim_sums(struct optim *o, double sums[2]);
void optim_learn(struct optim *o, const double sums[2]);

/* State by param and name, for checkpoints: tensor {group}.{p->name}.{name}; rank 0 when there is none. The tensors are on
 * the device and may be written to before the first step. */
struct tensor optim_state(const struct optim *o, const struct param *p, const char *name);

/* Schedule-free rules train at y and are saved, validated and averaged at x: move the values to x, or back. Others: nothing.
 * optim_step asserts that values are at y. What has a turn is moved by optim_average_turn, behind it. */
void optim_average(struct optim *o, bool averaged);
void optim_average_turn(struct optim *o, int turn);
#endif
