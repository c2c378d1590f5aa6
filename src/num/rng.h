/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h - random numbers from a counter, never from hidden state
 *
 * Philox 4x32-10 (J. Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011). A stream is named by
 * what it is for; the i-th number of a stream is a function of (key, stream, i) alone, so that runs do not
 * depend on rank or thread count and recomputation is exact. */
#ifndef ACE_NUM_RNG_H
#define ACE_NUM_RNG_H

#include <stdint.h>

/* What a stream is for; the numbers are part of what a seed means: append, never reorder. */
enum rng_purpose {
	RNG_TIMESTEP = 1,	/* index: sample id */
	RNG_NOISE,
	RNG_CONDITION,		/* dropping of text, speaker, lyrics */
	RNG_DROPOUT,		/* inside layers; index: layer number */
	RNG_INIT,		/* adapters and random models; index: tensor number */
	RNG_SHUFFLE,		/* sampling order */
	RNG_CAPTION,		/* which caption of several */
	RNG_TRUNCATE,		/* where a long clip is cut */
	RNG_ROUND,		/* stochastic rounding; index: tensor number */
	RNG_ROLLOUT,
	RNG_DATASET,		/* which data set a batch comes from */
	RNG_VALIDATION,
	RNG_TEST,
	RNG_GENERATION,		/* index: 0 where a clip begins, 1 what its steps add, 2 another take */
};

struct rng {
	uint64_t key, stream;
	const uint64_t *base;		/* NULL: a stream as it stands. Else stream is the index below the one that is found there
					 * when numbers are drawn: rng_later */
};

/* The stream of a purpose at a step (0 where none), for one sample, layer or tensor. */
struct rng rng_stream(uint64_t seed, enum rng_purpose purpose, uint64_t step, uint64_t index);

/* A stream below r, for a part of what r is for. */
struct rng rng_sub(struct rng r, uint64_t index);

/* The stream whose key and number will lie at base, in the memory of a cuda device, when its kernels run: a recorded sequence of
 * them draws anew each time. Numbers are drawn from rng_sub of it alone, one level below, by such kernels alone; they are those
 * of rng_sub of the stream itself. */
struct rng rng_later(const uint64_t *base);

/* Four words: the block with number block of the stream. */
void rng_block(struct rng r, uint64_t block, uint32_t out[4]);

uint32_t rng_u32(struct rng r, uint64_t i);
float rng_uniform(struct rng r, uint64_t i);		/* [0, 1), 24 bits */
float rng_normal(struct rng r, uint64_t i);		/* mean 0, deviation 1, Box-Muller in double */
uint64_t rng_below(struct rng r, uint64_t i, uint64_t n);	/* 0 .. n-1, n > 0 */
void rng_normal_fill(struct rng r, float *x, int64_t n);

/* The numbers from ... from + n - 1 of a stream at once; from is a multiple of 4. */
void rng_uniform_range(struct rng r, uint64_t from, float *x, int64_t n);
void rng_normal_range(struct rng r, uint64_t from, float *x, int64_t n);
#endif
