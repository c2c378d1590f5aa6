/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions (transformer.md section 4.4): adjacent elements turn together, each by the table's entry of its own index. */
#include "kernels/cuda/cuda.cuh"

namespace {

enum { THREADS = 256 };

struct shape {
	int64_t rows, N, D, d;		/* rows in all, of a sample; columns, of a head */
	int64_t table;			/* positions in the table */
	int64_t ldx, ldy, ldg;
};

__global__ void __launch_bounds__(THREADS)
rope_table(float *cs, int64_t N, int width, float theta)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, p = i / width;
	int j = (int)(i % width) % (width / 2);

	if (p >= N)
		return;
	float inv = 1.f / (float)pow((double)theta, (double)((float)(2 * j) / (float)width));
	double s, c;
	sincos((double)((float)p * inv), &s, &c);
	cs[i] = (float)c;
	cs[N * width + i] = (float)s;
}

enum what { FORWARD, BACKWARD, RELU, RELU_BACKWARD };

/* N numbers, N 8 or 2, of one row: y for x. RELU: y = relu(mask rope(x)). RELU_BACKWARD: x is the gradient, kept where g, the
 * forward's result, is above 0. */
template <int N, enum what W, class Y, class X>
__device__ __forceinline__ void
turn_piece(unsigned block, const struct shape &s, Y *y, const X *x, const X *g, const float *cs, const float *mask)
{
	uint32_t at = block * THREADS + threadIdx.x, per_row = (uint32_t)s.D / N, n32 = at / per_row;
	int64_t n = n32, c = (at - n32 * per_row) * N;
	float v[N], cosine[N], sine[N], keep[N];

	if (n >= s.rows)
		return;
	const float *row = cs + (int64_t)(n32 % (uint32_t)s.N) * s.d + (uint32_t)c % (uint32_t)s.d;
#pragma unroll
	for (int i = 0; i < N; i += 2) {
		float2 a = *reinterpret_cast<const float2 *>(row + i), b = *reinterpret_cast<const float2 *>(row + s.table * s.d + i);
		cosine[i] = a.x, cosine[i + 1] = a.y;
		sine[i] = b.x, sine[i + 1] = b.y;
	}
	load<N>(v, x + n * s.ldx + c);
	float m = W == RELU || W == RELU_BACKWARD ? mask[n] : 1.f;
	if (W == RELU_BACKWARD) {
		load<N>(keep, g + n * s.ldg + c);
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = keep[i] > 0.f ? v[i] * m : 0.f;
	}
#pragma unroll
	for (int i = 0; i < N; i += 2) {
		float a = v[i], b = v[i + 1];
		if (W == BACKWARD || W == RELU_BACKWARD) {
			v[i] = cosine[i] * a + sine[i + 1] * b;
			v[i + 1] = cosine[i + 1] * b - sine[i] * a;
		} else {
			v[i] = a * cosine[i] - b * sine[i];
			v[i + 1] = b * cosine[i + 1] + a * sine[i + 1];
		}
	}
	if (W == RELU)
#pragma unroll
		for (int i = 0; i < N; i++)
			v[i] = fmaxf(v[i] * m, 0.f);
	store<N>(y + n * s.ldy + c, v);
}

template <int N, enum what W, class Y, class X>
__global__ void __launch_bounds__(THREADS)
turn(struct shape s, Y *y, const X *x, const X *g, const float *cs, const float *mask)
{
	turn_piece<N, W>(blockIdx.x, s, y, x, g, cs, mask);
}

/* The first blocks turn a, the others b. */
template <int N, enum what W, class T>
__global__ void __launch_bounds__(THREADS)
turn_both(struct shape s, T *a, unsigned first, struct shape t, T *b, const float *cs)
{
	if (blockIdx.x < first)
		turn_piece<N, W, T, T>(blockIdx.x, s, a, a, NULL, cs, NULL);
	else
		turn_piece<N, W, T, T>(blockIdx.x - first, t, b, b, NULL, cs, NULL);
}

template <enum what W>
void
launch_turn(struct dev *d, struct tensor y, struct tensor x, struct tensor g, struct tensor cs, struct tensor mask,
            const char *kernel)
{
	struct shape s = { tensor_rows(x), x.dim[1], x.dim[2], cs.dim[2], cs.dim[1], tensor_ld(x), tensor_ld(y), g.rank ? tensor_ld(g) : 0 };
	bool by8 = cuda_by8(x) && cuda_by8(y) && s.d % 8 == 0 && (!g.rank || cuda_by8(g));
	int64_t chunks = s.rows * s.D / (by8 ? 8 : 2);
	const float *m = mask.rank ? cuda_in<float>(mask) : NULL;
	unsigned blocks = cuda_blocks(chunks, THREADS);

	assert(s.d % 2 == 0 && x.dim[1] <= cs.dim[1] && (!g.rank || g.dtype == x.dtype));
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, {
		if (by8)
			turn<8, W><<<blocks, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<Y>(y), cuda_in<X>(x), cuda_in<X>(g),
			                                                  cuda_in<float>(cs), m);
		else
			turn<2, W><<<blocks, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<Y>(y), cuda_in<X>(x), cuda_in<X>(g),
			                                                  cuda_in<float>(cs), m);
	}));
	cuda_launched(d, kernel);
}

