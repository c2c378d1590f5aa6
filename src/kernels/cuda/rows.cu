/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/f16.cuh"

/* Element-wise work: a thread makes N numbers of y from as many of x, N 8 where sizes and addresses allow it. Rows may lie
 * apart; tensors without gaps are one long row. f(i, y, x) is told the number's index in x. */
enum { THREADS = 256 };

struct rows_shape {
	int64_t per_row, chunks;	/* pieces of N in a row, in all */
	int64_t cols, ldy, ldx;
};

template <int N, class Y, class X, class F>
static __global__ void
map_rows(Y *y, const X *x, struct rows_shape s, F f)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = 0, col;
	float a[N], b[N] = { 0 };

	if (at >= s.chunks)
		return;
	if (s.per_row < s.chunks)
		row = (int64_t)((uint32_t)at / (uint32_t)s.per_row);
	col = (at - row * s.per_row) * N;
	if (F::reads_y)
		load<N>(b, y + row * s.ldy + col);
	load<N>(a, x + row * s.ldx + col);
	f.template apply<N>(row * s.cols + col, b, a);
	store<N>(y + row * s.ldy + col, b);
}

template <class Y, class X, class F>
static void
map_typed(struct dev *d, struct tensor y, struct tensor x, F f, const char *kernel)
{
	bool dense = !y.ld && !x.ld;
	int64_t n = tensor_count(y), cols = dense ? n : tensor_cols(x);
	bool by8 = cols % 8 == 0 && (uintptr_t)y.data % 16 == 0 && (uintptr_t)x.data % 16 == 0 && y.ld % 8 == 0 && x.ld % 8 == 0;
	struct rows_shape s = { cols / (by8 ? 8 : 1), n / (by8 ? 8 : 1), cols, tensor_ld(y), tensor_ld(x) };

	if (n == 0)
		return;
	assert(dense || s.chunks <= UINT32_MAX);
	if (by8)
		map_rows<8><<<cuda_blocks(s.chunks, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<Y>(y), cuda_in<X>(x), s, f);
	else
		map_rows<1><<<cuda_blocks(s.chunks, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<Y>(y), cuda_in<X>(x), s, f);
	cuda_launched(d, kernel);
}

template <class F>
static void
map_on(struct dev *d, struct tensor y, struct tensor x, F f, const char *kernel)
{
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, map_typed<Y, X>(d, y, x, f, kernel)));
}

struct add_scaled {
	static const bool reads_y = true;
	float alpha;

	template <int N>
	__device__ void
	apply(int64_t, float (&y)[N], const float (&x)[N]) const
	{
#pragma unroll
		for (int i = 0; i < N; i++)
			y[i] += alpha * x[i];
	}
};

struct scaled {
	static const bool reads_y = false;
	float alpha;

	template <int N>
	__device__ void
	apply(int64_t, float (&y)[N], const float (&x)[N]) const
	{
#pragma unroll
		for (int i = 0; i < N; i++)
			y[i] = alpha * x[i];
	}
};

template <bool add>
struct dropped {
	static const bool reads_y = add;
	struct rng r;
	float p, keep;

	template <int N>
	__device__ void
	apply(int64_t at, float (&y)[N], const float (&x)[N]) const
	{
		const struct rng now = rng_now(r);
#pragma unroll
		for (int i = 0; i < N; i += 4) {
			uint4 w = rng_block_of(now, (uint64_t)(at + i) / 4);
			uint32_t word[4] = { w.x, w.y, w.z, w.w };
			if (N == 1)
				word[0] = at % 4 == 0 ? w.x : at % 4 == 1 ? w.y : at % 4 == 2 ? w.z : w.w;
#pragma unroll
			for (int j = 0; j < 4 && j < N; j++) {
				float v = uniform_of(word[j]) >= p ? x[i + j] * keep : 0.f;
				y[i + j] = add ? y[i + j] + v : v;
			}
		}
	}
};

extern "C" void
cuda_axpy(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	map_on(d, y, x, add_scaled{ alpha }, "axpy");
}

extern "C" void
cuda_scale(struct dev *d, struct tensor y, struct tensor x, float alpha)
{
	map_on(d, y, x, scaled{ alpha }, "scale");
}

extern "C" void
cuda_dropout(struct dev *d, struct tensor y, struct tensor x, struct rng r, float p, bool add)
{
	if (add)
		map_on(d, y, x, dropped<true>{ r, p, 1.f / (1.f - p) }, "dropout");
	else
		map_on(d, y, x, dropped<false>{ r, p, 1.f / (1.f - p) }, "dropout");
}

