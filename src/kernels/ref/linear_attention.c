/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include <stdlib.h>

/* One head of one sample: pointers to its first element, rows D apart, width w. */
struct head {
	const float *q, *k, *v;
	int64_t T, D, w;
};

/* kv [w, w] = k^T v, z [w] = column sums of k */
static void
sums(struct head h, double *kv, double *z)
{
	for (int64_t a = 0; a < h.w; a++) {
		z[a] = 0;
		for (int64_t t = 0; t < h.T; t++)
			z[a] += (double)h.k[t * h.D + a];
		for (int64_t c = 0; c < h.w; c++) {
			double sum = 0;
			for (int64_t t = 0; t < h.T; t++)
				sum += (double)h.k[t * h.D + a] * (double)h.v[t * h.D + c];
			kv[a * h.w + c] = sum;
		}
	}
}

static struct head
head_of(struct tensor q, struct tensor k, struct tensor v, int64_t H, int64_t b, int64_t i)
{
	int64_t T = q.dim[1], D = q.dim[2], at = b * T * D + i * (D / H);

	return (struct head){ (const float *)q.data + at, (const float *)k.data + at, (const float *)v.data + at, T, D, D / H };
}

void
ref_linear_attention(struct dev *d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, struct tensor v)
{
	int64_t B = q.dim[0], T = q.dim[1], D = q.dim[2], H = den.dim[2], w = D / H;
	double *kv = malloc((size_t)(w * w + w) * sizeof *kv), *z = kv + w * w;

	(void)d;
	for (int64_t i = 0; kv && i < B * H; i++) {
		struct head h = head_of(q, k, v, H, i / H, i % H);
		sums(h, kv, z);
		for (int64_t t = 0; t < T; t++) {
			float *op = (float *)o.data + (i / H * T + t) * D + i % H * w, below;
			double sum = 0;
			for (int64_t a = 0; a < w; a++)
				sum += (double)h.q[t * D + a] * z[a];
			below = (float)sum + 1e-15f;
			((float *)den.data)[(i / H * T + t) * H + i % H] = below;
			for (int64_t c = 0; c < w; c++) {
				sum = 0;
				for (int64_t a = 0; a < w; a++)
					sum += (double)h.q[t * D + a] * kv[a * w + c];
				op[c] = (float)sum / below;
			}
		}
	}
	free(kv);
}

/* dKV, dz of one head, and its dq. */
static void
backward_q(struct head h, float *dq, const float *go, const float *o, const float *den, int64_t H, const double *kv,
           const double *z, double *dkv, double *dz)
{
	for (int64_t i = 0; i < h.w * h.w + h.w; i++)
		dkv[i] = 0;		/* dz lies behind dkv */
	for (int64_t t = 0; t < h.T; t++) {
		double below = (double)den[t * H], dd = 0;
		for (int64_t c = 0; c < h.w; c++)
			dd -= (double)go[t * h.D + c] * (double)o[t * h.D + c] / below;
		for (int64_t a = 0; a < h.w; a++) {
			double sum = dd * z[a];
			for (int64_t c = 0; c < h.w; c++) {
				double dn = (double)go[t * h.D + c] / below;
				sum += dn * kv[a * h.w + c];
				dkv[a * h.w + c] += (double)h.q[t * h.D + a] * dn;
			}
			dq[t * h.D + a] = (float)sum;
			dz[a] += dd * (double)h.q[t * h.D + a];
		}
	}
}

static void
backward_kv(struct head h, float *dk, float *dv, const double *dkv, const double *dz)
{
	for (int64_t t = 0; t < h.T; t++)
		for (int64_t a = 0; a < h.w; a++) {
			double sk = dz[a], sv = 0;
			for (int64_t c = 0; c < h.w; c++) {
				sk += dkv[a * h.w + c] * (double)h.v[t * h.D + c];
				sv += dkv[c * h.w + a] * (double)h.k[t * h.D + c];
			}
			dk[t * h.D + a] = (float)sk;
			dv[t * h.D + a] = (float)sv;
		}
}

void
ref_linear_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go,
                              struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor den)
{
	int64_t B = q.dim[0], T = q.dim[1], D = q.dim[2], H = den.dim[2], w = D / H;
	double *kv = malloc((size_t)(2 * (w * w + w)) * sizeof *kv), *z = kv + w * w, *dkv = z + w, *dz = dkv + w * w;

	(void)d;
	for (int64_t i = 0; kv && i < B * H; i++) {
		struct head h = head_of(q, k, v, H, i / H, i % H);
		int64_t at = i / H * T * D + i % H * w;
		sums(h, kv, z);
		backward_q(h, (float *)dq.data + at, (const float *)go.data + at, (const float *)o.data + at,
		           (const float *)den.data + i / H * T * H + i % H, H, kv, z, dkv, dz);
		backward_kv(h, (float *)dk.data + at, (float *)dv.data + at, dkv, dz);
	}
	free(kv);
}
