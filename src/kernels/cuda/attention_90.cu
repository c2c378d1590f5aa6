/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention of bf16 numbers on Hopper's own instructions: one group of warps brings tiles, two multiply 64 rows each.
 * J. Shah et al., FlashAttention-3, 2024; as in attention_half.cu the backward pass runs once over keys and once over queries,
 * so that no sum depends on which block came first. */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/wgmma.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HOPPER 1
#else
#define HOPPER 0
#endif

namespace {

enum { GROUP = 128, THREADS = 3 * GROUP, WIDE = 128, TILE = 64, ROW = 128 };	/* rows resident and passing; bytes of a half's row */
[[maybe_unused]] constexpr float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;

[[maybe_unused]] __device__ __forceinline__ float
exp2_of(float x)
{
	float y;

	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
}

/* --- where tiles and barriers lie --- */

template <int W, int ROWS>
__device__ __forceinline__ constexpr uint32_t
bytes()
{
	return ROWS * W * 2;
}

/* All halves of a tile of ROWS rows from row first on. */
template <int W, int ROWS>
__device__ __forceinline__ void
fetch_tile(uint32_t to, const CUtensorMap *map, int head, int first, int b, uint32_t barrier)
{
#pragma unroll
	for (int i = 0; i < W / 64; i++)
		wg::fetch(to + i * ROWS * ROW, map, head * W + 64 * i, first, b, barrier);
}

/* c = rows of tile a (of A rows, from row `from` on) times the rows of tile b (of B rows), over all W columns. */
template <int W, int A, int B, int N>
__device__ __forceinline__ void
multiply(float (&c)[N][4], uint32_t a, int from, uint32_t b)
{
#pragma unroll
	for (int k = 0; k < W / 16; k++)
		wg::product(c, wg::along(a + (k / 4) * A * ROW + from * ROW + (k % 4) * 32),
		            wg::along(b + (k / 4) * B * ROW + (k % 4) * 32), k > 0);
}

/* c += p, 16 columns a fragment, times the rows of tile b (of B rows). */
template <int B, int P, int N>
__device__ __forceinline__ void
multiply_across(float (&c)[N][4], const uint32_t (&p)[P][4], uint32_t b)
{
#pragma unroll
	for (int u = 0; u < P; u++)
		wg::product(c, p[u], wg::across(b + u * 16 * ROW, B * ROW), 1);
}

template <int N>
__device__ __forceinline__ void
pack(uint32_t (&p)[N / 2][4], const float (&s)[N][4])
{
#pragma unroll
	for (int u = 0; u < N / 2; u++)
		mma::left_of(p[u], s[2 * u], s[2 * u + 1]);
}

template <int N>
__device__ __forceinline__ void
clear(float (&c)[N][4])
{
#pragma unroll
	for (int j = 0; j < N; j++)
		c[j][0] = c[j][1] = c[j][2] = c[j][3] = 0.f;
}

/* Rows row and row + 8 of c, times their factors, where they are below rows. */
template <int N>
__device__ __forceinline__ void
store(bf16 *to, int64_t ld, const float (&c)[N][4], int row, int col, int rows, float first, float second)
{
#pragma unroll
	for (int j = 0; j < N; j++) {
		if (row < rows)
			*reinterpret_cast<uint32_t *>(to + row * ld + 8 * j + col) = pack_bf16(c[j][0] * first, c[j][1] * first);
		if (row + 8 < rows)
			*reinterpret_cast<uint32_t *>(to + (row + 8) * ld + 8 * j + col) = pack_bf16(c[j][2] * second, c[j][3] * second);
	}
}

/* Bits of the keys from first on that are there and seen; the same in all lanes. */
template <int N>
__device__ __forceinline__ void
seen_keys(uint32_t (&seen)[N], const float *mask, int first, int count, int lane)
{
#pragma unroll
	for (int i = 0; i < N; i++) {
		int j = first + 32 * i + lane;
		seen[i] = __ballot_sync(~0u, j < count && mask[j] == 1.f);
	}
}

/* --- forward: WIDE queries a block, WIDE keys a tile --- */

template <int W>
constexpr int
forward_bytes()
{
	return 1024 + 5 * WIDE * W * 2 + 128;
}

template <int W>
__global__ void __launch_bounds__(THREADS, 1)
forward(const __grid_constant__ CUtensorMap mq, const __grid_constant__ CUtensorMap mk, const __grid_constant__ CUtensorMap mv,
        struct attention_sizes z, bf16 *o, float *lse, const float *qmask, const float *kmask)
{
#if HOPPER
	extern __shared__ unsigned char memory[];
	constexpr uint32_t BYTES = bytes<W, WIDE>();
	uint32_t sq = (mma::shared(memory) + 1023) & ~1023u, sk = sq + BYTES, sv = sk + 2 * BYTES, bar = sv + 2 * BYTES;
	uint32_t full_q = bar, full_k = bar + 8, full_v = bar + 24, empty_k = bar + 40, empty_v = bar + 56;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * WIDE, tiles = (z.M + WIDE - 1) / WIDE;
	int group = (int)threadIdx.x / GROUP - 1;

