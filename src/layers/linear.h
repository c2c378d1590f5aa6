/* SPDX-License-Identifier: Apache-2.0 */
/* linear.h - a linear layer with an optional low-rank adapter beside its weight
 *
 * y = W x + b + s B A drop(x)  (E. Hu et al., LoRA, 2021, eq. 3; transformer.md section 10.2)
 *
 *   W  [out, in] F32 or BF16, or frozen in 8 bits (made anew in c->act's scratch for each product); in the file it may have more
 *      dimensions, all but the first are in
 *   b  [out], or rank 0: none
 *   A  [r, in] F32, B [out, r] F32, when rank r > 0
 *
 * Gradients are computed of params whose train is set, and of no other. */
#ifndef ACE_LAYERS_LINEAR_H
#define ACE_LAYERS_LINEAR_H

#include "layers/ctx.h"

struct linear {
	struct param w, b;		/* b.value.rank 0: no bias */
	struct param lora_a, lora_b;	/* used when rank > 0 */
	int64_t rank;			/* 0: no adapter */
	float scale, dropout;		/* s; probability of dropping an element of the adapter's input */
	uint64_t stream;		/* the adapter's dropout draws from rng_sub(c->rng, stream): unique in a model */
};

/* What forward keeps for backward, besides x, which the caller keeps. */
struct linear_save {
	struct tensor h;		/* [N, r] = drop(x) A^T; rank 0 when not kept */
};

enum linear_dx {
	LINEAR_NO_DX,			/* dx is not wanted and not touched */
	LINEAR_DX,			/* dx = */
	LINEAR_DX_ADD,			/* dx += */
};

/* What the product that makes p's gradient does with what is there. */
static inline float
linear_beta(const struct param *p)
{
	return p->fresh ? 0.f : 1.f;
}

int64_t linear_in(const struct linear *l);
int64_t linear_out(const struct linear *l);

/* Whether linear_backward reads x: a weight or adapter trains. Otherwise x may be a tensor without data. */
bool linear_wants_x(const struct linear *l);
/* Whether any of its params trains. */
bool linear_trains(const struct linear *l);

/* y [..., out] = layer of x [..., in], F32. s may be NULL, then the adapter's h is computed again in backward. h is taken
 * from c->act when c->training, s is given, and the adapter trains. */
void linear_forward(struct ctx *c, const struct linear *l, struct linear_save *s, struct tensor y, struct tensor x);

/* Gradients for dy [..., out]: dx [..., in] as asked, params += (= a fresh weight's). x as in forward. Leaves c->act as found. */
void linear_backward(struct ctx *c, const struct linear *l, const struct linear_save *s, struct tensor dx, struct tensor dy,
                     struct tensor x, enum linear_dx want);
#endif
