/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention of bf16 numbers with heads of 64 or 128, on tensor cores: scores never leave the chip.
 * T. Dao, FlashAttention-2, 2023, algorithms 1 and 2; the backward pass runs once over keys (dk, dv) and once over queries
 * (dq), so that no sum depends on which block came first. */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/flash.cuh"

using namespace flash;

namespace {

/* Whether each key of the tile is seen; returns whether any is. */
__device__ __forceinline__ bool
see_keys(float *seen, const float *mask, int first, int count)
{
	bool any = false;

	if (threadIdx.x < TILE) {
		int j = first + (int)threadIdx.x;
		any = j < count && mask[j] == 1.f;
		seen[threadIdx.x] = any ? 0.f : -INFINITY;
	}
	return __syncthreads_or(any);
}

/* --- forward --- */

template <int W>
__global__ void __launch_bounds__(THREADS, 2)
forward(struct attention_sizes z, bf16 *o, float *lse, const bf16 *q, const bf16 *k, const bf16 *v, const float *qmask,
        const float *kmask)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float seen[2][TILE];
	constexpr uint32_t BYTES = TILE * W * 2;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.T - first;
	int tiles = (z.M + TILE - 1) / TILE;
	uint32_t sq = mma::shared(memory), sk = sq + BYTES, sv = sk + 2 * BYTES;
	float acc[W / 8][4], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };
	struct lane at = me();

	q += ((int64_t)b * z.T + first) * z.ld_q + (int64_t)h * W;
	k += (int64_t)b * z.M * z.ld_k + (int64_t)h * W;
	v += (int64_t)b * z.M * z.ld_v + (int64_t)h * W;
	kmask += (int64_t)b * z.M;
	clear<W>(acc);
	mma::fetch_tile<W, TILE, THREADS>(sq, q, z.ld_q, rows);
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, z.M);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, z.M);
	mma::fetch_commit();
	for (int i = 0; i < tiles; i++) {
		int next = (i + 1) * TILE;
		bool any;
		if (next < z.M) {
			uint32_t to = (uint32_t)((i + 1) & 1) * BYTES;
			mma::fetch_tile<W, TILE, THREADS>(sk + to, k + next * z.ld_k, z.ld_k, z.M - next);
			mma::fetch_tile<W, TILE, THREADS>(sv + to, v + next * z.ld_v, z.ld_v, z.M - next);
		}
		mma::fetch_commit();
		mma::fetch_wait<1>();
		any = see_keys(seen[i & 1], kmask, i * TILE, z.M);	/* and all see the tile */
		if (any) {
			float s[8][4], shrink[2];
			scores<W>(s, sq, sk + (uint32_t)(i & 1) * BYTES, 16 * at.warp, at.id);
			soften(shrink, top, sum, s, seen[i & 1], false, at, z.scale * LOG2E);
			rescale<W>(acc, shrink);
			accumulate<W>(acc, s, sv + (uint32_t)(i & 1) * BYTES, at.id);
		}
		__syncthreads();
	}
	float factor[2];
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int t = first + at.row + 8 * r;
		sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
		sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
		bool sees = t < z.T && sum[r] > 0.f && qmask[(int64_t)b * z.T + t] == 1.f;
		factor[r] = sees ? 1.f / sum[r] : 0.f;
		if (t < z.T && at.col == 0)
			lse[((int64_t)b * z.T + t) * z.H + h] = sees ? (top[r] + log2f(sum[r])) * LN2 : 0.f;
	}
	flash::store<W>(o + ((int64_t)b * z.T + first) * z.ld_o + (int64_t)h * W, z.ld_o, acc, at, rows, factor[0], factor[1]);
}

/* --- backward --- */

/* What backward needs of a row of queries: lse in powers of two (infinity where the query is masked or absent, so that its
 * probabilities are 0) and delta. */
__device__ __forceinline__ void
row_facts(float *top, float *delta, struct attention_sizes z, const float *lse, const float *deltas, const float *qmask, int b,
          int h, int first)
{
	if (threadIdx.x < TILE) {
		int t = first + (int)threadIdx.x;
		int64_t n = (int64_t)b * z.T + t;
		bool there = t < z.T && qmask[n] == 1.f;
		top[threadIdx.x] = there ? lse[n * z.H + h] * LOG2E : INFINITY;
		delta[threadIdx.x] = there ? deltas[n * z.H + h] : 0.f;
	}
}

