/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ends.h"

#include "kernels/kernels.h"

#include <assert.h>

void
ends_sinusoid(struct dev *d, struct tensor y, struct tensor t)
{
	assert(y.dtype == F32 && t.dtype == F32 && y.rank == 2 && tensor_count(t) == y.dim[0] && y.dim[1] % 2 == 0);
	d->k->sinusoid(d, y, t);
}

static void
check_tokens(struct tensor y, struct tensor x)
{
	assert(x.dtype == F32 && dtype_is_activation(y.dtype) && x.rank == 4 && y.rank == 3 && y.dim[0] == x.dim[0]);
	assert(y.dim[1] == x.dim[3] && y.dim[2] == x.dim[1] * x.dim[2]);
}

void
ends_latent_tokens(struct dev *d, struct tensor y, struct tensor x, bool rows_first)
{
	check_tokens(y, x);
	d->k->latent_tokens(d, y, x, rows_first);
}

void
ends_latents_of_tokens(struct dev *d, struct tensor x, struct tensor y, bool rows_first)
{
	check_tokens(y, x);
	d->k->latents_of_tokens(d, x, y, rows_first);
}

static void
check_norm(struct tensor x, struct tensor stat, struct tensor w)
{
	assert(x.dtype == F32 && x.rank == 3 && stat.rank == 3 && stat.dim[0] == x.dim[0] && stat.dim[2] == 2);
	assert(stat.dim[1] > 0 && x.dim[2] % stat.dim[1] == 0 && w.dtype == F32 && tensor_count(w) == x.dim[2]);
}

void
ends_group_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	check_norm(x, stat, w);
	assert(tensor_same(y, x) && tensor_count(b) == tensor_count(w) && eps > 0.f);
	d->k->group_norm(d, y, stat, x, w, b, eps);
}

void
ends_group_norm_backward(struct dev *d, struct tensor dx, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x,
                         struct tensor stat, struct tensor w)
{
	check_norm(x, stat, w);
	assert(tensor_same(dx, x) && tensor_same(dy, x) && tensor_count(dw) == tensor_count(w));
	assert(tensor_count(db) == tensor_count(w));
	d->k->group_norm_backward(d, dx, dw, db, dy, x, stat, w);
}

static void
check_place(struct tensor y, struct tensor x, int64_t at)
{
	assert(dtype_is_activation(x.dtype) && dtype_is_activation(y.dtype) && x.rank == 3 && y.rank == 3 && x.dim[0] == y.dim[0]);
	assert(x.dim[2] == y.dim[2] && at >= 0 && at + x.dim[1] <= y.dim[1]);
}

void
ends_place(struct dev *d, struct tensor y, struct tensor x, int64_t at)
{
	check_place(y, x, at);
	d->k->place(d, y, x, at);
}

void
ends_take(struct dev *d, struct tensor x, struct tensor y, int64_t at)
{
	check_place(y, x, at);
	d->k->take(d, x, y, at);
}

static void
check_projection(struct tensor p, struct tensor f)
{
	assert(p.dtype == F32 && f.dtype == F32 && p.rank == 2 && f.rank == 2 && p.dim[1] == f.dim[1]);
	assert(p.dim[0] > 0 && f.dim[0] > 0);
}

void
ends_projection_loss(struct dev *d, struct tensor loss, struct tensor p, struct tensor f)
{
	check_projection(p, f);
	assert(tensor_count(loss) == 1);
	d->k->projection_loss(d, loss, p, f);
}

void
ends_projection_loss_backward(struct dev *d, struct tensor dp, struct tensor p, struct tensor f, float weight)
{
	check_projection(p, f);
	assert(tensor_same(dp, p));
	d->k->projection_loss_backward(d, dp, p, f, weight);
}
