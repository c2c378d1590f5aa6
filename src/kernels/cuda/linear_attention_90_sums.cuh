/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_90_sums.cuh - a head's sums over frames, k^T v and q^T go / den
 *
 * The blocks of a cluster have a part of the frames each; behind that each adds its share of the sums, out of all blocks' shared memory and
 * in their order. */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_SUMS_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_SUMS_CUH

#include "kernels/cuda/linear_attention_90.cuh"

namespace linear_90 {

enum { MOST_PARTS = 4 };	/* blocks of a cluster */

struct sum_maps {
	CUtensorMap k, v, q, go, o;		/* forward: the first two */
};

/* What a tile's frames bring to the gradients' sums. */
struct facts {
	float inverse[TILE], delta[TILE];	/* 1 / den, sum over the head of go o */
};

/* A part's sums [W, W] as a group's lanes hold them: rows 64 g .. of group g, fragment j's columns 8 j ..; and z. */
template <int W>
struct part {
	float4 sum[W / 64][W / 8][GROUP];
	float z[W];
};

/* Two blocks a multiprocessor, of different rounds, share its memory; forward there is one. */
template <int W, bool BACK>
constexpr int SUM_TILES = BACK ? 6 : 12;

template <int W, bool BACK, bool GRADS>
struct sum_room {
	static constexpr int TILES = GRADS ? 3 : 2, STAGES = SUM_TILES<W, BACK> / TILES;
	static constexpr uint32_t STAGE = TILES * TILE_BYTES<W>;
};

template <int W, bool BACK>
constexpr int
sum_bytes()
{
	static_assert(sizeof(struct part<W>) <= SUM_TILES<W, BACK> * TILE_BYTES<W>, "a part takes the place of tiles");
	return 1024 + SUM_TILES<W, BACK> * (int)TILE_BYTES<W> + 2 * (int)sizeof(struct facts) + 64;
}

/* Of a tile's frames; 1 / den and -delta / den go to memory too. A warp has its share of the rows, a lane every fourth chunk of
 * one. */
template <int W>
__device__ __forceinline__ void
make_facts(struct facts *f, float2 *out, const unsigned char *go, const unsigned char *o, const float (&inverses)[TILE / (W / 16) / 8],
           int rows, int warp, int lane)
{
	constexpr int EACH = TILE / (W / 16);

#pragma unroll
	for (int first = 0; first < EACH; first += 8) {
		int r = EACH * warp + first + lane % 8;
		float sum = 0.f, inverse = inverses[first / 8];
#pragma unroll
		for (int i = 0; i < W / 32; i++) {
			int from = at(r, 8 * (4 * i + lane / 8), TILE);
			float a[8], b[8];
			load8(a, reinterpret_cast<const bf16 *>(go + from));
			load8(b, reinterpret_cast<const bf16 *>(o + from));
#pragma unroll
			for (int j = 0; j < 8; j++)
				sum += a[j] * b[j];
		}
		sum += __shfl_xor_sync(~0u, sum, 8);
		sum += __shfl_xor_sync(~0u, sum, 16);
		if (lane < 8) {
			f->inverse[r] = inverse;
			f->delta[r] = sum;
			if (r < rows)
				out[r] = make_float2(inverse, -sum * inverse);
		}
	}
}

/* 1 / den as make_facts wants it, of rows whose numbers are H apart; zeros beyond them. */
template <int W>
__device__ __forceinline__ void
inverses(float (&to)[TILE / (W / 16) / 8], const float *den, int H, int rows, int warp, int lane)
{
	constexpr int EACH = TILE / (W / 16);

#pragma unroll
	for (int i = 0; i < EACH / 8; i++) {
		int r = EACH * warp + 8 * i + lane % 8;
		to[i] = lane < 8 && r < rows ? 1.f / den[(int64_t)r * H] : 0.f;
	}
}

/* One k-step's left factor, columns 16 warp .. of the tile, and what it adds to z. */
template <int W, bool GRADS>
__device__ __forceinline__ void
sum_left(uint32_t (&l)[4], float (&sums)[2], const struct facts *f, uint32_t tile, int warp, int k, int lane)
{
	mma::left_across<64>(l, tile + warp / 4 * TILE * ROW, 2 * (warp % 4), k, lane);
#pragma unroll
	for (int i = 0; i < 4; i++) {	/* i: rows l/4 (+8 for odd), frames 2 (l%4) (+8 from 2 on) */
		float x, y;
		unpack_bf16(l[i], x, y);
		if (GRADS) {
			int t = 16 * k + 2 * (lane % 4) + 8 * (i / 2);
			float2 inverse = *reinterpret_cast<const float2 *>(f->inverse + t);
			float2 delta = *reinterpret_cast<const float2 *>(f->delta + t);
			x *= inverse.x, y *= inverse.y;
			sums[i & 1] -= x * delta.x + y * delta.y;
			l[i] = pack_bf16(x, y);
		} else {
			sums[i & 1] += x + y;
		}
	}
}

/* Four numbers, or one, at the same place of another block of the cluster. */
__device__ __forceinline__ float4
there(const float4 *here, int block)
{
	float4 v;

	asm volatile("{.reg .b32 at; mapa.shared::cluster.u32 at, %4, %5; ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [at];}"
	             : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
	             : "r"(mma::shared(here)), "r"(block)
	             : "memory");
	return v;
}

__device__ __forceinline__ float
there(const float *here, int block)
{
	float v;

	asm volatile("{.reg .b32 at; mapa.shared::cluster.u32 at, %1, %2; ld.shared::cluster.f32 %0, [at];}"
	             : "=f"(v)
	             : "r"(mma::shared(here)), "r"(block)
	             : "memory");
	return v;
}

/* They have come, and read. */
__device__ __forceinline__ void
part_ways()
{
	asm volatile("barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;" ::: "memory");
}

/* Two neighbours as the sums of two bf16 numbers. */
__device__ __forceinline__ void
split(uint32_t &hi, uint32_t &lo, float x, float y)
{
	float a, b;

	hi = pack_bf16(x, y);
	unpack_bf16(hi, a, b);
	lo = pack_bf16(x - a, y - b);
}

/* z of a head: forward as a tile of which three rows add up to it. */
template <bool BACK>
__device__ __forceinline__ void
put_z(unsigned char *to, int c, float z)
{
	if (BACK)
		reinterpret_cast<float *>(to)[c] = z;
#pragma unroll
	for (int r = 0; !BACK && r < 8; r++) {
		bf16 x = __float2bfloat16(r < 3 ? z : 0.f);
		*reinterpret_cast<bf16 *>(to + at(r, c, 8)) = x;
		z -= __bfloat162float(x);
	}
}

/* This block's share of a head's sums, out of all blocks' parts, its own first: EACH times four numbers a thread at a time, as other
 * blocks' memory is far. */
template <int W, bool BACK>
__device__ __forceinline__ void
add_parts(struct head<W> *to, const struct part<W> *own, int parts)
{
	constexpr int FOURS = W * W / 4, EACH = 4;
	int mine = (int)blockIdx.x, from = FOURS * mine / parts, end = FOURS * (mine + 1) / parts;
	const float4 *sum = &own->sum[0][0][0];

	for (int n = from + (int)threadIdx.x; n < end; n += EACH * 2 * W) {
		float4 four[EACH];
#pragma unroll
		for (int i = 0; i < EACH; i++)
			four[i] = sum[min(n + i * 2 * W, end - 1)];
#pragma unroll 3
		for (int m = 1; m < parts; m++)
#pragma unroll
			for (int i = 0; i < EACH; i++) {
				float4 v = there(sum + min(n + i * 2 * W, end - 1), (mine + m) % parts);
				four[i].x += v.x, four[i].y += v.y, four[i].z += v.z, four[i].w += v.w;
			}
#pragma unroll
		for (int i = 0; i < EACH; i++) {
			int at_four = n + i * 2 * W, t = at_four % GROUP, j = at_four / GROUP % (W / 8), g = at_four / GROUP / (W / 8);
			int first = at(64 * g + t / 32 * 16 + t % 32 / 4, 8 * j + 2 * (t % 4), W), second = first + 8 * ROW;
			uint32_t hi, lo;
			if (at_four >= end)
				break;
			split(hi, lo, four[i].x, four[i].y);
			*reinterpret_cast<uint32_t *>(to->hi + first) = hi;
			*reinterpret_cast<uint32_t *>(to->lo + first) = lo;
			split(hi, lo, four[i].z, four[i].w);
			*reinterpret_cast<uint32_t *>(to->hi + second) = hi;
			*reinterpret_cast<uint32_t *>(to->lo + second) = lo;
		}
	}
	if (mine == parts - 1 && threadIdx.x < W) {
		float z = own->z[threadIdx.x];
#pragma unroll 3
		for (int m = 1; m < parts; m++)
			z += there(own->z + threadIdx.x, m - 1);
		put_z<BACK>(to->z, (int)threadIdx.x, z);
	}
}

/* sum [W, W] = a^T b over the part's frames, z = a^T weight. a = k, b = v, weight 1; GRADS: a = q / den, b = go, weight
 * -delta. */
template <int W, bool BACK, bool GRADS>
__device__ __forceinline__ struct part<W> *
sum_frames(const struct linear_sizes &z, const struct sum_maps &maps, const float *den, float2 *frames)
{
	using room = sum_room<W, BACK, GRADS>;
	extern __shared__ unsigned char memory[];
	uint32_t start = mma::shared(memory), base = (start + 1023) & ~1023u, facts_at = base + SUM_TILES<W, BACK> * TILE_BYTES<W>;
	uint32_t full = facts_at + 2 * sizeof(struct facts);
	struct facts *facts = reinterpret_cast<struct facts *>(memory + (facts_at - start));
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31;
	int all = (z.T + TILE - 1) / TILE, begin = all * (int)blockIdx.x / z.splits, tiles = all * ((int)blockIdx.x + 1) / z.splits - begin;
	int from = begin * TILE, to = min(z.T, from + tiles * TILE);
	float acc[W / 8][4] = {}, sums[2] = {}, below[TILE / (W / 16) / 8];

	auto bring = [&](int i) {
		int s = i % room::STAGES, first = from + i * TILE;
		uint32_t tile = base + s * room::STAGE, bar = full + 8 * s;
		if (i >= tiles)
			return;
		wg::barrier_expect(bar, room::STAGE);
		fetch_tile<W, !BACK || GRADS>(tile, GRADS ? &maps.q : &maps.k, h, first, n, bar);
		fetch_tile<W, !BACK>(tile + TILE_BYTES<W>, GRADS ? &maps.go : &maps.v, h, first, n, bar);
		if (GRADS)
			fetch_tile<W, true>(tile + 2 * TILE_BYTES<W>, &maps.o, h, first, n, bar);
	};
	if (threadIdx.x == 0) {
		for (int i = 0; i < room::STAGES; i++)
			wg::barrier_init(full + 8 * i, 1);
		wg::barriers_made();
		for (int i = 0; i < room::STAGES; i++)
			bring(i);
	}
	__syncthreads();
	den += ((int64_t)n * z.T + from) * z.H + h;
	frames += (int64_t)blockIdx.y * z.T + from;
	for (int i = 0; i < tiles; i++) {
		int s = i % room::STAGES;
		uint32_t a = base + s * room::STAGE, b = a + TILE_BYTES<W>, l[TILE / 16][4];
		struct facts *f = facts + i % 2;
		if (GRADS)
			inverses<W>(below, den + (int64_t)i * TILE * z.H, z.H, to - from - i * TILE, warp, lane);
		wg::barrier_wait(full + 8 * s, i / room::STAGES & 1);
		if (GRADS) {
			const unsigned char *go = memory + (b - start);
			make_facts<W>(f, frames + i * TILE, go, go + TILE_BYTES<W>, below, to - from - i * TILE, warp, lane);
			__syncthreads();
		}
#pragma unroll
		for (int k = 0; k < TILE / 16; k++)
			sum_left<W, GRADS>(l[k], sums, f, a, warp, k, lane);
		wg::begin();
#pragma unroll
		for (int k = 0; k < TILE / 16; k++)
			wg::product(acc, l[k], wg::across(b + k * 16 * ROW, TILE * ROW), 1);
		wg::commit();
		wg::wait<0>();
		wg::hold(acc);
		__syncthreads();
		if (threadIdx.x == 0)
			bring(i + room::STAGES);
	}
	struct part<W> *own = reinterpret_cast<struct part<W> *>(memory + (base - start));	/* where the tiles were */
#pragma unroll
	for (int j = 0; j < W / 8; j++)
		own->sum[warp / 4][j][threadIdx.x % GROUP] = make_float4(acc[j][0], acc[j][1], acc[j][2], acc[j][3]);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		sums[r] += __shfl_xor_sync(~0u, sums[r], 1);
		sums[r] += __shfl_xor_sync(~0u, sums[r], 2);
		if (lane % 4 == 0)
			own->z[16 * warp + lane / 4 + 8 * r] = sums[r];
	}
	return own;
}

/* blockIdx.z 0: k^T v, 1: q^T go / den; heads lie in that order. frames [B, H, T]: 1 / den, -delta / den, which the latter
 * make. Clusters have all parts of a head. */
template <int W, bool BACK>
__global__ void __launch_bounds__(2 * W, BACK ? 2 : 1)
sum_heads(struct linear_sizes z, struct head<W> *out, const __grid_constant__ struct sum_maps maps, const float *den, float2 *frames)
{
#if HOPPER
	const struct part<W> *own;

	next_may_start();
	if (!BACK || blockIdx.z == 0)
		own = sum_frames<W, BACK, false>(z, maps, den, frames);
	else
		own = sum_frames<W, BACK, true>(z, maps, den, frames);
	wg::cluster_meet();
	add_parts<W, BACK>(out + (int64_t)blockIdx.z * gridDim.y + blockIdx.y, own, z.splits);
	part_ways();	/* none leaves while others read its part */
#endif
}

} // namespace linear_90
#endif
