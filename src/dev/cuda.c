/* SPDX-License-Identifier: Apache-2.0 */
#include "dev/cuda.h"

#include "base/clock.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { STAGING = 16 << 20 };		/* bytes of each of two pinned buffers */

bool
cuda_ok(struct dev *d, cudaError_t e, const char *what)
{
	if (e == cudaSuccess)
		return true;
	if (d->status == ACE_OK)
		d->status = ace_fail(e == cudaErrorMemoryAllocation ? ACE_ENOMEM : ACE_EDEVICE, "device cuda:%d: %s: %s",
		                     d->cuda->number, what, cudaGetErrorString(e));
	return false;
}

bool
cuda_wait(struct dev *d, cudaEvent_t e, const char *what)
{
	static const double every = 2e-3;
	double from = clock_now(), asked = from;
	cudaError_t r;

	if (!d->waits)
		return cuda_ok(d, cudaEventSynchronize(e), what);
	while ((r = cudaEventQuery(e)) == cudaErrorNotReady) {
		double now = clock_now();
		enum status st = now - asked > every ? d->waits(d->waits_me, now - from) : ACE_OK;
		(void)cudaGetLastError();		/* that it is not ready is no error to those who look for one */
		if (now - asked > every)
			asked = now;
		if (st != ACE_OK) {
			if (d->status == ACE_OK)
				d->status = st;
			return false;
		}
		sched_yield();
	}
	return cuda_ok(d, r, what);
}

bool
cuda_wait_stream(struct dev *d, cudaStream_t s, const char *what)
{
	if (!d->waits)
		return cuda_ok(d, cudaStreamSynchronize(s), what);
	return cuda_ok(d, cudaEventRecord(d->cuda->waited, s), what) && cuda_wait(d, d->cuda->waited, what);
}

int
cuda_dev_count(void)
{
	int n = 0;

	if (cudaGetDeviceCount(&n) != cudaSuccess) {
		(void)cudaGetLastError();
		return 0;
	}
	return n;
}

static bool
count_block(struct dev *d, void *p, size_t bytes)
{
	struct cuda_dev *c = d->cuda;

	if (c->n_blocks == c->blocks_cap) {
		int cap = c->blocks_cap ? 2 * c->blocks_cap : 64;
		struct cuda_block *more = realloc(c->block, (size_t)cap * sizeof *more);
		if (!more)
			return false;
		c->block = more;
		c->blocks_cap = cap;
	}
	c->block[c->n_blocks++] = (struct cuda_block){ p, bytes };
	d->bytes += bytes;
	if (d->bytes > d->peak)
		d->peak = d->bytes;
	return true;
}

static void *
cuda_alloc(struct dev *d, size_t bytes)
{
	void *p = NULL;
	cudaError_t e = cudaMalloc(&p, bytes ? bytes : 1);

	if (e != cudaSuccess) {
		(void)cudaGetLastError();		/* memory that is out leaves the device in order */
		if (e != cudaErrorMemoryAllocation)
			cuda_ok(d, e, "memory");
		return NULL;
	}
	if (count_block(d, p, bytes))
		return p;
	cuda_ok(d, cudaFree(p), "free");
	return NULL;
}

static void
cuda_release(struct dev *d, void *p)
{
	struct cuda_dev *c = d->cuda;

	if (!p)
		return;
	for (int i = c->n_blocks - 1; i >= 0; i--)
		if (c->block[i].data == p) {
			d->bytes -= c->block[i].bytes;
			c->block[i] = c->block[--c->n_blocks];
			break;
		}
	cuda_ok(d, cudaFree(p), "free");
}

/* Memory that is not pinned goes through two buffers in turn. What is the device's to read may be the host's (dev_alloc_far): the
 * driver knows from the address. */
static void
cuda_upload(struct dev *d, void *to, const void *from, size_t bytes)
{
	struct cuda_dev *c = d->cuda;

	for (size_t at = 0, i = 0; at < bytes && d->status == ACE_OK; i++) {
		size_t n = bytes - at < STAGING ? bytes - at : STAGING;
		if (!cuda_wait(d, c->staged[i % 2], "copy to the device"))
			return;
		memcpy(c->staging[i % 2], (const char *)from + at, n);
		cuda_ok(d, cudaMemcpyAsync((char *)to + at, c->staging[i % 2], n, cudaMemcpyDefault, c->stream),
		        "copy to the device");
		cuda_ok(d, cudaEventRecord(c->staged[i % 2], c->stream), "copy to the device");
		at += n;
	}
}

