/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/rows.h"

#include "kernels/kernels.h"

#include <assert.h>

void
rows_gemm(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	assert(c.rank == 2 && a.rank == 2 && b.rank == 2);
	assert(c.dtype == F32 && a.dtype == F32 && (b.dtype == F32 || b.dtype == BF16));
	assert(a.dim[ta ? 1 : 0] == c.dim[0] && b.dim[tb ? 0 : 1] == c.dim[1] && a.dim[ta ? 0 : 1] == b.dim[tb ? 1 : 0]);
	d->k->gemm(d, c, a, b, ta, tb, alpha, beta);
}

void
rows_bias_add(struct dev *d, struct tensor y, struct tensor b)
{
	assert(y.dtype == F32 && (b.dtype == F32 || b.dtype == BF16) && tensor_count(b) == tensor_cols(y));
	d->k->bias_add(d, y, b);
}

void
rows_column_sum(struct dev *d, struct tensor db, struct tensor dy)
{
	assert(db.dtype == F32 && dy.dtype == F32 && tensor_count(db) == tensor_cols(dy));
	d->k->column_sum(d, db, dy);
}

void
rows_axpy(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	assert(y.dtype == F32 && x.dtype == F32 && tensor_count(y) == tensor_count(x));
	d->k->axpy(d, y, x, alpha);
}

void
rows_scale(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	assert(y.dtype == F32 && x.dtype == F32 && tensor_count(y) == tensor_count(x));
	d->k->scale(d, y, x, alpha);
}

void
rows_fill(struct dev *d, struct tensor y, float value)
{
	assert(y.dtype == F32);
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
	assert(y.dtype == F32 && x.dtype == F32 && tensor_count(y) == tensor_count(x) && p >= 0.f && p < 1.f);
	d->k->dropout(d, y, x, r, p, add);
}

struct tensor
rows_of(struct tensor x)
{
	return tensor_view(x, 2, tensor_rows(x), tensor_cols(x));
}
