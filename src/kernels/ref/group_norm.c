/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

/* Sum over one group: of x - mean to the power 1 or 2. */
static double
moment(const float *x, int64_t T, int64_t C, int64_t from, int64_t n, double mean, bool square)
{
	double sum = 0;

	for (int64_t t = 0; t < T; t++)
		for (int64_t c = from; c < from + n; c++) {
			double v = (double)x[t * C + c] - mean;
			sum += square ? v * v : v;
		}
	return sum / (double)(T * n);
}

void
ref_group_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t B = x.dim[0], T = x.dim[1], C = x.dim[2], G = stat.dim[1], n = C / G;

	(void)d;
	for (int64_t i = 0; i < B * G; i++) {
		const float *xp = (const float *)x.data + i / G * T * C;
		float *yp = (float *)y.data + i / G * T * C, *sp = (float *)stat.data + 2 * i;
		int64_t from = i % G * n;
		double mean = moment(xp, T, C, from, n, 0, false);
		sp[0] = (float)mean;
		sp[1] = (float)(1 / sqrt(moment(xp, T, C, from, n, mean, true) + (double)eps));
		for (int64_t t = 0; t < T; t++)
			for (int64_t c = from; c < from + n; c++)
				yp[t * C + c] = (xp[t * C + c] - sp[0]) * sp[1] * ((const float *)w.data)[c] + ((const float *)b.data)[c];
	}
}

/* With h = (x - mean) r and g = w dy: dx = r (g - mean(g) - h mean(g h)), dw += sum of dy h, db += sum of dy. */
void
ref_group_norm_backward(struct dev *d, struct tensor dx, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x,
                        struct tensor stat, struct tensor w)
{
	int64_t B = x.dim[0], T = x.dim[1], C = x.dim[2], G = stat.dim[1], n = C / G;
	const float *wp = w.data;

	(void)d;
	for (int64_t i = 0; i < B * G; i++) {
		const float *xp = (const float *)x.data + i / G * T * C, *gp = (const float *)dy.data + i / G * T * C;
		const float *sp = (const float *)stat.data + 2 * i;
		float *dp = (float *)dx.data + i / G * T * C;
		double sg = 0, sgh = 0;
		for (int64_t c = i % G * n; c < (i % G + 1) * n; c++) {
			double s = 0, sh = 0;
			for (int64_t t = 0; t < T; t++) {
				s += (double)gp[t * C + c];
				sh += (double)gp[t * C + c] * (double)((xp[t * C + c] - sp[0]) * sp[1]);
			}
			((float *)db.data)[c] += (float)s;
			((float *)dw.data)[c] += (float)sh;
			sg += s * (double)wp[c];
			sgh += sh * (double)wp[c];
		}
		sg /= (double)(T * n);
		sgh /= (double)(T * n);
		for (int64_t t = 0; t < T; t++)
			for (int64_t c = i % G * n; c < (i % G + 1) * n; c++) {
				double h = (double)((xp[t * C + c] - sp[0]) * sp[1]);
				dp[t * C + c] = (float)((double)sp[1] * ((double)(wp[c] * gp[t * C + c]) - sg - h * sgh));
			}
	}
}
