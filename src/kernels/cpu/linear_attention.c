/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/space.h"

#include <string.h>

CPU_CLONES static void
add(float *restrict z, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		z[i] += x[i];
}

CPU_CLONES static void
add_times(float *restrict z, const float *restrict x, float s, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		z[i] += s * x[i];
}

CPU_CLONES static void
times(float *restrict y, const float *restrict x, float s, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = s * x[i];
}

static float
dot(const float *a, const float *b, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return (float)sum;
}

/* kv [w, w] = k^T v, z [w] = column sums of k, of one head: rows D apart. */
static void
sums(float *kv, float *z, const float *k, const float *v, int64_t T, int64_t D, int64_t w)
{
	cpu_sgemm1(true, false, w, w, T, 1.f, k, D, v, D, 0.f, kv, w);
	memset(z, 0, (size_t)w * sizeof *z);
	for (int64_t t = 0; t < T; t++)
		add(z, k + t * D, w);
}

/* Numbers of one head: its sums, and in the backward pass their gradients and dn. */
static int64_t
space_of(int64_t T, int64_t w, bool backward)
{
	return backward ? 2 * (w * w + w) + T * w : w * w + w;
}

size_t
cpu_linear_attention_space(struct tensor q, struct tensor den, bool backward)
{
	int64_t heads = den.dim[2];

	return (size_t)(q.dim[0] * heads * space_of(q.dim[1], q.dim[2] / heads, backward)) * sizeof(float);
}

/* One piece a head of a sample. */
void
cpu_linear_attention(struct dev *d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, struct tensor v)
{
	int64_t T = q.dim[1], D = q.dim[2], H = den.dim[2], w = D / H, heads = q.dim[0] * H, space = space_of(T, w, false);
	float *work = cpu_scratch(d, cpu_linear_attention_space(q, den, false));

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < heads; i++) {
		int64_t at = i / H * T * D + i % H * w;
		const float *qp = (const float *)q.data + at;
		float *kv = work + i * space, *z = kv + w * w, *op = (float *)o.data + at;
		sums(kv, z, (const float *)k.data + at, (const float *)v.data + at, T, D, w);
		cpu_sgemm1(false, false, T, w, w, 1.f, qp, D, kv, w, 0.f, op, D);
		for (int64_t t = 0; t < T; t++) {
			float below = dot(qp + t * D, z, w) + 1e-15f;
			((float *)den.data)[(i / H * T + t) * H + i % H] = below;
			for (int64_t c = 0; c < w; c++)
				op[t * D + c] /= below;
		}
	}
}

struct head {
	float *dq, *dk, *dv;
	const float *go, *q, *k, *v, *o, *den;
	int64_t T, D, w, H;
};

/* work: kv, dkv [w, w], z, dz [w], dn [T, w] */
static void
head_backward(struct head h, float *work)
{
	int64_t T = h.T, D = h.D, w = h.w;
	float *kv = work, *dkv = kv + w * w, *z = dkv + w * w, *dz = z + w, *dn = dz + w;

	sums(kv, z, h.k, h.v, T, D, w);
	for (int64_t t = 0; t < T; t++)
		times(dn + t * w, h.go + t * D, 1.f / h.den[t * h.H], w);
	cpu_sgemm1(false, true, T, w, w, 1.f, dn, w, kv, w, 0.f, h.dq, D);
	cpu_sgemm1(true, false, w, w, T, 1.f, h.q, D, dn, w, 0.f, dkv, w);
	memset(dz, 0, (size_t)w * sizeof *dz);
	for (int64_t t = 0; t < T; t++) {
		float dd = -dot(dn + t * w, h.o + t * D, w);
		add_times(h.dq + t * D, z, dd, w);
		add_times(dz, h.q + t * D, dd, w);
	}
	cpu_sgemm1(false, true, T, w, w, 1.f, h.v, D, dkv, w, 0.f, h.dk, D);
	for (int64_t t = 0; t < T; t++)
		add(h.dk + t * D, dz, w);
	cpu_sgemm1(false, false, T, w, w, 1.f, h.k, D, dkv, w, 0.f, h.dv, D);
}

void
cpu_linear_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go,
                              struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor den)
{
	int64_t T = q.dim[1], D = q.dim[2], H = den.dim[2], w = D / H, heads = q.dim[0] * H;
	int64_t space = space_of(T, w, true);
	float *work = cpu_scratch(d, cpu_linear_attention_space(q, den, true));

	if (!work)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t i = 0; i < heads; i++) {
		int64_t at = i / H * T * D + i % H * w;
		struct head h = { (float *)dq.data + at, (float *)dk.data + at, (float *)dv.data + at, (const float *)go.data + at,
			(const float *)q.data + at, (const float *)k.data + at, (const float *)v.data + at,
			(const float *)o.data + at, (const float *)den.data + i / H * T * H + i % H, T, D, w, H };
		head_backward(h, work + i * space);
	}
}
