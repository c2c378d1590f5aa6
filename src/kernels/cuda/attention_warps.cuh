/* SPDX-License-Identifier: Apache-2.0 */
/* attention_warps.cuh - softmax attention by the warps' matrix products: scores never leave the chip
 *
 * T. Dao, FlashAttention-2, 2023, algorithms 1 and 2; the backward pass runs once over keys (dk, dv) and once over queries (dq),
 * so that no sum depends on which block came first. A block of four warps has 64 rows of one side and goes over the other in steps.
 * A Way says what the numbers are and how tiles of them are multiplied:
 *
 *	number			of memory
 *	W, BYTES		numbers of a head; bytes of a number
 *	FORWARD, BACKWARD	rows of the other side a step
 *	fetch<N>		N rows, of which `rows` are there, to a tile
 *	scores<N>		s [16, N] = rows row .. row + 15 of tile a times the transpose of tile b
 *	accumulate<N>		acc [16, W] += p [16, N] times the tile
 *	store			a lane's row r (0, 1) of acc, scaled, to a row in memory */
#ifndef ACE_KERNELS_CUDA_ATTENTION_WARPS_CUH
#define ACE_KERNELS_CUDA_ATTENTION_WARPS_CUH

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/flash.cuh"

namespace attention_warps {

using namespace flash;

/* Whether each of the N keys of the tile is seen; returns whether any is. */
template <int N>
__device__ __forceinline__ bool
see_keys(float (&seen)[N], const float *mask, int first, int count)
{
	bool any = false;

	if (threadIdx.x < N) {
		int j = first + (int)threadIdx.x;
		any = j < count && mask[j] == 1.f;
		seen[threadIdx.x] = any ? 0.f : -INFINITY;
	}
	return __syncthreads_or(any);
}

/* Rows row and row + 8 of a result, scaled, to numbers ld apart. */
template <class Way>
__device__ __forceinline__ void
store_rows(typename Way::number *to, int64_t ld, const float (&acc)[Way::W / 8][4], struct lane at, int rows, float first, float second)
{
#pragma unroll
	for (int r = 0; r < 2; r++)
		if (at.row + 8 * r < rows)
			Way::store(to + (at.row + 8 * r) * ld, acc, r, r ? second : first, at.id);
}

template <class Way>
__global__ void __launch_bounds__(THREADS, 2)
forward(struct attention_sizes z, struct attention_pointers p)
{
	extern __shared__ __align__(128) unsigned char memory[];
	constexpr int W = Way::W, STEP = Way::FORWARD;
	constexpr uint32_t ROW = W * Way::BYTES, BYTES = STEP * ROW;
	__shared__ float seen[2][STEP];
	using number = typename Way::number;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.T - first;
	int steps = (z.M + STEP - 1) / STEP;
	uint32_t sq = mma::shared(memory), sk = sq + TILE * ROW, sv = sk + 2 * BYTES;
	float acc[W / 8][4], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };
	const number *q = (const number *)p.q + ((int64_t)b * z.T + first) * z.ld_q + (int64_t)h * W;
	const number *k = (const number *)p.k + (int64_t)b * z.M * z.ld_k + (int64_t)h * W;
	const number *v = (const number *)p.v + (int64_t)b * z.M * z.ld_v + (int64_t)h * W;
	const float *mask = p.kmask + (int64_t)b * z.M;
	struct lane at = me();

	clear<W>(acc);
	Way::template fetch<TILE>(sq, q, z.ld_q, rows);
	Way::template fetch<STEP>(sk, k, z.ld_k, z.M);
	Way::template fetch<STEP>(sv, v, z.ld_v, z.M);
	mma::fetch_commit();
	for (int i = 0; i < steps; i++) {
		int next = (i + 1) * STEP;
		bool any;
		if (next < z.M) {
			uint32_t to = (uint32_t)((i + 1) & 1) * BYTES;
			Way::template fetch<STEP>(sk + to, k + next * z.ld_k, z.ld_k, z.M - next);
			Way::template fetch<STEP>(sv + to, v + next * z.ld_v, z.ld_v, z.M - next);
		}
		mma::fetch_commit();
		mma::fetch_wait<1>();
		any = see_keys(seen[i & 1], mask, i * STEP, z.M);	/* and all see the tile */
		if (any) {
			float s[STEP / 8][4], shrink[2];
			Way::template scores<STEP>(s, sq, sk + (uint32_t)(i & 1) * BYTES, 16 * at.warp, at.id);
			soften(shrink, top, sum, s, seen[i & 1], false, at, z.scale * LOG2E);
			rescale<W>(acc, shrink);
			Way::template accumulate<STEP>(acc, s, sv + (uint32_t)(i & 1) * BYTES, at.id);
		}
		__syncthreads();
	}
	float factor[2];
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int t = first + at.row + 8 * r;
		sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
		sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
		bool sees = t < z.T && sum[r] > 0.f && p.qmask[(int64_t)b * z.T + t] == 1.f;
		factor[r] = sees ? 1.f / sum[r] : 0.f;
		if (t < z.T && at.col == 0)
			p.lse[((int64_t)b * z.T + t) * z.H + h] = sees ? (top[r] + log2f(sum[r])) * LN2 : 0.f;
	}
	store_rows<Way>((number *)p.o + ((int64_t)b * z.T + first) * z.ld_o + (int64_t)h * W, z.ld_o, acc, at, rows, factor[0], factor[1]);
}

