/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/map.h"

#include "kernels/kernels.h"

#include <assert.h>

static bool
is_map(struct tensor x)
{
	return x.rank == 3 && x.dtype == F32;
}

static bool
is_channels(struct tensor b, struct tensor x, bool may_lack)
{
	return (may_lack && b.rank == 0) || (b.rank == 1 && b.dtype == F32 && b.dim[0] == x.dim[0]);
}

void
map_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)
{
	assert(is_map(y) && is_map(x) && w.rank == 4 && w.dtype == F32 && is_channels(b, y, true));
	assert(w.dim[0] == y.dim[0] && w.dim[1] == x.dim[0] && w.dim[2] == w.dim[3] && w.dim[2] % 2 == 1 && stride >= 1);
	assert(y.dim[1] == (x.dim[1] + stride - 1) / stride && y.dim[2] == (x.dim[2] + stride - 1) / stride);
	d->k->map_conv(d, y, x, w, b, stride);
}

void
map_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	assert(is_map(x) && tensor_same(y, x) && w.rank == 4 && w.dtype == F32 && is_channels(b, y, true));
	assert(w.dim[0] == x.dim[0] && w.dim[1] == 1 && w.dim[2] == w.dim[3] && w.dim[2] % 2 == 1);
	d->k->map_depthwise(d, y, x, w, b);
}

void
map_blocks(struct dev *d, struct tensor y, struct tensor x, struct tensor w)
{
	assert(is_map(x) && tensor_same(y, x) && w.rank == 2 && w.dtype == F32);
	assert(w.dim[0] == x.dim[0] && x.dim[0] % w.dim[1] == 0);
	d->k->map_blocks(d, y, x, w);
}

void
map_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t n = x.dim[1] * x.dim[2];

	assert(is_map(y) && is_map(x) && w.rank == 2 && w.dtype == F32 && is_channels(b, y, true));
	assert(y.dim[1] == x.dim[1] && y.dim[2] == x.dim[2] && w.dim[0] == y.dim[0] && w.dim[1] == x.dim[0]);
	d->k->gemm(d, tensor_view(y, 2, y.dim[0], n), w, tensor_view(x, 2, x.dim[0], n), false, false, 1.f, 0.f);
	if (b.rank)
		d->k->map_bias(d, y, b);
}

void
map_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	assert(is_map(x) && tensor_same(y, x) && is_channels(w, x, false) && is_channels(b, x, false) && eps > 0);
	d->k->map_rms(d, y, x, w, b, eps);
}

void
map_silu(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(x) && tensor_same(y, x));
	d->k->silu(d, y, x);
}

void
map_gate(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(x) && is_map(y) && x.dim[0] == 2 * y.dim[0] && x.dim[1] == y.dim[1] && x.dim[2] == y.dim[2]);
	d->k->map_gate(d, y, x);
}

void
map_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(x) && is_map(y) && x.dim[1] == 2 * y.dim[1] && x.dim[2] == 2 * y.dim[2]);
	assert(4 * x.dim[0] % y.dim[0] == 0);
	d->k->map_shrink(d, y, x);
}

void
map_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(x) && is_map(y) && x.dim[1] == y.dim[1] && x.dim[2] == y.dim[2] && x.dim[0] % y.dim[0] == 0);
	d->k->map_group_mean(d, y, x);
}

void
map_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	assert(is_map(x) && is_map(y) && x.dim[0] == 3 * y.dim[0] && y.dim[0] % width == 0);
	assert(x.dim[1] == y.dim[1] && x.dim[2] == y.dim[2]);
	d->k->map_attend(d, y, x, width);
}

void
map_add(struct dev *d, struct tensor y, struct tensor x)
{
	assert(tensor_same(y, x) && y.dtype == F32);
	d->k->axpy(d, y, x, 1.f);
}