static void
cuda_download(struct dev *d, void *to, const void *from, size_t bytes)
{
	struct cuda_dev *c = d->cuda;

	for (size_t at = 0; at < bytes && d->status == ACE_OK;) {
		size_t n = bytes - at < STAGING ? bytes - at : STAGING;
		if (!cuda_wait(d, c->staged[0], "copy from the device"))
			return;
		cuda_ok(d, cudaMemcpyAsync(c->staging[0], (const char *)from + at, n, cudaMemcpyDefault, c->stream),
		        "copy from the device");
		if (!cuda_wait_stream(d, c->stream, "copy from the device"))
			return;
		memcpy((char *)to + at, c->staging[0], n);
		at += n;
	}
}

static void
cuda_upload_later(struct dev *d, void *to, const void *from, size_t bytes)
{
	cuda_ok(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, d->cuda->stream), "copy to the device");
}

static void
cuda_download_later(struct dev *d, void *to, const void *from, size_t bytes)
{
	cuda_ok(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, d->cuda->stream), "copy from the device");
}

static void *
cuda_pinned(struct dev *d, size_t bytes)
{
	void *p = NULL;

	(void)d;
	if (cudaHostAlloc(&p, bytes ? bytes : 1, cudaHostAllocDefault) == cudaSuccess)
		return p;
	(void)cudaGetLastError();
	return NULL;
}

static void
cuda_unpin(struct dev *d, void *p)
{
	if (p)
		cuda_ok(d, cudaFreeHost(p), "free");
}

static void
cuda_sync(struct dev *d)
{
	(void)cuda_wait_stream(d, d->cuda->stream, "kernels");
}

static const struct dev_ops cuda_ops = { cuda_alloc, cuda_release, cuda_upload, cuda_download, cuda_upload_later,
	cuda_download_later, cuda_pinned, cuda_unpin, cuda_sync };

void *
cuda_scratch(struct dev *d, size_t bytes)
{
	struct cuda_dev *c = d->cuda;
	char *old = c->scratch;

	if (bytes <= c->scratch_bytes)
		return c->scratch;
	if (c->recording) {
		if (d->status == ACE_OK)
			d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: work space of %zu bytes asked for while recording, %zu were had",
			                     c->number, bytes, c->scratch_bytes);
		return NULL;
	}
	bytes = bytes > 2 * c->scratch_bytes ? bytes : 2 * c->scratch_bytes;
	bytes = (bytes + (1u << 20) - 1) >> 20 << 20;
	cuda_sync(d);
	cuda_release(d, old);
	c->scratch_bytes = 0;
	c->scratch = NULL;
	c->moved++;
	if (d->status != ACE_OK)
		return NULL;
	enum status st = dev_alloc(d, bytes, "work space", (void **)&c->scratch);
	if (st != ACE_OK)
		d->status = st;
	else
		c->scratch_bytes = bytes;
	return c->scratch;
}

void
cuda_side(struct dev *d, bool on)
{
	struct cuda_dev *c = d->cuda;

	if (on) {
		cuda_ok(d, cudaEventRecord(c->forked, c->stream), "fork");
		cuda_ok(d, cudaStreamWaitEvent(c->side, c->forked, 0), "fork");
	}
	c->now = on ? c->side : c->stream;
	c->apart = true;
}

void
cuda_join(struct dev *d)
{
	struct cuda_dev *c = d->cuda;

	if (!c->apart)
		return;
	cuda_ok(d, cudaEventRecord(c->joined, c->side), "join");
	cuda_ok(d, cudaStreamWaitEvent(c->stream, c->joined, 0), "join");
	c->apart = false;
}

cudaStream_t
cuda_fork(struct dev *d)
{
	struct cuda_dev *c = d->cuda;

	cuda_ok(d, cudaEventRecord(c->parted, c->stream), "fork");
	cuda_ok(d, cudaStreamWaitEvent(c->beside, c->parted, 0), "fork");
	return c->beside;
}

void
cuda_meet(struct dev *d)
{
	struct cuda_dev *c = d->cuda;

	cuda_ok(d, cudaEventRecord(c->met, c->beside), "join");
	cuda_ok(d, cudaStreamWaitEvent(c->stream, c->met, 0), "join");
}

void
cuda_pair(struct dev *d, int piece)
{
	struct cuda_dev *c = d->cuda;

	if (c->now == c->side)
		return;
	if (piece == 1)
		c->now = cuda_fork(d);
	else
		c->now = c->stream;
	if (piece == 0)
		cuda_meet(d);
}

bool
cuda_memory(struct dev *d, size_t *there, size_t *all)
{
	return cuda_ok(d, cudaMemGetInfo(there, all), "memory");
}

void
cuda_ahead(struct dev *d, void *to, const void *from, size_t bytes)
{
	struct cuda_dev *c = d->cuda;

	cuda_ok(d, cudaStreamWaitEvent(c->ahead, c->used, 0), "copy ahead");
	cuda_ok(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, c->ahead), "copy ahead");
	cuda_ok(d, cudaEventRecord(c->copied, c->ahead), "copy ahead");
}

