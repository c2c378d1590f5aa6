/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between two ranks. MPI's errors come back as failures that name the rank. */
#include "comm/engine.h"

#include <dlfcn.h>
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Loaded when there is more than one rank: no other start of a program waits for it, or wants it to be installed. Open MPI's
 * handles are addresses of data, which are asked for by name as the functions are; those of others are numbers. */
#define CALLS(F) F(Abort) F(Bcast) F(Cancel) F(Comm_dup) F(Comm_free) F(Comm_rank) \
	F(Comm_set_errhandler) F(Comm_size) F(Comm_split_type) F(Error_class) F(Error_string) \
	F(Finalize) F(Get_count) F(Get_library_version) F(Init_thread) F(Irecv) F(Isend) F(Test) \
	F(Testall) F(Testsome) F(Wait)
#ifdef OPEN_MPI
#define HANDLES(F) F(ompi_mpi_comm_world) F(ompi_mpi_byte) F(ompi_mpi_int) F(ompi_request_null) F(ompi_mpi_info_null) \
	F(ompi_mpi_errors_return)
#else
#define HANDLES(F)
#endif

static struct {
#define F(name) __typeof__(MPI_##name) *name;
	CALLS(F)
#undef F
#define F(name) __typeof__(name) *name;
	HANDLES(F)
#undef F
	bool ready;
} mpi;

static char why_not[300];

static void
load(void)
{
	void *lib = dlopen(ACE_MPI_LIBRARY, RTLD_NOW | RTLD_GLOBAL);	/* global: MPI loads parts of its own that want it */
	const char *lacks = NULL;

	if (!lib)
		snprintf(why_not, sizeof why_not, "%s", dlerror());
	if (!lib && *ACE_MPI_LIBDIR)
		lib = dlopen(ACE_MPI_LIBDIR "/" ACE_MPI_LIBRARY, RTLD_NOW | RTLD_GLOBAL);
	if (!lib)
		return;
#define F(name) mpi.name = dlsym(lib, "MPI_" #name); lacks = mpi.name ? lacks : #name;
	CALLS(F)
#undef F
#define F(name) mpi.name = dlsym(lib, #name); lacks = mpi.name ? lacks : #name;
	HANDLES(F)
#undef F
	mpi.ready = !lacks;
	if (lacks)
		snprintf(why_not, sizeof why_not, "%s lacks %s", ACE_MPI_LIBRARY, lacks);
}

static bool
ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return mpi.ready;
}

#ifdef OPEN_MPI		/* MPI_COMM_WORLD is a word for &(ompi_mpi_comm_world) */
#define ompi_mpi_comm_world (*mpi.ompi_mpi_comm_world)
#define ompi_mpi_byte (*mpi.ompi_mpi_byte)
#define ompi_mpi_int (*mpi.ompi_mpi_int)
#define ompi_request_null (*mpi.ompi_request_null)
#define ompi_mpi_info_null (*mpi.ompi_mpi_info_null)
#define ompi_mpi_errors_return (*mpi.ompi_mpi_errors_return)
#endif

enum { NOTES = 64 };

struct wire {
	MPI_Comm data, side;
	MPI_Request incoming;		/* of note_in */
	struct note note_in;
	struct note note_out[NOTES];
	MPI_Request outgoing[NOTES];
	int next;
};

static enum status
failed(const struct engine *e, int code, const char *doing, int peer)
{
	char why[MPI_MAX_ERROR_STRING] = "", what[128] = "", with[ENGINE_HOST + 32] = "";
	int n;

	if (mpi.Error_string(code, why, &n) != MPI_SUCCESS)
		snprintf(why, sizeof why, "error %d of MPI", code);
	if (e->op)
		comm_op_text(e->op, what, sizeof what);
	if (peer >= 0)
		snprintf(with, sizeof with, " rank %d (node %s)", peer, e->hello ? e->hello[peer].host : "?");
	return ace_fail(ACE_ERANK, "%s%s%s%s: %s", doing, with, e->op ? " in " : "", what, why);
}

/* --- open and close --- */

