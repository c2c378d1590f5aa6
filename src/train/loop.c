/* SPDX-License-Identifier: Apache-2.0 */
#include "train/loop.h"

#include "base/clock.h"
#include "base/msg.h"

#include <math.h>

int64_t
loop_steps_per_epoch(const struct data *d, int64_t accumulation, int ranks)
{
	int64_t first = data_next_epoch(d, 0), batches = first < 0 ? 0 : data_batches_per_epoch(d, first);
	int64_t turns = (batches + ranks - 1) / ranks;

	return (turns + accumulation - 1) / accumulation;
}

enum status
loop_limits_of(struct loop_limits *l, int64_t steps, double epochs, bool strict, int64_t steps_per_epoch)
{
	if (steps > 0) {
		if (strict && !(epochs > 0))
			return ace_fail(ACE_ECONFIG, "strict_epoch_limit needs num_train_epochs above 0; max_train_steps alone has no "
			                "epochs to end at");
		*l = (struct loop_limits){ steps, strict ? epochs : 0 };
		return ACE_OK;
	}
	if (!(epochs > 0))
		return ace_fail(ACE_ECONFIG, "num_train_epochs and max_train_steps are both 0; give one of them");
	*l = (struct loop_limits){ (int64_t)ceil(epochs * (double)steps_per_epoch), epochs };
	if (l->steps < 1)
		return ace_fail(ACE_ECONFIG, "num_train_epochs=%g of %lld updates each is no update at all", epochs,
		                (long long)steps_per_epoch);
	return ACE_OK;
}

enum status
loop_open(struct loop *l, struct step *step, struct data *data, const struct loop_limits *limits, struct loop_place at)
{
	*l = (struct loop){ .step = step, .data = data, .limits = *limits, .at = at, .next = at };
	return prefetch_open(&l->ahead, data, at.epoch, at.number, exchange_rank(step->o.exchange), exchange_ranks(step->o.exchange));
}

void
loop_close(struct loop *l)
{
	if (l)
		prefetch_close(l->ahead);
	if (l)
		*l = (struct loop){ 0 };
}

/* Whether no batch is left: of the limit's epochs, or of the data. An epoch's end is the next one's start. */
static bool
at_the_end(struct loop *l)
{
	if (l->next.number >= data_batches_per_epoch(l->data, l->next.epoch)) {
		int64_t next = data_next_epoch(l->data, l->next.epoch + 1);
		if (next < 0)
			return true;
		l->next = (struct loop_place){ next, 0 };
	}
	return l->limits.epochs > 0 && (double)l->next.epoch >= ceil(l->limits.epochs);
}

static void
say_names(const struct batch *b)
{
	msg_info("batch      epoch %lld, number %lld, %s: %lld clip%s", (long long)b->epoch + 1, (long long)b->number + 1, b->dataset,
	         (long long)b->B, b->B == 1 ? "" : "s");
	for (int64_t i = 0; i < b->B; i++)
		msg_info("           %s", b->name[i]);
}

/* One micro step; *more false: there is no batch for it. */
static enum status
take_one(struct loop *l, bool *more)
{
	const struct batch *b;
	int64_t batches, next;
	double waited;

	*more = !at_the_end(l);
	if (!*more)
		return ACE_OK;
	ACE_TRY(prefetch_next(l->ahead, &b, &waited));
	if (l->names && b->B > 0)
		say_names(b);
	ACE_TRY(step_run(l->step, b, NULL));
	batches = data_batches_per_epoch(l->data, b->epoch);
	next = b->number - exchange_rank(l->step->o.exchange) + exchange_ranks(l->step->o.exchange);
	l->next = (struct loop_place){ b->epoch, next < batches ? next : batches };
	l->taken.waited += waited;
	l->taken.batch = (struct loop_place){ b->epoch, b->number };
	l->taken.epoch = (double)b->epoch + (double)l->next.number / (double)batches;
	if (l->next.number >= batches) {
		l->taken.epoch_ended = true;
		l->taken.epochs_done = b->epoch + 1;
	}
	return ACE_OK;
}

/* A device that tells of its updates later gets something to do meanwhile: the next update's first micro step. */
static enum status
take_ahead(struct loop *l)
{
	bool there;

	if (!l->step->later || l->step->updates >= l->limits.steps)
		return ACE_OK;
	return take_one(l, &there);
}

enum status
loop_update(struct loop *l, struct loop_report *r, bool *more)
{
	double from = clock_now();

	*r = (struct loop_report){ 0 };
	*more = false;
	if (l->step->updates >= l->limits.steps)
		return ACE_OK;
	l->at = l->next;
	while (l->step->now.micro < l->step->o.accumulation) {
		bool there;
		ACE_TRY(take_one(l, &there));
		l->at = l->next;
		if (!there)
			return ACE_OK;
	}
	ACE_TRY(step_ask(l->step));
	*r = l->taken;
	l->taken = (struct loop_report){ 0 };
	ACE_TRY(take_ahead(l));
	ACE_TRY(step_result(l->step, &r->step));
	*more = true;
	r->seconds = clock_now() - from;
	return ACE_OK;
}
