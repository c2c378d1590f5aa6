/* SPDX-License-Identifier: Apache-2.0 */
/* Rules whose step depends on a whole tensor, or on blocks of it (kernels/ref/optim_tensor.c says what they compute). Sums run in
 * double: over pieces of fixed size, then over the pieces in one block. */
#include "kernels/cuda/optim_sum.cuh"

namespace {

enum { CODES = 256 };

/* --- stable_adamw --- */

struct stable_moments {
	const float *g, *l, *n;
	float *m, *v;

	__device__ double
	operator()(int64_t i) const
	{
		float x = limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]), least = n[NUMBER_EPS] * n[NUMBER_EPS];

		m[i] = between(m[i], x, n[NUMBER_G1]);
		v[i] = second_moment(v[i], x, n);
		return (double)(x * x / (v[i] > least ? v[i] : least));
	}
};

__global__ void __launch_bounds__(THREADS)
stable_step(float *p, const float *m, const float *v, const float *n, const double *total, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	double size = sqrt(*total / (double)count);
	float step = (float)((double)n[NUMBER_STEP] / (size > 1 ? size : 1));

	if (i < count)
		p[i] = p[i] * (1.f - step * n[NUMBER_L2]) - step * m[i] / (sqrtf(v[i]) + n[NUMBER_EPS]);
}

/* --- adamw_codes: a block of threads a block of codes --- */

__device__ __forceinline__ float
block_top(float x, float *shared)
{
	int t = (int)threadIdx.x;

	__syncthreads();
	shared[t] = fabsf(x);
	__syncthreads();
	for (int i = CODES / 2; i > 0; i /= 2) {
		if (t < i)
			shared[t] = shared[t + i] > shared[t] ? shared[t + i] : shared[t];
		__syncthreads();
	}
	return shared[0];
}

template <class P>
__global__ void __launch_bounds__(CODES)
codes(P *p, const float *g, uint8_t *m, float *ms, uint8_t *v, float *vs, const float *table, const float *n, const float *l)
{
	__shared__ float shared[CODES], entry[2 * CODES];
	int64_t i = (int64_t)blockIdx.x * CODES + threadIdx.x;

	entry[threadIdx.x] = table[threadIdx.x];
	entry[CODES + threadIdx.x] = table[CODES + threadIdx.x];
	__syncthreads();
	float m32 = entry[m[i]] * ms[blockIdx.x], v32 = entry[CODES + v[i]] * vs[blockIdx.x];
	p[i] = from_float<P>(adamw_number_codes(to_float(p[i]), limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]), &m32, &v32, n));
	float top_m = block_top(m32, shared), top_v = block_top(v32, shared);
	top_m = top_m > 1e-12f ? top_m : 1e-12f;
	top_v = top_v > 1e-12f ? top_v : 1e-12f;
	m[i] = (uint8_t)nearest_code(entry, m32 / top_m);
	v[i] = (uint8_t)nearest_code(entry + CODES, v32 / top_v);
	if (threadIdx.x == 0) {
		ms[blockIdx.x] = top_m;
		vs[blockIdx.x] = top_v;
	}
}

/* Small tensors keep their moments as they are. */
template <class P>
__global__ void __launch_bounds__(THREADS)
uncoded(P *p, const float *g, P *m, P *v, const float *n, const float *l, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i >= count)
		return;
	float m32 = to_float(m[i]), v32 = to_float(v[i]);
	p[i] = from_float<P>(adamw_number_codes(to_float(p[i]), limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]), &m32, &v32, n));
	m[i] = from_float<P>(m32);
	v[i] = from_float<P>(v32);
}

/* --- adafactor: matrices [rows, cols] one behind the other --- */

struct factored {
	const float *g, *l, *n;
	float *p, *row, *col, *full;	/* full NULL: row and col */
	const float *bottom;		/* mean row of each matrix, not below eps */
	int64_t rows, cols;

	__device__ float
	grad(int64_t i) const
	{
		return limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
	}
	__device__ float
	direction(int64_t i) const
	{
		int64_t k = i / (rows * cols), r = i / cols % rows, c = i % cols;
		float v = full ? full[i] : row[k * rows + r] * col[k * cols + c] / bottom[k], least = n[NUMBER_EPS] * n[NUMBER_EPS];
		return grad(i) * (1.f / sqrtf(v > least ? v : least));
	}
};

__global__ void __launch_bounds__(THREADS)
row_factors(struct factored a)
{
	__shared__ double shared[THREADS];
	double sum = 0;

	for (int64_t c = threadIdx.x; c < a.cols; c += THREADS) {
		double x = (double)a.grad(blockIdx.x * a.cols + c);
		sum += x * x;
	}
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0)
		a.row[blockIdx.x] = between(a.row[blockIdx.x], (float)(sum / (double)a.cols), a.n[NUMBER_G2]);
}

__global__ void __launch_bounds__(THREADS)
col_factors(struct factored a, int64_t matrices)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, k = i / a.cols, c = i % a.cols;
	double sum = 0;

	if (k >= matrices)
		return;
	for (int64_t r = 0; r < a.rows; r++) {
		double x = (double)a.grad((k * a.rows + r) * a.cols + c);
		sum += x * x;
	}
	a.col[i] = between(a.col[i], (float)(sum / (double)a.rows), a.n[NUMBER_G2]);
}