void
cuda_ahead_join(struct dev *d)
{
	cuda_ok(d, cudaStreamWaitEvent(d->cuda->stream, d->cuda->copied, 0), "copy ahead");
}

void
cuda_ahead_used(struct dev *d)
{
	cuda_ok(d, cudaEventRecord(d->cuda->used, d->cuda->stream), "copy ahead");
}

void
cuda_ahead_wait(struct dev *d)
{
	(void)cuda_wait(d, d->cuda->copied, "copy ahead");
}

static bool
open_parts(struct dev *d)
{
	struct cuda_dev *c = d->cuda;
	int shared = 0, major = 0, minor = 0, least = 0, first = 0;

	if (!cuda_ok(d, cudaSetDevice(c->number), "open") ||
	    !cuda_ok(d, cudaDeviceGetAttribute(&c->processors, cudaDevAttrMultiProcessorCount, c->number), "open") ||
	    !cuda_ok(d, cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, c->number), "open") ||
	    !cuda_ok(d, cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, c->number), "open") ||
	    !cuda_ok(d, cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, c->number), "open"))
		return false;
	c->shared = (size_t)shared;
	c->arch = 10 * major + minor;
	if (c->arch < 80) {
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d has compute capability %d.%d, 8.0 is the least", c->number, major, minor);
		return false;
	}
	for (int i = 0; i < 2; i++)
		if (!cuda_ok(d, cudaHostAlloc((void **)&c->staging[i], STAGING, cudaHostAllocDefault), "pinned memory") ||
		    !cuda_ok(d, cudaEventCreateWithFlags(&c->staged[i], cudaEventDisableTiming), "open"))
			return false;
	if (!cuda_ok(d, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "open"))
		return false;
	c->now = c->stream;
	return cuda_ok(d, cudaDeviceGetStreamPriorityRange(&least, &first), "open") &&
	       cuda_ok(d, cudaStreamCreateWithPriority(&c->beside, cudaStreamNonBlocking, first), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->parted, cudaEventDisableTiming), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->met, cudaEventDisableTiming), "open") &&
	       cuda_ok(d, cudaStreamCreateWithFlags(&c->side, cudaStreamNonBlocking), "open") &&
	       cuda_ok(d, cudaStreamCreateWithFlags(&c->ahead, cudaStreamNonBlocking), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->copied, cudaEventDisableTiming), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->waited, cudaEventDisableTiming), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->used, cudaEventDisableTiming), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->forked, cudaEventDisableTiming), "open") &&
	       cuda_ok(d, cudaEventCreateWithFlags(&c->joined, cudaEventDisableTiming), "open");
}

enum status
cuda_dev_open(struct dev *d, int number)
{
	enum status st;
	int n = 0;
	cudaError_t e = cudaGetDeviceCount(&n);

	if (e != cudaSuccess) {
		(void)cudaGetLastError();
		return ace_fail(ACE_EDEVICE, "no device cuda:%d: %s", number, cudaGetErrorString(e));
	}
	if (number < 0 || number >= n)
		return ace_fail(ACE_EDEVICE, "no device cuda:%d: %d are there", number, n);
	d->cuda = calloc(1, sizeof *d->cuda);
	if (!d->cuda)
		return ace_fail(ACE_ENOMEM, "no memory for device cuda:%d", number);
	d->cuda->number = number;
	d->m = &cuda_ops;
	if (open_parts(d))
		return ACE_OK;
	st = d->status;
	cuda_dev_close(d);
	return st;
}

/* What was never made is NULL and left alone. Errors no longer matter. */
void
cuda_dev_close(struct dev *d)
{
	struct cuda_dev *c = d->cuda;

	if (c->lt_close)
		c->lt_close(d);
	if (c->cudnn_close)
		c->cudnn_close(d);
	if (c->stream)
		(void)cudaStreamSynchronize(c->stream);
	cuda_keep_close(d);
	if (c->scratch)
		cuda_release(d, c->scratch);
	for (int i = 0; i < 2; i++) {
		if (c->staging[i])
			(void)cudaFreeHost(c->staging[i]);
		if (c->staged[i])
			(void)cudaEventDestroy(c->staged[i]);
	}
	cudaEvent_t event[] = { c->forked, c->joined, c->parted, c->met, c->copied, c->used, c->waited };
	for (size_t i = 0; i < sizeof event / sizeof *event; i++)
		if (event[i])
			(void)cudaEventDestroy(event[i]);
	cudaStream_t stream[] = { c->ahead, c->side, c->beside, c->stream };
	for (size_t i = 0; i < sizeof stream / sizeof *stream; i++)
		if (stream[i])
			(void)cudaStreamDestroy(stream[i]);
	free(c->block);
	free(c);
	d->cuda = NULL;
}
