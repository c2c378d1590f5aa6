/* SPDX-License-Identifier: Apache-2.0 */
/* The objective: noise, noisy latents, loss and its gradient. Products and sums are kept apart (no fused multiply-add), so that
 * each number is the same bits as the other devices' (kernels/formula.h); sums of squares run in double over fixed parts. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/formula.h"

namespace {

enum { THREADS = 256, PARTS = 64 };	/* PARTS: blocks that share a sample's loss */

__device__ __forceinline__ float
rounded(bool half, float x)
{
	return half ? __bfloat162float(__float2bfloat16_rn(x)) : x;
}

/* Box-Muller in double, as rng.h has it. */
__device__ __forceinline__ void
normal_pair(uint32_t a, uint32_t b, float *x, float *y)
{
	double u = ((double)a + 1.0) * 0x1p-32, r = sqrt(-2.0 * log(u)), s, c;

	sincos(6.283185307179586 * ((double)b * 0x1p-32), &s, &c);
	*x = (float)(r * c);
	*y = (float)(r * s);
}

/* A thread makes four numbers of one sample. */
__global__ void __launch_bounds__(THREADS)
normal(float *e, const uint64_t *stream, int64_t n)
{
	int64_t block = (int64_t)blockIdx.x * THREADS + threadIdx.x, b = blockIdx.y;
	float v[4];

	if (4 * block >= n)
		return;
	uint4 w = rng_block_of({ stream[2 * b], stream[2 * b + 1], NULL }, (uint64_t)block);
	normal_pair(w.x, w.y, &v[0], &v[1]);
	normal_pair(w.z, w.w, &v[2], &v[3]);
	for (int i = 0; i < 4 && 4 * block + i < n; i++)
		e[b * n + 4 * block + i] = v[i];
}

__global__ void __launch_bounds__(THREADS)
mix(float *x, const float *x0, const float *e, const float *sigma, int64_t n, int64_t count, bool half)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i >= count)
		return;
	float s = rounded(half, sigma[i / n]), a = rounded(half, __fmul_rn(s, rounded(half, e[i])));
	float b = rounded(half, __fmul_rn(rounded(half, __fsub_rn(1.f, s)), rounded(half, x0[i])));
	x[i] = rounded(half, __fadd_rn(a, b));
}

__device__ __forceinline__ double
block_sum_double(double x, double *shared)
{
	int t = (int)threadIdx.x;

	__syncthreads();
	shared[t] = x;
	__syncthreads();
	for (int i = THREADS / 2; i > 0; i /= 2) {
		if (t < i)
			shared[t] += shared[t + i];
		__syncthreads();
	}
	return shared[0];
}

struct objective {
	const float *v, *x, *x0, *e, *sigma, *mask, *weight;
	int64_t n, frames;
	struct flow_form form;
	bool half;
};

__device__ __forceinline__ float
error_of(const struct objective &o, float m, int64_t i, float sigma)
{
	float s = rounded(o.half, sigma), v = rounded(o.half, o.v[i]), target = rounded(o.half, o.x0[i]), y;

	if (o.form.target == FLOW_VELOCITY) {
		y = v;
		target = rounded(o.half, __fsub_rn(rounded(o.half, o.e[i]), target));
	} else {
		y = rounded(o.half, __fsub_rn(rounded(o.half, o.x[i]), rounded(o.half, __fmul_rn(s, v))));
	}
	return __fsub_rn(__fmul_rn(m, y), __fmul_rn(m, target));
}

