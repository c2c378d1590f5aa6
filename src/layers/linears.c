/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/linears.h"

#include "ops/adapters.h"
#include "ops/quant.h"
#include "ops/rows.h"

#include <assert.h>

static const struct tensor none;

struct linears_use
linears_make(const struct linears *g, const struct linear *const l[LINEARS], size_t n)
{
	struct linears_use u = { .g = g, .n = (int)n };

	for (int i = 0; i < u.n; i++)
		u.l[i] = l[i];
	return u;
}

bool
linears_train(struct linears_use u)
{
	for (int i = 0; i < u.n; i++)
		if (linear_trains(u.l[i]))
			return true;
	return false;
}

bool
linears_want_x(struct linears_use u)
{
	for (int i = 0; i < u.n; i++)
		if (linear_wants_x(u.l[i]))
			return true;
	return false;
}

static bool
packed(struct linears_use u)
{
	return u.g->w.rank > 0;
}

struct tensor
linears_input(struct ctx *c, struct linears_use u, int64_t B, int64_t N)
{
	int64_t in = linear_in(u.l[0]), r = packed(u) ? u.g->r : 0;
	struct tensor x = arena_tensor(c->act, c->half, 3, B, N, in + r);

	return r ? tensor_columns(x, 0, in) : x;
}

void
linears_output(struct ctx *c, struct linears_use u, int64_t B, int64_t N, struct tensor y[])
{
	struct tensor all;
	int64_t at = 0;

	if (packed(u))
		all = arena_tensor(c->act, c->half, 3, B, N, u.g->out + u.g->r);
	for (int i = 0; i < u.n; i++) {
		int64_t out = linear_out(u.l[i]);
		if (!packed(u))
			y[i] = arena_tensor(c->act, c->half, 3, B, N, out);
		else
			y[i] = u.n == 1 && u.g->r == 0 ? all : tensor_columns(all, at, out);
		at += out;
	}
}

/* x with n columns in all, from its first. */
static struct tensor
with_columns(struct tensor x, int64_t n)
{
	struct tensor y = rows_of(x);

	assert(n <= tensor_ld(y));
	y.ld = tensor_ld(y);
	y.dim[1] = n;
	return y;
}

static struct tensor
room(struct tensor x, int64_t from, int64_t n)
{
	return tensor_columns(with_columns(x, from + n), from, n);
}

static struct adapters
adapters_of(const struct ctx *c, struct linears_use u)
{
	struct adapters m = { .n = 0 };

	for (int i = 0; i < u.n; i++) {
		const struct linear *l = u.l[i];
		m.rank[i] = l->rank;
		m.out[i] = linear_out(l);
		m.scale[i] = l->scale;
		m.stream[i] = rng_sub(c->rng, l->stream);
		if (l->rank > 0)
			m.p = c->training ? l->dropout : 0.f;
	}
	m.n = u.n;
	return m;
}

/* The whole of w, in q's case on top of the arena. */
static struct tensor
whole(struct ctx *c, const struct linears *g)
{
	struct tensor w;

	if (!g->q.rank)
		return g->w;
	w = arena_like(c->act, g->w);
	quant_undo(c->dev, w, g->q, g->scale, g->right, g->below);
	return w;
}

void
linears_cast_place(struct ctx *c, int64_t rows, int64_t width)
{
	c->cast = (struct cast_place){ .q = arena_tensor(c->act, F8, 1, rows * width), .s = arena_tensor(c->act, F32, 1, rows) };
}

struct f8_cast
linears_cast(struct ctx *c, struct linears_use u, struct tensor x, bool back)
{
	struct f8_cast f = { .q = none };
	int64_t rows, width = back ? u.g->out : u.g->in;

	c->cast.of = NULL;
	if (!packed(u) || !u.g->turned.rank || !c->cast.q.rank)
		return f;
	rows = tensor_rows(x);
	if (c->cast.q.dim[0] < rows * width || c->cast.s.dim[0] < rows)
		return f;
	f.q = tensor_view(tensor_slice(c->cast.q, 0, rows * width), 2, rows, width);
	f.s = tensor_slice(c->cast.s, 0, rows);
	if (back)
		f.c = u.g->scale;
	c->cast.of = x.data;
	return f;
}

