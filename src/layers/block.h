/* SPDX-License-Identifier: Apache-2.0 */
/* block.h - one block of the diffusion transformer (transformer.md section 4.5)
 *
 *   x1 = x + gate1 self_attention(rms(x) (1 + scale1) + shift1)
 *   x2 = x1 + cross_attention(x1, enc)
 *   y  = x2 + gate2 ff(rms(x2) (1 + scale2) + shift2)
 *
 * with (shift1, scale1, gate1, shift2, scale2, gate2) = table [6, D] + t [B, 6, D]. Kept for backward: x1, x2, what the
 * attentions and the feed-forward keep, and 1 / rms. With F32 activations the modulated inputs are computed again; with 16-bit
 * ones the first is kept and a copy of x1 instead of x1, beside their adapters' inner results. */
#ifndef ACE_LAYERS_BLOCK_H
#define ACE_LAYERS_BLOCK_H

#include "layers/cross_attention.h"
#include "layers/glu_ff.h"
#include "layers/self_attention.h"
#include "layers/stack.h"

struct block {
	struct param table;		/* [6, D] F32 */
	struct self_attention attn;
	struct cross_attention cross;
	struct glu_ff ff;
};

struct block_save {
	struct tensor m;		/* [B, 6, D] */
	struct tensor r1, r2;		/* [B, T] */
	struct tensor x1, x2;		/* [B, T, D] of x's type; x1 may be y, overwritten later, or xh */
	struct tensor y1, xh;		/* [B, T, D]: rms(x) modulated; x1, or its 16-bit copy */
	struct tensor attn_out, ff_out;	/* [B, T, D], rank 0 unless gates want gradients */
	struct self_attention_save attn;
	struct cross_attention_save cross;
	struct glu_ff_save ff;
};

/* What all blocks of one pass share. */
struct block_shared {
	struct cross_attention_keys keys;
	struct tensor t;		/* [B, 6, D] */
	struct tensor dt, denc;		/* their gradients, added to; rank 0: not wanted */
	struct block_late {		/* where blocks of even and of odd numbers have gradients of q, k, v and of attentions' */
		struct tensor dqkv[LINEARS], dz, dq, dkv[LINEARS];	/* results, of linears_output, or rank 0 */
	} late[2];
	struct tensor dz;		/* of linears_output(glu_ff_out), or rank 0: where the block above leaves, gated, what it hands down */
	bool gated;			/* it has done so */
	struct tensor below;		/* m of the block below, when that is to find the same; or rank 0 */
	const struct glu_ff *below_ff;	/* with below: its feed-forward, when that has its weights already; or NULL */
	struct linears_later *later;	/* where a block's gradients wait for the next one's attention, with all of late; or NULL */
	const struct stack_hooks *hooks;	/* NULL: nobody is told that a feed-forward's gradients are made */
	int number;			/* of the block under way */
};

/* y for x, both [B, T, D], F32 or of the other activations' type. y of rank 0: only what backward wants (a second run, for recomputing).
 * modulation: gradients of table or t will be wanted. What s points to is taken from c->act and stays there. */
void block_forward(struct ctx *c, const struct block *l, struct block_save *s, struct tensor y, struct tensor x,
                   const struct block_shared *sh, bool modulation);

/* dx holds the gradient of y and is overwritten by that of x when want_dx, else by nothing of use. Leaves c->act as found. With
 * sh->late adapters' gradients may still be under way: dev_join before that place, or what the forward pass kept, has another
 * use (the next block's pass does that); with sh->later they may have to be started, by linears_make_later. */
void block_backward(struct ctx *c, const struct block *l, const struct block_save *s, struct tensor dx, struct tensor x,
                    const struct block_shared *sh, bool want_dx);

/* Whether any of its params trains. */
bool block_trains(const struct block *l);
#endif
