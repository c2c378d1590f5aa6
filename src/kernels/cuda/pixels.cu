/* SPDX-License-Identifier: Apache-2.0 */
/* pixels.cu - what stands between the convolutions of the autoencoder in bf16: bound by memory, so as much as can be in one kernel */
#include "kernels/cuda/cuda.cuh"

namespace {

enum { THREADS = 256 };

__device__ __forceinline__ float2
pair(const bf16 *p)
{
	float2 v;

	unpack_bf16(*reinterpret_cast<const uint32_t *>(p), v.x, v.y);
	return v;
}

__global__ void
from_map(bf16 *y, const float *x, int64_t n, int C, int wide)
{
	int64_t p = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	for (int c = 0; c < wide && p < n; c++)
		y[p * wide + c] = __float2bfloat16_rn(c < C ? x[c * n + p] : 0.f);
}

__global__ void
to_map(float *y, const float *x, int64_t n, int C)
{
	int64_t p = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	for (int c = 0; c < C && p < n; c++)
		y[c * n + p] = x[p * C + c];
}

/* --- depthwise 3 x 3 of silu(x), gated --- */

enum { STRIP = 32, GLU_THREADS = 128 };

/* Two channels of both halves a thread, along a strip of a row: each number that is read counts for three results. */
__global__ void __launch_bounds__(GLU_THREADS)
gated(bf16 *y, const bf16 *x, const bf16 *w, const bf16 *b, int H, int W, int C)
{
	int c = ((int)blockIdx.x * GLU_THREADS + (int)threadIdx.x) * 2, h = (int)blockIdx.y, from = (int)blockIdx.z * STRIP;
	int to = from + STRIP < W ? from + STRIP : W;
	float wt[9][4], bias[4], last[4] = {}, now[4] = {};

	if (c >= C)
		return;
#pragma unroll
	for (int t = 0; t < 9; t++) {
		float2 a = pair(w + (int64_t)t * 2 * C + c), g = pair(w + (int64_t)t * 2 * C + C + c);
		wt[t][0] = a.x, wt[t][1] = a.y, wt[t][2] = g.x, wt[t][3] = g.y;
	}
	float2 ba = pair(b + c), bg = pair(b + C + c);
	bias[0] = ba.x, bias[1] = ba.y, bias[2] = bg.x, bias[3] = bg.y;
	for (int v = from - 1; v <= to; v++) {		/* last, now, next: results v - 1, v, v + 1 as far as they are */
		float next[4] = { bias[0], bias[1], bias[2], bias[3] };
#pragma unroll
		for (int i = 0; i < 3; i++) {
			int r = h + i - 1;
			if (r < 0 || r >= H || v < 0 || v >= W)
				continue;
			const bf16 *at = x + ((int64_t)r * W + v) * 2 * C + c;
			float2 a = pair(at), g = pair(at + C);
			float s[4] = { silu_of(a.x), silu_of(a.y), silu_of(g.x), silu_of(g.y) };
#pragma unroll
			for (int e = 0; e < 4; e++) {
				last[e] += wt[3 * i + 2][e] * s[e];
				now[e] += wt[3 * i + 1][e] * s[e];
				next[e] += wt[3 * i][e] * s[e];
			}
		}
		if (v > from)
			*reinterpret_cast<uint32_t *>(y + ((int64_t)h * W + v - 1) * C + c) =
				pack_bf16(last[0] * silu_of(last[2]), last[1] * silu_of(last[3]));
#pragma unroll
		for (int e = 0; e < 4; e++) {
			last[e] = now[e];
			now[e] = next[e];
		}
	}
}

/* --- depthwise, then blocks of D channels mixed --- */

enum { MIX = 32 };		/* pixels of a row a block */

template <int D, int K>
__global__ void __launch_bounds__(THREADS)
mix(bf16 *y, const bf16 *x, const bf16 *w, const bf16 *m, int H, int W, int C, int64_t ldx, int64_t ldy)
{
	__shared__ __align__(16) float near[MIX][D];
	int c = (int)threadIdx.x % D, first = (int)blockIdx.z * D, h = (int)blockIdx.y, v0 = (int)blockIdx.x * MIX;
	float wt[K * K], row[D];

#pragma unroll
	for (int t = 0; t < K * K; t++)
		wt[t] = to_float(w[(int64_t)t * C + first + c]);
#pragma unroll
	for (int i = 0; i < D; i++)
		row[i] = to_float(m[(int64_t)(first + c) * D + i]);
	for (int i = (int)threadIdx.x / D; i < MIX; i += THREADS / D) {
		int v = v0 + i;
		float sum = 0.f;
#pragma unroll
		for (int t = 0; t < K * K; t++) {
			int r = h + t / K - K / 2, u = v + t % K - K / 2;
			if (v < W && r >= 0 && r < H && u >= 0 && u < W)
				sum += wt[t] * to_float(x[((int64_t)r * W + u) * ldx + first + c]);
		}
		near[i][c] = sum;
	}
	__syncthreads();
	for (int i = (int)threadIdx.x / D; i < MIX && v0 + i < W; i += THREADS / D) {
		float sum = 0.f;
#pragma unroll
		for (int j = 0; j < D; j += 4) {
			float4 n = *reinterpret_cast<const float4 *>(&near[i][j]);
			sum += row[j] * n.x + row[j + 1] * n.y + row[j + 2] * n.z + row[j + 3] * n.w;
		}
		y[((int64_t)h * W + v0 + i) * ldy + first + c] = __float2bfloat16_rn(sum);
	}
}

template <int D, int K>
void
launch_mix(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m)
{
	int H = (int)x.dim[0], W = (int)x.dim[1], C = (int)x.dim[2];
	dim3 grid(cuda_blocks(W, MIX), (unsigned)H, (unsigned)(C / D));

	mix<D, K><<<grid, THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), cuda_in<bf16>(w), cuda_in<bf16>(m), H, W, C,
	                                              tensor_ld(x), tensor_ld(y));
}

