/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions of F32 numbers, heads of 64, on tensor cores: forward, and backward once over queries and once
 * over keys. */
#include "kernels/cuda/relative_attention_32.cuh"

using namespace relative32;

namespace {

template <bool SPLIT>
__global__ void __launch_bounds__(THREADS, 2)
forward(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int window = z.Y - 1 - (first + TILE - 1);	/* the first row of p that the block meets */
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W;
	const float *k = (const float *)x.k + start * z.ld_k + head, *v = (const float *)x.v + start * z.ld_v + head;
	const float *p = (const float *)x.p + head;
	uint32_t sq = mma::shared(memory), sk = sq + BYTES, sv = sk + 2 * HALF, ring = sv + 2 * HALF;
	float *bias = reinterpret_cast<float *>(memory + BYTES + 4 * HALF + RING * LINE);
	float acc[W / 8][4], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };
	struct lane at = me();

	clear<W>(acc);
	fetch_biases(bias, x, head);
	mma32::fetch_tile<W, TILE, THREADS>(sq, (const float *)x.q + (start + first) * z.ld_q + head, z.ld_q, rows);
	mma32::fetch_tile<W, PART, THREADS>(sk, k, z.ld_k, z.Y);
	mma32::fetch_tile<W, PART, THREADS>(sv, v, z.ld_v, z.Y);
	for (int i = 0; i < 3; i++)
		fetch_positions(ring_row(ring, i * PART), p, z.ld_p, z.Y, window + i * PART);
	mma::fetch_commit();
	for (int i = 0; i * PART < z.Y; i++) {
		int next = (i + 1) * PART;
		uint32_t now = (uint32_t)(i & 1) * HALF, then = HALF - now;
		if (next < z.Y) {
			mma32::fetch_tile<W, PART, THREADS>(sk + then, k + next * z.ld_k, z.ld_k, z.Y - next);
			mma32::fetch_tile<W, PART, THREADS>(sv + then, v + next * z.ld_v, z.ld_v, z.Y - next);
			fetch_positions(ring_row(ring, next + TILE), p, z.ld_p, z.Y, window + next + TILE);
		}
		mma::fetch_commit();
		uint32_t seen = keys_there(x.mask + start, i * PART, z.Y, at.id);
		mma::fetch_wait<1>();
		__syncthreads();
		if (seen) {
			float s[PART / 8][4], shrink[2];
			scores_with_positions<SPLIT>(s, sq, bias, sk + now, ring, i * PART + 48 - 16 * at.warp, at);
#pragma unroll
			for (int j = 0; j < PART / 8; j++)
#pragma unroll
				for (int c = 0; c < 4; c++)
					if (!(seen >> (8 * j + at.col + (c & 1)) & 1))
						s[j][c] = -INFINITY;
			soften(shrink, top, sum, s, NULL, true, at, z.scale * LOG2E);
			rescale<W>(acc, shrink);
			accumulate_rows<SPLIT>(acc, s, [=](int j) { return sv + now + 8u * (uint32_t)j * LINE; }, at.id);
		}
		__syncthreads();
	}
	mma::fetch_wait<0>();
	float factor[2];
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int t = first + at.row + 8 * r;
		sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
		sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
		factor[r] = sum[r] > 0.f ? 1.f / sum[r] : 0.f;
		if (t < z.Y && at.col == 0)
			x.lse[(start + t) * z.H + h] = sum[r] > 0.f ? (top[r] + log2f(sum[r])) * LN2 : 0.f;
	}
	write_rows((float *)x.o + (start + first) * z.ld_o + head, z.ld_o, acc, at, rows, factor[0], factor[1]);
}

