/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.h - the order in which clips are seen: a function of (seed, epoch, data sets), never of ranks
 * (datasets.md section 6)
 *
 * Per data set the list of (sample, repeat) is shuffled, split by bucket, each bucket cut into batches (the last
 * may be smaller); then one data set a step is drawn by weight until all are exhausted. */
#ifndef ACE_DATA_SAMPLER_H
#define ACE_DATA_SAMPLER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct sampler_set {
	const char *name;		/* borrowed while the sampler is open, as are bucket and id */
	const double *bucket;		/* [n] */
	const uint64_t *id;		/* [n], no two the same: what a sample's place in the order follows from */
	int64_t n, repeats, batch_size;
	double probability;		/* <= 0: never; weighted by n (repeats + 1) unless uniform */
	int64_t start_epoch, end_epoch;	/* from 1; 0: for ever */
};

struct sampler_options {
	uint64_t seed;
	bool uniform, drop_incomplete;
};

struct sampler_batch {
	int set;
	int64_t first;			/* into use */
	int n;
	double bucket;
};

/* One use of a sample. */
struct sampler_use {
	int64_t sample, repeat;
};

struct sampler_epoch {
	struct sampler_batch *batch;
	struct sampler_use *use;
	int64_t batches, uses;
};

/* Whether batches of a set come in that epoch (from 0). */
bool sampler_active(const struct sampler_set *s, int64_t epoch);

/* The whole order of an epoch (from 0); owned by the caller (sampler_epoch_free). With drop_incomplete, a data set
 * of which nothing is left: ACE_ECONFIG, naming it, the bucket and the count. */
enum status sampler_epoch(const struct sampler_set *set, int sets, const struct sampler_options *o, int64_t epoch,
                          struct sampler_epoch *e) ACE_NODISCARD;
void sampler_epoch_free(struct sampler_epoch *e);
#endif
