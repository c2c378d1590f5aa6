/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/space.h"

#include <stdint.h>
#include <stdlib.h>

static const struct kernels ref_table = {
#define K(name, twin, args) .name = ref_##name,
	KERNELS(K)
#undef K
};

static const struct kernels cpu_table = {
#define K(name, twin, args) .name = twin##_##name,
	KERNELS(K)
#undef K
};

#ifdef HAVE_CUDA
static const struct kernels cuda_table = {
#define K(name, twin, args) .name = cuda_##name,
	KERNELS(K)
#undef K
};
#endif

static void
dry_call(struct dev *d, const char *name)
{
	d->calls++;
	if (d->on_call)
		d->on_call(d, name);
}

/* The dry twin counts calls, and for products their floating point operations; it computes nothing. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define K(name, twin, args)          \
	static void dry_##name args  \
	{                            \
		dry_call(d, #name);  \
	}
KERNELS(K)
#undef K
#pragma GCC diagnostic pop

/* What the device that is measured would hold as work space by now: a cpu bytes, a cuda device on_cuda. */
static void
dry_space(struct dev *d, size_t bytes, size_t on_cuda)
{
	if (d->as == DEV_CUDA)
		bytes = on_cuda;
	if (bytes > d->scratch_bytes)
		d->scratch_bytes = bytes;
}

static size_t
whole(size_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

/* Of a cuda device's product: operands of another type than the one that it multiplies in are copied. */
static size_t
converted(struct tensor c, struct tensor a, struct tensor b, struct tensor bias)
{
	bool f16 = a.dtype == F16 || b.dtype == F16;
	enum dtype t = a.dtype == F32 && b.dtype == F32 && c.dtype == F32 ? F32 : f16 ? F16 : BF16;
	size_t bytes = 0;

	bytes += a.dtype != t ? whole((size_t)tensor_count(a) * dtype_size(t)) : 0;
	bytes += b.dtype != t ? whole((size_t)tensor_count(b) * dtype_size(t)) : 0;
	return bytes + (bias.rank && bias.dtype != c.dtype ? whole((size_t)tensor_count(bias) * dtype_size(c.dtype)) : 0);
}

static void
dry_product(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	dry_gemm(d, c, a, b, ta, tb, alpha, beta);
	dry_space(d, cpu_gemm_space(c, a, b, ta, tb), converted(c, a, b, (struct tensor){ 0 }));
	d->flops += 2.0 * (double)c.dim[0] * (double)c.dim[1] * (double)a.dim[ta ? 0 : 1];
}

static void
dry_layer(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, struct tensor r)
{
	dry_linear(d, y, x, w, b, r);
	dry_space(d, cpu_gemm_space(y, x, w, false, true), converted(y, x, w, b));
	d->flops += 2.0 * (double)tensor_count(y) * (double)tensor_cols(x);
}

static void
dry_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)
{
	dry_map_conv(d, y, x, w, b, stride);
	d->flops += 2.0 * (double)tensor_count(y) * (double)w.dim[1] * (double)w.dim[2] * (double)w.dim[3];
}

static void
dry_wave(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)
{
	dry_wave_conv(d, y, x, w, b, dilation, edge);
	d->flops += 2.0 * (double)tensor_count(y) * (double)w.dim[1] * (double)w.dim[2];
}

static void
dry_wave_longer(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)
{
	dry_wave_up(d, y, x, w, b, u);
	d->flops += 2.0 * (double)tensor_count(x) * (double)w.dim[1] * (double)w.dim[2];
}

static void
dry_pixels(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride, bool silu)
{
	dry_pix_conv(d, y, x, w, b, stride, silu);
	d->flops += 2.0 * (double)tensor_count(y) * (double)w.dim[1] * (double)w.dim[2] * (double)w.dim[3];
}

static void
dry_attend(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
           struct tensor qmask, struct tensor kmask)
{
	dry_attention(d, o, lse, q, k, v, qmask, kmask);
	dry_space(d, cpu_attention_space(k, lse, false), 0);
}

static void
dry_attend_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go, struct tensor q,
                    struct tensor k, struct tensor v, struct tensor o, struct tensor lse, struct tensor qmask,
                    struct tensor kmask)
{
	dry_attention_backward(d, dq, dk, dv, go, q, k, v, o, lse, qmask, kmask);
	dry_space(d, cpu_attention_space(k, lse, true), tensor_bytes(lse));
}

static void
dry_relative(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
             struct tensor p, struct tensor bu, struct tensor bv, struct tensor mask)
{
	dry_relative_attention(d, o, lse, q, k, v, p, bu, bv, mask);
	dry_space(d, cpu_relative_attention_space(q, bu, false), whole(tensor_bytes(q)) * 2);
}

