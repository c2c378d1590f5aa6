/* SPDX-License-Identifier: Apache-2.0 */
/* text.cu - kernels of the prompt encoder but its attention */
#include "kernels/cuda/cuda.cuh"

#include <cuda_fp16.h>
#include <string.h>

enum { THREADS = 256 };

static __device__ __forceinline__ float
rounded(float x, bool half)
{
	return half ? __bfloat162float(__float2bfloat16_rn(x)) : x;
}

static __device__ __forceinline__ float
to_float(__half x)
{
	return __half2float(x);
}

template <class Y, class T>
static __global__ void
embed_rows(Y *y, const T *table, const int32_t *ids, int64_t n, int64_t C)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < n)
		y[at] = from_float<Y>(to_float(table[ids[at / C] * C + at % C]));
}

extern "C" void
cuda_text_embed(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	int64_t n = tensor_count(y), C = table.dim[1];
	unsigned blocks = cuda_blocks(n, THREADS);

	if (table.dtype == F16)
		WITH_TYPE(y.dtype, Y, (embed_rows<<<blocks, THREADS, 0, cuda_stream(d)>>>(cuda_out<Y>(y), cuda_in<__half>(table),
		                                                                        cuda_in<int32_t>(ids), n, C)));
	else
		WITH_TYPE(y.dtype, Y, WITH_TYPE(table.dtype, T, (embed_rows<<<blocks, THREADS, 0, cuda_stream(d)>>>(
			cuda_out<Y>(y), cuda_in<T>(table), cuda_in<int32_t>(ids), n, C))));
	cuda_launched(d, "text_embed");
}

static __global__ void
round_numbers(float *x, int64_t n)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < n)
		x[at] = rounded(x[at], true);
}

extern "C" void
cuda_text_round(struct dev *d, struct tensor x)
{
	round_numbers<<<cuda_blocks(tensor_count(x), THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(x), tensor_count(x));
	cuda_launched(d, "text_round");
}

template <class T, class W>
static __global__ void
rms_rows(T *y, const T *x, const W *w, int64_t C, float eps, bool half)
{
	__shared__ float shared[32];
	float sum = 0.f, r;

	x += blockIdx.x * C;
	y += blockIdx.x * C;
	for (int64_t c = threadIdx.x; c < C; c += THREADS)
		sum += to_float(x[c]) * to_float(x[c]);
	r = 1.f / sqrtf(block_sum(sum, shared) / (float)C + eps);
	for (int64_t c = threadIdx.x; c < C; c += THREADS)
		y[c] = from_float<T>(rounded(to_float(w[c]) * rounded(to_float(x[c]) * r, half), half));
}

/* The same, a row a warp, of up to WIDE numbers in registers. */
enum { PIECES = 4, WIDE = PIECES * 8 * 32 };

template <class T, class W>
static __global__ void __launch_bounds__(THREADS)
rms_short_rows(T *y, const T *x, const W *w, int64_t rows, int C, float eps, bool half)
{
	int64_t row = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
	int lane = (int)threadIdx.x % 32;
	float v[PIECES][8], sum = 0.f, r;

	if (row >= rows)
		return;
	x += row * C;
	y += row * C;
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		int c = (i * 32 + lane) * 8;
		if (c >= C)
			continue;
		load8(v[i], x + c);
#pragma unroll
		for (int e = 0; e < 8; e++)
			sum += v[i][e] * v[i][e];
	}
	r = 1.f / sqrtf(warp_sum(sum) / (float)C + eps);
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		int c = (i * 32 + lane) * 8;
		float by[8];
		if (c >= C)
			continue;
		load8(by, w + c);
#pragma unroll
		for (int e = 0; e < 8; e++)
			v[i][e] = rounded(by[e] * rounded(v[i][e] * r, half), half);
		store8(y + c, v[i]);
	}
}