template <int W>
__global__ void __launch_bounds__(THREADS, 2)
backward_keys(struct attention_sizes z, bf16 *dk, bf16 *dv, const bf16 *go, const bf16 *q, const bf16 *k,
              const bf16 *v, const float *lse, const float *deltas, const float *qmask, const float *kmask)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float seen[TILE], top[2][TILE], delta[2][TILE];
	constexpr uint32_t BYTES = TILE * W * 2;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.M - first;
	int tiles = (z.T + TILE - 1) / TILE;
	uint32_t sk = mma::shared(memory), sv = sk + BYTES, sq = sv + BYTES, sg = sq + 2 * BYTES;
	float gk[W / 8][4], gv[W / 8][4];
	struct lane at = me();

	q += (int64_t)b * z.T * z.ld_q + (int64_t)h * W;
	go += (int64_t)b * z.T * z.ld_o + (int64_t)h * W;
	k += ((int64_t)b * z.M + first) * z.ld_k + (int64_t)h * W;
	v += ((int64_t)b * z.M + first) * z.ld_v + (int64_t)h * W;
	clear<W>(gk);
	clear<W>(gv);
	if (!see_keys(seen, kmask + (int64_t)b * z.M, first, z.M))
		tiles = 0;
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, rows);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, rows);
	mma::fetch_tile<W, TILE, THREADS>(sq, q, z.ld_q, z.T);
	mma::fetch_tile<W, TILE, THREADS>(sg, go, z.ld_o, z.T);
	mma::fetch_commit();
	for (int i = 0; i < tiles; i++) {
		int next = (i + 1) * TILE;
		uint32_t tq = sq + (uint32_t)(i & 1) * BYTES, tg = sg + (uint32_t)(i & 1) * BYTES;
		float s[8][4], g[8][4];
		if (next < z.T) {
			uint32_t to = (uint32_t)((i + 1) & 1) * BYTES;
			mma::fetch_tile<W, TILE, THREADS>(sq + to, q + next * z.ld_q, z.ld_q, z.T - next);
			mma::fetch_tile<W, TILE, THREADS>(sg + to, go + next * z.ld_o, z.ld_o, z.T - next);
		}
		mma::fetch_commit();
		row_facts(top[i & 1], delta[i & 1], z, lse, deltas, qmask, b, h, i * TILE);
		mma::fetch_wait<1>();
		__syncthreads();
		scores<W>(s, sk, tq, 16 * at.warp, at.id);
#pragma unroll
		for (int j = 0; j < 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				s[j][c] = power2(s[j][c] * z.scale * LOG2E + seen[at.row + 8 * (c / 2)] -
				                top[i & 1][8 * j + at.col + (c & 1)]);
		accumulate<W>(gv, s, tg, at.id);
		scores<W>(g, sv, tg, 16 * at.warp, at.id);
#pragma unroll
		for (int j = 0; j < 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				g[j][c] = s[j][c] * (g[j][c] - delta[i & 1][8 * j + at.col + (c & 1)]) * z.scale;
		accumulate<W>(gk, g, tq, at.id);
		__syncthreads();
	}
	mma::fetch_wait<0>();
	flash::store<W>(dk + ((int64_t)b * z.M + first) * z.ld_k + (int64_t)h * W, z.ld_k, gk, at, rows, 1.f, 1.f);
	flash::store<W>(dv + ((int64_t)b * z.M + first) * z.ld_v + (int64_t)h * W, z.ld_v, gv, at, rows, 1.f, 1.f);
}

template <int W>
__global__ void __launch_bounds__(THREADS, 2)
backward_queries(struct attention_sizes z, bf16 *dq, const bf16 *go, const bf16 *q, const bf16 *k, const bf16 *v,
                 const float *lse, const float *deltas, const float *qmask, const float *kmask)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float seen[2][TILE], top[TILE], delta[TILE];
	constexpr uint32_t BYTES = TILE * W * 2;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.T - first;
	int tiles = (z.M + TILE - 1) / TILE;
	uint32_t sq = mma::shared(memory), sg = sq + BYTES, sk = sg + BYTES, sv = sk + 2 * BYTES;
	float gq[W / 8][4];
	struct lane at = me();

	q += ((int64_t)b * z.T + first) * z.ld_q + (int64_t)h * W;
	go += ((int64_t)b * z.T + first) * z.ld_o + (int64_t)h * W;
	k += (int64_t)b * z.M * z.ld_k + (int64_t)h * W;
	v += (int64_t)b * z.M * z.ld_v + (int64_t)h * W;
	kmask += (int64_t)b * z.M;
	clear<W>(gq);
	row_facts(top, delta, z, lse, deltas, qmask, b, h, first);
	mma::fetch_tile<W, TILE, THREADS>(sq, q, z.ld_q, rows);
	mma::fetch_tile<W, TILE, THREADS>(sg, go, z.ld_o, rows);
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, z.M);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, z.M);
	mma::fetch_commit();
	for (int i = 0; i < tiles; i++) {
		int next = (i + 1) * TILE;
		uint32_t tk = sk + (uint32_t)(i & 1) * BYTES, tv = sv + (uint32_t)(i & 1) * BYTES;
		if (next < z.M) {
			uint32_t to = (uint32_t)((i + 1) & 1) * BYTES;
			mma::fetch_tile<W, TILE, THREADS>(sk + to, k + next * z.ld_k, z.ld_k, z.M - next);
			mma::fetch_tile<W, TILE, THREADS>(sv + to, v + next * z.ld_v, z.ld_v, z.M - next);
		}
		mma::fetch_commit();
		mma::fetch_wait<1>();
		if (see_keys(seen[i & 1], kmask, i * TILE, z.M)) {
			float s[8][4], g[8][4];
			scores<W>(s, sq, tk, 16 * at.warp, at.id);
			scores<W>(g, sg, tv, 16 * at.warp, at.id);
#pragma unroll
			for (int j = 0; j < 8; j++)
#pragma unroll
				for (int c = 0; c < 4; c++) {
					int row = at.row + 8 * (c / 2);
					float p = power2(s[j][c] * z.scale * LOG2E + seen[i & 1][8 * j + at.col + (c & 1)] - top[row]);
					g[j][c] = p * (g[j][c] - delta[row]) * z.scale;
				}
			accumulate<W>(gq, g, tk, at.id);
		}
		__syncthreads();
	}
	mma::fetch_wait<0>();
	flash::store<W>(dq + ((int64_t)b * z.T + first) * z.ld_q + (int64_t)h * W, z.ld_q, gq, at, rows, 1.f, 1.f);
}

