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
	return (size_t)tensor_count(x) * dtype_size(x.dtype) / (x.dtype == I4 ? 2 : 1);
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
	if (x.ld) {
		assert(rank > 0 && tensor_cols(x) == tensor_cols(y));
		y.ld = x.ld;
	}
	return y;
}

int64_t
tensor_ld(struct tensor x)
{
	return x.ld ? x.ld : tensor_cols(x);
}

struct tensor
tensor_columns(struct tensor x, int64_t from, int64_t n)
{
	struct tensor y = x;

	assert(x.rank > 1 && from >= 0 && n >= 0 && from + n <= tensor_cols(x));
	y.ld = tensor_ld(x);
	y.dim[x.rank - 1] = n;
	if (x.data)
		y.data = (char *)x.data + (size_t)from * dtype_size(x.dtype);
	return y;
}

/* Bytes from x[0] to x[1]. */
static size_t
stride_bytes(struct tensor x)
{
	int64_t rows = 1;

	if (x.rank < 2)
		return dtype_size(x.dtype);
	for (int i = 1; i + 1 < x.rank; i++)
		rows *= x.dim[i];
	return (size_t)(rows * tensor_ld(x)) * dtype_size(x.dtype) / (x.dtype == I4 ? 2 : 1);
}

struct tensor
tensor_at(struct tensor x, int64_t i)
{
	struct tensor y = tensor_make(x.data, x.dtype, x.rank - 1, x.dim + 1);

	assert(x.rank > 0 && i >= 0 && i < x.dim[0]);
	if (x.data)
		y.data = (char *)x.data + (size_t)i * stride_bytes(x);
	y.ld = x.rank > 2 ? x.ld : 0;
	return y;
}

struct tensor
tensor_slice(struct tensor x, int64_t from, int64_t n)
{
	struct tensor y = x;

	assert(x.rank > 0 && from >= 0 && n >= 0 && from + n <= x.dim[0]);
	assert(x.rank > 1 || !x.ld);
	if (x.data)
		y.data = (char *)x.data + (size_t)from * stride_bytes(x);
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
