/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <math.h>

void
ref_modulation(struct dev *d, struct tensor m, struct tensor table, struct tensor t)
{
	int64_t B = m.dim[0], R = m.dim[1], D = m.dim[2], K = t.dim[1];
	const float *tab = table.data, *tp = t.data;
	float *mp = m.data;

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t r = 0; r < R; r++)
			for (int64_t c = 0; c < D; c++)
				mp[(b * R + r) * D + c] = tab[r * D + c] + tp[(b * K + (K == 1 ? 0 : r)) * D + c];
}

void
ref_modulation_backward(struct dev *d, struct tensor dtable, struct tensor dt, struct tensor dm)
{
	int64_t B = dm.dim[0], R = dm.dim[1], D = dm.dim[2], K = dt.rank ? dt.dim[1] : 0;
	float *tab = dtable.data, *tp = dt.data;
	const float *mp = dm.data;

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t r = 0; r < R; r++)
			for (int64_t c = 0; c < D; c++) {
				if (dtable.rank)
					tab[r * D + c] += mp[(b * R + r) * D + c];
				if (dt.rank)
					tp[(b * K + (K == 1 ? 0 : r)) * D + c] += mp[(b * R + r) * D + c];
			}
}

void
ref_rms_modulate(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale)
{
	int64_t B = x.dim[0], T = x.dim[1], D = x.dim[2], R = m.dim[1];

	(void)d;
	for (int64_t n = 0; n < B * T; n++) {
		const float *mb = (const float *)m.data + n / T * R * D, *xp = (const float *)x.data + n * D;
		float *yp = (float *)y.data + n * D, inv;
		double sum = 0;
		for (int64_t c = 0; c < D; c++)
			sum += (double)xp[c] * (double)xp[c];
		inv = 1.f / sqrtf((float)(sum / (double)D) + 1e-6f);
		for (int64_t c = 0; c < D; c++)
			yp[c] = xp[c] * inv * (1.f + mb[scale * D + c]) + mb[shift * D + c];
		((float *)r.data)[n] = inv;
	}
}

void
ref_rms_modulate_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor r,
                          struct tensor m, int scale, bool add)
{
	int64_t B = x.dim[0], T = x.dim[1], D = x.dim[2], R = m.dim[1];

	(void)d;
	for (int64_t n = 0; n < B * T; n++) {
		const float *s = (const float *)m.data + (n / T * R + scale) * D, *xp = (const float *)x.data + n * D;
		const float *gp = (const float *)dy.data + n * D;
		float *dp = (float *)dx.data + n * D, inv = ((const float *)r.data)[n];
		double dot = 0;
		for (int64_t c = 0; c < D; c++)
			dot += (double)(gp[c] * (1.f + s[c])) * (double)(xp[c] * inv);
		dot /= (double)D;
		for (int64_t c = 0; c < D; c++) {
			float g = inv * (gp[c] * (1.f + s[c]) - xp[c] * inv * (float)dot);
			dp[c] = add ? dp[c] + g : g;
		}
	}
}

void
ref_rms_modulate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor x, struct tensor r, int shift, int scale)
{
	int64_t B = x.dim[0], T = x.dim[1], D = x.dim[2], R = dm.dim[1];
	const float *xp = x.data, *gp = dy.data, *rp = r.data;

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t c = 0; c < D; c++) {
			float *mp = (float *)dm.data + b * R * D + c;
			double ds = 0, dh = 0;
			for (int64_t t = b * T; t < (b + 1) * T; t++) {
				dh += (double)gp[t * D + c];
				ds += (double)gp[t * D + c] * (double)(xp[t * D + c] * rp[t]);
			}
			mp[shift * D] += (float)dh;
			mp[scale * D] += (float)ds;
		}
}

void
ref_gate_add(struct dev *d, struct tensor y, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	int64_t B = x.dim[0], T = x.dim[1], D = x.dim[2], R = m.dim[1];
	const float *xp = x.data, *zp = z.data;
	float *yp = y.data;

	(void)d;
	for (int64_t n = 0; n < B * T; n++)
		for (int64_t c = 0; c < D; c++)
			yp[n * D + c] = xp[n * D + c] + ((const float *)m.data)[(n / T * R + gate) * D + c] * zp[n * D + c];
}

void
ref_gate_backward(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate)
{
	int64_t B = dy.dim[0], T = dy.dim[1], D = dy.dim[2], R = m.dim[1];

	(void)d;
	for (int64_t n = 0; n < B * T; n++)
		for (int64_t c = 0; c < D; c++)
			((float *)dz.data)[n * D + c] = ((const float *)m.data)[(n / T * R + gate) * D + c] *
			                                ((const float *)dy.data)[n * D + c];
}

void
ref_gate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor z, int gate)
{
	int64_t B = z.dim[0], T = z.dim[1], D = z.dim[2], R = dm.dim[1];

	(void)d;
	for (int64_t b = 0; b < B; b++)
		for (int64_t c = 0; c < D; c++) {
			double sum = 0;
			for (int64_t t = b * T; t < (b + 1) * T; t++)
				sum += (double)((const float *)dy.data)[t * D + c] * (double)((const float *)z.data)[t * D + c];
			((float *)dm.data)[(b * R + gate) * D + c] += (float)sum;
		}
}

void
ref_silu(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(x);

	(void)d;
	for (int64_t i = 0; i < n; i++) {
		float v = ((const float *)x.data)[i];
		((float *)y.data)[i] = v / (1.f + expf(-v));
	}
}

void
ref_silu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x)
{
	int64_t n = tensor_count(x);

	(void)d;
	for (int64_t i = 0; i < n; i++) {
		float v = ((const float *)x.data)[i], s = 1.f / (1.f + expf(-v));
		((float *)dx.data)[i] = ((const float *)dy.data)[i] * s * (1.f + v * (1.f - s));
	}
}
