/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

#define CALL(name, ...)                                     \
	static void name(struct dev *d, struct tensor *t)   \
	{                                                   \
		d->k->name(d, __VA_ARGS__);                 \
	}

CALL(rms_modulate, t[0], t[1], t[2], t[3], 3, 1)
CALL(rms_modulate_backward, t[0], t[1], t[2], t[3], t[4], 1, true)
CALL(rms_modulate_grads, t[0], t[1], t[2], t[3], 3, 1)
CALL(gate_add, t[0], t[1], t[2], t[3], 2)
CALL(gate_backward, t[0], t[1], t[2], 2)
CALL(gate_grads, t[0], t[1], t[2], 2)
CALL(silu, t[0], t[1])
CALL(silu_backward, t[0], t[1], t[2])
CALL(rope_relu, t[0], t[1], t[2], t[3])
CALL(mask_rows, t[0], t[1], t[2])
CALL(glu_conv, t[0], t[1], t[2], t[3])
CALL(glu_conv_backward, t[0], t[1], t[2], t[3], t[4])
CALL(glu_conv_grads, t[0], t[1], t[2], t[3], t[4], t[5])

static void
rope(struct dev *d, struct tensor *t)
{
	d->k->rope(d, t[0], t[2], t[3], false);
	d->k->rope(d, t[1], t[2], t[3], true);
}

static void
rope_both(struct dev *d, struct tensor *t)
{
	d->k->rope_both(d, t[0], t[1], t[2], false);
	d->k->rope_both(d, t[1], t[0], t[2], true);
}

/* The real order: y is what rope_relu gave. */
static void
rope_relu_backward(struct dev *d, struct tensor *t)
{
	d->k->rope_relu(d, t[2], t[2], t[3], t[4]);
	d->k->rope_relu_backward(d, t[0], t[1], t[2], t[3], t[4]);
}

/* o, den, q, k, v, dq, dk, dv, go, mask: queries and keys as the layer makes them, not negative, some frames masked. */
static void
linear_attention(struct dev *d, struct tensor *t)
{
	d->k->mask_rows(d, t[2], t[2], t[9]);
	d->k->mask_rows(d, t[3], t[3], t[9]);
	d->k->mask_rows(d, t[4], t[4], t[9]);
	d->k->linear_attention(d, t[0], t[1], t[2], t[3], t[4]);
	d->k->linear_attention_backward(d, t[5], t[6], t[7], t[8], t[2], t[3], t[4], t[0], t[1]);
	d->k->mask_rows(d, t[5], t[5], t[9]);		/* a masked query's gradient is never used, and about 1e15 */
}

/* o, den, q, k, v, mask: of one frame, which has no gradient but that of its value */
static void
linear_attention_forward(struct dev *d, struct tensor *t)
{
	d->k->mask_rows(d, t[2], t[2], t[5]);
	d->k->linear_attention(d, t[0], t[1], t[2], t[3], t[4]);
}

/* o, lse, q, k, v, qmask, kmask, dq, dk, dv, go */
static void
attention(struct dev *d, struct tensor *t)
{
	d->k->attention(d, t[0], t[1], t[2], t[3], t[4], t[5], t[6]);
	d->k->attention_backward(d, t[7], t[8], t[9], t[10], t[2], t[3], t[4], t[0], t[1], t[5], t[6]);
}

static void
norm_backward_gated(struct dev *d, struct tensor *t)
{
	d->k->rms_modulate_backward_half(d, t[0], t[1], t[0], t[2], t[3], t[4], t[5], 1, t[6], 3);
}

/* Onto what stays as it is. */
static void
norm_backward_onto(struct dev *d, struct tensor *t)
{
	struct tensor none = { 0 };

	d->k->rms_modulate_backward_half(d, t[0], none, t[1], t[2], t[3], t[4], t[5], 1, none, 0);
}

CALL(qkv_ready, t[0], t[1], t[2], t[3], t[4])
CALL(gate_add_half, t[0], t[1], t[2], t[3], t[4], 2)
CALL(rms_modulate_backward_half, t[0], t[1], t[0], t[2], t[3], t[4], t[5], 1, (struct tensor){ 0 }, 0)
CALL(rope_table, t[0], 1e4f)
CALL(sinusoid, t[0], t[1])
CALL(place, t[0], t[1], 3)
CALL(take, t[0], t[1], 3)
CALL(projection_loss, t[0], t[1], t[2])
CALL(projection_loss_backward, t[0], t[1], t[2], 0.7f)