template <class T, class W>
static void
rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half)
{
	int64_t rows = tensor_rows(x), C = tensor_cols(x);

	if (C <= WIDE && cuda_by8(x) && cuda_by8(y) && cuda_by8(w))
		rms_short_rows<<<cuda_blocks(rows, THREADS / 32), THREADS, 0, cuda_stream(d)>>>(cuda_out<T>(y), cuda_in<T>(x), cuda_in<W>(w),
		                                                                              rows, (int)C, eps, half);
	else
		rms_rows<<<(unsigned)rows, THREADS, 0, cuda_stream(d)>>>(cuda_out<T>(y), cuda_in<T>(x), cuda_in<W>(w), C, eps, half);
}

extern "C" void
cuda_text_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half)
{
	if (tensor_rows(x) == 0)
		return;
	WITH_TYPE(x.dtype, T, WITH_TYPE(w.dtype, W, (rms<T, W>(d, y, x, w, eps, half))));
	cuda_launched(d, "text_rms");
}

static __device__ __forceinline__ float
gelu(float u)
{
	return 0.5f * u * (1.f + tanhf(0.79788456f * (u + 0.044715f * u * u * u)));
}

/* N numbers a thread, N 8 where sizes and addresses allow it. */
template <int N, class T>
static __global__ void
gate_numbers(T *y, const T *a, const T *b, int64_t n, bool half)
{
	int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
	float u[N], v[N];

	if (at >= n)
		return;
	load<N>(u, a + at);
	load<N>(v, b + at);
#pragma unroll
	for (int i = 0; i < N; i++)
		u[i] = rounded(rounded(gelu(u[i]), half) * v[i], half);
	store<N>(y + at, u);
}

extern "C" void
cuda_text_gate(struct dev *d, struct tensor y, struct tensor a, struct tensor b, bool half)
{
	int64_t n = tensor_count(y);

	if (cuda_by8(y) && cuda_by8(a) && cuda_by8(b))
		WITH_TYPE(y.dtype, T, (gate_numbers<8><<<cuda_blocks(n, 8 * THREADS), THREADS, 0, cuda_stream(d)>>>(
			cuda_out<T>(y), cuda_in<T>(a), cuda_in<T>(b), n, half)));
	else
		WITH_TYPE(y.dtype, T, (gate_numbers<1><<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(
			cuda_out<T>(y), cuda_in<T>(a), cuda_in<T>(b), n, half)));
	cuda_launched(d, "text_gate");
}

/* text_bucket of ref/text.c. Its two logarithms are those of the C library there; here what stands between two buckets is
 * found by the host, so that no rounding can move a boundary. */
struct bucket_edges {
	int32_t from[64];		/* least distance of bucket i of one side */
	int n;
};

template <class T>
static __global__ void
spread_bias(float *y, const T *table, int64_t H, int64_t N, struct bucket_edges e)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = at / (N * N), i = at / N % N, r = at % N - i;
	int b = 0;

	if (at >= H * N * N)
		return;
	while (b + 1 < e.n && e.from[b + 1] <= (r < 0 ? -r : r))
		b++;
	y[at] = to_float(table[(b + (r > 0 ? e.n : 0)) * H + n]);
}

extern "C" void
cuda_text_bias(struct dev *d, struct tensor y, struct tensor table, int64_t distance)
{
	int64_t H = y.dim[0], N = y.dim[1], buckets = table.dim[0], n = tensor_count(y);
	struct bucket_edges e;

	memset(&e, 0, sizeof e);
	e.n = (int)(buckets / 2);
	if (e.n > 64) {
		d->status = ace_fail(ACE_ECONFIG, "%lld relative buckets, a cuda device takes at most 128", (long long)buckets);
		return;
	}
	for (int64_t r = 0, b = 0; r <= distance && b < e.n; r++)		/* the last bucket begins by distance */
		while (b < e.n && b <= text_bucket(-r, buckets, distance))
			e.from[b++] = (int32_t)r;
	WITH_TYPE(table.dtype, T, (spread_bias<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<T>(table), H,
	                                                                                              N, e)));
	cuda_launched(d, "text_bias");
}