/* PARTS: the content's and the positions' gradients are wanted apart as well. */
template <bool SPLIT, bool PARTS>
__global__ void __launch_bounds__(THREADS, 2)
backward_queries(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int window = z.Y - 1 - (first + TILE - 1);
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const float *k = (const float *)x.k + start * z.ld_k + head, *v = (const float *)x.v + start * z.ld_v + head;
	const float *p = (const float *)x.p + head;
	uint32_t sq = mma::shared(memory), sg = sq + BYTES, sk = sg + BYTES, sv = sk + 2 * HALF, ring = sv + 2 * HALF;
	float *bias = reinterpret_cast<float *>(memory + 2 * BYTES + 4 * HALF + RING * LINE);
	float content[W / 8][4], position[PARTS ? W / 8 : 1][4], top[2], delta[2];
	struct lane at = me();

	clear<W>(content);
	if constexpr (PARTS)
		clear<W>(position);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int64_t n = (start + first + at.row + 8 * r) * z.H + h;
		bool there = at.row + 8 * r < rows;
		top[r] = there ? x.lse[n] * LOG2E : INFINITY;
		delta[r] = there ? x.delta[n] : 0.f;
	}
	fetch_biases(bias, x, head);
	mma32::fetch_tile<W, TILE, THREADS>(sq, (const float *)x.q + (start + first) * z.ld_q + head, z.ld_q, rows);
	mma32::fetch_tile<W, TILE, THREADS>(sg, (const float *)x.go + (start + first) * z.ld_o + head, z.ld_o, rows);
	mma32::fetch_tile<W, PART, THREADS>(sk, k, z.ld_k, z.Y);
	mma32::fetch_tile<W, PART, THREADS>(sv, v, z.ld_v, z.Y);
	for (int i = 0; i < 3; i++)
		fetch_positions(ring_row(ring, i * PART), p, z.ld_p, z.Y, window + i * PART);
	mma::fetch_commit();
	for (int i = 0; i * PART < z.Y; i++) {
		int next = (i + 1) * PART, mine = i * PART + 48 - 16 * at.warp;
		uint32_t now = (uint32_t)(i & 1) * HALF, then = HALF - now;
		float g[PART / 8][4];
		if (next < z.Y) {
			mma32::fetch_tile<W, PART, THREADS>(sk + then, k + next * z.ld_k, z.ld_k, z.Y - next);
			mma32::fetch_tile<W, PART, THREADS>(sv + then, v + next * z.ld_v, z.ld_v, z.Y - next);
			fetch_positions(ring_row(ring, next + TILE), p, z.ld_p, z.Y, window + next + TILE);
		}
		mma::fetch_commit();
		uint32_t seen = keys_there(x.mask + start, i * PART, z.Y, at.id);
		mma::fetch_wait<1>();
		__syncthreads();
		if (seen) {
			float s[PART / 8][4], c[MEET / 8][4];
			scores_with_positions<SPLIT>(s, sq, bias, sk + now, ring, mine, at);
			scores_of<SPLIT>(g, sg, sv + now, 16 * at.warp, at.id);
#pragma unroll
			for (int j = 0; j < PART / 8; j++)
#pragma unroll
				for (int e = 0; e < 4; e++) {
					float w = power2(s[j][e] * (z.scale * LOG2E) - top[e / 2]) * z.scale;
					bool there = seen >> (8 * j + at.col + (e & 1)) & 1;
					g[j][e] = there ? w * (g[j][e] - delta[e / 2]) : 0.f;
				}
			shift_back(c, g, at);
			auto keys = [=](int j) { return sk + now + 8u * (uint32_t)j * LINE; };
			auto positions = [=](int j) { return ring_row(ring, mine + 8 * j); };
			accumulate_rows<SPLIT>(content, g, keys, at.id);
			if constexpr (PARTS)
				accumulate_rows<SPLIT>(position, c, positions, at.id);
			else
				accumulate_rows<SPLIT>(content, c, positions, at.id);
		} else {
			clear<PART>(g);
		}
		if (x.ds) {
			float *ds = x.ds + ((int64_t)blockIdx.y * z.Y + first) * z.Y + i * PART;
#pragma unroll
			for (int j = 0; j < PART / 8; j++)
#pragma unroll
				for (int c = 0; c < 4; c++)
					if (at.row + 8 * (c / 2) < rows && i * PART + 8 * j + at.col + (c & 1) < z.Y)
						ds[(int64_t)(at.row + 8 * (c / 2)) * z.Y + 8 * j + at.col + (c & 1)] = g[j][c];
		}
		__syncthreads();
	}
	mma::fetch_wait<0>();
	if constexpr (PARTS) {
		write_rows(x.content + (start + first) * ld + head, ld, content, at, rows, 1.f, 1.f);
		write_rows(x.position + (start + first) * ld + head, ld, position, at, rows, 1.f, 1.f);
#pragma unroll
		for (int j = 0; j < W / 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				content[j][c] += position[j][c];
	}
	write_rows((float *)x.dq + (start + first) * z.ld_q + head, z.ld_q, content, at, rows, 1.f, 1.f);
}

/* s [16 keys, 32 queries] = keys times queries and, 16 queries at a time, the positions they meet: 31 rows, of which key i and query
 * j want 15 - j + i. A column's rows are held by the eight lanes that have it: the lane 7 - column on gives, and of the eight rows
 * that follow where the asking lane's count has gone round. window: as above, of the warp's keys and all 32 queries. */
