/* SPDX-License-Identifier: Apache-2.0 */
/* nccl.c - operations between GPUs, by NCCL, which is loaded when several ranks open their links
 *
 * The communicator does not block: each call is looked after until it is through, so that a rank that is lost ends the wait
 * here as it does in the device's waits. Nothing is captured in recorded sequences: NCCL wants all ranks to replay the same ones, and
 * batches of other shapes are recorded apart. */
#include "comm/peers.h"

#include "base/clock.h"
#include "base/msg.h"
#include "dev/cuda.h"

#include <dlfcn.h>
#include <math.h>
#include <nccl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MARKS = 256 };			/* ends of operations that are told apart; of older ones the newest counts */

static const double abort_within = 30.;	/* seconds */

/* NCCL's functions that are used: its name there, what it is here. */
#define FUNCTIONS(F)                                                                                                     \
	F(ncclGetVersion) F(ncclGetUniqueId) F(ncclCommInitRankConfig) F(ncclCommAbort) F(ncclCommGetAsyncError)         \
	F(ncclGetErrorString) F(ncclGetLastError) F(ncclAllReduce) F(ncclAllGather) F(ncclReduceScatter) \
	F(ncclGroupStart) F(ncclGroupEnd)

static struct {
	void *library;
#define F(name) __typeof__(name) *name;
	FUNCTIONS(F)
#undef F
	char why[160];
	bool ready;
} lib;

struct nccl {
	ncclComm_t comm;
	cudaStream_t stream;
	cudaEvent_t reached;		/* what the device was asked for before an operation */
	cudaEvent_t mark[MARKS];	/* the end of operation i % MARKS */
	cudaEvent_t published;		/* what fetches wait for */
	void *token;			/* on the device: what is sent to publish */
	int64_t fetched, sent;		/* the last fetch, the last other operation */
	bool together;			/* operations are being grouped: */
	int64_t first;			/* from this one on; 0: there is none yet */
	char label[160];		/* of the last operation */
	enum status (*waits)(void *me, double seconds);	/* the device's before this link, asked as well */
	void *waits_me;
};

static void
load(void)
{
	static const char *const path[] = { "libnccl.so.2", "libnccl.so", ACE_NCCL_LIBDIR "/libnccl.so.2" };
	const char *lacks = NULL;

	for (size_t i = 0; i < sizeof path / sizeof *path && !lib.library; i++)
		lib.library = dlopen(path[i], RTLD_NOW | RTLD_LOCAL);
	if (!lib.library) {
		snprintf(lib.why, sizeof lib.why, "libnccl.so.2 is not to be found");
		return;
	}
#define F(name)                                            \
	*(void **)&lib.name = dlsym(lib.library, #name);   \
	lacks = lib.name ? lacks : #name;
	FUNCTIONS(F)
#undef F
	lib.ready = !lacks;
	if (lacks)
		snprintf(lib.why, sizeof lib.why, "libnccl.so.2 lacks %s", lacks);
}

bool
nccl_there(char why[160])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	if (!lib.ready)
		snprintf(why, 160, "%s", lib.why);
	return lib.ready;
}

int64_t
nccl_place(struct dev *d)
{
	int domain = 0, bus = 0, slot = 0;

	cuda_ok(d, cudaDeviceGetAttribute(&domain, cudaDevAttrPciDomainId, d->cuda->number), "place");
	cuda_ok(d, cudaDeviceGetAttribute(&bus, cudaDevAttrPciBusId, d->cuda->number), "place");
	cuda_ok(d, cudaDeviceGetAttribute(&slot, cudaDevAttrPciDeviceId, d->cuda->number), "place");
	return ((int64_t)domain << 16) + ((int64_t)bus << 8) + slot;
}

/* --- failures --- */

struct ending {
	ncclComm_t comm;
	int device;
};

static void *
end_comm(void *me)
{
	struct ending *e = me;

	(void)cudaSetDevice(e->device);
	(void)lib.ncclCommAbort(e->comm);
	free(e);
	return NULL;
}