/* --- attention over all pixels --- */

enum { TILE = 64, PIECES = 16 };

/* A piece of pixels of M [D + 1, D] = (V over ones) relu(K)^T of one block of channels; part [blocks, pieces, D + 1, D]. A thread
 * makes EACH rows of one column. */
template <int D>
__global__ void __launch_bounds__(THREADS)
sum_pixels(float *part, const bf16 *x, int64_t N, int64_t ld, int64_t per_piece)
{
	constexpr int EACH = D * D / THREADS > 4 ? D * D / THREADS : 4;
	__shared__ __align__(16) float k[TILE][D], v[TILE][D];
	int64_t from = blockIdx.y * per_piece, to = from + per_piece < N ? from + per_piece : N;
	int j = (int)threadIdx.x % D, i0 = (int)threadIdx.x / D * EACH;
	float sum[EACH] = {}, ones = 0.f;

	x += (int64_t)blockIdx.x * 3 * D + D;
	for (int64_t p0 = from; p0 < to; p0 += TILE) {
		int n = (int)(to - p0 < TILE ? to - p0 : TILE);
		__syncthreads();
		for (int at = (int)threadIdx.x; at < TILE * D / 2; at += THREADS) {
			int p = at / (D / 2), c = at % (D / 2) * 2;
			float2 a = make_float2(0.f, 0.f), b = a;
			if (p < n) {
				a = pair(x + (p0 + p) * ld + c);
				b = pair(x + (p0 + p) * ld + D + c);
			}
			*reinterpret_cast<float2 *>(&k[p][c]) = make_float2(fmaxf(a.x, 0.f), fmaxf(a.y, 0.f));
			*reinterpret_cast<float2 *>(&v[p][c]) = b;
		}
		__syncthreads();
		if (i0 < D)
			for (int p = 0; p < n; p++) {
				float kj = k[p][j];
				ones += kj;
#pragma unroll
				for (int e = 0; e < EACH; e++)
					sum[e] += v[p][i0 + e] * kj;
			}
	}
	part += ((int64_t)blockIdx.x * gridDim.y + blockIdx.y) * (D + 1) * D;
	if (i0 < D)
#pragma unroll
		for (int e = 0; e < EACH; e++)
			part[(i0 + e) * D + j] = sum[e];
	if (i0 == 0)
		part[D * D + j] = ones;
}

