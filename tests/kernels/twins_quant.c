/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static void
make(struct dev *d, struct tensor *t)
{
	d->k->quantize(d, t[0], t[1], t[2]);
}

static void
undo(struct dev *d, struct tensor *t)
{
	d->k->dequantize(d, t[0], t[1], t[2], (struct tensor){ 0 }, (struct tensor){ 0 });
}

static void
undo_beside(struct dev *d, struct tensor *t)
{
	d->k->dequantize(d, t[0], t[1], t[2], t[3], t[4]);
}

static void
make4(struct dev *d, struct tensor *t)
{
	d->k->quantize4(d, t[0], t[1], t[2]);
}

static void
undo4(struct dev *d, struct tensor *t)
{
	d->k->dequantize4(d, t[0], t[1], t[2], (struct tensor){ 0 }, (struct tensor){ 0 });
}

static void
undo4_beside(struct dev *d, struct tensor *t)
{
	d->k->dequantize4(d, t[0], t[1], t[2], t[3], t[4]);
}

static void
f8_rows(struct dev *d, struct tensor *t)
{
	d->k->f8_rows(d, t[0], t[1], t[2], (struct tensor){ 0 });
}

static void
f8_rows_weighed(struct dev *d, struct tensor *t)
{
	d->k->f8_rows(d, t[0], t[1], t[2], t[3]);
}

/* Onto what is there. */
static void
f8_product(struct dev *d, struct tensor *t)
{
	d->k->f8_product(d, &(struct f8_product){ .y = t[0], .x = t[1], .s = t[2], .w = t[3], .t = t[4], .add = t[0] });
}

static void
f8_product_bias(struct dev *d, struct tensor *t)
{
	d->k->f8_product(d, &(struct f8_product){ .y = t[0], .x = t[1], .s = t[2], .w = t[3], .t = t[4], .b = t[5] });
}

static void
f8_product_right(struct dev *d, struct tensor *t)
{
	d->k->f8_product(d, &(struct f8_product){ .y = t[0], .x = t[1], .s = t[2], .w = t[3], .t = t[4], .h = t[5], .right = t[6],
		.b = t[7], .add = t[8] });
}

static void
f8_product_below(struct dev *d, struct tensor *t)
{
	d->k->f8_product(d, &(struct f8_product){ .y = t[0], .x = t[1], .s = t[2], .w = t[3], .t = t[4], .h = t[5], .below = t[6] });
}

static void
f8_product_below_add(struct dev *d, struct tensor *t)
{
	d->k->f8_product(d, &(struct f8_product){ .y = t[0], .x = t[1], .s = t[2], .w = t[3], .t = t[4], .h = t[5], .below = t[6],
		.add = t[0] });
}

static void
f8_turn(struct dev *d, struct tensor *t)
{
	d->k->f8_turn(d, t[0], t[1]);
}

