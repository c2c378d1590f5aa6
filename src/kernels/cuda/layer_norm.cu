/* SPDX-License-Identifier: Apache-2.0 */
/* Norms of rows (layer_norm) and of groups of channels over all frames (group_norm). Rows are read twice from the cache; the
 * variance is that of differences from the mean. */
#include "kernels/cuda/columns.cuh"

namespace {

enum { GROUP_THREADS = 512 };

unsigned
row_threads(int64_t cols, int n)
{
	int64_t want = (cols / n + 31) / 32 * 32;

	return (unsigned)(want < 32 ? 32 : want > 512 ? 512 : want);
}

template <int N, class Y, class X>
__global__ void
normalize(int64_t E, int64_t ldy, int64_t ldx, Y *y, float *stat, const X *x, const float *w, const float *b, float eps)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x, step = (int64_t)blockDim.x * N;
	float sum = 0.f, v[N], a[N], c[N];

	x += n * ldx;
	y += n * ldy;
	for (int64_t i = (int64_t)threadIdx.x * N; i < E; i += step) {
		load<N>(v, x + i);
#pragma unroll
		for (int j = 0; j < N; j++)
			sum += v[j];
	}
	float mean = block_sum(sum, shared) / (float)E;
	sum = 0.f;
	for (int64_t i = (int64_t)threadIdx.x * N; i < E; i += step) {
		load<N>(v, x + i);
#pragma unroll
		for (int j = 0; j < N; j++)
			sum += (v[j] - mean) * (v[j] - mean);
	}
	float r = 1.f / sqrtf(block_sum(sum, shared) / (float)E + eps);
	for (int64_t i = (int64_t)threadIdx.x * N; i < E; i += step) {
		load<N>(v, x + i);
		load<N>(a, w + i);
		load<N>(c, b + i);
#pragma unroll
		for (int j = 0; j < N; j++)
			v[j] = (v[j] - mean) * r * a[j] + c[j];
		store<N>(y + i, v);
	}
	if (threadIdx.x == 0) {
		stat[2 * n] = mean;
		stat[2 * n + 1] = r;
	}
}

template <int N, class DX, class DY, class X>
__global__ void
normalize_backward(int64_t E, int64_t ldd, int64_t ldg, int64_t ldx, DX *dx, const DY *dy, const X *x, const float *stat,
                   const float *w, bool add)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x, step = (int64_t)blockDim.x * N;
	float mean = stat[2 * n], r = stat[2 * n + 1], sg = 0.f, sgh = 0.f, v[N], g[N], a[N];

	x += n * ldx;
	dx += n * ldd;
	dy += n * ldg;
	for (int64_t i = (int64_t)threadIdx.x * N; i < E; i += step) {
		load<N>(v, x + i);
		load<N>(g, dy + i);
		load<N>(a, w + i);
#pragma unroll
		for (int j = 0; j < N; j++) {
			sg += a[j] * g[j];
			sgh += a[j] * g[j] * ((v[j] - mean) * r);
		}
	}
	sg = block_sum(sg, shared) / (float)E;
	sgh = block_sum(sgh, shared) / (float)E;
	for (int64_t i = (int64_t)threadIdx.x * N; i < E; i += step) {
		float old[N] = {};
		load<N>(v, x + i);
		load<N>(g, dy + i);
		load<N>(a, w + i);
		if (add)
			load<N>(old, dx + i);
#pragma unroll
		for (int j = 0; j < N; j++)
			old[j] += r * (a[j] * g[j] - sg - (v[j] - mean) * r * sgh);
		store<N>(dx + i, old);
	}
}

template <class DY, class X>
struct affine_grads {
	float *dw, *db;
	const DY *dy;
	const X *x;
	const float *stat;
	int64_t ldg, ldx;

	__device__ void
	operator()(float (&sum)[2], int64_t n, int64_t c) const
	{
		float g = to_float(dy[n * ldg + c]);

		sum[0] += g * ((to_float(x[n * ldx + c]) - stat[2 * n]) * stat[2 * n + 1]);
		sum[1] += g;
	}
	__device__ float *
	total(int k) const
	{
		return k == 0 ? dw : db;
	}
};

/* --- groups: [T, C] a sample, n = C / G channels a group; a block a group --- */

