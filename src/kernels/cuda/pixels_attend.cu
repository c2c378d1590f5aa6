/* SPDX-License-Identifier: Apache-2.0 */
/* pixels_attend.cu - linear attention over all pixels, in bf16, on tensor cores
 *
 * Sums over pixels or channels do not care for their order, and neither do results for where they lie in a fragment: what a lane
 * holds of a pixel is always D / 8 or D / 4 neighbouring channels, so that fragments come from memory, and go there, as they are. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/pixels.cuh"

namespace {

enum { THREADS = 256, WARPS = THREADS / 32, STEP = 16, PIECES = 16, ROUNDS = 8 };

/* N neighbouring numbers as words; N 1 (the word's lower half), 2, 4, 8 or 16; aligned to as many, or to 8. */
template <int N>
__device__ __forceinline__ void
words(uint32_t (&to)[(N + 1) / 2], const bf16 *from)
{
	if constexpr (N == 1) {
		to[0] = *reinterpret_cast<const uint16_t *>(from);
	} else if constexpr (N == 2) {
		to[0] = *reinterpret_cast<const uint32_t *>(from);
	} else if constexpr (N == 4) {
		uint2 v = *reinterpret_cast<const uint2 *>(from);
		to[0] = v.x, to[1] = v.y;
	} else {
#pragma unroll
		for (int i = 0; i < N / 8; i++) {
			uint4 v = reinterpret_cast<const uint4 *>(from)[i];
			to[4 * i] = v.x, to[4 * i + 1] = v.y, to[4 * i + 2] = v.z, to[4 * i + 3] = v.w;
		}
	}
}

template <int N>
__device__ __forceinline__ void
put(bf16 *to, const uint32_t (&from)[N / 2])
{
#pragma unroll
	for (int i = 0; i < N / 2; i += N < 8 ? N / 2 : 4)
		if constexpr (N == 2)
			*reinterpret_cast<uint32_t *>(to) = from[0];
		else if constexpr (N == 4)
			*reinterpret_cast<uint2 *>(to) = make_uint2(from[0], from[1]);
		else
			*reinterpret_cast<uint4 *>(to + 2 * i) = make_uint4(from[i], from[i + 1], from[i + 2], from[i + 3]);
}

__device__ __forceinline__ uint32_t
positive(uint32_t two)
{
	float a, b;

	unpack_bf16(two, a, b);
	return pack_bf16(fmaxf(a, 0.f), fmaxf(b, 0.f));
}

/* Number i of the words of two pixels, side by side. */
template <int N>
__device__ __forceinline__ uint32_t
beside(const uint32_t (&a)[N], const uint32_t (&b)[N], int i)
{
	return __byte_perm(a[i / 2], b[i / 2], i % 2 ? 0x7632 : 0x5410);
}

/* What a lane holds of relu(K) and V of sixteen pixels: channels D/8 (l/4) .. of pixels 2 (l%4), + 1, + 8, + 9. */
template <int D>
struct piece {
	uint32_t k[4][(D + 15) / 16], v[4][(D + 15) / 16];
};

/* Of the `left` pixels from k on; zeros beyond. */
template <int D>
__device__ __forceinline__ void
bring(struct piece<D> &to, const bf16 *k, int64_t ld, int64_t left, int lane)
{
	constexpr int N = D / 8;

#pragma unroll
	for (int i = 0; i < 4; i++) {
		int p = 2 * (lane % 4) + i % 2 + i / 2 * 8;
		const bf16 *at = k + p * ld + lane / 4 * N;
#pragma unroll
		for (int j = 0; j < (N + 1) / 2; j++)
			to.k[i][j] = to.v[i][j] = 0u;
		if (p < left) {
			words<N>(to.k[i], at);
			words<N>(to.v[i], at + D);
		}
	}
}

/* Sixteen pixels' share of M [D + 1, D] = (V over ones) relu(K)^T. Of sum[t][u] lane l has rows D/8 (l/4) + 2 t, + 1, columns
 * D/8 2 (l%4) + u and D/8 further; of ones[u] those columns of the last row. */
