/* SPDX-License-Identifier: Apache-2.0 */
/* The feed-forward's gated depthwise convolution, channels last. A thread follows N channels and their gates through a run of frames:
 * each frame is read once, AHEAD frames before its turn, and adds to the three sums that want it. */
#include "kernels/cuda/cuda.cuh"

namespace {

/* The last three: blocks that a multiprocessor holds at once; runs are cut so that about as many there are. */
enum { THREADS = 128, AHEAD = 5, FORWARD_BLOCKS = 8, BACKWARD_BLOCKS = 5, TAP_BLOCKS = 4 };

struct shape {
	int T, F, run;
	int64_t ldx, ldu;
};

/* N numbers as they lie in memory, aligned to their size. */
template <int N, class X>
struct alignas(N * sizeof(X)) lot {
	X v[N];
};

template <int N, class X>
__device__ __forceinline__ void
give(X *p, const float (&v)[N])
{
	lot<N, X> all;

#pragma unroll
	for (int i = 0; i < N; i++)
		all.v[i] = from_float<X>(v[i]);
	if constexpr (sizeof(X) == 2 && N == 2)
		*reinterpret_cast<uint32_t *>(p) = pack_bf16(v[0], v[1]);
	else
		*reinterpret_cast<lot<N, X> *>(p) = all;
}

/* Bytes as one register or several: numbers on their way are not parted before their turn, which would wait for them. */
template <int BYTES>
struct words;
template <>
struct words<2> {
	using type = uint16_t;
};
template <>
struct words<4> {
	using type = uint32_t;
};
template <>
struct words<8> {
	using type = uint2;
};

/* Rows of N numbers on their way, one after another: row t of a sample is place t modulo AHEAD's. Rows outside from .. to - 1 are
 * zeros (silu(0) is 0, as the padding is). */
template <int N, class X>
struct rows {
	using word = typename words<N * sizeof(X)>::type;

	const X *p;
	int64_t ld;
	int next, from, to;
	word ahead[AHEAD];

	__device__ __forceinline__
	rows(const X *x, int64_t apart, int first, int lo, int hi)
		: p(x + first * apart), ld(apart), next(first), from(lo), to(hi)
	{
	}
	__device__ __forceinline__ void
	ask(int place)
	{
		ahead[place] = word();
		if (next >= from && next < to)
			ahead[place] = *reinterpret_cast<const word *>(p);
		p += ld;
		next++;
	}
	__device__ __forceinline__ void
	take(float (&v)[N], int place) const
	{
		lot<N, X> all = *reinterpret_cast<const lot<N, X> *>(&ahead[place]);

#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = to_float(all.v[i]);
	}
};

/* N channels' weights, and the sums that want one and two inputs more. */
template <int N>
struct taps {
	float w[3][N], b[N], one[N], two[N];

	__device__ __forceinline__
	taps(const float *w3, const float *bias, int c)
	{
#pragma unroll
		for (int i = 0; i < N; i++) {
			one[i] = two[i] = b[i] = bias[c + i];
#pragma unroll
			for (int j = 0; j < 3; j++)
				w[j][i] = w3[3 * (c + i) + j];
		}
	}
	/* y[t-1], given a[t] */
	__device__ __forceinline__ void
	next(float (&y)[N], const float (&a)[N])
	{
#pragma unroll
		for (int i = 0; i < N; i++) {
			y[i] = fmaf(w[2][i], a[i], one[i]);
			one[i] = fmaf(w[1][i], a[i], two[i]);
			two[i] = fmaf(w[0][i], a[i], b[i]);
		}
	}
};

/* The way back: the sums of inputs' gradients. */
template <int N>
struct taps_back {
	float one[N] = {}, two[N] = {};

