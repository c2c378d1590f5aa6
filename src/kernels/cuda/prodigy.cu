/* SPDX-License-Identifier: Apache-2.0 */
/* Prodigy (kernels/ref/prodigy.c says what it computes). Sums run in double, in pieces of fixed size. */
#include "kernels/cuda/optim_sum.cuh"

namespace {

struct prodigy {
	const float *g, *l, *n;
	float *v, *row, *col;		/* v; or row and col of a matrix */
	const double *sum;		/* of row */
	int64_t rows, cols;

	__device__ float
	gradient(int64_t i) const
	{
		return limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
	}
	__device__ float
	update(int64_t i) const
	{
		float root = v ? sqrtf(v[i])
		               : prodigy_factored(row[i / cols], col[i % cols], (float)(*sum / (double)rows), rows > cols);
		return prodigy_direction(gradient(i), root, n);
	}
};

__global__ void __launch_bounds__(THREADS)
moments(struct prodigy p, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < count)
		p.v[i] = second_moment(p.v[i], p.gradient(i), p.n);
}

__global__ void __launch_bounds__(THREADS)
row_moments(struct prodigy p)
{
	__shared__ double shared[THREADS];
	double sum = 0;

	for (int64_t c = threadIdx.x; c < p.cols; c += THREADS) {
		double x = (double)p.gradient(blockIdx.x * p.cols + c);
		sum += x * x;
	}
	sum = block_sum_double(sum, shared);
	if (threadIdx.x == 0)
		p.row[blockIdx.x] = p.row[blockIdx.x] * p.n[NUMBER_KEEP2] + p.n[NUMBER_G2] * (float)(sum / (double)p.cols);
}

__global__ void __launch_bounds__(THREADS)
col_moments(struct prodigy p)
{
	int64_t c = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	double sum = 0;

	if (c >= p.cols)
		return;
	for (int64_t r = 0; r < p.rows; r++) {
		double x = (double)p.gradient(r * p.cols + c);
		sum += x * x;
	}
	p.col[c] = p.col[c] * p.n[NUMBER_KEEP2] + p.n[NUMBER_G2] * (float)(sum / (double)p.rows);
}

struct row_sum {
	const float *row;

	__device__ double
	operator()(int64_t i) const
	{
		return (double)row[i];
	}
};

struct update_squares {
	struct prodigy p;

	__device__ double
	operator()(int64_t i) const
	{
		double u = (double)p.update(i);

		return u * u;
	}
};

struct way {
	struct prodigy p;
	const float *y, *z;
	uint16_t *s, *start;

	__device__ double
	operator()(int64_t i) const
	{
		int64_t at = i * PRODIGY_EVERY;

		return prodigy_along(p.gradient(at), y[at], z[at], s + i, start + i, p.n);
	}
};

struct reach {
	const uint16_t *s;

	__device__ double
	operator()(int64_t i) const
	{
		return fabs((double)bf16_to_f32(s[i]));
	}
};

/* totals: of row, squares of the update, way, reach. */
__global__ void __launch_bounds__(THREADS)
move(struct prodigy p, float *y, float *z, float *sums, const double *totals, int64_t count)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i == 0) {
		sums[0] += (float)totals[2];
		sums[1] += bf16_round((float)totals[3]);
	}
	if (i < count)
		y[i] = prodigy_number(y[i], z + i, p.update(i) * prodigy_shrink(totals[1], count), p.n);
}

} // namespace

extern "C" void
cuda_prodigy(struct dev *d, struct tensor y, struct tensor z, struct tensor v, struct tensor row, struct tensor col,
             struct tensor s, struct tensor start, struct tensor g, struct tensor sums, struct tensor n, struct tensor l)
{
	int64_t count = tensor_count(y), some = tensor_count(s), pieces = pieces_of(count);
	double *part = (double *)cuda_scratch(d, (size_t)(pieces + 4) * sizeof(double)), *totals = part + pieces;
	struct prodigy p = { cuda_in<float>(g), cuda_in<float>(l), cuda_in<float>(n), v.rank ? cuda_out<float>(v) : NULL,
		             cuda_out<float>(row), cuda_out<float>(col), totals, y.dim[0], tensor_cols(y) };
	struct way w = { p, cuda_in<float>(y), cuda_in<float>(z), cuda_out<uint16_t>(s), cuda_out<uint16_t>(start) };

	if (!part || count == 0)
		return;
	if (p.v) {
		moments<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(p, count);
	} else {		/* a row has no more numbers than the matrix: part has room for its pieces */
		row_moments<<<(unsigned)p.rows, THREADS, 0, cuda_stream(d)>>>(p);
		col_moments<<<cuda_blocks(p.cols, THREADS), THREADS, 0, cuda_stream(d)>>>(p);
		launch_sum(d, totals, part, row_sum{ p.row }, p.rows);
	}
	launch_sum(d, totals + 1, part, update_squares{ p }, count);
	launch_sum(d, totals + 2, part, w, some);
	launch_sum(d, totals + 3, part, reach{ w.s }, some);
	move<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(p, cuda_out<float>(y), cuda_out<float>(z),
	                                                                  cuda_out<float>(sums), totals, count);
	cuda_launched(d, "prodigy");
}
