/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

static float
number(struct tensor x, int64_t i)
{
	if (x.dtype == BF16)
		return bf16_to_f32(((const uint16_t *)x.data)[i]);
	return x.dtype == F16 ? f16_to_f32(((const uint16_t *)x.data)[i]) : ((const float *)x.data)[i];
}

static void
put(struct tensor x, int64_t i, float v)
{
	if (x.dtype == F32)
		((float *)x.data)[i] = v;
	else
		((uint16_t *)x.data)[i] = x.dtype == BF16 ? f32_to_bf16(v) : f32_to_f16(v);
}

static float
rounded(float v, enum dtype t)
{
	if (t == BF16)
		return bf16_to_f32(f32_to_bf16(v));
	return t == F16 ? f16_to_f32(f32_to_f16(v)) : v;
}

void
ref_quantize4(struct dev *d, struct tensor q, struct tensor scale, struct tensor w)
{
	int64_t rows = tensor_rows(w), width = tensor_cols(w), groups = scale.dim[2], group = width / groups;
	uint8_t *pairs = q.data;

	(void)d;
	for (int64_t n = 0; n < rows; n++)
		for (int64_t g = 0; g < groups; g++) {
			int64_t from = n * width + g * group;
			float low = INFINITY, high = -INFINITY, s;
			for (int64_t i = from; i < from + group; i++) {
				low = fminf(low, number(w, i));
				high = fmaxf(high, number(w, i));
			}
			s = rounded(rounded(high - low, w.dtype) / 15.f, w.dtype);
			put(scale, 2 * n * groups + g, s);
			put(scale, (2 * n + 1) * groups + g, -low);
			for (int64_t i = from; i < from + group; i++) {
				float v = s == 0.f ? 0.f : rintf(rounded(rounded(number(w, i) - low, w.dtype) / s, w.dtype));
				int four = (int)fminf(fmaxf(v, 0.f), 15.f);
				pairs[i / 2] = (uint8_t)(i % 2 ? (pairs[i / 2] & 15) | four << 4 : four);
			}
		}
}

void
ref_dequantize4(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	int64_t rows = tensor_rows(q), width = tensor_cols(q), groups = scale.dim[2], group = width / groups, ld = tensor_ld(w);
	const uint8_t *pairs = q.data;

	(void)d;
	for (int64_t n = 0; n < rows; n++) {
		for (int64_t c = 0; c < width; c++) {
			int64_t i = n * width + c, g = c / group;
			float four = (float)(pairs[i / 2] >> i % 2 * 4 & 15);
			float s = number(scale, 2 * n * groups + g), shift = number(scale, (2 * n + 1) * groups + g);
			put(w, n * ld + c, rounded(s * four, w.dtype) - shift);
		}
		for (int64_t c = 0; right.rank && c < tensor_cols(right); c++)
			put(w, n * ld + width + c, number(right, n * tensor_ld(right) + c));
	}
	for (int64_t n = 0; below.rank && n < tensor_rows(below); n++)
		for (int64_t c = 0; c < width; c++)
			put(w, (rows + n) * ld + c, number(below, n * tensor_ld(below) + c));
}
