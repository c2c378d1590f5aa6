/* SPDX-License-Identifier: Apache-2.0 */
/* A group over MPI, as the program's thread sees it; and the thread that runs what was started. */
#include "comm/engine.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double stuck = 60.;	/* seconds above patience that MPI may keep the thread to itself */

static struct timespec
in(double seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	seconds += (double)t.tv_nsec * 1e-9;
	t.tv_sec += (time_t)seconds;
	t.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9);
	return t;
}

/* --- the thread --- */

/* This thread's message becomes the run's; messages under way end. lost: as e->lost is now. */
static void
keep_failure(struct engine *e, enum status st)
{
	flight_cancel(&e->flight[0]);
	flight_cancel(&e->flight[1]);
	pthread_mutex_lock(&e->lock);
	e->status = st;
	snprintf(e->message, sizeof e->message, "%s", ace_message());
	pthread_cond_broadcast(&e->over);
	pthread_mutex_unlock(&e->lock);
}

/* A failure seen here first is told to all; one that another rank has told is not told again. */
static void
fail_here(struct engine *e, enum status st)
{
	if (e->tell) {
		(void)ace_fail(st, "%s", e->told_message);
		engine_tell(e, st, -1);
	} else if (!e->heard) {
		engine_tell(e, st, e->lost);
	}
	keep_failure(e, st);
}

static bool
next_op(struct engine *e, struct comm_op *op)
{
	struct timespec t = in(0.1);
	bool there;

	pthread_mutex_lock(&e->lock);
	if (e->done == e->pushed && !e->tell && !e->finish && !e->abandon)
		pthread_cond_timedwait(&e->work, &e->lock, &t);
	there = e->done < e->pushed;
	if (there)
		*op = e->queue[e->done % ENGINE_QUEUE];
	pthread_mutex_unlock(&e->lock);
	return there;
}

static enum status
run_op(struct engine *e, const struct comm_op *op)
{
	enum status st;

	e->op = op;
	e->moved = clock_now();
	e->beat = e->moved;
	st = exchange_run(e, op);
	e->op = NULL;
	if (st != ACE_OK)
		return st;
	pthread_mutex_lock(&e->lock);
	e->done++;
	pthread_cond_broadcast(&e->over);
	pthread_mutex_unlock(&e->lock);
	return ACE_OK;
}

/* Until the program wants to end, or something fails. */
static enum status
serve(struct engine *e)
{
	struct comm_op op;

	for (;;) {
		bool there = next_op(e, &op);
		e->beat = clock_now();
		if (e->abandon)
			wire_abort(e->abandon);
		if (e->tell)
			return e->told;
		if (there)
			ACE_TRY(run_op(e, &op));
		else if (e->finish)
			return ACE_OK;
		else
			ACE_TRY(engine_idle(e));
	}
}

static enum status
start(struct engine *e)
{
	struct hello mine = { .host = "" };
	enum status st;

	ACE_TRY(wire_open(e, &mine));
	e->hello = calloc((size_t)e->size, sizeof *e->hello);
	e->from = calloc((size_t)e->size, sizeof *e->from);
	e->answer = calloc((size_t)e->size, sizeof *e->answer);
	e->scratch = malloc(ENGINE_SCRATCH);
	if (!e->hello || !e->from || !e->answer || !e->scratch)
		return ace_fail(ACE_ENOMEM, "no memory for %d ranks", e->size);
	for (int i = 0; i < 2; i++)
		ACE_TRY(flight_init(&e->flight[i], 2 * e->size + WIRE_WINDOW));
	for (int r = 0; r < e->size; r++)
		snprintf(e->hello[r].host, ENGINE_HOST, "?");
	e->moved = e->looked = clock_now();
	st = exchange_hello(e, &mine);
	for (int r = 0; r < e->size; r++)
		e->hello[r].host[ENGINE_HOST - 1] = 0;
	return st;
}

static void
say_ready(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->ready = true;
	pthread_cond_broadcast(&e->over);
	pthread_mutex_unlock(&e->lock);
}

