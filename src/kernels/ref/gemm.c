/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <assert.h>

static float
element(struct tensor b, int64_t i)
{
	return b.dtype != F32 ? half_to_f32(((const uint16_t *)b.data)[i], b.dtype) : ((const float *)b.data)[i];
}

void
ref_gemm(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	int64_t m = c.dim[0], n = c.dim[1], k = a.dim[ta ? 0 : 1];
	const float *ap = a.data;
	float *cp = c.data;

	(void)d;
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			double sum = 0;
			for (int64_t l = 0; l < k; l++)
				sum += (double)ap[ta ? l * m + i : i * k + l] * (double)element(b, tb ? j * k + l : l * n + j);
			cp[i * n + j] = alpha * (float)sum + (beta != 0.f ? beta * cp[i * n + j] : 0.f);
		}
}

void
ref_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, struct tensor r)
{
	bool onto = r.rank && r.data == y.data;

	ref_gemm(d, y, x, w, false, true, 1.f, onto ? 1.f : 0.f);
	if (b.rank)
		ref_bias_add(d, y, b);
	if (r.rank && !onto)
		ref_axpy(d, y, r, 1.f);
}
