/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/rows.h"

#include "kernels/kernels.h"

#include <assert.h>

static bool
is_act(struct tensor x)
{
	return dtype_is_activation(x.dtype);
}

void
rows_gemm(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	assert(c.rank == 2 && a.rank == 2 && b.rank == 2);
	assert(is_act(c) && is_act(a) && is_act(b));
	assert(a.dim[ta ? 1 : 0] == c.dim[0] && b.dim[tb ? 0 : 1] == c.dim[1] && a.dim[ta ? 0 : 1] == b.dim[tb ? 1 : 0]);
	d->k->gemm(d, c, a, b, ta, tb, alpha, beta);
}

void
rows_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, struct tensor r)
{
	assert(y.rank == 2 && x.rank == 2 && w.rank == 2 && is_act(y) && is_act(x) && is_act(w));
	assert(x.dim[0] == y.dim[0] && w.dim[0] == y.dim[1] && w.dim[1] == x.dim[1]);
	assert((!b.rank || tensor_count(b) == y.dim[1]) && (!r.rank || tensor_same(r, y)));
	d->k->linear(d, y, x, w, b, r);
}

void
rows_bias_add(struct dev *d, struct tensor y, struct tensor b)
{
	assert(is_act(y) && is_act(b) && tensor_count(b) == tensor_cols(y));
	d->k->bias_add(d, y, b);
}

void
rows_column_sum(struct dev *d, struct tensor db, struct tensor dy)
{
	assert(db.dtype == F32 && is_act(dy) && tensor_count(db) == tensor_cols(dy));
	d->k->column_sum(d, db, dy);
}

void
rows_axpy(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	assert(is_act(y) && is_act(x) && tensor_count(y) == tensor_count(x));
	d->k->axpy(d, y, x, alpha);
}

void
rows_scale(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	assert(is_act(y) && is_act(x) && tensor_count(y) == tensor_count(x));
	d->k->scale(d, y, x, alpha);
}

void
rows_fill(struct dev *d, struct tensor y, float value)
{
	assert(is_act(y));
	d->k->fill(d, y, value);
}

void
rows_copy(struct dev *d, struct tensor y, struct tensor x)
{
	assert(tensor_count(y) == tensor_count(x));
	d->k->copy(d, y, x);
}

void
rows_dropout(struct dev *d, struct tensor y, struct tensor x, struct rng r, float p, bool add)
{
	assert(is_act(y) && is_act(x) && tensor_count(y) == tensor_count(x) && p >= 0.f && p < 1.f);
	d->k->dropout(d, y, x, r, p, add);
}

struct tensor
rows_of(struct tensor x)
{
	return tensor_view(x, 2, tensor_rows(x), tensor_cols(x));
}
