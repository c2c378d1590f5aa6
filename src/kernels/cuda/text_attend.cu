/* SPDX-License-Identifier: Apache-2.0 */
/* text_attend.cu - attention of the prompt encoder: any numbers on plain cores, bf16 with heads of 64 on tensor cores */
#include "kernels/cuda/mma.cuh"

#include <float.h>

namespace {

/* Tokens, heads, a head's width; rows' distances. */
struct sizes {
	int T, H, w;
	int64_t ld_q, ld_k, ld_v, ld_o;
};

__device__ __forceinline__ float
rounded(float x, bool half)
{
	return half ? __bfloat162float(__float2bfloat16_rn(x)) : x;
}

/* Attention: a warp a query, WARPS queries of one head a block; keys and values pass through shared memory KEYS at a time. */
enum { WARPS = 8, KEYS = 32 };

template <class N>
__global__ void
attend_rows(N *o, float *a, const N *q, const N *k, const N *v, const float *bias, const float *mask, struct sizes z, bool half)
{
	extern __shared__ float space[];
	const int H = z.H, T = z.T, w = z.w;
	int wide = w + 1 > 32 ? w + 1 : 32;
	float *tile = space, *row = space + KEYS * wide + ((int)threadIdx.x / 32) * w;	/* [KEYS][wide], [WARPS][w], [WARPS][T] */
	float *score = space + (KEYS * wide) + WARPS * w + ((int)threadIdx.x / 32) * T;
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, n = (int)blockIdx.y, b = (int)blockIdx.z;
	int i = (int)blockIdx.x * WARPS + warp;
	float top = -INFINITY, sum = 0.f;

	for (int c = lane; c < w; c += 32)
		row[c] = i < T ? to_float(q[((int64_t)b * T + i) * z.ld_q + n * w + c]) : 0.f;
	for (int j0 = 0; j0 < T; j0 += KEYS) {
		__syncthreads();
		for (int at = (int)threadIdx.x; at < KEYS * w; at += 32 * WARPS)
			tile[at / w * (w + 1) + at % w] =
				j0 + at / w < T ? to_float(k[((int64_t)b * T + j0 + at / w) * z.ld_k + n * w + at % w]) : 0.f;
		__syncthreads();
		int j = j0 + lane;
		if (i >= T || j >= T)
			continue;
		float s = 0.f, m = mask[(int64_t)b * T + j];
		for (int c = 0; c < w; c++)
			s += row[c] * tile[lane * (w + 1) + c];
		s = rounded(s, half) + (bias[((int64_t)n * T + i) * T + j] + (1.f - m) * -FLT_MAX);
		if (half)		/* the lowest number is not to round to -infinity */
			s = m == 1.f ? rounded(s, true) : -FLT_MAX;
		score[j] = s;
		top = fmaxf(top, s);
	}
	top = warp_max(top);
	for (int j = lane; j < T && i < T; j += 32) {
		score[j] = expf(score[j] - top);
		sum += score[j];
	}
	sum = warp_sum(sum);
	for (int j = lane; j < T && i < T; j += 32) {
		score[j] = rounded(score[j] / sum, half);
		if (a)
			a[(((int64_t)b * H + n) * T + i) * T + j] = score[j];
	}
	for (int c0 = 0; c0 < w; c0 += 32) {
		float s = 0.f;
		for (int j0 = 0; j0 < T; j0 += KEYS) {
			__syncthreads();
			for (int at = (int)threadIdx.x; at < KEYS * 32; at += 32 * WARPS) {
				int j = j0 + at / 32, c = c0 + at % 32;
				tile[at] = j < T && c < w ? to_float(v[((int64_t)b * T + j) * z.ld_v + n * w + c]) : 0.f;
			}
			__syncthreads();
			for (int j = j0; j < T && j < j0 + KEYS; j++)
				s += score[j] * tile[(j - j0) * 32 + lane];
		}
		if (i < T && c0 + lane < w)
			o[((int64_t)b * T + i) * z.ld_o + n * w + c0 + lane] = from_float<N>(rounded(s, half));
	}
}

/* --- bf16, rounded as a bf16 forward rounds: a warp sixteen queries of one head, their scores in registers --- */

enum { HEAD = 64, TILE = 64, THREADS = 128, MOST = 4 };

/* s [16, 64 TILES] = weights: of lane l rows l/4 and + 8, columns 8 j + 2 (l%4) and + 1. */
template <int TILES>
__device__ __forceinline__ void
soften(float (&s)[8 * TILES][4], const float *bias, const float *mask, int i, int T, int lane)
{
	float top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };

#pragma unroll
	for (int n = 0; n < 8 * TILES; n++)
#pragma unroll
		for (int e = 0; e < 4; e++) {
			int j = 8 * n + 2 * (lane % 4) + e % 2, r = i + 8 * (e / 2);
			if (j < T) {
				float b = r < T ? bias[r * T + j] : 0.f;
				s[n][e] = mask[j] == 1.f ? rounded(rounded(s[n][e], true) + b, true) : -FLT_MAX;
			} else {
				s[n][e] = -INFINITY;
			}
			top[e / 2] = fmaxf(top[e / 2], s[n][e]);
		}
#pragma unroll
	for (int h = 0; h < 2; h++) {
		top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 1));
		top[h] = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 2));
	}
