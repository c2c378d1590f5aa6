/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda.cuh"

static struct attention_sizes
sizes_of(struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor lse)
{
	int64_t D = q.dim[2], H = lse.dim[2], w = D / H;

	assert(w <= ATTENTION_WIDEST && q.dtype == k.dtype && (q.dtype == F32 || q.dtype == BF16));
	return { (int)q.dim[0], (int)q.dim[1], (int)k.dim[1], (int)H, (int)w, tensor_ld(q), tensor_ld(k), tensor_ld(v),
		 tensor_ld(o), 1.f / sqrtf((float)w) };
}

extern "C" void
cuda_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
               struct tensor qmask, struct tensor kmask)
{
	struct attention_sizes z = sizes_of(q, k, v, o, lse);
	struct attention_pointers p = {};

	p.q = q.data, p.k = k.data, p.v = v.data, p.o = o.data;
	p.lse = (float *)lse.data, p.qmask = (const float *)qmask.data, p.kmask = (const float *)kmask.data;
	if (q.dtype == BF16 && attention_90_can(d->cuda->arch, z.w) &&
	    attention_90_forward(z, d->cuda->processors, d->cuda->stream, p))
		;
	else if (q.dtype == BF16 && attention_half_can(z.w))
		attention_half_forward(z, d->cuda->stream, p);
	else if (q.dtype == F32 && attention_32_can(z, p))
		attention_32_forward(z, !d->tf32, d->cuda->stream, p);
	else
		attention_any_forward(z, q.dtype == BF16, d->cuda->stream, p);
	cuda_launched(d, "attention");
}

extern "C" void
cuda_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor go, struct tensor q,
                        struct tensor k, struct tensor v, struct tensor o, struct tensor lse, struct tensor qmask,
                        struct tensor kmask)
{
	struct attention_sizes z = sizes_of(q, k, v, o, lse);
	struct attention_pointers p = {};

	p.q = q.data, p.k = k.data, p.v = v.data, p.go = go.data, p.out = o.data;
	p.dq = dq.data, p.dk = dk.data, p.dv = dv.data;
	p.lse = (float *)lse.data, p.qmask = (const float *)qmask.data, p.kmask = (const float *)kmask.data;
	p.delta = (float *)cuda_scratch(d, tensor_bytes(lse));
	if (!p.delta)
		return;
	assert(tensor_ld(dq) == z.ld_q && tensor_ld(dk) == z.ld_k && tensor_ld(dv) == z.ld_v && tensor_ld(go) == z.ld_o);
	attention_deltas(z, q.dtype == BF16, d->cuda->stream, p);
	cudaStream_t beside = cuda_fork(d);
	if (q.dtype == BF16 && attention_90_can(d->cuda->arch, z.w) && attention_90_backward(z, d->cuda->stream, beside, p))
		;
	else if (q.dtype == BF16 && attention_half_can(z.w))
		attention_half_backward(z, d->cuda->stream, beside, p);
	else if (q.dtype == F32 && attention_32_can(z, p))
		attention_32_backward(z, !d->tf32, d->cuda->stream, beside, p);
	else
		attention_any_backward(z, q.dtype == BF16, d->cuda->stream, p);
	cuda_meet(d);
	cuda_launched(d, "attention_backward");
}
