/* SPDX-License-Identifier: Apache-2.0 */
/* linears.h - linear layers that share their input
 *
 * On a device with 16-bit activations their weights lie side by side in one matrix, with their adapters around it:
 *
 *   w = [ W  sB ]   W [out, in] all layers' rows, sB block by block, A [r, in]: one product of [x | h], h = drop(x) A^T, gives
 *       [ A   . ]   all results; one product of [dy | dh], dh = dy sB, gives dx.
 *
 * Frozen weights in 8 bits lie in q, their adapters' parts in right (sB) and below (A); w is then made from them for each product.
 *
 * h lies behind each row of x, dh behind each row of dy: linears_input and linears_output leave room for them. Elsewhere
 * (w.rank 0) the layers run one after the other, to the same bits as by themselves. */
#ifndef ACE_LAYERS_LINEARS_H
#define ACE_LAYERS_LINEARS_H

#include "kernels/list_adapter.h"
#include "kernels/list_quant.h"
#include "layers/linear.h"

enum { LINEARS = ADAPTERS, LINEARS_LATER = 4 };

struct linears {
	struct tensor w;		/* [out + r, in + r] BF16; rank 0: not side by side; without data where q is there */
	struct tensor q, scale;		/* [out, in] I8 or F8, [out]; I4, [out, 2, groups]; or rank 0 */
	struct tensor turned, ones;	/* F8 that goes into products as it is: q the other way round [in, out], and in ones */
	struct tensor right, below;	/* [out, r], [r, in] BF16: in w, or with q by themselves; without adapters rank 0 */
	struct tensor b;		/* [out] BF16 (F32 where results are), or rank 0 */
	struct tensor across;		/* s B^T of each layer, one behind the other */
	int64_t in, out, r;		/* r: the adapters' widths together */
};

struct linears_save {
	struct linear_save l[LINEARS];
};

/* What n layers of one input are called with. */
struct linears_use {
	const struct linears *g;
	const struct linear *l[LINEARS];
	int n;
	struct linears_later *later;	/* NULL: linears_backward makes adapters' gradients at once */
	struct f8_cast cast;		/* their input in fp8 already, for forward, or rank 0 */
	struct tensor onto;		/* what LINEAR_DX_ADD adds to, of dx's type; rank 0: dx */
};

/* Adapters' gradients that are asked for and not made. Zero: none. */
struct linears_later {
	int n;
	struct linears_waiting {
		struct linears_use u;
		struct tensor dy[LINEARS], x;
		struct adapters m;
	} waiting[LINEARS_LATER];
};
#define linears_of(g, ...) \
	linears_make(g, (const struct linear *const[LINEARS]){ __VA_ARGS__ }, sizeof((const struct linear *[]){ __VA_ARGS__ }) / sizeof(struct linear *))
struct linears_use linears_make(const struct linears *g, const struct linear *const l[LINEARS], size_t n);

/* A place [B, N, in] for their input, and one each [B, N, out of it] for their results or for the gradients of these, in
 * the type that c keeps activations in. */
struct tensor linears_input(struct ctx *c, struct linears_use u, int64_t B, int64_t N);
void linears_output(struct ctx *c, struct linears_use u, int64_t B, int64_t N, struct tensor y[]);

/* Products in fp8 take their input, or the gradients of their results, by rows in e4m3. What makes the whole of x, or (back) of dy,
 * may bring it there too: it is told where by linears_cast, and the call for u that follows takes it from there; rank 0: not wanted.
 * c->cast, taken from c->act, has place for rows of so many columns; casts follow one another in it. */
void linears_cast_place(struct ctx *c, int64_t rows, int64_t width);
struct f8_cast linears_cast(struct ctx *c, struct linears_use u, struct tensor x, bool back);

/* y[i] = layer i of x, + add (one layer only; rank 0: nothing). x of linears_input, whose room is written to; y of
 * linears_output, or for one layer any tensor. */
void linears_forward(struct ctx *c, struct linears_use u, struct linears_save *s, const struct tensor y[], struct tensor x,
                     struct tensor add);

/* Gradients for dy[i], of linears_output: dx as asked, params +=. x as forward left it, or (shared) with the room written over
 * by other layers since. Adapters' own gradients may be under way on the side: dev_join before dy's or x's memory has another
 * use. With u.later, which has room for them, they are not under way before linears_make_later(c, u.later), and dy and x stay as they
 * are till then. */
void linears_backward(struct ctx *c, struct linears_use u, const struct linears_save *s, struct tensor dx,
                      const struct tensor dy[], struct tensor x, enum linear_dx want, bool shared);

/* The same on the device's side where that can be, beside what is asked for after them: dev_join before their results are read
 * or their arguments' memory has another use. What they leave on top of c->act is given back after that too. */
void linears_forward_beside(struct ctx *c, struct linears_use u, struct linears_save *s, const struct tensor y[], struct tensor x);
void linears_backward_beside(struct ctx *c, struct linears_use u, const struct linears_save *s, struct tensor dx,
                             const struct tensor dy[], struct tensor x, enum linear_dx want, bool shared);

/* Starts on the side what waits, if anything does. Nothing does afterwards. */
void linears_make_later(struct ctx *c, struct linears_later *later);

/* Whether any of them trains, or reads x in backward. */
bool linears_train(struct linears_use u);
bool linears_want_x(struct linears_use u);
#endif
