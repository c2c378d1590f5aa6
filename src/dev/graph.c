/* SPDX-License-Identifier: Apache-2.0 */
/* graph.c - recorded launches and points in time; see dev.h */
#include "dev/dev.h"

#include "base/clock.h"

#include <stdlib.h>

#ifdef HAVE_CUDA
#include "dev/cuda.h"

struct dev_graph {
	cudaGraphExec_t exec;
	int moved;			/* as the device's when it was recorded */
};

enum status
dev_graph_begin(struct dev *d)
{
	if (d->kind != DEV_CUDA)
		return ace_fail(ACE_EDEVICE, "this device does not record its kernels");
	if (cuda_ok(d, cudaStreamBeginCapture(d->cuda->stream, cudaStreamCaptureModeThreadLocal), "record"))
		d->cuda->recording = true;
	return d->status;
}

enum status
dev_graph_end(struct dev *d, struct dev_graph **g)
{
	cudaGraph_t graph = NULL;

	*g = NULL;
	d->cuda->recording = false;
	cuda_ok(d, cudaStreamEndCapture(d->cuda->stream, &graph), "record");
	if (d->status == ACE_OK && d->cuda->recorded)
		d->cuda->recorded(d, graph);
	if (d->status == ACE_OK) {
		*g = calloc(1, sizeof **g);
		if (!*g)
			d->status = ace_fail(ACE_ENOMEM, "no memory for a recorded graph");
	}
	if (d->status == ACE_OK) {
		(*g)->moved = d->cuda->moved;
		cuda_ok(d, cudaGraphInstantiate(&(*g)->exec, graph, 0), "record");
	}
	if (graph)
		(void)cudaGraphDestroy(graph);
	if (d->status != ACE_OK) {
		free(*g);
		*g = NULL;
	}
	return d->status;
}

enum status
dev_graph_launch(struct dev *d, struct dev_graph *g)
{
	if (g->moved != d->cuda->moved)
		return ace_fail(ACE_EDEVICE, "device cuda:%d: the recorded graph is stale, record it again", d->cuda->number);
	cuda_ok(d, cudaGraphLaunch(g->exec, d->cuda->stream), "graph");
	return d->status;
}

bool
dev_graph_is_stale(const struct dev *d, const struct dev_graph *g)
{
	return g->moved != d->cuda->moved;
}

void
dev_graph_free(struct dev *d, struct dev_graph *g)
{
	if (!g)
		return;
	d->m->sync(d);
	(void)cudaGraphExecDestroy(g->exec);
	free(g);
}
#else
enum status
dev_graph_begin(struct dev *d)
{
	(void)d;
	return ace_fail(ACE_EDEVICE, "this device does not record its kernels");
}

enum status
dev_graph_end(struct dev *d, struct dev_graph **g)
{
	*g = NULL;
	return dev_graph_begin(d);
}

enum status
dev_graph_launch(struct dev *d, struct dev_graph *g)
{
	(void)g;
	return dev_graph_begin(d);
}

bool
dev_graph_is_stale(const struct dev *d, const struct dev_graph *g)
{
	(void)d, (void)g;
	return true;
}

void
dev_graph_free(struct dev *d, struct dev_graph *g)
{
	(void)d, (void)g;
}
#endif

void
dev_reserve(struct dev *d, size_t bytes)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		(void)cuda_scratch(d, bytes);
#else
	(void)d, (void)bytes;
#endif
}

void
dev_ahead(struct dev *d, void *to, const void *from, size_t bytes)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA) {
		cuda_ahead(d, to, from, bytes);
		return;
	}
#endif
	d->m->upload(d, to, from, bytes);
}

#ifdef HAVE_CUDA
#define ON_CUDA(d, call) ((d)->kind == DEV_CUDA ? call(d) : (void)0)
#else
#define ON_CUDA(d, call) ((void)(d))
#endif

void
dev_ahead_join(struct dev *d)
{
	ON_CUDA(d, cuda_ahead_join);
}

void
dev_ahead_used(struct dev *d)
{
	ON_CUDA(d, cuda_ahead_used);
}

void
dev_ahead_wait(struct dev *d)
{
	ON_CUDA(d, cuda_ahead_wait);
}

void
dev_keep(struct dev *d, void *to, const void *from, size_t bytes)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA) {
		cuda_keep(d, to, from, bytes);
		return;
	}
#endif
	d->m->download(d, to, from, bytes);
}

void
dev_keep_end(struct dev *d)
{
	ON_CUDA(d, cuda_keep_end);
}

void
dev_side(struct dev *d, bool on)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		cuda_side(d, on);
#else
	(void)d, (void)on;
#endif
}

void
dev_join(struct dev *d)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		cuda_join(d);
#else
	(void)d;
#endif
}

void
dev_pair(struct dev *d, int piece)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		cuda_pair(d, piece);
#else
	(void)d, (void)piece;
#endif
}

struct dev_event {
#ifdef HAVE_CUDA
	cudaEvent_t event;
#endif
	double at;
};

enum status
dev_event_open(struct dev *d, struct dev_event **e)
{
	*e = calloc(1, sizeof **e);
	if (!*e)
		return ace_fail(ACE_ENOMEM, "no memory for an event");
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA && !cuda_ok(d, cudaEventCreate(&(*e)->event), "event")) {
		free(*e);
		*e = NULL;
		return d->status;
	}
#else
	(void)d;
#endif
	return ACE_OK;
}

void
dev_event_close(struct dev *d, struct dev_event *e)
{
#ifdef HAVE_CUDA
	if (e && d->kind == DEV_CUDA)
		(void)cudaEventDestroy(e->event);
#else
	(void)d;
#endif
	free(e);
}

void
dev_event_record(struct dev *d, struct dev_event *e)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA) {
		cuda_ok(d, cudaEventRecord(e->event, d->cuda->stream), "event");
		return;
	}
#else
	(void)d;
#endif
	e->at = clock_now();
}

void
dev_event_wait(struct dev *d, struct dev_event *e)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		(void)cuda_wait(d, e->event, "event");
#else
	(void)d, (void)e;
#endif
}

double
dev_event_ms(struct dev *d, struct dev_event *from, struct dev_event *to)
{
#ifdef HAVE_CUDA
	float ms = 0.f;

	if (d->kind == DEV_CUDA) {
		cuda_ok(d, cudaEventElapsedTime(&ms, from->event, to->event), "event");
		return (double)ms;
	}
#else
	(void)d;
#endif
	return (to->at - from->at) * 1e3;
}