/* y = M[:D] relu(Q) / (M[D] relu(Q) + 1e-15), a pixel a thread. */
template <int D>
__global__ void __launch_bounds__(THREADS)
weigh_pixels(bf16 *y, const float *part, const bf16 *x, int64_t N, int64_t ldx, int64_t ldy, int pieces)
{
	__shared__ __align__(16) float m[(D + 1) * D];
	int64_t p = (int64_t)blockIdx.y * THREADS + threadIdx.x;
	float q[D], den = 0.f;

	part += (int64_t)blockIdx.x * pieces * (D + 1) * D;
	for (int at = (int)threadIdx.x; at < (D + 1) * D; at += THREADS) {
		float sum = 0.f;
		for (int i = 0; i < pieces; i++)
			sum += part[i * (D + 1) * D + at];
		m[at] = sum;
	}
	__syncthreads();
	if (p >= N)
		return;
	x += p * ldx + (int64_t)blockIdx.x * 3 * D;
	y += p * ldy + (int64_t)blockIdx.x * D;
#pragma unroll
	for (int j = 0; j < D; j += 2) {
		float2 a = pair(x + j);
		q[j] = fmaxf(a.x, 0.f);
		q[j + 1] = fmaxf(a.y, 0.f);
		den += m[D * D + j] * q[j] + m[D * D + j + 1] * q[j + 1];
	}
	den = 1.f / (den + 1e-15f);
	for (int i = 0; i < D; i += 2) {
		float a = 0.f, b = 0.f;
#pragma unroll
		for (int j = 0; j < D; j += 4) {
			float4 r = *reinterpret_cast<const float4 *>(&m[i * D + j]), s = *reinterpret_cast<const float4 *>(&m[(i + 1) * D + j]);
			a += r.x * q[j] + r.y * q[j + 1] + r.z * q[j + 2] + r.w * q[j + 3];
			b += s.x * q[j] + s.y * q[j + 1] + s.z * q[j + 2] + s.w * q[j + 3];
		}
		*reinterpret_cast<uint32_t *>(y + i) = pack_bf16(a * den, b * den);
	}
}

template <int D>
void
attend(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t N = x.dim[0] * x.dim[1], per = (N + PIECES - 1) / PIECES;
	unsigned blocks = (unsigned)(y.dim[2] / D);

	per = (per + TILE - 1) / TILE * TILE;
	dim3 pieces(blocks, cuda_blocks(N, per)), grid(blocks, cuda_blocks(N, THREADS));
	float *part = (float *)cuda_scratch(d, (size_t)blocks * pieces.y * (D + 1) * D * sizeof *part);
	if (!part)
		return;
	sum_pixels<D><<<pieces, THREADS, 0, cuda_stream(d)>>>(part, cuda_in<bf16>(x), N, tensor_ld(x), per);
	weigh_pixels<D><<<grid, THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), part, cuda_in<bf16>(x), N, tensor_ld(x), tensor_ld(y),
	                                                    (int)pieces.y);
	cuda_launched(d, "pix_attend");
}

/* --- norms and means --- */

/* A pixel a warp, four channels a lane at a time. */
__global__ void __launch_bounds__(THREADS)
norm_add(bf16 *x, const bf16 *y, const bf16 *w, const bf16 *b, int64_t N, int C, float eps)
{
	int64_t p = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
	int lane = (int)threadIdx.x % 32;
	float sum = 0.f, r;

	if (p >= N)
		return;
	x += p * C;
	y += p * C;
	for (int c = 4 * lane; c < C; c += 128) {
		float2 a = pair(y + c), e = pair(y + c + 2);
		sum += a.x * a.x + a.y * a.y + e.x * e.x + e.y * e.y;
	}
	r = 1.f / sqrtf(warp_sum(sum) / (float)C + eps);
	for (int c = 4 * lane; c < C; c += 128)
#pragma unroll
		for (int i = 0; i < 4; i += 2) {
			float2 a = pair(y + c + i), e = pair(x + c + i), u = pair(w + c + i), v = pair(b + c + i);
			*reinterpret_cast<uint32_t *>(x + c + i) = pack_bf16(e.x + a.x * r * u.x + v.x, e.y + a.y * r * u.y + v.y);
		}
}

