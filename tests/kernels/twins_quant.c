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
f8_product_below_onto(struct dev *d, struct tensor *t)
{
	d->k->f8_product(d, &(struct f8_product){ .y = t[0], .x = t[1], .s = t[2], .w = t[3], .t = t[4], .h = t[5], .below = t[6],
		.add = t[7] });
}

static void
f8_turn(struct dev *d, struct tensor *t)
{
	d->k->f8_turn(d, t[0], t[1]);
}

/* What was brought to fp8 beside x is what f8_rows makes of x: w, their difference, is 0 to the bit. v, q and s are left 0. */
static void
same_cast(struct dev *d, struct tensor x, struct f8_cast f, struct tensor w, struct tensor v)
{
	struct tensor none = { 0 };

	d->k->dequantize(d, w, f.q, f.s, none, none);
	d->k->f8_rows(d, f.q, f.s, x, f.c);
	d->k->dequantize(d, v, f.q, f.s, none, none);
	d->k->axpy(d, w, v, -1.f);
	d->k->fill(d, v, 0.f);
	d->k->f8_rows(d, f.q, f.s, v, none);
}

static void
rms_modulate_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], { 0 } };

	d->k->rms_modulate_f8(d, t[4], t[5], t[6], t[7], 3, 1, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

static void
gate_add_half_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], { 0 } };

	d->k->gate_add_half_f8(d, t[5], t[4], t[6], t[7], t[8], 2, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

/* Without a copy. */
static void
gate_add_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], { 0 } };

	d->k->gate_add_half_f8(d, t[4], (struct tensor){ 0 }, t[5], t[6], t[7], 2, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

static void
gate_backward_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], t[7] };

	d->k->gate_backward_f8(d, t[4], t[5], t[6], 2, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

static void
rms_modulate_backward_half_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], t[10] };

	d->k->rms_modulate_backward_half_f8(d, t[5], t[4], t[5], t[6], t[7], t[8], t[9], 1, (struct tensor){ 0 }, 0, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

static void
norm_backward_gated_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], t[11] };

	d->k->rms_modulate_backward_half_f8(d, t[5], t[4], t[5], t[6], t[7], t[8], t[9], 1, t[10], 3, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

/* Onto what stays as it is, without a copy. */
static void
norm_backward_onto_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], t[10] };
	struct tensor none = { 0 };

	d->k->rms_modulate_backward_half_f8(d, t[4], none, t[5], t[6], t[7], t[8], t[9], 1, none, 0, f);
	same_cast(d, t[4], f, t[2], t[3]);
}

/* t[4]: dq, dk and dv side by side; t[5 .. 7]: what q, k and v are made of. */
static void
qkv_ready_backward_f8(struct dev *d, struct tensor *t)
{
	struct f8_cast f = { t[0], t[1], t[10] };
	int64_t D = t[5].dim[2];

	d->k->qkv_ready(d, t[5], t[6], t[7], t[8], t[9]);
	d->k->qkv_ready_backward_f8(d, tensor_columns(t[4], 0, D), tensor_columns(t[4], D, D), tensor_columns(t[4], 2 * D, D), t[5], t[6],
	                            t[8], t[9], f);
	same_cast(d, t[4], f, t[2], t[3]);
}