	if (threadIdx.x == 0) {
		wg::barrier_init(full_q, 1);
		for (int i = 0; i < 2; i++) {
			wg::barrier_init(full_k + 8 * i, 1);
			wg::barrier_init(full_v + 8 * i, 1);
			wg::barrier_init(empty_k + 8 * i, 8);
			wg::barrier_init(empty_v + 8 * i, 8);
		}
	}
	wg::barriers_ready();
	if (group < 0) {
		wg::fewer_registers<24>();
		if (threadIdx.x == 0) {
			wg::barrier_expect(full_q, BYTES);
			fetch_tile<W, WIDE>(sq, &mq, h, first, b, full_q);
			for (int i = 0; i < tiles; i++) {
				int s = i & 1, other = (i >> 1 & 1) ^ 1;
				wg::barrier_wait(empty_k + 8 * s, other);
				wg::barrier_expect(full_k + 8 * s, BYTES);
				fetch_tile<W, WIDE>(sk + s * BYTES, &mk, h, i * WIDE, b, full_k + 8 * s);
				wg::barrier_wait(empty_v + 8 * s, other);
				wg::barrier_expect(full_v + 8 * s, BYTES);
				fetch_tile<W, WIDE>(sv + s * BYTES, &mv, h, i * WIDE, b, full_v + 8 * s);
			}
		}
		return;
	}
	wg::more_registers<240>();
	int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x / 32 & 3, row = 64 * group + 16 * warp + lane / 4, col = 2 * (lane % 4);
	float acc[W / 8][4], s[WIDE / 8][4], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f }, scale = z.scale * LOG2E;
	uint32_t p[WIDE / 16][4];

	kmask += (int64_t)b * z.M;
	clear(acc);
	wg::barrier_wait(full_q, 0);
	for (int i = 0; i < tiles; i++) {
		int at = i & 1, phase = i >> 1 & 1;
		uint32_t seen[WIDE / 32];
		seen_keys(seen, kmask, i * WIDE, z.M, lane);
		wg::barrier_wait(full_k + 8 * at, phase);
		wg::begin();
		multiply<W, WIDE, WIDE>(s, sq, 64 * group, sk + at * BYTES);
		wg::commit();
		wg::wait<0>();
		wg::hold(s);
		__syncwarp();
		if (lane == 0)
			wg::barrier_arrive(empty_k + 8 * at);
		if ((seen[0] & seen[1] & seen[2] & seen[3]) != ~0u)
#pragma unroll
			for (int j = 0; j < WIDE / 8; j++)
#pragma unroll
				for (int e = 0; e < 4; e++)
					if (!(seen[j / 4] >> (8 * (j % 4) + col + (e & 1)) & 1))
						s[j][e] = -INFINITY;
#pragma unroll
		for (int r = 0; r < 2; r++) {
			float high = top[r], part = 0.f;
#pragma unroll
			for (int j = 0; j < WIDE / 8; j++)
				high = fmaxf(high, fmaxf(s[j][2 * r], s[j][2 * r + 1]));
			high = fmaxf(high, __shfl_xor_sync(~0u, high, 1));
			high = fmaxf(high, __shfl_xor_sync(~0u, high, 2));
			float base = high == -INFINITY ? 0.f : high * scale, shrink = exp2_of(top[r] * scale - base);
#pragma unroll
			for (int j = 0; j < WIDE / 8; j++) {
				s[j][2 * r] = exp2_of(s[j][2 * r] * scale - base);
				s[j][2 * r + 1] = exp2_of(s[j][2 * r + 1] * scale - base);
				part += s[j][2 * r] + s[j][2 * r + 1];
			}
			sum[r] = sum[r] * shrink + part;
			top[r] = high;
#pragma unroll
			for (int j = 0; j < W / 8; j++) {
				acc[j][2 * r] *= shrink;
				acc[j][2 * r + 1] *= shrink;
			}
		}
		pack(p, s);
		wg::barrier_wait(full_v + 8 * at, phase);
		wg::begin();
		multiply_across<WIDE>(acc, p, sv + at * BYTES);
		wg::commit();
		wg::wait<0>();
		wg::hold(acc);
		__syncwarp();
		if (lane == 0)
			wg::barrier_arrive(empty_v + 8 * at);
	}
	float factor[2];
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int t = first + row + 8 * r;
		sum[r] += __shfl_xor_sync(~0u, sum[r], 1);
		sum[r] += __shfl_xor_sync(~0u, sum[r], 2);
		bool sees = t < z.T && sum[r] > 0.f && qmask[(int64_t)b * z.T + t] == 1.f;
		factor[r] = sees ? 1.f / sum[r] : 0.f;
		if (t < z.T && col == 0)
			lse[((int64_t)b * z.T + t) * z.H + h] = sees ? (top[r] * scale + log2f(sum[r])) * LN2 : 0.f;
	}
	store(o + ((int64_t)b * z.T + first) * z.ld_o + (int64_t)h * W, z.ld_o, acc, row, col, z.T - first, factor[0], factor[1]);
