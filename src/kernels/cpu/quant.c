/* SPDX-License-Identifier: Apache-2.0 */
/* quant.c - by rows, the formula's way; what each product waits for is made by loops that the compiler can widen */
#include "kernels/cpu/cpu.h"

enum { PIECE = 16384 };

CPU_CLONES static void
floats_of(float *restrict w, const int8_t *restrict q, float s, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		w[i] = s * (float)q[i];
}

CPU_CLONES static void
halves_of(uint16_t *restrict w, const int8_t *restrict q, float s, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {		/* finite: f32_to_bf16 without its question */
		union { float f; uint32_t u; } v = { s * (float)q[i] };
		w[i] = (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1u)) >> 16);
	}
}

void
cpu_quantize(struct dev *d, struct tensor q, struct tensor scale, struct tensor w)
{
	int64_t rows = tensor_rows(w), width = tensor_cols(w);
	struct tensor wm = tensor_view(w, 2, rows, width), qm = tensor_view(q, 2, rows, width), sm = tensor_view(scale, 1, rows);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * width > PIECE)
	for (int64_t n = 0; n < rows; n++)
		ref_quantize(d, tensor_slice(qm, n, 1), tensor_slice(sm, n, 1), tensor_slice(wm, n, 1));
}

static float
scale_of(struct tensor scale, int64_t n)
{
	return scale.dtype == BF16 ? bf16_to_f32(((const uint16_t *)scale.data)[n]) : ((const float *)scale.data)[n];
}

void
cpu_dequantize(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	int64_t rows = tensor_rows(q), width = tensor_cols(q), ld = tensor_ld(w);

	if (q.dtype != I8 || w.dtype == F16 || scale.dtype == F16 || right.rank || below.rank) {
		ref_dequantize(d, w, q, scale, right, below);
		return;
	}
#pragma omp parallel for schedule(static) num_threads(d->threads) if (rows * width > PIECE)
	for (int64_t n = 0; n < rows; n++) {
		const int8_t *from = (const int8_t *)q.data + n * width;
		if (w.dtype == F32)
			floats_of((float *)w.data + n * ld, from, scale_of(scale, n), width);
		else
			halves_of((uint16_t *)w.data + n * ld, from, scale_of(scale, n), width);
	}
}
