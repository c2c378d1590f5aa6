/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention of bf16 numbers on Hopper's own instructions, forward: a block a multiprocessor takes units of the work in turn,
 * and its two groups multiply by turns, so that one's exponentials run beside the other's products.
 *
 * A unit is WIDE queries of a head, 64 a group. Those that would leave a last round mostly empty are cut in two: 64 queries,
 * of every tile of keys each group takes one half, and the halves are added at the end, always in the same order. */
#include "kernels/cuda/attention_90.cuh"

using namespace hopper;

namespace {

/* whole: units of all WIDE queries, the first of each head's; all: those and the halves. tiles: WIDE queries of a head, `rest`: the
 * head's last queries are at most 64, and a half. */
struct plan {
	int whole, all, tiles, rest;
};

struct unit {
	int b, h, first;
	bool half;
};

[[maybe_unused]] __device__ __forceinline__ struct unit
unit_of(const struct attention_sizes &z, const struct plan &plan, int u)
{
	int heads = z.B * z.H, cut = 2 * (heads * plan.tiles - plan.whole), v = u - plan.whole, head, first;

	if (v >= cut) {
		head = v - cut;
		first = plan.tiles * WIDE;
	} else {
		int tile = v < 0 ? u : plan.whole + v / 2;
		head = tile / plan.tiles;
		first = (tile - head * plan.tiles) * WIDE + (v < 0 ? 0 : TILE * (v & 1));
	}
	return { head / z.H, head % z.H, first, v >= 0 };
}

template <int W>
constexpr int
forward_bytes()
{
	return 1024 + 5 * WIDE * W * 2 + TILE * W * 4 + 4 * GROUP * 4 + 128;
}

/* Addresses in shared memory: tiles, what the second group gives to the first, barriers. */
template <int W>
struct room {
	uint32_t q, k, v, full_q, empty_q, full_k, full_v, empty_k, empty_v;
	float *given;

