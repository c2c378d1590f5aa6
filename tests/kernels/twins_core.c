/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static void
gemm_nn(struct dev *d, struct tensor *t)
{
	d->k->gemm(d, t[0], t[1], t[2], false, false, 0.5f, 0.f);
}

static void
gemm_nt_add(struct dev *d, struct tensor *t)
{
	d->k->gemm(d, t[0], t[1], t[2], false, true, 0.5f, 1.f);
}

static void
gemm_tn(struct dev *d, struct tensor *t)
{
	d->k->gemm(d, t[0], t[1], t[2], true, false, 2.f, 1.f);
}

static void
linear(struct dev *d, struct tensor *t)
{
	d->k->linear(d, t[0], t[1], t[2], t[3], t[4]);
}

static void
linear_bare(struct dev *d, struct tensor *t)
{
	d->k->linear(d, t[0], t[1], t[2], (struct tensor){ 0 }, (struct tensor){ 0 });
}

static void
linear_onto(struct dev *d, struct tensor *t)
{
	d->k->linear(d, t[0], t[1], t[2], t[3], t[0]);
}

static void
bias_add(struct dev *d, struct tensor *t)
{
	d->k->bias_add(d, t[0], t[1]);
}

static void
column_sum(struct dev *d, struct tensor *t)
{
	d->k->column_sum(d, t[0], t[1]);
}

static void
axpy(struct dev *d, struct tensor *t)
{
	d->k->axpy(d, t[0], t[1], -0.3f);
}

static void
scale(struct dev *d, struct tensor *t)
{
	d->k->scale(d, t[0], t[1], -0.3f);
}

static void
dropout(struct dev *d, struct tensor *t)
{
	d->k->dropout(d, t[0], t[1], rng_stream(3, RNG_TEST, 0, 0), 0.3f, false);
}

static void
dropout_add(struct dev *d, struct tensor *t)
{
	d->k->dropout(d, t[0], t[1], rng_stream(3, RNG_TEST, 0, 0), 0.3f, true);
}

static void
fill(struct dev *d, struct tensor *t)
{
	d->k->fill(d, t[0], -1.5f);
	d->k->fill(d, t[1], 0.f);
}

static void
copy(struct dev *d, struct tensor *t)
{
	d->k->copy(d, t[0], t[1]);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define W(...) { BF16, __VA_ARGS__, TWIN_NORMAL }
#define F(...) { F16, __VA_ARGS__, TWIN_NORMAL }
static const struct twin_case cases[] = {
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 131, 203 }), N(2, { 203, 77 }) }, ".h. h.. hhh sss HHH" },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 31, 277 }), N(2, { 31, 203 }), N(2, { 277, 203 }) }, ".hh hhh HHH" },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 31, 277 }), N(2, { 31, 203 }), { BF16, 2, { 277, 203 }, TWIN_NORMAL } }, NULL },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 31, 277 }), N(2, { 31, 203 }), F(2, { 277, 203 }) }, NULL },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 131, 203 }), F(2, { 203, 77 }) }, NULL },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 41, 1051 }), N(2, { 41, 259 }), F(2, { 1051, 259 }) }, NULL },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 203, 131 }), N(2, { 203, 77 }) }, ".hh sHH" },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 131, 203 }), { BF16, 2, { 203, 77 }, TWIN_NORMAL } }, NULL },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 24, 64 }), N(2, { 24, 301 }), { BF16, 2, { 64, 301 }, TWIN_NORMAL } }, NULL },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 36, 96 }), N(2, { 36, 513 }), N(2, { 513, 96 }) }, NULL },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 323, 16 }), N(2, { 323, 256 }), N(2, { 16, 256 }) }, "hhh .hh sss sHH" },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 1, 1 }), N(2, { 1, 1 }), N(2, { 1, 1 }) }, "hhh" },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 29, 1070 }), N(2, { 29, 270 }), N(2, { 270, 1070 }) }, NULL },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 41, 1051 }), N(2, { 41, 259 }), { BF16, 2, { 1051, 259 }, TWIN_NORMAL } }, NULL },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 7, 1100 }), N(2, { 7, 80 }), N(2, { 1100, 80 }) }, NULL },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 131, 157 }), N(2, { 303, 131 }), N(2, { 303, 157 }) }, NULL },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 30, 96 }), N(2, { 50000, 30 }), N(2, { 50000, 96 }) }, ".hh" },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 48, 512 }), N(2, { 646, 48 }), N(2, { 646, 512 }) }, ".hh .HH" },
	{ "linear", linear, 1e-5, 0, { N(2, { 131, 272 }), N(2, { 131, 208 }), N(2, { 272, 208 }), N(1, { 272 }), N(2, { 131, 272 }) },
	  ".hh.. hhh.h hhhhh HHH.h" },
	{ "linear", linear, 1e-5, 0, { N(2, { 31, 77 }), N(2, { 31, 203 }), W(2, { 77, 203 }), N(1, { 77 }), N(2, { 31, 77 }) }, "hh..h" },
	{ "linear", linear_bare, 1e-5, 0, { N(2, { 31, 77 }), N(2, { 31, 203 }), N(2, { 77, 203 }) }, "hhh" },
	{ "linear", linear_onto, 1e-5, 0, { N(2, { 31, 72 }), N(2, { 31, 200 }), N(2, { 72, 200 }), N(1, { 72 }) }, "hhh. .hh." },
	{ "bias_add", bias_add, 1e-6, 0, { N(3, { 3, 131, 77 }), N(1, { 77 }) }, "h. s. H." },
	{ "bias_add", bias_add, 1e-6, 0, { N(2, { 13, 77 }), W(1, { 77 }) }, NULL },
	{ "column_sum", column_sum, 1e-5, 0, { N(1, { 177 }), N(3, { 3, 131, 177 }) }, ".h .s .H" },
	{ "column_sum", column_sum, 1e-5, 0, { N(1, { 40 }), N(2, { 3001, 40 }) }, ".h" },
	{ "axpy", axpy, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) }, "h. .h hh ss sh" },
	{ "axpy", axpy, 1e-6, 0, { N(2, { 31, 176 }), N(2, { 31, 176 }) }, "h. .h hh ss HH" },
	{ "scale", scale, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) }, "h. .h hh s." },
	{ "scale", scale, 1e-6, 0, { N(1, { 1 }), N(1, { 1 }) }, "h." },
	{ "fill", fill, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 31, 17 }) }, "h. .h ss HH" },
	{ "copy", copy, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) }, "ss sh hs" },
	{ "copy", copy, 1e-6, 0, { W(2, { 301, 176 }), N(2, { 301, 176 }) }, "ss s. .s" },
	{ "copy", copy, 1e-6, 0, { N(2, { 301, 176 }), W(2, { 301, 176 }) }, "ss s. .s" },
	{ "dropout", dropout, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) }, "h. hh s." },
	{ "dropout", dropout_add, 1e-6, 0, { N(2, { 301, 176 }), N(2, { 301, 176 }) }, "h. hh .s" },
};
const struct twin_cases twins_core = { cases, sizeof cases / sizeof *cases };
