/* SPDX-License-Identifier: Apache-2.0 */
/* columns.cuh - sums over rows for each column, in one order: gradients of what all rows share */
#ifndef ACE_KERNELS_CUDA_COLUMNS_CUH
#define ACE_KERNELS_CUDA_COLUMNS_CUH

#include "kernels/cuda/cuda.cuh"

namespace columns {

enum { LANES = 32, WARPS = 16, PIECES = 16, LEAST = 4 * WARPS };	/* pieces that rows are cut into at most; rows of one at least */

/* Of a piece of the rows, blockIdx.z, of sample blockIdx.y, which has rows of its own: sums of f(n, c)[k], k < K; f adds its row's
 * values to what it is given. They are added to total[k] + sample * step, or with several pieces go to part [piece, sample, k, cols]. */
template <int K, class F>
__global__ void __launch_bounds__(LANES *WARPS)
add(F f, int64_t rows, int cols, int64_t step, int64_t each, float *part)
{
	__shared__ float sums[WARPS][LANES];
	int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, c = (int)blockIdx.x * LANES + lane;
	int64_t from = blockIdx.z * each, to = min(rows, from + each);
	float sum[K] = {};

	if (c < cols)
		for (int64_t n = from + warp; n < to; n += WARPS)
			f(sum, blockIdx.y * rows + n, c);
#pragma unroll
	for (int k = 0; k < K; k++) {
		sums[warp][lane] = sum[k];
		__syncthreads();
		if (warp == 0 && c < cols) {
			float all = 0.f;
			for (int i = 0; i < WARPS; i++)
				all += sums[i][lane];
			if (part)
				part[(((int64_t)blockIdx.z * gridDim.y + blockIdx.y) * K + k) * cols + c] = all;
			else
				f.total(k)[blockIdx.y * step + c] += all;
		}
		__syncthreads();
	}
}

/* What add left of pieces pieces, in their order; blockIdx.y: sample K + k. */
template <int K, class F>
__global__ void __launch_bounds__(LANES *WARPS)
add_parts(F f, const float *part, int cols, int64_t step, int pieces)
{
	int c = (int)(blockIdx.x * LANES * WARPS + threadIdx.x);
	float sum = 0.f;

	if (c >= cols)
		return;
#pragma unroll 4
	for (int i = 0; i < pieces; i++)
		sum += part[((int64_t)i * gridDim.y + blockIdx.y) * cols + c];
	f.total((int)blockIdx.y % K)[blockIdx.y / K * step + c] += sum;
}

/* total[k] + sample * step += sums of f over each sample's rows. Takes work space. */
template <int K, class F>
static inline void
launch(struct dev *d, F f, int64_t samples, int64_t rows, int64_t cols, int64_t step, const char *kernel)
{
	int64_t want = rows / LEAST < PIECES ? rows / LEAST : (int64_t)PIECES, each = want > 1 ? (rows + want - 1) / want : rows;
	unsigned pieces = each > 0 ? cuda_blocks(rows, each) : 1;
	float *part = NULL;

	if (pieces > 1 && !(part = (float *)cuda_scratch(d, (size_t)(pieces * samples * K * cols) * sizeof *part)))
		return;
	add<K><<<dim3(cuda_blocks(cols, LANES), (unsigned)samples, pieces), LANES * WARPS, 0, cuda_stream(d)>>>(f, rows, (int)cols, step, each,
	                                                                                                  part);
	if (part)
		add_parts<K><<<dim3(cuda_blocks(cols, LANES * WARPS), (unsigned)samples * K), LANES * WARPS, 0, cuda_stream(d)>>>(
			f, part, (int)cols, step, (int)pieces);
	cuda_launched(d, kernel);
}

} // namespace columns
#endif
