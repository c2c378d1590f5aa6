/* SPDX-License-Identifier: Apache-2.0 */
/* exp.h - exponentials that vectorise: branch-free, to be used inside CPU_CLONES loops
 *
 * exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2, the second factor by its series up to r^7 (remainder 5e-9).
 * Relative error below 2e-7 for -87 <= x <= 88; outside, the value at that end. NaN stays NaN. */
#ifndef ACE_KERNELS_CPU_EXP_H
#define ACE_KERNELS_CPU_EXP_H

#include <stdint.h>
#include <string.h>

static inline float
exp_f32(float x)
{
	const float magic = 12582912.f;		/* 1.5 * 2^23: adding it rounds to a whole number */
	float t, n, r, p, scale;
	uint32_t bits;

	x = x > 88.f ? 88.f : x;
	x = x < -87.f ? -87.f : x;
	t = x * 1.44269504f + magic;
	n = t - magic;
	r = (x - n * 0.693359375f) + n * 2.12194440e-4f;	/* ln 2 in two parts */
	p = 1.f / 5040;
	p = p * r + 1.f / 720;
	p = p * r + 1.f / 120;
	p = p * r + 1.f / 24;
	p = p * r + 1.f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.f;
	p = p * r + 1.f;
	memcpy(&bits, &t, 4);
	bits = (bits + (127u - 0x4b400000u)) << 23;
	memcpy(&scale, &bits, 4);
	return p * scale;
}

static inline float
sigmoid_f32(float x)
{
	return 1.f / (1.f + exp_f32(-x));
}

static inline float
silu_f32(float x)
{
	return x * sigmoid_f32(x);
}

/* d silu / dx */
static inline float
silu_slope_f32(float x)
{
	float s = sigmoid_f32(x);

	return s * (1.f + x * (1.f - s));
}
#endif
