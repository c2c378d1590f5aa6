/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static const struct tensor none;

static void
twice(struct dev *d, struct tensor *t)
{
	d->k->map_double(d, t[0], t[1]);
}

static void
grow(struct dev *d, struct tensor *t)
{
	d->k->map_grow(d, t[0], t[1]);
}

static void
repeat(struct dev *d, struct tensor *t)
{
	d->k->map_repeat(d, t[0], t[1]);
}

static void
relu(struct dev *d, struct tensor *t)
{
	d->k->map_relu(d, t[0], t[1]);
}

static void
relu_in_place(struct dev *d, struct tensor *t)
{
	d->k->map_relu(d, t[0], t[0]);
}

static void
conv(struct dev *d, struct tensor *t)
{
	d->k->wave_conv(d, t[0], t[1], t[2], t[3], 1, false);
}

static void
conv_bare(struct dev *d, struct tensor *t)
{
	d->k->wave_conv(d, t[0], t[1], t[2], none, 1, false);
}

static void
conv_edge(struct dev *d, struct tensor *t)
{
	d->k->wave_conv(d, t[0], t[1], t[2], t[3], 1, true);
}

static void
conv_wide(struct dev *d, struct tensor *t)
{
	d->k->wave_conv(d, t[0], t[1], t[2], t[3], 5, false);
}

static void
depthwise(struct dev *d, struct tensor *t)
{
	d->k->wave_depthwise(d, t[0], t[1], t[2], t[3]);
}

/* The stride from the shapes. */
static void
up(struct dev *d, struct tensor *t)
{
	d->k->wave_up(d, t[0], t[1], t[2], t[3], (int)(t[0].dim[1] / t[1].dim[1]));
}

static void
norm(struct dev *d, struct tensor *t)
{
	d->k->wave_norm(d, t[0], t[1], t[2], t[3], 1e-6f);
}

static void
norm_in_place(struct dev *d, struct tensor *t)
{
	d->k->wave_norm(d, t[0], t[0], t[1], t[2], 1e-6f);
}

static void
gelu(struct dev *d, struct tensor *t)
{
	d->k->wave_gelu(d, t[0], t[1]);
}

static void
scale_add(struct dev *d, struct tensor *t)
{
	d->k->wave_scale_add(d, t[0], t[1], t[2]);
}

