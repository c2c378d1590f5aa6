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

/* o, lse, q, k, v, qmask, kmask, dq, dk, dv, go */
static void
attention(struct dev *d, struct tensor *t)
{
	d->k->attention(d, t[0], t[1], t[2], t[3], t[4], t[5], t[6]);
	d->k->attention_backward(d, t[7], t[8], t[9], t[10], t[2], t[3], t[4], t[0], t[1], t[5], t[6]);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define P(...) { F32, __VA_ARGS__, TWIN_POSITIVE }
#define M(...) { F32, __VA_ARGS__, TWIN_MASK }
#define X(D) N(3, { 3, 71, D })
#define R P(2, { 3, 71 })
#define ATTENTION(name, T, K)                                                                                           \
	{ name, attention, 1e-5, 0,                                                                                     \
	  { N(3, { 2, T, 40 }), N(3, { 2, T, 4 }), N(3, { 2, T, 40 }), N(3, { 2, K, 40 }), N(3, { 2, K, 40 }), M(2, { 2, T }), \
	    M(2, { 2, K }), N(3, { 2, T, 40 }), N(3, { 2, K, 40 }), N(3, { 2, K, 40 }), N(3, { 2, T, 40 }) } }
#define LINEAR(name)                                                                                                    \
	{ name, linear_attention, 1e-5, 0,                                                                              \
	  { N(3, { 2, 71, 40 }), N(3, { 2, 71, 4 }), P(3, { 2, 71, 40 }), P(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }),     \
	    N(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }), N(3, { 2, 71, 40 }), M(2, { 2, 71 }) } }

static const struct twin_case cases[] = {
	{ "rms_modulate", rms_modulate, 1e-6, 0, { X(77), R, X(77), N(3, { 3, 5, 77 }) } },
	{ "rms_modulate_backward", rms_modulate_backward, 1e-6, 0, { X(77), X(77), X(77), R, N(3, { 3, 5, 77 }) } },
	{ "rms_modulate_grads", rms_modulate_grads, 1e-6, 0, { N(3, { 3, 5, 77 }), X(77), X(77), R } },
	{ "gate_add", gate_add, 1e-6, 0, { X(77), X(77), X(77), N(3, { 3, 5, 77 }) } },
	{ "gate_backward", gate_backward, 1e-6, 0, { X(77), X(77), N(3, { 3, 5, 77 }) } },
	{ "gate_grads", gate_grads, 1e-6, 0, { N(3, { 3, 5, 77 }), X(77), X(77) } },
	{ "silu", silu, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }) } },
	{ "silu_backward", silu_backward, 1e-6, 0, { N(2, { 301, 177 }), N(2, { 301, 177 }), N(2, { 301, 177 }) } },
	{ "rope", rope, 1e-6, 0, { X(90), X(90), X(90), N(3, { 2, 80, 30 }) } },
	{ "rope_relu", rope_relu, 1e-6, 0, { X(90), X(90), N(3, { 2, 80, 30 }), M(2, { 3, 71 }) } },
	{ "rope_relu_backward", rope_relu_backward, 1e-6, 0, { X(90), X(90), X(90), N(3, { 2, 80, 30 }), M(2, { 3, 71 }) } },
	{ "mask_rows", mask_rows, 1e-6, 0, { X(90), X(90), M(2, { 3, 71 }) } },
	LINEAR("linear_attention"),
	LINEAR("linear_attention_backward"),
	ATTENTION("attention", 71, 83),
	ATTENTION("attention_backward", 130, 3),
	ATTENTION("attention", 1, 9),
	{ "glu_conv", glu_conv, 1e-6, 0, { X(101), X(202), N(3, { 202, 1, 3 }), N(1, { 202 }) } },
	{ "glu_conv", glu_conv, 1e-6, 0, { N(3, { 2, 1, 5 }), N(3, { 2, 1, 10 }), N(3, { 10, 1, 3 }), N(1, { 10 }) } },
	{ "glu_conv_backward", glu_conv_backward, 1e-6, 0, { X(202), X(101), X(202), N(3, { 202, 1, 3 }), N(1, { 202 }) } },
	{ "glu_conv_backward", glu_conv_backward, 1e-6, 0,
	  { N(3, { 2, 1, 10 }), N(3, { 2, 1, 5 }), N(3, { 2, 1, 10 }), N(3, { 10, 1, 3 }), N(1, { 10 }) } },
	{ "glu_conv_grads", glu_conv_grads, 3e-6, 0,
	  { N(3, { 202, 1, 3 }), N(1, { 202 }), X(101), X(202), N(3, { 202, 1, 3 }), N(1, { 202 }) } },
};
const struct twin_cases twins_block = { cases, sizeof cases / sizeof *cases };
