/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/linear_attention.cuh"

static struct linear_sizes
sizes_of(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor den)
{
	int64_t D = q.dim[2], H = den.dim[2];
	struct linear_sizes z = { (int)q.dim[0], (int)q.dim[1], (int)H, (int)(D / H), tensor_ld(q), tensor_ld(k),
		tensor_ld(v), tensor_ld(o), 1, (int)q.dim[1], 1 };

	assert(z.w <= ATTENTION_WIDEST && (q.dtype == F32 || q.dtype == BF16));
	linear_half_plan(&z, d->cuda->processors);
	return z;
}

static bool
on_tensor_cores(struct tensor q, struct linear_sizes z)
{
	return q.dtype == BF16 && attention_half_can(z.w);
}

static bool
on_hopper(struct dev *d, struct tensor q, struct linear_sizes z)
{
	return q.dtype == BF16 && attention_90_can(d->cuda->arch, z.w);
}

/* Where alignment allows it as well, as linear_32_can says. */
static bool
on_tensor_cores_32(struct tensor q, struct linear_sizes z)
{
	return q.dtype == F32 && attention_half_can(z.w);
}

/* Enough for each way that may be taken. */
static size_t
scratch_of(struct dev *d, struct tensor q, struct linear_sizes z, bool backward)
{
	size_t other = on_tensor_cores(q, z) ? linear_half_scratch(&z, backward) : linear_any_scratch(&z, backward);
	size_t special = on_hopper(d, q, z)         ? linear_90_scratch(&z, backward)
	                 : on_tensor_cores_32(q, z) ? linear_32_scratch(&z, backward)
	                                            : 0;

	return other > special ? other : special;
}

extern "C" void
cuda_linear_attention(struct dev *d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, struct tensor v)
{
	struct linear_sizes z = sizes_of(d, q, k, v, o, den);
	struct linear_pointers p = {};

	p.q = q.data, p.k = k.data, p.v = v.data, p.o = o.data, p.den = (float *)den.data;
	p.scratch = (char *)cuda_scratch(d, scratch_of(d, q, z, false));
	if (!p.scratch)
		return;
	if (on_hopper(d, q, z) && linear_90_forward(z, d->cuda->stream, p))
		;
	else if (on_tensor_cores(q, z))
		linear_half_forward(z, d->cuda->stream, p);
	else if (q.dtype == F32 && linear_32_can(z, p))
		linear_32_forward(z, !d->tf32, d->cuda->stream, p);
	else
		linear_any_forward(z, q.dtype == BF16, d->cuda->stream, p);
	cuda_launched(d, "linear_attention");
}

extern "C" void
cuda_linear_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go,
                               struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor den)
{
	struct linear_sizes z = sizes_of(d, q, k, v, o, den);
	struct linear_pointers p = {};
	bool half = q.dtype == BF16;
	size_t first = (tensor_bytes(den) + 255) / 256 * 256;
	char *scratch = (char *)cuda_scratch(d, first + scratch_of(d, q, z, true));
	struct attention_sizes rows = { z.B, z.T, 0, z.H, z.w, z.ld_q, z.ld_k, z.ld_v, z.ld_o, 0.f };
	struct attention_pointers sums = {};

	if (!scratch)
		return;
	assert(tensor_ld(dq) == z.ld_q && tensor_ld(dk) == z.ld_k && tensor_ld(dv) == z.ld_v && tensor_ld(go) == z.ld_o);
	p.q = q.data, p.k = k.data, p.v = v.data, p.go = go.data, p.out = o.data, p.den = (float *)den.data;
	p.dq = dq.data, p.dk = dk.data, p.dv = dv.data;
	p.delta = (float *)scratch;
	p.scratch = scratch + first;
	if (on_hopper(d, q, z) && linear_90_backward(z, d->cuda->stream, p)) {
		cuda_launched(d, "linear_attention_backward");
		return;
	}
	sums.go = go.data, sums.out = o.data, sums.delta = p.delta;
	attention_deltas(rows, half, d->cuda->stream, sums);
	if (on_tensor_cores(q, z))
		linear_half_backward(z, d->cuda->stream, p);
	else if (q.dtype == F32 && linear_32_can(z, p))
		linear_32_backward(z, !d->tf32, d->cuda->stream, p);
	else
		linear_any_backward(z, half, d->cuda->stream, p);
	cuda_launched(d, "linear_attention_backward");
}