	__device__ __forceinline__
	room(unsigned char *memory)
	{
		constexpr uint32_t BYTES = bytes<W, WIDE>();
		uint32_t start = mma::shared(memory), given_at;

		q = (start + 1023) & ~1023u, k = q + BYTES, v = k + 2 * BYTES, given_at = v + 2 * BYTES;
		full_q = given_at + TILE * W * 4 + 4 * GROUP * 4, empty_q = full_q + 8;
		full_k = full_q + 16, full_v = full_q + 32, empty_k = full_q + 48, empty_v = full_q + 64;
		given = reinterpret_cast<float *>(memory + (given_at - start));
	}
};

/* What a lane knows of its two rows: greatest score, sum of exponentials below it. */
struct rows {
	float top[2], sum[2];
};

/* Scores become probabilities up to a factor; shrink: what was made before has to be multiplied by. seen: keys that count. */
template <int N>
__device__ __forceinline__ void
soften(float (&s)[N][4], struct rows &r, float (&shrink)[2], const uint32_t (&seen)[N / 4], float scale, int col)
{
	uint32_t all = ~0u;

#pragma unroll
	for (int i = 0; i < N / 4; i++)
		all &= seen[i];
	if (all != ~0u)
#pragma unroll
		for (int j = 0; j < N; j++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				if (!(seen[j / 4] >> (8 * (j % 4) + col + (e & 1)) & 1))
					s[j][e] = -INFINITY;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		float high = r.top[i], part = 0.f;
#pragma unroll
		for (int j = 0; j < N; j++)
			high = fmaxf(high, fmaxf(s[j][2 * i], s[j][2 * i + 1]));
		high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
		high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
		float base = high == -INFINITY ? 0.f : high * scale;
		shrink[i] = exp2_of(r.top[i] * scale - base);
#pragma unroll
		for (int j = 0; j < N; j++) {
			s[j][2 * i] = exp2_of(s[j][2 * i] * scale - base);
			s[j][2 * i + 1] = exp2_of(s[j][2 * i + 1] * scale - base);
			part += s[j][2 * i] + s[j][2 * i + 1];
		}
		r.sum[i] = r.sum[i] * shrink[i] + part;
		r.top[i] = high;
	}
}

/* acc = the group's 64 queries' sums over the keys that it takes of each tile, 8 N of them. The tiles are the n-th and following
 * that the block has brought. */
template <int W, int N>
__device__ __forceinline__ void
attend(float (&acc)[W / 8][4], struct rows &r, const struct room<W> &m, const float *kmask, int M, int group, int n, float scale)
{
	constexpr uint32_t BYTES = bytes<W, WIDE>();
	constexpr bool HALF = N < WIDE / 8;
	int lane = (int)threadIdx.x & 31, col = 2 * (lane % 4), tiles = (M + WIDE - 1) / WIDE;
	int from = HALF ? 0 : 64 * group, to = HALF ? 64 * group : 0;
	float s[N][4], shrink[2];
	uint32_t p[N / 2][4], seen[N / 4];

	clear(acc);
	r = { { -INFINITY, -INFINITY }, { 0.f, 0.f } };
	wg::barrier_wait(m.full_k + 8 * (n & 1), n >> 1 & 1);
	wg::begin();
	multiply<W, WIDE, WIDE>(s, m.q, from, m.k + (n & 1) * BYTES, to);
	wg::commit();
	seen_keys(seen, kmask, to, M, lane);
	wg::wait<0>();
	wg::hold(s);
	release(m.empty_k + 8 * (n & 1), lane);
	soften(s, r, shrink, seen, scale, col);
	pack(p, s);
	for (int i = 1; i < tiles; i++) {
		int at = (n + i) & 1, before = at ^ 1;
		wg::named_sync(1 + group);
		wg::barrier_wait(m.full_k + 8 * at, (n + i) >> 1 & 1);
		wg::begin();
		multiply<W, WIDE, WIDE>(s, m.q, from, m.k + at * BYTES, to);
		wg::commit();
		wg::barrier_wait(m.full_v + 8 * before, (n + i - 1) >> 1 & 1);
		wg::begin();
		multiply_across<WIDE>(acc, p, m.v + before * BYTES, to);
		wg::commit();
		wg::named_arrive(2 - group);
		seen_keys(seen, kmask, i * WIDE + to, M, lane);
		wg::wait<1>();
		wg::hold(s);
		release(m.empty_k + 8 * at, lane);
		soften(s, r, shrink, seen, scale, col);
		wg::wait<0>();
		wg::hold(acc);
		release(m.empty_v + 8 * before, lane);
#pragma unroll
		for (int j = 0; j < W / 8; j++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				acc[j][e] *= shrink[e / 2];
		pack(p, s);
	}
	release(m.empty_q, lane);
	n += tiles - 1;
	wg::barrier_wait(m.full_v + 8 * (n & 1), n >> 1 & 1);
	wg::begin();
	multiply_across<WIDE>(acc, p, m.v + (n & 1) * BYTES, to);
	wg::commit();
	wg::wait<0>();
	wg::hold(acc);
	release(m.empty_v + 8 * (n & 1), lane);
}

/* The second group's sums of the same queries join the first's; a lane's partner is the lane of its number. */
template <int W>
__device__ __forceinline__ void
join(float (&acc)[W / 8][4], struct rows &r, float *given, int group, float scale)
{
	int id = (int)threadIdx.x % GROUP;
	float *facts = given + TILE * W + id;

	wg::named_sync(3);	/* what was given before is read */
	if (group == 1) {
#pragma unroll
		for (int j = 0; j < W / 8; j++)
#pragma unroll
			for (int e = 0; e < 4; e++)
				given[(4 * j + e) * GROUP + id] = acc[j][e];
#pragma unroll
		for (int i = 0; i < 2; i++) {
			facts[2 * i * GROUP] = r.top[i];
			facts[(2 * i + 1) * GROUP] = r.sum[i];
		}
	}
	wg::named_sync(3);
	if (group == 1)
		return;
	float own[2], other[2];
#pragma unroll
	for (int i = 0; i < 2; i++) {
		float top = facts[2 * i * GROUP], high = fmaxf(top, r.top[i]), base = high == -INFINITY ? 0.f : high * scale;
		own[i] = exp2_of(r.top[i] * scale - base);
		other[i] = exp2_of(top * scale - base);
		r.sum[i] = r.sum[i] * own[i] + facts[(2 * i + 1) * GROUP] * other[i];
		r.top[i] = high;
	}
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int e = 0; e < 4; e++)
			acc[j][e] = acc[j][e] * own[e / 2] + given[(4 * j + e) * GROUP + id] * other[e / 2];
}

template <int W>
__device__ __forceinline__ void
bring(const struct room<W> &m, const CUtensorMap *mq, const CUtensorMap *mk, const CUtensorMap *mv, const struct attention_sizes &z,
      const struct plan &plan)
{
	constexpr uint32_t BYTES = bytes<W, WIDE>();
	int tiles = (z.M + WIDE - 1) / WIDE, n = 0;

	for (int u = (int)blockIdx.x, done = 0; u < plan.all; u += (int)gridDim.x, done++) {
		struct unit at = unit_of(z, plan, u);
		wg::barrier_wait(m.empty_q, (done & 1) ^ 1);
		wg::barrier_expect(m.full_q, BYTES);
		fetch_tile<W, WIDE>(m.q, mq, at.h, at.first, at.b, m.full_q);
		for (int i = 0; i < tiles; i++, n++) {
			int s = n & 1, other = (n >> 1 & 1) ^ 1;
			wg::barrier_wait(m.empty_k + 8 * s, other);
			wg::barrier_expect(m.full_k + 8 * s, BYTES);
			fetch_tile<W, WIDE>(m.k + s * BYTES, mk, at.h, i * WIDE, at.b, m.full_k + 8 * s);
			wg::barrier_wait(m.empty_v + 8 * s, other);
			wg::barrier_expect(m.full_v + 8 * s, BYTES);
			fetch_tile<W, WIDE>(m.v + s * BYTES, mv, at.h, i * WIDE, at.b, m.full_v + 8 * s);
		}
	}
}

template <int W>
__device__ __forceinline__ void
write(const struct attention_sizes &z, const struct unit &at, const float (&acc)[W / 8][4], struct rows &r, bf16 *o, float *lse,
      const float *qmask, int row, float scale)
{
	int col = 2 * ((int)threadIdx.x % 4);
	float factor[2];

#pragma unroll
	for (int i = 0; i < 2; i++) {
		int t = at.first + row + 8 * i;
		r.sum[i] += __shfl_xor_sync(~0u, r.sum[i], 1);
		r.sum[i] += __shfl_xor_sync(~0u, r.sum[i], 2);
		bool sees = t < z.T && r.sum[i] > 0.f && qmask[(int64_t)at.b * z.T + t] == 1.f;
		factor[i] = sees ? 1.f / r.sum[i] : 0.f;
		if (t < z.T && col == 0)
			lse[((int64_t)at.b * z.T + t) * z.H + at.h] = sees ? (r.top[i] * scale + log2f(r.sum[i])) * LN2 : 0.f;
	}
	store(o + ((int64_t)at.b * z.T + at.first) * z.ld_o + (int64_t)at.h * W, z.ld_o, acc, row, col, z.T - at.first, factor[0], factor[1]);
}

template <int W>
__global__ void __launch_bounds__(THREADS, 1)
forward(const __grid_constant__ CUtensorMap mq, const __grid_constant__ CUtensorMap mk, const __grid_constant__ CUtensorMap mv,
        struct attention_sizes z, struct plan plan, bf16 *o, float *lse, const float *qmask, const float *kmask)
{
#if HOPPER
	extern __shared__ unsigned char memory[];
	struct room<W> m(memory);
	int group = (int)threadIdx.x / GROUP - 1;

