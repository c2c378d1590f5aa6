/* SPDX-License-Identifier: Apache-2.0 */
/* stores.h - small stores of random numbers, so that training can be tried without audio and encoders */
#ifndef ACE_TESTS_SUPPORT_STORES_H
#define ACE_TESTS_SUPPORT_STORES_H

#include "num/dtype.h"

#include <stdint.h>

struct stores_options {
	int clips, captions;		/* captions: of each clip */
	int64_t channels, rows, frames;	/* of the latents; clip i has frames + i % 3 * vary */
	int64_t vary;			/* other lengths lie in other buckets */
	int64_t text_width, text_rows;	/* caption j has 1 + j % text_rows rows */
	int lyrics;			/* clip i has 1 + i % lyrics ids; every fourth clip has none */
	int32_t lyric_vocab;
	enum dtype dtype;
	uint64_t seed;
	const char *autoencoder;	/* what the latents are said to be made with; NULL: nothing is said */
};

/* Fill FOLDER/latents and FOLDER/texts, and write FOLDER/multidatabackend.json, whose path is returned (owned by the
 * caller, free). The empty caption is in the store. Fails the running test when it cannot. */
char *stores_make(const char *folder, const struct stores_options *o);
#endif
