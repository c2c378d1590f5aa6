/* SPDX-License-Identifier: Apache-2.0 */
/* lyric_layer.h - one layer of the lyric encoder (transformer.md section 5, step 4)
 *
 *   x1 = x + drop(linear_out(relative_attention(norm_mha(x), pe)))
 *   y  = x1 + drop(w_2(drop(silu(w_1(norm_ff(x1))))))
 *
 * Kept for backward: x1, statistics of the norms, what the attention takes and gives, w_1's result; the rest is computed
 * again. Dropout (training, p > 0) draws from rng_sub(c->rng, stream + 0 .. 2). */
#ifndef ACE_LAYERS_LYRIC_LAYER_H
#define ACE_LAYERS_LYRIC_LAYER_H

#include "layers/linears.h"

struct layer_norm {
	struct param w, b;		/* [E] */
};

struct lyric_layer {
	struct layer_norm norm_mha, norm_ff;
	struct linear q, k, v, out, pos;	/* pos has no bias */
	struct param bias_u, bias_v;		/* [H, e] */
	struct linear w1, w2;
	struct linears qkv;
	float dropout;
	uint64_t stream;
};

struct lyric_layer_save {
	struct tensor x1, stat1, stat2;		/* [B, Y, E], [B Y, 2] x 2 */
	struct tensor y1;			/* [B, Y, E]: norm_mha(x), kept with 16-bit activations */
	struct tensor qkv[LINEARS], o, lse;	/* [B, Y, E] x 4, [B, Y, H] */
	struct tensor p;			/* [2Y-1, E] */
	struct tensor a;			/* [B, Y, linear_out(w1)], before silu */
	struct linears_save qkv_save;
	struct linear_save out_save, pos_save, w1_save, w2_save;
};

/* What the layers of a pass share. */
struct lyric_shared {
	struct tensor pe;			/* [2Y-1, E] */
	struct tensor mask;			/* [B, Y] */
};

/* y for x, both [B, Y, E]. y of rank 0: only what backward wants. Saves are taken from c->act and stay there. */
void lyric_layer_forward(struct ctx *c, const struct lyric_layer *l, struct lyric_layer_save *s, struct tensor y, struct tensor x,
                         const struct lyric_shared *sh);

/* dx: in, the gradient of y; out, that of x when want_dx, else nothing of use. Leaves c->act as found. */
void lyric_layer_backward(struct ctx *c, const struct lyric_layer *l, const struct lyric_layer_save *s, struct tensor dx,
                          struct tensor x, const struct lyric_shared *sh, bool want_dx);

bool lyric_layer_trains(const struct lyric_layer *l);

struct linears_use lyric_layer_qkv(const struct lyric_layer *l);
#endif