/* --- launches --- */

template <int W>
void
launch_forward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	constexpr int BYTES = 5 * TILE * W * 2;
	dim3 grid((unsigned)((z.T + TILE - 1) / TILE), (unsigned)(z.B * z.H));

	cudaFuncSetAttribute(forward<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	forward<W><<<grid, THREADS, BYTES, stream>>>(z, (bf16 *)p.o, p.lse, (const bf16 *)p.q, (const bf16 *)p.k,
	                                             (const bf16 *)p.v, p.qmask, p.kmask);
}

template <int W>
void
launch_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	constexpr int BYTES = 6 * TILE * W * 2;
	dim3 keys((unsigned)((z.M + TILE - 1) / TILE), (unsigned)(z.B * z.H));
	dim3 queries((unsigned)((z.T + TILE - 1) / TILE), (unsigned)(z.B * z.H));

	cudaFuncSetAttribute(backward_keys<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	cudaFuncSetAttribute(backward_queries<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	backward_keys<W><<<keys, THREADS, BYTES, beside>>>(z, (bf16 *)p.dk, (bf16 *)p.dv, (const bf16 *)p.go,
	                                                   (const bf16 *)p.q, (const bf16 *)p.k, (const bf16 *)p.v, p.lse,
	                                                   p.delta, p.qmask, p.kmask);
	backward_queries<W><<<queries, THREADS, BYTES, stream>>>(z, (bf16 *)p.dq, (const bf16 *)p.go, (const bf16 *)p.q,
	                                                         (const bf16 *)p.k, (const bf16 *)p.v, p.lse, p.delta,
	                                                         p.qmask, p.kmask);
}

} // namespace

bool
attention_half_can(int64_t width)
{
	return width == 64 || width == 128;
}

void
attention_half_forward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	z.w == 64 ? launch_forward<64>(z, stream, p) : launch_forward<128>(z, stream, p);
}

void
attention_half_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	z.w == 64 ? launch_backward<64>(z, stream, beside, p) : launch_backward<128>(z, stream, beside, p);
}