extern "C" void
cuda_copy(struct dev *d, struct tensor y, struct tensor x)
{
	size_t size = dtype_size(x.dtype), width = (size_t)tensor_cols(x) * size;

	if (x.dtype != y.dtype)
		WITH_TYPE16(y.dtype, Y, WITH_TYPE16(x.dtype, X, map_typed<Y, X>(d, y, x, scaled{ 1.f }, "copy")));
	else if (!x.ld && !y.ld)
		cuda_ok(d, cudaMemcpyAsync(y.data, x.data, tensor_bytes(x), cudaMemcpyDefault, cuda_stream(d)), "copy");
	else
		cuda_ok(d, cudaMemcpy2DAsync(y.data, (size_t)tensor_ld(y) * size, x.data, (size_t)tensor_ld(x) * size, width,
		                             (size_t)tensor_rows(x), cudaMemcpyDefault, cuda_stream(d)), "copy");
}

template <class T>
static __global__ void
fill_rows(T *y, int64_t n, int64_t cols, int64_t ld, float value)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < n)
		y[cols == n ? at : at / cols * ld + at % cols] = from_float<T>(value);
}

extern "C" void
cuda_fill(struct dev *d, struct tensor y, float value)
{
	int64_t n = tensor_count(y), cols = y.ld ? tensor_cols(y) : n;

	if (value == 0.f && !signbit(value) && !y.ld) {
		cuda_ok(d, cudaMemsetAsync(y.data, 0, tensor_bytes(y), cuda_stream(d)), "fill");
		return;
	}
	WITH_TYPE(y.dtype, T, (fill_rows<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<T>(y), n, cols,
	                                                                                         tensor_ld(y), value)));
	cuda_launched(d, "fill");
}

template <class Y, class B>
static __global__ void
add_bias(Y *y, const B *b, int64_t n, int64_t cols, int64_t ld)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < n) {
		Y *p = y + at / cols * ld + at % cols;
		*p = from_float<Y>(to_float(*p) + to_float(b[at % cols]));
	}
}

extern "C" void
cuda_bias_add(struct dev *d, struct tensor y, struct tensor b)
{
	int64_t n = tensor_count(y);

	WITH_TYPE(y.dtype, Y, WITH_TYPE(b.dtype, B, (add_bias<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(
		cuda_out<Y>(y), cuda_in<B>(b), n, tensor_cols(y), tensor_ld(y)))));
	cuda_launched(d, "bias_add");
}

/* Sums of columns in two steps: pieces of rows, each by 8 threads a column, then the pieces in order. */
enum { SUM_LANES = 8, SUM_ROWS = 256, SUM_PIECES = 64 };

template <class T>
static __global__ void
sum_pieces(float *part, const T *x, int64_t rows, int64_t cols, int64_t ld, int64_t per_piece)
{
	__shared__ float s[SUM_LANES][33];
	int64_t col = (int64_t)blockIdx.x * 32 + threadIdx.x, from = blockIdx.y * per_piece;
	int64_t to = from + per_piece < rows ? from + per_piece : rows;
	float sum = 0.f;

	if (col < cols)
		for (int64_t r = from + threadIdx.y; r < to; r += SUM_LANES)
			sum += to_float(x[r * ld + col]);
	s[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.y == 0 && col < cols) {
		for (int i = 1; i < SUM_LANES; i++)
			sum += s[i][threadIdx.x];
		part[blockIdx.y * cols + col] = sum;
	}
}

static __global__ void
add_pieces(float *y, const float *part, int pieces, int64_t cols)
{
	int64_t col = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	float sum = 0.f;

	if (col >= cols)
		return;
	for (int i = 0; i < pieces; i++)
		sum += part[i * cols + col];
	y[col] += sum;
}

extern "C" void
cuda_column_sum(struct dev *d, struct tensor db, struct tensor dy)
{
	int64_t rows = tensor_rows(dy), cols = tensor_cols(dy), per = (rows + SUM_PIECES - 1) / SUM_PIECES;
	int pieces;
	float *part;

	per = per > SUM_ROWS ? per : (int64_t)SUM_ROWS;
	pieces = (int)cuda_blocks(rows, per);
	part = (float *)cuda_scratch(d, (size_t)pieces * (size_t)cols * sizeof *part);
	if (!part)
		return;
	dim3 grid(cuda_blocks(cols, 32), (unsigned)pieces), block(32, SUM_LANES);
	WITH_TYPE(dy.dtype, T, (sum_pieces<<<grid, block, 0, cuda_stream(d)>>>(part, cuda_in<T>(dy), rows, cols, tensor_ld(dy), per)));
	add_pieces<<<cuda_blocks(cols, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(db), part, pieces, cols);
	cuda_launched(d, "column_sum");
}
