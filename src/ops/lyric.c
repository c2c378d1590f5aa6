/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/lyric.h"

#include "kernels/kernels.h"

#include <assert.h>

static void
check_ids(struct tensor y, struct tensor table, struct tensor ids)
{
	assert(ids.dtype == I32 && dtype_is_activation(y.dtype) && y.rank == 3 && table.rank == 2 && table.dim[1] == y.dim[2]);
	assert(tensor_count(ids) == tensor_rows(y));
}

void
lyric_embedding(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	check_ids(y, table, ids);
	assert(dtype_is_activation(table.dtype));
	d->k->embedding(d, y, table, ids);
}

void
lyric_embedding_backward(struct dev *d, struct tensor dtable, struct tensor dy, struct tensor ids)
{
	check_ids(dy, dtable, ids);
	assert(dtable.dtype == F32);
	d->k->embedding_backward(d, dtable, dy, ids);
}

static void
check_norm(struct tensor x, struct tensor stat)
{
	assert(dtype_is_activation(x.dtype) && stat.dtype == F32 && stat.rank == 2 && stat.dim[0] == tensor_rows(x) && stat.dim[1] == 2);
}

void
lyric_layer_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b)
{
	check_norm(x, stat);
	assert(tensor_same_shape(y, x) && tensor_count(w) == tensor_cols(x) && tensor_count(b) == tensor_cols(x));
	assert(w.dtype == F32 && b.dtype == F32);
	d->k->layer_norm(d, y, stat, x, w, b, 1e-5f);
}

void
lyric_layer_norm_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat,
                          struct tensor w, bool add)
{
	check_norm(x, stat);
	assert(tensor_same_shape(dx, x) && tensor_same_shape(dy, x) && tensor_count(w) == tensor_cols(x));
	d->k->layer_norm_backward(d, dx, dy, x, stat, w, add);
}

void
lyric_layer_norm_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x, struct tensor stat)
{
	check_norm(x, stat);
	assert(tensor_same_shape(dy, x) && tensor_count(dw) == tensor_cols(x) && tensor_count(db) == tensor_cols(x));
	d->k->layer_norm_grads(d, dw, db, dy, x, stat);
}

void
lyric_positions(struct dev *d, struct tensor pe)
{
	assert(pe.dtype == F32 && pe.rank == 2 && pe.dim[0] % 2 == 1);
	d->k->relative_positions(d, pe);
}

static void
check_attention(struct tensor q, struct tensor k, struct tensor v, struct tensor p, struct tensor bu, struct tensor bv,
                struct tensor o, struct tensor lse, struct tensor mask)
{
	assert(dtype_is_activation(q.dtype) && q.rank == 3 && tensor_same(q, k) && tensor_same(q, v) && tensor_same(q, o));
	assert(p.rank == 2 && p.dim[0] == 2 * q.dim[1] - 1 && p.dim[1] == q.dim[2] && tensor_same(bu, bv));
	assert(bu.rank == 2 && bu.dim[0] * bu.dim[1] == q.dim[2] && bu.dtype == F32);
	assert(lse.rank == 3 && lse.dim[0] == q.dim[0] && lse.dim[1] == q.dim[1] && lse.dim[2] == bu.dim[0]);
	assert(mask.dtype == F32 && tensor_count(mask) == tensor_rows(q));
}

void
lyric_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
                struct tensor p, struct tensor bu, struct tensor bv, struct tensor mask)
{
	check_attention(q, k, v, p, bu, bv, o, lse, mask);
	d->k->relative_attention(d, o, lse, q, k, v, p, bu, bv, mask);
}

void
lyric_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dp,
                         struct tensor dbu, struct tensor dbv, struct tensor dout, struct tensor q, struct tensor k,
                         struct tensor v, struct tensor p, struct tensor bu, struct tensor bv, struct tensor o,
                         struct tensor lse, struct tensor mask)
{
	check_attention(q, k, v, p, bu, bv, o, lse, mask);
	assert(tensor_same(q, dq) && tensor_same(q, dk) && tensor_same(q, dv) && tensor_same(q, dout));
	assert((!dp.rank || tensor_same(dp, p)) && (!dbu.rank || tensor_same(dbu, bu)) && (!dbv.rank || tensor_same(dbv, bv)));
	d->k->relative_attention_backward(d, dq, dk, dv, dp, dbu, dbv, dout, q, k, v, p, bu, bv, o, lse, mask);
}
