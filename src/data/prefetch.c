/* SPDX-License-Identifier: Apache-2.0 */
#include "data/prefetch.h"

#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 1024 };

struct prefetch {
	struct data *data;		/* the thread's while it lives */
	int64_t epoch, number;		/* the first batch of the next turn; the thread's */
	int rank, ranks;
	pthread_t thread;
	pthread_mutex_t lock;		/* guards what follows */
	pthread_cond_t filled, freed;
	struct batch ring[PREFETCH_RING];
	int64_t read, given;		/* batches; slot of number n: n modulo PREFETCH_RING */
	bool lent;			/* the last one given is still the caller's */
	bool stop;
	enum status status;		/* the thread ended with it */
	char message[MESSAGE];
};

/* Go to where the next turn is: epochs that have nothing for any rank are passed over. */
static enum status
settle(struct prefetch *p)
{
	int64_t next;

	if (p->number < data_batches_per_epoch(p->data, p->epoch))
		return ACE_OK;
	next = data_next_epoch(p->data, p->epoch + 1);
	if (next < 0)
		return ace_fail(ACE_ECONFIG, "no data set is active after epoch %lld (end_epoch)",
		                (long long)p->epoch + 1);
	p->epoch = next;
	p->number = 0;
	return ACE_OK;
}

static enum status
read_one(struct prefetch *p, struct batch *b)
{
	int64_t number;

	ACE_TRY(settle(p));
	number = p->number + p->rank;
	if (number < data_batches_per_epoch(p->data, p->epoch)) {
		ACE_TRY(data_batch(p->data, p->epoch, number, b));
	} else {	/* other ranks have the last ones of this epoch */
		data_largest(p->data, b);
		b->B = b->T = b->S = b->Y = 0;
		b->epoch = p->epoch;
		b->number = number;
		b->dataset = "";
		b->bucket = 0;
	}
	p->number += p->ranks;
	return ACE_OK;
}

/* A free slot; NULL: stop. */
static struct batch *
wait_for_room(struct prefetch *p)
{
	struct batch *b;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && p->read - p->given + p->lent >= PREFETCH_RING)
		pthread_cond_wait(&p->freed, &p->lock);
	b = p->stop ? NULL : &p->ring[p->read % PREFETCH_RING];
	pthread_mutex_unlock(&p->lock);
	return b;
}

static void *
run(void *arg)
{
	struct prefetch *p = arg;
	enum status st = ACE_OK;
	struct batch *b;

	while (st == ACE_OK && (b = wait_for_room(p))) {
		st = read_one(p, b);
		pthread_mutex_lock(&p->lock);
		if (st == ACE_OK)
			p->read++;
		else
			snprintf(p->message, sizeof p->message, "%s", ace_message());
		p->status = st;
		pthread_cond_signal(&p->filled);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* The thread takes no signals: they belong to the program's first one. */
static int
start(struct prefetch *p)
{
	sigset_t all, before;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return e;
}

enum status
prefetch_open(struct prefetch **out, struct data *d, int64_t epoch, int64_t number, int rank, int ranks)
{
	struct prefetch *p = calloc(1, sizeof *p);
	int e;

	assert(epoch >= 0 && number >= 0 && rank >= 0 && rank < ranks);
	*out = NULL;
	if (!p)
		return ace_fail(ACE_ENOMEM, "no memory to read batches ahead");
	p->data = d;
	p->epoch = epoch;
	p->number = number;
	p->rank = rank;
	p->ranks = ranks;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->filled, NULL);
	pthread_cond_init(&p->freed, NULL);
	e = start(p);
	if (e != 0) {
		free(p);
		return ace_fail(ACE_ENOMEM, "cannot start the thread that reads batches: %s", strerror(e));
	}
	*out = p;
	return ACE_OK;
}

enum status
prefetch_next(struct prefetch *p, const struct batch **b, double *waited)
{
	double from = clock_now();
	enum status st = ACE_OK;

	*b = NULL;
	pthread_mutex_lock(&p->lock);
	if (p->lent) {
		p->lent = false;
		pthread_cond_signal(&p->freed);
	}
	while (p->read == p->given && p->status == ACE_OK)
		pthread_cond_wait(&p->filled, &p->lock);
	if (p->read > p->given) {
		*b = &p->ring[p->given++ % PREFETCH_RING];
		p->lent = true;
	} else {
		st = p->status;
	}
	pthread_mutex_unlock(&p->lock);
	if (waited)
		*waited = clock_now() - from;
	return st == ACE_OK ? ACE_OK : ace_fail(st, "%s", p->message);
}

void
prefetch_close(struct prefetch *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	for (int i = 0; i < PREFETCH_RING; i++)
		batch_free(&p->ring[i]);
	pthread_cond_destroy(&p->filled);
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
