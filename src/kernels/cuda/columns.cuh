/* SPDX-License-Identifier: Apache-2.0 */
/* columns.cuh - sums over rows for each column, in one order: gradients of what all rows share */
#ifndef ACE_KERNELS_CUDA_COLUMNS_CUH
#define ACE_KERNELS_CUDA_COLUMNS_CUH

#include "kernels/cuda/cuda.cuh"

namespace columns {

enum { LANES = 32, WARPS = 16 };

/* total[k][c] += sum over rows n of f(n, c)[k], k < K; f adds its row's values to what it is given. Sample blockIdx.y has rows
 * of its own and adds to total[k] + blockIdx.y * step. */
template <int K, class F>
__global__ void __launch_bounds__(LANES *WARPS)
add(F f, int64_t rows, int cols, int64_t step)
{
	__shared__ float part[WARPS][LANES];
	int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, c = (int)blockIdx.x * LANES + lane;
	float sum[K] = {};

	if (c < cols)
		for (int64_t n = warp; n < rows; n += WARPS)
			f(sum, blockIdx.y * rows + n, c);
#pragma unroll
	for (int k = 0; k < K; k++) {
		part[warp][lane] = sum[k];
		__syncthreads();
		if (warp == 0 && c < cols) {
			float all = 0.f;
			for (int i = 0; i < WARPS; i++)
				all += part[i][lane];
			float *to = f.total(k) + (int64_t)blockIdx.y * step + c;
			*to += all;
		}
		__syncthreads();
	}
}

template <int K, class F>
static inline void
launch(struct dev *d, F f, int64_t samples, int64_t rows, int64_t cols, int64_t step, const char *kernel)
{
	dim3 grid(cuda_blocks(cols, LANES), (unsigned)samples);

	add<K><<<grid, LANES * WARPS, 0, cuda_stream(d)>>>(f, rows, (int)cols, step);
	cuda_launched(d, kernel);
}

} // namespace columns
#endif
