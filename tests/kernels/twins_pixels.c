/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static const struct tensor none;

#define CALL(name, ...)                                   \
	static void name(struct dev *d, struct tensor *t) \
	{                                                 \
		d->k->__VA_ARGS__;                        \
	}
CALL(from_map, pix_from_map(d, t[0], t[1]))
CALL(to_map, pix_to_map(d, t[0], t[1]))
CALL(conv, pix_conv(d, t[0], t[1], t[2], t[3], 1, false))
CALL(conv_silu, pix_conv(d, t[0], t[1], t[2], t[3], 1, true))
CALL(conv_bare, pix_conv(d, t[0], t[1], t[2], none, 1, false))
CALL(conv_half, pix_conv(d, t[0], t[1], t[2], t[3], 2, false))
CALL(mix, pix_mix(d, t[0], t[1], t[2], t[3]))
CALL(glu, pix_glu(d, t[0], t[1], t[2], t[3]))
CALL(norm_add, pix_norm_add(d, t[0], t[1], t[2], t[3], 1e-5f))
CALL(shrink, pix_shrink(d, t[0], t[1]))
CALL(group_mean, pix_group_mean(d, t[0], t[1]))

/* Two blocks of channels. */
CALL(attend, pix_attend(d, t[0], t[1], t[0].dim[2] / 2))

/* A row holds what is mixed and, behind it, what comes of it; as the product before it writes. */
static void
mix_beside(struct dev *d, struct tensor *t)
{
	int64_t n = t[0].dim[2] / 2;

	d->k->pix_mix(d, tensor_columns(t[0], n, n), tensor_columns(t[0], 0, n), t[1], t[2]);
}

