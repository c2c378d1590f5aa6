/* SPDX-License-Identifier: Apache-2.0 */
/* optim_formula.h - what an update does to one number (training.md section 4), for all twins alike
 *
 * Float32 arithmetic in this order, fused only where it says fmaf: the twins give the same bits. n is numbers, by
 * optim_number. */
#ifndef ACE_KERNELS_OPTIM_FORMULA_H
#define ACE_KERNELS_OPTIM_FORMULA_H

#include "kernels/formula.h"
#include "kernels/optim_numbers.h"
#include "num/rng.h"

#include <math.h>
#include <stdbool.h>

/* The gradient as a rule sees it; what is not a number stays so. */
ACE_INLINE float
limited(float g, float factor, float bound)
{
	g *= factor;
	g = g > bound ? bound : g;
	return g < -bound ? -bound : g;
}

/* From a to b by w, exact at both ends; one rounding behind the difference, as the reference's lerp. */
ACE_INLINE float
between(float a, float b, float w)
{
	return w < 0.5f ? fmaf(w, b - a, a) : fmaf(w - 1.f, b - a, b);
}

/* v keeps b2 of itself and takes in g^2. */
ACE_INLINE float
second_moment(float v, float g, const float *n)
{
	return v * n[NUMBER_KEEP2] + n[NUMBER_G2] * g * g;
}

ACE_INLINE float
adamw_moved(float p, float m, float v, const float *n)
{
	return p * n[NUMBER_DECAY] - n[NUMBER_STEP] * m / (sqrtf(v) / n[NUMBER_ROOT] + n[NUMBER_EPS]);
}

ACE_INLINE void
adamw_moments(float p, float g, float *m, float *v, const float *n)
{
	g += n[NUMBER_L2] * p;
	*m = between(*m, g, n[NUMBER_G1]);
	*v = second_moment(*v, g, n);
}

ACE_INLINE float
adamw_number(float p, float g, float *m, float *v, const float *n)
{
	adamw_moments(p, g, m, v, n);
	return adamw_moved(p, *m, *v, n);
}

/* x as one of its two bf16 neighbours, by chance: word is 16 random bits. What is not finite is rounded as usual. */
ACE_INLINE uint16_t
bf16_by_chance(float x, uint16_t word)
{
	uint32_t u;

	memcpy(&u, &x, 4);
	return (u & 0x7f800000u) == 0x7f800000u ? f32_to_bf16(x) : (uint16_t)((u + word) >> 16);
}

#ifndef __CUDACC__
/* Word i of a stream: eight come from a block. */
static inline uint16_t
rounding_word(struct rng r, uint64_t i)
{
	return (uint16_t)(rng_u32(r, i / 2) >> 16 * (i & 1));
}
#endif

ACE_INLINE void
adamw_moments_by_chance(float g, float *m, float *v, const float *n)
{
	*m = n[NUMBER_KEEP1] * *m + n[NUMBER_G1] * g;
	*v = second_moment(*v, g, n);
}

/* bf16 weight and moments; the update is computed in float32 from what was stored, with moments before they are rounded. */
ACE_INLINE uint16_t
adamw_number_by_chance(uint16_t p, float g, uint16_t *m, uint16_t *v, uint16_t word, const float *n)
{
	float m32 = bf16_to_f32(*m), v32 = bf16_to_f32(*v);

	adamw_moments_by_chance(g, &m32, &v32, n);
	*m = f32_to_bf16(m32);
	*v = f32_to_bf16(v32);
	return bf16_by_chance(adamw_moved(bf16_to_f32(p), m32, v32, n), word);
}

/* p + c with what bf16 loses kept in c (W. Kahan, Further remarks on reducing truncation errors, 1965). */
ACE_INLINE float
compensated(float p, float *c)
{
	float y = bf16_round(p + *c);

	*c = bf16_round(*c + bf16_round(p - y));
	return y;
}

/* All are bf16 numbers, every operation rounds; so does the number that is added (eps; lion: the step), no factor. */
ACE_INLINE float
adamw_number_kahan(float p, float *c, float g, float *m, float *v, const float *n)
{
	float root;

	p = bf16_round(p * n[NUMBER_DECAY]);
	*m = bf16_round(between(*m, g, n[NUMBER_G1]));
	*v = bf16_round(bf16_round(*v * n[NUMBER_KEEP2]) + n[NUMBER_G2] * g * g);
	root = bf16_round(bf16_round(sqrtf(*v)) + bf16_round(n[NUMBER_EPS]));
	*c = bf16_round(*c - n[NUMBER_STEP] * *m / root);
	return compensated(p, c);
}

ACE_INLINE float
sign_of(float x)
{
	return (float)((x > 0.f) - (x < 0.f));
}

