/* SPDX-License-Identifier: Apache-2.0 */
/* pixels_conv.cu - convolutions of pixels as products whose left factor is gathered on the way to shared memory
 *
 * y [P, O] = x' [P, k k I] w^T: a row of x' is the window around a pixel, a chunk of 16 bytes of it eight channels of one neighbour,
 * so each chunk is one copy from where it lies. Four warps make a tile of 128 pixels by 128 outputs, 64 by 64 each. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/pixels_conv.cuh"

extern "C" {
#include "kernels/cuda/cudnn.h"
}

namespace {

enum { SIDE = 128, DEEP = 64, CHUNKS = DEEP / 8, STAGES = 3, THREADS = 128, LINES = SIDE * CHUNKS / THREADS, APART = THREADS / CHUNKS };
enum { TILE_BYTES = SIDE * DEEP * 2, MEMORY = STAGES * 2 * TILE_BYTES, NOWHERE = -(1 << 20) };

/* The windows' corners of the pixels whose rows this thread fetches. */
struct corners {
	int top[LINES], left[LINES];
};

__device__ __forceinline__ void
find(struct corners &at, const struct pixels_conv &s, int64_t first, int line)
{
#pragma unroll
	for (int i = 0; i < LINES; i++) {
		int64_t p = first + line + APART * i;
		bool there = p < s.P;
		at.top[i] = there ? (int)(p / s.W_out) * s.stride - s.k / 2 : NOWHERE;
		at.left[i] = there ? (int)(p % s.W_out) * s.stride - s.k / 2 : NOWHERE;
	}
}

/* Columns DEEP step .. of both factors. */
__device__ __forceinline__ void
fetch(uint32_t a, uint32_t b, const struct pixels_conv &s, const struct corners &at, int step, int n0, int line, int chunk)
{
	int q = step * CHUNKS + chunk, each = s.I / 8, tap = q / each, c = q % each * 8, dy = tap / s.k, dx = tap % s.k;
	bool has = tap < s.k * s.k;
	int64_t K = (int64_t)s.k * s.k * s.I;

#pragma unroll
	for (int i = 0; i < LINES; i++) {
		int h = at.top[i] + dy, v = at.left[i] + dx, r = line + APART * i, n = n0 + r;
		bool in = has && h >= 0 && h < s.H && v >= 0 && v < s.W, out = has && n < s.O;
		mma::fetch16(mma::at<DEEP>(a, r, chunk), s.x + (in ? ((int64_t)h * s.W + v) * s.I + c : 0), in);
		mma::fetch16(mma::at<DEEP>(b, r, chunk), s.w + (out ? n * K + q * 8 : 0), out);
	}
}

__device__ __forceinline__ void
put2(bf16 *to, float a, float b)
{
	*reinterpret_cast<uint32_t *>(to) = pack_bf16(a, b);
}

__device__ __forceinline__ void
put2(float *to, float a, float b)
{
	*reinterpret_cast<float2 *>(to) = make_float2(a, b);
}

template <class T>
__global__ void __launch_bounds__(THREADS, 2)
convolve(const __grid_constant__ struct pixels_conv s, T *y, int tiles)
{
	extern __shared__ __align__(128) unsigned char memory[];
	uint32_t base = mma::shared(memory);
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, chunk = (int)threadIdx.x % CHUNKS, line = (int)threadIdx.x / CHUNKS;
	int m = 64 * (warp / 2), n = 64 * (warp % 2), n0 = (int)(blockIdx.x % (unsigned)tiles) * SIDE;
	int64_t first = (int64_t)(blockIdx.x / (unsigned)tiles) * SIDE;
	int steps = (s.k * s.k * s.I + DEEP - 1) / DEEP;
	struct corners at;
	float acc[4][8][4] = {};

	find(at, s, first, line);
#pragma unroll
	for (int i = 0; i < STAGES - 1; i++) {
		if (i < steps)
			fetch(base + i * 2 * TILE_BYTES, base + (i * 2 + 1) * TILE_BYTES, s, at, i, n0, line, chunk);
		mma::fetch_commit();
	}
	for (int step = 0; step < steps; step++) {
		mma::fetch_wait<STAGES - 2>();
		__syncthreads();		/* the tile is there for all, and the one before has been read by all */
		int next = step + STAGES - 1;
		if (next < steps) {
			uint32_t to = base + next % STAGES * 2 * TILE_BYTES;
			fetch(to, to + TILE_BYTES, s, at, next, n0, line, chunk);
		}
		mma::fetch_commit();
		uint32_t a = base + step % STAGES * 2 * TILE_BYTES, b = a + TILE_BYTES;
#pragma unroll
		for (int u = 0; u < DEEP / 16; u++) {
			uint32_t l[4][4], r[4][4];
#pragma unroll
			for (int i = 0; i < 4; i++)
				mma::left<DEEP>(l[i], a, m + 16 * i, u, lane);
#pragma unroll
			for (int j = 0; j < 4; j++)
				mma::right<DEEP>(r[j], b, n + 16 * j, u, lane);
#pragma unroll
			for (int i = 0; i < 4; i++)
#pragma unroll
				for (int j = 0; j < 4; j++) {
					mma::product(acc[i][2 * j], l[i], r[j][0], r[j][1]);
					mma::product(acc[i][2 * j + 1], l[i], r[j][2], r[j][3]);
				}
		}
	}
#pragma unroll
	for (int j = 0; j < 8; j++) {
		int o = n0 + n + 8 * j + 2 * (lane % 4);
		if (o >= s.O)
			continue;
		float b0 = s.b ? to_float(s.b[o]) : 0.f, b1 = s.b ? to_float(s.b[o + 1]) : 0.f;
#pragma unroll
		for (int i = 0; i < 8; i++) {
			int64_t p = first + m + 16 * (i / 2) + lane / 4 + 8 * (i % 2);
			float u = acc[i / 2][j][2 * (i % 2)] + b0, v = acc[i / 2][j][2 * (i % 2) + 1] + b1;
			if (p < s.P)
				put2(y + p * s.ldy + o, s.silu ? silu_of(u) : u, s.silu ? silu_of(v) : v);
		}
	}
}