static void
dry_relative_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dp, struct tensor dbu,
                      struct tensor dbv, struct tensor go, struct tensor q, struct tensor k, struct tensor v, struct tensor p,
                      struct tensor bu, struct tensor bv, struct tensor o, struct tensor lse, struct tensor mask)
{
	dry_relative_attention_backward(d, dq, dk, dv, dp, dbu, dbv, go, q, k, v, p, bu, bv, o, lse, mask);
	size_t rows = whole((size_t)tensor_count(q) * sizeof(float)), on_cuda = whole(tensor_bytes(lse)) + 2 * whole(tensor_bytes(q));

	on_cuda += dbu.rank || dbv.rank ? 2 * rows : 0;
	on_cuda += dp.rank ? whole((size_t)tensor_count(lse) * (size_t)q.dim[1] * sizeof(float)) : 0;
	dry_space(d, cpu_relative_attention_space(q, bu, true), on_cuda);
}

static void
dry_attend_linear(struct dev *d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, struct tensor v)
{
	dry_linear_attention(d, o, den, q, k, v);
	dry_space(d, cpu_linear_attention_space(q, den, false), 0);
}

static void
dry_attend_linear_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go, struct tensor q,
                    struct tensor k, struct tensor v, struct tensor o, struct tensor den)
{
	dry_linear_attention_backward(d, dq, dk, dv, go, q, k, v, o, den);
	dry_space(d, cpu_linear_attention_space(q, den, true), 0);
}

enum { WIDE_ADAPTERS = 64 };		/* from this rank on products won on an H100: doc/benchmarks.md */

bool
adapters_are_wide(const struct adapters *m)
{
	static int64_t least;		/* 0: not asked for yet */

	if (!least) {
		const char *said = getenv("ACE_WIDE_ADAPTERS");
		int64_t n = said ? strtoll(said, NULL, 10) : WIDE_ADAPTERS;
		least = n > 0 ? n : INT64_MAX;
	}
	for (int k = 0; k < m->n; k++)
		if (m->rank[k] < least)
			return false;
	return true;
}

/* What wide adapters write out where they drop. */
static void
dry_wide(struct dev *d, const struct adapters *m, int64_t numbers, size_t each)
{
	if (m->p > 0.f && adapters_are_wide(m))
		dry_space(d, 0, (size_t)numbers * each);
}

static void
dry_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m)
{
	dry_adapters_down(d, h, x, a, m);
	dry_wide(d, m, tensor_count(x), sizeof(uint16_t));
}

static void
dry_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h, struct tensor x,
          struct tensor dy, const struct adapters *m)
{
	dry_adapters_grads(d, da, db, dh, h, x, dy, m);
	dry_wide(d, m, tensor_count(x), sizeof(uint16_t));
}

static void
dry_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m)
{
	dry_adapters_dx(d, dx, dh, a, m);
	dry_wide(d, m, m->n * tensor_count(dx), sizeof(float));
}

void
kernels_attach(struct dev *d)
{
	static struct kernels dry_table = {
#define K(name, twin, args) .name = dry_##name,
		KERNELS(K)
#undef K
	};

	dry_table.gemm = dry_product;
	dry_table.linear = dry_layer;
	dry_table.map_conv = dry_conv;
	dry_table.wave_conv = dry_wave;
	dry_table.wave_up = dry_wave_longer;
	dry_table.pix_conv = dry_pixels;
	dry_table.attention = dry_attend;
	dry_table.attention_backward = dry_attend_backward;
	dry_table.relative_attention = dry_relative;
	dry_table.relative_attention_backward = dry_relative_backward;
	dry_table.linear_attention = dry_attend_linear;
	dry_table.linear_attention_backward = dry_attend_linear_backward;
	dry_table.adapters_down = dry_down;
	dry_table.adapters_grads = dry_grads;
	dry_table.adapters_dx = dry_dx;
	switch (d->kind) {
	case DEV_REF: d->k = &ref_table; break;
	case DEV_CPU:
		cpu_start();
		d->k = &cpu_table;
		break;
	case DEV_DRY: d->k = &dry_table; break;
	case DEV_CUDA:
#ifdef HAVE_CUDA
		d->k = &cuda_table;
#endif
		break;
	}
}

const struct kernel_info *
kernels_list(int *n)
{
	static const struct kernel_info list[] = {
#define K(name, twin, args) { #name, #twin[0] == 'c' },
		KERNELS(K)
#undef K
	};

	*n = (int)(sizeof list / sizeof *list);
	return list;
}
