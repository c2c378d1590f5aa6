/* SPDX-License-Identifier: Apache-2.0 */
/* cross_attention.h - softmax attention of frames over encoder tokens (transformer.md section 4.5)
 *
 * q = linear(x), turned by frame position; k = linear(enc), turned by token position; v = linear(enc). A key is seen where
 * frame mask and token mask are both 1; a frame that sees none gets the bias of the last layer alone. */
#ifndef ACE_LAYERS_CROSS_ATTENTION_H
#define ACE_LAYERS_CROSS_ATTENTION_H

#include "layers/linears.h"

struct cross_attention {
	struct linear q, k, v, out;
	struct linears qs, kv, o;
	int64_t heads;
};

struct cross_attention_save {
	struct tensor q, o, lse;	/* [B, T, D], [B, T, D], [B, T, H] */
	struct tensor kv[LINEARS];	/* [B, M, D] */
	struct linears_save q_save, kv_save, out_save;
};

/* What the blocks of a model share: encoder tokens, their mask, the frames' mask, the rotary table. */
struct cross_attention_keys {
	struct tensor enc;		/* [B, M, D], with the room of linears_input(cross_attention_kv) of every block */
	struct f8_cast cast;		/* enc in fp8, or rank 0 */
	struct tensor mask;		/* [B, M] */
	struct tensor frame_mask;	/* [B, T] */
	struct tensor cs;		/* [2, >= max(T, M), d] */
};

/* Keys and values of the tokens, before a forward pass: they may be on the way while other things go on. */
void cross_attention_begin(struct ctx *c, const struct cross_attention *l, struct cross_attention_save *s,
                           const struct cross_attention_keys *keys);

/* y = attention of x [B, T, D], of linears_input(cross_attention_q), + add (rank 0: nothing). What s points to is taken from
 * c->act and stays there. */
void cross_attention_forward(struct ctx *c, const struct cross_attention *l, struct cross_attention_save *s, struct tensor y,
                             struct tensor x, struct tensor add, const struct cross_attention_keys *keys);

/* Places of linears_output for gradients of q, k and v, each of rank 0 or left alone until later's gradients are made; with later
 * NULL they are not used. */
struct cross_attention_late {
	struct tensor dq, dkv[LINEARS];
	struct linears_later *later;
};

/* dx += (when want_dx; of dy's type: dx = dy +) and denc += (when want_denc) for dy, of linears_output(cross_attention_out) or dx itself
 * where that has no room. What it leaves on top of c->act is given back after dev_join: gradients may be under way.
 * Gradients that late->later has from before start beside the attention. */
void cross_attention_backward(struct ctx *c, const struct cross_attention *l, const struct cross_attention_save *s,
                              struct tensor dx, struct tensor denc, struct tensor dy, struct tensor x,
                              const struct cross_attention_keys *keys, bool want_dx, bool want_denc,
                              const struct cross_attention_late *late);

bool cross_attention_trains(const struct cross_attention *l);

struct linears_use cross_attention_q(const struct cross_attention *l);
struct linears_use cross_attention_kv(const struct cross_attention *l);
struct linears_use cross_attention_out(const struct cross_attention *l);
#endif