static void
linear_beside(struct dev *d, struct tensor *t)
{
	d->k->pix_conv(d, tensor_columns(t[0], 0, t[0].dim[2] / 2), t[1], t[2], none, 1, false);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define H(...) { BF16, __VA_ARGS__, TWIN_NORMAL }
/* Where bf16 is stored the twins may round a number to two sides: 2^-7 of the largest entry covers that. */
#define TOL 0x1p-7, 0
static const struct twin_case cases[] = {
	{ "pix_from_map", from_map, 1e-6, 0, { H(3, { 5, 33, 8 }), N(3, { 2, 5, 33 }) }, NULL },
	{ "pix_to_map", to_map, 1e-6, 0, { N(3, { 8, 5, 33 }), N(3, { 5, 33, 8 }) }, NULL },
	{ "pix_conv", conv, TOL, { H(3, { 9, 31, 24 }), H(3, { 9, 31, 16 }), H(4, { 24, 3, 3, 16 }), H(1, { 24 }) }, NULL },
	{ "pix_conv", conv_silu, TOL, { H(3, { 5, 67, 136 }), H(3, { 5, 67, 72 }), H(4, { 136, 3, 3, 72 }), H(1, { 136 }) }, NULL },
	{ "pix_conv", conv_silu, TOL, { H(3, { 1, 1, 2 }), H(3, { 1, 1, 8 }), H(4, { 2, 3, 3, 8 }), H(1, { 2 }) }, NULL },
	{ "pix_conv", conv_bare, TOL, { H(3, { 7, 11, 8 }), H(3, { 7, 11, 128 }), H(4, { 8, 3, 3, 128 }) }, NULL },
	{ "pix_conv", conv_bare, TOL, { H(3, { 7, 11, 8 }), H(3, { 7, 11, 8 }), H(4, { 8, 5, 5, 8 }) }, NULL },
	{ "pix_conv", conv, 1e-5, 0, { N(3, { 7, 11, 8 }), H(3, { 7, 11, 128 }), H(4, { 8, 3, 3, 128 }), H(1, { 8 }) }, NULL },
	{ "pix_conv", conv_half, TOL, { H(3, { 4, 17, 48 }), H(3, { 8, 34, 24 }), H(4, { 48, 3, 3, 24 }), H(1, { 48 }) }, NULL },
	{ "pix_conv", conv_half, TOL, { H(3, { 3, 1, 16 }), H(3, { 5, 1, 8 }), H(4, { 16, 3, 3, 8 }), H(1, { 16 }) }, NULL },
	{ "pix_conv", conv, TOL, { H(3, { 5, 13, 40 }), H(3, { 5, 13, 24 }), H(4, { 40, 1, 1, 24 }), H(1, { 40 }) }, NULL },
	{ "pix_conv", linear_beside, TOL, { H(3, { 5, 13, 80 }), H(3, { 5, 13, 24 }), H(4, { 40, 1, 1, 24 }) }, NULL },
	{ "pix_conv", conv, TOL, { H(3, { 3, 37, 128 }), H(3, { 3, 37, 8 }), H(4, { 128, 3, 3, 8 }), H(1, { 128 }) }, NULL },
	{ "pix_conv", conv_silu, TOL, { H(3, { 1, 1, 64 }), H(3, { 1, 1, 8 }), H(4, { 64, 3, 3, 8 }), H(1, { 64 }) }, NULL },
	{ "pix_conv", conv_silu, TOL, { H(3, { 9, 19, 136 }), H(3, { 9, 19, 64 }), H(4, { 136, 3, 3, 64 }), H(1, { 136 }) }, NULL },
	{ "pix_conv", conv_silu, TOL, { H(3, { 9, 17, 136 }), H(3, { 9, 17, 128 }), H(4, { 136, 1, 1, 128 }), H(1, { 136 }) }, NULL },
	{ "pix_conv", conv_bare, TOL, { H(3, { 2200, 1, 8 }), H(3, { 2200, 1, 64 }), H(4, { 8, 3, 3, 64 }) }, NULL },
	{ "pix_conv", conv_bare, TOL, { H(3, { 5, 3, 8 }), H(3, { 5, 3, 64 }), H(4, { 8, 5, 5, 64 }) }, NULL },
	{ "pix_conv", conv_half, TOL, { H(3, { 6, 9, 24 }), H(3, { 12, 17, 128 }), H(4, { 24, 3, 3, 128 }), H(1, { 24 }) }, NULL },
	{ "pix_conv", conv_half, TOL, { H(3, { 3, 1, 16 }), H(3, { 5, 1, 64 }), H(4, { 16, 3, 3, 64 }), H(1, { 16 }) }, NULL },
	{ "pix_mix", mix, TOL, { H(3, { 6, 37, 48 }), H(3, { 6, 37, 48 }), H(3, { 5, 5, 48 }), H(2, { 48, 16 }) }, NULL },
	{ "pix_mix", mix, TOL, { H(3, { 3, 1, 64 }), H(3, { 3, 1, 64 }), H(3, { 3, 3, 64 }), H(2, { 64, 64 }) }, NULL },
	{ "pix_mix", mix, TOL, { H(3, { 2, 40, 16 }), H(3, { 2, 40, 16 }), H(3, { 3, 3, 16 }), H(2, { 16, 8 }) }, NULL },
	{ "pix_mix", mix_beside, TOL, { H(3, { 6, 37, 192 }), H(3, { 5, 5, 96 }), H(2, { 96, 32 }) }, NULL },
	{ "pix_glu", glu, TOL, { H(3, { 5, 71, 24 }), H(3, { 5, 71, 48 }), H(3, { 3, 3, 48 }), H(1, { 48 }) }, NULL },
	{ "pix_glu", glu, TOL, { H(3, { 1, 1, 258 }), H(3, { 1, 1, 516 }), H(3, { 3, 3, 516 }), H(1, { 516 }) }, NULL },
	{ "pix_glu", glu, TOL, { H(3, { 3, 32, 2 }), H(3, { 3, 32, 4 }), H(3, { 3, 3, 4 }), H(1, { 4 }) }, NULL },
	{ "pix_attend", attend, TOL, { H(3, { 5, 233, 32 }), H(3, { 5, 233, 96 }) }, NULL },
	{ "pix_attend", attend, TOL, { H(3, { 16, 7, 64 }), H(3, { 16, 7, 192 }) }, NULL },
	{ "pix_attend", attend, TOL, { H(3, { 2, 33, 128 }), H(3, { 2, 33, 384 }) }, NULL },
	{ "pix_attend", attend, TOL, { H(3, { 1, 1, 16 }), H(3, { 1, 1, 48 }) }, NULL },
	{ "pix_norm_add", norm_add, TOL, { H(3, { 5, 13, 24 }), H(3, { 5, 13, 24 }), H(1, { 24 }), H(1, { 24 }) }, NULL },
	{ "pix_mix", mix, TOL, { H(3, { 35, 18, 96 }), H(3, { 35, 18, 96 }), H(3, { 5, 5, 96 }), H(2, { 96, 32 }) }, NULL },
	{ "pix_norm_add", norm_add, TOL, { H(3, { 3, 7, 128 }), H(3, { 3, 7, 128 }), H(1, { 128 }), H(1, { 128 }) }, NULL },
	{ "pix_norm_add", norm_add, TOL, { H(3, { 3, 7, 256 }), H(3, { 3, 7, 256 }), H(1, { 256 }), H(1, { 256 }) }, NULL },
	{ "pix_norm_add", norm_add, TOL, { H(3, { 3, 7, 512 }), H(3, { 3, 7, 512 }), H(1, { 512 }), H(1, { 512 }) }, NULL },
	{ "pix_norm_add", norm_add, TOL, { H(3, { 1, 9, 1024 }), H(3, { 1, 9, 1024 }), H(1, { 1024 }), H(1, { 1024 }) }, NULL },
	{ "pix_shrink", shrink, TOL, { H(3, { 3, 17, 16 }), H(3, { 6, 34, 8 }) }, NULL },
	{ "pix_glu", glu, TOL, { H(3, { 6, 3, 8 }), H(3, { 6, 3, 16 }), H(3, { 3, 3, 16 }), H(1, { 16 }) }, NULL },
	{ "pix_shrink", shrink, TOL, { H(3, { 2, 1, 12 }), H(3, { 4, 2, 24 }) }, NULL },
	{ "pix_shrink", shrink, TOL, { H(3, { 2, 1, 10 }), H(3, { 4, 2, 5 }) }, NULL },
	{ "pix_group_mean", group_mean, 1e-5, 0, { N(3, { 3, 41, 8 }), H(3, { 3, 41, 64 }) }, NULL },
};
const struct twin_cases twins_pixels = { cases, sizeof cases / sizeof *cases };