/* Where x's maker put it in fp8, or rank 0. */
static struct tensor
f8_made(const struct ctx *c, struct tensor x, struct tensor *scale)
{
	if (!c->cast.of || c->cast.of != x.data)
		return none;
	*scale = tensor_slice(c->cast.s, 0, x.dim[0]);
	return tensor_view(tensor_slice(c->cast.q, 0, x.dim[0] * x.dim[1]), 2, x.dim[0], x.dim[1]);
}

/* x [N, K] in fp8, on top of the arena. */
static struct tensor
f8_of(struct ctx *c, struct tensor x, struct tensor weigh, struct tensor *scale)
{
	struct tensor q = arena_tensor(c->act, F8, 2, x.dim[0], x.dim[1]);

	*scale = arena_tensor(c->act, F32, 1, x.dim[0]);
	quant_f8_rows(c->dev, q, *scale, x, weigh);
	return q;
}

/* y = x w^T + b + add, x and w in fp8, the adapters' part in 16 bits. */
static void
f8_forward(struct ctx *c, struct linears_use u, struct tensor y, struct tensor x, struct tensor add, const struct adapters *m)
{
	const struct linears *g = u.g;
	struct f8_product p = { .x = u.cast.q, .s = u.cast.s, .y = y, .w = g->q, .t = g->scale, .b = g->b, .add = add };

	if (!p.x.rank)
		p.x = f8_made(c, rows_of(x), &p.s);
	bool pair = g->r && !p.x.rank && !adapters_are_wide(m);
	if (pair)
		dev_pair(c->dev, 1);
	if (g->r) {
		p.h = room(x, g->in, g->r);
		p.right = g->right;
		adapters_down(c->dev, p.h, rows_of(x), g->below, m);
	}
	if (pair)
		dev_pair(c->dev, 2);
	if (!p.x.rank)
		p.x = f8_of(c, rows_of(x), none, &p.s);
	if (pair)
		dev_pair(c->dev, 0);
	quant_f8_product(c->dev, &p);
}

/* dx = onto (rank 0: nothing) + dy w, as the sum over rows of w of (dy scale) q: the same w. dh: rank 0, or made of dy; joined: its part
 * is added. */
static void
f8_backward(struct ctx *c, const struct linears *g, struct tensor dx, struct tensor dy, struct tensor dh, const struct adapters *m,
            bool joined, struct tensor onto)
{
	struct f8_product p = { .y = dx, .w = g->turned, .t = g->ones, .add = onto };

	p.x = f8_made(c, dy, &p.s);
	bool pair = dh.rank && !p.x.rank && !adapters_are_wide(m);
	if (pair)
		dev_pair(c->dev, 1);
	if (dh.rank)
		adapters_back(c->dev, dh, dy, g->across, m);
	if (pair)
		dev_pair(c->dev, 2);
	if (!p.x.rank)
		p.x = f8_of(c, dy, g->scale, &p.s);
	if (pair)
		dev_pair(c->dev, 0);
	if (joined) {
		p.h = dh;
		p.below = g->below;
	}
	quant_f8_product(c->dev, &p);
}

/* Leaves what it works with on top of the arena. */
static void
packed_forward(struct ctx *c, struct linears_use u, const struct tensor y[], struct tensor x, struct tensor add)
{
	const struct linears *g = u.g;
	struct adapters m = adapters_of(c, u);
	struct tensor ym;

	ym = u.n == 1 ? rows_of(y[0]) : with_columns(y[0], g->out);
	if (add.rank)
		add = rows_of(add);
	if (g->turned.rank) {
		f8_forward(c, u, ym, x, add, &m);
	} else {
		if (g->r)
			adapters_down(c->dev, room(x, g->in, g->r), rows_of(x), g->below, &m);
		rows_linear(c->dev, ym, with_columns(x, g->in + g->r), tensor_slice(whole(c, g), 0, g->out), g->b, add);
	}
	c->cast.of = NULL;
}

