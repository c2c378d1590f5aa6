/* SPDX-License-Identifier: Apache-2.0 */
/* f8.cu - products in fp8: rows brought to e4m3, then cuBLASLt's product, else plain tiles */
#include "kernels/cuda/f8.cuh"

extern "C" {
#include "kernels/cuda/lt.h"
}

namespace {

enum { THREADS = 256, TILE = 32, SIDE = 8 };

/* One number at a time, a block a row. */
template <class X>
__global__ void __launch_bounds__(THREADS)
to_rows(uint8_t *q, float *scale, const X *x, const float *c, int width, int64_t ldx)
{
	__shared__ float shared[32];
	int64_t row = blockIdx.x;
	float top = 0.f, up;

	x += row * ldx;
	q += row * width;
	for (int k = (int)threadIdx.x; k < width; k += THREADS)
		top = fmaxf(top, fabsf(c ? to_float(x[k]) * c[k] : to_float(x[k])));
	top = block_max(top, shared);
	up = f8_up(top);
	if (threadIdx.x == 0)
		scale[row] = __fdiv_rn(top, 448.f);
	for (int k = (int)threadIdx.x; k < width; k += THREADS)
		q[k] = __nv_cvt_float_to_fp8((c ? to_float(x[k]) * c[k] : to_float(x[k])) * up, __NV_SATFINITE, __NV_E4M3);
}

/* A block has a row, which it holds in registers: up to PIECES times eight numbers a thread. */
enum { PIECES = 5, PIECE = 8, WIDEST = 1024 * PIECE * PIECES };

template <bool WEIGHED>
__global__ void
to_rows_wide(uint8_t *__restrict__ q, float *__restrict__ scale, const bf16 *__restrict__ x, const float *__restrict__ c, int width,
             int64_t ldx)
{
	__shared__ float shared[32];
	int from = (int)threadIdx.x * PIECE, step = (int)blockDim.x * PIECE;
	int64_t row = blockIdx.x;
	float v[PIECES][8] = {};

	x += row * ldx;
#pragma unroll
	for (int i = 0; i < PIECES; i++)
		if (from + i * step < width)
			load8(v[i], x + from + i * step);
	f8_row<WEIGHED>(q + row * width, scale + row, v, c, from, step, width, shared);
}

/* Weighed, by blocks that stay: a thread has up to PIECES times eight columns, whose c it reads once, and the next row's numbers are
 * on their way while a row is cast. */
enum { MOST = 640, STAYING = MOST * PIECE * PIECES };

/* The greatest of the block's numbers from 0 up, in all threads. Calls that follow one another take turns between two of shared. */
__device__ __forceinline__ float
top_of(float top, float *shared)
{
	int lane = (int)threadIdx.x % 32, warps = (int)blockDim.x / 32;

	top = __uint_as_float(__reduce_max_sync(0xffffffffu, __float_as_uint(top)));
	if (lane == 0)
		shared[threadIdx.x / 32] = top;
	__syncthreads();
	return __uint_as_float(__reduce_max_sync(0xffffffffu, lane < warps ? __float_as_uint(shared[lane]) : 0u));
}

__device__ __forceinline__ void
weigh8(float (&v)[8], uint4 x, const float (&w)[8])
{
	unpack8(v, x);
#pragma unroll
	for (int j = 0; j < 8; j++)
		v[j] *= w[j];
}

__global__ void __launch_bounds__(MOST)
to_rows_staying(uint8_t *__restrict__ q, float *__restrict__ scale, const bf16 *__restrict__ x, const float *__restrict__ c, int width,
                int64_t ldx, int rows)
{
	__shared__ float shared[2][32];
	int from = (int)threadIdx.x * PIECE, step = (int)blockDim.x * PIECE, turn = 0;
	float w[PIECES][8] = {}, v[8];
	uint4 now[PIECES], next[PIECES];

#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		next[i] = make_uint4(0, 0, 0, 0);
		if (from + i * step < width) {
			next[i] = *reinterpret_cast<const uint4 *>(x + (int64_t)blockIdx.x * ldx + from + i * step);
			load8(w[i], c + from + i * step);
		}
	}
	for (int row = (int)blockIdx.x; row < rows; row += (int)gridDim.x, turn ^= 1) {
		int after = row + (int)gridDim.x;
		float top = 0.f, up;
#pragma unroll
		for (int i = 0; i < PIECES; i++) {
			now[i] = next[i];
			if (after < rows && from + i * step < width)
				next[i] = *reinterpret_cast<const uint4 *>(x + (int64_t)after * ldx + from + i * step);
		}
#pragma unroll
		for (int i = 0; i < PIECES; i++) {
			weigh8(v, now[i], w[i]);
#pragma unroll
			for (int j = 0; j < 8; j++)
				top = fmaxf(top, fabsf(v[j]));
		}
		top = top_of(top, shared[turn]);
		up = f8_up(top);
		if (threadIdx.x == 0)
			scale[row] = __fdiv_rn(top, 448.f);
#pragma unroll
		for (int i = 0; i < PIECES; i++)
			if (from + i * step < width) {
				weigh8(v, now[i], w[i]);
				f8_put(q + (int64_t)row * width + from + i * step, v, up);
			}
	}
}

/* A thread one number of y: for shapes that cuBLASLt has no way for. */
template <class Y>
__global__ void __launch_bounds__(THREADS)
plain_product(Y *y, const uint8_t *x, const float *s, const uint8_t *w, const float *t, const bf16 *b, int64_t N, int64_t M, int64_t K,
              int64_t ldy, bool add)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = at / M, m = at % M;
	float sum = 0.f;

	if (n >= N)
		return;
	for (int64_t k = 0; k < K; k++)
		sum += f8_to_f32(x[n * K + k]) * f8_to_f32(w[m * K + k]);
	sum *= s[n] * t[m];
	if (b)
		sum += to_float(b[m]);
	y[n * ldy + m] = from_float<Y>(add ? to_float(y[n * ldy + m]) + sum : sum);
}