/* What backward needs of N rows of queries: lse in powers of two (infinity where the query is masked or absent, so that its
 * probabilities are 0) and delta. */
template <int N>
__device__ __forceinline__ void
row_facts(float (&top)[N], float (&delta)[N], const struct attention_sizes &z, const struct attention_pointers &p, int b, int h, int first)
{
	if (threadIdx.x < N) {
		int t = first + (int)threadIdx.x;
		int64_t n = (int64_t)b * z.T + t;
		bool there = t < z.T && p.qmask[n] == 1.f;
		top[threadIdx.x] = there ? p.lse[n * z.H + h] * LOG2E : INFINITY;
		delta[threadIdx.x] = there ? p.delta[n * z.H + h] : 0.f;
	}
}

template <class Way>
__global__ void __launch_bounds__(THREADS, 2)
backward_keys(struct attention_sizes z, struct attention_pointers p)
{
	extern __shared__ __align__(128) unsigned char memory[];
	constexpr int W = Way::W, STEP = Way::BACKWARD;
	constexpr uint32_t ROW = W * Way::BYTES, BYTES = STEP * ROW;
	__shared__ float seen[TILE], top[2][STEP], delta[2][STEP];
	using number = typename Way::number;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.M - first;
	int steps = (z.T + STEP - 1) / STEP;
	uint32_t sk = mma::shared(memory), sv = sk + TILE * ROW, sq = sv + TILE * ROW, sg = sq + 2 * BYTES;
	int64_t from_k = ((int64_t)b * z.M + first) * z.ld_k + (int64_t)h * W, from_v = ((int64_t)b * z.M + first) * z.ld_v + (int64_t)h * W;
	const number *q = (const number *)p.q + (int64_t)b * z.T * z.ld_q + (int64_t)h * W;
	const number *go = (const number *)p.go + (int64_t)b * z.T * z.ld_o + (int64_t)h * W;
	float gk[W / 8][4], gv[W / 8][4];
	struct lane at = me();

	clear<W>(gk);
	clear<W>(gv);
	if (!see_keys(seen, p.kmask + (int64_t)b * z.M, first, z.M))
		steps = 0;
	Way::template fetch<TILE>(sk, (const number *)p.k + from_k, z.ld_k, rows);
	Way::template fetch<TILE>(sv, (const number *)p.v + from_v, z.ld_v, rows);
	Way::template fetch<STEP>(sq, q, z.ld_q, z.T);
	Way::template fetch<STEP>(sg, go, z.ld_o, z.T);
	mma::fetch_commit();
	for (int i = 0; i < steps; i++) {
		int next = (i + 1) * STEP;
		uint32_t tq = sq + (uint32_t)(i & 1) * BYTES, tg = sg + (uint32_t)(i & 1) * BYTES;
		float s[STEP / 8][4], g[STEP / 8][4];
		if (next < z.T) {
			uint32_t to = (uint32_t)((i + 1) & 1) * BYTES;
			Way::template fetch<STEP>(sq + to, q + next * z.ld_q, z.ld_q, z.T - next);
			Way::template fetch<STEP>(sg + to, go + next * z.ld_o, z.ld_o, z.T - next);
		}
		mma::fetch_commit();
		row_facts(top[i & 1], delta[i & 1], z, p, b, h, i * STEP);
		mma::fetch_wait<1>();
		__syncthreads();
		Way::template scores<STEP>(s, sk, tq, 16 * at.warp, at.id);
#pragma unroll
		for (int j = 0; j < STEP / 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				s[j][c] = power2(s[j][c] * z.scale * LOG2E + seen[at.row + 8 * (c / 2)] -
				                top[i & 1][8 * j + at.col + (c & 1)]);
		Way::template accumulate<STEP>(gv, s, tg, at.id);
		Way::template scores<STEP>(g, sv, tg, 16 * at.warp, at.id);
#pragma unroll
		for (int j = 0; j < STEP / 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				g[j][c] = s[j][c] * (g[j][c] - delta[i & 1][8 * j + at.col + (c & 1)]) * z.scale;
		Way::template accumulate<STEP>(gk, g, tq, at.id);
		__syncthreads();
	}
	mma::fetch_wait<0>();
	store_rows<Way>((number *)p.dk + from_k, z.ld_k, gk, at, rows, 1.f, 1.f);
	store_rows<Way>((number *)p.dv + from_v, z.ld_v, gv, at, rows, 1.f, 1.f);
}

template <class Way>
__global__ void __launch_bounds__(THREADS, 2)
backward_queries(struct attention_sizes z, struct attention_pointers p)
{
	extern __shared__ __align__(128) unsigned char memory[];
	constexpr int W = Way::W, STEP = Way::BACKWARD;
	constexpr uint32_t ROW = W * Way::BYTES, BYTES = STEP * ROW;
	__shared__ float seen[2][STEP], top[TILE], delta[TILE];
	using number = typename Way::number;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.T - first;
	int steps = (z.M + STEP - 1) / STEP;
	uint32_t sq = mma::shared(memory), sg = sq + TILE * ROW, sk = sg + TILE * ROW, sv = sk + 2 * BYTES;
	int64_t from_q = ((int64_t)b * z.T + first) * z.ld_q + (int64_t)h * W, from_o = ((int64_t)b * z.T + first) * z.ld_o + (int64_t)h * W;
	const number *k = (const number *)p.k + (int64_t)b * z.M * z.ld_k + (int64_t)h * W;
	const number *v = (const number *)p.v + (int64_t)b * z.M * z.ld_v + (int64_t)h * W;
	const float *mask = p.kmask + (int64_t)b * z.M;
	float gq[W / 8][4];
	struct lane at = me();

	clear<W>(gq);
	row_facts(top, delta, z, p, b, h, first);
	Way::template fetch<TILE>(sq, (const number *)p.q + from_q, z.ld_q, rows);
	Way::template fetch<TILE>(sg, (const number *)p.go + from_o, z.ld_o, rows);
	Way::template fetch<STEP>(sk, k, z.ld_k, z.M);
	Way::template fetch<STEP>(sv, v, z.ld_v, z.M);
	mma::fetch_commit();
	for (int i = 0; i < steps; i++) {
		int next = (i + 1) * STEP;
		uint32_t tk = sk + (uint32_t)(i & 1) * BYTES, tv = sv + (uint32_t)(i & 1) * BYTES;
		if (next < z.M) {
			uint32_t to = (uint32_t)((i + 1) & 1) * BYTES;
			Way::template fetch<STEP>(sk + to, k + next * z.ld_k, z.ld_k, z.M - next);
			Way::template fetch<STEP>(sv + to, v + next * z.ld_v, z.ld_v, z.M - next);
		}
		mma::fetch_commit();
		mma::fetch_wait<1>();
		if (see_keys(seen[i & 1], mask, i * STEP, z.M)) {
			float s[STEP / 8][4], g[STEP / 8][4];
			Way::template scores<STEP>(s, sq, tk, 16 * at.warp, at.id);
			Way::template scores<STEP>(g, sg, tv, 16 * at.warp, at.id);
#pragma unroll
			for (int j = 0; j < STEP / 8; j++)
#pragma unroll
				for (int c = 0; c < 4; c++) {
					int row = at.row + 8 * (c / 2);
					float w = power2(s[j][c] * z.scale * LOG2E + seen[i & 1][8 * j + at.col + (c & 1)] - top[row]);
					g[j][c] = w * (g[j][c] - delta[row]) * z.scale;
				}
			Way::template accumulate<STEP>(gq, g, tk, at.id);
		}
		__syncthreads();
	}
	mma::fetch_wait<0>();
	store_rows<Way>((number *)p.dq + from_q, z.ld_q, gq, at, rows, 1.f, 1.f);
}

inline dim3
grid_of(const struct attention_sizes &z, int rows)
{
	return dim3((unsigned)((rows + TILE - 1) / TILE), (unsigned)(z.B * z.H));
}

template <class Way>
void
launch_forward(const struct attention_sizes &z, cudaStream_t stream, const struct attention_pointers &p)
{
	constexpr int BYTES = (TILE + 4 * Way::FORWARD) * Way::W * Way::BYTES;

	cudaFuncSetAttribute(forward<Way>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	forward<Way><<<grid_of(z, z.T), THREADS, BYTES, stream>>>(z, p);
}

template <class Way>
void
launch_backward(const struct attention_sizes &z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	constexpr int BYTES = (2 * TILE + 4 * Way::BACKWARD) * Way::W * Way::BYTES;

	cudaFuncSetAttribute(backward_keys<Way>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	cudaFuncSetAttribute(backward_queries<Way>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	backward_keys<Way><<<grid_of(z, z.M), THREADS, BYTES, beside>>>(z, p);
	backward_queries<Way><<<grid_of(z, z.T), THREADS, BYTES, stream>>>(z, p);
}

} // namespace attention_warps
#endif
