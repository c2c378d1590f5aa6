/* SPDX-License-Identifier: Apache-2.0 */
/* data_parts.h - what the two files behind batch.h share: data_open.c opens and checks, batch.c reads */
#ifndef ACE_DATA_DATA_PARTS_H
#define ACE_DATA_DATA_PARTS_H

#include "data/batch.h"
#include "data/sampler.h"
#include "store/latents.h"
#include "store/texts.h"

/* A text store, shared by the data sets that name it. */
struct data_texts {
	const struct dataset *entry;
	struct texts *texts;
	int64_t empty;			/* the empty caption; -1: not in it */
};

struct data_set {
	const struct dataset *entry;
	struct latents *latents;
	struct data_texts *texts;	/* borrowed */
	int64_t n;			/* clips that take part */
	int64_t *item;			/* [n] their numbers in latents */
	double *bucket;			/* [n] */
	uint64_t *id;			/* [n] */
	int64_t *caption_at;		/* [n + 1] into caption */
	int32_t *caption;		/* numbers in texts */
	int buckets;
	int64_t batches;		/* of an epoch in which the set is active */
};

struct data {
	struct data_options o;
	struct data_set *set;
	struct sampler_set *order;	/* [sets]; points into set */
	struct data_texts *texts;
	int sets, n_texts;
	float *empty;
	int64_t empty_rows;
	struct batch largest;
	uint8_t *mask;			/* [largest.Y] scratch */
	struct sampler_epoch epoch;	/* the last one that was asked for */
	int64_t epoch_number;		/* -1: none yet */
};
#endif
