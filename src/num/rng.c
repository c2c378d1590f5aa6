/* SPDX-License-Identifier: Apache-2.0 */
#include "num/rng.h"

#include <assert.h>
#include <math.h>

#if defined(_OPENMP) && !defined(__clang__)
#define SIMD _Pragma("omp simd")
#else
#define SIMD
#endif

enum { LANES = 8 };		/* blocks that are computed side by side */

static uint64_t
mix(uint64_t z)			/* the finaliser of SplitMix64 (S. Vigna) */
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct rng
rng_later(const uint64_t *base)
{
	return (struct rng){ .base = base };
}

struct rng
rng_sub(struct rng r, uint64_t index)
{
	if (r.base)
		r.stream = index;
	else
		r.stream = mix(r.stream + 0x9e3779b97f4a7c15u * (index + 1));
	return r;
}

struct rng
rng_stream(uint64_t seed, enum rng_purpose purpose, uint64_t step, uint64_t index)
{
	struct rng r = { .key = mix(seed + 0x9e3779b97f4a7c15u), .stream = (uint64_t)purpose };

	return rng_sub(rng_sub(r, step), index);
}

void
rng_block(struct rng r, uint64_t block, uint32_t out[4])
{
	assert(!r.base);
	uint32_t c[4] = { (uint32_t)block, (uint32_t)(block >> 32), (uint32_t)r.stream, (uint32_t)(r.stream >> 32) };
	uint32_t k0 = (uint32_t)r.key, k1 = (uint32_t)(r.key >> 32);

	for (int i = 0; i < 10; i++) {
		uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
		uint32_t n0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
		c[1] = (uint32_t)b;
		c[3] = (uint32_t)a;
		c[0] = n0;
		c[2] = n2;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	for (int i = 0; i < 4; i++)
		out[i] = c[i];
}

uint32_t
rng_u32(struct rng r, uint64_t i)
{
	uint32_t w[4];

	rng_block(r, i / 4, w);
	return w[i % 4];
}

float
rng_uniform(struct rng r, uint64_t i)
{
	return (float)(rng_u32(r, i) >> 8) * 0x1p-24f;
}

static void
pair(uint32_t a, uint32_t b, float *x, float *y)
{
	double radius = sqrt(-2.0 * log(((double)a + 1.0) * 0x1p-32));
	double angle = 6.283185307179586 * ((double)b * 0x1p-32);

	*x = (float)(radius * cos(angle));
	*y = (float)(radius * sin(angle));
}

float
rng_normal(struct rng r, uint64_t i)
{
	uint32_t w[4];
	float x, y;

	rng_block(r, i / 4, w);
	if (i % 4 < 2)
		pair(w[0], w[1], &x, &y);
	else
		pair(w[2], w[3], &x, &y);
	return i % 2 ? y : x;
}

void
rng_normal_range(struct rng r, uint64_t from, float *x, int64_t n)
{
	assert(from % 4 == 0);
	for (int64_t b = 0; 4 * b < n; b++) {
		uint32_t w[4];
		float v[4];

		rng_block(r, from / 4 + (uint64_t)b, w);
		pair(w[0], w[1], v, v + 1);
		pair(w[2], w[3], v + 2, v + 3);
		for (int64_t i = 4 * b; i < n && i < 4 * b + 4; i++)
			x[i] = v[i - 4 * b];
	}
}

void
rng_normal_fill(struct rng r, float *x, int64_t n)
{
	rng_normal_range(r, 0, x, n);
}

/* rng_block of LANES blocks, word w of lane l in c[w][l]: the compiler's vectors are filled. */
static void
side_by_side(struct rng r, uint64_t block, uint32_t c[4][LANES])
{
	uint32_t k0 = (uint32_t)r.key, k1 = (uint32_t)(r.key >> 32);

	for (int l = 0; l < LANES; l++) {
		c[0][l] = (uint32_t)(block + (uint64_t)l);
		c[1][l] = (uint32_t)((block + (uint64_t)l) >> 32);
		c[2][l] = (uint32_t)r.stream;
		c[3][l] = (uint32_t)(r.stream >> 32);
	}
	for (int i = 0; i < 10; i++) {
		SIMD
		for (int l = 0; l < LANES; l++) {
			uint64_t a = (uint64_t)0xD2511F53u * c[0][l], b = (uint64_t)0xCD9E8D57u * c[2][l];
			uint32_t n0 = (uint32_t)(b >> 32) ^ c[1][l] ^ k0, n2 = (uint32_t)(a >> 32) ^ c[3][l] ^ k1;
			c[1][l] = (uint32_t)b;
			c[3][l] = (uint32_t)a;
			c[0][l] = n0;
			c[2][l] = n2;
		}
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
}

void
rng_uniform_range(struct rng r, uint64_t from, float *x, int64_t n)
{
	uint32_t c[4][LANES];

	assert(from % 4 == 0);
	for (int64_t at = 0; at < n; at += 4 * LANES) {
		int64_t left = n - at < 4 * LANES ? n - at : 4 * LANES;
		side_by_side(r, (from + (uint64_t)at) / 4, c);
		for (int64_t i = 0; i < left; i++)
			x[at + i] = (float)(c[i % 4][i / 4] >> 8) * 0x1p-24f;
	}
}

uint64_t
rng_below(struct rng r, uint64_t i, uint64_t n)
{
	uint64_t v = (uint64_t)rng_u32(r, 2 * i) << 32 | rng_u32(r, 2 * i + 1);

	return (uint64_t)(((unsigned __int128)v * n) >> 64);
}
