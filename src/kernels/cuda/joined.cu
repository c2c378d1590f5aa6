/* SPDX-License-Identifier: Apache-2.0 */
/* joined.cu - what stands side by side in the blocks, in one launch each */
#include "kernels/cuda/cuda.cuh"

namespace {

enum { THREADS = 256 };

struct shape {
	int64_t rows, N, D, d;		/* rows in all, of a sample; columns, of a head */
	int64_t table;			/* positions in the table */
	int64_t ld[3], ldq, ldk;
};

/* Rows of q, k (part 0, 1: turned, kept above zero) and v (part 2), N columns a thread. gq, gk: their results, on the way
 * back. */
template <int N, bool BACK, class T>
__global__ void __launch_bounds__(THREADS)
ready(struct shape s, T *q, T *k, T *v, const T *gq, const T *gk, const float *cs, const float *mask)
{
	uint32_t at = blockIdx.x * THREADS + threadIdx.x, per_row = (uint32_t)s.D / N, n32 = at / per_row;
	int64_t n = n32, c = (at - n32 * per_row) * N;
	int part = (int)blockIdx.y;
	T *p = (part == 0 ? q : part == 1 ? k : v) + n * (part == 0 ? s.ld[0] : part == 1 ? s.ld[1] : s.ld[2]) + c;
	float x[N], keep[N];

	if (n >= s.rows)
		return;
	float m = mask[n];
	if (part == 2 && m == 1.f)
		return;		/* v is there as it is */
	load<N>(x, (const T *)p);
	if (BACK && part < 2) {
		load<N>(keep, part == 0 ? gq + n * s.ldq + c : gk + n * s.ldk + c);
#pragma unroll
		for (int i = 0; i < N; i++)
			x[i] = keep[i] > 0.f ? x[i] : 0.f;
	}
	if (part < 2) {
		const float *row = cs + (int64_t)(n32 % (uint32_t)s.N) * s.d + (uint32_t)c % (uint32_t)s.d;
#pragma unroll
		for (int i = 0; i < N; i += 2) {
			float2 co = *reinterpret_cast<const float2 *>(row + i), si = *reinterpret_cast<const float2 *>(row + s.table * s.d + i);
			float a = x[i], b = x[i + 1];
			x[i] = BACK ? co.x * a + si.y * b : fmaxf((a * co.x - b * si.x) * m, 0.f);
			x[i + 1] = BACK ? co.y * b - si.x * a : fmaxf((b * co.y + a * si.y) * m, 0.f);
		}
	}
	if (BACK || part == 2)
#pragma unroll
		for (int i = 0; i < N; i++)
			x[i] *= m;
	store<N>(p, x);
}

template <bool BACK>
void
launch_ready(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor gq, struct tensor gk, struct tensor cs,
             struct tensor mask, const char *kernel)
{
	struct shape s = { tensor_rows(q), q.dim[1], q.dim[2], cs.dim[2], cs.dim[1],
		{ tensor_ld(q), tensor_ld(k), tensor_ld(v) }, BACK ? tensor_ld(gq) : 0, BACK ? tensor_ld(gk) : 0 };
	bool by8 = cuda_by8(q) && cuda_by8(k) && cuda_by8(v) && s.d % 8 == 0 && (!BACK || (cuda_by8(gq) && cuda_by8(gk)));
	dim3 grid(cuda_blocks(s.rows * s.D / (by8 ? 8 : 2), THREADS), 3);

	assert(s.d % 2 == 0 && q.dtype == k.dtype && q.dtype == v.dtype && (!BACK || (gq.dtype == q.dtype && gk.dtype == q.dtype)));
	WITH_TYPE(q.dtype, T, {
		if (by8)
			ready<8, BACK><<<grid, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<T>(q), cuda_out<T>(k), cuda_out<T>(v), cuda_in<T>(gq),
			                                                    cuda_in<T>(gk), cuda_in<float>(cs), cuda_in<float>(mask));
		else
			ready<2, BACK><<<grid, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<T>(q), cuda_out<T>(k), cuda_out<T>(v), cuda_in<T>(gq),
			                                                    cuda_in<T>(gk), cuda_in<float>(cs), cuda_in<float>(mask));
	});
	cuda_launched(d, kernel);
}

/* y = x + m[gate] z and its copy. */
struct gate_shape {
	int64_t chunks, D, R, T, ldy, ldh, ldx, ldz;
};

template <int N, class H, class Z>
__global__ void __launch_bounds__(THREADS)
gate_both(struct gate_shape s, float *y, H *yh, const float *x, const Z *z, const float *m)
{
	uint32_t at = blockIdx.x * THREADS + threadIdx.x, per_row = (uint32_t)s.D / N, n32 = at / per_row;
	int64_t n = n32, c = (at - n32 * per_row) * N;
	float v[N], a[N], b[N];

	if (at >= s.chunks)
		return;
	load<N>(v, x + n * s.ldx + c);
	load<N>(b, z + n * s.ldz + c);
	load<N>(a, m + (int64_t)(n32 / (uint32_t)s.T) * s.R * s.D + c);
#pragma unroll
	for (int i = 0; i < N; i++)
		v[i] += a[i] * b[i];
	store<N>(y + n * s.ldy + c, v);
	store<N>(yh + n * s.ldh + c, v);
}

