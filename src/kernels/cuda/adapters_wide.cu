/* SPDX-License-Identifier: Apache-2.0 */
/* adapters_wide.cu - adapters of large rank: products by cuBLASLt, as the thin kernels read x once for every 48 of the rank's columns
 *
 * Drops are written out into work space, a module at a time. On the side stream, which has none, what drops goes to the main one:
 * its order keeps everything right. */
#include "kernels/cuda/adapters_wide.cuh"

namespace {

enum { THREADS = 256 };

/* Which of eight numbers from number i on are kept, as rng_uniform draws them. */
__device__ __forceinline__ void
keep8(float (&v)[8], struct rng r, uint64_t i, float p)
{
	uint4 a = rng_block_of(r, i / 4), b = rng_block_of(r, i / 4 + 1);
	uint32_t word[8] = { a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w };

#pragma unroll
	for (int j = 0; j < 8; j++)
		v[j] = uniform_of(word[j]) >= p ? v[j] : 0.f;
}

/* y [N, cols], no gaps, = x where it is kept; eight numbers a thread. */
__global__ void __launch_bounds__(THREADS)
drop(bf16 *y, const bf16 *x, int64_t n, int64_t cols, int64_t ldx, struct rng stream, float p)
{
	int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * 8;
	float v[8];

	if (at >= n)
		return;
	load8(v, x + at / cols * ldx + at % cols);
	keep8(v, rng_now(stream), (uint64_t)at, p);
	store8(y + at, v);
}

struct drops {
	struct rng stream[ADAPTERS];
	int n;
	float p, factor;
};

/* dx += factor times the kept of each of n maps [N, cols] that lie one behind the other. */
template <class T>
__global__ void __launch_bounds__(THREADS)
add_kept(T *dx, const float *maps, int64_t n, int64_t cols, int64_t ld, const __grid_constant__ struct drops s)
{
	int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * 8;
	float all[8];

	if (at >= n)
		return;
	T *to = dx + at / cols * ld + at % cols;
	load8(all, to);
	for (int k = 0; k < s.n; k++) {
		float v[8];
		load8(v, maps + k * n + at);
		keep8(v, rng_now(s.stream[k]), (uint64_t)at, s.p);
#pragma unroll
		for (int j = 0; j < 8; j++)
			all[j] += s.factor * v[j];
	}
	store8(to, all);
}

/* x itself, or what module k keeps of it in work space: valid until the next asks. */
struct tensor
dropped(struct dev *d, struct tensor x, const struct adapters *m, int k)
{
	const int64_t dim[TENSOR_RANK] = { tensor_rows(x), tensor_cols(x) };
	int64_t n = dim[0] * dim[1];
	bf16 *y;

	if (m->p == 0.f)
		return x;
	if (!(y = (bf16 *)cuda_scratch(d, (size_t)n * sizeof *y)))
		return x;		/* d has failed */
	drop<<<cuda_blocks(n, 8 * THREADS), THREADS, 0, cuda_stream(d)>>>(y, cuda_in<bf16>(x), n, dim[1], tensor_ld(x), m->stream[k], m->p);
	cuda_launched(d, "drop");
	return tensor_make(y, x.dtype, 2, dim);
}

} // namespace

void
adapters_wide_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m)
{
	int64_t at = 0;

	if (m->p == 0.f)
		cuda_gemm(d, h, x, a, false, true, 1.f, 0.f);
	for (int k = 0; k < m->n && m->p > 0.f; k++) {
		int64_t width = adapter_width(m->rank[k]);
		cuda_gemm(d, tensor_columns(h, at, width), dropped(d, x, m, k), tensor_slice(a, at, width), false, true, 1.f / (1.f - m->p), 0.f);
		at += width;
	}
}

void
adapters_wide_back(struct dev *d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m)
{
	int64_t at = 0, from = 0, row = 0;

	for (int k = 0; k < m->n; k++) {
		const int64_t dim[TENSOR_RANK] = { adapter_width(m->rank[k]), m->out[k] };
		struct tensor b = tensor_make(cuda_out<bf16>(bt) + row, bt.dtype, 2, dim);
		cuda_gemm(d, tensor_columns(dh, at, dim[0]), tensor_columns(dy, from, dim[1]), b, false, true, 1.f, 0.f);
		at += dim[0];
		from += dim[1];
		row += dim[0] * dim[1];
	}
}

void
adapters_wide_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h, struct tensor x,
                    struct tensor dy, const struct adapters *m)
{
	cudaStream_t was = d->cuda->now;
	int64_t at = 0, from = 0;

	if (m->p > 0.f)
		d->cuda->now = d->cuda->stream;
	for (int k = 0; k < m->n; k++) {
		int64_t rank = m->rank[k];
		if (da[k].rank)
			cuda_gemm(d, da[k], tensor_columns(dh, at, rank), dropped(d, x, m, k), true, false, 1.f / (1.f - m->p), 1.f);
		if (db[k].rank)
			cuda_gemm(d, db[k], tensor_columns(dy, from, m->out[k]), tensor_columns(h, at, rank), true, false, m->scale[k], 1.f);
		at += adapter_width(rank);
		from += m->out[k];
	}
	d->cuda->now = was;
}

void
adapters_wide_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m)
{
	const int64_t dim[TENSOR_RANK] = { tensor_rows(dx), tensor_cols(dx) };
	int64_t n = dim[0] * dim[1], at = 0;
	float *maps = (float *)cuda_scratch(d, (size_t)(m->n * n) * sizeof *maps);
	struct drops s = {};

	if (!maps || !n)
		return;
	s.n = m->n, s.p = m->p, s.factor = 1.f / (1.f - m->p);
	for (int k = 0; k < m->n; k++) {
		int64_t width = adapter_width(m->rank[k]);
		s.stream[k] = m->stream[k];
		cuda_gemm(d, tensor_make(maps + k * n, F32, 2, dim), tensor_columns(dh, at, width), tensor_slice(a, at, width), false, false, 1.f,
		          0.f);
		at += width;
	}
	WITH_TYPE(dx.dtype, T, (add_kept<T><<<cuda_blocks(n, 8 * THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<T>(dx), maps, n, dim[1],
	                                                                                              tensor_ld(dx), s)));
	cuda_launched(d, "adapters_dx");
}
