/* SPDX-License-Identifier: Apache-2.0 */
/* self_attention.h - linear attention of the latent frames (transformer.md section 4.5, backward section 6)
 *
 * q, k, v = linear(x); q and k are turned by their position, masked, relu; v is masked; per head o = q KV / (q z). The result
 * goes through one more linear layer, whose bias masked frames receive as well. */
#ifndef ACE_LAYERS_SELF_ATTENTION_H
#define ACE_LAYERS_SELF_ATTENTION_H

#include "layers/linears.h"

struct self_attention {
	struct linear q, k, v, out;
	struct linears qkv, o;
	int64_t heads;
};

struct self_attention_save {
	struct tensor qkv[LINEARS];	/* [B, T, D] each, as the attention takes them */
	struct tensor o, den;		/* [B, T, D], [B, T, H] */
	struct linears_save qkv_save, out_save;
};

/* y = attention of x, both [B, T, D]; x of linears_input(self_attention_qkv); cs: table of rope_table [2, >= T, d]; mask
 * [B, T]. What s points to is taken from c->act and stays there; the caller releases it. */
void self_attention_forward(struct ctx *c, const struct self_attention *l, struct self_attention_save *s, struct tensor y,
                            struct tensor x, struct tensor cs, struct tensor mask);

/* dx = (when want_dx) for dy, of linears_output(self_attention_out). x is read only when self_attention_wants_x. Leaves
 * c->act as found. late: NULL, or a place of linears_output(self_attention_qkv) for gradients of q, k, v that is left alone until
 * dev_join, as x is: adapters' gradients may then be under way. later: NULL, or where all gradients of adapters wait; dy is left alone
 * as well then. */
void self_attention_backward(struct ctx *c, const struct self_attention *l, const struct self_attention_save *s,
                             struct tensor dx, struct tensor dy, struct tensor x, struct tensor cs, struct tensor mask,
                             bool want_dx, const struct tensor *late, struct linears_later *later);

bool self_attention_trains(const struct self_attention *l);
bool self_attention_wants_x(const struct self_attention *l);

struct linears_use self_attention_qkv(const struct self_attention *l);
struct linears_use self_attention_out(const struct self_attention *l);
#endif