#endif
}

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
			wg::barrier_init(empty + 8 * i, 8);
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
		/* The warp's reads of fact come before the writes that follow: all of them meet in __syncwarp, whose order its first lane
		 * hands on by arriving (release) and the writers take over by waiting (acquire). racecheck names them as hazards. */
		__syncwarp();
		if (lane == 0)
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

/* --- launching --- */

/* x [B, N, columns], rows ld apart, brought box by box of 64 columns and rows rows; what lies beyond is zeros. */
bool
map_of(CUtensorMap *map, const void *x, int B, int N, int64_t columns, int64_t ld, int rows)
{
	cuuint64_t dim[3] = { (cuuint64_t)columns, (cuuint64_t)N, (cuuint64_t)B };
	cuuint64_t stride[2] = { (cuuint64_t)ld * 2, (cuuint64_t)ld * 2 * (cuuint64_t)N };
	cuuint32_t box[3] = { 64, (cuuint32_t)rows, 1 }, step[3] = { 1, 1, 1 };

	return tensor_map_encoder()(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void *)x, dim, stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
	                 CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

template <int W>
bool
forward_of(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	CUtensorMap q, k, v;
	int64_t D = (int64_t)z.H * W;
	dim3 grid((unsigned)((z.T + WIDE - 1) / WIDE), (unsigned)(z.B * z.H));

	if (!map_of(&q, p.q, z.B, z.T, D, z.ld_q, WIDE) || !map_of(&k, p.k, z.B, z.M, D, z.ld_k, WIDE) ||
	    !map_of(&v, p.v, z.B, z.M, D, z.ld_v, WIDE))
		return false;
	cudaFuncSetAttribute(forward<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, forward_bytes<W>());
	forward<W><<<grid, THREADS, forward_bytes<W>(), stream>>>(q, k, v, z, (bf16 *)p.o, p.lse, p.qmask, p.kmask);
	return true;
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

/* Rows and starts as the copy engine wants them, and sizes that fit its boxes. */
bool
aligned(const void *x, int64_t ld)
{
	return (uintptr_t)x % 16 == 0 && ld % 8 == 0;
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
attention_90_forward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	if (!z.M || !aligned(p.q, z.ld_q) || !aligned(p.k, z.ld_k) || !aligned(p.v, z.ld_v) || z.ld_o % 2)
		return false;
	return z.w == 64 ? forward_of<64>(z, stream, p) : forward_of<128>(z, stream, p);
}

bool
attention_90_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	if (!z.M || !aligned(p.q, z.ld_q) || !aligned(p.k, z.ld_k) || !aligned(p.v, z.ld_v) || !aligned(p.go, z.ld_o))
		return false;
	return z.w == 64 ? backward_of<64>(z, stream, beside, p) : backward_of<128>(z, stream, beside, p);
}