ACE_INLINE float
lion_number(float p, float g, float *m, const float *n)
{
	float u = sign_of(between(*m, g, n[NUMBER_G1]));

	*m = between(*m, g, n[NUMBER_G2]);
	return p * n[NUMBER_DECAY] - n[NUMBER_STEP] * u;
}

ACE_INLINE float
lion_number_kahan(float p, float *c, float g, float *m, const float *n)
{
	float u = sign_of(bf16_round(between(*m, g, n[NUMBER_G1])));

	p = bf16_round(p * n[NUMBER_DECAY]);
	*m = bf16_round(between(*m, g, n[NUMBER_G2]));
	*c = bf16_round(*c - bf16_round(n[NUMBER_STEP]) * u);
	return compensated(p, c);
}

ACE_INLINE float
sgd_number(float p, float g, float *buffer, const float *n)
{
	g += n[NUMBER_L2] * p;
	*buffer = *buffer * n[NUMBER_KEEP2] + n[NUMBER_G2] * g;
	if (n[NUMBER_NESTEROV] != 0.f)
		g += n[NUMBER_KEEP2] * *buffer;
	else
		g = *buffer;
	return p - n[NUMBER_STEP] * g;
}

/* y is trained on, z is the fast point (A. Defazio et al., The Road Less Scheduled, 2024). */
ACE_INLINE float
schedule_free_number(float y, float *z, float g, float *v, const float *n)
{
	float u;

	*v = second_moment(*v, g, n);
	u = g / (sqrtf(*v / n[NUMBER_CORRECT2]) + n[NUMBER_EPS]) + n[NUMBER_L2] * y;
	y = between(y, *z, n[NUMBER_C]) + n[NUMBER_Y] * u;
	*z -= n[NUMBER_STEP] * u;
	return y;
}

/* Prodigy measures on every 11th number how far the weights have come. */
enum { PRODIGY_EVERY = 11 };

/* The root of a second moment from the means of a matrix's rows and columns. With more rows than columns the reference
 * divides the columns' means by themselves, not by their mean. */
ACE_INLINE float
prodigy_factored(float row, float col, float mean_row, bool tall)
{
	return tall ? sqrtf(col / (col + 1e-30f)) * sqrtf(row) : sqrtf(row / (mean_row + 1e-30f)) * sqrtf(col);
}

ACE_INLINE float
prodigy_direction(float g, float root, const float *n)
{
	return n[NUMBER_SCALE] * g / (root + n[NUMBER_SCALE] * n[NUMBER_EPS]);
}

/* What holds an update back, by the sum of its squares. */
ACE_INLINE float
prodigy_shrink(double squares, int64_t count)
{
	float size = (float)sqrt(squares / (double)count);

	return (float)(1 / sqrt(size > 1.f ? (double)size : 1));
}

/* s takes the gradient in; the gradient times the way gone from the start, which the first update keeps. */
ACE_INLINE double
prodigy_along(float g, float y, float z, uint16_t *s, uint16_t *start, const float *n)
{
	if (n[NUMBER_FIRST] != 0.f)
		*start = f32_to_bf16(y);
	*s = f32_to_bf16(bf16_round(bf16_to_f32(*s) * n[NUMBER_KEEP_S]) + n[NUMBER_S] * g);
	return (double)n[NUMBER_S] * (double)g * (double)(bf16_to_f32(*start) - z);
}

ACE_INLINE float
prodigy_number(float y, float *z, float u, const float *n)
{
	y = between(y, *z, n[NUMBER_C]) - n[NUMBER_Y] * u;
	*z -= n[NUMBER_STEP] * u;
	return y;
}

/* The update of 8-bit moments, both corrected; m and v as they were decoded, and out: before they are coded again. */
ACE_INLINE float
adamw_number_codes(float p, float g, float *m, float *v, const float *n)
{
	p -= n[NUMBER_L2] * p;
	*m = between(*m, g, n[NUMBER_G1]);
	*v = between(*v, g * g, n[NUMBER_G2]);
	return p - n[NUMBER_STEP] * (*m / n[NUMBER_CORRECT1]) / (sqrtf(*v) / n[NUMBER_ROOT] + n[NUMBER_EPS]);
}

/* The entry of a sorted table [256] nearest to x: of two, the upper from half way on. */
ACE_INLINE int32_t
nearest_code(const float *table, float x)
{
	int32_t c = 0, above;

	for (int step = 128; step > 0; step /= 2)
		c += step * (table[c + step] <= x);
	above = c < 255 ? c + 1 : c;
	return c < 255 && x - table[c] >= (table[above] - table[c]) * 0.5f ? above : c;
}
#endif