static void *
thread(void *arg)
{
	struct engine *e = arg;
	enum status st = start(e);
	bool started = st == ACE_OK;

	if (started) {
		say_ready(e);
		st = serve(e);
		if (st != ACE_OK)
			fail_here(e, st);
		else if ((st = wire_close(e)) != ACE_OK)
			keep_failure(e, st);
	} else {
		keep_failure(e, st);
	}
	pthread_mutex_lock(&e->lock);
	e->ready = e->ended = true;
	pthread_cond_broadcast(&e->over);
	while (st != ACE_OK && !e->abandon)	/* MPI is left alone from here on: memory given to it may be gone */
		pthread_cond_wait(&e->work, &e->lock);
	pthread_mutex_unlock(&e->lock);
	if (st != ACE_OK && started)
		wire_abort(e->abandon);
	return NULL;
}

/* --- the program's side --- */

/* Until the thread sets *what (under the lock) or the run fails; a thread that does not come back is a failure too. */
static enum status
wait_until(struct engine *e, bool (*what)(struct engine *e, int64_t n), int64_t n, const char *doing)
{
	enum status st = ACE_OK;

	pthread_mutex_lock(&e->lock);
	while (!what(e, n) && e->status == ACE_OK) {
		struct timespec t = in(1.);
		pthread_cond_timedwait(&e->over, &e->lock, &t);
		if (clock_now() - e->beat > e->patience + stuck && !what(e, n)) {
			e->status = ACE_ERANK;
			snprintf(e->message, sizeof e->message, "rank %d (node %s): MPI has not come back for %.0f s in %s", e->rank,
				 e->hello ? e->hello[e->rank].host : "?", clock_now() - e->beat, doing);
		}
	}
	if (e->status != ACE_OK)
		st = ace_fail(e->status, "%s", e->message);
	pthread_mutex_unlock(&e->lock);
	return st;
}

static bool
is_ready(struct engine *e, int64_t n)
{
	(void)n;
	return e->ready;
}

static bool
has_room(struct engine *e, int64_t n)
{
	(void)n;
	return e->pushed - e->done < ENGINE_QUEUE;
}

static bool
is_done(struct engine *e, int64_t n)
{
	return e->done >= n;
}

static bool
has_ended(struct engine *e, int64_t n)
{
	(void)n;
	return e->ended;
}

static int64_t
push(struct comm *c, const struct comm_op *op)
{
	struct engine *e = c->engine;
	int64_t ticket;

	if (wait_until(e, has_room, 0, "an operation") != ACE_OK)
		return INT64_MAX;	/* comm_wait says why */
	e->entered[c->context] = op->number;
	pthread_mutex_lock(&e->lock);
	e->queue[e->pushed % ENGINE_QUEUE] = *op;
	ticket = ++e->pushed;
	pthread_cond_signal(&e->work);
	pthread_mutex_unlock(&e->lock);
	return ticket;
}

static enum status
wait(struct comm *c, int64_t ticket)
{
	enum status st = wait_until(c->engine, is_done, ticket, "an operation");

	if (c->status == ACE_OK)
		c->status = st;
	return st;
}

static bool
done(struct comm *c, int64_t ticket)
{
	struct engine *e = c->engine;
	bool over;

	pthread_mutex_lock(&e->lock);
	over = e->done >= ticket || e->status != ACE_OK;
	pthread_mutex_unlock(&e->lock);
	return over;
}

static void
set_patience(struct comm *c, double seconds, bool working)
{
	c->engine->patience = seconds;
	c->engine->working = working;
}

static double
patient(const struct comm *c)
{
	return c->engine->working ? HUGE_VAL : c->engine->patience;
}

static void
watch(struct comm *c, bool on)
{
	c->engine->watch = on;
}

static enum status
check(struct comm *c)
{
	struct engine *e = c->engine;
	enum status st = ACE_OK;

	pthread_mutex_lock(&e->lock);
	if (e->status != ACE_OK)
		st = c->status = ace_fail(e->status, "%s", e->message);
	pthread_mutex_unlock(&e->lock);
	return st;
}

static int
new_context(struct comm *c)
{
	return c->engine->contexts;
}

static void
use_context(struct comm *c, int context)
{
	c->engine->contexts = context + 1;
}

static void
free_engine(struct engine *e)
{
	for (int i = 0; i < 2; i++)
		flight_free(&e->flight[i]);
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->work);
	pthread_cond_destroy(&e->over);
	free(e->hello);
	free(e->from);
	free(e->answer);
	free(e->scratch);
	free(e);
}

