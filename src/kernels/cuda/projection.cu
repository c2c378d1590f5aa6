/* SPDX-License-Identifier: Apache-2.0 */
/* The projection losses (transformer.md section 4.8): rows of features meet rows of p between which they lie. */
#include "kernels/cuda/cuda.cuh"

namespace {

enum { THREADS = 256 };

/* |u|^2, |f|^2 and <u, f> of a row of features and the resampled row of p. */
struct products {
	float uu, ff, uf;
};

/* Where row i of n lies between the T rows of p: rows *from, *to, weight of the second. */
__device__ __forceinline__ float
between(int64_t i, int64_t n, int64_t T, int64_t *from, int64_t *to)
{
	float s = ((float)i + 0.5f) * ((float)T / (float)n) - 0.5f;

	s = s > 0.f ? s : 0.f;
	*from = (int64_t)s;
	if (*from > T - 1)
		*from = T - 1;
	*to = *from + 1 < T ? *from + 1 : *from;
	return s - (float)*from;
}

/* A block a row of features. */
template <class X, class Y>
__global__ void __launch_bounds__(THREADS)
row_products(struct products *out, const X *p, int64_t ldp, int64_t T, const Y *f, int64_t ldf, int64_t n, int64_t W)
{
	__shared__ float shared[32];
	int64_t i = blockIdx.x, from, to;
	float w = between(i, n, T, &from, &to), uu = 0.f, ff = 0.f, uf = 0.f;

	for (int64_t c = threadIdx.x; c < W; c += THREADS) {
		float a = (1.f - w) * to_float(p[from * ldp + c]) + w * to_float(p[to * ldp + c]), b = to_float(f[i * ldf + c]);
		uu += a * a;
		ff += b * b;
		uf += a * b;
	}
	uu = block_sum(uu, shared);
	ff = block_sum(ff, shared);
	uf = block_sum(uf, shared);
	if (threadIdx.x == 0)
		out[i] = { uu, ff, uf };
}

/* Norms, never below 1e-12, and the cosine as the loss has it. */
__device__ __forceinline__ float
cosine_of(struct products x, float *nu, float *nf)
{
	*nu = fmaxf(sqrtf(x.uu), 1e-12f);
	*nf = fmaxf(sqrtf(x.ff), 1e-12f);
	float a = x.uu / *nu / *nu + 1e-12f, b = x.ff / *nf / *nf + 1e-12f;
	return x.uf / *nu / *nf / sqrtf(a * b);
}

__global__ void __launch_bounds__(THREADS)
mean_loss(float *loss, const struct products *x, int64_t n)
{
	__shared__ float shared[32];
	float sum = 0.f, nu, nf;

	for (int64_t i = threadIdx.x; i < n; i += THREADS)
		sum += 1.f - cosine_of(x[i], &nu, &nf);
	sum = block_sum(sum, shared);
	if (threadIdx.x == 0)
		*loss = sum / (float)n;
}

/* A block a row of p: it gathers from the rows of features that lie beside it, in their order. */
template <class D, class X, class Y>
__global__ void __launch_bounds__(THREADS)
gather(D *dp, int64_t ldd, const X *p, int64_t ldp, int64_t T, const Y *f, int64_t ldf, int64_t n, int64_t W,
       const struct products *x, float weight)
{
	int64_t t = blockIdx.x, from, to, first = (int64_t)(((float)t - 1.5f) * (float)n / (float)T) - 2;

	first = first > 0 ? first : 0;
	for (int64_t c = threadIdx.x; c < W; c += THREADS) {
		float sum = 0.f;
		for (int64_t i = first; i < n; i++) {
			float w = between(i, n, T, &from, &to), nu, nf;
			if (from > t)
				break;
			if (to < t)
				continue;
			cosine_of(x[i], &nu, &nf);
			float cosine = x[i].uu > 1e-24f ? x[i].uf / nu / nf : 0.f;
			float a = (1.f - w) * to_float(p[from * ldp + c]) + w * to_float(p[to * ldp + c]);
			float g = -weight / (float)n * (to_float(f[i * ldf + c]) / nf - cosine * a / nu) / nu;
			sum += (from == t ? (1.f - w) * g : 0.f) + (to == t ? w * g : 0.f);
		}
		dp[t * ldd + c] = from_float<D>(to_float(dp[t * ldd + c]) + sum);
	}
}

/* NULL when work space is out. */
struct products *
make_products(struct dev *d, struct tensor p, struct tensor f)
{
	struct products *x = (struct products *)cuda_scratch(d, (size_t)f.dim[0] * sizeof *x);

	if (x)
		WITH_TYPE(p.dtype, X, WITH_TYPE(f.dtype, Y,
			row_products<<<(unsigned)f.dim[0], THREADS, 0, cuda_stream(d)>>>(
				x, cuda_in<X>(p), tensor_ld(p), p.dim[0], cuda_in<Y>(f), tensor_ld(f), f.dim[0], p.dim[1])));
	return x;
}

} // namespace

extern "C" void
cuda_projection_loss(struct dev *d, struct tensor loss, struct tensor p, struct tensor f)
{
	struct products *x = make_products(d, p, f);

	if (!x)
		return;
	mean_loss<<<1, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(loss), x, f.dim[0]);
	cuda_launched(d, "projection_loss");
}

extern "C" void
cuda_projection_loss_backward(struct dev *d, struct tensor dp, struct tensor p, struct tensor f, float weight)
{
	struct products *x = make_products(d, p, f);

	if (!x)
		return;
	WITH_TYPE(dp.dtype, D, WITH_TYPE(p.dtype, X, WITH_TYPE(f.dtype, Y,
		gather<<<(unsigned)p.dim[0], THREADS, 0, cuda_stream(d)>>>(cuda_out<D>(dp), tensor_ld(dp), cuda_in<X>(p), tensor_ld(p),
	                                                                  p.dim[0], cuda_in<Y>(f), tensor_ld(f), f.dim[0], p.dim[1], x,
	                                                                  weight))));
	cuda_launched(d, "projection_loss_backward");
}