template <int D>
__device__ __forceinline__ void
step(float (&sum)[(D + 15) / 16][D / 8][4], float (&ones)[D / 8][4], struct piece<D> &x)
{
	const uint32_t one = 0x3f803f80u, all[4] = { one, one, one, one };

#pragma unroll
	for (int i = 0; i < 4; i++)
#pragma unroll
		for (int j = 0; j < (D + 15) / 16; j++)
			x.k[i][j] = positive(x.k[i][j]);
#pragma unroll
	for (int u = 0; u < D / 8; u++) {
		uint32_t b0 = beside(x.k[0], x.k[1], u), b1 = beside(x.k[2], x.k[3], u);
		mma::product(ones[u], all, b0, b1);
#pragma unroll
		for (int t = 0; t < (D + 15) / 16; t++) {
			uint32_t a[4] = { beside(x.v[0], x.v[1], 2 * t), D > 8 ? beside(x.v[0], x.v[1], 2 * t + 1) : 0u,
				beside(x.v[2], x.v[3], 2 * t), D > 8 ? beside(x.v[2], x.v[3], 2 * t + 1) : 0u };
			mma::product(sum[t][u], a, b0, b1);
		}
	}
}

/* A piece of pixels of M of one block of channels; part [blocks, pieces, D + 1, D]. */
template <int D>
__global__ void __launch_bounds__(THREADS)
sum_pixels(float *part, const bf16 *x, int64_t pixels, int64_t ld, int64_t per_piece)
{
	constexpr int N = D / 8;
	__shared__ float m[(D + 1) * D];
	int64_t from = blockIdx.y * per_piece, to = from + per_piece < pixels ? from + per_piece : pixels;
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, row = lane / 4 * N, col = lane % 4 * 2 * N;
	float sum[(D + 15) / 16][N][4] = {}, ones[N][4] = {};

	x += (int64_t)blockIdx.x * 3 * D + D;
	for (int64_t p = from + warp * STEP; p < to; p += 2 * WARPS * STEP) {		/* two at once: memory is far away */
		struct piece<D> a, b;
		bring<D>(a, x + p * ld, ld, to - p, lane);
		bring<D>(b, x + (p + WARPS * STEP) * ld, ld, to - p - WARPS * STEP, lane);
		step<D>(sum, ones, a);
		step<D>(sum, ones, b);
	}
	for (int turn = 0; turn < WARPS; turn++) {		/* in order, so that the sum is always the same */
		if (turn == warp) {
#pragma unroll
			for (int u = 0; u < N; u++)
#pragma unroll
				for (int e = 0; e < 4; e++) {
#pragma unroll
					for (int t = 0; t < (D + 15) / 16; t++) {
						float *at = m + (row + 2 * t + e / 2) * D + col + e % 2 * N + u;
						if (D > 8 || e < 2)
							*at = turn ? *at + sum[t][u][e] : sum[t][u][e];
					}
					float *at = m + D * D + col + e % 2 * N + u;
					if (lane < 4 && e < 2)
						*at = turn ? *at + ones[u][e] : ones[u][e];
				}
		}
		__syncthreads();
	}
	part += ((int64_t)blockIdx.x * gridDim.y + blockIdx.y) * (D + 1) * D;
	for (int at = (int)threadIdx.x; at < (D + 1) * D; at += THREADS)
		part[at] = m[at];
}

/* The factor of M's rows of a fragment, and of its last row: k as the lanes hold q, D/4 (l%4) + 4 s + 2 half. */
template <int D>
struct factors {
	uint32_t hi[D / 8][(D + 15) / 16][2], lo[D / 8][(D + 15) / 16][2], den_hi[(D + 15) / 16][2], den_lo[(D + 15) / 16][2];
};

template <int D>
__device__ __forceinline__ void
factors_of(struct factors<D> &f, const float *m, int lane)
{
	int n = lane / 4, from = lane % 4 * (D / 4);

#pragma unroll
	for (int s = 0; s < (D + 15) / 16; s++)
#pragma unroll
		for (int half = 0; half < 2; half++) {
			int k = from + 4 * s + 2 * half;
			bool there = D > 8 || !half;
#pragma unroll
			for (int t = 0; t < D / 8; t++) {		/* column n of result t is row D/4 (n/2) + 2 t + n%2 */
				const float *at = m + (n / 2 * (D / 4) + 2 * t + n % 2) * D + k;
				split_bf16(there ? at[0] : 0.f, there ? at[1] : 0.f, f.hi[t][s][half], f.lo[t][s][half]);
			}
			split_bf16(there ? m[D * D + k] : 0.f, there ? m[D * D + k + 1] : 0.f, f.den_hi[s][half], f.den_lo[s][half]);
		}
}

