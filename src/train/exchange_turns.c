/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a rank's own part of a model, and to tensors that are kept whole in their turn. */
#include "train/exchange.h"
#include "train/shards.h"

enum status
exchange_keep(struct exchange *x, bool (*whole)(const void *me, const char *name), const void *me)
{
	return x && x->shards ? shards_keep(x->shards, whole, me) : ACE_OK;
}

struct param *
exchange_held(struct exchange *x, struct dit *m, int i)
{
	struct shards *s = x ? x->shards : NULL;

	if (i >= (s ? s->places : dit_n_params(m)))
		return NULL;
	return s ? &s->place[i].mine : dit_param(m, i);
}

enum status
exchange_turns(struct exchange *x, bool grads, bool changed, void (*run)(void *me, int turn), void *me)
{
	struct shards *s = x ? x->shards : NULL;

	if (changed)
		ACE_TRY(exchange_settle(x));
	run(me, 0);
	for (int turn = 1; s && turn <= shards_turns(s); turn++) {
		ACE_TRY(shards_turn_open(s, turn, grads));
		run(me, turn);
		ACE_TRY(shards_turn_close(s, turn, changed));
	}
	return ACE_OK;
}

enum status
exchange_part_sums(struct exchange *x, double *v, int n)
{
	if (!x || !x->shards)
		return ACE_OK;
	return comm_allreduce(x->shards->group, tensor_of(v, F64, 1, n), COMM_SUM, "sums of an update");
}