template <bool SPLIT>
__device__ __forceinline__ void
scores_across(float (&s)[PART / 8][4], uint32_t k, uint32_t q, const float *bias, uint32_t ring, int window, struct lane at)
{
	float c[2][2][2][4] = {};	/* by 16 queries, 16 rows, eight queries */
	int row = at.id / 4;

	clear<PART>(s);
#pragma unroll 2
	for (int i = 0; i < STEPS; i++) {
		auto l = mma32::left<W, SPLIT>(k, 16 * at.warp, i, at.id);
		mma32::left_factor<SPLIT> m[3];
#pragma unroll
		for (int j = 0; j < 3; j++)
			m[j] = mma32::left<W, SPLIT>(ring_row(ring, window + 16 * j), 0, i, at.id);
#pragma unroll
		for (int t = 0; t < PART / 16; t++) {
			mma32::right_factor<SPLIT> u[2], v[2];
			right_biased<SPLIT>(u, v, q, 16 * t, i, bias, at.id);
#pragma unroll
			for (int part = 0; part < 3; part++)
#pragma unroll
				for (int n = 0; n < 2; n++) {
					part_of<SPLIT>(s[2 * t + n], part, l, u[n]);
					part_of<SPLIT>(c[t][0][n], part, m[1 - t], v[n]);
					part_of<SPLIT>(c[t][1][n], part, m[2 - t], v[n]);
				}
		}
	}
#pragma unroll
	for (int e = 0; e < 2; e++) {
		int on = 7 - at.col - e, from = ((row + on) & 7) << 2 | (at.id & 3);
		bool round = row < on;
#pragma unroll
		for (int t = 0; t < PART / 16; t++)
#pragma unroll
			for (int n = 0; n < 2; n++)
#pragma unroll
				for (int h = 0; h < 2; h++) {
					int here = 1 - n + h, behind = 2 - n + h;	/* eight rows of the 32 */
					float x = c[t][behind / 2][n][2 * (behind & 1) + e], y = c[t][here / 2][n][2 * (here & 1) + e];
					s[2 * t + n][2 * h + e] += __shfl_sync(~0u, round ? x : y, from);
				}
	}
}

/* lse in powers of two and delta of the queries first ...; absent ones get infinity, so that their probabilities are 0. */
__device__ __forceinline__ void
row_facts(float *top, float *delta, const struct relative_sizes &z, const struct relative_pointers &x, int b, int h, int first)
{
	if (threadIdx.x < PART) {
		int t = first + (int)threadIdx.x;
		int64_t n = ((int64_t)b * z.Y + t) * z.H + h;
		top[threadIdx.x] = t < z.Y ? x.lse[n] * LOG2E : INFINITY;
		delta[threadIdx.x] = t < z.Y ? x.delta[n] : 0.f;
	}
}

template <bool SPLIT>
__global__ void __launch_bounds__(THREADS, 2)
backward_keys(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int steps = (z.Y + PART - 1) / PART, window = z.Y - 1 - (PART - 1) + first;
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W;
	const float *q = (const float *)x.q + start * z.ld_q + head, *go = (const float *)x.go + start * z.ld_o + head;
	const float *p = (const float *)x.p + head;
	uint32_t sk = mma::shared(memory), sv = sk + BYTES, sq = sv + BYTES, sg = sq + 2 * HALF, ring = sg + 2 * HALF;
	float *bias = reinterpret_cast<float *>(memory + 2 * BYTES + 4 * HALF + RING * LINE), *facts = bias + 2 * W;
	float gk[W / 8][4], gv[W / 8][4], sum[2] = { 0.f, 0.f };	/* sum: of ds, which bu takes part in */
	struct lane at = me();
	bool seen[2];

#pragma unroll
	for (int r = 0; r < 2; r++)
		seen[r] = at.row + 8 * r < rows && x.mask[start + first + at.row + 8 * r] != 0.f;
	if (!__syncthreads_or(seen[0] || seen[1]))
		steps = 0;
	clear<W>(gk);
	clear<W>(gv);
	fetch_biases(bias, x, head);
	mma32::fetch_tile<W, TILE, THREADS>(sk, (const float *)x.k + (start + first) * z.ld_k + head, z.ld_k, rows);
	mma32::fetch_tile<W, TILE, THREADS>(sv, (const float *)x.v + (start + first) * z.ld_v + head, z.ld_v, rows);
	mma32::fetch_tile<W, PART, THREADS>(sq, q, z.ld_q, z.Y);
	mma32::fetch_tile<W, PART, THREADS>(sg, go, z.ld_o, z.Y);
	for (int i = 0; i < 3; i++)
		fetch_positions(ring_row(ring, i * PART), p, z.ld_p, z.Y, window + i * PART);
	mma::fetch_commit();
	for (int i = 0; i < steps; i++) {
		int next = (i + 1) * PART;
		uint32_t now = (uint32_t)(i & 1) * HALF, then = HALF - now;
		float *top = facts + (i & 1) * 2 * PART, *delta = top + PART, s[PART / 8][4], g[PART / 8][4];
		if (next < z.Y) {
			mma32::fetch_tile<W, PART, THREADS>(sq + then, q + next * z.ld_q, z.ld_q, z.Y - next);
			mma32::fetch_tile<W, PART, THREADS>(sg + then, go + next * z.ld_o, z.ld_o, z.Y - next);
			fetch_positions(ring_row(ring, -next), p, z.ld_p, z.Y, window - next);
		}
		mma::fetch_commit();
		row_facts(top, delta, z, x, b, h, i * PART);
		mma::fetch_wait<1>();
		__syncthreads();
		scores_across<SPLIT>(s, sk, sq + now, bias, ring, 16 * at.warp - i * PART, at);
#pragma unroll
		for (int j = 0; j < PART / 8; j++) {
			float2 t = *reinterpret_cast<const float2 *>(top + 8 * j + at.col);
#pragma unroll
			for (int c = 0; c < 4; c++) {
				float w = power2(s[j][c] * (z.scale * LOG2E) - (c & 1 ? t.y : t.x));
				s[j][c] = seen[c / 2] ? w : 0.f;
			}
		}
		accumulate_rows<SPLIT>(gv, s, [=](int j) { return sg + now + 8u * (uint32_t)j * LINE; }, at.id);
		scores_of<SPLIT>(g, sv, sg + now, 16 * at.warp, at.id);
#pragma unroll
		for (int j = 0; j < PART / 8; j++) {
			float2 d = *reinterpret_cast<const float2 *>(delta + 8 * j + at.col);
#pragma unroll
			for (int c = 0; c < 4; c++) {
				g[j][c] = s[j][c] * (g[j][c] - (c & 1 ? d.y : d.x)) * z.scale;
				sum[c / 2] += g[j][c];
			}
		}
		accumulate_rows<SPLIT>(gk, g, [=](int j) { return sq + now + 8u * (uint32_t)j * LINE; }, at.id);
		__syncthreads();
	}
	mma::fetch_wait<0>();
	__syncthreads();	/* the biases, where there was no step */
#pragma unroll
	for (int r = 0; r < 2; r++) {
		sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
		sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
	}
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int c = 0; c < 4; c++)
			gk[j][c] += sum[c / 2] * bias[16 * (j / 2) + 2 * (at.col + (c & 1)) + j % 2];
	write_rows((float *)x.dk + (start + first) * z.ld_k + head, z.ld_k, gk, at, rows, 1.f, 1.f);
	write_rows((float *)x.dv + (start + first) * z.ld_v + head, z.ld_v, gv, at, rows, 1.f, 1.f);
}

