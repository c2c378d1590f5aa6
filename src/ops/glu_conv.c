/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/glu_conv.h"

#include "kernels/kernels.h"

#include <assert.h>

static void
check(struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	assert(x.rank == 3 && u.rank == 3 && x.dim[0] == u.dim[0] && x.dim[1] == u.dim[1] && x.dim[2] == 2 * u.dim[2]);
	assert(w.rank == 3 && w.dim[0] == x.dim[2] && w.dim[1] == 1 && w.dim[2] == 3 && tensor_count(b) == x.dim[2]);
	assert(dtype_is_activation(x.dtype) && dtype_is_activation(u.dtype) && w.dtype == F32 && b.dtype == F32);
}

void
glu_conv_forward(struct dev *d, struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	check(u, x, w, b);
	d->k->glu_conv(d, u, x, w, b);
}

void
glu_conv_backward(struct dev *d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b)
{
	check(du, x, w, b);
	assert(tensor_same(dx, x));
	d->k->glu_conv_backward(d, dx, du, x, w, b);
}

void
glu_conv_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
               struct tensor b)
{
	check(du, x, w, b);
	assert(tensor_same(dw, w) && tensor_same(db, b));
	d->k->glu_conv_grads(d, dw, db, du, x, w, b);
}
