/* SPDX-License-Identifier: Apache-2.0 */
/* prefetch.h - one thread that reads batches ahead; gives what data_batch gives, in the same order
 *
 * While a prefetch is open the data belongs to its thread: do not call data_batch beside it. */
#ifndef ACE_DATA_PREFETCH_H
#define ACE_DATA_PREFETCH_H

#include "data/batch.h"

enum { PREFETCH_RING = 4 };

struct prefetch;

/* Batches number first, first + stride, ... of epoch, then (first mod stride), ... of the next epoch, and so on for ever.
 * One rank alone: stride 1; rank r of k that goes on at micro step m: first = m k + r, stride k. */
enum status prefetch_open(struct prefetch **p, struct data *d, int64_t epoch, int64_t first, int64_t stride) ACE_NODISCARD;

/* The next batch; borrowed until the next call. b->epoch, b->number say which. At the end of an epoch whose batches do not
 * divide by stride, ranks without a batch get B = 0. *waited, when not NULL: seconds that the caller had to wait. */
enum status prefetch_next(struct prefetch *p, const struct batch **b, double *waited) ACE_NODISCARD;
void prefetch_close(struct prefetch *p);
#endif
