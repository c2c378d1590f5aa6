/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of weights: the formulas of kernels/optim_formula.h, compiled without contraction, so that a number comes out with the
 * same bits as on the other devices. Every kernel is bound by memory: a thread takes four neighbouring numbers. */
#include "kernels/cuda/optim.cuh"

namespace {

/* Four numbers a thread; what is left of them at the end one by one. F: f(i, gradient as limited). */
template <class F>
__global__ void __launch_bounds__(THREADS)
update(F f, const float *g, const float *l, int64_t count)
{
	int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
	float factor = l[LIMIT_FACTOR], bound = l[LIMIT_BOUND];

	for (int64_t i = at; i < at + EACH && i < count; i++)
		f(i, limited(g[i], factor, bound));
}

template <class F>
void
launch_update(struct dev *d, F f, struct tensor g, struct tensor l, const char *kernel)
{
	int64_t count = tensor_count(g);

	if (count == 0)
		return;
	update<<<cuda_blocks(count, THREADS * EACH), THREADS, 0, cuda_stream(d)>>>(f, cuda_in<float>(g), cuda_in<float>(l), count);
	cuda_launched(d, kernel);
}

struct adamw_of {
	float *p, *m, *v;
	uint16_t *w;
	const float *n;

	__device__ void
	operator()(int64_t i, float g) const
	{
		float x = adamw_number(p[i], g, m + i, v + i, n);

		p[i] = x;
		if (w)
			w[i] = f32_to_bf16(x);
	}
};

struct adamw_round_of {
	uint16_t *p, *m, *v;
	const float *n;
	const uint64_t *stream;
	uint64_t number;
	int64_t first;

	__device__ void
	operator()(int64_t i, float g) const
	{
		uint64_t at = (uint64_t)(first + i);
		struct rng r = rng_sub_of({ stream[0], stream[1], NULL }, number);
		uint4 block = rng_block_of(r, at / 8);
		uint32_t word[4] = { block.x, block.y, block.z, block.w };
		uint32_t pair = at / 2 % 4 == 0 ? word[0] : at / 2 % 4 == 1 ? word[1] : at / 2 % 4 == 2 ? word[2] : word[3];
		p[i] = adamw_number_by_chance(p[i], g, m + i, v + i, (uint16_t)(pair >> 16 * (at & 1)), n);
	}
};

struct adamw_kahan_of {
	uint16_t *p, *c, *m, *v;
	const float *n;

	__device__ void
	operator()(int64_t i, float g) const
	{
		float c32 = bf16_to_f32(c[i]), m32 = bf16_to_f32(m[i]), v32 = bf16_to_f32(v[i]);

		p[i] = f32_to_bf16(adamw_number_kahan(bf16_to_f32(p[i]), &c32, g, &m32, &v32, n));
		c[i] = f32_to_bf16(c32);
		m[i] = f32_to_bf16(m32);
		v[i] = f32_to_bf16(v32);
	}
};

struct lion_of {
	float *p, *m;
	const float *n;

	__device__ void
	operator()(int64_t i, float g) const
	{
		p[i] = lion_number(p[i], g, m + i, n);
	}
};

struct lion_kahan_of {
	uint16_t *p, *c, *m;
	const float *n;

	__device__ void
	operator()(int64_t i, float g) const
	{
		float c32 = bf16_to_f32(c[i]), m32 = bf16_to_f32(m[i]);

		p[i] = f32_to_bf16(lion_number_kahan(bf16_to_f32(p[i]), &c32, g, &m32, n));
		c[i] = f32_to_bf16(c32);
		m[i] = f32_to_bf16(m32);
	}
};

struct sgd_of {
	float *p, *buffer;
	const float *n;

	__device__ void
	operator()(int64_t i, float g) const
	{
		p[i] = sgd_number(p[i], g, buffer + i, n);
	}
};

struct schedule_free_of {
	float *y, *z, *v;
	const float *n;

	__device__ void
	operator()(int64_t i, float g) const
	{
		y[i] = schedule_free_number(y[i], z + i, g, v + i, n);
	}
};

__global__ void __launch_bounds__(THREADS)
clip(float *g, const float *l, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < count)
		g[i] = limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
}

template <class X>
__global__ void __launch_bounds__(THREADS)
lerp(float *y, const X *x, const float *a, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < count)
		y[i] += *a * (to_float(x[i]) - y[i]);
}

__global__ void
limits(float *l, const float *measured, bool value, float max, float scale)
{
	double norm = sqrt((double)measured[MEASURED_SQUARES]) / (double)scale, factor = (double)max / (norm + 1e-6);

	l[LIMIT_FACTOR] = (float)((value || max == 0.f || factor > 1 ? 1 : factor) / (double)scale);
	l[LIMIT_BOUND] = value && max > 0.f ? max : INFINITY;
}

/* Sum of squares and largest number of each piece; a NaN stays one in both. */
template <class G>
__global__ void __launch_bounds__(THREADS)
measure(double *squares, float *top, const G *g, int64_t count)
{
	__shared__ double shared[THREADS];
	__shared__ float tops[THREADS];
	int64_t from = (int64_t)blockIdx.x * PIECE, to = min(count, from + PIECE);
	double sum = 0;
	float most = 0.f;

	for (int64_t i = from + threadIdx.x; i < to; i += THREADS) {
		float x = fabsf(to_float(g[i]));
		sum += (double)x * (double)x;
		most = x > most || x != x ? x : most;
	}
	tops[threadIdx.x] = most;
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0) {
		for (int i = 1; i < THREADS; i++)
			most = tops[i] > most || tops[i] != tops[i] ? tops[i] : most;
		squares[blockIdx.x] = sum;
		top[blockIdx.x] = most;
	}
}

