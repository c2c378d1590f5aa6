/* SPDX-License-Identifier: Apache-2.0 */
/* dev.h - a device: what it can compute, and its memory
 *
 * ref and cpu work on host memory at once; dry works on none and runs nothing. A device that fails stays
 * failed (status), as ferror does, and is asked once a step. */
#ifndef ACE_DEV_DEV_H
#define ACE_DEV_DEV_H

#include "base/status.h"
#include "num/tensor.h"

#include <stdbool.h>

struct kernels;
struct dev;

enum dev_kind { DEV_REF, DEV_CPU, DEV_DRY };

struct dev_ops {
	void *(*alloc)(struct dev *d, size_t bytes);		/* NULL: memory is out. 64-byte aligned */
	void (*free)(struct dev *d, void *p);
	void (*upload)(struct dev *d, void *to, const void *from, size_t bytes);	/* host -> device */
	void (*download)(struct dev *d, void *to, const void *from, size_t bytes);	/* device -> host */
};

struct dev {
	enum dev_kind kind;
	const struct kernels *k;
	const struct dev_ops *m;
	enum status status;		/* first failure, kept */
	int threads;			/* cpu: threads to use, >= 1; results do not depend on it */
	double flops;			/* dry: floating point operations of the products so far */
	int64_t calls;			/* dry: kernels called so far */
	void (*on_call)(struct dev *d, const char *kernel);	/* dry: NULL, or told of each call in order */
	void *me;			/* on_call's */
	size_t scratch_bytes;		/* cpu: per-thread work space of the kernels, owned by the device */
	char *scratch;
};

/* Open one: kernels are chosen by kind. threads 0: OMP_NUM_THREADS, else the affinity mask. */
enum status dev_open(struct dev *d, enum dev_kind kind, int threads) ACE_NODISCARD;
void dev_close(struct dev *d);

static inline bool
dev_is_dry(const struct dev *d)
{
	return d->kind == DEV_DRY;
}
#endif