static void
tanh_of(struct dev *d, struct tensor *t)
{
	d->k->wave_tanh(d, t[0], t[1]);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
static const struct twin_case cases[] = {
	{ "map_double", twice, 0, 0, { N(3, { 5, 14, 66 }), N(3, { 5, 7, 33 }) }, NULL },
	{ "map_double", twice, 0, 0, { N(3, { 3, 2, 2 }), N(3, { 3, 1, 1 }) }, NULL },
	{ "map_grow", grow, 1e-6, 0, { N(3, { 5, 14, 66 }), N(3, { 10, 7, 33 }) }, NULL },
	{ "map_grow", grow, 1e-6, 0, { N(3, { 6, 6, 2 }), N(3, { 6, 3, 1 }) }, NULL },
	{ "map_grow", grow, 1e-6, 0, { N(3, { 1, 4, 6 }), N(3, { 4, 2, 3 }) }, NULL },
	{ "map_repeat", repeat, 1e-6, 0, { N(3, { 64, 3, 41 }), N(3, { 8, 3, 41 }) }, NULL },
	{ "map_relu", relu, 0, 0, { N(3, { 24, 16, 133 }), N(3, { 24, 16, 133 }) }, NULL },
	{ "map_relu", relu_in_place, 0, 0, { N(3, { 2, 16, 133 }) }, NULL },
	{ "wave_conv", conv, 1e-5, 0, { N(2, { 9, 4171 }), N(2, { 7, 4171 }), N(3, { 9, 7, 13 }), N(1, { 9 }) }, NULL },
	{ "wave_conv", conv, 1e-5, 0, { N(2, { 1, 5 }), N(2, { 70, 5 }), N(3, { 1, 70, 13 }), N(1, { 1 }) }, NULL },
	{ "wave_conv", conv_bare, 1e-5, 0, { N(2, { 5, 300 }), N(2, { 600, 300 }), N(3, { 5, 600, 11 }) }, NULL },
	{ "wave_conv", conv_edge, 1e-5, 0, { N(2, { 9, 171 }), N(2, { 7, 171 }), N(3, { 9, 7, 7 }), N(1, { 9 }) }, NULL },
	{ "wave_conv", conv_edge, 1e-5, 0, { N(2, { 9, 1 }), N(2, { 7, 1 }), N(3, { 9, 7, 7 }), N(1, { 9 }) }, NULL },
	{ "wave_conv", conv_wide, 1e-5, 0, { N(2, { 9, 171 }), N(2, { 7, 171 }), N(3, { 9, 7, 7 }), N(1, { 9 }) }, NULL },
	{ "wave_conv", conv_wide, 1e-5, 0, { N(2, { 3, 12 }), N(2, { 3, 12 }), N(3, { 3, 3, 13 }), N(1, { 3 }) }, NULL },
	{ "wave_conv", conv_wide, 1e-5, 0, { N(2, { 64, 253 }), N(2, { 300, 253 }), N(3, { 64, 300, 3 }), N(1, { 64 }) }, NULL },
	{ "wave_conv", conv_wide, 1e-5, 0, { N(2, { 70, 253 }), N(2, { 300, 253 }), N(3, { 70, 300, 3 }), N(1, { 70 }) }, NULL },
	{ "wave_conv", conv, 1e-5, 0, { N(2, { 9, 500 }), N(2, { 3, 500 }), N(3, { 9, 3, 259 }), N(1, { 9 }) }, NULL },
	{ "wave_conv", conv_edge, 1e-5, 0, { N(2, { 3, 90 }), N(2, { 5, 90 }), N(3, { 3, 5, 259 }), N(1, { 3 }) }, NULL },
	{ "wave_depthwise", depthwise, 1e-5, 0, { N(2, { 9, 271 }), N(2, { 9, 271 }), N(3, { 9, 1, 7 }), N(1, { 9 }) }, NULL },
	{ "wave_depthwise", depthwise, 1e-5, 0, { N(2, { 9, 2 }), N(2, { 9, 2 }), N(3, { 9, 1, 7 }), N(1, { 9 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 6, 4 * 333 }), N(2, { 11, 333 }), N(3, { 11, 6, 8 }), N(1, { 6 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 160, 2 * 700 }), N(2, { 5, 700 }), N(3, { 5, 160, 16 }), N(1, { 160 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 6, 4 }), N(2, { 11, 1 }), N(3, { 11, 6, 8 }), N(1, { 6 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 6, 3 * 33 }), N(2, { 11, 33 }), N(3, { 11, 6, 3 }), N(1, { 6 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 6, 3 * 250 }), N(2, { 200, 250 }), N(3, { 200, 6, 5 }), N(1, { 6 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 6, 18 * 33 }), N(2, { 11, 33 }), N(3, { 11, 6, 20 }), N(1, { 6 }) }, NULL },
	{ "wave_up", up, 1e-5, 0, { N(2, { 160, 17 * 9 }), N(2, { 11, 9 }), N(3, { 11, 160, 51 }), N(1, { 160 }) }, NULL },
	{ "wave_norm", norm, 1e-5, 0, { N(2, { 24, 1133 }), N(2, { 24, 1133 }), N(1, { 24 }), N(1, { 24 }) }, NULL },
	{ "wave_norm", norm_in_place, 1e-5, 0, { N(2, { 100, 33 }), N(1, { 100 }), N(1, { 100 }) }, NULL },
	{ "wave_gelu", gelu, 1e-6, 0, { N(2, { 24, 1133 }), N(2, { 24, 1133 }) }, NULL },
	{ "wave_scale_add", scale_add, 1e-6, 0, { N(2, { 24, 1133 }), N(2, { 24, 1133 }), N(1, { 24 }) }, NULL },
	{ "wave_tanh", tanh_of, 1e-6, 0, { N(2, { 3, 11330 }), N(2, { 3, 11330 }) }, NULL },
};
const struct twin_cases twins_wave = { cases, sizeof cases / sizeof *cases };