#pragma unroll
	for (int n = 0; n < 8 * TILES; n++)
#pragma unroll
		for (int e = 0; e < 4; e++) {
			s[n][e] = __expf(s[n][e] - top[e / 2]);
			sum[e / 2] += s[n][e];
		}
#pragma unroll
	for (int h = 0; h < 2; h++) {
		sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], 1);
		sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], 2);
		sum[h] = 1.f / sum[h];
	}
#pragma unroll
	for (int n = 0; n < 8 * TILES; n++)
#pragma unroll
		for (int e = 0; e < 4; e++)
			s[n][e] *= sum[e / 2];
}

/* Keys: TILES times TILE. */
template <int TILES>
__global__ void __launch_bounds__(THREADS)
attend_tiles(bf16 *o, const bf16 *q, const bf16 *k, const bf16 *v, const float *bias, const float *mask, struct sizes z)
{
	extern __shared__ __align__(128) unsigned char tiles[];
	uint32_t at_q = mma::shared(tiles), at_k = at_q + TILE * HEAD * 2, at_v = at_k + TILES * TILE * HEAD * 2;
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, head = (int)blockIdx.y, i0 = (int)blockIdx.x * TILE;
	int i = i0 + 16 * warp + lane / 4;
	int64_t first = (int64_t)blockIdx.z * z.T;
	float s[8 * TILES][4] = {}, acc[8][4] = {};

	mma::fetch_tile<HEAD, TILE, THREADS>(at_q, q + (first + i0) * z.ld_q + head * HEAD, z.ld_q, z.T - i0);
	mma::fetch_tile<HEAD, TILE * TILES, THREADS>(at_k, k + first * z.ld_k + head * HEAD, z.ld_k, z.T);
	mma::fetch_commit();
	mma::fetch_tile<HEAD, TILE * TILES, THREADS>(at_v, v + first * z.ld_v + head * HEAD, z.ld_v, z.T);
	mma::fetch_commit();
	mma::fetch_wait<1>();
	__syncthreads();
#pragma unroll
	for (int step = 0; step < HEAD / 16; step++) {
		uint32_t a[4], b[4];
		mma::left<HEAD>(a, at_q, 16 * warp, step, lane);
#pragma unroll
		for (int n = 0; n < 4 * TILES; n++) {
			mma::right<HEAD>(b, at_k, 16 * n, step, lane);
			mma::product(s[2 * n], a, b[0], b[1]);
			mma::product(s[2 * n + 1], a, b[2], b[3]);
		}
	}
	soften<TILES>(s, bias + (int64_t)head * z.T * z.T, mask + first, i, z.T, lane);
	mma::fetch_wait<0>();
	__syncthreads();
#pragma unroll
	for (int step = 0; step < 4 * TILES; step++) {
		uint32_t a[4], b[4];
		mma::left_of(a, s[2 * step], s[2 * step + 1]);
#pragma unroll
		for (int n = 0; n < HEAD / 16; n++) {
			mma::right_across<HEAD>(b, at_v, n, step, lane);
			mma::product(acc[2 * n], a, b[0], b[1]);
			mma::product(acc[2 * n + 1], a, b[2], b[3]);
		}
	}
#pragma unroll
	for (int h = 0; h < 2; h++)
		if (i + 8 * h < z.T)
#pragma unroll
			for (int n = 0; n < HEAD / 8; n++)
				*reinterpret_cast<uint32_t *>(o + (first + i + 8 * h) * z.ld_o + head * HEAD + 8 * n + 2 * (lane % 4)) =
					pack_bf16(acc[n][2 * h], acc[n][2 * h + 1]);
}