struct group {
	int64_t T, C, G;
	int n;
};

/* The offset of the group's element i (frames times channels) from its sample's first. */
__device__ __forceinline__ int64_t
place_of(const struct group &s, int64_t i)
{
	uint32_t frame = (uint32_t)i / (uint32_t)s.n, c = (uint32_t)i - frame * (uint32_t)s.n;

	return frame * s.C + (int64_t)(blockIdx.x % (uint32_t)s.G * (uint32_t)s.n + c);
}

template <class Y, class X>
__global__ void __launch_bounds__(GROUP_THREADS)
group_norm(struct group s, Y *y, float *stat, const X *x, const float *w, const float *b, float eps)
{
	__shared__ float shared[32];
	int64_t count = s.T * s.n;
	float sum = 0.f;

	x += blockIdx.x / s.G * s.T * s.C;
	y += blockIdx.x / s.G * s.T * s.C;
	for (int64_t i = threadIdx.x; i < count; i += GROUP_THREADS)
		sum += to_float(x[place_of(s, i)]);
	float mean = block_sum(sum, shared) / (float)count;
	sum = 0.f;
	for (int64_t i = threadIdx.x; i < count; i += GROUP_THREADS) {
		float v = to_float(x[place_of(s, i)]) - mean;
		sum += v * v;
	}
	float r = 1.f / sqrtf(block_sum(sum, shared) / (float)count + eps);
	for (int64_t i = threadIdx.x; i < count; i += GROUP_THREADS) {
		int64_t at = place_of(s, i), c = (uint32_t)at % (uint32_t)s.C;
		y[at] = from_float<Y>((to_float(x[at]) - mean) * r * w[c] + b[c]);
	}
	if (threadIdx.x == 0) {
		stat[2 * blockIdx.x] = mean;
		stat[2 * blockIdx.x + 1] = r;
	}
}

template <class DX, class DY, class X>
__global__ void __launch_bounds__(GROUP_THREADS)
group_norm_backward(struct group s, DX *dx, const DY *dy, const X *x, const float *stat, const float *w)
{
	__shared__ float shared[32];
	int64_t count = s.T * s.n;
	float mean = stat[2 * blockIdx.x], r = stat[2 * blockIdx.x + 1], sg = 0.f, sgh = 0.f;

	x += blockIdx.x / s.G * s.T * s.C;
	dx += blockIdx.x / s.G * s.T * s.C;
	dy += blockIdx.x / s.G * s.T * s.C;
	for (int64_t i = threadIdx.x; i < count; i += GROUP_THREADS) {
		int64_t at = place_of(s, i);
		float g = to_float(dy[at]) * w[(uint32_t)at % (uint32_t)s.C];
		sg += g;
		sgh += g * ((to_float(x[at]) - mean) * r);
	}
	sg = block_sum(sg, shared) / (float)count;
	sgh = block_sum(sgh, shared) / (float)count;
	for (int64_t i = threadIdx.x; i < count; i += GROUP_THREADS) {
		int64_t at = place_of(s, i);
		float g = to_float(dy[at]) * w[(uint32_t)at % (uint32_t)s.C];
		dx[at] = from_float<DX>(r * (g - sg - (to_float(x[at]) - mean) * r * sgh));
	}
}

/* dw and db of channel c; rows are frames of all samples, and the sample's group has its statistics. */
template <class DY, class X>
struct group_grads {
	float *dw, *db;
	const DY *dy;
	const X *x;
	const float *stat;
	struct group s;

	__device__ void
	operator()(float (&sum)[2], int64_t n, int64_t c) const
	{
		const float *at = stat + 2 * (n / s.T * s.G + c / s.n);
		float g = to_float(dy[n * s.C + c]);

		sum[0] += g * ((to_float(x[n * s.C + c]) - at[0]) * at[1]);
		sum[1] += g;
	}
	__device__ float *
	total(int k) const
	{
		return k == 0 ? dw : db;
	}
};

struct group
group_of(struct tensor x, struct tensor stat)
{
	assert(!x.ld);
	return { x.dim[1], x.dim[2], stat.dim[1], (int)(x.dim[2] / stat.dim[1]) };
}

