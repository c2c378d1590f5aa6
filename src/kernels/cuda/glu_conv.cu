/* SPDX-License-Identifier: Apache-2.0 */
/* The feed-forward's gated depthwise convolution, channels last. A thread follows N channels and their gates through a run of frames
 * and keeps the frames that the next ones still need in registers. */
#include "kernels/cuda/columns.cuh"

namespace {

enum { THREADS = 128 };

struct shape {
	int T, F, run;
	int64_t ldx, ldu;
};

/* Long runs read fewer frames twice; short ones keep a small input's blocks many. */
int
run_of(struct tensor x)
{
	return x.dim[0] * x.dim[1] > 1024 ? 32 : 16;
}

/* N numbers, N 1, 2 or 4, aligned to their size. */
template <int N, class X>
__device__ __forceinline__ void
take(float (&v)[N], const X *p)
{
	if constexpr (sizeof(X) == 2 && N == 2) {
		unpack_bf16(*reinterpret_cast<const uint32_t *>(p), v[0], v[1]);
	} else if constexpr (sizeof(X) == 4 && N == 2) {
		float2 w = *reinterpret_cast<const float2 *>(p);
		v[0] = w.x, v[1] = w.y;
	} else if constexpr (sizeof(X) == 2 && N == 4) {
		uint2 w = *reinterpret_cast<const uint2 *>(p);
		unpack_bf16(w.x, v[0], v[1]);
		unpack_bf16(w.y, v[2], v[3]);
	} else if constexpr (sizeof(X) == 4 && N == 4) {
		float4 w = *reinterpret_cast<const float4 *>(p);
		v[0] = w.x, v[1] = w.y, v[2] = w.z, v[3] = w.w;
	} else {
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = to_float(p[i]);
	}
}

template <int N, class X>
__device__ __forceinline__ void
give(X *p, const float (&v)[N])
{
	if constexpr (sizeof(X) == 2 && N == 2) {
		*reinterpret_cast<uint32_t *>(p) = pack_bf16(v[0], v[1]);
	} else if constexpr (sizeof(X) == 4 && N == 2) {
		*reinterpret_cast<float2 *>(p) = make_float2(v[0], v[1]);
	} else if constexpr (sizeof(X) == 2 && N == 4) {
		*reinterpret_cast<uint2 *>(p) = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
	} else if constexpr (sizeof(X) == 4 && N == 4) {
		*reinterpret_cast<float4 *>(p) = make_float4(v[0], v[1], v[2], v[3]);
	} else {
#pragma unroll
		for (int i = 0; i < N; i++)
			p[i] = from_float<X>(v[i]);
	}
}

/* Weights and bias of N channels. */
template <int N>
struct taps {
	float w[3][N], b[N];