template <int TILES>
void
launch(struct dev *d, struct tensor o, struct tensor q, struct tensor k, struct tensor v, struct tensor bias, struct tensor mask,
       struct sizes z)
{
	const int bytes = (1 + 2 * TILES) * TILE * HEAD * 2;
	dim3 grid(cuda_blocks(z.T, TILE), (unsigned)z.H, (unsigned)q.dim[0]);

	if (cuda_ok(d, cudaFuncSetAttribute(attend_tiles<TILES>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "text_attend"))
		attend_tiles<TILES><<<grid, THREADS, bytes, cuda_stream(d)>>>(cuda_out<bf16>(o), cuda_in<bf16>(q), cuda_in<bf16>(k),
		                                                            cuda_in<bf16>(v), cuda_in<float>(bias), cuda_in<float>(mask), z);
}

bool
by_tiles(struct dev *d, struct tensor o, struct tensor q, struct tensor k, struct tensor v, struct tensor bias, struct tensor mask,
         struct sizes z)
{
	if (q.dtype != BF16 || z.w != HEAD || z.T > MOST * TILE || !cuda_by8(q) || !cuda_by8(k) || !cuda_by8(v) || !cuda_by8(o))
		return false;
	switch ((z.T + TILE - 1) / TILE) {
	case 1: launch<1>(d, o, q, k, v, bias, mask, z); break;
	case 2: launch<2>(d, o, q, k, v, bias, mask, z); break;
	case 3: launch<3>(d, o, q, k, v, bias, mask, z); break;
	default: launch<4>(d, o, q, k, v, bias, mask, z); break;
	}
	return true;
}

} // namespace

extern "C" void
cuda_text_attend(struct dev *d, struct tensor o, struct tensor a, struct tensor q, struct tensor k, struct tensor v,
                 struct tensor bias, struct tensor mask, bool half)
{
	int64_t B = q.dim[0], T = q.dim[1], H = bias.dim[0], w = q.dim[2] / H;
	struct sizes z = { (int)T, (int)H, (int)w, tensor_ld(q), tensor_ld(k), tensor_ld(v), tensor_ld(o) };
	size_t bytes = (size_t)(KEYS * (w + 1 > 32 ? w + 1 : 32) + WARPS * (w + T)) * sizeof(float);
	dim3 grid(cuda_blocks(T, WARPS), (unsigned)H, (unsigned)B);

	if (B * T == 0 || (half && !a.rank && by_tiles(d, o, q, k, v, bias, mask, z))) {
		cuda_launched(d, "text_attend");
		return;
	}
	if (bytes > d->cuda->shared) {
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: a text of %lld tokens is too long for it", d->cuda->number, (long long)T);
		return;
	}
	WITH_TYPE(q.dtype, N, {
		if (!cuda_ok(d, cudaFuncSetAttribute(attend_rows<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes), "text_attend"))
			return;
		attend_rows<<<grid, 32 * WARPS, bytes, cuda_stream(d)>>>(cuda_out<N>(o), a.rank ? cuda_out<float>(a) : NULL, cuda_in<N>(q),
		                                                        cuda_in<N>(k), cuda_in<N>(v), cuda_in<float>(bias),
		                                                        cuda_in<float>(mask), z, half);
	});
	cuda_launched(d, "text_attend");
}
