/* SPDX-License-Identifier: Apache-2.0 */
/* quant4.c - by rows and groups: a table of the sixteen numbers that a group can hold */
#include "kernels/cpu/cpu.h"

enum { PIECE = 16384 };

static float
number(struct tensor x, int64_t i)
{
	return x.dtype == BF16 ? bf16_to_f32(((const uint16_t *)x.data)[i]) : ((const float *)x.data)[i];
}

static void
group_f32(float *restrict w, const uint8_t *restrict q, float s, float shift, int64_t n)
{
	float table[16];

	for (int k = 0; k < 16; k++) {
		volatile float product = s * (float)k;		/* rounded by itself, never joined with the difference */
		table[k] = product - shift;
	}
	for (int64_t i = 0; i < n; i += 2) {
		w[i] = table[q[i / 2] & 15];
		w[i + 1] = table[q[i / 2] >> 4];
	}
}

static void
group_bf16(uint16_t *restrict w, const uint8_t *restrict q, float s, float shift, int64_t n)
{
	uint16_t table[16];

	for (int k = 0; k < 16; k++)
		table[k] = f32_to_bf16(bf16_to_f32(f32_to_bf16(s * (float)k)) - shift);
	for (int64_t i = 0; i < n; i += 2) {
		w[i] = table[q[i / 2] & 15];
		w[i + 1] = table[q[i / 2] >> 4];
	}
}

void
cpu_dequantize4(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	int64_t rows = tensor_rows(q), width = tensor_cols(q), ld = tensor_ld(w), groups = scale.dim[2], group = width / groups;

	if (w.dtype == F16 || right.rank || below.rank || group % 2 != 0) {
		ref_dequantize4(d, w, q, scale, right, below);
		return;
	}
#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * width > PIECE)
	for (int64_t n = 0; n < rows; n++)
		for (int64_t g = 0; g < groups; g++) {
			const uint8_t *from = (const uint8_t *)q.data + (n * width + g * group) / 2;
			float s = number(scale, 2 * n * groups + g), shift = number(scale, (2 * n + 1) * groups + g);
			if (w.dtype == F32)
				group_f32((float *)w.data + n * ld + g * group, from, s, shift, group);
			else
				group_bf16((uint16_t *)w.data + n * ld + g * group, from, s, shift, group);
		}
}