__global__ void __launch_bounds__(THREADS)
measured_of(float *measured, const double *squares, const float *top, int64_t pieces, bool join)
{
	__shared__ double shared[THREADS];
	__shared__ float tops[THREADS];
	double sum = 0;
	float most = 0.f;

	for (int64_t i = threadIdx.x; i < pieces; i += THREADS) {
		sum += squares[i];
		most = top[i] > most || top[i] != top[i] ? top[i] : most;
	}
	tops[threadIdx.x] = most;
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0) {
		for (int i = 1; i < THREADS; i++)
			most = tops[i] > most || tops[i] != tops[i] ? tops[i] : most;
		float before = join ? measured[MEASURED_ABSMAX] : 0.f;
		measured[MEASURED_SQUARES] = join ? measured[MEASURED_SQUARES] + (float)sum : (float)sum;
		measured[MEASURED_ABSMAX] = before > most || before != before ? before : most;
	}
}

} // namespace

extern "C" void
cuda_grad_measure(struct dev *d, struct tensor measured, struct tensor g)
{
	int64_t count = tensor_count(g), pieces = (count + PIECE - 1) / PIECE;
	char *scratch = (char *)cuda_scratch(d, (size_t)pieces * (sizeof(double) + sizeof(float)) + 16);
	double *squares = (double *)scratch;
	float *top = (float *)(squares + pieces);

	if (!scratch)
		return;
	if (pieces > 0)
		WITH_TYPE(g.dtype, G, measure<<<(unsigned)pieces, THREADS, 0, cuda_stream(d)>>>(squares, top, cuda_in<G>(g), count));
	measured_of<<<1, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(measured), squares, top, pieces, g.dtype == BF16);
	cuda_launched(d, "grad_measure");
}

extern "C" void
cuda_grad_limits(struct dev *d, struct tensor l, struct tensor measured, bool value, float max, float scale)
{
	limits<<<1, 1, 0, cuda_stream(d)>>>(cuda_out<float>(l), cuda_in<float>(measured), value, max, scale);
	cuda_launched(d, "grad_limits");
}

extern "C" void
cuda_grad_clip(struct dev *d, struct tensor g, struct tensor l)
{
	int64_t count = tensor_count(g);

	clip<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(g), cuda_in<float>(l), count);
	cuda_launched(d, "grad_clip");
}

extern "C" void
cuda_adamw(struct dev *d, struct tensor p, struct tensor w, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
           struct tensor l)
{
	struct adamw_of f = { cuda_out<float>(p), cuda_out<float>(m), cuda_out<float>(v), w.rank ? cuda_out<uint16_t>(w) : NULL,
		              cuda_in<float>(n) };

	launch_update(d, f, g, l, "adamw");
}

extern "C" void
cuda_adamw_round(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
                 struct tensor l, struct tensor stream, int64_t number, int64_t first)
{
	struct adamw_round_of f = { cuda_out<uint16_t>(p), cuda_out<uint16_t>(m), cuda_out<uint16_t>(v), cuda_in<float>(n),
		                    cuda_in<uint64_t>(stream), (uint64_t)number, first };

	launch_update(d, f, g, l, "adamw_round");
}

extern "C" void
cuda_adamw_kahan(struct dev *d, struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor v,
                 struct tensor n, struct tensor l)
{
	struct adamw_kahan_of f = { cuda_out<uint16_t>(p), cuda_out<uint16_t>(c), cuda_out<uint16_t>(m), cuda_out<uint16_t>(v),
		                    cuda_in<float>(n) };

	launch_update(d, f, g, l, "adamw_kahan");
}

extern "C" void
cuda_lion(struct dev *d, struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor n, struct tensor l)
{
	if (c.rank) {
		struct lion_kahan_of f = { cuda_out<uint16_t>(p), cuda_out<uint16_t>(c), cuda_out<uint16_t>(m), cuda_in<float>(n) };
		launch_update(d, f, g, l, "lion");
	} else {
		struct lion_of f = { cuda_out<float>(p), cuda_out<float>(m), cuda_in<float>(n) };
		launch_update(d, f, g, l, "lion");
	}
}

extern "C" void
cuda_sgd(struct dev *d, struct tensor p, struct tensor g, struct tensor buffer, struct tensor n, struct tensor l)
{
	struct sgd_of f = { cuda_out<float>(p), cuda_out<float>(buffer), cuda_in<float>(n) };

	launch_update(d, f, g, l, "sgd");
}

extern "C" void
cuda_schedule_free(struct dev *d, struct tensor y, struct tensor z, struct tensor g, struct tensor v, struct tensor n,
                   struct tensor l)
{
	struct schedule_free_of f = { cuda_out<float>(y), cuda_out<float>(z), cuda_out<float>(v), cuda_in<float>(n) };

	launch_update(d, f, g, l, "schedule_free");
}

extern "C" void
cuda_lerp(struct dev *d, struct tensor y, struct tensor x, struct tensor a)
{
	int64_t count = tensor_count(y);

	WITH_TYPE(x.dtype, X,
		lerp<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<X>(x), cuda_in<float>(a), count));
	cuda_launched(d, "lerp");
}
