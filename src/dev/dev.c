/* SPDX-License-Identifier: Apache-2.0 */
#include "dev/dev.h"

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

static void *
dry_alloc(struct dev *d, size_t bytes)
{
	(void)d, (void)bytes;
	return NULL;
}

static void
dry_free(struct dev *d, void *p)
{
	(void)d, (void)p;
}

static void
dry_copy(struct dev *d, void *to, const void *from, size_t bytes)
{
	(void)d, (void)to, (void)from, (void)bytes;
}

static const struct dev_ops host_ops = { host_alloc, host_free, host_copy, host_copy };
static const struct dev_ops dry_ops = { dry_alloc, dry_free, dry_copy, dry_copy };

enum status
dev_open(struct dev *d, enum dev_kind kind, int threads)
{
	*d = (struct dev){ .kind = kind, .m = kind == DEV_DRY ? &dry_ops : &host_ops, .threads = 1 };
#ifdef _OPENMP
	d->threads = omp_get_max_threads();
#endif
	if (threads > 0)
		d->threads = threads;
	if (kind == DEV_REF)
		d->threads = 1;
	return ACE_OK;
}

void
dev_close(struct dev *d)
{
	if (d) {
		free(d->scratch);
		*d = (struct dev){ 0 };
	}
}
