/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static void
layer_norm(struct dev *d, struct tensor *t)
{
	d->k->layer_norm(d, t[0], t[1], t[2], t[3], t[4], 1e-5f);
}

static void
layer_norm_backward(struct dev *d, struct tensor *t)
{
	d->k->layer_norm_backward(d, t[0], t[1], t[2], t[3], t[4], true);
}

static void
layer_norm_grads(struct dev *d, struct tensor *t)
{
	d->k->layer_norm_grads(d, t[0], t[1], t[2], t[3], t[4]);
}

static void
embedding(struct dev *d, struct tensor *t)
{
	d->k->embedding(d, t[0], t[1], t[2]);
}

static void
embedding_backward(struct dev *d, struct tensor *t)
{
	d->k->embedding_backward(d, t[0], t[1], t[2]);
}

static void
relative_positions(struct dev *d, struct tensor *t)
{
	d->k->relative_positions(d, t[0]);
}

static void
attention_forward(struct dev *d, struct tensor *t)
{
	d->k->relative_attention(d, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8]);
}

/* o, lse, q, k, v, p, bu, bv, mask, dq, dk, dv, go, dp, dbu, dbv; one sample sees no key at all. */
static void
relative_attention(struct dev *d, struct tensor *t)
{
	attention_forward(d, t);
	d->k->relative_attention_backward(d, t[9], t[10], t[11], t[13], t[14], t[15], t[12], t[2], t[3], t[4], t[5], t[6], t[7],
	                                  t[0], t[1], t[8]);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define X(Y) N(3, { 3, Y, 40 })
#define H N(2, { 5, 8 })
#define ATTENTION(name, Y)                                                                                                 \
	{ name, relative_attention, 1e-5, 0,                                                                               \
	  { X(Y), N(3, { 3, Y, 5 }), X(Y), X(Y), X(Y), N(2, { 2 * Y - 1, 40 }), H, H, { F32, 2, { 3, Y }, TWIN_MASK_BLANK }, X(Y), \
	    X(Y), X(Y), X(Y), N(2, { 2 * Y - 1, 40 }), H, H }, NULL }
/* Heads as the tensor cores want them, and room for rows apart. */
#define WIDE(Y) N(3, { 3, Y, 128 })
#define G N(2, { 2, 64 })
#define WIDE_ATTENTION(Y, tol)                                                                                             \
	{ "relative_attention", relative_attention, tol, 0,                                                                \
	  { WIDE(Y), N(3, { 3, Y, 2 }), WIDE(Y), WIDE(Y), WIDE(Y), N(2, { 2 * Y - 1, 128 }), G, G,                         \
	    { F32, 2, { 3, Y }, TWIN_MASK_BLANK }, WIDE(Y), WIDE(Y), WIDE(Y), WIDE(Y), N(2, { 2 * Y - 1, 128 }), G, G },   \
	  "h.hhhh...hhhh... H.HHHH...HHHHh.. h.hhhh...hhhhH.. s.ssss...sssss.." }
static const struct twin_case cases[] = {
	{ "layer_norm", layer_norm, 1e-6, 0, { N(3, { 3, 71, 77 }), N(2, { 213, 2 }), N(3, { 3, 71, 77 }), N(1, { 77 }), N(1, { 77 }) }, NULL },
	{ "layer_norm_backward", layer_norm_backward, 3e-6, 0,
	  { N(3, { 3, 71, 77 }), N(3, { 3, 71, 77 }), N(3, { 3, 71, 77 }), N(2, { 213, 2 }), N(1, { 77 }) }, NULL },
	{ "layer_norm_grads", layer_norm_grads, 3e-6, 0,
	  { N(1, { 77 }), N(1, { 77 }), N(3, { 3, 71, 77 }), N(3, { 3, 71, 77 }), N(2, { 213, 2 }) }, NULL },
	{ "embedding", embedding, 1e-6, 19, { N(3, { 2, 31, 40 }), N(2, { 19, 40 }), { I32, 2, { 2, 31 }, TWIN_INDEX } }, "h.." },
	{ "embedding", embedding, 1e-6, 19, { N(3, { 2, 31, 37 }), { F16, 2, { 19, 37 }, TWIN_NORMAL }, { I32, 2, { 2, 31 }, TWIN_INDEX } }, NULL },
	{ "embedding", embedding, 1e-6, 19, { N(3, { 2, 31, 37 }), { BF16, 2, { 19, 37 }, TWIN_NORMAL }, { I32, 2, { 2, 31 }, TWIN_INDEX } }, "h.." },
	{ "embedding_backward", embedding_backward, 1e-6, 5,
	  { N(2, { 19, 40 }), N(3, { 2, 31, 40 }), { I32, 2, { 2, 31 }, TWIN_INDEX } }, ".h." },
	{ "relative_positions", relative_positions, 1e-4, 0, { N(2, { 141, 40 }) }, NULL },	/* 70 rad, rounded to 24 bits */
	{ "relative_positions", relative_positions, 1e-4, 0, { N(2, { 1, 7 }) }, NULL },
	ATTENTION("relative_attention", 71),
	ATTENTION("relative_attention_backward", 130),
	ATTENTION("relative_attention", 2),
	{ "relative_attention", attention_forward, 1e-5, 0,	/* one key: gradients of scores are but rounding */
	  { WIDE(1), N(3, { 3, 1, 2 }), WIDE(1), WIDE(1), WIDE(1), N(2, { 1, 128 }), G, G, { F32, 2, { 3, 1 }, TWIN_MASK_BLANK } },
	  "h.hhhh... H.HHHH... s.ssss..." },
	WIDE_ATTENTION(2, 1e-5),
	WIDE_ATTENTION(64, 1e-5),
	WIDE_ATTENTION(71, 1e-5),
	WIDE_ATTENTION(130, 1e-5),
	WIDE_ATTENTION(201, 1e-5),
	WIDE_ATTENTION(300, 2e-5),	/* the biases' sums are long */
};
const struct twin_cases twins_lyric = { cases, sizeof cases / sizeof *cases };
