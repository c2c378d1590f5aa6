/* SPDX-License-Identifier: Apache-2.0 */
/* pixels.cu - what stands between the convolutions of the autoencoder in bf16: bound by memory, so as much as can be in one kernel */
#include "kernels/cuda/pixels.cuh"

namespace {

enum { THREADS = 256 };

/* Eight channels of a pixel a thread. */
__global__ void __launch_bounds__(THREADS)
from_map(bf16 *y, const float *x, int64_t n, int C, int wide)
{
	int64_t p = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	float v[8];

	if (p >= n)
		return;
	for (int c = 0; c < wide; c += 8) {
#pragma unroll
		for (int i = 0; i < 8; i++)
			v[i] = c + i < C ? x[(c + i) * n + p] : 0.f;
		if (wide % 8 == 0)
			store8(y + p * wide + c, v);
		else
			for (int i = 0; i < 8 && c + i < wide; i++)
				y[p * wide + c + i] = __float2bfloat16_rn(v[i]);
	}
}

__global__ void
to_map(float *y, const float *x, int64_t n, int C)
{
	int64_t p = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	for (int c = 0; c < C && p < n; c++)
		y[c * n + p] = x[p * C + c];
}

/* --- depthwise 3 x 3 of silu(x), gated --- */

enum { STRIP = 32, DOWN = 4, GLU_THREADS = 128 };

/* Two channels of both halves a thread, along a strip of DOWN rows: each number that is read, and made its silu, counts for up to
 * nine results. */
__global__ void __launch_bounds__(GLU_THREADS)
gated(bf16 *y, const bf16 *x, const bf16 *w, const bf16 *b, int H, int W, int C)
{
	int c = ((int)blockIdx.x * GLU_THREADS + (int)threadIdx.x) * 2, h0 = (int)blockIdx.y * DOWN, from = (int)blockIdx.z * STRIP;
	int to = from + STRIP < W ? from + STRIP : W;
	float wt[9][4], bias[4], last[DOWN][4] = {}, now[DOWN][4] = {};

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
		float next[DOWN][4];
		uint32_t in[DOWN + 2][2];
#pragma unroll
		for (int i = 0; i < DOWN + 2; i++) {		/* silu(0) = 0: what lies beyond the map adds nothing */
			int r = h0 + i - 1;
			bool there = r >= 0 && r < H && v >= 0 && v < W;
			const bf16 *at = x + ((int64_t)r * W + v) * 2 * C + c;
			in[i][0] = there ? *reinterpret_cast<const uint32_t *>(at) : 0u;
			in[i][1] = there ? *reinterpret_cast<const uint32_t *>(at + C) : 0u;
		}
#pragma unroll
		for (int o = 0; o < DOWN; o++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				next[o][e] = bias[e];
#pragma unroll
		for (int i = 0; i < DOWN + 2; i++) {
			float s[4];
			unpack_bf16(in[i][0], s[0], s[1]);
			unpack_bf16(in[i][1], s[2], s[3]);
#pragma unroll
			for (int e = 0; e < 4; e++)
				s[e] = silu_of(s[e]);
#pragma unroll
			for (int t = 0; t < 3; t++) {		/* row i is row t around result i - t */
				int o = i - t;
				if (o < 0 || o >= DOWN)
					continue;
#pragma unroll
				for (int e = 0; e < 4; e++) {
					last[o][e] += wt[3 * t + 2][e] * s[e];
					now[o][e] += wt[3 * t + 1][e] * s[e];
					next[o][e] += wt[3 * t][e] * s[e];
				}
			}
		}
#pragma unroll
		for (int o = 0; o < DOWN; o++) {
			if (v > from && h0 + o < H)
				*reinterpret_cast<uint32_t *>(y + ((int64_t)(h0 + o) * W + v - 1) * C + c) =
					pack_bf16(last[o][0] * silu_of(last[o][2]), last[o][1] * silu_of(last[o][3]));
#pragma unroll
			for (int e = 0; e < 4; e++) {
				last[o][e] = now[o][e];
				now[o][e] = next[o][e];
			}
		}
	}
}

/* --- norms and means --- */

__device__ __forceinline__ float4
four(const bf16 *p)
{
	uint2 w = *reinterpret_cast<const uint2 *>(p);
	float4 v;

	unpack_bf16(w.x, v.x, v.y);
	unpack_bf16(w.y, v.z, v.w);
	return v;
}

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
		float4 a = four(y + c);
		sum += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
	}
	r = 1.f / sqrtf(warp_sum(sum) / (float)C + eps);
	for (int c = 4 * lane; c < C; c += 128) {
		float4 a = four(y + c), e = four(x + c), u = four(w + c), v = four(b + c);
		*reinterpret_cast<uint2 *>(x + c) = make_uint2(pack_bf16(e.x + a.x * r * u.x + v.x, e.y + a.y * r * u.y + v.y),
		                                               pack_bf16(e.z + a.z * r * u.z + v.z, e.w + a.w * r * u.w + v.w));
	}
}