	/* da[t-1], given dy[t] */
	__device__ __forceinline__ void
	next(float (&da)[N], const float (&dy)[N], const struct taps<N> &k)
	{
#pragma unroll
		for (int i = 0; i < N; i++) {
			da[i] = fmaf(k.w[0][i], dy[i], one[i]);
			one[i] = fmaf(k.w[1][i], dy[i], two[i]);
			two[i] = k.w[2][i] * dy[i];
		}
	}
};

template <int N, class U, class X>
__global__ void __launch_bounds__(THREADS, FORWARD_BLOCKS)
forward(struct shape s, U *u, const X *x, const float *w, const float *bias)
{
	int c = (int)(blockIdx.x * THREADS + threadIdx.x) * N, t0 = (int)blockIdx.y * s.run, t1 = min(s.T, t0 + s.run);

	if (c >= s.F)
		return;
	x += (int64_t)blockIdx.z * s.T * s.ldx + c;
	u += ((int64_t)blockIdx.z * s.T + t0 - 2) * s.ldu + c;
	struct rows<N, X> values(x, s.ldx, t0 - 1, max(0, t0 - 1), min(s.T, t1 + 1)), gates(x + s.F, s.ldx, t0 - 1, values.from, values.to);
	struct taps<N> value(w, bias, c), gate(w, bias, c + s.F);
#pragma unroll
	for (int i = 0; i < AHEAD; i++) {
		values.ask(i);
		gates.ask(i);
	}
	/* inputs of frame t arrive, outputs of t-1 leave */
	for (int first = t0 - 1;; first += AHEAD)
#pragma unroll
		for (int i = 0; i < AHEAD; i++) {
			int t = first + i;
			float v[N], g[N], y[N], o[N];
			if (t > t1)
				return;
			values.take(v, i);
			gates.take(g, i);
			values.ask(i);
			gates.ask(i);
#pragma unroll
			for (int j = 0; j < N; j++) {
				v[j] = silu_of(v[j]);
				g[j] = silu_of(g[j]);
			}
			value.next(y, v);
			gate.next(o, g);
#pragma unroll
			for (int j = 0; j < N; j++)
				y[j] *= silu_of(o[j]);
			if (t > t0)
				give<N>(u, y);
			u += s.ldu;
		}
}

/* silu(x) and its slope; returns the sigmoid. */
__device__ __forceinline__ float
silu_slope(float &a, float &slope, float x)
{
	float s = sigmoid_of(x);

	a = x * s;
	slope = fmaf(-a, s, s + a);
	return s;
}

/* The input's slopes of three frames, the oldest first. */
template <int N>
struct slopes {
	float at[3][N] = {};

	/* x becomes silu(x) */
	__device__ __forceinline__ void
	next(float (&x)[N])
	{
#pragma unroll
		for (int i = 0; i < N; i++) {
			at[0][i] = at[1][i];
			at[1][i] = at[2][i];
			silu_slope(x[i], at[2][i], x[i]);
		}
	}
};

template <int N, class DX, class U, class X>
__global__ void __launch_bounds__(THREADS, BACKWARD_BLOCKS)
backward(struct shape s, DX *dx, int64_t ldd, const U *du, const X *x, const float *w, const float *bias)
{
	int c = (int)(blockIdx.x * THREADS + threadIdx.x) * N, t0 = (int)blockIdx.y * s.run, t1 = min(s.T, t0 + s.run);

	if (c >= s.F)
		return;
	x += (int64_t)blockIdx.z * s.T * s.ldx + c;
	du += (int64_t)blockIdx.z * s.T * s.ldu + c;
	dx += ((int64_t)blockIdx.z * s.T + t0 - 4) * ldd + c;
	struct rows<N, X> values(x, s.ldx, t0 - 2, max(0, t0 - 2), min(s.T, t1 + 2)), gates(x + s.F, s.ldx, t0 - 2, values.from, values.to);
	struct rows<N, U> grads(du, s.ldu, t0 - 3, max(0, t0 - 1), min(s.T, t1 + 1));
	struct taps<N> value(w, bias, c), gate(w, bias, c + s.F);
	struct taps_back<N> value_back, gate_back;
	struct slopes<N> value_slopes, gate_slopes;
#pragma unroll
	for (int i = 0; i < AHEAD; i++) {
		values.ask(i);
		gates.ask(i);
		grads.ask(i);
	}
	/* inputs of frame t and output gradients of t-1 arrive, inputs' gradients of t-2 leave; sums that lack a frame before the
	 * run are not among these */
	for (int first = t0 - 2;; first += AHEAD)
#pragma unroll
		for (int i = 0; i < AHEAD; i++) {
			int t = first + i;
			float v[N], g[N], d[N], y[N], o[N];
			if (t - 2 >= t1)
				return;
			values.take(v, i);
			gates.take(g, i);
			grads.take(d, i);
			values.ask(i);
			gates.ask(i);
			grads.ask(i);
			value_slopes.next(v);
			gate_slopes.next(g);
			value.next(y, v);
			gate.next(o, g);
#pragma unroll
			for (int j = 0; j < N; j++) {
				float a, slope;
				silu_slope(a, slope, o[j]);
				o[j] = d[j] * y[j] * slope;
				y[j] = d[j] * a;
			}
			value_back.next(v, y, value);
			gate_back.next(g, o, gate);
#pragma unroll
			for (int j = 0; j < N; j++) {
				v[j] *= value_slopes.at[0][j];
				g[j] *= gate_slopes.at[0][j];
			}
			if (t - 2 >= t0) {
				give<N>(dx, v);
				give<N>(dx + s.F, g);
			}
			dx += ldd;
		}
}

/* Sums of outputs' gradients times the inputs that they saw, one tap after another, and of themselves. */
template <int N>
struct tap_sums {
	float old[N] = {}, last[N] = {}, sum[4][N] = {};