/* As modulate.cu's backward, onto what is there; a block a row. dxh: NULL, or the copy; gate: NULL, or what that is multiplied by. */
struct norm_shape {
	int64_t D, R, T, ldx, lddx, ldh, ldo, lddy, Rh;
};

template <int N, class H, class DY, class X>
__global__ void
norm_both(struct norm_shape s, X *dx, H *dxh, const X *onto, const DY *dy, const X *x, const float *r, const float *m, const float *gate)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x;
	float sum = 0.f, v[N], g[N], a[N], old[N], inv = r[n];

	m += n / s.T * s.R * s.D;
	if (gate)
		gate += n / s.T * s.Rh * s.D;
	x += n * s.ldx;
	dx += n * s.lddx;
	onto += n * s.ldo;
	dy += n * s.lddy;
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
		load<N>(v, x + c);
		load<N>(g, dy + c);
		load<N>(a, m + c);
		load<N>(old, onto + c);
#pragma unroll
		for (int i = 0; i < N; i++)
			old[i] += inv * (g[i] * (1.f + a[i]) - v[i] * inv * mean);
		store<N>(dx + c, old);
		if (gate) {
			load<N>(a, gate + c);
#pragma unroll
			for (int i = 0; i < N; i++)
				old[i] = to_float(from_float<X>(old[i])) * a[i];
		}
		if (dxh)
			store<N>(dxh + n * s.ldh + c, old);
	}
}

unsigned
row_threads(int64_t cols, int n)
{
	int64_t want = (cols / n + 31) / 32 * 32;

	return (unsigned)(want < 32 ? 32 : want > 512 ? 512 : want);
}

} // namespace

extern "C" void
cuda_qkv_ready(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor cs, struct tensor mask)
{
	struct tensor none = {};

	launch_ready<false>(d, q, k, v, none, none, cs, mask, "qkv_ready");
}

extern "C" void
cuda_qkv_ready_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q, struct tensor k,
                        struct tensor cs, struct tensor mask)
{
	launch_ready<true>(d, dq, dk, dv, q, k, cs, mask, "qkv_ready_backward");
}

extern "C" void
cuda_gate_add_half(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	bool by8 = cuda_by8(y) && cuda_by8(x) && cuda_by8(z) && cuda_by8(m) && (!yh.rank || cuda_by8(yh));
	struct gate_shape s = { tensor_count(x) / (by8 ? 8 : 1), x.dim[2], m.dim[1], x.dim[1], tensor_ld(y), 0, tensor_ld(x), tensor_ld(z) };
	unsigned blocks = cuda_blocks(s.chunks, THREADS);

	if (!yh.rank) {
		cuda_gate_add(d, y, x, z, m, gate);
		return;
	}
	s.ldh = tensor_ld(yh);
	assert(y.dtype == F32 && x.dtype == F32);
	WITH_TYPE(yh.dtype, H, WITH_TYPE(z.dtype, Z, {
		const float *row = cuda_in<float>(m) + gate * s.D;
		if (by8)
			gate_both<8><<<blocks, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<float>(y), cuda_out<H>(yh), cuda_in<float>(x),
			                                                    cuda_in<Z>(z), row);
		else
			gate_both<1><<<blocks, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<float>(y), cuda_out<H>(yh), cuda_in<float>(x),
			                                                    cuda_in<Z>(z), row);
	}));
	cuda_launched(d, "gate_add_half");
}

extern "C" void
cuda_rms_modulate_backward_half(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy,
                                struct tensor x, struct tensor r, struct tensor m, int scale, struct tensor mh, int gate)
{
	struct norm_shape s = { x.dim[2], m.dim[1], x.dim[1], tensor_ld(x), tensor_ld(dx), 0, tensor_ld(onto), tensor_ld(dy),
		                mh.rank ? mh.dim[1] : 0 };
	const float *row = cuda_in<float>(m) + scale * s.D, *gates = mh.rank ? cuda_in<float>(mh) + gate * s.D : NULL;
	bool by8 = cuda_by8(dx) && cuda_by8(onto) && cuda_by8(dy) && cuda_by8(x) && cuda_by8(m) && (!dxh.rank || cuda_by8(dxh)) &&
	           (!mh.rank || cuda_by8(mh));
	unsigned n = (unsigned)tensor_rows(x);

	if (!dxh.rank && onto.data == dx.data) {
		cuda_rms_modulate_backward(d, dx, dy, x, r, m, scale, true);
		return;
	}
	if (n == 0)
		return;
	assert(dx.dtype == x.dtype && onto.dtype == x.dtype);
	if (dxh.rank)
		s.ldh = tensor_ld(dxh);
	else
		dxh.dtype = x.dtype;
	WITH_TYPE(dxh.dtype, H, WITH_TYPE(dy.dtype, DY, WITH_TYPE(x.dtype, X, {
		if (by8)
			norm_both<8><<<n, row_threads(s.D, 8), 0, cuda_stream(d)>>>(s, cuda_out<X>(dx), (H *)dxh.data, cuda_in<X>(onto),
			                                                           cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(r), row, gates);
		else
			norm_both<1><<<n, row_threads(s.D, 1), 0, cuda_stream(d)>>>(s, cuda_out<X>(dx), (H *)dxh.data, cuda_in<X>(onto),
			                                                           cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(r), row, gates);
	})));
	cuda_launched(d, "rms_modulate_backward_half");
}
