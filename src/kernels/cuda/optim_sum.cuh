/* SPDX-License-Identifier: Apache-2.0 */
/* optim_sum.cuh - sums over a tensor, in double: over pieces of fixed size, then over the pieces in one block */
#ifndef ACE_KERNELS_CUDA_OPTIM_SUM_CUH
#define ACE_KERNELS_CUDA_OPTIM_SUM_CUH

#include "kernels/cuda/optim.cuh"

namespace {

/* The sum of one number a piece. F: double f(i). */
template <class F>
__global__ void __launch_bounds__(THREADS)
sum_pieces(double *sums, F f, int64_t count)
{
	__shared__ double shared[THREADS];
	int64_t from = (int64_t)blockIdx.x * PIECE, to = min(count, from + PIECE);
	double sum = 0;

	for (int64_t i = from + threadIdx.x; i < to; i += THREADS)
		sum += f(i);
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0)
		sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(THREADS)
sum_all(double *total, const double *sums, int64_t pieces)
{
	__shared__ double shared[THREADS];
	double sum = 0;

	for (int64_t i = threadIdx.x; i < pieces; i += THREADS)
		sum += sums[i];
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0)
		*total = sum;
}

int64_t
pieces_of(int64_t count)
{
	return (count + PIECE - 1) / PIECE;
}

/* *total = sum of f over count numbers; sums has room for the pieces. */
template <class F>
void
launch_sum(struct dev *d, double *total, double *sums, F f, int64_t count)
{
	sum_pieces<<<(unsigned)pieces_of(count), THREADS, 0, cuda_stream(d)>>>(sums, f, count);
	sum_all<<<1, THREADS, 0, cuda_stream(d)>>>(total, sums, pieces_of(count));
}

} // namespace
#endif
