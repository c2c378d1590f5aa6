/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/wave.h"

#include "kernels/kernels.h"

#include <assert.h>

static bool
is_map(struct tensor x)
{
	return x.rank == 3 && x.dtype == F32;
}

static bool
is_wave(struct tensor x)
{
	return x.rank == 2 && x.dtype == F32;
}

static bool
is_channels(struct tensor b, struct tensor x, bool may_lack)
{
	return (may_lack && b.rank == 0) || (b.rank == 1 && b.dtype == F32 && b.dim[0] == x.dim[0]);
}

static bool
is_kernel(struct tensor w, int64_t first, int64_t second)
{
	return w.rank == 3 && w.dtype == F32 && w.dim[0] == first && w.dim[1] == second;
}

void
map_double(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(y) && is_map(x) && y.dim[0] == x.dim[0] && y.dim[1] == 2 * x.dim[1] && y.dim[2] == 2 * x.dim[2]);
	d->k->map_double(d, y, x);
}

void
map_grow(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(y) && is_map(x) && 4 * y.dim[0] % x.dim[0] == 0 && y.dim[1] == 2 * x.dim[1] && y.dim[2] == 2 * x.dim[2]);
	d->k->map_grow(d, y, x);
}

void
map_repeat(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_map(y) && is_map(x) && y.dim[0] % x.dim[0] == 0 && y.dim[1] == x.dim[1] && y.dim[2] == x.dim[2]);
	d->k->map_repeat(d, y, x);
}

void
map_relu(struct dev *d, struct tensor y, struct tensor x)
{
	assert(y.dtype == F32 && tensor_same(y, x));
	d->k->map_relu(d, y, x);
}

void
wave_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)
{
	assert(is_wave(y) && is_wave(x) && y.dim[1] == x.dim[1] && is_kernel(w, y.dim[0], x.dim[0]) && w.dim[2] % 2 == 1);
	assert(is_channels(b, y, true) && dilation >= 1);
	d->k->wave_conv(d, y, x, w, b, dilation, edge);
}

void
wave_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	assert(is_wave(x) && tensor_same(y, x) && is_kernel(w, x.dim[0], 1) && w.dim[2] % 2 == 1 && is_channels(b, y, true));
	d->k->wave_depthwise(d, y, x, w, b);
}

void
wave_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)
{
	assert(is_wave(y) && is_wave(x) && y.dim[1] == u * x.dim[1] && is_kernel(w, x.dim[0], y.dim[0]) && is_channels(b, y, true));
	assert(u >= 1 && w.dim[2] >= u && (w.dim[2] - u) % 2 == 0);
	d->k->wave_up(d, y, x, w, b, u);
}

void
wave_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	assert(is_wave(y) && is_wave(x) && y.dim[1] == x.dim[1] && w.rank == 2 && w.dim[0] == y.dim[0] && w.dim[1] == x.dim[0]);
	assert(w.dtype == F32 && is_channels(b, y, true));
	d->k->gemm(d, y, w, x, false, false, 1.f, 0.f);
	if (b.rank)
		d->k->map_bias(d, y, b);
}

void
wave_norm(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	assert(is_wave(x) && tensor_same(y, x) && is_channels(w, x, false) && is_channels(b, x, false) && eps > 0);
	d->k->wave_norm(d, y, x, w, b, eps);
}

void
wave_silu(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_wave(x) && tensor_same(y, x));
	d->k->silu(d, y, x);
}

void
wave_gelu(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_wave(x) && tensor_same(y, x));
	d->k->wave_gelu(d, y, x);
}

void
wave_scale_add(struct dev *d, struct tensor y, struct tensor x, struct tensor g)
{
	assert(is_wave(x) && tensor_same(y, x) && is_channels(g, x, false));
	d->k->wave_scale_add(d, y, x, g);
}

void
wave_tanh(struct dev *d, struct tensor y, struct tensor x)
{
	assert(is_wave(x) && tensor_same(y, x));
	d->k->wave_tanh(d, y, x);
}
