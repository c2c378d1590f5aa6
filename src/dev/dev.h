/* SPDX-License-Identifier: Apache-2.0 */
/* dev.h - a device: what it can compute, and its memory
 *
 * ref and cpu work on host memory at once; dry works on none and runs nothing; cuda works on its own memory, in the order of
 * the calls but later than they return. A device that fails stays failed (status), as ferror does, and is asked once a step. */
#ifndef ACE_DEV_DEV_H
#define ACE_DEV_DEV_H

#include "base/status.h"
#include "num/tensor.h"

#include <stdbool.h>

struct kernels;
struct dev;
struct cuda_dev;

enum dev_kind { DEV_REF, DEV_CPU, DEV_DRY, DEV_CUDA };

struct dev_ops {
	void *(*alloc)(struct dev *d, size_t bytes);		/* NULL: memory is out. 256-byte aligned; see dev_alloc */
	void (*free)(struct dev *d, void *p);
	void (*upload)(struct dev *d, void *to, const void *from, size_t bytes);	/* host -> device; done on return */
	void (*download)(struct dev *d, void *to, const void *from, size_t bytes);	/* device -> host; done on return */
	/* The same in order with the kernels, without waiting: host memory is of pinned and stays untouched until sync. */
	void (*upload_later)(struct dev *d, void *to, const void *from, size_t bytes);
	void (*download_later)(struct dev *d, void *to, const void *from, size_t bytes);
	void *(*pinned)(struct dev *d, size_t bytes);		/* host memory that the device reads itself; NULL: out */
	void (*unpin)(struct dev *d, void *p);
	void (*sync)(struct dev *d);				/* wait for all that was asked for; failures show in status */
};

struct dev {
	enum dev_kind kind;
	const struct kernels *k;
	const struct dev_ops *m;
	enum status status;		/* first failure, kept */
	enum dev_kind as;		/* dry: which device is measured, DEV_CPU unless set before its first use */
	bool tf32;			/* cuda: products of F32, attentions' too, take their factors in TF32 (11 bits), as set before the first */
	int threads;			/* cpu: threads to use, >= 1; results do not depend on it */
	double flops;			/* dry: floating point operations of the products so far */
	int64_t calls;			/* dry: kernels called so far */
	void (*on_call)(struct dev *d, const char *kernel);	/* dry: NULL, or told of each call in order */
	void *me;			/* on_call's */
	size_t scratch_bytes;		/* cpu: work space of the kernels, owned by the device; dry: what it would be on a cpu */
	char *scratch;
	size_t bytes, peak;		/* cuda, and dry as cuda: asked of the device now, and at most so far (context and code
					 * not counted) */
	/* cuda: NULL, or asked every now and then while the host waits for the device, for so many seconds by then; what is not
	 * ACE_OK ends the wait and is the device's status. */
	enum status (*waits)(void *waits_me, double seconds);
	void *waits_me;
	struct cuda_dev *cuda;		/* dev/cuda.h; NULL on the others */
};

/* Open one; kernels_attach gives it its kernels. number: ref, cpu and dry: threads, 0: OMP_NUM_THREADS, else the affinity
 * mask; cuda: which device, from 0. ACE_EDEVICE when it is not there or not built in. */
enum status dev_open(struct dev *d, enum dev_kind kind, int number) ACE_NODISCARD;
void dev_close(struct dev *d);

/* Which one of the cuda devices it is; 0 for others. */
int dev_number(const struct dev *d);

/* Cuda devices at hand: 0 without a driver, and in builds without CUDA. */
int dev_cuda_count(void);

/* Memory for what, named in the message when it is out: ACE_ENOMEM says how much was wanted and what was there. On the dry
 * device *p is NULL; measuring a cuda device it is a mark that only free may use. */
enum status dev_alloc(struct dev *d, size_t bytes, const char *what, void **p) ACE_NODISCARD;

