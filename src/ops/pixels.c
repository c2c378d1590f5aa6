/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/pixels.h"

#include "kernels/kernels.h"

#include <assert.h>

static bool
is_pixels(struct tensor x)
{
	return x.rank == 3 && x.dtype == BF16;
}

static bool
dense(struct tensor x)
{
	return tensor_ld(x) == tensor_cols(x);
}

static bool
is_channels(struct tensor b, int64_t n)
{
	return b.rank == 1 && b.dtype == BF16 && b.dim[0] == n;
}

static bool
same_places(struct tensor y, struct tensor x)
{
	return y.dim[0] == x.dim[0] && y.dim[1] == x.dim[1];
}

void
pix_from_map(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_pixels(y) && dense(y) && x.rank == 3 && x.dtype == F32);
	assert(y.dim[0] == x.dim[1] && y.dim[1] == x.dim[2] && y.dim[2] >= x.dim[0]);
	d->k->pix_from_map(d, y, x);
}

void
pix_to_map(struct dev *d, struct tensor y, struct tensor x)
{
	assert(y.rank == 3 && y.dtype == F32 && x.rank == 3 && x.dtype == F32 && dense(x));
	assert(y.dim[0] == x.dim[2] && y.dim[1] == x.dim[0] && y.dim[2] == x.dim[1]);
	d->k->pix_to_map(d, y, x);
}

void
pix_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride, bool silu)
{
	assert(y.rank == 3 && (y.dtype == BF16 || y.dtype == F32) && is_pixels(x) && w.rank == 4 && w.dtype == BF16);
	assert(w.dim[0] == y.dim[2] && w.dim[3] == x.dim[2] && w.dim[1] == w.dim[2] && w.dim[1] % 2 == 1 && stride >= 1);
	assert(y.dim[0] == (x.dim[0] + stride - 1) / stride && y.dim[1] == (x.dim[1] + stride - 1) / stride);
	assert(x.dim[2] % 8 == 0 && y.dim[2] % 2 == 0 && (!b.rank || is_channels(b, y.dim[2])));
	assert((dense(x) && dense(y)) || (w.dim[1] == 1 && stride == 1 && !silu));
	d->k->pix_conv(d, y, x, w, b, stride, silu);
}

void
pix_mix(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m)
{
	assert(is_pixels(x) && is_pixels(y) && same_places(y, x) && y.dim[2] == x.dim[2]);
	assert(w.rank == 3 && w.dtype == BF16 && (w.dim[0] == 3 || w.dim[0] == 5) && w.dim[1] == w.dim[0] && w.dim[2] == x.dim[2]);
	assert(m.rank == 2 && m.dtype == BF16 && m.dim[0] == x.dim[2] && x.dim[2] % m.dim[1] == 0);
	d->k->pix_mix(d, y, x, w, m);
}

void
pix_glu(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	assert(is_pixels(x) && is_pixels(y) && dense(x) && dense(y) && same_places(y, x) && x.dim[2] == 2 * y.dim[2]);
	assert(w.rank == 3 && w.dtype == BF16 && w.dim[0] == 3 && w.dim[1] == 3 && w.dim[2] == x.dim[2] && y.dim[2] % 2 == 0);
	assert(is_channels(b, x.dim[2]));
	d->k->pix_glu(d, y, x, w, b);
}

void
pix_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	assert(is_pixels(x) && is_pixels(y) && dense(x) && dense(y) && same_places(y, x));
	assert(x.dim[2] == 3 * y.dim[2] && y.dim[2] % width == 0);
	d->k->pix_attend(d, y, x, width);
}

void
pix_norm_add(struct dev *d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps)
{
	int64_t n = tensor_cols(x);

	assert(x.dtype == BF16 && tensor_same(y, x) && dense(x) && dense(y) && n % 4 == 0 && eps > 0);
	assert(is_channels(w, n) && is_channels(b, n));
	d->k->pix_norm_add(d, x, y, w, b, eps);
}

void
pix_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_pixels(x) && is_pixels(y) && dense(x) && dense(y) && x.dim[0] == 2 * y.dim[0] && x.dim[1] == 2 * y.dim[1]);
	assert(4 * x.dim[2] % y.dim[2] == 0);
	d->k->pix_shrink(d, y, x);
}

void
pix_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	assert(y.rank == 3 && y.dtype == F32 && is_pixels(x) && dense(y) && dense(x) && same_places(y, x) && x.dim[2] % y.dim[2] == 0);
	d->k->pix_group_mean(d, y, x);
}