	if (threadIdx.x == 0) {
		wg::barrier_init(m.full_q, 1);
		wg::barrier_init(m.empty_q, 8);
		for (int i = 0; i < 2; i++) {
			wg::barrier_init(m.full_k + 8 * i, 1);
			wg::barrier_init(m.full_v + 8 * i, 1);
			wg::barrier_init(m.empty_k + 8 * i, 8);
			wg::barrier_init(m.empty_v + 8 * i, 8);
		}
	}
	wg::barriers_ready();
	if (group < 0) {
		wg::fewer_registers<24>();
		if (threadIdx.x == 0)
			bring<W>(m, &mq, &mk, &mv, z, plan);
		return;
	}
	wg::more_registers<240>();
	int tiles = (z.M + WIDE - 1) / WIDE, n = 0, row = 16 * ((int)threadIdx.x / 32 & 3) + ((int)threadIdx.x & 31) / 4;
	float acc[W / 8][4], scale = z.scale * LOG2E;
	struct rows r;

	if (group == 1)
		wg::named_arrive(1);
	for (int u = (int)blockIdx.x, done = 0; u < plan.all; u += (int)gridDim.x, done++, n += tiles) {
		struct unit at = unit_of(z, plan, u);
		const float *mask = kmask + (int64_t)at.b * z.M;
		wg::barrier_wait(m.full_q, done & 1);
		if (at.half) {
			attend<W, TILE / 8>(acc, r, m, mask, z.M, group, n, scale);
			join<W>(acc, r, m.given, group, scale);
			if (group == 0)
				write<W>(z, at, acc, r, o, lse, qmask, row, scale);
		} else {
			attend<W, WIDE / 8>(acc, r, m, mask, z.M, group, n, scale);
			write<W>(z, at, acc, r, o, lse, qmask, 64 * group + row, scale);
		}
	}
	if (group == 0)
		wg::named_sync(1);	/* the last turn that was given to it */
#endif
}

struct plan
plan_of(const struct attention_sizes &z, int processors)
{
	int heads = z.B * z.H, left = z.T % WIDE;
	struct plan p = {};

	p.rest = left > 0 && left <= TILE;
	p.tiles = z.T / WIDE + (left > TILE);
	int all = heads * p.tiles, over = all % processors, rest = p.rest * heads;
	p.whole = all > processors && 2 * over + rest <= processors ? all - over : all;
	p.all = p.whole + 2 * (all - p.whole) + rest;
	return p;
}

template <int W>
bool
forward_of(struct attention_sizes z, int processors, cudaStream_t stream, const struct attention_pointers &p)
{
	CUtensorMap q, k, v;
	int64_t D = (int64_t)z.H * W;
	struct plan plan = plan_of(z, processors);
	int blocks = plan.all < processors ? plan.all : processors;

	if (!map_of(&q, p.q, z.B, z.T, D, z.ld_q, WIDE) || !map_of(&k, p.k, z.B, z.M, D, z.ld_k, WIDE) ||
	    !map_of(&v, p.v, z.B, z.M, D, z.ld_v, WIDE))
		return false;
	cudaFuncSetAttribute(forward<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, forward_bytes<W>());
	forward<W><<<(unsigned)blocks, THREADS, forward_bytes<W>(), stream>>>(q, k, v, z, plan, (bf16 *)p.o, p.lse, p.qmask, p.kmask);
	return true;
}

} // namespace

bool
attention_90_can(int arch, int64_t width)
{
#ifdef ACE_CUDA_90A
	return arch == 90 && (width == 64 || width == 128) && tensor_map_encoder();
#else
	(void)arch, (void)width;
	return false;
#endif
}

bool
attention_90_forward(struct attention_sizes z, int processors, cudaStream_t stream, const struct attention_pointers &p)
{
	if (!z.M || !aligned(p.q, z.ld_q) || !aligned(p.k, z.ld_k) || !aligned(p.v, z.ld_v) || z.ld_o % 2)
		return false;
	return z.w == 64 ? forward_of<64>(z, processors, stream, p) : forward_of<128>(z, processors, stream, p);
}
