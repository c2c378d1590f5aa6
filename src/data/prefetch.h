/* SPDX-License-Identifier: Apache-2.0 */
/* prefetch.h - one thread that reads batches ahead; gives what data_batch gives, in the same order
 *
 * While a prefetch is open the data belongs to its thread: do not call data_batch beside it. */
#ifndef ACE_DATA_PREFETCH_H
#define ACE_DATA_PREFETCH_H

#include "data/batch.h"

enum { PREFETCH_RING = 4 };

struct prefetch;

/* Turn after turn: ranks batches of an epoch, from number on, one for each rank, this one's being number + rank; then the next
 * ranks of them, and at the end the first ones of the next epoch, and so on for ever. Alone: rank 0 of 1. number is where any run
 * stopped, whatever its ranks were. */
enum status prefetch_open(struct prefetch **p, struct data *d, int64_t epoch, int64_t number, int rank, int ranks) ACE_NODISCARD;

/* The next batch; borrowed until the next call. b->epoch, b->number say which. In the last turn of an
 * epoch there may be fewer batches than ranks: the others get B = 0. *waited, when not NULL: seconds that the caller had to
 * wait. */
enum status prefetch_next(struct prefetch *p, const struct batch **b, double *waited) ACE_NODISCARD;
void prefetch_close(struct prefetch *p);
#endif
