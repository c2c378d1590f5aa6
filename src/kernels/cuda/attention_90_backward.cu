/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention of bf16 numbers on Hopper's own instructions, backward: as in attention_half.cu once over keys and once over
 * queries, so that no sum depends on which block came first. */
#include "kernels/cuda/attention_90.cuh"

using namespace hopper;

namespace {

/* --- backward over keys: WIDE keys a block, TILE queries a tile --- */

template <int W>
constexpr int
backward_bytes()
{
	return 1024 + 2 * WIDE * W * 2 + 4 * TILE * W * 2 + 4 * TILE * 4 + 128;
}

template <int W>
__global__ void __launch_bounds__(THREADS, 1)
backward_keys(const __grid_constant__ CUtensorMap mq, const __grid_constant__ CUtensorMap mk, const __grid_constant__ CUtensorMap mv,
              const __grid_constant__ CUtensorMap mg, struct attention_sizes z, bf16 *dk, bf16 *dv, const float *lse,
              const float *deltas, const float *qmask, const float *kmask)
{
#if HOPPER
	extern __shared__ unsigned char memory[];
	constexpr uint32_t BYTES = bytes<W, WIDE>(), PART = bytes<W, TILE>();
	uint32_t sk = (mma::shared(memory) + 1023) & ~1023u, sv = sk + BYTES, sq = sv + BYTES, sg = sq + 2 * PART, facts = sg + 2 * PART;
	uint32_t bar = facts + 4 * TILE * 4, full = bar, full_q = bar + 8, known = bar + 24, empty = bar + 40;
	float *fact = reinterpret_cast<float *>(memory + (facts - mma::shared(memory)));	/* [2][2][TILE]: lse, delta */
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * WIDE, tiles = (z.T + TILE - 1) / TILE;
	int group = (int)threadIdx.x / GROUP - 1, lane = (int)threadIdx.x & 31;

	if (threadIdx.x == 0) {
		wg::barrier_init(full, 1);
		for (int i = 0; i < 2; i++) {
			wg::barrier_init(full_q + 8 * i, 1);
			wg::barrier_init(known + 8 * i, GROUP);
			wg::barrier_init(empty + 8 * i, 2 * GROUP);
		}
	}
	wg::barriers_ready();
	if (group < 0) {
		wg::fewer_registers<40>();
		if (threadIdx.x == 0) {
			wg::barrier_expect(full, 2 * BYTES);
			fetch_tile<W, WIDE>(sk, &mk, h, first, b, full);
			fetch_tile<W, WIDE>(sv, &mv, h, first, b, full);
		}
		for (int i = 0; i < tiles; i++) {
			int s = i & 1, t = i * TILE + (int)threadIdx.x % TILE;
			int64_t n = (int64_t)b * z.T + t;
			wg::barrier_wait(empty + 8 * s, (i >> 1 & 1) ^ 1);
			if (threadIdx.x == 0) {
				wg::barrier_expect(full_q + 8 * s, 2 * PART);
				fetch_tile<W, TILE>(sq + s * PART, &mq, h, i * TILE, b, full_q + 8 * s);
				fetch_tile<W, TILE>(sg + s * PART, &mg, h, i * TILE, b, full_q + 8 * s);
			}
			bool there = t < z.T && qmask[n] == 1.f;
			if (threadIdx.x < TILE)
				fact[2 * TILE * s + threadIdx.x] = there ? lse[n * z.H + h] * LOG2E : INFINITY;
			else
				fact[2 * TILE * s + threadIdx.x] = there ? deltas[n * z.H + h] : 0.f;
			wg::barrier_arrive(known + 8 * s);
		}
		return;
	}
	wg::more_registers<232>();
	int warp = (int)threadIdx.x / 32 & 3, row = 64 * group + 16 * warp + lane / 4, col = 2 * (lane % 4);
	float gk[W / 8][4], gv[W / 8][4], s[TILE / 8][4], t[TILE / 8][4], scale = z.scale * LOG2E;
	uint32_t p[TILE / 16][4];
	bool seen[2];

#pragma unroll
	for (int r = 0; r < 2; r++)
		seen[r] = first + row + 8 * r < z.M && kmask[(int64_t)b * z.M + first + row + 8 * r] == 1.f;
	clear(gk);
	clear(gv);
	wg::barrier_wait(full, 0);
	for (int i = 0; i < tiles; i++) {
		int at = i & 1, phase = i >> 1 & 1;
		const float *top = fact + 2 * TILE * at, *delta = top + TILE;
		wg::barrier_wait(full_q + 8 * at, phase);
		wg::begin();
		multiply<W, WIDE, TILE>(s, sk, 64 * group, sq + at * PART);
		wg::commit();
		multiply<W, WIDE, TILE>(t, sv, 64 * group, sg + at * PART);
		wg::commit();
		wg::barrier_wait(known + 8 * at, phase);
		wg::wait<1>();
		wg::hold(s);
#pragma unroll
		for (int j = 0; j < TILE / 8; j++) {
			float2 high = *reinterpret_cast<const float2 *>(top + 8 * j + col);
#pragma unroll
			for (int e = 0; e < 4; e++)
				s[j][e] = seen[e / 2] ? exp2_of(s[j][e] * scale - (e & 1 ? high.y : high.x)) : 0.f;
		}
		pack(p, s);
		wg::begin();
		multiply_across<TILE>(gv, p, sg + at * PART);
		wg::commit();
		wg::wait<1>();
		wg::hold(t);
#pragma unroll
		for (int j = 0; j < TILE / 8; j++) {
			float2 d = *reinterpret_cast<const float2 *>(delta + 8 * j + col);
#pragma unroll
			for (int e = 0; e < 4; e++)
				s[j][e] *= t[j][e] - (e & 1 ? d.y : d.x);
		}
		uint32_t ds[TILE / 16][4];
		pack(ds, s);
		wg::begin();
		multiply_across<TILE>(gk, ds, sq + at * PART);
		wg::commit();
		wg::wait<0>();
		wg::hold(gv);
		wg::hold(gk);
		/* By all, not by a lane for its warp behind __syncwarp, which racecheck would not see through: it costs nothing. */
		wg::barrier_arrive(empty + 8 * at);
	}
	int64_t from = (int64_t)b * z.M + first;
	store(dk + from * z.ld_k + (int64_t)h * W, z.ld_k, gk, row, col, z.M - first, z.scale, z.scale);
	store(dv + from * z.ld_v + (int64_t)h * W, z.ld_v, gv, row, col, z.M - first, 1.f, 1.f);
#endif
}

/* --- backward over queries: WIDE queries a block, TILE keys a tile --- */

template <int W>
__global__ void __launch_bounds__(THREADS, 1)
backward_queries(const __grid_constant__ CUtensorMap mq, const __grid_constant__ CUtensorMap mk,
                 const __grid_constant__ CUtensorMap mv, const __grid_constant__ CUtensorMap mg, struct attention_sizes z, bf16 *dq,
                 const float *lse, const float *deltas, const float *qmask, const float *kmask)
{
#if HOPPER
	extern __shared__ unsigned char memory[];
	constexpr uint32_t BYTES = bytes<W, WIDE>(), PART = bytes<W, TILE>();
	uint32_t sq = (mma::shared(memory) + 1023) & ~1023u, sg = sq + BYTES, sk = sg + BYTES, sv = sk + 2 * PART, bar = sv + 2 * PART;
	uint32_t full = bar, full_k = bar + 8, empty = bar + 24;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * WIDE, tiles = (z.M + TILE - 1) / TILE;
	int group = (int)threadIdx.x / GROUP - 1, lane = (int)threadIdx.x & 31;

	if (threadIdx.x == 0) {
		wg::barrier_init(full, 1);
		for (int i = 0; i < 2; i++) {
			wg::barrier_init(full_k + 8 * i, 1);
			wg::barrier_init(empty + 8 * i, 8);
		}
	}
	wg::barriers_ready();
	if (group < 0) {
		wg::fewer_registers<24>();
		if (threadIdx.x == 0) {
			wg::barrier_expect(full, 2 * BYTES);
			fetch_tile<W, WIDE>(sq, &mq, h, first, b, full);
			fetch_tile<W, WIDE>(sg, &mg, h, first, b, full);
			for (int i = 0; i < tiles; i++) {
				int s = i & 1;
				wg::barrier_wait(empty + 8 * s, (i >> 1 & 1) ^ 1);
				wg::barrier_expect(full_k + 8 * s, 2 * PART);
				fetch_tile<W, TILE>(sk + s * PART, &mk, h, i * TILE, b, full_k + 8 * s);
				fetch_tile<W, TILE>(sv + s * PART, &mv, h, i * TILE, b, full_k + 8 * s);
			}
		}
		return;
	}
	wg::more_registers<240>();
	int warp = (int)threadIdx.x / 32 & 3, row = 64 * group + 16 * warp + lane / 4, col = 2 * (lane % 4);
	float gq[W / 8][4], s[TILE / 8][4], t[TILE / 8][4], scale = z.scale * LOG2E, top[2], delta[2];
	uint32_t ds[TILE / 16][4];

#pragma unroll
	for (int r = 0; r < 2; r++) {
		int64_t n = (int64_t)b * z.T + first + row + 8 * r;
		bool there = first + row + 8 * r < z.T && qmask[n] == 1.f;
		top[r] = there ? lse[n * z.H + h] * LOG2E : INFINITY;
		delta[r] = there ? deltas[n * z.H + h] : 0.f;
	}
	kmask += (int64_t)b * z.M;
	clear(gq);
	wg::barrier_wait(full, 0);
	for (int i = 0; i < tiles; i++) {
		int at = i & 1;
		uint32_t seen[TILE / 32];
		seen_keys(seen, kmask, i * TILE, z.M, lane);
		wg::barrier_wait(full_k + 8 * at, i >> 1 & 1);
		wg::begin();
		multiply<W, WIDE, TILE>(s, sq, 64 * group, sk + at * PART);
		wg::commit();
		multiply<W, WIDE, TILE>(t, sg, 64 * group, sv + at * PART);
		wg::commit();
		wg::wait<1>();
		wg::hold(s);
#pragma unroll
		for (int j = 0; j < TILE / 8; j++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				s[j][e] = seen[j / 4] >> (8 * (j % 4) + col + (e & 1)) & 1 ? exp2_of(s[j][e] * scale - top[e / 2]) : 0.f;
		wg::wait<0>();
		wg::hold(t);
#pragma unroll
		for (int j = 0; j < TILE / 8; j++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				s[j][e] *= t[j][e] - delta[e / 2];
		pack(ds, s);
		wg::begin();
		multiply_across<TILE>(gq, ds, sk + at * PART);
		wg::commit();
		wg::wait<0>();
		wg::hold(gq);
		__syncwarp();
		if (lane == 0)
			wg::barrier_arrive(empty + 8 * at);
	}
	store(dq + ((int64_t)b * z.T + first) * z.ld_q + (int64_t)h * W, z.ld_q, gq, row, col, z.T - first, z.scale, z.scale);
#endif
}

template <int W>
bool
backward_of(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	CUtensorMap q, k, v, g, qw, kt, vt, gw;
	int64_t D = (int64_t)z.H * W;
	dim3 keys((unsigned)((z.M + WIDE - 1) / WIDE), (unsigned)(z.B * z.H)), queries((unsigned)((z.T + WIDE - 1) / WIDE), keys.y);

	if (!map_of(&q, p.q, z.B, z.T, D, z.ld_q, TILE) || !map_of(&g, p.go, z.B, z.T, D, z.ld_o, TILE) ||
	    !map_of(&k, p.k, z.B, z.M, D, z.ld_k, WIDE) || !map_of(&v, p.v, z.B, z.M, D, z.ld_v, WIDE) ||
	    !map_of(&qw, p.q, z.B, z.T, D, z.ld_q, WIDE) || !map_of(&gw, p.go, z.B, z.T, D, z.ld_o, WIDE) ||
	    !map_of(&kt, p.k, z.B, z.M, D, z.ld_k, TILE) || !map_of(&vt, p.v, z.B, z.M, D, z.ld_v, TILE))
		return false;
	cudaFuncSetAttribute(backward_keys<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, backward_bytes<W>());
	cudaFuncSetAttribute(backward_queries<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, backward_bytes<W>());
	backward_keys<W><<<keys, THREADS, backward_bytes<W>(), beside>>>(q, k, v, g, z, (bf16 *)p.dk, (bf16 *)p.dv, p.lse, p.delta, p.qmask,
	                                                                 p.kmask);
	backward_queries<W><<<queries, THREADS, backward_bytes<W>(), stream>>>(qw, kt, vt, gw, z, (bf16 *)p.dq, p.lse, p.delta, p.qmask,
	                                                                      p.kmask);
	return true;
}

} // namespace

bool
attention_90_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	if (!z.M || !aligned(p.q, z.ld_q) || !aligned(p.k, z.ld_k) || !aligned(p.v, z.ld_v) || !aligned(p.go, z.ld_o))
		return false;
	return z.w == 64 ? backward_of<64>(z, stream, beside, p) : backward_of<128>(z, stream, beside, p);
}
