/* SPDX-License-Identifier: Apache-2.0 */
/* stack.h - a row of equal blocks: the only place that knows of recomputing and of what happens between blocks
 * (layout.md section 8)
 *
 * The model gives two functions of a block's number, train gives hooks, so that layers know no communicator and models no
 * memory policy. */
#ifndef ACE_LAYERS_STACK_H
#define ACE_LAYERS_STACK_H

#include "layers/ctx.h"

/* Called around each block, in both directions; NULL: nothing. within: in a block's backward pass, once the gradients of its feed-forward
 * are made. */
struct stack_hooks {
	void *me;
	void (*before)(void *me, int block, bool backward);
	void (*within)(void *me, int block);
	void (*after)(void *me, int block, bool backward);
};

struct stack {
	int n;
	int interval;			/* 0: nothing is recomputed; k: blocks whose number is a multiple of k are */
	struct stack_hooks hooks;
	void *me;
	/* y for x of block i; y of rank 0: only what backward wants. Saves stay on c->act. */
	void (*forward)(struct ctx *c, void *me, int i, struct tensor y, struct tensor x);
	/* dx: in, the gradient of block i's output; out, of its input x. Leaves c->act as found. */
	void (*backward)(struct ctx *c, void *me, int i, struct tensor dx, struct tensor x);
	struct tensor *x;		/* n + 1 places, owned by the model: the input of each block and the result */
};

/* Runs all blocks on s->x[0]; the result is s->x[n]. In training, inputs and saves stay on c->act; else only x[n] is kept
 * valid, and two tensors like x[0] stay. */
void stack_forward(struct ctx *c, struct stack *s);

/* dx: in, the gradient of x[n]; out, of x[first]. Blocks below first are left alone. */
void stack_backward(struct ctx *c, struct stack *s, struct tensor dx, int first);
#endif