static void
wake(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	pthread_cond_signal(&e->work);
	pthread_mutex_unlock(&e->lock);
}

/* The others learn why; st is kept as it is, and its message. */
static enum status
tell(struct comm *c, enum status st)
{
	struct engine *e = c->engine;

	pthread_mutex_lock(&e->lock);
	if (e->status == ACE_OK) {
		e->told = st;
		snprintf(e->told_message, sizeof e->told_message, "rank %d (%s): %s", c->rank, c->host, ace_message());
		e->tell = true;
		pthread_cond_signal(&e->work);
	}
	pthread_mutex_unlock(&e->lock);
	(void)wait_until(e, has_ended, 0, "telling the others");
	c->status = st;
	return st;
}

static enum status
close_group(struct comm *c, enum status st, bool agreed)
{
	struct engine *e = c->engine;
	char message[ENGINE_TEXT];
	enum status end;

	if (c->status != ACE_OK)
		return st != ACE_OK ? st : c->status;
	if (st != ACE_OK && !agreed)
		return tell(c, st);
	snprintf(message, sizeof message, "%s", ace_message());
	end = comm_barrier(c, "the end");
	if (end == ACE_OK) {
		e->finish = true;
		wake(e);
		end = wait_until(e, has_ended, 0, "the end of MPI");
	}
	if (end != ACE_OK) {
		c->status = end;
		return st != ACE_OK && st != ACE_ESTOPPED ? ace_fail(st, "%s", message) : end;
	}
	pthread_join(e->thread, NULL);
	free_engine(e);
	return st == ACE_OK ? ACE_OK : ace_fail(st, "%s", message);
}

static bool
speaks(const struct comm *c)
{
	return c->rank == (c->engine->lost == 0 ? 1 : 0);
}

/* Others first give the one that speaks its time. */
static void
abandon(struct comm *c, int code)
{
	struct engine *e = c->engine;

	if (!speaks(c))
		sleep(3);
	pthread_mutex_lock(&e->lock);
	e->abandon = code;
	pthread_cond_broadcast(&e->work);
	pthread_mutex_unlock(&e->lock);
	sleep(5);
	_exit(code);			/* MPI does not come back */
}

static int64_t
sent(const struct comm *c)
{
	return atomic_load(&c->engine->sent[c->context]);
}

static const struct comm_ops mpi_ops = {
	.start = push, .wait = wait, .done = done, .patience = set_patience, .patient = patient, .watch = watch, .check = check,
	.new_context = new_context, .use_context = use_context, .close = close_group, .abandon = abandon, .speaks = speaks, .sent = sent,
};

static enum status
fill(struct comm *c, struct engine *e)
{
	int64_t *node = malloc((size_t)e->size * sizeof *node);
	enum status st;

	c->host = strdup(e->hello[e->rank].host);
	if (!node || !c->host) {
		free(node);
		return ace_fail(ACE_ENOMEM, "no memory for a group of ranks");
	}
	for (int r = 0; r < e->size; r++)
		node[r] = e->hello[r].leader;
	c->rank = e->rank;
	c->size = e->size;
	c->ops = &mpi_ops;
	c->engine = e;
	st = comm_place(c, node);
	free(node);
	return st;
}

static enum status
start_thread(struct engine *e)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);			/* signals are the program's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&e->thread, NULL, thread, e);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code == 0 ? ACE_OK : ace_fail(ACE_ENOMEM, "no thread for messages between ranks: %s", strerror(code));
}

enum status
mpi_open(struct comm *c, double patience)
{
	struct engine *e = calloc(1, sizeof *e);
	pthread_condattr_t monotonic;
	enum status st;

	if (!e)
		return ace_fail(ACE_ENOMEM, "no memory for a group of ranks");
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&e->work, &monotonic);
	pthread_cond_init(&e->over, &monotonic);
	pthread_condattr_destroy(&monotonic);
	e->patience = patience;
	e->beat = clock_now();
	e->contexts = 1;
	e->lost = -1;
	st = start_thread(e);
	if (st != ACE_OK) {
		free_engine(e);
		return st;
	}
	st = wait_until(e, is_ready, 0, "the start of MPI");
	return st == ACE_OK ? fill(c, e) : st;	/* else MPI may still use what the engine has: it stays */
}