#define T(type, ...) { type, __VA_ARGS__, TWIN_NORMAL }
#define ZERO(type, ...) { type, __VA_ARGS__, TWIN_ZERO }
/* What is stored in 8 bits or 4 is compared to the bit. */
static const struct twin_case cases[] = {
	{ "quantize", make, 1e-6, 0, { T(I8, 2, { 37, 203 }), T(F32, 1, { 37 }), T(F32, 2, { 37, 203 }) }, NULL },
	{ "quantize", make, 1e-6, 0, { T(I8, 2, { 37, 520 }), T(BF16, 1, { 37 }), T(BF16, 2, { 37, 520 }) }, NULL },
	{ "quantize", make, 1e-6, 0, { T(I8, 2, { 1, 1 }), T(F32, 1, { 1 }), T(F32, 2, { 1, 1 }) }, NULL },
	{ "quantize", make, 1e-6, 0, { T(I8, 2, { 3, 16 }), T(BF16, 1, { 3 }), ZERO(BF16, 2, { 3, 16 }) }, NULL },
	{ "quantize", make, 1e-6, 0, { T(F8, 2, { 37, 203 }), T(F32, 1, { 37 }), T(F32, 2, { 37, 203 }) }, NULL },
	{ "quantize", make, 1e-6, 0, { T(F8, 2, { 37, 520 }), T(F32, 1, { 37 }), T(BF16, 2, { 37, 520 }) }, NULL },
	{ "quantize", make, 1e-6, 0, { T(F8, 2, { 3, 16 }), T(F32, 1, { 3 }), ZERO(F32, 2, { 3, 16 }) }, NULL },
	{ "dequantize", undo, 1e-7, 0, { T(F32, 2, { 37, 203 }), T(I8, 2, { 37, 203 }), T(F32, 1, { 37 }) }, "s.." },
	{ "dequantize", undo, 1e-7, 0, { T(BF16, 2, { 131, 272 }), T(I8, 2, { 131, 272 }), T(BF16, 1, { 131 }) }, "s.." },
	{ "dequantize", undo, 1e-7, 0, { T(F32, 2, { 131, 272 }), T(I8, 2, { 131, 272 }), T(F32, 1, { 131 }) }, "s.." },
	{ "dequantize", undo, 1e-7, 0, { T(BF16, 2, { 131, 272 }), T(F8, 2, { 131, 272 }), T(F32, 1, { 131 }) }, "s.." },
	{ "dequantize", undo, 1e-7, 0, { T(F32, 2, { 5, 3 }), T(F8, 2, { 5, 3 }), T(F32, 1, { 5 }) }, NULL },
	{ "dequantize", undo_beside, 1e-7, 0,
	  { T(BF16, 2, { 72, 88 }), T(I8, 2, { 40, 64 }), T(BF16, 1, { 40 }), T(BF16, 2, { 40, 24 }), T(BF16, 2, { 32, 64 }) }, NULL },
	{ "dequantize", undo_beside, 1e-7, 0,
	  { T(BF16, 2, { 7, 9 }), T(F8, 2, { 5, 6 }), T(F32, 1, { 5 }), T(BF16, 2, { 5, 3 }), T(BF16, 2, { 2, 6 }) }, NULL },
	{ "quantize4", make4, 1e-6, 0, { T(I4, 2, { 37, 204 }), T(F32, 3, { 37, 2, 1 }), T(F32, 2, { 37, 204 }) }, NULL },
	{ "quantize4", make4, 1e-6, 0, { T(I4, 2, { 37, 640 }), T(BF16, 3, { 37, 2, 5 }), T(BF16, 2, { 37, 640 }) }, NULL },
	{ "quantize4", make4, 1e-6, 0, { T(I4, 2, { 1, 2 }), T(F32, 3, { 1, 2, 1 }), T(F32, 2, { 1, 2 }) }, NULL },
	{ "quantize4", make4, 1e-6, 0, { T(I4, 2, { 3, 64 }), T(BF16, 3, { 3, 2, 2 }), ZERO(BF16, 2, { 3, 64 }) }, NULL },
	{ "dequantize4", undo4, 1e-7, 0, { T(F32, 2, { 37, 204 }), T(I4, 2, { 37, 204 }), T(F32, 3, { 37, 2, 6 }) }, "s.." },
	{ "dequantize4", undo4, 1e-7, 0, { T(BF16, 2, { 131, 256 }), T(I4, 2, { 131, 256 }), T(BF16, 3, { 131, 2, 2 }) }, "s.." },
	{ "dequantize4", undo4, 1e-7, 0, { T(F32, 2, { 131, 288 }), T(I4, 2, { 131, 288 }), T(F32, 3, { 131, 2, 3 }) }, "s.." },
	{ "dequantize4", undo4, 1e-7, 0, { T(F32, 2, { 5, 2 }), T(I4, 2, { 5, 2 }), T(F32, 3, { 5, 2, 1 }) }, NULL },
	{ "dequantize4", undo4_beside, 1e-7, 0,
	  { T(BF16, 2, { 72, 88 }), T(I4, 2, { 40, 64 }), T(BF16, 3, { 40, 2, 2 }), T(BF16, 2, { 40, 24 }), T(BF16, 2, { 32, 64 }) }, NULL },
	{ "dequantize4", undo4_beside, 1e-7, 0,
	  { T(BF16, 2, { 7, 9 }), T(I4, 2, { 5, 6 }), T(BF16, 3, { 5, 2, 1 }), T(BF16, 2, { 5, 3 }), T(BF16, 2, { 2, 6 }) }, NULL },
	{ "f8_rows", f8_rows, 1e-6, 0, { T(F8, 2, { 37, 203 }), T(F32, 1, { 37 }), T(F32, 2, { 37, 203 }) }, "..h ..s" },
	{ "f8_rows", f8_rows, 1e-6, 0, { T(F8, 2, { 37, 2560 }), T(F32, 1, { 37 }), T(F32, 2, { 37, 2560 }) }, "..h ..H" },
	{ "f8_rows", f8_rows, 1e-6, 0, { T(F8, 2, { 9, 12800 }), T(F32, 1, { 9 }), T(F32, 2, { 9, 12800 }) }, "!..h ..H" },
	{ "f8_rows", f8_rows_weighed, 1e-6, 0,
	  { T(F8, 2, { 5, 5120 }), T(F32, 1, { 5 }), T(F32, 2, { 5, 5120 }), T(F32, 1, { 5120 }) }, "!..h. ..H." },
	{ "f8_rows", f8_rows_weighed, 1e-6, 0,
	  { T(F8, 2, { 5, 520 }), T(F32, 1, { 5 }), T(F32, 2, { 5, 520 }), T(F32, 1, { 520 }) }, "..h. ..H." },
	{ "f8_rows", f8_rows, 1e-6, 0, { T(F8, 2, { 2, 16 }), T(F32, 1, { 2 }), ZERO(F32, 2, { 2, 16 }) }, NULL },
	{ "f8_product", f8_product, 1e-3, 0,
	  { T(F32, 2, { 131, 272 }), T(F8, 2, { 131, 208 }), T(F32, 1, { 131 }), T(F8, 2, { 272, 208 }), T(F32, 1, { 272 }) }, "h.... H...." },
	{ "f8_product", f8_product, 1e-3, 0,
	  { T(F32, 2, { 5, 7 }), T(F8, 2, { 5, 33 }), T(F32, 1, { 5 }), T(F8, 2, { 7, 33 }), T(F32, 1, { 7 }) }, "h...." },
	{ "f8_product", f8_product_bias, 1e-3, 0,
	  { T(F32, 2, { 65, 64 }), T(F8, 2, { 65, 2560 }), T(F32, 1, { 65 }), T(F8, 2, { 64, 2560 }), T(F32, 1, { 64 }),
	    T(BF16, 1, { 64 }) }, "!h..... H....." },
	{ "f8_product", f8_product_right, 1e-3, 0,
	  { T(F32, 2, { 131, 272 }), T(F8, 2, { 131, 208 }), T(F32, 1, { 131 }), T(F8, 2, { 272, 208 }), T(F32, 1, { 272 }),
	    T(BF16, 2, { 131, 24 }), T(BF16, 2, { 272, 24 }), T(BF16, 1, { 272 }), T(F32, 2, { 131, 272 }) },
	  "H....s..H h....s..h" },
	{ "f8_product", f8_product_right, 1e-3, 0,
	  { T(F32, 2, { 37, 40 }), T(F8, 2, { 37, 48 }), T(F32, 1, { 37 }), T(F8, 2, { 40, 48 }), T(F32, 1, { 40 }),
	    T(BF16, 2, { 37, 136 }), T(BF16, 2, { 40, 136 }), T(F32, 1, { 40 }), T(F32, 2, { 37, 40 }) }, "s....s..s" },
	{ "f8_product", f8_product_below, 1e-3, 0,
	  { T(F32, 2, { 600, 400 }), T(F8, 2, { 600, 272 }), T(F32, 1, { 600 }), T(F8, 2, { 400, 272 }), T(F32, 1, { 400 }),
	    T(BF16, 2, { 600, 48 }), T(BF16, 2, { 48, 400 }) }, "H....s. h....s." },
	{ "f8_product", f8_product_below_add, 1e-3, 0,
	  { T(F32, 2, { 131, 272 }), T(F8, 2, { 131, 208 }), T(F32, 1, { 131 }), T(F8, 2, { 272, 208 }), T(F32, 1, { 272 }),
	    T(BF16, 2, { 131, 136 }), T(BF16, 2, { 136, 272 }) }, "H....s. h....s." },
	{ "f8_turn", f8_turn, 1e-6, 0, { T(F8, 2, { 70, 33 }), T(F8, 2, { 33, 70 }) }, NULL },
	{ "f8_turn", f8_turn, 1e-6, 0, { T(F8, 2, { 128, 64 }), T(F8, 2, { 64, 128 }) }, NULL },
};
const struct twin_cases twins_quant = { cases, sizeof cases / sizeof *cases };
