/* SPDX-License-Identifier: Apache-2.0 */
/* ranks.h - a test program that every rank runs: the group of all, and numbers that each rank can know of each */
#ifndef ACE_TESTS_COMM_RANKS_H
#define ACE_TESTS_COMM_RANKS_H

#include "comm/comm.h"
#include "num/rng.h"

#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct comm *world;

static int
open_world(void **state)
{
	(void)state;
	assert_ok(comm_open(&world, 60.));
	return 0;
}

static int
close_world(void **state)
{
	(void)state;
	assert_ok(comm_close(&world, ACE_OK));
	assert_null(world);
	return 0;
}

/* Number i of what rank r has in test t; sums of them round. */
static inline float
value(int t, int r, int64_t i)
{
	uint32_t h = ((uint32_t)i * 2654435761u) ^ ((uint32_t)r * 40503u + (uint32_t)t * 7919u);

	h = (h ^ h >> 15) * 2246822519u;
	return (float)(int32_t)(h ^ h >> 13) * 0x1p-30f;
}

/* Ranks come at different times, in another order for each t. */
static inline void
be_late(const struct comm *c, int t)
{
	usleep((useconds_t)rng_below(rng_stream(77, RNG_TEST, (uint64_t)t, (uint64_t)c->rank), 0, 3) * 3000);
}
#endif