__global__ void __launch_bounds__(TILE *SIDE)
turn(uint8_t *y, const uint8_t *x, int64_t N, int64_t M)
{
	__shared__ uint8_t tile[TILE][TILE + 4];
	int64_t n0 = (int64_t)blockIdx.y * TILE, m0 = (int64_t)blockIdx.x * TILE;

	for (int i = (int)threadIdx.y; i < TILE; i += SIDE)
		if (n0 + i < N && m0 + threadIdx.x < M)
			tile[i][threadIdx.x] = x[(n0 + i) * M + m0 + threadIdx.x];
	__syncthreads();
	for (int i = (int)threadIdx.y; i < TILE; i += SIDE)
		if (m0 + i < M && n0 + threadIdx.x < N)
			y[(m0 + i) * N + n0 + threadIdx.x] = tile[threadIdx.x][i];
}

} // namespace

extern "C" void
cuda_f8_rows(struct dev *d, struct tensor q, struct tensor s, struct tensor x, struct tensor c)
{
	unsigned rows = (unsigned)tensor_rows(x);
	int width = (int)tensor_cols(x);
	const float *weigh = c.rank ? cuda_in<float>(c) : NULL;

	if (x.dtype == BF16 && cuda_by8(x) && (uintptr_t)q.data % 8 == 0 && (uintptr_t)weigh % 16 == 0 && width <= WIDEST && rows > 0) {
		unsigned threads = cuda_blocks(width, 32 * PIECE * PIECES) * 32, blocks = (unsigned)d->cuda->processors * (MOST / threads);
		if (weigh && width <= STAYING)
			to_rows_staying<<<blocks < rows ? blocks : rows, threads, 0, cuda_stream(d)>>>(
				(uint8_t *)q.data, cuda_out<float>(s), cuda_in<bf16>(x), weigh, width, tensor_ld(x), (int)rows);
		else if (weigh)
			to_rows_wide<true><<<rows, threads, 0, cuda_stream(d)>>>((uint8_t *)q.data, cuda_out<float>(s), cuda_in<bf16>(x), weigh, width,
			                                                        tensor_ld(x));
		else
			to_rows_wide<false><<<rows, threads, 0, cuda_stream(d)>>>((uint8_t *)q.data, cuda_out<float>(s), cuda_in<bf16>(x), weigh, width,
			                                                         tensor_ld(x));
	} else if (rows > 0) {
		WITH_TYPE(x.dtype, X, (to_rows<X><<<rows, THREADS, 0, cuda_stream(d)>>>(
			(uint8_t *)q.data, cuda_out<float>(s), cuda_in<X>(x), weigh, width, tensor_ld(x))));
	}
	cuda_launched(d, "f8_rows");
}

/* y = h right^T or h below, + b + add: what the product is then added to; true where there is any of it. */
static bool
beside(struct dev *d, const struct f8_product *p, bool bias)
{
	struct tensor none = {}, b = bias ? p->b : none;

	if (p->right.rank)
		cuda_linear(d, p->y, p->h, p->right, b, p->add);
	else if (p->add.rank && p->add.data != p->y.data)
		cuda_copy(d, p->y, p->add);
	if (p->below.rank)
		cuda_gemm(d, p->y, p->h, p->below, false, false, 1.f, p->add.rank ? 1.f : 0.f);
	return p->h.rank || p->add.rank;
}

extern "C" void
cuda_f8_product(struct dev *d, const struct f8_product *f)
{
	struct lt_product p = {};
	int64_t N = f->y.dim[0], M = f->y.dim[1], K = f->x.dim[1];
	bool inside = f->b.rank && f->b.dtype == BF16 && !f->right.rank, add;

	if (N == 0 || M == 0 || f8_90_product(d, f) || d->status != ACE_OK)
		return;
	add = beside(d, f, !inside);
	p.c = f->y, p.a = f->x, p.b = f->w, p.tb = true, p.alpha = 1.f, p.beta = add ? 1.f : 0.f, p.scale_a = f->s, p.scale_b = f->t;
	if (inside)
		p.bias = f->b;
	if (!lt_product(d, &p, d->cuda->now == d->cuda->side) && d->status == ACE_OK)
		WITH_TYPE(f->y.dtype, Y, (plain_product<Y><<<cuda_blocks(N * M, THREADS), THREADS, 0, cuda_stream(d)>>>(
			cuda_out<Y>(f->y), (const uint8_t *)f->x.data, cuda_in<float>(f->s), (const uint8_t *)f->w.data, cuda_in<float>(f->t),
			inside ? cuda_in<bf16>(f->b) : NULL, N, M, K, tensor_ld(f->y), add)));
	cuda_launched(d, "f8_product");
	if (f->b.rank && !inside && !f->right.rank)
		cuda_bias_add(d, f->y, f->b);
}

extern "C" void
cuda_f8_turn(struct dev *d, struct tensor y, struct tensor x)
{
	turn<<<dim3(cuda_blocks(x.dim[1], TILE), cuda_blocks(x.dim[0], TILE)), dim3(TILE, SIDE), 0, cuda_stream(d)>>>(
		(uint8_t *)y.data, (const uint8_t *)x.data, x.dim[0], x.dim[1]);
	cuda_launched(d, "f8_turn");
}