void
linears_forward(struct ctx *c, struct linears_use u, struct linears_save *s, const struct tensor y[], struct tensor x,
                struct tensor add)
{
	size_t mark = arena_mark(c->act);

	assert(!add.rank || u.n == 1);
	if (packed(u)) {
		packed_forward(c, u, y, x, add);
		arena_release(c->act, mark);
		return;
	}
	for (int i = 0; i < u.n; i++)
		linear_forward(c, u.l[i], s ? &s->l[i] : NULL, y[i], x);
	if (add.rank)
		rows_axpy(c->dev, y[0], add, 1.f);
}

/* Whether all of it can go on the side: no work space, no weights made for the moment, nothing of the base that trains. What
 * forward takes on top of the arena would stay below what it keeps: with F8 that is nothing only where the input is cast already. */
static bool
can_part(const struct ctx *c, struct linears_use u)
{
	struct adapters m = adapters_of(c, u);

	for (int i = 0; i < u.n; i++)
		if (u.l[i]->w.train || u.l[i]->b.train)
			return false;
	return packed(u) && (!u.g->q.rank || u.g->turned.rank) && (m.p == 0.f || !adapters_are_wide(&m));
}

void
linears_forward_beside(struct ctx *c, struct linears_use u, struct linears_save *s, const struct tensor y[], struct tensor x)
{
	if (!can_part(c, u) || (u.g->q.rank && !u.cast.q.rank)) {
		linears_forward(c, u, s, y, x, none);
		return;
	}
	dev_side(c->dev, true);
	packed_forward(c, u, y, x, none);
	dev_side(c->dev, false);
}

static struct tensor
grad(const struct param *p)
{
	return p->train ? p->grad : (struct tensor){ 0 };
}

/* Gradients of base weights and biases; only without adapters do they train where layers lie side by side. */
static void
base_grads(struct ctx *c, struct linears_use u, const struct tensor dy[], struct tensor x)
{
	for (int i = 0; i < u.n; i++) {
		const struct linear *l = u.l[i];
		if (l->w.train)
			rows_gemm(c->dev, tensor_view(l->w.grad, 2, linear_out(l), linear_in(l)), rows_of(dy[i]), rows_of(x), true, false,
			          1.f, linear_beta(&l->w));
		if (l->b.train)
			rows_column_sum(c->dev, l->b.grad, rows_of(dy[i]));
	}
}

static void
adapter_grads(struct ctx *c, struct linears_use u, const struct tensor dy[], struct tensor x, const struct adapters *m)
{
	const struct linears *g = u.g;
	struct tensor da[LINEARS], db[LINEARS];

	for (int i = 0; i < u.n; i++) {
		da[i] = grad(&u.l[i]->lora_a);
		db[i] = grad(&u.l[i]->lora_b);
	}
	adapters_grads(c->dev, da, db, room(dy[0], g->out, g->r), room(x, g->in, g->r), rows_of(x), with_columns(dy[0], g->out), m);
}

static void
put_off(struct linears_use u, const struct tensor dy[], struct tensor x, const struct adapters *m)
{
	struct linears_waiting *w = &u.later->waiting[u.later->n++];

	assert(u.later->n <= LINEARS_LATER);
	w->u = u;
	w->x = x;
	w->m = *m;
	for (int i = 0; i < u.n; i++)
		w->dy[i] = dy[i];
}

