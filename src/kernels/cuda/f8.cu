/* SPDX-License-Identifier: Apache-2.0 */
/* f8.cu - products in fp8: rows brought to e4m3, then cuBLASLt's product, else plain tiles */
#include "kernels/cuda/cuda.cuh"

#include <cuda_fp8.h>

extern "C" {
#include "kernels/cuda/lt.h"
}

namespace {

enum { THREADS = 256, TILE = 32, SIDE = 8 };

__device__ __forceinline__ uint32_t
two_of(float a, float b)
{
	return __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, __NV_E4M3);
}

/* What brings a row whose greatest is top to 448 and below. */
__device__ __forceinline__ float
up_of(float top)
{
	return __fdiv_rn(top, 448.f) == 0.f ? 0.f : __fdiv_rn(448.f, top);
}

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
	up = up_of(top);
	if (threadIdx.x == 0)
		scale[row] = __fdiv_rn(top, 448.f);
	for (int k = (int)threadIdx.x; k < width; k += THREADS)
		q[k] = __nv_cvt_float_to_fp8((c ? to_float(x[k]) * c[k] : to_float(x[k])) * up, __NV_SATFINITE, __NV_E4M3);
}

/* WARPS warps of a block of eight have a row, which they hold in registers: PIECES times eight numbers a lane. */
enum { PIECES = 10, PIECE = 8 };

template <bool WEIGHED>
__device__ __forceinline__ void
eight_of(float (&v)[8], uint4 x, const float *c)
{
	unpack_bf16(x.x, v[0], v[1]);
	unpack_bf16(x.y, v[2], v[3]);
	unpack_bf16(x.z, v[4], v[5]);
	unpack_bf16(x.w, v[6], v[7]);
	if (WEIGHED) {
		float w[8];
		load8(w, c);
#pragma unroll
		for (int i = 0; i < 8; i++)
			v[i] *= w[i];
	}
}

template <int WARPS, bool WEIGHED>
__global__ void __launch_bounds__(THREADS)
to_rows_wide(uint8_t *q, float *scale, const bf16 *x, const float *c, int64_t rows, int width, int64_t ldx)
{
	__shared__ float most[THREADS / 32];
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, from = (warp % WARPS * 32 + lane) * PIECE;
	int64_t row = (int64_t)blockIdx.x * (THREADS / 32 / WARPS) + warp / WARPS;
	float top = 0.f, up;
	uint4 v[PIECES];

#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		int k = from + i * WARPS * 32 * PIECE;
		v[i] = row < rows && k < width ? __ldg(reinterpret_cast<const uint4 *>(x + row * ldx + k)) : make_uint4(0, 0, 0, 0);
	}
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		int k = from + i * WARPS * 32 * PIECE;
		float f[8];
		if (k >= width)
			break;
		eight_of<WEIGHED>(f, v[i], c + k);
#pragma unroll
		for (int j = 0; j < 8; j++)
			top = fmaxf(top, fabsf(f[j]));
	}
	top = warp_max(top);
	if (WARPS > 1) {
		if (lane == 0)
			most[warp] = top;
		__syncthreads();
#pragma unroll
		for (int i = 0; i < WARPS; i++)
			top = fmaxf(top, most[warp / WARPS * WARPS + i]);
	}
	if (row >= rows)
		return;
	up = up_of(top);
	if (lane == 0 && warp % WARPS == 0)
		scale[row] = __fdiv_rn(top, 448.f);
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		int k = from + i * WARPS * 32 * PIECE;
		float f[8];
		if (k >= width)
			break;
		eight_of<WEIGHED>(f, v[i], c + k);
		*reinterpret_cast<uint2 *>(q + row * width + k) =
			make_uint2(two_of(f[0] * up, f[1] * up) | two_of(f[2] * up, f[3] * up) << 16,
			           two_of(f[4] * up, f[5] * up) | two_of(f[6] * up, f[7] * up) << 16);
	}
}

template <int WARPS>
void
launch_wide(struct dev *d, struct tensor q, struct tensor s, struct tensor x, const float *c)
{
	int64_t rows = tensor_rows(x);
	unsigned blocks = cuda_blocks(rows, THREADS / 32 / WARPS);

	if (c)
		to_rows_wide<WARPS, true><<<blocks, THREADS, 0, cuda_stream(d)>>>((uint8_t *)q.data, cuda_out<float>(s), cuda_in<bf16>(x), c,
		                                                                 rows, (int)tensor_cols(x), tensor_ld(x));
	else
		to_rows_wide<WARPS, false><<<blocks, THREADS, 0, cuda_stream(d)>>>((uint8_t *)q.data, cuda_out<float>(s), cuda_in<bf16>(x), c,
		                                                                  rows, (int)tensor_cols(x), tensor_ld(x));
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

	if (x.dtype == BF16 && cuda_by8(x) && (uintptr_t)q.data % 8 == 0 && (uintptr_t)weigh % 16 == 0 && width <= 8 * 32 * PIECE * PIECES) {
		int warps = (width + 32 * PIECE * PIECES - 1) / (32 * PIECE * PIECES);
		if (warps <= 1)
			launch_wide<1>(d, q, s, x, weigh);
		else if (warps <= 2)
			launch_wide<2>(d, q, s, x, weigh);
		else if (warps <= 4)
			launch_wide<4>(d, q, s, x, weigh);
		else
			launch_wide<8>(d, q, s, x, weigh);
	} else if (rows > 0) {
		WITH_TYPE(x.dtype, X, (to_rows<X><<<rows, THREADS, 0, cuda_stream(d)>>>(
			(uint8_t *)q.data, cuda_out<float>(s), cuda_in<X>(x), weigh, width, tensor_ld(x))));
	}
	cuda_launched(d, "f8_rows");
}

extern "C" void
cuda_f8_product(struct dev *d, struct tensor y, struct tensor x, struct tensor s, struct tensor w, struct tensor t, struct tensor b,
                bool add)
{
	struct lt_product p = {};
	int64_t N = y.dim[0], M = y.dim[1], K = x.dim[1];

	p.c = y, p.a = x, p.b = w, p.tb = true, p.alpha = 1.f, p.beta = add ? 1.f : 0.f, p.bias = b, p.scale_a = s, p.scale_b = t;
	if (N == 0 || M == 0 || lt_product(d, &p, d->cuda->now == d->cuda->side) || d->status != ACE_OK)
		return;
	WITH_TYPE(y.dtype, Y, (plain_product<Y><<<cuda_blocks(N * M, THREADS), THREADS, 0, cuda_stream(d)>>>(
		cuda_out<Y>(y), (const uint8_t *)x.data, cuda_in<float>(s), (const uint8_t *)w.data, cuda_in<float>(t),
		b.rank ? cuda_in<bf16>(b) : NULL, N, M, K, tensor_ld(y), add)));
	cuda_launched(d, "f8_product");
}

extern "C" void
cuda_f8_turn(struct dev *d, struct tensor y, struct tensor x)
{
	turn<<<dim3(cuda_blocks(x.dim[1], TILE), cuda_blocks(x.dim[0], TILE)), dim3(TILE, SIDE), 0, cuda_stream(d)>>>(
		(uint8_t *)y.data, (const uint8_t *)x.data, x.dim[0], x.dim[1]);
	cuda_launched(d, "f8_turn");
}