	/* dy[t-1], given a[t] */
	__device__ __forceinline__ void
	next(const float (&a)[N], const float (&dy)[N])
	{
#pragma unroll
		for (int i = 0; i < N; i++) {
			sum[0][i] = fmaf(dy[i], old[i], sum[0][i]);
			sum[1][i] = fmaf(dy[i], last[i], sum[1][i]);
			sum[2][i] = fmaf(dy[i], a[i], sum[2][i]);
			sum[3][i] += dy[i];
			old[i] = last[i];
			last[i] = a[i];
		}
	}
	__device__ __forceinline__ void
	keep(float *to, int64_t ld) const
	{
#pragma unroll
		for (int k = 0; k < 4; k++)
			give<N>(to + k * ld, sum[k]);
	}
};

/* part [run, 4, 2F]: a run's sums for three taps and the bias. */
template <int N, class U, class X>
__global__ void __launch_bounds__(THREADS, TAP_BLOCKS)
sum_taps(struct shape s, float *part, const U *du, const X *x, const float *w, const float *bias)
{
	int c = (int)(blockIdx.x * THREADS + threadIdx.x) * N, t0 = (int)blockIdx.y * s.run, t1 = min(s.T, t0 + s.run);

	if (c >= s.F)
		return;
	x += (int64_t)blockIdx.z * s.T * s.ldx + c;
	du += (int64_t)blockIdx.z * s.T * s.ldu + c;
	part += ((int64_t)blockIdx.z * gridDim.y + blockIdx.y) * 8 * s.F + c;
	struct rows<N, X> values(x, s.ldx, t0 - 1, max(0, t0 - 1), min(s.T, t1 + 1)), gates(x + s.F, s.ldx, t0 - 1, values.from, values.to);
	struct rows<N, U> grads(du, s.ldu, t0 - 2, t0, t1);
	struct taps<N> value(w, bias, c), gate(w, bias, c + s.F);
	struct tap_sums<N> value_sums, gate_sums;
#pragma unroll
	for (int i = 0; i < AHEAD; i++) {
		values.ask(i);
		gates.ask(i);
		grads.ask(i);
	}
	/* inputs of frame t and output gradients of t-1 arrive; of others than the run's these are zeros */
	for (int first = t0 - 1; first <= t1; first += AHEAD)
#pragma unroll
		for (int i = 0; i < AHEAD; i++) {
			float v[N], g[N], d[N], y[N], o[N];
			values.take(v, i);
			gates.take(g, i);
			grads.take(d, i);
			values.ask(i);
			gates.ask(i);
			grads.ask(i);
#pragma unroll
			for (int j = 0; j < N; j++) {
				v[j] = silu_of(v[j]);
				g[j] = silu_of(g[j]);
			}
			value.next(y, v);
			gate.next(o, g);
#pragma unroll
			for (int j = 0; j < N; j++) {
				float a, slope;
				silu_slope(a, slope, o[j]);
				o[j] = d[j] * y[j] * slope;
				y[j] = d[j] * a;
			}
			value_sums.next(v, y);
			gate_sums.next(g, o);
		}
	value_sums.keep(part, 2 * s.F);
	gate_sums.keep(part + s.F, 2 * s.F);
}

/* dw [C, 3] and db [C] += parts [runs, 4, C], in their order */
__global__ void __launch_bounds__(THREADS)
add_taps(float *dw, float *db, const float *part, int C, int runs)
{
	int i = (int)(blockIdx.x * THREADS + threadIdx.x), k = i / C, c = i - k * C;
	float sum = 0.f;

	if (k >= 4)
		return;
#pragma unroll 8
	for (int r = 0; r < runs; r++)
		sum += part[((int64_t)r * 4 + k) * C + c];
	*(k < 3 ? dw + 3 * c + k : db + c) += sum;
}

/* Cuts the frames so that B samples' blocks, N channels a thread, fill the multiprocessors once. */
dim3
grid_of(struct dev *d, struct shape *s, int64_t B, int n, int blocks)
{
	unsigned across = cuda_blocks(s->F, THREADS * n);
	int64_t runs = (int64_t)d->cuda->processors * blocks / (across * B);

	runs = runs < 1 ? 1 : runs;
	s->run = (int)((s->T + runs - 1) / runs);
	s->run = s->run < 8 ? 8 : s->run;
	return dim3(across, cuda_blocks(s->T, s->run), (unsigned)B);
}

bool
by2(struct tensor x)
{
	return tensor_ld(x) % 2 == 0 && (uintptr_t)x.data % 8 == 0;
}

} // namespace