/* Part blockIdx.x of sample blockIdx.y: what its errors cost, and dv unless NULL. squares: the cost is FLOW_L2. */
template <bool squares> __global__ void __launch_bounds__(THREADS)
errors(struct objective o, float *dv, double *part, double *share)
{
	__shared__ double shared[THREADS];
	int64_t b = blockIdx.y, each = (o.n + PARTS - 1) / PARTS, from = blockIdx.x * each, to = min(o.n, from + each);
	const float *mask = o.mask + b * o.frames;
	double sum = 0;

	for (int64_t t = threadIdx.x; t < o.frames; t += THREADS)
		sum += (double)mask[t];
	double mean = block_sum_double(sum, shared) / (double)o.frames;
	float c = (float)(2 * (double)o.weight[b] * mean / (double)o.n), sigma = o.sigma[b];
	float width = squares ? 0.f : flow_width_at(o.form, sigma);
	sum = 0;
	for (int64_t i = from + threadIdx.x; i < to; i += THREADS) {
		float m = mask[i % o.frames], error = error_of(o, m, b * o.n + i, sigma);
		sum += flow_cost_of(squares ? FLOW_L2 : o.form.cost, error, width);
		if (dv) {
			float pull = flow_pull(squares ? FLOW_L2 : o.form.cost, error, width);
			float g = rounded(o.half, __fmul_rn(__fmul_rn(c, pull), m));
			dv[b * o.n + i] = o.form.target == FLOW_VELOCITY ? g : rounded(o.half, __fmul_rn(g, -rounded(o.half, sigma)));
		}
	}
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0) {
		part[b * PARTS + blockIdx.x] = sum;
		share[b] = mean;
	}
}

__global__ void
losses(float *loss, const double *part, const double *share, const float *weight, int64_t batch, int64_t n)
{
	double total = 0;

	for (int64_t b = 0; b < batch; b++) {
		double sum = 0;
		for (int i = 0; i < PARTS; i++)
			sum += part[b * PARTS + i];
		loss[b] = (float)(sum / (double)n * share[b]);
		total += (double)weight[b] * (double)loss[b];
	}
	loss[batch] = (float)total;
}

__global__ void __launch_bounds__(THREADS)
add_scaled(float *y, const float *x, const float *a, int64_t n, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < count)
		y[i] = __fadd_rn(y[i], __fmul_rn(a[i / n], x[i]));
}

int64_t
per_sample(struct tensor x)
{
	return x.dim[0] ? tensor_count(x) / x.dim[0] : 1;
}

} // namespace

extern "C" void
cuda_normal(struct dev *d, struct tensor e, struct tensor stream)
{
	int64_t n = per_sample(e);
	dim3 grid(cuda_blocks(n, 4 * THREADS), (unsigned)e.dim[0]);

	if (tensor_count(e) == 0)
		return;
	normal<<<grid, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(e), cuda_in<uint64_t>(stream), n);
	cuda_launched(d, "normal");
}

extern "C" void
cuda_flow_mix(struct dev *d, struct tensor x, struct tensor x0, struct tensor e, struct tensor sigma, enum dtype type)
{
	int64_t count = tensor_count(x);

	mix<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(x), cuda_in<float>(x0), cuda_in<float>(e),
	                                                                cuda_in<float>(sigma), per_sample(x), count, type == BF16);
	cuda_launched(d, "flow_mix");
}

extern "C" void
cuda_flow_loss(struct dev *d, struct tensor dv, struct tensor loss, struct tensor v, struct tensor x, struct tensor x0,
               struct tensor e, struct tensor sigma, struct tensor mask, struct tensor weight, struct flow_form form, enum dtype type)
{
	int64_t B = v.dim[0], n = per_sample(v);
	struct objective o = { cuda_in<float>(v), cuda_in<float>(x), cuda_in<float>(x0), cuda_in<float>(e), cuda_in<float>(sigma),
		               cuda_in<float>(mask), cuda_in<float>(weight), n, tensor_cols(v), form, type == BF16 };
	double *part = (double *)cuda_scratch(d, (size_t)(B * (PARTS + 1)) * sizeof(double)), *share = part + B * PARTS;

	if (!part || B == 0)
		return;
	float *out = dv.rank ? cuda_out<float>(dv) : NULL;
	if (form.cost == FLOW_L2)
		errors<true><<<dim3(PARTS, (unsigned)B), THREADS, 0, cuda_stream(d)>>>(o, out, part, share);
	else
		errors<false><<<dim3(PARTS, (unsigned)B), THREADS, 0, cuda_stream(d)>>>(o, out, part, share);
	losses<<<1, 1, 0, cuda_stream(d)>>>(cuda_out<float>(loss), part, share, o.weight, B, n);
	cuda_launched(d, "flow_loss");
}

extern "C" void
cuda_add_scaled(struct dev *d, struct tensor y, struct tensor x, struct tensor a)
{
	int64_t count = tensor_count(y);

	add_scaled<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x),
	                                                                       cuda_in<float>(a), per_sample(y), count);
	cuda_launched(d, "add_scaled");
}
