/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/text.h"

#include "kernels/kernels.h"

#include <assert.h>

static bool
is_number(struct tensor x)
{
	return x.dtype == F32 || x.dtype == BF16;
}

void
text_embed(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	assert(is_number(y) && table.rank == 2 && ids.dtype == I32);
	assert(tensor_rows(y) == tensor_count(ids) && tensor_cols(y) == table.dim[1]);
	assert(is_number(table) || table.dtype == F16);
	d->k->text_embed(d, y, table, ids);
}

void
text_round(struct dev *d, struct tensor x)
{
	assert(x.dtype == F32);
	d->k->text_round(d, x);
}

void
text_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half)
{
	assert(tensor_same(y, x) && is_number(x) && is_number(w) && tensor_count(w) == tensor_cols(x));
	d->k->text_rms(d, y, x, w, eps, half);
}

void
text_gate(struct dev *d, struct tensor y, struct tensor a, struct tensor b, bool half)
{
	assert(tensor_same(y, a) && tensor_same(a, b) && is_number(a));
	d->k->text_gate(d, y, a, b, half);
}

void
text_bias(struct dev *d, struct tensor y, struct tensor table, int64_t distance)
{
	assert(y.rank == 3 && y.dtype == F32 && y.dim[1] == y.dim[2] && is_number(table) && table.rank == 2);
	assert(table.dim[1] == y.dim[0] && table.dim[0] >= 4 && distance > table.dim[0] / 4);
	d->k->text_bias(d, y, table, distance);
}

void
text_attend(struct dev *d, struct tensor o, struct tensor a, struct tensor q, struct tensor k, struct tensor v,
            struct tensor bias, struct tensor mask, bool half)
{
	assert(q.rank == 3 && is_number(q) && tensor_same(o, q) && tensor_same(k, q) && tensor_same(v, q));
	assert(bias.rank == 3 && bias.dtype == F32 && bias.dim[1] == q.dim[1] && q.dim[2] % bias.dim[0] == 0);
	assert(mask.rank == 2 && mask.dtype == F32 && mask.dim[0] == q.dim[0] && mask.dim[1] == q.dim[1]);
	assert(a.rank == 0 || (a.dtype == F32 && tensor_count(a) == q.dim[0] * tensor_count(bias)));
	d->k->text_attend(d, o, a, q, k, v, bias, mask, half);
}
