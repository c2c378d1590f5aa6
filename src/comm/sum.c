/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over ranks, in the order of the ranks: the same bits whenever the parts arrive. */
#include "comm/comm_parts.h"

#include <assert.h>

enum { CHUNK = 1024 };			/* numbers that stay in the nearest cache */

bool
sum_knows(enum dtype t)
{
	return t == F32 || t == F64 || t == I64 || t == BF16;
}

/* acc [n] = acc (+, max, min) x; where one of the two is a NaN, so is the result. */
#define JOIN(NAME, TYPE)                                                                \
	static void NAME(TYPE *restrict acc, const TYPE *restrict x, int64_t n, enum comm_sum sum) \
	{                                                                               \
		switch (sum) {                                                          \
		case COMM_SUM:                                                          \
			_Pragma("omp simd") for (int64_t i = 0; i < n; i++)             \
				acc[i] += x[i];                                         \
			break;                                                          \
		case COMM_MAX:                                                          \
			_Pragma("omp simd") for (int64_t i = 0; i < n; i++)             \
				acc[i] = x[i] > acc[i] || x[i] != x[i] ? x[i] : acc[i]; \
			break;                                                          \
		case COMM_MIN:                                                          \
			_Pragma("omp simd") for (int64_t i = 0; i < n; i++)             \
				acc[i] = x[i] < acc[i] || x[i] != x[i] ? x[i] : acc[i]; \
			break;                                                          \
		}                                                                       \
	}
JOIN(join_f32, float)
JOIN(join_f64, double)

static void
join_i64(int64_t *restrict acc, const int64_t *restrict x, int64_t n, enum comm_sum sum)
{
	for (int64_t i = 0; i < n; i++)
		switch (sum) {
		case COMM_SUM: acc[i] = (int64_t)((uint64_t)acc[i] + (uint64_t)x[i]); break;
		case COMM_MAX: acc[i] = x[i] > acc[i] ? x[i] : acc[i]; break;
		case COMM_MIN: acc[i] = x[i] < acc[i] ? x[i] : acc[i]; break;
		}
}

/* One chunk of every source; out may be a source, so it is written last. */
#define CHUNKS(NAME, TYPE, JOIN_TYPE)                                                               \
	static void NAME(TYPE *out, const void *const *from, int sources, int64_t n, enum comm_sum sum) \
	{                                                                                           \
		TYPE acc[CHUNK];                                                                    \
		for (int64_t at = 0; at < n; at += CHUNK) {                                         \
			int64_t m = n - at < CHUNK ? n - at : CHUNK;                                \
			memcpy(acc, (const TYPE *)from[0] + at, (size_t)m * sizeof *acc);           \
			for (int r = 1; r < sources; r++)                                           \
				JOIN_TYPE(acc, (const TYPE *)from[r] + at, m, sum);                 \
			memcpy(out + at, acc, (size_t)m * sizeof *acc);                             \
		}                                                                                   \
	}
CHUNKS(chunks_f32, float, join_f32)
CHUNKS(chunks_f64, double, join_f64)
CHUNKS(chunks_i64, int64_t, join_i64)

static void
chunks_bf16(uint16_t *out, const void *const *from, int sources, int64_t n, enum comm_sum sum)
{
	float acc[CHUNK], x[CHUNK];

	for (int64_t at = 0; at < n; at += CHUNK) {
		int64_t m = n - at < CHUNK ? n - at : CHUNK;
		for (int r = 0; r < sources; r++) {
			const uint16_t *p = (const uint16_t *)from[r] + at;
			float *to = r ? x : acc;
#pragma omp simd
			for (int64_t i = 0; i < m; i++)
				to[i] = bf16_to_f32(p[i]);
			if (r)
				join_f32(acc, x, m, sum);
		}
#pragma omp simd
		for (int64_t i = 0; i < m; i++)
			out[at + i] = f32_to_bf16(acc[i]);
	}
}

void
sum_sources(void *out, const void *const *from, int sources, int64_t n, enum dtype t, enum comm_sum sum)
{
	assert(sources > 0 && n >= 0 && sum_knows(t));
	if (t == F32)
		chunks_f32(out, from, sources, n, sum);
	else if (t == F64)
		chunks_f64(out, from, sources, n, sum);
	else if (t == I64)
		chunks_i64(out, from, sources, n, sum);
	else
		chunks_bf16(out, from, sources, n, sum);
}