/* The same in the host's memory where the device is a cuda one, which reads and writes it itself, over the bus; freed by m->unpin. Others have
 * one memory, and measuring a cuda device it is not counted. */
enum status dev_alloc_far(struct dev *d, size_t bytes, const char *what, void **p) ACE_NODISCARD;

static inline bool
dev_is_dry(const struct dev *d)
{
	return d->kind == DEV_DRY;
}

/* The kind whose layout of memory holds: the device's own, or the one that is measured. */
static inline enum dev_kind
dev_like(const struct dev *d)
{
	return d->kind == DEV_DRY ? d->as : d->kind;
}

/* Bytes of a cuda device that are free, and all; false on others. */
bool dev_memory(struct dev *d, size_t *there, size_t *all);

/* Whether the host may read and write the device's memory. */
static inline bool
dev_is_host(const struct dev *d)
{
	return d->kind == DEV_REF || d->kind == DEV_CPU;
}

/* Between dev_side(d, true) and dev_side(d, false) a cuda device is asked for work that may go on beside what is asked for
 * after it, until dev_join: it sees all that was asked for before. Its kernels must need no work space. Others run at once. */
void dev_side(struct dev *d, bool on);
void dev_join(struct dev *d);

/* Two pieces of work that do not need one another, on a cuda device side by side: dev_pair(d, 1) before the first, which must need no
 * work space, dev_pair(d, 2) before the second, dev_pair(d, 0) behind both. On the side they follow one another. */
void dev_pair(struct dev *d, int piece);

/* A recorded sequence of launches (cuda): between begin and end kernels are noted, not run; launch runs them all, in order with
 * what else is asked of the device. Work space must have its final size: run the sequence once before. A device that
 * cannot (the others): begin gives ACE_EDEVICE. ACE_EDEVICE from launch: record again (work space has moved since). */
struct dev_graph;
enum status dev_graph_begin(struct dev *d) ACE_NODISCARD;
enum status dev_graph_end(struct dev *d, struct dev_graph **g) ACE_NODISCARD;
enum status dev_graph_launch(struct dev *d, struct dev_graph *g) ACE_NODISCARD;
void dev_graph_free(struct dev *d, struct dev_graph *g);

/* Work space of the kernels (cuda), at least so large from here on: recorded sequences then stay good. */
void dev_reserve(struct dev *d, size_t bytes);

/* Whether g is stale: launch would refuse it. */
bool dev_graph_is_stale(const struct dev *d, const struct dev_graph *g);

/* From pinned memory to the device beside its kernels (cuda: on a stream of its own), one such copy at a time:
 *
 *   dev_ahead       once what was asked for up to the last dev_ahead_used is through, copy
 *   dev_ahead_join  what is asked for from here on comes after the copy
 *   dev_ahead_used  the last reader of the copy's place has been asked for
 *   dev_ahead_wait  the host waits for the copy: pinned memory may be written again
 *
 * Others copy at once. */
void dev_ahead(struct dev *d, void *to, const void *from, size_t bytes);
void dev_ahead_join(struct dev *d);
void dev_ahead_used(struct dev *d);
void dev_ahead_wait(struct dev *d);

/* m->download of much memory, to a host that waits for it at dev_keep_end alone: what is asked of the device behind it may change or free what
 * it reads, what it writes is there after the end, unless status says that the device has failed. */
void dev_keep(struct dev *d, void *to, const void *from, size_t bytes);
void dev_keep_end(struct dev *d);

/* Points in the order of the device's work; the others take the clock. */
struct dev_event;
enum status dev_event_open(struct dev *d, struct dev_event **e) ACE_NODISCARD;
void dev_event_close(struct dev *d, struct dev_event *e);
void dev_event_record(struct dev *d, struct dev_event *e);
void dev_event_wait(struct dev *d, struct dev_event *e);			/* the host waits until it has passed */
double dev_event_ms(struct dev *d, struct dev_event *from, struct dev_event *to);	/* both passed */
#endif