static void
qkv_ready_backward(struct dev *d, struct tensor *t)
{
	d->k->qkv_ready(d, t[3], t[4], t[5], t[6], t[7]);
	d->k->qkv_ready_backward(d, t[0], t[1], t[2], t[3], t[4], t[6], t[7]);
}

static void
modulation(struct dev *d, struct tensor *t)
{
	d->k->modulation(d, t[0], t[1], t[2]);
	d->k->modulation_backward(d, t[1], t[2], t[0]);
}

static void
modulation_parts(struct dev *d, struct tensor *t)
{
	d->k->modulation_backward(d, (struct tensor){ 0 }, t[2], t[0]);
	d->k->modulation_backward(d, t[1], (struct tensor){ 0 }, t[0]);
}

static void
group_norm(struct dev *d, struct tensor *t)
{
	d->k->group_norm(d, t[0], t[1], t[2], t[3], t[4], 1e-6f);
}

/* The statistics are those of the forward pass: y is scratch. */
static void
group_norm_backward(struct dev *d, struct tensor *t)
{
	d->k->group_norm(d, t[4], t[3], t[2], t[5], t[6], 1e-6f);
	d->k->group_norm_backward(d, t[0], t[6], t[7], t[1], t[2], t[3], t[5]);
}

static void
latent_tokens(struct dev *d, struct tensor *t)
{
	d->k->latent_tokens(d, t[0], t[1], true);
	d->k->latent_tokens(d, t[2], t[1], false);
	d->k->latents_of_tokens(d, t[3], t[0], false);
	d->k->latents_of_tokens(d, t[4], t[2], true);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define P(...) { F32, __VA_ARGS__, TWIN_POSITIVE }
#define M(...) { F32, __VA_ARGS__, TWIN_MASK }
#define X(D) N(3, { 3, 71, D })
#define R P(2, { 3, 71 })
#define ATTENTION(name, T, K)                                                                                           \
	{ name, attention, 1e-5, 0,                                                                                     \
	  { N(3, { 2, T, 40 }), N(3, { 2, T, 4 }), N(3, { 2, T, 40 }), N(3, { 2, K, 40 }), N(3, { 2, K, 40 }), M(2, { 2, T }), \
	    M(2, { 2, K }), N(3, { 2, T, 40 }), N(3, { 2, K, 40 }), N(3, { 2, K, 40 }), N(3, { 2, T, 40 }) }, NULL }
/* Heads as the tensor cores want them; the first sample sees no key. */
#define WIDE_ATTENTION(name, T, K, w, H)                                                                                \
	{ name, attention, 1e-5, 0,                                                                                     \
	  { N(3, { 2, T, w * H }), N(3, { 2, T, H }), N(3, { 2, T, w * H }), N(3, { 2, K, w * H }), N(3, { 2, K, w * H }), \
	    M(2, { 2, T }), { F32, 2, { 2, K }, TWIN_MASK_BLANK }, N(3, { 2, T, w * H }), N(3, { 2, K, w * H }),        \
	    N(3, { 2, K, w * H }), N(3, { 2, T, w * H }) }, "h.hhh..hhhh H.HHH..HHHH" }
#define LINEAR(name)                                                                                                    \
	{ name, linear_attention, 1e-5, 0,                                                                              \
	  { N(3, { 2, 71, 40 }), N(3, { 2, 71, 4 }), P(3, { 2, 71, 40 }), P(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }),     \
	    N(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }), M(2, { 2, 71 }) }, NULL }

/* The same on tensor cores, whose sums of BF16 are rounded to 16 bits. */
#define WIDE_LINEAR(T, w, H)                                                                                            \
	{ "linear_attention", linear_attention, 1e-5, 0,                                                                \
	  { N(3, { 2, T, w * H }), N(3, { 2, T, H }), P(3, { 2, T, w * H }), P(3, { 2, T, w * H }), N(3, { 2, T, w * H }), \
	    N(3, { 2, T, w * H }), N(3, { 2, T, w * H }), N(3, { 2, T, w * H }), N(3, { 2, T, w * H }), M(2, { 2, T }) }, \
	  "h.hhhhhhh. s.sssssss. H.HHHHHHH." }