/* May be called before MPI is open, and by any thread. */
void
mpi_library(char text[128])
{
	char all[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	int n;

	if (ready())
		mpi.Get_library_version(all, &n);
	all[strcspn(all, ",\n")] = 0;		/* "Open MPI v4.1.4, package: ..." */
	snprintf(text, 128, "%.127s", all);
}

static void
name_host(char host[ENGINE_HOST])
{
	const char *node = getenv("SLURMD_NODENAME");	/* hosts of one name may be several nodes */

	if (node && *node)
		snprintf(host, ENGINE_HOST, "%s", node);
	else if (gethostname(host, ENGINE_HOST - 1) != 0 || !*host)
		snprintf(host, ENGINE_HOST, "?");
	host[strcspn(host, ".")] = 0;
}

/* The lowest rank that shares memory with this one. */
static int
find_leader(int *leader)
{
	MPI_Comm node;
	int code, world;

	mpi.Comm_rank(MPI_COMM_WORLD, &world);
	code = mpi.Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world, MPI_INFO_NULL, &node);
	if (code != MPI_SUCCESS)
		return code;
	*leader = world;
	code = mpi.Bcast(leader, 1, MPI_INT, 0, node);
	mpi.Comm_free(&node);
	return code;
}

static int
start(struct engine *e, struct wire *w, int *leader)
{
	int code;

	if ((code = mpi.Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN)) != MPI_SUCCESS ||
	    (code = mpi.Comm_dup(MPI_COMM_WORLD, &w->data)) != MPI_SUCCESS ||
	    (code = mpi.Comm_dup(MPI_COMM_WORLD, &w->side)) != MPI_SUCCESS ||
	    (code = mpi.Comm_set_errhandler(w->data, MPI_ERRORS_RETURN)) != MPI_SUCCESS ||
	    (code = mpi.Comm_set_errhandler(w->side, MPI_ERRORS_RETURN)) != MPI_SUCCESS ||
	    (code = find_leader(leader)) != MPI_SUCCESS)
		return code;
	for (int i = 0; i < NOTES; i++)
		w->outgoing[i] = MPI_REQUEST_NULL;
	mpi.Comm_rank(MPI_COMM_WORLD, &e->rank);
	mpi.Comm_size(MPI_COMM_WORLD, &e->size);
	return mpi.Irecv(&w->note_in, sizeof w->note_in, MPI_BYTE, MPI_ANY_SOURCE, 0, w->side, &w->incoming);
}

enum status
wire_open(struct engine *e, struct hello *mine)
{
	struct stat space;
	int code, provided, leader;

	e->wire = calloc(1, sizeof *e->wire);
	if (!e->wire)
		return ace_fail(ACE_ENOMEM, "no memory for messages between ranks");
	if (!ready())
		return ace_fail(ACE_ECONFIG, "%d ranks were started, but MPI cannot be loaded: %s\n"
				"is its module loaded (LD_LIBRARY_PATH)?", comm_launched(), why_not);
	code = mpi.Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
	if (code == MPI_SUCCESS)
		code = start(e, e->wire, &leader);
	if (code != MPI_SUCCESS)
		return failed(e, code, "MPI does not start", -1);
	name_host(mine->host);
	mine->leader = leader;
	mine->pid = getpid();
	mine->pid_space = stat("/proc/self/ns/pid", &space) == 0 ? (int64_t)space.st_ino : 0;
	return ACE_OK;
}

enum status
wire_close(struct engine *e)
{
	struct wire *w = e->wire;
	int code;

	mpi.Cancel(&w->incoming);
	mpi.Wait(&w->incoming, MPI_STATUS_IGNORE);
	mpi.Comm_free(&w->data);
	mpi.Comm_free(&w->side);
	code = mpi.Finalize();
	free(w);
	e->wire = NULL;
	return code == MPI_SUCCESS ? ACE_OK : ace_fail(ACE_ERANK, "MPI does not end in good order (error %d)", code);
}

void
wire_abort(int code)
{
	mpi.Abort(MPI_COMM_WORLD, code);
}

/* --- messages --- */

enum status
flight_init(struct flight *f, int cap)
{
	f->request = calloc((size_t)cap, sizeof(MPI_Request));
	f->state = calloc((size_t)cap, sizeof(MPI_Status));
	f->note = calloc((size_t)cap, sizeof *f->note);
	f->index = calloc((size_t)cap, sizeof *f->index);
	f->n = 0;
	f->cap = cap;
	return f->request && f->state && f->note && f->index ? ACE_OK
	                                                     : ace_fail(ACE_ENOMEM, "no memory for %d messages", cap);
}

void
flight_free(struct flight *f)
{
	free(f->request);
	free(f->state);
	free(f->note);
	free(f->index);
	*f = (struct flight){ 0 };
}

static void
add(struct flight *f, MPI_Request r, int peer, size_t bytes, bool incoming)
{
	((MPI_Request *)f->request)[f->n] = r;
	f->note[f->n].peer = peer;
	f->note[f->n].bytes = (int)bytes;
	f->note[f->n++].incoming = incoming;
}

enum status
flight_send(struct engine *e, struct flight *f, int peer, int context, const void *data, size_t bytes)
{
	MPI_Request r;
	int code = mpi.Isend(data, (int)bytes, MPI_BYTE, peer, context, e->wire->data, &r);

	if (code != MPI_SUCCESS)
		return failed(e, code, "sending to", peer);
	add(f, r, peer, bytes, false);
	return ACE_OK;
}