template <int N, class Y, class X>
__global__ void __launch_bounds__(THREADS)
masked(struct shape s, Y *y, const X *x, const float *mask)
{
	uint32_t at = blockIdx.x * THREADS + threadIdx.x, per_row = (uint32_t)s.D / N, n32 = at / per_row;
	int64_t n = n32, c = (at - n32 * per_row) * N;
	float v[N];

	if (n >= s.rows)
		return;
	load<N>(v, x + n * s.ldx + c);
#pragma unroll
	for (int i = 0; i < N; i++)
		v[i] *= mask[n];
	store<N>(y + n * s.ldy + c, v);
}

const struct tensor none = {};

} // namespace

extern "C" void
cuda_rope_table(struct dev *d, struct tensor cs, float theta)
{
	rope_table<<<cuda_blocks(cs.dim[1] * cs.dim[2], THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(cs), cs.dim[1],
	                                                                                       (int)cs.dim[2], theta);
	cuda_launched(d, "rope_table");
}

extern "C" void
cuda_rope(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, bool backward)
{
	if (backward)
		launch_turn<BACKWARD>(d, y, x, none, cs, none, "rope");
	else
		launch_turn<FORWARD>(d, y, x, none, cs, none, "rope");
}

static struct shape
shape_of(struct tensor x, struct tensor cs)
{
	return (struct shape){ tensor_rows(x), x.dim[1], x.dim[2], cs.dim[2], cs.dim[1], tensor_ld(x), tensor_ld(x), 0 };
}

extern "C" void
cuda_rope_both(struct dev *d, struct tensor a, struct tensor b, struct tensor cs, bool backward)
{
	struct shape s = shape_of(a, cs), t = shape_of(b, cs);
	bool by8 = cuda_by8(a) && cuda_by8(b) && s.d % 8 == 0;
	int64_t n = by8 ? 8 : 2;
	unsigned first = cuda_blocks(s.rows * s.D / n, THREADS), all = first + cuda_blocks(t.rows * t.D / n, THREADS);

	assert(s.d % 2 == 0 && a.dtype == b.dtype && a.dim[1] <= cs.dim[1] && b.dim[1] <= cs.dim[1]);
	WITH_TYPE(a.dtype, T, {
		T *x = cuda_out<T>(a), *y = cuda_out<T>(b);
		const float *table = cuda_in<float>(cs);
		if (by8 && backward)
			turn_both<8, BACKWARD><<<all, THREADS, 0, cuda_stream(d)>>>(s, x, first, t, y, table);
		else if (by8)
			turn_both<8, FORWARD><<<all, THREADS, 0, cuda_stream(d)>>>(s, x, first, t, y, table);
		else if (backward)
			turn_both<2, BACKWARD><<<all, THREADS, 0, cuda_stream(d)>>>(s, x, first, t, y, table);
		else
			turn_both<2, FORWARD><<<all, THREADS, 0, cuda_stream(d)>>>(s, x, first, t, y, table);
	});
	cuda_launched(d, "rope_both");
}

extern "C" void
cuda_rope_relu(struct dev *d, struct tensor y, struct tensor x, struct tensor cs, struct tensor mask)
{
	launch_turn<RELU>(d, y, x, none, cs, mask, "rope_relu");
}

extern "C" void
cuda_rope_relu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor y, struct tensor cs, struct tensor mask)
{
	launch_turn<RELU_BACKWARD>(d, dx, dy, y, cs, mask, "rope_relu_backward");
}

extern "C" void
cuda_mask_rows(struct dev *d, struct tensor y, struct tensor x, struct tensor mask)
{
	struct shape s = { tensor_rows(x), x.dim[1], x.dim[2], 0, 0, tensor_ld(x), tensor_ld(y), 0 };
	bool by8 = cuda_by8(x) && cuda_by8(y);
	unsigned blocks = cuda_blocks(s.rows * s.D / (by8 ? 8 : 1), THREADS);

	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, {
		if (by8)
			masked<8><<<blocks, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<Y>(y), cuda_in<X>(x), cuda_in<float>(mask));
		else
			masked<1><<<blocks, THREADS, 0, cuda_stream(d)>>>(s, cuda_out<Y>(y), cuda_in<X>(x), cuda_in<float>(mask));
	}));
	cuda_launched(d, "mask_rows");
}