__global__ void
shrink(bf16 *y, const bf16 *x, int64_t count, int W, int O, int C, int group)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, p = at / O;
	int o = (int)(at % O);
	float sum = 0.f;

	if (at >= count)
		return;
	for (int i = o * group; i < (o + 1) * group; i++)
		sum += to_float(x[((2 * (p / W) + i % 4 / 2) * 2 * W + 2 * (p % W) + i % 2) * C + i / 4]);
	y[at] = __float2bfloat16_rn(to_float(y[at]) + sum / (float)group);
}

__global__ void
group_mean(float *y, const bf16 *x, int64_t count, int O, int group)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	float sum = 0.f;

	if (at >= count)
		return;
	x += at * group;		/* pixels have O groups each: the count goes on over them */
	for (int i = 0; i < group; i++)
		sum += to_float(x[i]);
	y[at] += sum / (float)group;
}

/* WITH_WIDTH(D, W, statement): the statement with W the constant of a head's width, else the device fails. */
#define WITH_WIDTH(d, D, W, ...)                                                                                                \
	do {                                                                                                                    \
		switch (D) {                                                                                                    \
		case 8: { constexpr int W = 8; __VA_ARGS__; break; }                                                            \
		case 16: { constexpr int W = 16; __VA_ARGS__; break; }                                                          \
		case 32: { constexpr int W = 32; __VA_ARGS__; break; }                                                          \
		case 64: { constexpr int W = 64; __VA_ARGS__; break; }                                                          \
		default:                                                                                                        \
			(d)->status = ace_fail(ACE_ECONFIG, "heads of %d channels, in bf16 8, 16, 32 and 64 are built", (int)(D)); \
		}                                                                                                               \
	} while (0)

} // namespace

extern "C" void
cuda_pix_from_map(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = y.dim[0] * y.dim[1];

	from_map<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<float>(x), n, (int)x.dim[0], (int)y.dim[2]);
	cuda_launched(d, "pix_from_map");
}

extern "C" void
cuda_pix_to_map(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = x.dim[0] * x.dim[1];

	to_map<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n, (int)x.dim[2]);
	cuda_launched(d, "pix_to_map");
}

extern "C" void
cuda_pix_glu(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int H = (int)y.dim[0], W = (int)y.dim[1], C = (int)y.dim[2];
	dim3 grid(cuda_blocks(C, 2 * GLU_THREADS), (unsigned)H, cuda_blocks(W, STRIP));

	if (tensor_count(y))
		gated<<<grid, GLU_THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), cuda_in<bf16>(w), cuda_in<bf16>(b), H, W, C);
	cuda_launched(d, "pix_glu");
}

extern "C" void
cuda_pix_mix(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m)
{
	if (tensor_count(x) && w.dim[0] == 3)
		WITH_WIDTH(d, m.dim[1], D, launch_mix<D, 3>(d, y, x, w, m));
	else if (tensor_count(x))
		WITH_WIDTH(d, m.dim[1], D, launch_mix<D, 5>(d, y, x, w, m));
	cuda_launched(d, "pix_mix");
}

extern "C" void
cuda_pix_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	if (tensor_count(x))
		WITH_WIDTH(d, width, D, attend<D>(d, y, x));
}

extern "C" void
cuda_pix_norm_add(struct dev *d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps)
{
	int64_t N = tensor_rows(x);

	norm_add<<<cuda_blocks(N, THREADS / 32), THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(x), cuda_in<bf16>(y), cuda_in<bf16>(w),
	                                                                     cuda_in<bf16>(b), N, (int)tensor_cols(x), eps);
	cuda_launched(d, "pix_norm_add");
}

extern "C" void
cuda_pix_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	shrink<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), n, (int)y.dim[1], (int)y.dim[2],
	                                                               (int)x.dim[2], (int)(4 * x.dim[2] / y.dim[2]));
	cuda_launched(d, "pix_shrink");
}

extern "C" void
cuda_pix_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	group_mean<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<bf16>(x), n, (int)tensor_cols(y),
	                                                                   (int)(tensor_cols(x) / tensor_cols(y)));
	cuda_launched(d, "pix_group_mean");
}
