/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.h - what a layer gets besides its own fields, and what a parameter is (layout.md section 4) */
#ifndef ACE_LAYERS_CTX_H
#define ACE_LAYERS_CTX_H

#include "dev/dev.h"
#include "num/arena.h"
#include "num/rng.h"

#include <stdbool.h>

/* Queries made weak, for an output that hears less of its conditions (sampling.md section 4). */
struct weakening {
	int from, to;		/* blocks, one past the last; none when they are equal */
	float tau;		/* what the queries' projection is multiplied by */
	int64_t clip;		/* in the samples of the batch from here on */
};

/* A place where the matrix that the next product takes may be in fp8, put there by what made it. */
struct cast_place {
	struct tensor q, s;	/* [n] F8, [rows] F32; or rank 0 */
	const void *of;		/* the matrix whose rows are there; NULL: none's */
};

struct ctx {
	struct dev *dev;
	struct arena *act;	/* saved for backward; scratch above a mark */
	struct rng rng;		/* the step's stream; a layer draws from rng_sub(rng, its number) */
	bool training;		/* false: forward saves nothing and drops nothing */
	enum dtype half;	/* of activations besides the residual stream: F32, or BF16 on a device that computes with it */
	float tau;		/* of the block that runs: 0: nothing is weak */
	int64_t weak;		/* the first sample that is */
	struct cast_place cast;
};

/* Sets c for block i; ctx_weaken does it to q [B, ...]. Never in training. */
static inline void
ctx_block(struct ctx *c, const struct weakening *w, int i)
{
	c->tau = i >= w->from && i < w->to ? w->tau : 0.f;
	c->weak = w->clip;
}

void ctx_weaken(const struct ctx *c, struct tensor q);

struct param {
	const char *name;	/* exactly the name in the safetensors file; borrowed from the model */
	struct tensor value;	/* F32, BF16 or F16; of a frozen matrix I8, F8 or I4 where scale is there */
	struct tensor scale;	/* of value's rows, as ops/quant.h makes them; rank 0: value is what it says */
	struct tensor grad;	/* added to by backward; data NULL when frozen. F32; BF16 of a linear layer's weight where that is
				 * asked for (params.h) */
	bool train;		/* wants a gradient */
	bool once;		/* each backward pass makes grad by one product (dit_mark_once) */
	bool fresh;		/* of such: what grad holds is not to be added to, that product writes it */
};
#endif
