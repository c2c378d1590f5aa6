/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/linear.h"

#include "ops/quant.h"
#include "ops/rows.h"

#include <assert.h>

int64_t
linear_out(const struct linear *l)
{
	return l->w.value.dim[0];
}

int64_t
linear_in(const struct linear *l)
{
	int64_t n = 1;

	for (int i = 1; i < l->w.value.rank; i++)
		n *= l->w.value.dim[i];
	return n;
}

static struct tensor
matrix(const struct linear *l, struct tensor w)
{
	return tensor_view(w, 2, linear_out(l), linear_in(l));
}

/* W as a product takes it: itself, or made from 8 or 4 bits on top of the arena. */
static struct tensor
weight(struct ctx *c, const struct linear *l)
{
	static const struct tensor none;
	struct tensor w, q = matrix(l, l->w.value);

	if (!l->w.scale.rank)
		return q;
	w = arena_tensor(c->act, q.dtype == F8 ? c->half : l->w.scale.dtype, 2, q.dim[0], q.dim[1]);
	quant_undo(c->dev, w, q, l->w.scale, none, none);
	return w;
}

static bool
adapter_trains(const struct linear *l)
{
	return l->rank > 0 && (l->lora_a.train || l->lora_b.train);
}

bool
linear_wants_x(const struct linear *l)
{
	return l->w.train || adapter_trains(l);
}

bool
linear_trains(const struct linear *l)
{
	return l->w.train || l->b.train || adapter_trains(l);
}

static bool
drops(const struct ctx *c, const struct linear *l)
{
	return c->training && l->dropout > 0.f;
}

/* drop(x): x itself when nothing is dropped, else a tensor on top of the arena. */
static struct tensor
dropped(struct ctx *c, const struct linear *l, struct tensor x)
{
	struct tensor y;

	if (!drops(c, l))
		return x;
	y = arena_like(c->act, x);
	rows_dropout(c->dev, y, x, rng_sub(c->rng, l->stream), l->dropout, false);
	return y;
}

/* h [N, r] = drop(x) A^T */
static void
project(struct ctx *c, const struct linear *l, struct tensor h, struct tensor x)
{
	size_t mark = arena_mark(c->act);

	rows_gemm(c->dev, h, dropped(c, l, x), l->lora_a.value, false, true, 1.f, 0.f);
	arena_release(c->act, mark);
}

void
linear_forward(struct ctx *c, const struct linear *l, struct linear_save *s, struct tensor y, struct tensor x)
{
	struct tensor ym = rows_of(y), xm = rows_of(x), h;
	size_t mark;

	assert(ym.dim[1] == linear_out(l) && xm.dim[1] == linear_in(l));
	if (s)
		s->h = (struct tensor){ 0 };
	if (l->rank > 0 && s && c->training && adapter_trains(l))
		s->h = arena_tensor(c->act, F32, 2, xm.dim[0], l->rank);
	mark = arena_mark(c->act);
	rows_linear(c->dev, ym, xm, weight(c, l), l->b.value, (struct tensor){ 0 });
	arena_release(c->act, mark);
	if (l->rank > 0) {
		h = s && s->h.rank ? s->h : arena_tensor(c->act, F32, 2, xm.dim[0], l->rank);
		project(c, l, h, xm);
		rows_gemm(c->dev, ym, h, l->lora_b.value, false, true, l->scale, 1.f);
	}
	arena_release(c->act, mark);
}

/* The adapter's part: dB += s dy^T h, dh = s dy B, dA += dh^T drop(x), dx += drop(dh A) */
static void
adapter_backward(struct ctx *c, const struct linear *l, const struct linear_save *s, struct tensor dx, struct tensor dy,
                 struct tensor x, bool want_dx)
{
	size_t mark = arena_mark(c->act), inner;
	struct tensor h = s ? s->h : (struct tensor){ 0 }, dh, xd;

	if (!h.rank && l->lora_b.train) {
		h = arena_tensor(c->act, F32, 2, dy.dim[0], l->rank);
		project(c, l, h, x);
	}
	if (l->lora_b.train)
		rows_gemm(c->dev, l->lora_b.grad, dy, h, true, false, l->scale, 1.f);
	dh = arena_tensor(c->act, F32, 2, dy.dim[0], l->rank);
	if (l->lora_a.train || want_dx)
		rows_gemm(c->dev, dh, dy, l->lora_b.value, false, false, l->scale, 0.f);
	if (l->lora_a.train) {
		inner = arena_mark(c->act);
		rows_gemm(c->dev, l->lora_a.grad, dh, dropped(c, l, x), true, false, 1.f, 1.f);
		arena_release(c->act, inner);
	}
	if (want_dx && drops(c, l)) {
		xd = arena_like(c->act, dx);
		rows_gemm(c->dev, xd, dh, l->lora_a.value, false, false, 1.f, 0.f);
		rows_dropout(c->dev, dx, xd, rng_sub(c->rng, l->stream), l->dropout, true);
	} else if (want_dx) {
		rows_gemm(c->dev, dx, dh, l->lora_a.value, false, false, 1.f, 1.f);
	}
	arena_release(c->act, mark);
}

void
linear_backward(struct ctx *c, const struct linear *l, const struct linear_save *s, struct tensor dx, struct tensor dy,
                struct tensor x, enum linear_dx want)
{
	struct tensor dym = rows_of(dy), xm = x, dxm = dx;
	size_t mark = arena_mark(c->act);

	assert(dym.dim[1] == linear_out(l));
	if (linear_wants_x(l)) {
		xm = rows_of(x);
		assert(xm.dim[0] == dym.dim[0] && xm.dim[1] == linear_in(l));
	}
	if (want != LINEAR_NO_DX) {
		dxm = rows_of(dx);
		assert(dxm.dim[0] == dym.dim[0] && dxm.dim[1] == linear_in(l));
		rows_gemm(c->dev, dxm, dym, weight(c, l), false, false, 1.f, want == LINEAR_DX_ADD ? 1.f : 0.f);
		arena_release(c->act, mark);
	}
	if (l->w.train)
		rows_gemm(c->dev, matrix(l, l->w.grad), dym, xm, true, false, 1.f, linear_beta(&l->w));
	if (l->b.train)
		rows_column_sum(c->dev, l->b.grad, dym);
	if (l->rank > 0 && (want != LINEAR_NO_DX || adapter_trains(l)))
		adapter_backward(c, l, s, dxm, dym, xm, want != LINEAR_NO_DX);
}
