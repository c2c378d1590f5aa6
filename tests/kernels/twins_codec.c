/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static const struct tensor none;

static void
conv(struct dev *d, struct tensor *t)
{
	d->k->map_conv(d, t[0], t[1], t[2], t[3], 1);
}

static void
conv_bare(struct dev *d, struct tensor *t)
{
	d->k->map_conv(d, t[0], t[1], t[2], none, 1);
}

static void
conv_half(struct dev *d, struct tensor *t)
{
	d->k->map_conv(d, t[0], t[1], t[2], t[3], 2);
}

static void
depthwise(struct dev *d, struct tensor *t)
{
	d->k->map_depthwise(d, t[0], t[1], t[2], t[3]);
}

static void
depthwise_bare(struct dev *d, struct tensor *t)
{
	d->k->map_depthwise(d, t[0], t[1], t[2], none);
}

static void
blocks(struct dev *d, struct tensor *t)
{
	d->k->map_blocks(d, t[0], t[1], t[2]);
}

static void
bias(struct dev *d, struct tensor *t)
{
	d->k->map_bias(d, t[0], t[1]);
}

static void
rms(struct dev *d, struct tensor *t)
{
	d->k->map_rms(d, t[0], t[1], t[2], t[3], 1e-5f);
}

static void
rms_in_place(struct dev *d, struct tensor *t)
{
	d->k->map_rms(d, t[0], t[0], t[1], t[2], 1e-5f);
}

static void
gate(struct dev *d, struct tensor *t)
{
	d->k->map_gate(d, t[0], t[1]);
}

static void
shrink(struct dev *d, struct tensor *t)
{
	d->k->map_shrink(d, t[0], t[1]);
}

static void
group_mean(struct dev *d, struct tensor *t)
{
	d->k->map_group_mean(d, t[0], t[1]);
}

/* Width from the shapes: y [2 D, ...], two blocks each. */
static void
attend(struct dev *d, struct tensor *t)
{
	d->k->map_attend(d, t[0], t[1], t[0].dim[0] / 2);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
static const struct twin_case cases[] = {
	{ "map_conv", conv, 1e-5, 0, { N(3, { 9, 13, 171 }), N(3, { 7, 13, 171 }), N(4, { 9, 7, 3, 3 }), N(1, { 9 }) }, NULL },
	{ "map_conv", conv, 1e-5, 0, { N(3, { 3, 5, 1 }), N(3, { 70, 5, 1 }), N(4, { 3, 70, 3, 3 }), N(1, { 3 }) }, NULL },
	{ "map_conv", conv_bare, 1e-5, 0, { N(3, { 5, 7, 11 }), N(3, { 6, 7, 11 }), N(4, { 5, 6, 5, 5 }) }, NULL },
	{ "map_conv", conv_bare, 1e-5, 0, { N(3, { 2, 61, 65 }), N(3, { 2, 61, 65 }), N(4, { 2, 2, 3, 3 }) }, NULL },
	{ "map_conv", conv_half, 1e-5, 0, { N(3, { 9, 8, 17 }), N(3, { 7, 16, 34 }), N(4, { 9, 7, 3, 3 }), N(1, { 9 }) }, NULL },
	{ "map_conv", conv_half, 1e-5, 0, { N(3, { 2, 4, 1 }), N(3, { 3, 8, 2 }), N(4, { 2, 3, 3, 3 }), N(1, { 2 }) }, NULL },
	{ "map_depthwise", depthwise, 1e-5, 0, { N(3, { 9, 13, 71 }), N(3, { 9, 13, 71 }), N(4, { 9, 1, 3, 3 }), N(1, { 9 }) }, NULL },
	{ "map_depthwise", depthwise_bare, 1e-5, 0, { N(3, { 9, 13, 1 }), N(3, { 9, 13, 1 }), N(4, { 9, 1, 5, 5 }) }, NULL },
	{ "map_blocks", blocks, 1e-5, 0, { N(3, { 24, 4, 33 }), N(3, { 24, 4, 33 }), N(2, { 24, 8 }) }, NULL },
	{ "map_bias", bias, 1e-6, 0, { N(3, { 24, 16, 133 }), N(1, { 24 }) }, NULL },
	{ "map_rms", rms, 1e-5, 0, { N(3, { 24, 5, 133 }), N(3, { 24, 5, 133 }), N(1, { 24 }), N(1, { 24 }) }, NULL },
	{ "map_rms", rms_in_place, 1e-5, 0, { N(3, { 24, 5, 133 }), N(1, { 24 }), N(1, { 24 }) }, NULL },
	{ "map_gate", gate, 1e-6, 0, { N(3, { 24, 16, 133 }), N(3, { 48, 16, 133 }) }, NULL },
	{ "map_shrink", shrink, 1e-6, 0, { N(3, { 10, 7, 33 }), N(3, { 5, 14, 66 }) }, NULL },
	{ "map_shrink", shrink, 1e-6, 0, { N(3, { 8, 3, 1 }), N(3, { 2, 6, 2 }) }, NULL },
	{ "map_group_mean", group_mean, 1e-6, 0, { N(3, { 8, 3, 41 }), N(3, { 64, 3, 41 }) }, NULL },
	{ "map_attend", attend, 1e-5, 0, { N(3, { 16, 5, 433 }), N(3, { 48, 5, 433 }) }, NULL },
	{ "map_attend", attend, 1e-5, 0, { N(3, { 64, 4, 8 }), N(3, { 192, 4, 8 }) }, NULL },
};
const struct twin_cases twins_codec = { cases, sizeof cases / sizeof *cases };
