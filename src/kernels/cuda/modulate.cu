/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between the blocks' products: RMS norm with modulation, gates, silu. A block of threads a row; the second pass over
 * a row finds it in the cache, or in registers where these do not cost blocks. */
#include "kernels/cuda/columns.cuh"

namespace {

enum { THREADS = 256 };

/* Threads for a row of cols numbers, N at a time. */
unsigned
row_threads(int64_t cols, int n)
{
	int64_t want = (cols / n + 31) / 32 * 32;

	return (unsigned)(want < 32 ? 32 : want > 512 ? 512 : want);
}

bool
all_by8(struct tensor a, struct tensor b, struct tensor c)
{
	return cuda_by8(a) && cuda_by8(b) && cuda_by8(c);
}

struct rows {
	int64_t D, R, T;		/* columns; rows of m a sample; rows of x a sample */
	int64_t ldx, ldy, ldz;
};

template <int N, class Y, class X>
__global__ void
rms_modulate(struct rows s, Y *y, float *r, const X *x, const float *m, int shift, int scale)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x, first = (int64_t)threadIdx.x * N, step = (int64_t)blockDim.x * N;
	float sum = 0.f, v[N] = {}, a[N] = {}, b[N] = {};

	m += n / s.T * s.R * s.D;
	x += n * s.ldx;
	y += n * s.ldy;
	for (int64_t c = first + step; c < s.D; c += step) {
		load<N>(v, x + c);
#pragma unroll
		for (int i = 0; i < N; i++)
			sum += v[i] * v[i];
	}
	if (first < s.D) {
		load<N>(v, x + first);
		load<N>(a, m + scale * s.D + first);
		load<N>(b, m + shift * s.D + first);
#pragma unroll
		for (int i = 0; i < N; i++)
			sum += v[i] * v[i];
	}
	float inv = 1.f / sqrtf(block_sum(sum, shared) / (float)s.D + 1e-6f);
	for (int64_t c = first; c < s.D; c += step) {
		if (c > first) {
			load<N>(v, x + c);
			load<N>(a, m + scale * s.D + c);
			load<N>(b, m + shift * s.D + c);
		}
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = v[i] * inv * (1.f + a[i]) + b[i];
		store<N>(y + c, v);
	}
	if (threadIdx.x == 0)
		r[n] = inv;
}

template <int N, class DX, class DY, class X>
__global__ void
rms_modulate_backward(struct rows s, DX *dx, const DY *dy, const X *x, const float *r, const float *m, int scale, bool add)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x;
	float sum = 0.f, v[N], g[N], a[N], inv = r[n];

	m += (n / s.T * s.R + scale) * s.D;
	x += n * s.ldx;
	dx += n * s.ldy;
	dy += n * s.ldz;
	for (int64_t c = (int64_t)threadIdx.x * N; c < s.D; c += (int64_t)blockDim.x * N) {
		load<N>(v, x + c);
		load<N>(g, dy + c);
		load<N>(a, m + c);
#pragma unroll
		for (int i = 0; i < N; i++)
			sum += g[i] * (1.f + a[i]) * (v[i] * inv);
	}
	float mean = block_sum(sum, shared) / (float)s.D;
	for (int64_t c = (int64_t)threadIdx.x * N; c < s.D; c += (int64_t)blockDim.x * N) {
		float old[N] = {};
		load<N>(v, x + c);
		load<N>(g, dy + c);
		load<N>(a, m + c);
		if (add)
			load<N>(old, dx + c);
#pragma unroll
		for (int i = 0; i < N; i++)
			old[i] += inv * (g[i] * (1.f + a[i]) - v[i] * inv * mean);
		store<N>(dx + c, old);
	}
}

/* y = x + m[gate] z; x NULL: y = m[gate] z. */
template <int N, class Y, class X, class Z>
__global__ void __launch_bounds__(THREADS)
gated(struct rows s, int64_t chunks, Y *y, const X *x, const Z *z, const float *m, int gate)
{
	uint32_t at = blockIdx.x * THREADS + threadIdx.x, per_row = (uint32_t)s.D / N, n32 = at / per_row;
	int64_t n = n32, c = (at - n32 * per_row) * N;
	float v[N] = {}, a[N], b[N];

	if (at >= chunks)
		return;
	if (x)
		load<N>(v, x + n * s.ldx + c);
	load<N>(b, z + n * s.ldz + c);
	load<N>(a, m + ((int64_t)(n32 / (uint32_t)s.T) * s.R + gate) * s.D + c);
#pragma unroll
	for (int i = 0; i < N; i++)
		v[i] += a[i] * b[i];
	store<N>(y + n * s.ldy + c, v);
}

