/* SPDX-License-Identifier: Apache-2.0 */
/* text.cu - kernels of the prompt encoder: F32 storage, rounded to bf16 where half says so */
#include "kernels/cuda/cuda.cuh"

#include <cuda_fp16.h>
#include <float.h>
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

template <class T>
static __global__ void
embed_rows(float *y, const T *table, const int32_t *ids, int64_t n, int64_t C)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < n)
		y[at] = to_float(table[ids[at / C] * C + at % C]);
}

extern "C" void
cuda_text_embed(struct dev *d, struct tensor y, struct tensor table, struct tensor ids)
{
	int64_t n = tensor_count(y), C = table.dim[1];
	unsigned blocks = cuda_blocks(n, THREADS);

	if (table.dtype == F16)
		embed_rows<<<blocks, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<__half>(table), cuda_in<int32_t>(ids), n, C);
	else
		WITH_TYPE(table.dtype, T, (embed_rows<<<blocks, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<T>(table),
		                                                                            cuda_in<int32_t>(ids), n, C)));
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

template <class W>
static __global__ void
rms_rows(float *y, const float *x, const W *w, int64_t C, float eps, bool half)
{
	__shared__ float shared[32];
	float sum = 0.f, r;

	x += blockIdx.x * C;
	y += blockIdx.x * C;
	for (int64_t c = threadIdx.x; c < C; c += THREADS)
		sum += x[c] * x[c];
	r = 1.f / sqrtf(block_sum(sum, shared) / (float)C + eps);
	for (int64_t c = threadIdx.x; c < C; c += THREADS)
		y[c] = rounded(to_float(w[c]) * rounded(x[c] * r, half), half);
}

extern "C" void
cuda_text_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half)
{
	int64_t rows = tensor_rows(x);

	if (rows == 0)
		return;
	WITH_TYPE(w.dtype, W, (rms_rows<<<(unsigned)rows, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), cuda_in<W>(w),
	                                                                               tensor_cols(x), eps, half)));
	cuda_launched(d, "text_rms");
}

static __global__ void
gate_numbers(float *y, const float *a, const float *b, int64_t n, bool half)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at >= n)
		return;
	float u = a[at], g = 0.5f * u * (1.f + tanhf(0.79788456f * (u + 0.044715f * u * u * u)));
	y[at] = rounded(rounded(g, half) * b[at], half);
}

extern "C" void
cuda_text_gate(struct dev *d, struct tensor y, struct tensor a, struct tensor b, bool half)
{
	int64_t n = tensor_count(y);

	gate_numbers<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(a), cuda_in<float>(b), n,
	                                                                    half);
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

/* Attention: a warp a query, WARPS queries of one head a block; keys and values pass through shared memory KEYS at a time. */
enum { WARPS = 8, KEYS = 32 };

static __global__ void
attend_rows(float *o, float *a, const float *q, const float *k, const float *v, const float *bias, const float *mask, int H, int T,
            int w, bool half)
{
	extern __shared__ float space[];
	int wide = w + 1 > 32 ? w + 1 : 32;
	float *tile = space, *row = space + KEYS * wide + ((int)threadIdx.x / 32) * w;	/* [KEYS][wide], [WARPS][w], [WARPS][T] */
	float *score = space + (KEYS * wide) + WARPS * w + ((int)threadIdx.x / 32) * T;
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, n = (int)blockIdx.y, b = (int)blockIdx.z;
	int i = (int)blockIdx.x * WARPS + warp;
	int64_t D = (int64_t)H * w, first = (int64_t)b * T * D + n * w;
	float top = -INFINITY, sum = 0.f;

	for (int c = lane; c < w; c += 32)
		row[c] = i < T ? q[first + i * D + c] : 0.f;
	for (int j0 = 0; j0 < T; j0 += KEYS) {
		__syncthreads();
		for (int at = (int)threadIdx.x; at < KEYS * w; at += 32 * WARPS)
			tile[at / w * (w + 1) + at % w] = j0 + at / w < T ? k[first + (j0 + at / w) * D + at % w] : 0.f;
		__syncthreads();
		int j = j0 + lane;
		if (i >= T || j >= T)
			continue;
		float s = 0.f, m = mask[(int64_t)b * T + j];
		for (int c = 0; c < w; c++)
			s += row[c] * tile[lane * (w + 1) + c];
		s = rounded(s, half) + (bias[((int64_t)n * T + i) * T + j] + (1.f - m) * -FLT_MAX);
		if (half)		/* the lowest number is not to round to -infinity */
			s = m == 1.f ? rounded(s, true) : -FLT_MAX;
		score[j] = s;
		top = fmaxf(top, s);
	}
	top = warp_max(top);
	for (int j = lane; j < T && i < T; j += 32) {
		score[j] = expf(score[j] - top);
		sum += score[j];
	}
	sum = warp_sum(sum);
	for (int j = lane; j < T && i < T; j += 32) {
		score[j] = rounded(score[j] / sum, half);
		if (a)
			a[(((int64_t)b * H + n) * T + i) * T + j] = score[j];
	}
	for (int c0 = 0; c0 < w; c0 += 32) {
		float s = 0.f;
		for (int j0 = 0; j0 < T; j0 += KEYS) {
			__syncthreads();
			for (int at = (int)threadIdx.x; at < KEYS * 32; at += 32 * WARPS) {
				int j = j0 + at / 32, c = c0 + at % 32;
				tile[at] = j < T && c < w ? v[first + j * D + c] : 0.f;
			}
			__syncthreads();
			for (int j = j0; j < T && j < j0 + KEYS; j++)
				s += score[j] * tile[(j - j0) * 32 + lane];
		}
		if (i < T && c0 + lane < w)
			o[first + i * D + c0 + lane] = rounded(s, half);
	}
}

extern "C" void
cuda_text_attend(struct dev *d, struct tensor o, struct tensor a, struct tensor q, struct tensor k, struct tensor v,
                 struct tensor bias, struct tensor mask, bool half)
{
	int64_t B = q.dim[0], T = q.dim[1], H = bias.dim[0], w = q.dim[2] / H;
	size_t bytes = (size_t)(KEYS * (w + 1 > 32 ? w + 1 : 32) + WARPS * (w + T)) * sizeof(float);
	dim3 grid(cuda_blocks(T, WARPS), (unsigned)H, (unsigned)B);

	if (B * T == 0)
		return;
	if (bytes > d->cuda->shared) {
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: a text of %lld tokens is too long for it", d->cuda->number, (long long)T);
		return;
	}
	if (!cuda_ok(d, cudaFuncSetAttribute(attend_rows, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes), "text_attend"))
		return;
	attend_rows<<<grid, 32 * WARPS, bytes, cuda_stream(d)>>>(cuda_out<float>(o), a.rank ? cuda_out<float>(a) : NULL, cuda_in<float>(q),
	                                                        cuda_in<float>(k), cuda_in<float>(v), cuda_in<float>(bias),
	                                                        cuda_in<float>(mask), (int)H, (int)T, (int)w, half);
	cuda_launched(d, "text_attend");
}
