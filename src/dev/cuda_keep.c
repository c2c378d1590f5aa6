/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of much memory to the host, at what the bus carries: the device copies pieces into pinned ones in turn, and threads
 * write those where they belong. One thread would take several times as long as the bus, most of it for pages that are touched
 * for the first time. */
#include "dev/cuda.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	PIECE = 8 << 20,		/* bytes */
	AHEAD = 4,			/* pieces that the device has been asked for and the threads not */
	THREADS = 8,			/* at most, and no more than there are processors */
	PIECES = AHEAD + THREADS
};

struct piece {
	char *pinned, *to;
	size_t bytes;
	cudaEvent_t come;
	bool busy;			/* under lock: from when it is asked for until it is written */
};

struct cuda_keep {
	struct piece piece[PIECES];	/* number i is piece[i % PIECES] */
	int64_t asked, come, begun;	/* come and begun, which the threads have taken up, under lock */
	pthread_mutex_t lock;
	pthread_cond_t more, less;	/* some have come; one is written */
	pthread_t thread[THREADS];
	int threads;
	bool over;
};

static void *
write_pieces(void *me)
{
	struct cuda_keep *k = me;

	pthread_mutex_lock(&k->lock);
	for (;;) {
		struct piece *p;
		while (k->begun == k->come && !k->over)
			pthread_cond_wait(&k->more, &k->lock);
		if (k->begun == k->come)
			break;
		p = &k->piece[k->begun++ % PIECES];
		pthread_mutex_unlock(&k->lock);
		memcpy(p->to, p->pinned, p->bytes);
		pthread_mutex_lock(&k->lock);
		p->busy = false;
		pthread_cond_signal(&k->less);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* As many as there are processors to run on; none: the caller writes. They take no signals: those are for others. */
static void
start_threads(struct cuda_keep *k)
{
	sigset_t all, old;
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : THREADS;

	k->over = false;
	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
		return;
	while (k->threads < n && k->threads < THREADS && pthread_create(&k->thread[k->threads], NULL, write_pieces, k) == 0)
		k->threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static struct cuda_keep *
open_keep(struct dev *d)
{
	struct cuda_keep *k = d->cuda->keep = calloc(1, sizeof *k);

	if (!k) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for copies to the host");
		return NULL;
	}
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->more, NULL);
	pthread_cond_init(&k->less, NULL);
	for (int i = 0; i < PIECES; i++)
		if (!cuda_ok(d, cudaHostAlloc((void **)&k->piece[i].pinned, PIECE, cudaHostAllocDefault), "pinned memory") ||
		    !cuda_ok(d, cudaEventCreateWithFlags(&k->piece[i].come, cudaEventDisableTiming), "copy to the host"))
			return NULL;
	return k;
}

/* The oldest piece that the device was asked for comes, and is the threads'. */
static bool
arrive(struct dev *d, struct cuda_keep *k)
{
	struct piece *p = &k->piece[k->come % PIECES];

	if (!cuda_wait(d, p->come, "copy to the host"))
		return false;
	if (k->threads == 0) {
		memcpy(p->to, p->pinned, p->bytes);
		k->begun++;
		k->come++;
		p->busy = false;
		return true;
	}
	pthread_mutex_lock(&k->lock);
	k->come++;
	pthread_cond_signal(&k->more);
	pthread_mutex_unlock(&k->lock);
	return true;
}

static void
until_written(struct cuda_keep *k, const struct piece *p)
{
	pthread_mutex_lock(&k->lock);
	while (p->busy)
		pthread_cond_wait(&k->less, &k->lock);
	pthread_mutex_unlock(&k->lock);
}

void
cuda_keep(struct dev *d, void *to, const void *from, size_t bytes)
{
	struct cuda_keep *k = d->cuda->keep ? d->cuda->keep : open_keep(d);

	if (k && d->status == ACE_OK && k->threads == 0)
		start_threads(k);
	for (size_t at = 0; at < bytes && d->status == ACE_OK; at += PIECE) {
		size_t n = bytes - at < PIECE ? bytes - at : PIECE;
		struct piece *p = &k->piece[k->asked % PIECES];
		if (k->asked - k->come == AHEAD && !arrive(d, k))
			return;
		until_written(k, p);
		p->to = (char *)to + at;
		p->bytes = n;
		if (!cuda_ok(d, cudaMemcpyAsync(p->pinned, (const char *)from + at, n, cudaMemcpyDefault, d->cuda->stream),
		             "copy to the host") ||
		    !cuda_ok(d, cudaEventRecord(p->come, d->cuda->stream), "copy to the host"))
			return;
		p->busy = true;
		k->asked++;
	}
}

/* Of a device that has failed nothing more comes. */
void
cuda_keep_end(struct dev *d)
{
	struct cuda_keep *k = d->cuda->keep;

	if (!k)
		return;
	while (k->come < k->asked && d->status == ACE_OK && arrive(d, k))
		;
	for (; k->asked > k->come; k->asked--)
		k->piece[(k->asked - 1) % PIECES].busy = false;
	pthread_mutex_lock(&k->lock);
	k->over = true;
	pthread_cond_broadcast(&k->more);
	pthread_mutex_unlock(&k->lock);
	while (k->threads > 0)
		pthread_join(k->thread[--k->threads], NULL);
}

/* What was never made is NULL and left alone. */
void
cuda_keep_close(struct dev *d)
{
	struct cuda_keep *k = d->cuda->keep;

	if (!k)
		return;
	cuda_keep_end(d);
	for (int i = 0; i < PIECES; i++) {
		if (k->piece[i].pinned)
			(void)cudaFreeHost(k->piece[i].pinned);
		if (k->piece[i].come)
			(void)cudaEventDestroy(k->piece[i].come);
	}
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->more);
	pthread_cond_destroy(&k->less);
	free(k);
	d->cuda->keep = NULL;
}