__global__ void __launch_bounds__(THREADS)
bottoms(float *bottom, struct factored a)
{
	__shared__ double shared[THREADS];
	double sum = 0;

	for (int64_t r = threadIdx.x; r < a.rows; r += THREADS)
		sum += (double)a.row[blockIdx.x * a.rows + r];
	sum = block_sum_double(sum, shared) / (double)a.rows;
	if (threadIdx.x == 0)
		bottom[blockIdx.x] = (float)sum > a.n[NUMBER_EPS] ? (float)sum : a.n[NUMBER_EPS];
}

__global__ void __launch_bounds__(THREADS)
full_moments(struct factored a, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < count) {
		float x = a.grad(i);
		a.full[i] = between(a.full[i], x * x, a.n[NUMBER_G2]);
	}
}

struct weight_squares {
	const float *p;

	__device__ double
	operator()(int64_t i) const
	{
		return (double)p[i] * (double)p[i];
	}
};

struct update_squares {
	struct factored a;

	__device__ double
	operator()(int64_t i) const
	{
		float u = a.direction(i);

		return (double)u * (double)u;
	}
};

/* totals: squares of the weights, of the update. */
__global__ void __launch_bounds__(THREADS)
factored_step(struct factored a, const double *totals, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	double rms = sqrt(totals[0] / (double)count), size = sqrt(totals[1] / (double)count) / (double)a.n[NUMBER_D];
	double least = (double)a.n[NUMBER_EPS2], alpha = (rms > least ? rms : least) * (double)a.n[NUMBER_STEP];
	float step = (float)(-alpha / (size > 1 ? size : 1));

	if (i < count)
		a.p[i] = a.p[i] * a.n[NUMBER_DECAY] + step * a.direction(i);
}

} // namespace

extern "C" void
cuda_stable_adamw(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
                  struct tensor l)
{
	int64_t count = tensor_count(p);
	double *sums = (double *)cuda_scratch(d, (size_t)(pieces_of(count) + 1) * sizeof(double)), *total = sums + pieces_of(count);
	struct stable_moments f = { cuda_in<float>(g), cuda_in<float>(l), cuda_in<float>(n), cuda_out<float>(m), cuda_out<float>(v) };

	if (!sums || count == 0)
		return;
	launch_sum(d, total, sums, f, count);
	stable_step<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(p), f.m, f.v, f.n, total, count);
	cuda_launched(d, "stable_adamw");
}

extern "C" void
cuda_adamw_codes(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor ms, struct tensor v,
                 struct tensor vs, struct tensor table, struct tensor n, struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = cuda_in<float>(g), *np = cuda_in<float>(n), *lp = cuda_in<float>(l);

	if (count == 0)
		return;
	if (ms.rank)
		WITH_TYPE(p.dtype, P,
			codes<<<(unsigned)(count / CODES), CODES, 0, cuda_stream(d)>>>(
				cuda_out<P>(p), gp, cuda_out<uint8_t>(m), cuda_out<float>(ms), cuda_out<uint8_t>(v), cuda_out<float>(vs),
				cuda_in<float>(table), np, lp));
	else
		WITH_TYPE(p.dtype, P,
			uncoded<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<P>(p), gp, cuda_out<P>(m),
			                                                                    cuda_out<P>(v), np, lp, count));
	cuda_launched(d, "adamw_codes");
}

extern "C" void
cuda_adafactor(struct dev *d, struct tensor p, struct tensor g, struct tensor row, struct tensor col, struct tensor full,
               struct tensor n, struct tensor l)
{
	bool whole = full.rank > 0;
	int64_t count = tensor_count(p), cols = tensor_cols(p), rows = whole ? 1 : p.dim[p.rank - 2], pieces = pieces_of(count);
	int64_t matrices = rows * cols > 0 ? count / (rows * cols) : 0;
	double *sums = (double *)cuda_scratch(d, (size_t)(pieces + 2) * sizeof(double) + (size_t)matrices * sizeof(float));
	double *totals = sums + pieces;
	float *bottom = (float *)(totals + 2);
	struct factored a = { cuda_in<float>(g), cuda_in<float>(l), cuda_in<float>(n), cuda_out<float>(p),
		              whole ? NULL : cuda_out<float>(row), whole ? NULL : cuda_out<float>(col),
		              whole ? cuda_out<float>(full) : NULL, bottom, rows, cols };

	if (!sums || count == 0)
		return;
	if (whole) {
		full_moments<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(a, count);
	} else {
		row_factors<<<(unsigned)(matrices * rows), THREADS, 0, cuda_stream(d)>>>(a);
		col_factors<<<cuda_blocks(matrices * cols, THREADS), THREADS, 0, cuda_stream(d)>>>(a, matrices);
		bottoms<<<(unsigned)matrices, THREADS, 0, cuda_stream(d)>>>(bottom, a);
	}
	launch_sum(d, totals, sums, weight_squares{ a.p }, count);
	launch_sum(d, totals + 1, sums, update_squares{ a }, count);
	factored_step<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(a, totals, count);
	cuda_launched(d, "adafactor");
}
