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

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
static const struct twin_case cases[] = {
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 131, 203 }), N(2, { 203, 77 }) } },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 31, 277 }), N(2, { 31, 203 }), N(2, { 277, 203 }) } },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 31, 277 }), N(2, { 31, 203 }), { BF16, 2, { 277, 203 }, TWIN_NORMAL } } },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 203, 131 }), N(2, { 203, 77 }) } },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 131, 77 }), N(2, { 131, 203 }), { BF16, 2, { 203, 77 }, TWIN_NORMAL } } },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 24, 64 }), N(2, { 24, 301 }), { BF16, 2, { 64, 301 }, TWIN_NORMAL } } },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 36, 96 }), N(2, { 36, 513 }), N(2, { 513, 96 }) } },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 323, 16 }), N(2, { 323, 256 }), N(2, { 16, 256 }) } },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 1, 1 }), N(2, { 1, 1 }), N(2, { 1, 1 }) } },
	{ "gemm", gemm_nn, 1e-5, 0, { N(2, { 29, 1070 }), N(2, { 29, 270 }), N(2, { 270, 1070 }) } },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 41, 1051 }), N(2, { 41, 259 }), { BF16, 2, { 1051, 259 }, TWIN_NORMAL } } },
	{ "gemm", gemm_nt_add, 1e-5, 0, { N(2, { 7, 1100 }), N(2, { 7, 80 }), N(2, { 1100, 80 }) } },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 131, 157 }), N(2, { 303, 131 }), N(2, { 303, 157 }) } },
	{ "gemm", gemm_tn, 1e-5, 0, { N(2, { 30, 96 }), N(2, { 50000, 30 }), N(2, { 50000, 96 }) } },
	{ "bias_add", bias_add, 1e-6, 0, { N(3, { 3, 131, 77 }), N(1, { 77 }) } },
	{ "bias_add", bias_add, 1e-6, 0, { N(2, { 13, 77 }), { BF16, 1, { 77 }, TWIN_NORMAL } } },
	{ "column_sum", column_sum, 1e-5, 0, { N(1, { 177 }), N(3, { 3, 131, 177 }) } },
	{ "axpy", axpy, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) } },
	{ "scale", scale, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) } },
	{ "dropout", dropout, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) } },
	{ "dropout", dropout_add, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) } },
};
const struct twin_cases twins_core = { cases, sizeof cases / sizeof *cases };
