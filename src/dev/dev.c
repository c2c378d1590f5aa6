/* SPDX-License-Identifier: Apache-2.0 */
#include "dev/dev.h"

#ifdef HAVE_CUDA
#include "dev/cuda.h"
#endif
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static void *
host_alloc(struct dev *d, size_t bytes)
{
	(void)d;
	return aligned_alloc(256, (bytes + 255) / 256 * 256 + (bytes == 0) * 256);
}

static void
host_free(struct dev *d, void *p)
{
	(void)d;
	free(p);
}

static void
host_copy(struct dev *d, void *to, const void *from, size_t bytes)
{
	(void)d;
	if (bytes)
		memcpy(to, from, bytes);
}

/* What stands for memory of a cuda device that is measured. */
struct mark {
	size_t bytes;
};

static void *
dry_alloc(struct dev *d, size_t bytes)
{
	struct mark *m = d->as == DEV_CUDA ? malloc(sizeof *m) : NULL;

	if (!m)
		return NULL;
	m->bytes = bytes;
	d->bytes += bytes;
	if (d->bytes > d->peak)
		d->peak = d->bytes;
	return m;
}

static void
dry_free(struct dev *d, void *p)
{
	struct mark *m = p;

	if (m)
		d->bytes -= m->bytes;
	free(m);
}

static void
dry_copy(struct dev *d, void *to, const void *from, size_t bytes)
{
	(void)d, (void)to, (void)from, (void)bytes;
}

static void
no_wait(struct dev *d)
{
	(void)d;
}

static const struct dev_ops host_ops = { host_alloc, host_free, host_copy, host_copy, host_copy, host_copy, host_alloc, host_free,
	no_wait };
static const struct dev_ops dry_ops = { dry_alloc, dry_free, dry_copy, dry_copy, dry_copy, dry_copy, host_alloc, host_free,
	no_wait };

#ifndef HAVE_CUDA
static enum status
cuda_dev_open(struct dev *d, int number)
{
	(void)d;
	return ace_fail(ACE_EDEVICE, "no device cuda:%d: this build is without CUDA", number);
}

static void
cuda_dev_close(struct dev *d)
{
	(void)d;
}

static int
cuda_dev_count(void)
{
	return 0;
}
#endif

int
dev_cuda_count(void)
{
	return cuda_dev_count();
}

enum status
dev_open(struct dev *d, enum dev_kind kind, int number)
{
	*d = (struct dev){ .kind = kind, .as = DEV_CPU, .m = kind == DEV_DRY ? &dry_ops : &host_ops, .threads = 1 };
#ifdef _OPENMP
	d->threads = omp_get_max_threads();
#endif
	if (kind == DEV_CUDA)
		return cuda_dev_open(d, number);
	if (number > 0)
		d->threads = number;
	if (kind == DEV_REF)
		d->threads = 1;
	return ACE_OK;
}

void
dev_close(struct dev *d)
{
	if (d) {
		if (d->cuda)
			cuda_dev_close(d);
		free(d->scratch);
		*d = (struct dev){ 0 };
	}
}

int
dev_number(const struct dev *d)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		return d->cuda->number;
#endif
	(void)d;
	return 0;
}

bool
dev_memory(struct dev *d, size_t *there, size_t *all)
{
#ifdef HAVE_CUDA
	if (d->kind == DEV_CUDA)
		return cuda_memory(d, there, all);
#endif
	(void)d, (void)there, (void)all;
	return false;
}

enum status
dev_alloc(struct dev *d, size_t bytes, const char *what, void **p)
{
	*p = d->m->alloc(d, bytes);
	if (*p || dev_is_dry(d))
		return ACE_OK;
	if (d->status != ACE_OK)
		return d->status;
#ifdef HAVE_CUDA
	size_t there = 0, all = 0;
	if (dev_memory(d, &there, &all))
		return ace_fail(ACE_ENOMEM, "device cuda:%d: no memory for %s: %.1f MiB wanted, %.1f of %.1f MiB free, %.1f in use by us",
		                d->cuda->number, what, (double)bytes / 1048576, (double)there / 1048576, (double)all / 1048576,
		                (double)d->bytes / 1048576);
#endif
	return ace_fail(ACE_ENOMEM, "no memory for %s (%zu bytes)", what, bytes);
}

enum status
dev_alloc_far(struct dev *d, size_t bytes, const char *what, void **p)
{
	*p = dev_is_dry(d) ? NULL : d->m->pinned(d, bytes);
	if (*p || dev_is_dry(d))
		return ACE_OK;
	return ace_fail(ACE_ENOMEM, "no memory of the host for %s: %.1f MiB wanted", what, (double)bytes / 1048576);
}
