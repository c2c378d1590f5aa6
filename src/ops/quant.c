/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/quant.h"

#include "kernels/kernels.h"

#include <assert.h>

static bool
in_groups(struct tensor q, struct tensor scale)
{
	return q.dtype == I4 && scale.rank == 3 && scale.dim[0] == tensor_rows(q) && scale.dim[1] == 2 && tensor_cols(q) % 2 == 0 &&
	       scale.dim[2] > 0 && tensor_cols(q) % scale.dim[2] == 0 && !scale.ld && !q.ld;
}

int64_t
quant_group(int64_t width)
{
	int64_t group = 128;

	if (width <= group)
		return width;
	while (width % group != 0 && group > 32)
		group -= 32;
	return width % group == 0 ? group : width;
}

void
quant_make(struct dev *d, struct tensor q, struct tensor scale, struct tensor w)
{
	if (q.dtype == I4) {
		assert(in_groups(q, scale) && scale.dtype == w.dtype && tensor_count(q) == tensor_count(w) && !w.ld);
		d->k->quantize4(d, q, scale, w);
		return;
	}
	assert((q.dtype == I8 || q.dtype == F8) && scale.dtype == (q.dtype == I8 ? w.dtype : F32));
	assert(tensor_count(q) == tensor_count(w) && tensor_count(scale) == tensor_rows(w) && !w.ld);
	d->k->quantize(d, q, scale, w);
}

void
quant_undo(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	assert(w.rank == 2 && (q.dtype == I4 ? in_groups(q, scale) && scale.dtype == w.dtype
	                                     : (q.dtype == I8 || q.dtype == F8) && tensor_count(scale) == tensor_rows(q)));
	assert(!right.rank || (right.dtype == w.dtype && tensor_rows(right) == tensor_rows(q)));
	assert(!below.rank || (below.dtype == w.dtype && tensor_cols(below) == tensor_cols(q)));
	assert(w.dim[0] == tensor_rows(q) + (below.rank ? tensor_rows(below) : 0));
	assert(w.dim[1] == tensor_cols(q) + (right.rank ? tensor_cols(right) : 0));
	if (q.dtype == I4)
		d->k->dequantize4(d, w, q, scale, right, below);
	else
		d->k->dequantize(d, w, q, scale, right, below);
}

void
quant_f8_rows(struct dev *d, struct tensor q, struct tensor s, struct tensor x, struct tensor c)
{
	assert(q.dtype == F8 && s.dtype == F32 && tensor_count(q) == tensor_count(x) && tensor_count(s) == tensor_rows(x));
	assert(tensor_cols(q) == tensor_cols(x) && (!c.rank || (c.dtype == F32 && tensor_count(c) == tensor_cols(x))));
	d->k->f8_rows(d, q, s, x, c);
}

void
quant_f8_product(struct dev *d, const struct f8_product *p)
{
	int64_t N = p->x.dim[0], M = p->w.dim[0], R = p->h.rank ? p->h.dim[1] : 0;

	assert(p->y.rank == 2 && p->x.rank == 2 && p->w.rank == 2 && p->x.dtype == F8 && p->w.dtype == F8 && p->x.dim[1] == p->w.dim[1]);
	assert(p->y.dim[0] == N && p->y.dim[1] == M && tensor_count(p->s) == N && tensor_count(p->t) == M);
	assert(!p->h.rank || (p->h.dtype == BF16 && p->h.dim[0] == N && (p->right.rank > 0) != (p->below.rank > 0)));
	assert(!p->right.rank || (p->right.dtype == BF16 && p->right.dim[0] == M && p->right.dim[1] == R));
	assert(!p->below.rank || (p->below.dtype == BF16 && p->below.dim[0] == R && p->below.dim[1] == M));
	assert(!p->b.rank || ((p->b.dtype == BF16 || p->b.dtype == F32) && tensor_count(p->b) == M));
	assert(!p->add.rank || (p->add.dtype == p->y.dtype && p->add.dim[0] == N && p->add.dim[1] == M));
	d->k->f8_product(d, p);
}

void
quant_f8_turn(struct dev *d, struct tensor y, struct tensor x)
{
	assert(x.rank == 2 && y.rank == 2 && y.dim[0] == x.dim[1] && y.dim[1] == x.dim[0] && y.dtype == F8 && x.dtype == F8);
	d->k->f8_turn(d, y, x);
}