/* y = M[:D] relu(Q) / (M[D] relu(Q) + 1e-15), sixteen pixels a warp, ROUNDS times. */
template <int D>
__global__ void __launch_bounds__(THREADS)
weigh_pixels(bf16 *__restrict__ y, const float *part, const bf16 *__restrict__ x, int64_t pixels, int64_t ldx, int64_t ldy, int pieces)
{
	constexpr int N = D / 4, STEPS = (D + 15) / 16;
	__shared__ float m[(D + 1) * D];
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
	struct factors<D> f;

	part += (int64_t)blockIdx.x * pieces * (D + 1) * D;
	for (int at = (int)threadIdx.x; at < (D + 1) * D; at += THREADS) {
		float sum = 0.f;
		for (int i = 0; i < pieces; i++)
			sum += part[i * (D + 1) * D + at];
		m[at] = sum;
	}
	__syncthreads();
	factors_of<D>(f, m, lane);
	x += (int64_t)blockIdx.x * 3 * D + lane % 4 * N;
	y += (int64_t)blockIdx.x * D + lane % 4 * N;
#pragma unroll 2
	for (int round = 0; round < ROUNDS; round++) {
		int64_t p = ((int64_t)blockIdx.y * ROUNDS + round) * WARPS * STEP + warp * STEP + lane / 4;
		uint32_t q[2][N / 2] = {};
		float acc[D / 8][4] = {}, den[4] = {};
#pragma unroll
		for (int i = 0; i < 2; i++)
			if (p + 8 * i < pixels)
				words<N>(q[i], x + (p + 8 * i) * ldx);
#pragma unroll
		for (int s = 0; s < STEPS; s++) {
			uint32_t a[4] = { positive(q[0][2 * s]), positive(q[1][2 * s]), 0u, 0u };
			if constexpr (D > 8) {
				a[2] = positive(q[0][2 * s + 1]);
				a[3] = positive(q[1][2 * s + 1]);
			}
			mma::product(den, a, f.den_lo[s][0], f.den_lo[s][1]);
			mma::product(den, a, f.den_hi[s][0], f.den_hi[s][1]);
#pragma unroll
			for (int t = 0; t < D / 8; t++) {
				mma::product(acc[t], a, f.lo[t][s][0], f.lo[t][s][1]);
				mma::product(acc[t], a, f.hi[t][s][0], f.hi[t][s][1]);
			}
		}
#pragma unroll
		for (int i = 0; i < 2; i++) {
			float by = 1.f / (den[2 * i] + 1e-15f);
			uint32_t w[D / 8];
#pragma unroll
			for (int t = 0; t < D / 8; t++)
				w[t] = pack_bf16(acc[t][2 * i] * by, acc[t][2 * i + 1] * by);
			if (p + 8 * i < pixels)
				put<N>(y + (p + 8 * i) * ldy, w);
		}
	}
}

template <int D>
void
attend(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t N = x.dim[0] * x.dim[1], per = (N + PIECES - 1) / PIECES;
	unsigned blocks = (unsigned)(y.dim[2] / D);

	per = (per + STEP - 1) / STEP * STEP;
	dim3 pieces(blocks, cuda_blocks(N, per)), grid(blocks, cuda_blocks(N, WARPS * STEP * ROUNDS));
	float *part = (float *)cuda_scratch(d, (size_t)blocks * pieces.y * (D + 1) * D * sizeof *part);
	if (!part)
		return;
	sum_pixels<D><<<pieces, THREADS, 0, cuda_stream(d)>>>(part, cuda_in<bf16>(x), N, tensor_ld(x), per);
	weigh_pixels<D><<<grid, THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), part, cuda_in<bf16>(x), N, tensor_ld(x), tensor_ld(y),
	                                                    (int)pieces.y);
	cuda_launched(d, "pix_attend");
}

} // namespace

extern "C" void
cuda_pix_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	assert(cuda_by8(x) && cuda_by8(y));
	if (tensor_count(x))
		WITH_WIDTH(d, width, D, attend<D>(d, y, x));
}
