/* SPDX-License-Identifier: Apache-2.0 */
#include "num/arena.h"

#include <assert.h>

struct tensor
arena_make(struct arena *a, enum dtype t, int rank, const int64_t dim[])
{
	struct tensor x = tensor_make(NULL, t, rank, dim);
	size_t bytes = (tensor_bytes(x) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;

	if (a->base) {
		assert(a->used + bytes <= a->size);
		x.data = a->base + a->used;
	}
	a->used += bytes;
	if (a->used > a->peak)
		a->peak = a->used;
	return x;
}

struct tensor
arena_like(struct arena *a, struct tensor x)
{
	return arena_make(a, x.dtype, x.rank, x.dim);
}

size_t
arena_mark(const struct arena *a)
{
	return a->used;
}

void
arena_release(struct arena *a, size_t mark)
{
	assert(mark <= a->used);
	a->used = mark;
}