#define ONE_LINEAR(w, H)                                                                                                \
	{ "linear_attention", linear_attention_forward, 1e-5, 0,                                                        \
	  { N(3, { 2, 1, w * H }), N(3, { 2, 1, H }), P(3, { 2, 1, w * H }), P(3, { 2, 1, w * H }), N(3, { 2, 1, w * H }), \
	    M(2, { 2, 1 }) }, "h.hhh. s.sss. H.HHH." }

static const struct twin_case cases[] = {
	{ "rms_modulate", rms_modulate, 1e-6, 0, { X(77), R, X(77), N(3, { 3, 5, 77 }) }, NULL },
	{ "rms_modulate_backward", rms_modulate_backward, 1e-6, 0, { X(77), X(77), X(77), R, N(3, { 3, 5, 77 }) }, NULL },
	{ "rms_modulate_grads", rms_modulate_grads, 1e-6, 0, { N(3, { 3, 5, 77 }), X(77), X(77), R }, NULL },
	{ "rms_modulate_grads", rms_modulate_grads, 3e-6, 0,
	  { N(3, { 2, 5, 77 }), N(3, { 2, 301, 77 }), N(3, { 2, 301, 77 }), P(2, { 2, 301 }) }, NULL },	/* rows cut into pieces */
	{ "gate_add", gate_add, 1e-6, 0, { X(77), X(77), X(77), N(3, { 3, 5, 77 }) }, NULL },
	{ "gate_backward", gate_backward, 1e-6, 0, { X(77), X(77), N(3, { 3, 5, 77 }) }, NULL },
	{ "gate_grads", gate_grads, 1e-6, 0, { N(3, { 3, 5, 77 }), X(77), X(77) }, NULL },
	{ "gate_grads", gate_grads, 3e-6, 0, { N(3, { 2, 5, 77 }), N(3, { 2, 301, 77 }), N(3, { 2, 301, 77 }) }, NULL },
	{ "silu", silu, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) }, NULL },
	{ "silu_backward", silu_backward, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }), N(2, { 301, 177 }) }, NULL },
	{ "rope_both", rope_both, 1e-6, 0, { N(3, { 2, 37, 90 }), N(3, { 2, 71, 90 }), N(3, { 2, 80, 30 }) }, "hh. ss. HH." },
	{ "rope_both", rope_both, 1e-6, 0, { N(3, { 1, 37, 64 }), N(3, { 1, 5, 64 }), N(3, { 2, 80, 32 }) }, "hh. HH." },
	{ "rope", rope, 1e-6, 0, { X(90), X(90), X(90), N(3, { 2, 80, 30 }) }, NULL },
	{ "rope_relu", rope_relu, 1e-6, 0, { X(90), X(90), N(3, { 2, 80, 30 }), M(2, { 3, 71 }) }, NULL },
	{ "rope_relu_backward", rope_relu_backward, 1e-6, 0, { X(90), X(90), X(90), N(3, { 2, 80, 30 }), M(2, { 3, 71 }) }, NULL },
	{ "mask_rows", mask_rows, 1e-6, 0, { X(90), X(90), M(2, { 3, 71 }) }, NULL },
	LINEAR("linear_attention"),
	LINEAR("linear_attention_backward"),
	ONE_LINEAR(64, 3),
	ONE_LINEAR(128, 1),
	WIDE_LINEAR(3, 128, 1),
	WIDE_LINEAR(71, 64, 2),
	WIDE_LINEAR(71, 128, 1),
	WIDE_LINEAR(200, 64, 20),
	WIDE_LINEAR(200, 128, 20),	/* some tiles in a part, and some parts */
	WIDE_LINEAR(700, 64, 3),
	WIDE_LINEAR(64, 64, 3),
	WIDE_LINEAR(131, 128, 2),
	WIDE_LINEAR(700, 128, 3),
	WIDE_LINEAR(333, 64, 2),
	WIDE_LINEAR(1045, 128, 1),
	WIDE_LINEAR(509, 64, 1),
	WIDE_LINEAR(61, 64, 40),
	WIDE_LINEAR(61, 128, 40),
	ATTENTION("attention", 71, 83),
	WIDE_ATTENTION("attention", 200, 300, 128, 2),
	WIDE_ATTENTION("attention", 129, 77, 128, 2),
	WIDE_ATTENTION("attention", 200, 300, 64, 3),
	WIDE_ATTENTION("attention", 1, 2, 128, 1),
	WIDE_ATTENTION("attention", 200, 140, 64, 35),	/* more blocks than multiprocessors */
	ATTENTION("attention_backward", 130, 3),
	ATTENTION("attention", 1, 9),
	{ "glu_conv", glu_conv, 1e-6, 0, { X(101), X(202), N(3, { 202, 1, 3 }), N(1, { 202 }) }, NULL },
	{ "glu_conv", glu_conv, 1e-6, 0, { N(3, { 2, 1, 5 }), N(3, { 2, 1, 10 }), N(3, { 10, 1, 3 }), N(1, { 10 }) }, NULL },
	{ "glu_conv", glu_conv, 1e-6, 0, { X(104), X(208), N(3, { 208, 1, 3 }), N(1, { 208 }) }, "hh.. h... .h.. HH.." },
	{ "glu_conv_backward", glu_conv_backward, 1e-6, 0, { X(202), X(101), X(202), N(3, { 202, 1, 3 }), N(1, { 202 }) }, NULL },
	{ "glu_conv_backward", glu_conv_backward, 1e-6, 0, { X(208), X(104), X(208), N(3, { 208, 1, 3 }), N(1, { 208 }) },
	  "hhh.. .hh.. h.h.. HHH.." },
	{ "glu_conv_backward", glu_conv_backward, 1e-6, 0,
	  { N(3, { 2, 1, 10 }), N(3, { 2, 1, 5 }), N(3, { 2, 1, 10 }), N(3, { 10, 1, 3 }), N(1, { 10 }) }, NULL },
	{ "glu_conv_grads", glu_conv_grads, 3e-6, 0,
	  { N(3, { 202, 1, 3 }), N(1, { 202 }), X(101), X(202), N(3, { 202, 1, 3 }), N(1, { 202 }) }, NULL },
	{ "glu_conv_grads", glu_conv_grads, 3e-6, 0,
	  { N(3, { 208, 1, 3 }), N(1, { 208 }), X(104), X(208), N(3, { 208, 1, 3 }), N(1, { 208 }) }, "..hh.. ..h... ...h.. ..HH.." },
	{ "qkv_ready", qkv_ready, 1e-6, 0, { X(90), X(90), X(90), N(3, { 2, 80, 30 }), M(2, { 3, 71 }) }, "hhh sss HHH" },
	{ "qkv_ready", qkv_ready, 1e-6, 0, { X(96), X(96), X(96), N(3, { 2, 80, 32 }), M(2, { 3, 71 }) }, "hhh HHH" },
	{ "qkv_ready_backward", qkv_ready_backward, 1e-6, 0,
	  { X(96), X(96), X(96), X(96), X(96), X(96), N(3, { 2, 80, 32 }), M(2, { 3, 71 }) }, "hhhhhh HHHHHH" },
	{ "gate_add_half", gate_add_half, 1e-6, 0, { X(77), X(77), X(77), X(77), N(3, { 3, 5, 77 }) }, ".h.h .H.h" },
	{ "gate_add_half", gate_add_half, 1e-6, 0, { X(80), X(80), X(80), X(80), N(3, { 3, 5, 80 }) }, ".h.h .H.h" },
	{ "rms_modulate_backward_half", rms_modulate_backward_half, 1e-6, 0,
	  { X(77), X(77), X(77), X(77), R, N(3, { 3, 5, 77 }) }, ".hh .H." },
	{ "rms_modulate_backward_half", rms_modulate_backward_half, 1e-6, 0,
	  { X(80), X(80), X(80), X(80), R, N(3, { 3, 5, 80 }) }, ".hh .HH" },
	{ "rms_modulate_backward_half", norm_backward_gated, 1e-6, 0,
	  { X(77), X(77), X(77), X(77), R, N(3, { 3, 5, 77 }), N(3, { 3, 4, 77 }) }, ".hh .H. hhhh" },
	{ "rms_modulate_backward_half", norm_backward_gated, 1e-6, 0,
	  { X(80), X(80), X(80), X(80), R, N(3, { 3, 5, 80 }), N(3, { 3, 4, 80 }) }, ".hh .HH hHHh" },
	{ "rms_modulate_backward_half", norm_backward_onto, 1e-6, 0,
	  { X(77), X(77), X(77), X(77), R, N(3, { 3, 5, 77 }) }, "hhhh ..h." },
	{ "rms_modulate_backward_half", norm_backward_onto, 1e-6, 0,
	  { X(80), X(80), X(80), X(80), R, N(3, { 3, 5, 80 }) }, "Hhhh HHHh" },
	{ "modulation", modulation, 1e-6, 0, { N(3, { 3, 6, 77 }), N(2, { 6, 77 }), N(3, { 3, 6, 77 }) }, NULL },
	{ "modulation", modulation, 1e-6, 0, { N(3, { 3, 2, 77 }), N(2, { 2, 77 }), N(3, { 3, 1, 77 }) }, NULL },
	{ "modulation_backward", modulation_parts, 1e-6, 0, { N(3, { 3, 2, 77 }), N(2, { 2, 77 }), N(3, { 3, 1, 77 }) }, NULL },
	{ "rope_table", rope_table, 1e-4, 0, { N(3, { 2, 133, 10 }) }, NULL },	/* 132 rad, rounded to 24 bits */
	{ "sinusoid", sinusoid, 1e-6, 0, { N(2, { 3, 256 }), N(1, { 3 }) }, NULL },
	{ "place", place, 1e-6, 0, { N(3, { 3, 19, 40 }), N(3, { 3, 11, 40 }) }, "hh h. .h" },
	{ "take", take, 1e-6, 0, { N(3, { 3, 11, 37 }), N(3, { 3, 19, 37 }) }, "hh h. .h" },
	{ "latent_tokens", latent_tokens, 1e-6, 0,
	  { N(3, { 2, 13, 128 }), N(4, { 2, 8, 16, 13 }), N(3, { 2, 13, 128 }), N(4, { 2, 8, 16, 13 }), N(4, { 2, 8, 16, 13 }) },
	  "h.h.." },
	{ "latents_of_tokens", latent_tokens, 1e-6, 0,
	  { N(3, { 2, 1, 6 }), N(4, { 2, 3, 2, 1 }), N(3, { 2, 1, 6 }), N(4, { 2, 3, 2, 1 }), N(4, { 2, 3, 2, 1 }) }, NULL },
	{ "group_norm", group_norm, 1e-5, 0, { N(3, { 2, 71, 96 }), N(3, { 2, 32, 2 }), N(3, { 2, 71, 96 }), N(1, { 96 }), N(1, { 96 }) }, NULL },
	{ "group_norm_backward", group_norm_backward, 1e-5, 0,
	  { N(3, { 2, 71, 96 }), N(3, { 2, 71, 96 }), N(3, { 2, 71, 96 }), N(3, { 2, 32, 2 }), N(3, { 2, 71, 96 }), N(1, { 96 }),
	    N(1, { 96 }), N(1, { 96 }) }, NULL },
	{ "projection_loss", projection_loss, 1e-5, 0, { N(1, { 1 }), N(2, { 17, 77 }), N(2, { 40, 77 }) }, NULL },
	{ "projection_loss", projection_loss, 1e-5, 0, { N(1, { 1 }), N(2, { 17, 77 }), N(2, { 5, 77 }) }, NULL },
	{ "projection_loss_backward", projection_loss_backward, 1e-5, 0, { N(2, { 17, 77 }), N(2, { 17, 77 }), N(2, { 40, 77 }) }, NULL },
	{ "projection_loss_backward", projection_loss_backward, 1e-5, 0, { N(2, { 1, 77 }), N(2, { 1, 77 }), N(2, { 5, 77 }) }, NULL },
};
const struct twin_cases twins_block = { cases, sizeof cases / sizeof *cases };