template <class Y, class X, class Z>
void
launch_gated(struct dev *d, struct rows s, int64_t rows, struct tensor y, const X *x, struct tensor z, struct tensor m, int gate,
             bool by8)
{
	int64_t chunks = rows * s.D / (by8 ? 8 : 1);

	if (by8)
		gated<8><<<cuda_blocks(chunks, THREADS), THREADS, 0, cuda_stream(d)>>>(s, chunks, cuda_out<Y>(y), x, cuda_in<Z>(z),
		                                                                      cuda_in<float>(m), gate);
	else
		gated<1><<<cuda_blocks(chunks, THREADS), THREADS, 0, cuda_stream(d)>>>(s, chunks, cuda_out<Y>(y), x, cuda_in<Z>(z),
		                                                                      cuda_in<float>(m), gate);
}

/* Sums over the rows of a sample of dy h and dy. */
template <class DY, class X>
struct norm_grads {
	float *scale, *shift;
	const DY *dy;
	const X *x;
	const float *r;
	int64_t ldy, ldx;

	__device__ void
	operator()(float (&sum)[2], int64_t n, int64_t c) const
	{
		float g = to_float(dy[n * ldy + c]);

		sum[0] += g * (to_float(x[n * ldx + c]) * r[n]);
		sum[1] += g;
	}
	__device__ float *
	total(int k) const
	{
		return k == 0 ? scale : shift;
	}
};

template <class DY, class Z>
struct product_grads {
	float *to;
	const DY *dy;
	const Z *z;
	int64_t ldy, ldz;

	__device__ void
	operator()(float (&sum)[1], int64_t n, int64_t c) const
	{
		sum[0] += to_float(dy[n * ldy + c]) * to_float(z[n * ldz + c]);
	}
	__device__ float *
	total(int) const
	{
		return to;
	}
};

/* table [R, D] + t [B, K, D]; back: dtable += sum over B, dt +=. */
__global__ void __launch_bounds__(THREADS)
modulation(float *m, const float *table, const float *t, int64_t count, int64_t R, int64_t K, int64_t D)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i >= count)
		return;
	int64_t c = i % D, r = i / D % R, b = i / D / R;
	m[i] = table[r * D + c] + t[(b * K + (K == 1 ? 0 : r)) * D + c];
}

__global__ void __launch_bounds__(THREADS)
modulation_backward(float *dtable, float *dt, const float *dm, int64_t B, int64_t R, int64_t K, int64_t D)
{
	int64_t c = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (c >= D)
		return;
	for (int64_t b = 0; b < B; b++)
		for (int64_t r = 0; r < R; r++) {
			float g = dm[(b * R + r) * D + c];
			if (dtable)
				dtable[r * D + c] += g;
			if (dt)
				dt[(b * K + (K == 1 ? 0 : r)) * D + c] += g;
		}
}

template <int N, class Y, class X>
__global__ void __launch_bounds__(THREADS)
silu_rows(Y *y, const X *x, const X *dy, int64_t chunks)
{
	int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
	float v[N], g[N] = {};

	if (at >= chunks * N)
		return;
	load<N>(v, x + at);
	if (dy)
		load<N>(g, dy + at);
#pragma unroll
	for (int i = 0; i < N; i++) {
		float s = 1.f / (1.f + __expf(-v[i]));
		v[i] = dy ? g[i] * s * (1.f + v[i] * (1.f - s)) : v[i] * s;
	}
	store<N>(y + at, v);
}

/* x and dy of one type, all without gaps. */
void
launch_silu(struct dev *d, struct tensor y, struct tensor x, struct tensor dy, const char *kernel)
{
	int64_t n = tensor_count(x);
	bool by8 = n % 8 == 0 && ((uintptr_t)y.data | (uintptr_t)x.data | (uintptr_t)dy.data) % 16 == 0;
	int64_t chunks = n / (by8 ? 8 : 1);
	unsigned blocks = cuda_blocks(chunks, THREADS);

	assert(!y.ld && !x.ld && (!dy.data || (!dy.ld && dy.dtype == x.dtype)));
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, {
		if (by8)
			silu_rows<8><<<blocks, THREADS, 0, cuda_stream(d)>>>(cuda_out<Y>(y), cuda_in<X>(x), cuda_in<X>(dy), chunks);
		else
			silu_rows<1><<<blocks, THREADS, 0, cuda_stream(d)>>>(cuda_out<Y>(y), cuda_in<X>(x), cuda_in<X>(dy), chunks);
	}));
	cuda_launched(d, kernel);
}

} // namespace

extern "C" void
cuda_modulation(struct dev *d, struct tensor m, struct tensor table, struct tensor t)
{
	int64_t n = tensor_count(m);

	modulation<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(
		cuda_out<float>(m), cuda_in<float>(table), cuda_in<float>(t), n, m.dim[1], t.dim[1], m.dim[2]);
	cuda_launched(d, "modulation");
}

extern "C" void
cuda_modulation_backward(struct dev *d, struct tensor dtable, struct tensor dt, struct tensor dm)
{
	modulation_backward<<<cuda_blocks(dm.dim[2], THREADS), THREADS, 0, cuda_stream(d)>>>(
		dtable.rank ? cuda_out<float>(dtable) : NULL, dt.rank ? cuda_out<float>(dt) : NULL, cuda_in<float>(dm), dm.dim[0],
		dm.dim[1], dt.rank ? dt.dim[1] : 0, dm.dim[2]);
	cuda_launched(d, "modulation_backward");
}

