/* SPDX-License-Identifier: Apache-2.0 */
/* formula.h - what is done to one number of the objective or of an update, for all twins alike
 *
 * Plain float32 arithmetic, no contraction: the twins give the same bits. */
#ifndef ACE_KERNELS_FORMULA_H
#define ACE_KERNELS_FORMULA_H

#include "kernels/flow_form.h"
#include "num/dtype.h"

#include <math.h>

/* x as a bf16 number. */
ACE_INLINE float
bf16_round(float x)
{
	return bf16_to_f32(f32_to_bf16(x));
}

/* The same when half is set. */
ACE_INLINE float
round_if(bool half, float x)
{
	return half ? bf16_round(x) : x;
}

ACE_INLINE float
flow_mixed(bool half, float x0, float e, float sigma)
{
	float s = round_if(half, sigma), a = round_if(half, s * round_if(half, e));

	return round_if(half, a + round_if(half, round_if(half, 1.f - s) * round_if(half, x0)));
}

/* m times (estimate - data), or m times (velocity - its target). */
ACE_INLINE float
flow_error(bool half, bool velocity, float m, float v, float x, float x0, float e, float sigma)
{
	float s = round_if(half, sigma), y, target = round_if(half, x0);

	v = round_if(half, v);
	if (velocity) {
		y = v;
		target = round_if(half, round_if(half, e) - target);
	} else {
		y = round_if(half, round_if(half, x) - round_if(half, s * v));
	}
	return m * y - m * target;
}

/* The width of a sample's costs. */
ACE_INLINE float
flow_width_at(struct flow_form f, float sigma)
{
	double c = (double)f.c, signal = 1 - (double)sigma;

	if (f.width == FLOW_EXPONENTIAL)
		return (float)pow(c, (double)sigma);
	return f.width == FLOW_SNR ? (float)((1 - c) * signal * signal + c) : f.c;
}

/* h - w loses the digits of small errors; e^2 / (h + w) is the same and keeps them. */
ACE_INLINE double
flow_cost_of(enum flow_cost cost, float error, float width)
{
	double e = (double)error, w = (double)width, square = e * e;

	if (cost == FLOW_L2)
		return square;
	return 2 * (square / (sqrt(square + w * w) + w)) * (cost == FLOW_HUBER ? w : 1);
}

/* Half of what the cost grows by with the error: the error itself where it is squared. */
ACE_INLINE float
flow_pull(enum flow_cost cost, float error, float width)
{
	double e = (double)error, w = (double)width;

	if (cost == FLOW_L2)
		return error;
	return (float)(e / sqrt(e * e + w * w) * (cost == FLOW_HUBER ? w : 1));
}

ACE_INLINE float
flow_slope(bool half, bool velocity, float c, float pull, float m, float sigma)
{
	float g = round_if(half, c * pull * m);

	return velocity ? g : round_if(half, g * -round_if(half, sigma));
}
#endif
