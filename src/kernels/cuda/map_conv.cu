/* SPDX-License-Identifier: Apache-2.0 */
/* map_conv.cu - convolutions of maps: windows are written out as columns, a stretch of positions at a time, and multiplied */
#include "kernels/cuda/cuda.cuh"

enum { THREADS = 256 };

/* Bytes of columns at a time: they should stay in the device's cache between the two kernels. */
static const size_t STRETCH = (size_t)32 << 20;

/* col [I k k, n] = the windows around positions from .. from+n-1 of the result. */
static __global__ void
write_windows(float *col, const float *x, int H, int W, int W_out, int k, int stride, int64_t from, int64_t n)
{
	int64_t p = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	int row = (int)blockIdx.y, c = row / (k * k), i = row / k % k, j = row % k;

	if (p >= n)
		return;
	int h = (int)((from + p) / W_out) * stride + i - k / 2, v = (int)((from + p) % W_out) * stride + j - k / 2;
	col[(int64_t)row * n + p] = h >= 0 && h < H && v >= 0 && v < W ? x[((int64_t)c * H + h) * W + v] : 0.f;
}

extern "C" void
cuda_map_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)
{
	int64_t O = w.dim[0], rows = w.dim[1] * w.dim[2] * w.dim[3], P = y.dim[1] * y.dim[2];
	int64_t most = (int64_t)(STRETCH / ((size_t)rows * sizeof(float))) / THREADS * THREADS;
	const int64_t w_dim[TENSOR_RANK] = { O, rows }, y_dim[TENSOR_RANK] = { O, P };
	struct tensor wm = tensor_reshape(w, 2, w_dim), ym = tensor_reshape(y, 2, y_dim);
	float *col;

	most = most < THREADS ? (int64_t)THREADS : most;
	if (most > P)
		most = P;
	if (P == 0 || !(col = (float *)cuda_scratch(d, (size_t)(rows * most) * sizeof(float))))
		return;
	for (int64_t from = 0; from < P; from += most) {
		int64_t n = P - from < most ? P - from : most;
		const int64_t dim[TENSOR_RANK] = { rows, n };
		dim3 grid(cuda_blocks(n, THREADS), (unsigned)rows);
		write_windows<<<grid, THREADS, 0, cuda_stream(d)>>>(col, cuda_in<float>(x), (int)x.dim[1], (int)x.dim[2], (int)y.dim[2],
		                                                   (int)w.dim[2], stride, from, n);
		cuda_launched(d, "map_conv");
		cuda_gemm(d, tensor_columns(ym, from, n), wm, tensor_make(col, F32, 2, dim), false, false, 1.f, 0.f);
	}
	if (b.rank)
		cuda_map_bias(d, y, b);
}