extern "C" void
cuda_rms_modulate(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale)
{
	struct rows s = { x.dim[2], m.dim[1], x.dim[1], tensor_ld(x), tensor_ld(y), 0 };
	unsigned n = (unsigned)tensor_rows(x);

	if (n == 0)
		return;
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, {
		if (all_by8(x, y, m))
			rms_modulate<8><<<n, row_threads(s.D, 8), 0, cuda_stream(d)>>>(s, cuda_out<Y>(y), cuda_out<float>(r), cuda_in<X>(x),
			                                                              cuda_in<float>(m), shift, scale);
		else
			rms_modulate<1><<<n, row_threads(s.D, 1), 0, cuda_stream(d)>>>(s, cuda_out<Y>(y), cuda_out<float>(r), cuda_in<X>(x),
			                                                              cuda_in<float>(m), shift, scale);
	}));
	cuda_launched(d, "rms_modulate");
}

template <class DX, class DY, class X>
static void
launch_norm_backward(struct dev *d, struct rows s, struct tensor dx, struct tensor dy, struct tensor x, struct tensor r,
                     struct tensor m, int scale, bool add)
{
	unsigned n = (unsigned)tensor_rows(x);

	if (all_by8(dx, dy, x) && cuda_by8(m))
		rms_modulate_backward<8><<<n, row_threads(s.D, 8), 0, cuda_stream(d)>>>(
			s, cuda_out<DX>(dx), cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(r), cuda_in<float>(m), scale, add);
	else
		rms_modulate_backward<1><<<n, row_threads(s.D, 1), 0, cuda_stream(d)>>>(
			s, cuda_out<DX>(dx), cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(r), cuda_in<float>(m), scale, add);
}

extern "C" void
cuda_rms_modulate_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor r, struct tensor m,
                           int scale, bool add)
{
	struct rows s = { x.dim[2], m.dim[1], x.dim[1], tensor_ld(x), tensor_ld(dx), tensor_ld(dy) };

	if (tensor_rows(x) == 0)
		return;
	WITH_TYPE(dx.dtype, DX, WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X,
		launch_norm_backward<DX, DY, X>(d, s, dx, dy, x, r, m, scale, add))));
	cuda_launched(d, "rms_modulate_backward");
}

extern "C" void
cuda_rms_modulate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor x, struct tensor r, int shift, int scale)
{
	int64_t D = x.dim[2];
	float *m = cuda_out<float>(dm);

	WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X, {
		norm_grads<DY, X> f = { m + scale * D, m + shift * D, cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(r),
			                tensor_ld(dy), tensor_ld(x) };
		columns::launch<2>(d, f, x.dim[0], x.dim[1], D, dm.dim[1] * D, "rms_modulate_grads");
	}));
}

extern "C" void
cuda_gate_add(struct dev *d, struct tensor y, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	struct rows s = { x.dim[2], m.dim[1], x.dim[1], tensor_ld(x), tensor_ld(y), tensor_ld(z) };
	bool by8 = all_by8(y, x, z) && cuda_by8(m);

	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, WITH_TYPE(z.dtype, Z,
		launch_gated<Y, X, Z>(d, s, tensor_rows(x), y, cuda_in<X>(x), z, m, gate, by8))));
	cuda_launched(d, "gate_add");
}

extern "C" void
cuda_gate_backward(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate)
{
	struct rows s = { dy.dim[2], m.dim[1], dy.dim[1], 0, tensor_ld(dz), tensor_ld(dy) };
	bool by8 = all_by8(dz, dy, m);

	WITH_TYPE(dz.dtype, Y, WITH_TYPE(dy.dtype, Z,
		launch_gated<Y, Y, Z>(d, s, tensor_rows(dy), dz, (const Y *)NULL, dy, m, gate, by8)));
	cuda_launched(d, "gate_backward");
}

extern "C" void
cuda_gate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor z, int gate)
{
	int64_t D = z.dim[2];

	WITH_TYPE(dy.dtype, DY, WITH_TYPE(z.dtype, Z, {
		product_grads<DY, Z> f = { cuda_out<float>(dm) + gate * D, cuda_in<DY>(dy), cuda_in<Z>(z), tensor_ld(dy), tensor_ld(z) };
		columns::launch<1>(d, f, z.dim[0], z.dim[1], D, dm.dim[1] * D, "gate_grads");
	}));
}

extern "C" void
cuda_silu(struct dev *d, struct tensor y, struct tensor x)
{
	struct tensor none = {};

	launch_silu(d, y, x, none, "silu");
}

extern "C" void
cuda_silu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x)
{
	launch_silu(d, dx, x, dy, "silu_backward");
}
