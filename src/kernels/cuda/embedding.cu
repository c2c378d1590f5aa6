/* SPDX-License-Identifier: Apache-2.0 */
/* The lyric encoder's ends: rows of the table, and the table of relative positions. */
#include "kernels/cuda/f16.cuh"

namespace {

enum { THREADS = 256 };

template <class Y, class X>
__global__ void __launch_bounds__(THREADS)
embedding(Y *y, int64_t ld, const X *table, const int32_t *ids, int64_t n, int64_t E)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = i / E, c = i % E;

	if (row < n)
		y[row * ld + c] = from_float<Y>(to_float(table[ids[row] * E + c]));
}

/* A thread a column, in the order of the tokens. */
template <class X>
__global__ void __launch_bounds__(THREADS)
embedding_backward(float *dtable, const X *dy, int64_t ld, const int32_t *ids, int64_t n, int64_t E)
{
	int64_t c = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (c < E)
		for (int64_t i = 0; i < n; i++)
			dtable[ids[i] * E + c] += to_float(dy[i * ld + c]);
}

/* Angles are rounded to float as the reference's are; their sines are then exact to float. */
template <class Y>
__global__ void __launch_bounds__(THREADS)
relative_positions(Y *pe, int64_t ld, int64_t rows, int64_t E)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, half = (E + 1) / 2, m = i / half, k = i % half;

	if (m >= rows)
		return;
	float w = (float)exp((double)((float)(2 * k) * (-9.2103403719761836f / (float)E)));
	double s, c;
	sincos((double)((float)((rows + 1) / 2 - 1 - m) * w), &s, &c);
	pe[m * ld + 2 * k] = from_float<Y>((float)s);
	if (2 * k + 1 < E)
		pe[m * ld + 2 * k + 1] = from_float<Y>((float)c);
}

} // namespace

extern "C" void
cuda_embedding(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	int64_t E = table.dim[1], n = tensor_count(ids);

	WITH_TYPE(y.dtype, Y, WITH_TYPE16(table.dtype, X,
		embedding<<<cuda_blocks(n * E, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<Y>(y), tensor_ld(y), cuda_in<X>(table),
		                                                                      cuda_in<int32_t>(ids), n, E)));
	cuda_launched(d, "embedding");
}

extern "C" void
cuda_embedding_backward(struct dev *d, struct tensor dtable, struct tensor dy, struct tensor ids)
{
	int64_t E = dtable.dim[1], n = tensor_count(ids);

	WITH_TYPE(dy.dtype, X,
		embedding_backward<<<cuda_blocks(E, THREADS), THREADS, 0, cuda_stream(d)>>>(
			cuda_out<float>(dtable), cuda_in<X>(dy), tensor_ld(dy), cuda_in<int32_t>(ids), n, E));
	cuda_launched(d, "embedding_backward");
}

extern "C" void
cuda_relative_positions(struct dev *d, struct tensor pe)
{
	int64_t rows = pe.dim[0], E = pe.dim[1];

	WITH_TYPE(pe.dtype, Y,
		relative_positions<<<cuda_blocks(rows * ((E + 1) / 2), THREADS), THREADS, 0, cuda_stream(d)>>>(
			cuda_out<Y>(pe), tensor_ld(pe), rows, E));
	cuda_launched(d, "relative_positions");
}
