/* SPDX-License-Identifier: Apache-2.0 */
/* wave.cu - what turns latents into sound, F32: convolutions of waves by columns of their windows, a stretch of time at a time */
#include "kernels/cuda/cuda.cuh"

enum { THREADS = 256 };

/* Bytes of columns at a time: they should stay in the device's cache between the two kernels. */
static const size_t STRETCH = (size_t)32 << 20;

static int64_t
stretch(int64_t rows, int64_t n)
{
	int64_t most = (int64_t)(STRETCH / ((size_t)rows * sizeof(float))) / THREADS * THREADS;

	most = most < THREADS ? (int64_t)THREADS : most;
	return most < n ? most : n;
}

static __global__ void
double_map(float *y, const float *x, int64_t count, int64_t H, int64_t W)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, c = at / (4 * H * W), h = at / (2 * W) % (2 * H), v = at % (2 * W);

	if (at < count)
		y[at] = x[(c * H + h / 2) * W + v / 2];
}

extern "C" void
cuda_map_double(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	if (n)
		double_map<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n, x.dim[1], x.dim[2]);
	cuda_launched(d, "map_double");
}

static __global__ void
grow_map(float *y, const float *x, int64_t count, int64_t H, int64_t W, int64_t times)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, o = at / (4 * H * W), h = at / (2 * W) % (2 * H), v = at % (2 * W);

	if (at < count)
		y[at] += x[((4 * o + 2 * (h % 2) + v % 2) / times * H + h / 2) * W + v / 2];
}

extern "C" void
cuda_map_grow(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	if (n)
		grow_map<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n, x.dim[1], x.dim[2],
		                                                                4 * y.dim[0] / x.dim[0]);
	cuda_launched(d, "map_grow");
}

static __global__ void
repeat_map(float *y, const float *x, int64_t count, int64_t n, int64_t times)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < count)
		y[at] += x[at / n / times * n + at % n];
}

extern "C" void
cuda_map_repeat(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t count = tensor_count(y);

	if (count)
		repeat_map<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), count,
		                                                                      count / y.dim[0], y.dim[0] / x.dim[0]);
	cuda_launched(d, "map_repeat");
}

enum { RELU, GELU, TANH };

template <int F>
static __global__ void
each(float *y, const float *x, int64_t n)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at >= n)
		return;
	float v = x[at];
	y[at] = F == RELU ? (v > 0.f ? v : 0.f) : F == GELU ? v * 0.5f * (1.f + erff(v * 0.70710678f)) : tanhf(v);
}

template <int F>
static void
each_of(struct dev *d, struct tensor y, struct tensor x, const char *name)
{
	int64_t n = tensor_count(x);

	if (n)
		each<F><<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n);
	cuda_launched(d, name);
}

extern "C" void
cuda_map_relu(struct dev *d, struct tensor y, struct tensor x)
{
	each_of<RELU>(d, y, x, "map_relu");
}

extern "C" void
cuda_wave_gelu(struct dev *d, struct tensor y, struct tensor x)
{
	each_of<GELU>(d, y, x, "wave_gelu");
}

extern "C" void
cuda_wave_tanh(struct dev *d, struct tensor y, struct tensor x)
{
	each_of<TANH>(d, y, x, "wave_tanh");
}

/* --- convolutions --- */

/* col [I k, n] = the windows around times from .. from+n-1. */
static __global__ void
windows(float *col, const float *x, int64_t T, int k, int64_t dilation, bool edge, int64_t from, int64_t n)
{
	int64_t p = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = blockIdx.y;

	if (p >= n)
		return;
	int64_t t = from + p + (row % k - k / 2) * dilation;
	if (edge)
		t = t < 0 ? 0 : t >= T ? T - 1 : t;
	col[row * n + p] = t >= 0 && t < T ? x[row / k * T + t] : 0.f;
}

extern "C" void
cuda_wave_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)
{
	int64_t rows = x.dim[0] * w.dim[2], T = x.dim[1], most = stretch(rows, T);
	const int64_t w_dim[TENSOR_RANK] = { w.dim[0], rows };
	struct tensor wm = tensor_reshape(w, 2, w_dim);
	float *col;

	if (T == 0 || !(col = (float *)cuda_scratch(d, (size_t)(rows * most) * sizeof(float))))
		return;
	for (int64_t from = 0; from < T; from += most) {
		int64_t n = T - from < most ? T - from : most;
		const int64_t dim[TENSOR_RANK] = { rows, n };
		dim3 grid(cuda_blocks(n, THREADS), (unsigned)rows);
		windows<<<grid, THREADS, 0, cuda_stream(d)>>>(col, cuda_in<float>(x), T, (int)w.dim[2], dilation, edge, from, n);
		cuda_launched(d, "wave_conv");
		cuda_gemm(d, tensor_columns(y, from, n), wm, tensor_make(col, F32, 2, dim), false, false, 1.f, 0.f);
	}
	if (b.rank)
		cuda_map_bias(d, y, b);
}

