/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_90_sums.cuh - a head's sums over frames, k^T v and q^T go / den, part by part, and the parts added */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_SUMS_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_SUMS_CUH

#include "kernels/cuda/linear_attention_90.cuh"

namespace linear_90 {

enum { SUM_BLOCKS = 2, ADD_THREADS = 256 };	/* SUM_BLOCKS: a multiprocessor's */

struct sum_maps {
	CUtensorMap k, v, q, go, o;		/* forward: the first two */
};

/* What a tile's frames bring to the gradients' sums. */
struct facts {
	float inverse[TILE], delta[TILE];	/* 1 / den, sum over the head of go o */
};

template <int W, bool GRADS>
struct sum_room {
	static constexpr int TILES = GRADS ? 3 : 2, STAGES = GRADS ? 2 : 3;
	static constexpr uint32_t STAGE = TILES * TILE_BYTES<W>;
};

template <int W>
constexpr int
sum_bytes()
{
	return 1024 + 6 * (int)TILE_BYTES<W> + 2 * (int)sizeof(struct facts) + 64;
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

/* sum [W, W] = a^T b over the part's frames, z = a^T weight. a = k, b = v, weight 1; GRADS: a = q / den, b = go, weight
 * -delta. */
template <int W, bool GRADS>
__device__ __forceinline__ void
sum_frames(const struct linear_sizes &z, struct part<W> *mine, const struct sum_maps &maps, const float *den, float2 *frames)
{
	using room = sum_room<W, GRADS>;
	extern __shared__ unsigned char memory[];
	uint32_t start = mma::shared(memory), base = (start + 1023) & ~1023u, facts_at = base + 6 * TILE_BYTES<W>;
	uint32_t full = facts_at + 2 * sizeof(struct facts);
	struct facts *facts = reinterpret_cast<struct facts *>(memory + (facts_at - start));
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31;
	int from = (int)blockIdx.x * z.rows, to = min(z.T, from + z.rows), tiles = (to - from + TILE - 1) / TILE;
	float acc[W / 8][4] = {}, sums[2] = {}, below[TILE / (W / 16) / 8];

	auto bring = [&](int i) {
		int s = i % room::STAGES, first = from + i * TILE;
		uint32_t tile = base + s * room::STAGE, bar = full + 8 * s;
		if (i >= tiles)
			return;
		wg::barrier_expect(bar, room::STAGE);
		hopper::fetch_tile<W, TILE>(tile, GRADS ? &maps.q : &maps.k, h, first, n, bar);
		hopper::fetch_tile<W, TILE>(tile + TILE_BYTES<W>, GRADS ? &maps.go : &maps.v, h, first, n, bar);
		if (GRADS)
			hopper::fetch_tile<W, TILE>(tile + 2 * TILE_BYTES<W>, &maps.o, h, first, n, bar);
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
#pragma unroll
	for (int j = 0; j < W / 8; j++)
		mine->sum[warp / 4][j][threadIdx.x % GROUP] = make_float4(acc[j][0], acc[j][1], acc[j][2], acc[j][3]);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		sums[r] += __shfl_xor_sync(~0u, sums[r], 1);
		sums[r] += __shfl_xor_sync(~0u, sums[r], 2);
		if (lane % 4 == 0)
			mine->z[16 * warp + lane / 4 + 8 * r] = sums[r];
	}
}

/* blockIdx.z 0: k^T v, 1: q^T go / den; heads' parts lie in that order. frames [B, H, T]: 1 / den, -delta / den, which the
 * latter make. */
template <int W>
__global__ void __launch_bounds__(2 * W, SUM_BLOCKS)
sum_part(struct linear_sizes z, struct part<W> *out, const __grid_constant__ struct sum_maps maps, const float *den, float2 *frames)
{
#if HOPPER
	struct part<W> *mine = out + ((int64_t)blockIdx.z * gridDim.y + blockIdx.y) * z.splits + blockIdx.x;

	next_may_start();
	if (blockIdx.z == 0)
		sum_frames<W, false>(z, mine, maps, den, frames);
	else
		sum_frames<W, true>(z, mine, maps, den, frames);
#endif
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

/* Add the parts of a head of a round, in their order: a thread has four numbers of a fragment. */
template <int W, bool BACK>
__global__ void __launch_bounds__(ADD_THREADS)
add_parts(struct linear_sizes z, struct head<W> *out, const struct part<W> *in)
{
#if HOPPER
	int n = (int)(blockIdx.x * ADD_THREADS + threadIdx.x), t = n % GROUP, j = n / GROUP % (W / 8), g = n / GROUP / (W / 8);
	int64_t head_at = (int64_t)blockIdx.z * gridDim.y + blockIdx.y;
	const struct part<W> *p = in + head_at * z.splits;
	struct head<W> *to = out + head_at;
	bool edge = blockIdx.x == 0 && threadIdx.x < W;
	float4 four = {};
	float s = 0.f;

	next_may_start();
	wait_for_last();
#pragma unroll 6
	for (int m = 0; m < z.splits; m++) {
		float4 v = p[m].sum[g][j][t];
		four.x += v.x, four.y += v.y, four.z += v.z, four.w += v.w;
		if (edge)
			s += p[m].z[threadIdx.x];
	}
	int row = 64 * g + t / 32 * 16 + t % 32 / 4, first = at(row, 8 * j + 2 * (t % 4), W), second = first + 8 * ROW;
	uint32_t hi, lo;
	split(hi, lo, four.x, four.y);
	*reinterpret_cast<uint32_t *>(to->hi + first) = hi;
	*reinterpret_cast<uint32_t *>(to->lo + first) = lo;
	split(hi, lo, four.z, four.w);
	*reinterpret_cast<uint32_t *>(to->hi + second) = hi;
	*reinterpret_cast<uint32_t *>(to->lo + second) = lo;
	if (edge && BACK)
		reinterpret_cast<float *>(to->z)[threadIdx.x] = s;
	if (edge && !BACK)
#pragma unroll
		for (int r = 0; r < 8; r++) {
			bf16 x = __float2bfloat16(r < 3 ? s : 0.f);
			*reinterpret_cast<bf16 *>(to->z + at(r, threadIdx.x, 8)) = x;
			s -= __bfloat162float(x);
		}
#endif
}

} // namespace linear_90
#endif
