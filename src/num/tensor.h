/* SPDX-License-Identifier: Apache-2.0 */
/* tensor.h - a view of numbers in memory; passed by value, never owns */
#ifndef ACE_NUM_TENSOR_H
#define ACE_NUM_TENSOR_H

#include "num/dtype.h"

#include <stdbool.h>
#include <stdint.h>

enum { TENSOR_RANK = 6 };

struct tensor {
	void *data;			/* host or device; NULL while only measured */
	enum dtype dtype;
	int rank;			/* 0: a scalar, one number */
	int64_t dim[TENSOR_RANK];	/* outermost first, contiguous unless ld is set */
	int64_t ld;			/* numbers from one row to the next, when the rows lie apart; 0: contiguous. Only kernels
					 * that say so take such tensors */
};

/* tensor_of(data, F32, 2, rows, columns) */
#define tensor_of(data, dtype, rank, ...) tensor_make(data, dtype, rank, (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })

struct tensor tensor_make(void *data, enum dtype t, int rank, const int64_t dim[]);
int64_t tensor_count(struct tensor x);
size_t tensor_bytes(struct tensor x);

/* Rows and columns of x seen as a matrix: all but the last dimension times the last. */
int64_t tensor_rows(struct tensor x);
int64_t tensor_cols(struct tensor x);

bool tensor_same_shape(struct tensor a, struct tensor b);
bool tensor_same(struct tensor a, struct tensor b);		/* shape and dtype */

/* The same numbers under other dimensions; asserts that the count is the same (and the last dimension, where rows lie apart). */
#define tensor_view(x, rank, ...) tensor_reshape(x, rank, (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })
struct tensor tensor_reshape(struct tensor x, int rank, const int64_t dim[]);

/* x[i], one rank less; x[from .. from+n-1], the same rank. Both share x's memory. */
struct tensor tensor_at(struct tensor x, int64_t i);
struct tensor tensor_slice(struct tensor x, int64_t from, int64_t n);

/* Columns from .. from+n-1 of every row: shares x's memory, with rows apart. */
struct tensor tensor_columns(struct tensor x, int64_t from, int64_t n);

/* Numbers from one row to the next: ld, or the last dimension. */
int64_t tensor_ld(struct tensor x);

/* "[2, 8, 16, 33]" into text; returns text. */
const char *tensor_shape_text(struct tensor x, char *text, size_t size);
#endif
