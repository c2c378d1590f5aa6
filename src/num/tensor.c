/* SPDX-License-Identifier: Apache-2.0 */
#include "num/tensor.h"

#include <assert.h>
#include <stdio.h>

struct tensor
tensor_make(void *data, enum dtype t, int rank, const int64_t dim[])
{
	struct tensor x = { .data = data, .dtype = t, .rank = rank };

	assert(rank >= 0 && rank <= TENSOR_RANK);
	for (int i = 0; i < rank; i++) {
		assert(dim[i] >= 0);
		x.dim[i] = dim[i];
	}
	return x;
}

int64_t
tensor_count(struct tensor x)
{
	int64_t n = 1;

	for (int i = 0; i < x.rank; i++)
		n *= x.dim[i];
	return n;
}

size_t
tensor_bytes(struct tensor x)
{
	return (size_t)tensor_count(x) * dtype_size(x.dtype);
}

int64_t
tensor_cols(struct tensor x)
{
	return x.rank ? x.dim[x.rank - 1] : 1;
}

int64_t
tensor_rows(struct tensor x)
{
	int64_t n = 1;

	for (int i = 0; i + 1 < x.rank; i++)
		n *= x.dim[i];
	return n;
}

bool
tensor_same_shape(struct tensor a, struct tensor b)
{
	if (a.rank != b.rank)
		return false;
	for (int i = 0; i < a.rank; i++)
		if (a.dim[i] != b.dim[i])
			return false;
	return true;
}

bool
tensor_same(struct tensor a, struct tensor b)
{
	return a.dtype == b.dtype && tensor_same_shape(a, b);
}

struct tensor
tensor_reshape(struct tensor x, int rank, const int64_t dim[])
{
	struct tensor y = tensor_make(x.data, x.dtype, rank, dim);

	assert(tensor_count(x) == tensor_count(y));
	return y;
}

struct tensor
tensor_at(struct tensor x, int64_t i)
{
	struct tensor y = tensor_make(x.data, x.dtype, x.rank - 1, x.dim + 1);

	assert(x.rank > 0 && i >= 0 && i < x.dim[0]);
	if (x.data)
		y.data = (char *)x.data + (size_t)i * tensor_bytes(y);
	return y;
}

struct tensor
tensor_slice(struct tensor x, int64_t from, int64_t n)
{
	struct tensor y = x;

	assert(x.rank > 0 && from >= 0 && n >= 0 && from + n <= x.dim[0]);
	y.dim[0] = 1;
	if (x.data)
		y.data = (char *)x.data + (size_t)from * tensor_bytes(y);
	y.dim[0] = n;
	return y;
}

const char *
tensor_shape_text(struct tensor x, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "[");

	for (int i = 0; i < x.rank && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%lld", i ? ", " : "", (long long)x.dim[i]);
	if (at < size)
		snprintf(text + at, size - at, "]");
	return text;
}