/* The communicator and what runs over it end, whatever the other ranks do; where that gets stuck, so does all else. */
static void
end(struct link *k)
{
	struct ending *e = malloc(sizeof *e);
	struct timespec until;
	pthread_t thread;

	if (!k->nccl->comm || !e) {
		free(e);
		return;
	}
	*e = (struct ending){ k->nccl->comm, k->d->cuda->number };
	k->nccl->comm = NULL;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)abort_within;
	if (pthread_create(&thread, NULL, end_comm, e) != 0) {
		(void)end_comm(e);
	} else if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
		msg_error("rank %d (%s): NCCL does not end within %.0f s of: %s", k->c->rank, k->c->host, abort_within, k->message);
		comm_abandon(k->c, status_exit_code(ACE_ERANK));
	}
}

static void
fail(struct link *k, enum status st)
{
	if (k->status == ACE_OK) {
		k->status = st;
		snprintf(k->message, sizeof k->message, "%s", ace_message());
	}
	end(k);
}

/* What NCCL says; in progress is no failure. */
static enum status
told(struct link *k, ncclResult_t r)
{
	const char *more = k->nccl->comm ? lib.ncclGetLastError(k->nccl->comm) : NULL;

	if (r == ncclSuccess || r == ncclInProgress)
		return ACE_OK;
	return ace_fail(ACE_ERANK, "rank %d (%s): NCCL: %s in %s%s%s", k->c->rank, k->c->host, lib.ncclGetErrorString(r),
	                k->nccl->label, more && *more ? ": " : "", more ? more : "");
}

/* Nothing has come for longer than ranks have patience: whoever is lost is named by the ranks' own way of finding out. */
static enum status
overdue(struct link *k, double seconds)
{
	ACE_TRY(comm_barrier(k->c, k->nccl->label));
	return ace_fail(ACE_ERANK, "rank %d (node %s): no progress for %.0f s in %s, though all ranks have come to it: are the links "
	                "between the GPUs whole?", k->c->rank, k->c->host, seconds, k->nccl->label);
}

static enum status
look(struct link *k, double seconds)
{
	ncclResult_t r = ncclSuccess;

	if (k->status != ACE_OK)
		return k->status;
	ACE_TRY(comm_check(k->c));
	if (k->nccl->comm)
		ACE_TRY(told(k, lib.ncclCommGetAsyncError(k->nccl->comm, &r)));
	ACE_TRY(told(k, r));
	return seconds > comm_patience(k->c) ? overdue(k, seconds) : ACE_OK;
}

/* The device's waits. */
static enum status
watch(void *me, double seconds)
{
	struct link *k = me;
	enum status st = look(k, seconds);

	if (st != ACE_OK)
		fail(k, st);
	if (k->nccl->waits && st == ACE_OK)
		st = k->nccl->waits(k->nccl->waits_me, seconds);
	return st;
}

/* A call of NCCL that has returned r, until it is through. */
static enum status
settle(struct link *k, ncclResult_t r)
{
	double from = clock_now();
	enum status st = told(k, r);

	while (st == ACE_OK && r == ncclInProgress) {
		st = told(k, lib.ncclCommGetAsyncError(k->nccl->comm, &r));
		if (st == ACE_OK)
			st = told(k, r);
		if (st == ACE_OK && r == ncclInProgress && clock_now() - from > 0.01)
			st = look(k, clock_now() - from);
		sched_yield();
	}
	if (st != ACE_OK)
		fail(k, st);
	return st;
}

/* --- open and close --- */

static enum status
open_stream(struct link *k)
{
	struct nccl *n = k->nccl;
	struct dev *d = k->d;
	int least = 0, most = 0;

	/* before the kernels, which would else take all processors as they come */
	if (!cuda_ok(d, cudaDeviceGetStreamPriorityRange(&least, &most), "streams") ||
	    !cuda_ok(d, cudaStreamCreateWithPriority(&n->stream, cudaStreamNonBlocking, most), "open") ||
	    !cuda_ok(d, cudaEventCreateWithFlags(&n->reached, cudaEventDisableTiming), "open") ||
	    !cuda_ok(d, cudaEventCreateWithFlags(&n->published, cudaEventDisableTiming), "open"))
		return d->status;
	for (int i = 0; i < MARKS; i++)
		if (!cuda_ok(d, cudaEventCreateWithFlags(&n->mark[i], cudaEventDisableTiming), "open"))
			return d->status;
	return ACE_OK;
}

