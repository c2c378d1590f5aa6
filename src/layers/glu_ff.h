/* SPDX-License-Identifier: Apache-2.0 */
/* glu_ff.h - the blocks' feed-forward: gated depthwise convolution over time (transformer.md section 4.5)
 *
 * y = point(c[:F] silu(c[F:])), c = depthwise convolution of three frames over silu(inverted(x)). It knows no mask. */
#ifndef ACE_LAYERS_GLU_FF_H
#define ACE_LAYERS_GLU_FF_H

#include "layers/linears.h"

struct glu_ff {
	struct linear inverted;		/* D -> 2F */
	struct param depth_w, depth_b;	/* [2F, 1, 3], [2F] F32 */
	struct linear point;		/* F -> D, no bias */
	struct linears in, out;
};

struct glu_ff_save {
	struct tensor a;		/* [B, T, 2F]: inverted(x), before its silu */
	struct linears_save in_save;
};

/* The place of a, on c->act. */
void glu_ff_keep(struct ctx *c, const struct glu_ff *l, struct glu_ff_save *s, int64_t B, int64_t T);

/* y = ff(x), both [B, T, D], x of linears_input(glu_ff_in); y may be x. y of rank 0: only what backward wants is computed.
 * After glu_ff_keep. Leaves c->act as found, but for what linear layers with adapters keep. */
void glu_ff_forward(struct ctx *c, const struct glu_ff *l, struct glu_ff_save *s, struct tensor y, struct tensor x);

/* dx = for dy, of linears_output(glu_ff_out); dx may be dy. x is read only when linear_wants_x(&l->inverted). Leaves c->act as
 * found. */
void glu_ff_backward(struct ctx *c, const struct glu_ff *l, const struct glu_ff_save *s, struct tensor dx, struct tensor dy,
                     struct tensor x);

bool glu_ff_trains(const struct glu_ff *l);

struct linears_use glu_ff_in(const struct glu_ff *l);
struct linears_use glu_ff_out(const struct glu_ff *l);
#endif
