/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - a stack of tensors in one allocation
 *
 * Step memory comes from here: marks are taken and released, nothing in a step allocates. With base == NULL
 * the arena only measures: tensors come with data == NULL, and peak tells what a real run will use. */
#ifndef ACE_NUM_ARENA_H
#define ACE_NUM_ARENA_H

#include "num/tensor.h"

enum { ARENA_ALIGN = 256 };		/* bytes; every tensor begins on one */

struct arena {
	char *base;			/* not owned; NULL: measure only */
	size_t size, used, peak;	/* bytes; size is ignored while measuring */
};

/* An uninitialised tensor on top of the stack. Asserts that a real arena has room: its size was measured. */
#define arena_tensor(a, dtype, rank, ...) arena_make(a, dtype, rank, (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })
struct tensor arena_make(struct arena *a, enum dtype t, int rank, const int64_t dim[]);
struct tensor arena_like(struct arena *a, struct tensor x);

/* Everything taken after mark is given back by release(mark). */
size_t arena_mark(const struct arena *a);
void arena_release(struct arena *a, size_t mark);
#endif