/* The same of C = 8 LANES PIECES channels, LANES a pixel: all that is read is on its way before any of it is wanted. */
template <int LANES, int PIECES>
__global__ void __launch_bounds__(THREADS)
norm_add_wide(bf16 *x, const bf16 *y, const bf16 *w, const bf16 *b, int64_t N, float eps)
{
	constexpr int C = 8 * LANES * PIECES;
	int64_t p = (int64_t)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
	int lane = (int)threadIdx.x % LANES;
	float a[PIECES][8], e[PIECES][8], sum = 0.f, r;
	bool in = p < N;

	x += (in ? p : 0) * C + 8 * lane;
	y += (in ? p : 0) * C + 8 * lane;
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		load8(a[i], y + 8 * LANES * i);
		load8(e[i], x + 8 * LANES * i);
	}
#pragma unroll
	for (int i = 0; i < PIECES; i++)
#pragma unroll
		for (int j = 0; j < 8; j++)
			sum += a[i][j] * a[i][j];
#pragma unroll
	for (int i = LANES / 2; i > 0; i >>= 1)
		sum += __shfl_xor_sync(0xffffffffu, sum, i);
	r = 1.f / sqrtf(sum / (float)C + eps);
#pragma unroll
	for (int i = 0; i < PIECES; i++) {
		float u[8], v[8];
		load8(u, w + 8 * (LANES * i + lane));
		load8(v, b + 8 * (LANES * i + lane));
#pragma unroll
		for (int j = 0; j < 8; j++)
			e[i][j] += a[i][j] * r * u[j] + v[j];
		if (in)
			store8(x + 8 * LANES * i, e[i]);
	}
}

template <int LANES, int PIECES>
void
launch_norm(struct dev *d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps)
{
	int64_t N = tensor_rows(x);

	norm_add_wide<LANES, PIECES><<<cuda_blocks(N, THREADS / LANES), THREADS, 0, cuda_stream(d)>>>(
		cuda_out<bf16>(x), cuda_in<bf16>(y), cuda_in<bf16>(w), cuda_in<bf16>(b), N, eps);
}

/* Groups of two, from four channels of each of four pixels: eight results a thread. */
__global__ void __launch_bounds__(THREADS)
shrink_pairs(bf16 *y, const bf16 *x, int64_t count, int W, int O)
{
	int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * 8, p = at / O;
	int o = (int)(at % O), C = O / 2;
	float v[8];

	if (at >= count)
		return;
	x += (2 * (p / W) * 2 * W + 2 * (p % W)) * C + o / 2;
	float4 a = four(x), b = four(x + C), c = four(x + (int64_t)2 * W * C), d = four(x + (int64_t)2 * W * C + C);
	load8(v, y + at);
	v[0] += (a.x + b.x) / 2.f, v[1] += (c.x + d.x) / 2.f;
	v[2] += (a.y + b.y) / 2.f, v[3] += (c.y + d.y) / 2.f;
	v[4] += (a.z + b.z) / 2.f, v[5] += (c.z + d.z) / 2.f;
	v[6] += (a.w + b.w) / 2.f, v[7] += (c.w + d.w) / 2.f;
	store8(y + at, v);
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

/* A result a warp: pixels have O groups each, and the count goes on over them. */
__global__ void __launch_bounds__(THREADS)
group_mean(float *y, const bf16 *x, int64_t count, int group)
{
	int64_t at = (int64_t)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
	float sum = 0.f;

	if (at >= count)
		return;
	x += at * group;
	for (int i = (int)threadIdx.x % 32; i < group; i += 32)
		sum += to_float(x[i]);
	sum = warp_sum(sum);
	if (threadIdx.x % 32 == 0)
		y[at] += sum / (float)group;
}

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
	dim3 grid(cuda_blocks(C, 2 * GLU_THREADS), cuda_blocks(H, DOWN), cuda_blocks(W, STRIP));

	if (tensor_count(y))
		gated<<<grid, GLU_THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), cuda_in<bf16>(w), cuda_in<bf16>(b), H, W, C);
	cuda_launched(d, "pix_glu");
}

extern "C" void
cuda_pix_norm_add(struct dev *d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps)
{
	int64_t N = tensor_rows(x);

	if (N == 0)
		return;
	switch (cuda_by8(x) && cuda_by8(y) && cuda_by8(w) && cuda_by8(b) ? tensor_cols(x) : 0) {
	case 128: launch_norm<16, 1>(d, x, y, w, b, eps); break;
	case 256: launch_norm<32, 1>(d, x, y, w, b, eps); break;
	case 512: launch_norm<32, 2>(d, x, y, w, b, eps); break;
	case 1024: launch_norm<32, 4>(d, x, y, w, b, eps); break;
	default:
		norm_add<<<cuda_blocks(N, THREADS / 32), THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(x), cuda_in<bf16>(y), cuda_in<bf16>(w),
		                                                                     cuda_in<bf16>(b), N, (int)tensor_cols(x), eps);
	}
	cuda_launched(d, "pix_norm_add");
}

extern "C" void
cuda_pix_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y), group = 4 * x.dim[2] / y.dim[2];

	if (group == 2 && y.dim[2] % 8 == 0 && n)
		shrink_pairs<<<cuda_blocks(n, 8 * THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), n,
		                                                                        (int)y.dim[1], (int)y.dim[2]);
	else
		shrink<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), n, (int)y.dim[1],
		                                                               (int)y.dim[2], (int)x.dim[2], (int)group);
	cuda_launched(d, "pix_shrink");
}

extern "C" void
cuda_pix_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	group_mean<<<cuda_blocks(n, THREADS / 32), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<bf16>(x), n,
	                                                                        (int)(tensor_cols(x) / tensor_cols(y)));
	cuda_launched(d, "pix_group_mean");
}