template <class T>
void
launch(struct dev *d, struct tensor y, const struct pixels_conv &s)
{
	int tiles = (s.O + SIDE - 1) / SIDE;

	if (cuda_ok(d, cudaFuncSetAttribute(convolve<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, MEMORY), "pix_conv"))
		convolve<T><<<cuda_blocks(s.P, SIDE) * (unsigned)tiles, THREADS, MEMORY, cuda_stream(d)>>>(s, cuda_out<T>(y), tiles);
}

/* y = act(y + b), two channels a thread. */
template <bool SILU>
__global__ void __launch_bounds__(2 * THREADS)
finish(bf16 *y, const bf16 *b, int64_t n, int O)
{
	int64_t at = ((int64_t)blockIdx.x * 2 * THREADS + threadIdx.x) * 2;
	float u, v;

	if (at >= n)
		return;
	unpack_bf16(*reinterpret_cast<const uint32_t *>(y + at), u, v);
	if (b) {
		u += to_float(b[at % O]);
		v += to_float(b[at % O + 1]);
	}
	put2(y + at, SILU ? silu_of(u) : u, SILU ? silu_of(v) : v);
}

/* cuDNN's product, then what is left to do to it. */
bool
by_cudnn(struct dev *d, struct tensor y, const struct pixels_conv &s, struct tensor x, struct tensor w)
{
	int64_t n = tensor_count(y);
	unsigned blocks = cuda_blocks(n, 4 * THREADS);

	if (y.dtype != BF16 || !pixels_cudnn_conv(d, y, x, w, s.stride))
		return false;
	if (s.silu)
		finish<true><<<blocks, 2 * THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), s.b, n, s.O);
	else if (s.b)
		finish<false><<<blocks, 2 * THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), s.b, n, s.O);
	cuda_launched(d, "pix_conv");
	return true;
}

/* x as [pixels, channels], its rows' distance kept. */
struct tensor
rows(struct tensor x)
{
	x.ld = tensor_ld(x);
	x.dim[0] *= x.dim[1];
	x.dim[1] = x.dim[2];
	x.rank = 2;
	return x;
}

} // namespace

extern "C" void
cuda_pix_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride, bool silu)
{
	struct pixels_conv s = { cuda_in<bf16>(x), cuda_in<bf16>(w), b.rank ? cuda_in<bf16>(b) : NULL, (int)x.dim[0], (int)x.dim[1],
		(int)x.dim[2], (int)w.dim[0], (int)w.dim[1], stride, (int)y.dim[1], y.dim[0] * y.dim[1], tensor_ld(y), silu };
	const int64_t matrix[TENSOR_RANK] = { w.dim[0], w.dim[3] };

	if (s.P == 0)
		return;
	if (s.k == 1 && stride == 1 && !silu) {
		cuda_linear(d, rows(y), rows(x), tensor_reshape(w, 2, matrix), b, {});
		return;
	}
	assert(s.I % 8 == 0 && s.O % 2 == 0 && (uintptr_t)x.data % 16 == 0 && (uintptr_t)w.data % 16 == 0);
	if (by_cudnn(d, y, s, x, w) || d->status != ACE_OK)
		return;
	if (y.dtype == BF16 && (pixels_conv_first(d, s, cuda_out<bf16>(y)) || pixels_conv_90(d, s, cuda_out<bf16>(y))))
		return;
	WITH_TYPE(y.dtype, T, (launch<T>(d, y, s)));
	cuda_launched(d, "pix_conv");
}