	__device__ __forceinline__ void
	read(const float *w3, const float *bias, int c)
	{
#pragma unroll
		for (int i = 0; i < N; i++) {
			b[i] = bias[c + i];
#pragma unroll
			for (int j = 0; j < 3; j++)
				w[j][i] = w3[3 * (c + i) + j];
		}
	}
	__device__ __forceinline__ float
	at(const float (&a)[3][N], int i) const
	{
		return w[0][i] * a[0][i] + w[1][i] * a[1][i] + w[2][i] * a[2][i] + b[i];
	}
};

template <int N>
__device__ __forceinline__ void
push(float (&a)[3][N], const float (&v)[N])
{
#pragma unroll
	for (int i = 0; i < N; i++) {
		a[0][i] = a[1][i];
		a[1][i] = a[2][i];
		a[2][i] = v[i];
	}
}

/* Frame t's N inputs, zero outside (silu(0) is 0, as the padding is). */
template <int N, class X>
__device__ __forceinline__ void
frame(float (&v)[N], const X *x, const struct shape &s, int t)
{
	if (t >= 0 && t < s.T) {
		take<N>(v, x + t * s.ldx);
	} else {
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = 0.f;
	}
}

template <int N>
__device__ __forceinline__ void
activate(float (&v)[N])
{
#pragma unroll
	for (int i = 0; i < N; i++)
		v[i] = silu_of(v[i]);
}

template <int N, class U, class X>
__global__ void __launch_bounds__(THREADS)
forward(struct shape s, U *u, const X *x, const float *w, const float *bias)
{
	int c = (int)(blockIdx.x * THREADS + threadIdx.x) * N, t0 = (int)blockIdx.y * s.run, t1 = min(s.T, t0 + s.run);
	struct taps<N> value, gate;
	float av[3][N], ag[3][N], v[N], g[N];

	if (c >= s.F)
		return;
	x += (int64_t)blockIdx.z * s.T * s.ldx + c;
	u += (int64_t)blockIdx.z * s.T * s.ldu + c;
	value.read(w, bias, c);
	gate.read(w, bias, c + s.F);
#pragma unroll
	for (int j = 0; j < 2; j++) {
		frame<N>(v, x, s, t0 - 1 + j);
		frame<N>(g, x + s.F, s, t0 - 1 + j);
		activate<N>(v);
		activate<N>(g);
		push<N>(av, v);
		push<N>(ag, g);
	}
	frame<N>(v, x, s, t0 + 1);
	frame<N>(g, x + s.F, s, t0 + 1);
#pragma unroll 4
	for (int t = t0; t < t1; t++) {
		float next_v[N], next_g[N];
		frame<N>(next_v, x, s, t + 2);		/* on its way while t is computed */
		frame<N>(next_g, x + s.F, s, t + 2);
		activate<N>(v);
		activate<N>(g);
		push<N>(av, v);
		push<N>(ag, g);
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = value.at(av, i) * silu_of(gate.at(ag, i));
		give<N>(u + t * s.ldu, v);
#pragma unroll
		for (int i = 0; i < N; i++) {
			v[i] = next_v[i];
			g[i] = next_g[i];
		}
	}
}

__device__ __forceinline__ float
slope_of(float x)
{
	float s = sigmoid_of(x);

	return s * (1.f + x * (1.f - s));
}

/* a = silu(x) and its slope. */
template <int N>
__device__ __forceinline__ void
activate_both(float (&a)[3][N], float (&slope)[3][N], const float (&x)[N])
{
	float v[N], d[N];

#pragma unroll
	for (int i = 0; i < N; i++) {
		float s = sigmoid_of(x[i]);
		v[i] = x[i] * s;
		d[i] = s * (1.f + x[i] * (1.f - s));
	}
	push<N>(a, v);
	push<N>(slope, d);
}

/* Frame t's N gradients, zero outside. */
template <int N, class U>
__device__ __forceinline__ void
gradient(float (&v)[N], const U *du, const struct shape &s, int t)
{
	if (t >= 0 && t < s.T) {
		take<N>(v, du + t * s.ldu);
	} else {
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = 0.f;
	}
}

template <int N, class DX, class U, class X>
__global__ void __launch_bounds__(THREADS)
backward(struct shape s, DX *dx, int64_t ldd, const U *du, const X *x, const float *w, const float *bias)
{
	int c = (int)(blockIdx.x * THREADS + threadIdx.x) * N, t0 = (int)blockIdx.y * s.run, t1 = min(s.T, t0 + s.run);
	struct taps<N> value, gate;
	float av[3][N], ag[3][N], sv[3][N], sg[3][N], dv[3][N], dg[3][N], v[N], g[N], d[N];

	if (c >= s.F)
		return;
	x += (int64_t)blockIdx.z * s.T * s.ldx + c;
	du += (int64_t)blockIdx.z * s.T * s.ldu + c;
	dx += (int64_t)blockIdx.z * s.T * ldd + c;
	value.read(w, bias, c);
	gate.read(w, bias, c + s.F);
	/* at the loop's step t: inputs of t-1 .. t+1 arrive, output gradients of t, and inputs' gradients of t-1 leave */
#pragma unroll
	for (int j = 0; j < 2; j++) {
		frame<N>(v, x, s, t0 - 2 + j);
		frame<N>(g, x + s.F, s, t0 - 2 + j);
		activate_both<N>(av, sv, v);
		activate_both<N>(ag, sg, g);
	}
	frame<N>(v, x, s, t0);
	frame<N>(g, x + s.F, s, t0);
	gradient<N>(d, du, s, t0 - 1);
#pragma unroll 3			/* the registers that frames move through then have their turn */
	for (int t = t0 - 1; t <= t1; t++) {
		float next_v[N], next_g[N], next_d[N];
		frame<N>(next_v, x, s, t + 2);
		frame<N>(next_g, x + s.F, s, t + 2);
		gradient<N>(next_d, du, s, t + 1);
		activate_both<N>(av, sv, v);
		activate_both<N>(ag, sg, g);
#pragma unroll
		for (int i = 0; i < N; i++) {
			float o = gate.at(ag, i), sig = sigmoid_of(o);
			v[i] = d[i] * o * sig;
			g[i] = d[i] * value.at(av, i) * sig * (1.f + o * (1.f - sig));
		}
		push<N>(dv, v);
		push<N>(dg, g);
		if (t > t0) {
#pragma unroll
			for (int i = 0; i < N; i++) {
				v[i] = (value.w[0][i] * dv[2][i] + value.w[1][i] * dv[1][i] + value.w[2][i] * dv[0][i]) * sv[0][i];
				g[i] = (gate.w[0][i] * dg[2][i] + gate.w[1][i] * dg[1][i] + gate.w[2][i] * dg[0][i]) * sg[0][i];
			}
			give<N>(dx + (t - 1) * ldd, v);
			give<N>(dx + (t - 1) * ldd + s.F, g);
		}
#pragma unroll
		for (int i = 0; i < N; i++) {
			v[i] = next_v[i];
			g[i] = next_g[i];
			d[i] = next_d[i];
		}
	}
}

/* Sums for dw[0..2] and db of channel c of 2F over all frames. */
template <class U, class X>
struct tap_grads {
	float *dw, *db;			/* [3][2F] in scratch, [2F] */
	const U *du;
	const X *x;
	const float *w, *bias;
	struct shape s;