template <int N, class U, class X>
static void
launch_forward(struct dev *d, struct shape s, struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	dim3 grid = grid_of(d, &s, x.dim[0], N, FORWARD_BLOCKS);

	forward<N><<<grid, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<U>(u), cuda_in<X>(x), cuda_in<float>(w), cuda_in<float>(b));
}

extern "C" void
cuda_glu_conv(struct dev *d, struct tensor u, struct tensor x, struct tensor w, struct tensor b)
{
	struct shape s = { (int)x.dim[1], (int)u.dim[2], 0, tensor_ld(x), tensor_ld(u) };

	WITH_TYPE(u.dtype, U, WITH_TYPE(x.dtype, X, {
		if (s.F % 2 == 0 && by2(x) && by2(u))
			launch_forward<2, U, X>(d, s, u, x, w, b);
		else
			launch_forward<1, U, X>(d, s, u, x, w, b);
	}));
	cuda_launched(d, "glu_conv");
}

template <int N, class DX, class U, class X>
static void
launch_backward(struct dev *d, struct shape s, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b)
{
	dim3 grid = grid_of(d, &s, x.dim[0], N, BACKWARD_BLOCKS);

	backward<N><<<grid, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<DX>(dx), tensor_ld(dx), cuda_in<U>(du), cuda_in<X>(x),
	                                                 cuda_in<float>(w), cuda_in<float>(b));
}

extern "C" void
cuda_glu_conv_backward(struct dev *d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, struct tensor b)
{
	struct shape s = { (int)x.dim[1], (int)du.dim[2], 0, tensor_ld(x), tensor_ld(du) };
	bool two = s.F % 2 == 0 && by2(x) && by2(du) && by2(dx);

	assert(dx.data != x.data && dx.data != du.data);
	WITH_TYPE(dx.dtype, DX, WITH_TYPE(du.dtype, U, WITH_TYPE(x.dtype, X, {
		if (two)
			launch_backward<2, DX, U, X>(d, s, dx, du, x, w, b);
		else
			launch_backward<1, DX, U, X>(d, s, dx, du, x, w, b);
	})));
	cuda_launched(d, "glu_conv_backward");
}

template <int N, class U, class X>
static void
launch_grads(struct dev *d, struct shape s, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
             struct tensor b)
{
	dim3 grid = grid_of(d, &s, x.dim[0], N, TAP_BLOCKS);
	int runs = (int)(grid.y * grid.z), C = 2 * s.F;
	float *part = (float *)cuda_scratch(d, (size_t)runs * 4 * (size_t)C * sizeof *part);

	if (!part)
		return;
	sum_taps<N><<<grid, THREADS, 0, cuda_stream(d)>>>(s, part, cuda_in<U>(du), cuda_in<X>(x), cuda_in<float>(w), cuda_in<float>(b));
	add_taps<<<cuda_blocks(4 * C, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(dw), cuda_out<float>(db), part, C, runs);
}

extern "C" void
cuda_glu_conv_grads(struct dev *d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, struct tensor w,
                    struct tensor b)
{
	struct shape s = { (int)x.dim[1], (int)du.dim[2], 0, tensor_ld(x), tensor_ld(du) };

	WITH_TYPE(du.dtype, U, WITH_TYPE(x.dtype, X, {
		if (s.F % 2 == 0 && by2(x) && by2(du))
			launch_grads<2, U, X>(d, s, dw, db, du, x, w, b);
		else
			launch_grads<1, U, X>(d, s, dw, db, du, x, w, b);
	}));
	cuda_launched(d, "glu_conv_grads");
}