template <bool SPLIT>
void
launch_forward(const struct relative_sizes &z, cudaStream_t stream, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, TILE), (unsigned)(z.B * z.H));
	constexpr int bytes = (TILE + 4 * PART + RING + 2) * LINE;

	cudaFuncSetAttribute(forward<SPLIT>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	forward<SPLIT><<<grid, THREADS, bytes, stream>>>(z, p);
}

template <bool SPLIT>
void
launch_backward(const struct relative_sizes &z, cudaStream_t stream, cudaStream_t beside, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, TILE), (unsigned)(z.B * z.H));
	constexpr int queries = (2 * TILE + 4 * PART + RING + 2) * LINE, keys = queries + 4 * PART * (int)sizeof(float);
	auto queries_of = p.content ? backward_queries<SPLIT, true> : backward_queries<SPLIT, false>;

	cudaFuncSetAttribute(queries_of, cudaFuncAttributeMaxDynamicSharedMemorySize, queries);
	cudaFuncSetAttribute(backward_keys<SPLIT>, cudaFuncAttributeMaxDynamicSharedMemorySize, keys);
	backward_keys<SPLIT><<<grid, THREADS, keys, beside>>>(z, p);
	queries_of<<<grid, THREADS, queries, stream>>>(z, p);
}

} // namespace

bool
relative_32_can(const struct relative_sizes &z, const struct relative_pointers &p)
{
	uintptr_t all = (uintptr_t)p.q | (uintptr_t)p.k | (uintptr_t)p.v | (uintptr_t)p.p | (uintptr_t)p.go | (uintptr_t)p.o |
	                (uintptr_t)p.dq | (uintptr_t)p.dk | (uintptr_t)p.dv;

	return z.e == W && (z.ld_q | z.ld_k | z.ld_v | z.ld_o | z.ld_p) % 4 == 0 && all % 16 == 0;
}

void
relative_32_forward(const struct relative_sizes &z, bool split, cudaStream_t stream, const struct relative_pointers &p)
{
	split ? launch_forward<true>(z, stream, p) : launch_forward<false>(z, stream, p);
}

void
relative_32_backward(const struct relative_sizes &z, bool split, cudaStream_t stream, cudaStream_t beside,
                     const struct relative_pointers &p)
{
	split ? launch_backward<true>(z, stream, beside, p) : launch_backward<false>(z, stream, beside, p);
}