/* The number of the group, from its first rank to all. */
static enum status
share_id(struct link *k, ncclUniqueId *id)
{
	ncclResult_t r = k->c->rank == 0 ? lib.ncclGetUniqueId(id) : ncclSuccess;

	ACE_TRY(comm_agree(k->c, told(k, r)));
	return comm_broadcast(k->c, tensor_of(id, U8, 1, (int64_t)sizeof *id), 0, "NCCL's number of the group");
}

enum status
nccl_open(struct link *k)
{
	ncclConfig_t how = NCCL_CONFIG_INITIALIZER;
	struct nccl *n = k->nccl = calloc(1, sizeof *k->nccl);
	ncclUniqueId id;
	int version = 0;

	ACE_TRY(comm_agree(k->c, n ? open_stream(k) : ace_fail(ACE_ENOMEM, "no memory for a group of GPUs")));
	snprintf(n->label, sizeof n->label, "the start of NCCL");
	ACE_TRY(share_id(k, &id));
	how.blocking = 0;
	comm_watch(k->c, true);
	ACE_TRY(settle(k, lib.ncclCommInitRankConfig(&n->comm, k->c->size, id, k->c->rank, &how)));
	n->waits = k->d->waits;
	n->waits_me = k->d->waits_me;
	k->d->waits = watch;
	k->d->waits_me = k;
	if (lib.ncclGetVersion(&version) == ncclSuccess)
		snprintf(k->text, sizeof k->text, "NCCL %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
	return ACE_OK;
}

/* Ended, not destroyed: that would wait for ranks that may have failed. What ran over it was joined and is through. */
void
nccl_close(struct link *k)
{
	struct nccl *n = k->nccl;

	if (n->stream)
		(void)cuda_wait_stream(k->d, n->stream, "the end of NCCL");
	peers_close(k);
	end(k);
	comm_watch(k->c, false);
	if (k->d->waits == watch && k->d->waits_me == k) {
		k->d->waits = n->waits;
		k->d->waits_me = n->waits_me;
	}
	for (int i = 0; i < MARKS; i++)
		if (n->mark[i])
			(void)cudaEventDestroy(n->mark[i]);
	if (n->reached)
		(void)cudaEventDestroy(n->reached);
	if (n->published)
		(void)cudaEventDestroy(n->published);
	k->d->m->free(k->d, n->token);
	if (n->stream)
		(void)cudaStreamDestroy(n->stream);
	free(n);
	k->nccl = NULL;
}

/* --- operations --- */

static ncclDataType_t
type_of(enum dtype t)
{
	return t == F32 ? ncclFloat32 : t == F64 ? ncclFloat64 : t == I64 ? ncclInt64 : ncclBfloat16;
}

static ncclRedOp_t
sum_of(enum comm_sum s)
{
	return s == COMM_SUM ? ncclSum : s == COMM_MAX ? ncclMax : ncclMin;
}

static ncclResult_t
run(struct nccl *n, const struct comm_op *op)
{
	size_t count = (size_t)op->n;

	if (op->kind == COMM_ALLGATHER)
		return lib.ncclAllGather(op->in, op->out, count * dtype_size(op->dtype), ncclInt8, n->comm, n->stream);
	if (op->kind == COMM_REDUCE_SCATTER)
		return lib.ncclReduceScatter(op->in, op->out, count, type_of(op->dtype), sum_of(op->sum), n->comm, n->stream);
	return lib.ncclAllReduce(op->in, op->out, count, type_of(op->dtype), sum_of(op->sum), n->comm, n->stream);
}

/* NCCL's stream goes on behind all that the device was asked for, and behind all fetches. */
static void
reach(struct link *k)
{
	struct nccl *n = k->nccl;
	struct dev *d = k->d;

	cuda_ok(d, cudaEventRecord(n->reached, d->cuda->stream), "exchange");
	cuda_ok(d, cudaStreamWaitEvent(n->stream, n->reached, 0), "exchange");
	if (n->fetched > 0)
		cuda_ok(d, cudaStreamWaitEvent(n->stream, n->mark[n->fetched % MARKS], 0), "exchange");
}

/* Operations from that number on are begun. */
static void
mark(struct link *k, int64_t from)
{
	struct nccl *n = k->nccl;

	n->sent = k->started;
	for (int64_t i = from; i <= k->started; i++)
		cuda_ok(k->d, cudaEventRecord(n->mark[i % MARKS], n->stream), "exchange");
}

/* The first of a group. */
static void
begin_group(struct link *k)
{
	k->nccl->first = k->started;
	if (told(k, lib.ncclGroupStart()) != ACE_OK)
		fail(k, ACE_ERANK);
}

void
nccl_start(struct link *k, const struct comm_op *op)
{
	struct nccl *n = k->nccl;

	if (k->status != ACE_OK || k->d->status != ACE_OK)
		return;
	comm_op_text(op, n->label, sizeof n->label);
	if (!n->first)
		reach(k);
	if (n->together && !n->first)
		begin_group(k);
	if (n->together && op->n > 0 && k->status == ACE_OK) {
		if (told(k, run(n, op)) != ACE_OK)
			fail(k, ACE_ERANK);
	} else if (!n->together && (op->n == 0 || settle(k, run(n, op)) == ACE_OK)) {
		mark(k, k->started);
	}
}

void
nccl_group(struct link *k, bool on)
{
	struct nccl *n = k->nccl;
	int64_t first = n->first;

	n->together = on;
	n->first = 0;
	if (!on && first && settle(k, lib.ncclGroupEnd()) == ACE_OK)
		mark(k, first);
}

void
nccl_fetch(struct link *k, const struct comm_op *op)
{
	struct nccl *n = k->nccl;

	if (k->status != ACE_OK || k->d->status != ACE_OK)
		return;
	comm_op_text(op, n->label, sizeof n->label);
	n->fetched = k->started;
	cuda_ok(k->d, cudaEventRecord(n->mark[k->started % MARKS], peers_fetch(k, op)), "exchange");
}

/* A byte of each rank is at every other: so is what they had written before. */
void
nccl_publish(struct link *k)
{
	struct nccl *n = k->nccl;

	if (k->status != ACE_OK || k->d->status != ACE_OK)
		return;
	snprintf(n->label, sizeof n->label, "a word that values are written");
	reach(k);
	if (settle(k, lib.ncclAllReduce(n->token, n->token, 1, ncclInt8, ncclSum, n->comm, n->stream)) != ACE_OK)
		return;
	cuda_ok(k->d, cudaEventRecord(n->published, n->stream), "exchange");
	peers_wait(k, n->published);
	cuda_ok(k->d, cudaStreamWaitEvent(k->d->cuda->stream, n->published, 0), "exchange");
}

enum status
nccl_share(struct link *k, void *base, size_t bytes)
{
	enum status st = ACE_OK;

	if (!k->nccl->token)
		st = dev_alloc(k->d, 1, "a word to other ranks", &k->nccl->token);
	if (st == ACE_OK)
		st = cuda_ok(k->d, cudaMemsetAsync(k->nccl->token, 0, 1, k->d->cuda->stream), "exchange") ? ACE_OK : k->d->status;
	ACE_TRY(comm_agree(k->c, st));
	ACE_TRY(peers_open(k, base, bytes));
	if (k->peers)
		snprintf(k->text + strlen(k->text), sizeof k->text - strlen(k->text), ", gathers by copies");
	link_publish(k);
	return k->status == ACE_OK ? k->d->status : ace_fail(k->status, "%s", k->message);
}

static void
wait_mark(struct link *k, int64_t number)
{
	cuda_ok(k->d, cudaStreamWaitEvent(k->d->cuda->stream, k->nccl->mark[number % MARKS], 0), "exchange");
}

void
nccl_join(struct link *k, int64_t number)
{
	struct nccl *n = k->nccl;

	if (k->status != ACE_OK || k->d->status != ACE_OK || number <= 0)
		return;
	if (k->started - number < MARKS) {
		wait_mark(k, number);
		return;
	}
	if (n->fetched > 0)
		wait_mark(k, n->fetched);
	if (n->sent > 0)
		wait_mark(k, n->sent);
}
