/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/attend.h"

#include "kernels/kernels.h"

#include <assert.h>

static void
check_table(struct tensor x, struct tensor cs)
{
	assert(dtype_is_activation(x.dtype) && cs.dtype == F32 && x.rank == 3 && cs.rank == 3 && cs.dim[0] == 2);
	assert(cs.dim[1] >= x.dim[1] && cs.dim[2] % 2 == 0 && x.dim[2] % cs.dim[2] == 0);
}

static void
check_mask(struct tensor x, struct tensor mask)
{
	assert(mask.dtype == F32 && mask.rank == 2 && mask.dim[0] == x.dim[0] && mask.dim[1] == x.dim[1]);
}

static void
check_heads(struct tensor x, struct tensor per_head)
{
	assert(per_head.dtype == F32 && per_head.rank == 3 && per_head.dim[0] == x.dim[0] && per_head.dim[1] == x.dim[1]);
	assert(per_head.dim[2] > 0 && x.dim[2] % per_head.dim[2] == 0);
}

void
attend_rope_table(struct dev *d, struct tensor cs, float theta)
{
	assert(cs.dtype == F32 && cs.rank == 3 && cs.dim[0] == 2 && cs.dim[2] % 2 == 0 && theta > 0.f);
	d->k->rope_table(d, cs, theta);
}

void
attend_rope(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, bool backward)
{
	check_table(x, cs);
	assert(tensor_same(y, x));
	d->k->rope(d, y, x, cs, backward);
}

void
attend_rope_both(struct dev *d, struct tensor a, struct tensor b, struct tensor cs, bool backward)
{
	check_table(a, cs);
	check_table(b, cs);
	assert(a.dtype == b.dtype);
	d->k->rope_both(d, a, b, cs, backward);
}

void
attend_rope_relu(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, struct tensor mask)
{
	check_table(x, cs);
	check_mask(x, mask);
	assert(tensor_same(y, x));
	d->k->rope_relu(d, y, x, cs, mask);
}

void
attend_rope_relu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor y, struct tensor cs,
                          struct tensor mask)
{
	check_table(y, cs);
	check_mask(y, mask);
	assert(tensor_same(dx, y) && tensor_same(dy, y));
	d->k->rope_relu_backward(d, dx, dy, y, cs, mask);
}

void
attend_mask_rows(struct dev *d, struct tensor y, struct tensor x, struct tensor mask)
{
	assert(x.rank == 3 && dtype_is_activation(x.dtype) && tensor_same(y, x));
	check_mask(x, mask);
	d->k->mask_rows(d, y, x, mask);
}

void
attend_linear(struct dev *d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, struct tensor v)
{
	check_heads(q, den);
	assert(tensor_same(q, k) && tensor_same(q, v) && tensor_same(q, o));
	d->k->linear_attention(d, o, den, q, k, v);
}

void
attend_linear_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dout, struct tensor q,
                       struct tensor k, struct tensor v, struct tensor o, struct tensor den)
{
	check_heads(q, den);
	assert(tensor_same(q, k) && tensor_same(q, v) && tensor_same(q, o) && tensor_same(q, dout));
	assert(tensor_same(q, dq) && tensor_same(q, dk) && tensor_same(q, dv));
	d->k->linear_attention_backward(d, dq, dk, dv, dout, q, k, v, o, den);
}

void
attend_softmax(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
               struct tensor qmask, struct tensor kmask)
{
	check_heads(q, lse);
	check_mask(q, qmask);
	check_mask(k, kmask);
	assert(tensor_same(q, o) && tensor_same(k, v) && k.dim[0] == q.dim[0] && k.dim[2] == q.dim[2]);
	d->k->attention(d, o, lse, q, k, v, qmask, kmask);
}

void
attend_softmax_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dout, struct tensor q,
                        struct tensor k, struct tensor v, struct tensor o, struct tensor lse, struct tensor qmask,
                        struct tensor kmask)
{
	check_heads(q, lse);
	check_mask(q, qmask);
	check_mask(k, kmask);
	assert(tensor_same(q, o) && tensor_same(q, dq) && tensor_same(q, dout));
	assert(tensor_same(k, v) && tensor_same(k, dk) && tensor_same(k, dv));
	d->k->attention_backward(d, dq, dk, dv, dout, q, k, v, o, lse, qmask, kmask);
}

void
attend_qkv_ready(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor cs, struct tensor mask)
{
	check_table(q, cs);
	check_mask(q, mask);
	assert(tensor_same(q, k) && tensor_same(q, v));
	d->k->qkv_ready(d, q, k, v, cs, mask);
}

void
attend_qkv_ready_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q, struct tensor k,
                          struct tensor cs, struct tensor mask, struct f8_cast cast)
{
	check_table(q, cs);
	check_mask(q, mask);
	assert(tensor_same(dq, q) && tensor_same(dk, q) && tensor_same(dv, q) && tensor_same(k, q));
	if (!cast.q.rank) {
		d->k->qkv_ready_backward(d, dq, dk, dv, q, k, cs, mask);
		return;
	}
	assert(cast.q.dim[0] == tensor_rows(q) && cast.q.dim[1] == 3 * q.dim[2] && tensor_ld(dq) >= cast.q.dim[1]);
	d->k->qkv_ready_backward_f8(d, dq, dk, dv, q, k, cs, mask, cast);
}