void
linears_make_later(struct ctx *c, struct linears_later *later)
{
	if (!later || later->n == 0)
		return;
	dev_side(c->dev, true);
	for (int i = 0; i < later->n; i++)
		adapter_grads(c, later->waiting[i].u, later->waiting[i].dy, later->waiting[i].x, &later->waiting[i].m);
	dev_side(c->dev, false);
	later->n = 0;
}

static void
move_onto(struct ctx *c, struct tensor dx, struct tensor onto)
{
	if (onto.data != dx.data)
		rows_copy(c->dev, dx, onto);
}

/* Leaves what it works with on top of the arena. apart: it is on the side as a whole. */
static void
packed_backward(struct ctx *c, struct linears_use u, struct tensor dx, const struct tensor dy[], struct tensor x,
                enum linear_dx want, bool shared, bool apart)
{
	const struct linears *g = u.g;
	struct adapters m = adapters_of(c, u);
	struct tensor all = with_columns(dy[0], g->out);
	bool joined = g->r && m.p == 0.f;		/* dh goes through the one product with dy */
	float beta = want == LINEAR_DX_ADD ? 1.f : 0.f;
	int64_t rows = g->out + (joined ? g->r : 0);
	struct tensor onto = u.onto.rank ? u.onto : dx, dh = g->r ? room(dy[0], g->out, g->r) : none;
	bool in_f8 = want != LINEAR_NO_DX && g->turned.rank;

	if (want == LINEAR_DX_ADD && !g->turned.rank)
		move_onto(c, dx, onto);
	if (g->r && !in_f8)
		adapters_back(c->dev, dh, all, g->across, &m);
	if (in_f8)
		f8_backward(c, g, rows_of(dx), all, dh, &m, joined, want == LINEAR_DX_ADD ? rows_of(onto) : none);
	else if (want != LINEAR_NO_DX)
		rows_gemm(c->dev, rows_of(dx), with_columns(dy[0], rows), tensor_columns(tensor_slice(whole(c, g), 0, rows), 0, g->in),
		          false, false, 1.f, beta);
	if (want != LINEAR_NO_DX && g->r && !joined)
		adapters_dx(c->dev, rows_of(dx), dh, g->below, &m);
	c->cast.of = NULL;
	base_grads(c, u, dy, x);
	if (!g->r || !linears_want_x(u))
		return;
	if (shared)
		adapters_down(c->dev, room(x, g->in, g->r), rows_of(x), g->below, &m);
	if (u.later) {
		put_off(u, dy, x, &m);
		return;
	}
	if (!apart)
		dev_side(c->dev, true);
	adapter_grads(c, u, dy, x, &m);
	if (!apart)
		dev_side(c->dev, false);
}

void
linears_backward(struct ctx *c, struct linears_use u, const struct linears_save *s, struct tensor dx, const struct tensor dy[],
                 struct tensor x, enum linear_dx want, bool shared)
{
	size_t mark = arena_mark(c->act);

	if (packed(u)) {
		packed_backward(c, u, dx, dy, x, want, shared, false);
		arena_release(c->act, mark);
		return;
	}
	if (want == LINEAR_DX_ADD && u.onto.rank)
		move_onto(c, dx, u.onto);
	for (int i = 0; i < u.n; i++)
		linear_backward(c, u.l[i], s ? &s->l[i] : NULL, dx, dy[i], x, i > 0 && want == LINEAR_DX ? LINEAR_DX_ADD : want);
}

void
linears_backward_beside(struct ctx *c, struct linears_use u, const struct linears_save *s, struct tensor dx, const struct tensor dy[],
                        struct tensor x, enum linear_dx want, bool shared)
{
	if (!can_part(c, u)) {
		u.later = NULL;			/* other layers would write over x's room beside it */
		linears_backward(c, u, s, dx, dy, x, want, shared);
		return;
	}
	dev_side(c->dev, true);
	packed_backward(c, u, dx, dy, x, want, shared, true);
	dev_side(c->dev, false);
}
