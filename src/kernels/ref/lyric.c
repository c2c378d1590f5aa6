/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

void
ref_embedding(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	int64_t E = table.dim[1], n = tensor_count(ids);

	(void)d;
	for (int64_t i = 0; i < n; i++) {
		int64_t row = ((const int32_t *)ids.data)[i] * E;
		for (int64_t c = 0; c < E; c++)
			((float *)y.data)[i * E + c] = table.dtype != F32 ? half_to_f32(((const uint16_t *)table.data)[row + c], table.dtype)
			                                                   : ((const float *)table.data)[row + c];
	}
}

void
ref_embedding_backward(struct dev *d, struct tensor dtable, struct tensor dy, struct tensor ids)
{
	int64_t E = dtable.dim[1], n = tensor_count(ids);

	(void)d;
	for (int64_t i = 0; i < n; i++)
		for (int64_t c = 0; c < E; c++)
			((float *)dtable.data)[((const int32_t *)ids.data)[i] * E + c] += ((const float *)dy.data)[i * E + c];
}

void
ref_layer_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t rows = tensor_rows(x), E = tensor_cols(x);

	(void)d;
	for (int64_t n = 0; n < rows; n++) {
		const float *xp = (const float *)x.data + n * E;
		float *sp = (float *)stat.data + 2 * n;
		double mean = 0, var = 0;
		for (int64_t c = 0; c < E; c++)
			mean += (double)xp[c] / (double)E;
		for (int64_t c = 0; c < E; c++)
			var += ((double)xp[c] - mean) * ((double)xp[c] - mean) / (double)E;
		sp[0] = (float)mean;
		sp[1] = (float)(1 / sqrt(var + (double)eps));
		for (int64_t c = 0; c < E; c++)
			((float *)y.data)[n * E + c] = (xp[c] - sp[0]) * sp[1] * ((const float *)w.data)[c] + ((const float *)b.data)[c];
	}
}

/* With h = (x - mean) r and g = w dy: dx = r (g - mean(g) - h mean(g h)). */
void
ref_layer_norm_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat, struct tensor w,
                        bool add)
{
	int64_t rows = tensor_rows(x), E = tensor_cols(x);
	const float *wp = w.data;

	(void)d;
	for (int64_t n = 0; n < rows; n++) {
		const float *xp = (const float *)x.data + n * E, *gp = (const float *)dy.data + n * E;
		const float *sp = (const float *)stat.data + 2 * n;
		float *dp = (float *)dx.data + n * E;
		double sg = 0, sgh = 0;
		for (int64_t c = 0; c < E; c++) {
			sg += (double)(wp[c] * gp[c]) / (double)E;
			sgh += (double)(wp[c] * gp[c]) * (double)((xp[c] - sp[0]) * sp[1]) / (double)E;
		}
		for (int64_t c = 0; c < E; c++) {
			double h = (double)((xp[c] - sp[0]) * sp[1]);
			float g = (float)((double)sp[1] * ((double)(wp[c] * gp[c]) - sg - h * sgh));
			dp[c] = add ? dp[c] + g : g;
		}
	}
}

void
ref_layer_norm_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x, struct tensor stat)
{
	int64_t rows = tensor_rows(x), E = tensor_cols(x);

	(void)d;
	for (int64_t c = 0; c < E; c++) {
		double sw = 0, sb = 0;
		for (int64_t n = 0; n < rows; n++) {
			const float *sp = (const float *)stat.data + 2 * n;
			double g = (double)((const float *)dy.data)[n * E + c];
			sb += g;
			sw += g * (double)((((const float *)x.data)[n * E + c] - sp[0]) * sp[1]);
		}
		((float *)dw.data)[c] += (float)sw;
		((float *)db.data)[c] += (float)sb;
	}
}

void
ref_relative_positions(struct dev *d, struct tensor pe)
{
	int64_t rows = pe.dim[0], E = pe.dim[1], Y = (rows + 1) / 2;

	(void)d;
	for (int64_t k = 0; k < (E + 1) / 2; k++) {
		float w = expf((float)(2 * k) * (-9.2103403719761836f / (float)E));
		for (int64_t m = 0; m < rows; m++) {
			float a = (float)(Y - 1 - m) * w;
			((float *)pe.data)[m * E + 2 * k] = sinf(a);
			if (2 * k + 1 < E)
				((float *)pe.data)[m * E + 2 * k + 1] = cosf(a);
		}
	}
}