#define T(type, ...) { type, __VA_ARGS__, TWIN_NORMAL }
#define ZERO(type, ...) { type, __VA_ARGS__, TWIN_ZERO }
/* The cast of [3, 71, D] and two places to compare it in. */
#define CAST(D) ZERO(F8, 2, { 213, D }), ZERO(F32, 1, { 213 }), ZERO(F32, 2, { 213, D }), ZERO(F32, 2, { 213, D })
#define X(D) T(F32, 3, { 3, 71, D })
#define M(D) T(F32, 3, { 3, 5, D })
#define C(D) T(F32, 1, { D })
#define R { F32, 2, { 3, 71 }, TWIN_POSITIVE }
#define MASK { F32, 2, { 3, 71 }, TWIN_MASK }
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
	{ "f8_rows", f8_rows_weighed, 1e-6, 0,
	  { T(F8, 2, { 301, 12800 }), T(F32, 1, { 301 }), T(F32, 2, { 301, 12800 }), T(F32, 1, { 12800 }) }, "!..h. ..H." },
	{ "f8_rows", f8_rows_weighed, 1e-6, 0,
	  { T(F8, 2, { 2701, 200 }), T(F32, 1, { 2701 }), T(F32, 2, { 2701, 200 }), T(F32, 1, { 200 }) }, "!..h. ..H." },
	{ "f8_rows", f8_rows, 1e-6, 0, { T(F8, 2, { 2701, 200 }), T(F32, 1, { 2701 }), T(F32, 2, { 2701, 200 }) }, "!..H" },
	{ "f8_rows", f8_rows_weighed, 1e-6, 0,
	  { T(F8, 2, { 3, 25608 }), T(F32, 1, { 3 }), T(F32, 2, { 3, 25608 }), T(F32, 1, { 25608 }) }, "!..h." },
	{ "f8_rows", f8_rows, 1e-6, 0, { T(F8, 2, { 2, 16 }), T(F32, 1, { 2 }), ZERO(F32, 2, { 2, 16 }) }, NULL },
	{ "rms_modulate_f8", rms_modulate_f8, 1e-6, 0, { CAST(77), X(77), R, X(77), M(77) }, "....h... ....s..." },
	{ "rms_modulate_f8", rms_modulate_f8, 1e-6, 0, { CAST(2560), X(2560), R, X(2560), M(2560) }, "!....h... ....H.H." },
	{ "rms_modulate_f8", rms_modulate_f8, 1e-6, 0, { CAST(2568), X(2568), R, X(2568), M(2568) }, "!....h.h. ....H.H." },
	{ "rms_modulate_f8", rms_modulate_f8, 1e-6, 0, { CAST(88), X(88), R, X(88), M(88) }, "....h... ....H.H." },
	{ "gate_add_half_f8", gate_add_half_f8, 1e-6, 0, { CAST(77), X(77), X(77), X(77), X(77), M(77) }, "....h.... ....h..h." },
	{ "gate_add_half_f8", gate_add_half_f8, 1e-6, 0, { CAST(520), X(520), X(520), X(520), X(520), M(520) },
	  "....h.... ....h..h. ....H..H." },
	{ "gate_add_half_f8", gate_add_f8, 1e-6, 0, { CAST(77), X(77), X(77), X(77), M(77) }, "!....hhh. ....hh.." },
	{ "gate_add_half_f8", gate_add_f8, 1e-6, 0, { CAST(520), X(520), X(520), X(520), M(520) }, "!....hhh. ....HHh. ....Hhh." },
	{ "gate_add_half_f8", gate_add_f8, 1e-6, 0, { CAST(2568), X(2568), X(2568), X(2568), M(2568) }, "!....hhh." },
	{ "gate_backward_f8", gate_backward_f8, 1e-6, 0, { CAST(2560), X(2560), X(2560), M(2560), C(2560) }, "!....hh.. ....HH.." },
	{ "gate_backward_f8", gate_backward_f8, 1e-6, 0, { CAST(77), X(77), X(77), M(77), C(77) }, "....h..." },
	{ "gate_backward_f8", gate_backward_f8, 1e-6, 0, { CAST(520), X(520), X(520), M(520), C(520) }, "....h... ....H... ....HH.." },
	{ "rms_modulate_backward_half_f8", rms_modulate_backward_half_f8, 1e-6, 0,
	  { CAST(77), X(77), X(77), X(77), X(77), R, M(77), C(77) }, "....h......" },
	{ "rms_modulate_backward_half_f8", rms_modulate_backward_half_f8, 1e-6, 0,
	  { CAST(520), X(520), X(520), X(520), X(520), R, M(520), C(520) }, "....h...... ....H.H...." },
	{ "rms_modulate_backward_half_f8", norm_backward_gated_f8, 1e-6, 0,
	  { CAST(77), X(77), X(77), X(77), X(77), R, M(77), T(F32, 3, { 3, 4, 77 }), C(77) }, "....h....... ....hhhh...." },
	{ "rms_modulate_backward_half_f8", norm_backward_gated_f8, 1e-6, 0,
	  { CAST(520), X(520), X(520), X(520), X(520), R, M(520), T(F32, 3, { 3, 4, 520 }), C(520) }, "....hhhh.... ....HhHh...." },
	{ "rms_modulate_backward_half_f8", norm_backward_onto_f8, 1e-6, 0,
	  { CAST(77), X(77), X(77), X(77), X(77), R, M(77), C(77) }, "!....hhhh..." },
	{ "rms_modulate_backward_half_f8", norm_backward_onto_f8, 1e-6, 0,
	  { CAST(520), X(520), X(520), X(520), X(520), R, M(520), C(520) }, "!....hhhh... ....HhHH..." },
	{ "rms_modulate_backward_half_f8", norm_backward_onto_f8, 1e-6, 0,
	  { CAST(2568), X(2568), X(2568), X(2568), X(2568), R, M(2568), C(2568) }, "!....hhhh..." },
	{ "qkv_ready_backward_f8", qkv_ready_backward_f8, 1e-6, 0,
	  { CAST(270), X(270), X(90), X(90), X(90), T(F32, 3, { 2, 80, 30 }), MASK, C(270) }, "....hhhh... ....HHHH..." },
	{ "qkv_ready_backward_f8", qkv_ready_backward_f8, 1e-6, 0,
	  { CAST(1248), X(1248), X(416), X(416), X(416), T(F32, 3, { 2, 80, 32 }), MASK, C(1248) }, "....hhhh... ....HHHH..." },
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
	{ "f8_product", f8_product_below_onto, 1e-3, 0,
	  { T(F32, 2, { 213, 400 }), T(F8, 2, { 213, 272 }), T(F32, 1, { 213 }), T(F8, 2, { 400, 272 }), T(F32, 1, { 400 }),
	    T(BF16, 2, { 213, 48 }), T(BF16, 2, { 48, 400 }), T(F32, 2, { 213, 400 }) }, "H......H h......H h......h s......s" },
	{ "f8_turn", f8_turn, 1e-6, 0, { T(F8, 2, { 70, 33 }), T(F8, 2, { 33, 70 }) }, NULL },
	{ "f8_turn", f8_turn, 1e-6, 0, { T(F8, 2, { 128, 64 }), T(F8, 2, { 64, 128 }) }, NULL },
};
const struct twin_cases twins_quant = { cases, sizeof cases / sizeof *cases };