enum status
flight_receive(struct engine *e, struct flight *f, int peer, int context, void *data, size_t bytes)
{
	MPI_Request r;
	int code = mpi.Irecv(data, (int)bytes, MPI_BYTE, peer, context, e->wire->data, &r);

	if (code != MPI_SUCCESS)
		return failed(e, code, "receiving from", peer);
	add(f, r, peer, bytes, true);
	return ACE_OK;
}

static enum status
different(const struct engine *e, int peer, int bytes, int wanted)
{
	char what[128] = "the start", got[32] = "more";

	if (e->op)
		comm_op_text(e->op, what, sizeof what);
	if (bytes >= 0)
		snprintf(got, sizeof got, "%d", bytes);
	return ace_fail(ACE_EBUG, "rank %d sent %s bytes in %s, where rank %d wanted %d: not all ranks make the same calls", peer,
			got, what, e->rank, wanted);
}

/* What came of message i. */
static enum status
look(const struct engine *e, const struct flight *f, int i, MPI_Status *s, int code)
{
	int bytes, class = code;

	if (code != MPI_SUCCESS)
		mpi.Error_class(code, &class);
	if (class == MPI_ERR_TRUNCATE)
		return different(e, f->note[i].peer, -1, f->note[i].bytes);
	if (code != MPI_SUCCESS)
		return failed(e, code, f->note[i].incoming ? "receiving from" : "sending to", f->note[i].peer);
	if (!f->note[i].incoming)
		return ACE_OK;
	mpi.Get_count(s, MPI_BYTE, &bytes);
	return bytes == f->note[i].bytes ? ACE_OK : different(e, f->note[i].peer, bytes, f->note[i].bytes);
}

enum status
flight_test(struct engine *e, struct flight *f, int *arrived)
{
	MPI_Request *request = f->request;
	MPI_Status *state = f->state;
	enum status st = ACE_OK;
	int code, n = 0;

	code = mpi.Testsome(f->n, request, arrived, f->index, state);
	if (*arrived == MPI_UNDEFINED)
		*arrived = 0;
	if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS)
		return failed(e, code, "waiting for messages", -1);
	for (int k = 0; k < *arrived && st == ACE_OK; k++)
		st = look(e, f, f->index[k], &state[k], code == MPI_SUCCESS ? MPI_SUCCESS : state[k].MPI_ERROR);
	if (*arrived == 0)
		return st;
	for (int i = 0; i < f->n; i++) {
		if (request[i] == MPI_REQUEST_NULL)
			continue;
		request[n] = request[i];
		f->note[n++] = f->note[i];
	}
	f->n = n;
	return st;
}

void
flight_cancel(struct flight *f)
{
	MPI_Request *request = f->request;

	for (int i = 0; i < f->n; i++)
		if (f->note[i].incoming && request[i] != MPI_REQUEST_NULL)
			mpi.Cancel(&request[i]);
	f->n = 0;
}

/* --- notes --- */

bool
note_take(struct engine *e, struct note *n)
{
	struct wire *w = e->wire;
	MPI_Status s;
	int there = 0, bytes = 0;

	if (mpi.Test(&w->incoming, &there, &s) != MPI_SUCCESS || !there)
		return false;
	mpi.Get_count(&s, MPI_BYTE, &bytes);
	*n = w->note_in;
	n->text[sizeof n->text - 1] = 0;
	mpi.Irecv(&w->note_in, sizeof w->note_in, MPI_BYTE, MPI_ANY_SOURCE, 0, w->side, &w->incoming);
	return bytes == sizeof *n && n->rank >= 0 && n->rank < e->size;
}

void
note_send(struct engine *e, int peer, const struct note *n)
{
	struct wire *w = e->wire;
	int i = w->next, gone = 1;

	if (w->outgoing[i] != MPI_REQUEST_NULL)
		mpi.Test(&w->outgoing[i], &gone, MPI_STATUS_IGNORE);
	if (!gone)
		return;
	w->note_out[i] = *n;
	w->next = (i + 1) % NOTES;
	if (mpi.Isend(&w->note_out[i], sizeof *n, MPI_BYTE, peer, 0, w->side, &w->outgoing[i]) != MPI_SUCCESS)
		w->outgoing[i] = MPI_REQUEST_NULL;
}

bool
notes_gone(struct engine *e)
{
	int gone;

	mpi.Testall(NOTES, e->wire->outgoing, &gone, MPI_STATUSES_IGNORE);
	return gone;
}