template <class DX, class DY, class X>
void
launch_layer_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat, struct tensor w,
                      bool add)
{
	int64_t E = tensor_cols(x);
	unsigned rows = (unsigned)tensor_rows(x);

	if (cuda_by8(dx) && cuda_by8(dy) && cuda_by8(x) && cuda_by8(w))
		normalize_backward<8><<<rows, row_threads(E, 8), 0, cuda_stream(d)>>>(
			E, tensor_ld(dx), tensor_ld(dy), tensor_ld(x), cuda_out<DX>(dx), cuda_in<DY>(dy), cuda_in<X>(x),
			cuda_in<float>(stat), cuda_in<float>(w), add);
	else
		normalize_backward<1><<<rows, row_threads(E, 1), 0, cuda_stream(d)>>>(
			E, tensor_ld(dx), tensor_ld(dy), tensor_ld(x), cuda_out<DX>(dx), cuda_in<DY>(dy), cuda_in<X>(x),
			cuda_in<float>(stat), cuda_in<float>(w), add);
}

} // namespace

extern "C" void
cuda_layer_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	int64_t E = tensor_cols(x);
	unsigned rows = (unsigned)tensor_rows(x);

	if (rows == 0)
		return;
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, {
		if (cuda_by8(y) && cuda_by8(x) && cuda_by8(w) && cuda_by8(b))
			normalize<8><<<rows, row_threads(E, 8), 0, cuda_stream(d)>>>(
				E, tensor_ld(y), tensor_ld(x), cuda_out<Y>(y), cuda_out<float>(stat), cuda_in<X>(x), cuda_in<float>(w),
				cuda_in<float>(b), eps);
		else
			normalize<1><<<rows, row_threads(E, 1), 0, cuda_stream(d)>>>(
				E, tensor_ld(y), tensor_ld(x), cuda_out<Y>(y), cuda_out<float>(stat), cuda_in<X>(x), cuda_in<float>(w),
				cuda_in<float>(b), eps);
	}));
	cuda_launched(d, "layer_norm");
}

extern "C" void
cuda_layer_norm_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor stat, struct tensor w,
                         bool add)
{
	if (tensor_rows(x) == 0)
		return;
	WITH_TYPE(dx.dtype, DX, WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X,
		launch_layer_backward<DX, DY, X>(d, dx, dy, x, stat, w, add))));
	cuda_launched(d, "layer_norm_backward");
}

extern "C" void
cuda_layer_norm_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x, struct tensor stat)
{
	WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X, {
		affine_grads<DY, X> f = { cuda_out<float>(dw), cuda_out<float>(db), cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(stat),
			                  tensor_ld(dy), tensor_ld(x) };
		columns::launch<2>(d, f, 1, tensor_rows(x), tensor_cols(x), 0, "layer_norm_grads");
	}));
}

extern "C" void
cuda_group_norm(struct dev *d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	struct group s = group_of(x, stat);

	assert(!y.ld);
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X,
		group_norm<<<(unsigned)(x.dim[0] * s.G), GROUP_THREADS, 0, cuda_stream(d)>>>(
			s, cuda_out<Y>(y), cuda_out<float>(stat), cuda_in<X>(x), cuda_in<float>(w), cuda_in<float>(b), eps)));
	cuda_launched(d, "group_norm");
}

template <class DY, class X>
static void
launch_group_grads(struct dev *d, struct group s, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x,
                   struct tensor stat)
{
	group_grads<DY, X> f = { cuda_out<float>(dw), cuda_out<float>(db), cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(stat), s };

	columns::launch<2>(d, f, 1, x.dim[0] * s.T, s.C, 0, "group_norm_backward");
}

extern "C" void
cuda_group_norm_backward(struct dev *d, struct tensor dx, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x,
                         struct tensor stat, struct tensor w)
{
	struct group s = group_of(x, stat);

	assert(!dx.ld && !dy.ld);
	/* first: dx may be dy */
	WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X, launch_group_grads<DY, X>(d, s, dw, db, dy, x, stat)));
	WITH_TYPE(dx.dtype, DX, WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X,
		group_norm_backward<<<(unsigned)(x.dim[0] * s.G), GROUP_THREADS, 0, cuda_stream(d)>>>(
			s, cuda_out<DX>(dx), cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(stat), cuda_in<float>(w)))));
	cuda_launched(d, "group_norm_backward");
}
