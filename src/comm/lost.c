/* SPDX-License-Identifier: Apache-2.0 */
/* How a rank learns that another is gone, and which one: when nothing has moved for as long as patience lasts, it asks all
 * ranks whether they have come as far; who does not answer is gone, who has not come to it hangs. What it finds it tells all,
 * so that one name stands in every rank's message. */
#include "comm/engine.h"

#include "base/clock.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const double answers_within = 5., looks_every = 1., goes_within = 2., awake = 5.;	/* seconds */

/* Spins shortly, for answers that are on their way; then leaves the processor to the computing threads. */
static void
pause_for(int idle)
{
	struct timespec t = { 0, idle < 100 ? 20000 : idle < 1000 ? 100000 : 500000 };

	if (idle < 50)
		sched_yield();
	else
		nanosleep(&t, NULL);
}

static enum status
fail_as(struct engine *e, enum status st, int lost)
{
	e->lost = lost;
	return st;
}

enum status
engine_serve(struct engine *e)
{
	struct note n, answer = { .kind = NOTE_HERE, .rank = e->rank };

	while (note_take(e, &n)) {
		bool known = n.context >= 0 && n.context < COMM_CONTEXTS;
		switch ((enum note_kind)n.kind) {
		case NOTE_WHERE:
			answer.context = n.context;
			answer.number = known ? e->entered[n.context] : 0;
			note_send(e, n.rank, &answer);
			break;
		case NOTE_HERE:
			if (e->answer && n.context == e->answer_context)
				e->answer[n.rank] = n.number;
			break;
		case NOTE_FAILED:
			e->heard = true;
			return fail_as(e, ace_fail((enum status)n.status, "%s", n.text), n.lost);
		}
	}
	return ACE_OK;
}

void
engine_tell(struct engine *e, enum status st, int lost)
{
	struct note n = { .kind = NOTE_FAILED, .rank = e->rank, .status = (int32_t)st, .lost = lost };
	double until = clock_now() + goes_within;

	snprintf(n.text, sizeof n.text, "%s", ace_message());
	for (int k = 1; k < e->size; k++) {
		note_send(e, (e->rank + k) % e->size, &n);
		for (int idle = 0; k % 32 == 0 && !notes_gone(e) && clock_now() < until; idle++)
			pause_for(idle);
	}
	for (int idle = 0; !notes_gone(e) && clock_now() < until; idle++)
		pause_for(idle);
}

/* A process of this node that has ended: no need to wait for it. */
static enum status
look_at_node(struct engine *e, double now)
{
	const struct hello *me = &e->hello[e->rank];
	char what[128] = "";

	e->looked = now;
	for (int r = 0; r < e->size; r++) {
		const struct hello *h = &e->hello[r];
		if (h->leader != me->leader || !me->pid_space || h->pid_space != me->pid_space)
			continue;
		if (kill((pid_t)h->pid, 0) == 0 || errno != ESRCH)
			continue;
		if (e->op)
			comm_op_text(e->op, what, sizeof what);
		return fail_as(e, ace_fail(ACE_ERANK, "rank %d (node %s): its process has ended%s%s", r, h->host,
					   e->op ? ", seen in " : "", what), r);
	}
	return ACE_OK;
}

enum status
engine_idle(struct engine *e)
{
	double now = clock_now();

	ACE_TRY(engine_serve(e));
	return e->watch && now - e->looked > looks_every ? look_at_node(e, now) : ACE_OK;
}

/* --- nothing has moved for too long --- */

static enum status
ask(struct engine *e, const struct comm *c, int64_t number)
{
	struct note n = { .kind = NOTE_WHERE, .rank = e->rank, .context = c->context, .number = number };
	double until = clock_now() + (e->patience < answers_within ? e->patience : answers_within);
	int missing = 1;

	e->answer_context = c->context;
	for (int r = 0; r < e->size; r++)
		e->answer[r] = r == e->rank ? number : -1;
	for (int r = 0; r < c->size; r++)
		if (r != c->rank)
			note_send(e, c->world ? c->world[r] : r, &n);
	for (int idle = 0; missing > 0 && clock_now() < until; idle++) {
		ACE_TRY(engine_serve(e));
		missing = 0;
		for (int r = 0; r < c->size; r++)
			missing += e->answer[c->world ? c->world[r] : r] < 0;
		e->beat = clock_now();
		pause_for(idle);
	}
	return ACE_OK;
}

/* The rank to name: the first that is silent, else the first that is behind. */
static int
blame(const struct engine *e, const struct comm *c, int64_t number, int *others)
{
	int silent = -1, behind = -1, n[2] = { 0, 0 };

	for (int r = c->size - 1; r >= 0; r--) {
		int world = c->world ? c->world[r] : r;
		int64_t answer = e->answer[world];
		if (answer < 0) {
			silent = world;
			n[0]++;
		} else if (answer < number) {
			behind = world;
			n[1]++;
		}
	}
	*others = (silent >= 0 ? n[0] : n[1]) - 1;
	return silent >= 0 ? silent : behind;
}

static enum status
find_lost(struct engine *e, double waited)
{
	const struct comm_op *op = e->op;
	struct comm world = { .rank = e->rank, .size = e->size };
	const struct comm *c = op ? op->c : &world;
	int64_t number = op ? op->number : 0;
	char what[128] = "the start", more[48] = "";
	int others, lost;

	ACE_TRY(ask(e, c, number));
	if (op)
		comm_op_text(op, what, sizeof what);
	lost = blame(e, c, number, &others);
	if (e->working && (lost < 0 || e->answer[lost] >= 0)) {
		e->moved = clock_now();
		return ACE_OK;
	}
	if (lost < 0)
		return fail_as(e, ace_fail(ACE_ERANK, "rank %d (node %s): no progress for %.0f s in %s, though all ranks have "
					   "come to it: is the network whole?", e->rank, e->hello[e->rank].host, waited, what), -1);
	if (others > 0)
		snprintf(more, sizeof more, " (nor %d others)", others);
	return fail_as(e, ace_fail(ACE_ERANK, "rank %d (node %s): no progress for %.0f s in %s: it %s%s", lost, e->hello[lost].host,
				   waited, what, e->answer[lost] < 0 ? "does not answer" : "has not come to it", more), lost);
}

enum status
engine_pause(struct engine *e, int idle)
{
	double now = clock_now();

	if (now - e->beat > awake)	/* the whole job was suspended, or this machine asleep */
		e->moved += now - e->beat;
	e->beat = now;
	ACE_TRY(engine_serve(e));
	if (e->abandon)
		wire_abort(e->abandon);
	if (e->tell)
		return e->told;
	if (now - e->looked > looks_every)
		ACE_TRY(look_at_node(e, now));
	if (now - e->moved > e->patience)
		return find_lost(e, now - e->moved);
	pause_for(idle);
	return ACE_OK;
}