static __global__ void
depthwise_wave(float *y, const float *x, const float *w, const float *bias, int64_t count, int64_t T, int k)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, c = at / T, t = at % T;

	if (at >= count)
		return;
	float sum = bias ? bias[c] : 0.f;
	for (int j = 0; j < k; j++) {
		int64_t s = t + j - k / 2;
		if (s >= 0 && s < T)
			sum += w[c * k + j] * x[c * T + s];
	}
	y[at] = sum;
}

extern "C" void
cuda_wave_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t n = tensor_count(x);

	if (n)
		depthwise_wave<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(
			cuda_out<float>(y), cuda_in<float>(x), cuda_in<float>(w), b.rank ? cuda_in<float>(b) : NULL, n, x.dim[1],
			(int)w.dim[2]);
	cuda_launched(d, "wave_depthwise");
}

/* Results from .. from+n-1 (times of the result) out of columns [O k, have], whose first is time base. */
static __global__ void
gather(float *y, const float *col, const float *bias, int64_t T_out, int64_t have, int64_t base, int64_t from, int64_t n, int k, int u)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, o = blockIdx.y, p = from + i + (k - u) / 2;

	if (i >= n)
		return;
	float sum = bias ? bias[o] : 0.f;
	for (int j = (int)(p % u); j < k; j += u) {
		int64_t t = (p - j) / u - base;
		if (p >= j && t >= 0 && t < have)
			sum += col[(o * k + j) * have + t];
	}
	y[o * T_out + from + i] = sum;
}

extern "C" void
cuda_wave_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)
{
	int64_t O = y.dim[0], I = x.dim[0], T = x.dim[1], k = w.dim[2], rows = O * k, halo = (k + u - 1) / u, most = stretch(rows, T);
	const int64_t w_dim[TENSOR_RANK] = { I, rows };
	struct tensor wm = tensor_reshape(w, 2, w_dim);
	float *col;

	if (T == 0 || !(col = (float *)cuda_scratch(d, (size_t)(rows * (most + 2 * halo)) * sizeof(float))))
		return;
	for (int64_t p = 0; p < T; p += most) {
		int64_t m = T - p < most ? T - p : most, base = p > halo ? p - halo : 0, end = p + m + halo < T ? p + m + halo : T;
		const int64_t dim[TENSOR_RANK] = { rows, end - base };
		dim3 grid(cuda_blocks(m * u, THREADS), (unsigned)O);
		cuda_gemm(d, tensor_make(col, F32, 2, dim), wm, tensor_columns(x, base, end - base), true, false, 1.f, 0.f);
		gather<<<grid, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), col, b.rank ? cuda_in<float>(b) : NULL, y.dim[1], end - base,
		                                            base, p * u, m * u, (int)k, u);
		cuda_launched(d, "wave_up");
	}
}

/* --- the rest --- */

/* A block takes 32 times, LANES threads share the channels of each. */
enum { LANES = 8 };

static __device__ float
together(float (*part)[32], float sum)
{
	part[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	sum = 0.f;
	for (int i = 0; i < LANES; i++)
		sum += part[i][threadIdx.x];
	__syncthreads();
	return sum;
}

static __global__ void
norm_channels(float *y, const float *x, const float *w, const float *b, int64_t C, int64_t n, float eps)
{
	__shared__ float part[LANES][32];
	int64_t p = (int64_t)blockIdx.x * 32 + threadIdx.x;
	float sum = 0.f, mean, r;

	if (p < n)
		for (int64_t c = threadIdx.y; c < C; c += LANES)
			sum += x[c * n + p];
	mean = together(part, sum) / (float)C;
	sum = 0.f;
	if (p < n)
		for (int64_t c = threadIdx.y; c < C; c += LANES)
			sum += (x[c * n + p] - mean) * (x[c * n + p] - mean);
	r = 1.f / sqrtf(together(part, sum) / (float)C + eps);
	if (p < n)
		for (int64_t c = threadIdx.y; c < C; c += LANES)
			y[c * n + p] = (x[c * n + p] - mean) * r * w[c] + b[c];
}

extern "C" void
cuda_wave_norm(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	dim3 block(32, LANES);

	if (x.dim[1])
		norm_channels<<<cuda_blocks(x.dim[1], 32), block, 0, cuda_stream(d)>>>(
			cuda_out<float>(y), cuda_in<float>(x), cuda_in<float>(w), cuda_in<float>(b), x.dim[0], x.dim[1], eps);
	cuda_launched(d, "wave_norm");
}

static __global__ void
scale_add(float *y, const float *x, const float *g, int64_t count, int64_t n)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < count)
		y[at] += g[at / n] * x[at];
}

extern "C" void
cuda_wave_scale_add(struct dev *d, struct tensor y, struct tensor x, struct tensor g)
{
	int64_t n = tensor_count(x);

	if (n)
		scale_add<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), cuda_in<float>(g), n,
		                                                                 x.dim[1]);
	cuda_launched(d, "wave_scale_add");
}