	__device__ float
	active(int64_t n, int t, int c) const
	{
		return t < 0 || t >= s.T ? 0.f : silu_of(to_float(x[n * s.ldx + c]));
	}
	__device__ float
	convolved(const float (&a)[3], int c) const
	{
		return w[3 * c] * a[0] + w[3 * c + 1] * a[1] + w[3 * c + 2] * a[2] + bias[c];
	}
	__device__ void
	operator()(float (&sum)[4], int64_t n, int64_t column) const
	{
		int c = (int)column, t = (int)(n % s.T), other = c < s.F ? c + s.F : c - s.F;
		float own[3], beside[3], g = to_float(du[n * s.ldu + c % s.F]);
		for (int j = 0; j < 3; j++) {
			own[j] = active(n + j - 1, t + j - 1, c);
			beside[j] = active(n + j - 1, t + j - 1, other);
		}
		if (c < s.F)
			g *= silu_of(convolved(beside, other));
		else
			g *= convolved(beside, other) * slope_of(convolved(own, c));
		for (int j = 0; j < 3; j++)
			sum[j] += g * own[j];
		sum[3] += g;
	}
	__device__ float *
	total(int k) const
	{
		return k < 3 ? dw + (int64_t)k * 2 * s.F : db;
	}
};

/* dw [2F, 3] += sums [3, 2F] */
__global__ void __launch_bounds__(THREADS)
add_taps(float *dw, const float *sums, int C)
{
	int i = (int)(blockIdx.x * THREADS + threadIdx.x);

	if (i < 3 * C)
		dw[i] += sums[(int64_t)(i % 3) * C + i / 3];
}

dim3
grid_of(const struct shape &s, int64_t B, int n)
{
	return dim3(cuda_blocks(s.F, THREADS * n), (unsigned)((s.T + s.run - 1) / s.run), (unsigned)B);
}

bool
by2(struct tensor x)
{
	return tensor_ld(x) % 2 == 0 && (uintptr_t)x.data % 8 == 0;
}

} // namespace

