/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c - gathers between the GPUs of a node by their copy engines, from memory that every rank has opened to the others
 *
 * A rank copies the others' parts from where they lie, on a stream of its own, so that no processor of a GPU is taken from the kernels. NCCL
 * keeps the order: link_publish is a small operation that all ranks' fetches of what was written before it come behind, and every
 * operation of NCCL comes behind the fetches that were started before it. */
#include "comm/peers.h"

#include "base/msg.h"
#include "dev/cuda.h"

#include <stdlib.h>
#include <string.h>

enum { PROBE = 64 };			/* bytes that are compared, at both ends */

struct peers {
	char *base;			/* this rank's memory */
	size_t bytes;
	char **at;			/* [ranks] the others', as this rank sees it; its own, or NULL */
	cudaStream_t stream;
	cudaEvent_t ready;
};

static void
close_all(struct link *k)
{
	struct peers *p = k->peers;

	for (int i = 0; p->at && i < k->c->size; i++)
		if (p->at[i] && i != k->c->rank)
			(void)cudaIpcCloseMemHandle(p->at[i]);
	if (p->ready)
		(void)cudaEventDestroy(p->ready);
	if (p->stream)
		(void)cudaStreamDestroy(p->stream);
	(void)cudaGetLastError();
	free(p->at);
	free(p);
	k->peers = NULL;
}

void
peers_close(struct link *k)
{
	if (!k->peers)
		return;
	(void)cuda_wait_stream(k->d, k->peers->stream, "the end of copies between GPUs");
	close_all(k);
}

/* The others' memory; false: it cannot be opened. */
static bool
open_all(struct link *k, const cudaIpcMemHandle_t *handle)
{
	struct peers *p = k->peers;
	bool whole = cudaStreamCreateWithFlags(&p->stream, cudaStreamNonBlocking) == cudaSuccess &&
	             cudaEventCreateWithFlags(&p->ready, cudaEventDisableTiming) == cudaSuccess;

	for (int i = 0; whole && i < k->c->size; i++) {
		if (i == k->c->rank)
			p->at[i] = p->base;
		else
			whole = cudaIpcOpenMemHandle((void **)&p->at[i], handle[i], cudaIpcMemLazyEnablePeerAccess) == cudaSuccess;
		p->at[i] = whole ? p->at[i] : NULL;
	}
	(void)cudaGetLastError();		/* then NCCL does it */
	return whole;
}

/* Both ends of memory at from. */
static bool
probe(struct link *k, const char *from, char to[2 * PROBE])
{
	const struct peers *p = k->peers;

	return cudaMemcpyAsync(to, from, PROBE, cudaMemcpyDefault, p->stream) == cudaSuccess &&
	       cudaMemcpyAsync(to + PROBE, from + p->bytes - PROBE, PROBE, cudaMemcpyDefault, p->stream) == cudaSuccess &&
	       cudaStreamSynchronize(p->stream) == cudaSuccess;
}

/* Whether what this rank sees of the others' memory is what they see. */
static enum status
compare(struct link *k, bool *same)
{
	char mine[2 * PROBE] = { 0 }, seen[2 * PROBE], *all = malloc((size_t)k->c->size * sizeof mine);
	enum status st;

	if (!all)
		return ace_fail(ACE_ENOMEM, "no memory for a look at %d ranks", k->c->size);
	*same = *same && probe(k, k->peers->base, mine);
	st = comm_allgather(k->c, tensor_of(all, U8, 2, k->c->size, sizeof mine), tensor_of(mine, U8, 1, sizeof mine), "memory that is shared");
	for (int i = 0; st == ACE_OK && *same && i < k->c->size; i++)
		*same = probe(k, k->peers->at[i], seen) && memcmp(seen, all + (size_t)i * sizeof mine, sizeof mine) == 0;
	(void)cudaGetLastError();
	free(all);
	return st;
}

/* Memory for the list, the others' names of their memory, their memory; *can: all of that is there, on this rank. */
static enum status
open_peers(struct link *k, cudaIpcMemHandle_t *all, bool *can)
{
	cudaIpcMemHandle_t mine = { 0 };
	struct peers *p = k->peers;

	*can = cudaIpcGetMemHandle(&mine, p->base) == cudaSuccess;
	(void)cudaGetLastError();
	ACE_TRY(comm_allgather(k->c, tensor_of(all, U8, 2, k->c->size, sizeof mine), tensor_of(&mine, U8, 1, sizeof mine),
	                       "names of memory that is shared"));
	*can = *can && open_all(k, all);
	return compare(k, can);
}

enum status
peers_open(struct link *k, void *base, size_t bytes)
{
	struct peers *p = k->peers = calloc(1, sizeof *p);
	cudaIpcMemHandle_t *all = calloc((size_t)k->c->size, sizeof *all);
	int64_t can = p && all;
	bool here = false;
	enum status st;

	if (can) {
		*p = (struct peers){ .base = base, .bytes = bytes, .at = calloc((size_t)k->c->size, sizeof *p->at) };
		can = p->at && bytes >= 2 * PROBE;
	}
	k->d->m->sync(k->d);
	st = comm_agree(k->c, can ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a list of %d ranks", k->c->size));
	if (st == ACE_OK)
		st = open_peers(k, all, &here);
	can = here;
	if (st == ACE_OK)
		st = comm_allreduce(k->c, tensor_of(&can, I64, 1, 1), COMM_MIN, "which ranks can copy from others");
	free(all);
	if (p && (st != ACE_OK || !can)) {
		msg_debug("GPUs do not copy from one another: NCCL gathers");
		if (p->at)
			close_all(k);
		else
			free(p);
		k->peers = NULL;
	}
	return st;
}

/* Where rank i has what this rank calls x, which is of memory that is shared. */
static const char *
of_rank(const struct peers *p, int i, const void *x)
{
	return p->at[i] + ((const char *)x - p->base);
}

bool
peers_have(const struct link *k, const void *x)
{
	const struct peers *p = k->peers;

	return p && (const char *)x >= p->base && (const char *)x < p->base + p->bytes;
}

cudaStream_t
peers_fetch(struct link *k, const struct comm_op *op)
{
	struct peers *p = k->peers;
	size_t bytes = (size_t)op->n * dtype_size(op->dtype);
	bool inside = peers_have(k, op->out);	/* each rank's part in its place of the whole; else parts lie at the same place */
	struct dev *d = k->d;
	char *all = op->out;

	cuda_ok(d, cudaEventRecord(p->ready, d->cuda->stream), "exchange");
	cuda_ok(d, cudaStreamWaitEvent(p->stream, p->ready, 0), "exchange");
	for (int i = 1; i <= k->c->size; i++) {		/* this rank's own comes last */
		int from = (k->c->rank + i) % k->c->size;
		const char *part = of_rank(p, from, inside ? all + (size_t)from * bytes : op->in);
		if (part != all + (size_t)from * bytes)
			cuda_ok(d, cudaMemcpyAsync(all + (size_t)from * bytes, part, bytes, cudaMemcpyDefault, p->stream), "exchange");
	}
	return p->stream;
}

void
peers_wait(struct link *k, cudaEvent_t published)
{
	cuda_ok(k->d, cudaStreamWaitEvent(k->peers->stream, published, 0), "exchange");
}
