/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - inside a group over MPI: one thread of a process that makes all MPI calls; for mpi.c, wire.c, exchange.c, lost.c
 *
 * The program's thread queues operations and waits; this thread runs them in order, out of messages between two ranks alone
 * (no collective of MPI), so that every wait can be watched and every sum has our order. */
#ifndef ACE_COMM_ENGINE_H
#define ACE_COMM_ENGINE_H

#include "comm/comm_parts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum {
	ENGINE_QUEUE = 64,
	ENGINE_HOST = 64,
	ENGINE_TEXT = 1400,
	ENGINE_SCRATCH = 16 << 20,	/* bytes */
	WIRE_PIECE = 2 << 20,		/* bytes of a message, at most */
	WIRE_WINDOW = 16,		/* messages under way, where it does not matter how many */
};

/* What ranks tell each other beside the operations. */
enum note_kind { NOTE_WHERE, NOTE_HERE, NOTE_FAILED };

struct note {
	int32_t kind, rank;		/* who says it */
	int32_t context, status;
	int32_t lost, padding;		/* failed: rank that is lost, -1 none */
	int64_t number;			/* where: operation that is waited for; here: operations started */
	char text[ENGINE_TEXT];
};

/* Who is there, exchanged at the start. */
struct hello {
	char host[ENGINE_HOST];
	int64_t leader;			/* lowest rank of the node */
	int64_t pid, pid_space;		/* process numbers mean the same where pid_space is the same; 0: unknown */
};

/* Messages that are waited for together. */
struct flight {
	void *request;			/* [cap] of MPI */
	struct { int peer; int bytes; bool incoming; } *note;
	int *index;			/* [cap] scratch of flight_test */
	void *state;			/* [cap] scratch */
	int n, cap;
};

struct wire;

struct engine {
	int rank, size;
	struct hello *hello;		/* [size] */
	struct wire *wire;
	struct flight flight[2];
	char *scratch;			/* ENGINE_SCRATCH bytes */
	const void **from;		/* [size] sources of a sum */
	double moved;			/* when something arrived last */
	double looked;			/* when the processes of this node were looked at last */
	const struct comm_op *op;	/* being run; NULL: none */
	int64_t *answer;		/* [size] operations that each rank says to have started; -1: no answer */
	int answer_context;
	bool heard;			/* another rank has told of the failure */

	_Atomic double patience, beat;	/* beat: when the thread was last not inside MPI */
	_Atomic int64_t entered[COMM_CONTEXTS];	/* operations started by the program */
	_Atomic int64_t sent[COMM_CONTEXTS];	/* bytes of operations that have gone */
	_Atomic int contexts;		/* the next unused number */
	_Atomic bool working;		/* late is not lost */
	_Atomic bool watch;		/* an ended process is lost, even where nothing is waited for */
	_Atomic bool tell, finish;	/* the program wants: fail with told, end in good order */
	_Atomic int abandon;		/* exit code, 0: not asked */

	pthread_t thread;
	pthread_mutex_t lock;		/* for what follows */
	pthread_cond_t work, over;
	struct comm_op queue[ENGINE_QUEUE];
	int64_t pushed, done;
	bool ready, ended;
	enum status status;
	int lost;			/* rank that is lost, -1: none known */
	char message[ENGINE_TEXT];
	enum status told;
	char told_message[ENGINE_TEXT];
};

/* --- wire.c: the only file that calls MPI --- */

/* MPI, and hello of this rank (hello [0], alone). */
enum status wire_open(struct engine *e, struct hello *mine) ACE_NODISCARD;
enum status wire_close(struct engine *e) ACE_NODISCARD;
void wire_abort(int code);

enum status flight_init(struct flight *f, int cap) ACE_NODISCARD;
void flight_free(struct flight *f);

/* Begin a message of at most WIRE_PIECE bytes; f has room. peer: rank in the first group. */
enum status flight_send(struct engine *e, struct flight *f, int peer, int context, const void *data, size_t bytes) ACE_NODISCARD;
enum status flight_receive(struct engine *e, struct flight *f, int peer, int context, void *data, size_t bytes) ACE_NODISCARD;

/* How many have arrived or left since; those are taken out. */
enum status flight_test(struct engine *e, struct flight *f, int *arrived) ACE_NODISCARD;

/* No more of these may be written to. */
void flight_cancel(struct flight *f);

/* Without waiting: one that has come (false: none); one to go, dropped when that peer takes none; whether all have gone. */
bool note_take(struct engine *e, struct note *n);
void note_send(struct engine *e, int peer, const struct note *n);
bool notes_gone(struct engine *e);

/* --- exchange.c --- */

enum status exchange_run(struct engine *e, const struct comm_op *op) ACE_NODISCARD;

/* What every rank says, to all, before there are groups. */
enum status exchange_hello(struct engine *e, const struct hello *mine) ACE_NODISCARD;

/* --- lost.c --- */

/* Between two looks at the messages: the thread's duties, then a pause that grows with idle. Fails when the run has failed
 * elsewhere, or a rank is lost. op may be NULL. */
enum status engine_pause(struct engine *e, int idle) ACE_NODISCARD;

/* The same without a pause, where there are no messages. */
enum status engine_idle(struct engine *e) ACE_NODISCARD;

/* Answers to other ranks. ACE_OK, or what they say has failed. */
enum status engine_serve(struct engine *e) ACE_NODISCARD;

/* Tell all other ranks, with this thread's message. */
void engine_tell(struct engine *e, enum status st, int lost);
#endif