extern "C" void
cuda_glu_conv(struct dev *d, struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	struct shape s = { (int)x.dim[1], (int)u.dim[2], run_of(x), tensor_ld(x), tensor_ld(u) };

	WITH_TYPE(u.dtype, U, WITH_TYPE(x.dtype, X, {
		if (s.F % 2 == 0 && by2(x) && by2(u))
			forward<2><<<grid_of(s, x.dim[0], 2), THREADS, 0, cuda_stream(d)>>>(s, cuda_out<U>(u), cuda_in<X>(x),
			                                                                   cuda_in<float>(w), cuda_in<float>(b));
		else
			forward<1><<<grid_of(s, x.dim[0], 1), THREADS, 0, cuda_stream(d)>>>(s, cuda_out<U>(u), cuda_in<X>(x),
			                                                                   cuda_in<float>(w), cuda_in<float>(b));
	}));
	cuda_launched(d, "glu_conv");
}

template <class DX, class U, class X>
static void
launch_backward(struct dev *d, const struct shape &s, struct tensor dx, struct tensor du, struct tensor x, struct tensor w,
                struct tensor b)
{
	if (s.F % 2 == 0 && by2(x) && by2(du) && by2(dx))
		backward<2><<<grid_of(s, x.dim[0], 2), THREADS, 0, cuda_stream(d)>>>(
			s, cuda_out<DX>(dx), tensor_ld(dx), cuda_in<U>(du), cuda_in<X>(x), cuda_in<float>(w), cuda_in<float>(b));
	else
		backward<1><<<grid_of(s, x.dim[0], 1), THREADS, 0, cuda_stream(d)>>>(
			s, cuda_out<DX>(dx), tensor_ld(dx), cuda_in<U>(du), cuda_in<X>(x), cuda_in<float>(w), cuda_in<float>(b));
}

extern "C" void
cuda_glu_conv_backward(struct dev *d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b)
{
	struct shape s = { (int)x.dim[1], (int)du.dim[2], run_of(x), tensor_ld(x), tensor_ld(du) };

	assert(dx.data != x.data && dx.data != du.data);
	WITH_TYPE(dx.dtype, DX, WITH_TYPE(du.dtype, U, WITH_TYPE(x.dtype, X, launch_backward<DX, U, X>(d, s, dx, du, x, w, b))));
	cuda_launched(d, "glu_conv_backward");
}

extern "C" void
cuda_glu_conv_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
                    struct tensor b)
{
	struct shape s = { (int)x.dim[1], (int)du.dim[2], run_of(x), tensor_ld(x), tensor_ld(du) };
	int C = 2 * s.F;
	float *sums = (float *)cuda_scratch(d, (size_t)(3 * C) * sizeof(float));

	if (!sums)
		return;
	cuda_ok(d, cudaMemsetAsync(sums, 0, (size_t)(3 * C) * sizeof(float), cuda_stream(d)), "glu_conv_grads");
	WITH_TYPE(du.dtype, U, WITH_TYPE(x.dtype, X, {
		tap_grads<U, X> f = { sums, cuda_out<float>(db), cuda_in<U>(du), cuda_in<X>(x), cuda_in<float>(w), cuda_in<float>(b), s };
		columns::launch<4>(d, f, 1, x.dim[0] * x.dim[1], C, 0, "glu_conv_grads");
	}));
	add_taps<<<cuda_blocks(3 * C, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(dw), sums, C);
	cuda_launched(d, "glu_conv_grads");
}
