/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention_90_apply.cuh - products of frames by a head's sums: out = (a S) factor + weight z
 *
 * A block takes a run of all heads' tiles; one warp has tiles and sums brought, two groups of warps multiply tiles by turns. A
 * tile's results take its place in shared memory, from where the copy engine takes them. */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_APPLY_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_90_APPLY_CUH

#include "kernels/cuda/linear_attention_90.cuh"

namespace linear_90 {

enum { OUTPUTS, QUERIES, KEYS, VALUES };	/* o and den, dq, dk, dv */
enum { APPLY_THREADS = 2 * GROUP + 32, HEADS = 2 };	/* HEADS: whose sums are there */

/* Backward: dq = go KV^T, dk = v dKV^T, dv = k dKV, of a head one after the other. Forward: o = q KV. */
struct apply_maps {
	CUtensorMap a[3], out[3];
};

template <int W>
constexpr int TILES = W == 128 ? 5 : 10;

template <int W>
constexpr int
apply_bytes()
{
	return 1024 + HEADS * (int)sizeof(struct head<W>) + TILES<W> * (int)TILE_BYTES<W> + 16 * (HEADS + TILES<W>);
}

/* A tile of a head's sides. */
template <bool BACK>
struct place {
	int head, side, first;		/* head of B H; first frame */
	int sums;			/* how many heads' sums there were before this one's, from the run's start on */

	__device__ __forceinline__
	place(const struct linear_sizes &z, int u)
	{
		int tiles = (z.T + TILE - 1) / TILE, sides = u / tiles;

		first = (u - sides * tiles) * TILE;
		head = BACK ? sides / 3 : sides;
		side = BACK ? sides - 3 * head : 0;
		sums = 0;
	}
	__device__ __forceinline__ int
	what() const
	{
		return BACK ? QUERIES + side : OUTPUTS;
	}
	__device__ __forceinline__ void
	next(const struct linear_sizes &z)
	{
		first += TILE;
		if (first < z.T)
			return;
		first = 0;
		if (BACK && ++side < 3) {
			sums += side == 1;
			return;
		}
		side = 0;
		head++;
		sums++;
	}
	/* Which of the sums: those of all heads' k^T v, then those of gradients. */
	__device__ __forceinline__ int
	factor(const struct linear_sizes &z) const
	{
		return head + (side ? z.B * z.H : 0);
	}
};

template <int W>
struct apply_room {
	uint32_t heads, tiles, full_tile, empty_tile, full_head, empty_head;

	__device__ __forceinline__
	apply_room(uint32_t start)
	{
		heads = (start + 1023) & ~1023u, tiles = heads + HEADS * sizeof(struct head<W>);
		full_tile = tiles + TILES<W> * TILE_BYTES<W>, empty_tile = full_tile + 8 * TILES<W>;
		full_head = empty_tile + 8 * TILES<W>, empty_head = full_head + 8 * HEADS;
	}
};

template <int W, bool BACK>
__device__ __forceinline__ void
bring_tile(const struct apply_room<W> &m, const struct linear_sizes &z, const struct apply_maps &maps, const struct place<BACK> &to, int i)
{
	int s = i % TILES<W>;
	uint32_t bar = m.full_tile + 8 * s;

	wg::barrier_wait(m.empty_tile + 8 * s, (i / TILES<W> & 1) ^ 1);
	wg::barrier_expect(bar, TILE_BYTES<W>);
	fetch_tile<W, true>(m.tiles + s * TILE_BYTES<W>, &maps.a[to.side], to.head % z.H, to.first, to.head / z.H, bar);
}

template <int W, bool BACK>
__device__ __forceinline__ void
bring_head(const struct apply_room<W> &m, const struct linear_sizes &z, const struct head<W> *heads, const struct place<BACK> &of)
{
	int s = of.sums % HEADS;
	uint32_t bar = m.full_head + 8 * s;

	wg::barrier_wait(m.empty_head + 8 * s, (of.sums / HEADS & 1) ^ 1);
	wg::barrier_expect(bar, sizeof(struct head<W>));
	wg::fetch_bytes(m.heads + s * sizeof(struct head<W>), heads + of.factor(z), sizeof(struct head<W>), bar);
}

/* The first tiles do not wait for the sums. */
template <int W, bool BACK>
__device__ __forceinline__ void
bring(const struct apply_room<W> &m, const struct linear_sizes &z, const struct apply_maps &maps, const struct head<W> *heads, int from,
      int left)
{
	struct place<BACK> tile(z, from), head = tile;
	int there = -1;

	for (int i = 0; i < min(left, TILES<W>); i++, tile.next(z))
		bring_tile<W>(m, z, maps, tile, i);
	wait_for_last();
	for (int i = 0; i < left; i++, head.next(z)) {
		if (head.sums != there)
			bring_head<W>(m, z, heads, head);
		there = head.sums;
		if (i < TILES<W>)
			continue;
		bring_tile<W>(m, z, maps, head, i);
	}
}

/* y = the tile's rows times the sums at s, low parts first, or (ALONG) times their transpose. */
template <int W, bool ALONG>
__device__ __forceinline__ void
times_sums(float (&y)[W / 8][4], uint32_t tile, uint32_t s)
{
#pragma unroll
	for (int part = 1; part >= 0; part--)
#pragma unroll
		for (int k = 0; k < W / 16; k++) {
			uint64_t a = wg::along(tile + k / 4 * TILE * ROW + k % 4 * 32);
			uint32_t b = s + part * W * W * 2;
			if (ALONG)
				wg::product<0>(y, a, wg::along(b + k / 4 * W * ROW + k % 4 * 32), part == 0 || k > 0);
			else
				wg::product<1>(y, a, wg::across(b + k * 16 * ROW, W * ROW), part == 0 || k > 0);
		}
}

/* below: the tile's rows times z, whose three parts a row's four lanes have in their columns. */
template <int W>
__device__ __forceinline__ void
times_z(float (&below)[1][4], uint32_t tile, uint32_t z)
{
#pragma unroll
	for (int k = 0; k < W / 16; k++)
		wg::product(below, wg::along(tile + k / 4 * TILE * ROW + k % 4 * 32), wg::along(z + k / 4 * 8 * ROW + k % 4 * 32), k > 0);
}

/* Rows row and row + 8 of the results to the tile. */
template <int W>
__device__ __forceinline__ void
put(unsigned char *tile, const float (&y)[W / 8][4], const float *z, const float (&factor)[2], const float (&weight)[2], int row,
    int lane)
{
#pragma unroll
	for (int j = 0; j < W / 8; j++) {
		float2 c = {};
		if (z)
			c = *reinterpret_cast<const float2 *>(z + 8 * j + 2 * (lane % 4));
#pragma unroll
		for (int r = 0; r < 2; r++)
			*reinterpret_cast<uint32_t *>(tile + at(row + 8 * r, 8 * j + 2 * (lane % 4), TILE)) =
				pack_bf16(fmaf(y[j][2 * r], factor[r], weight[r] * c.x), fmaf(y[j][2 * r + 1], factor[r], weight[r] * c.y));
	}
}

/* One group's turn. */
template <int W, bool BACK>
__device__ __forceinline__ void
turn(const struct linear_sizes &z, const struct apply_room<W> &m, unsigned char *memory, uint32_t start, const struct apply_maps &maps,
     float *den, const float2 *frames, const struct place<BACK> &now, int i)
{
	int s = i % TILES<W>, lane = (int)threadIdx.x & 31, row = 16 * ((int)threadIdx.x / 32 % 4) + lane / 4, what = now.what();
	uint32_t tile = m.tiles + s * TILE_BYTES<W>, sums = m.heads + now.sums % HEADS * sizeof(struct head<W>);
	float y[W / 8][4], below[1][4], factor[2] = { 1.f, 1.f }, weight[2] = {};

	if (what == QUERIES)
#pragma unroll
		for (int r = 0; r < 2; r++) {
			int t = now.first + row + 8 * r;
			float2 f = t < z.T ? frames[(int64_t)now.head * z.T + t] : float2 {};
			factor[r] = f.x, weight[r] = f.y;
		}
	if (what == KEYS)
		weight[0] = weight[1] = 1.f;
	wg::barrier_wait(m.full_tile + 8 * s, i / TILES<W> & 1);
	if (what == QUERIES || what == KEYS) {
		wg::begin();
		times_sums<W, true>(y, tile, sums);
		wg::commit();
		wg::wait<0>();
		wg::hold(y);
	} else {
		wg::begin();
		times_sums<W, false>(y, tile, sums);
		if (!BACK)
			times_z<W>(below, tile, sums + 2 * W * W * 2);
		wg::commit();
		wg::wait<0>();
		wg::hold(y);
	}
	if (!BACK) {
		wg::hold(below);
#pragma unroll
		for (int r = 0; r < 2; r++) {
			int t = now.first + row + 8 * r;
			float sum = below[0][2 * r] + below[0][2 * r + 1];
			sum += __shfl_xor_sync(~0u, sum, 1);
			sum += __shfl_xor_sync(~0u, sum, 2);
			sum += 1e-15f;
			factor[r] = __fdividef(1.f, sum);
			if (t < z.T && lane % 4 == 0)
				den[((int64_t)(now.head / z.H) * z.T + t) * z.H + now.head % z.H] = sum;
		}
	}
	int number = 1 + (int)threadIdx.x / GROUP;
	sync<GROUP>(number);	/* all have read the tile */
	const float *zs = reinterpret_cast<const float *>(memory + (sums - start) + 2 * W * W * 2);
	put<W>(memory + (tile - start), y, BACK ? zs : NULL, factor, weight, row, lane);
	wg::written();
	sync<GROUP>(number);
	if (threadIdx.x % GROUP == 0) {
#pragma unroll
		for (int c = 0; c < W / 64; c++)
			wg::store(&maps.out[now.side], now.head % z.H * W + 64 * c, now.first, now.head / z.H, tile + c * TILE * ROW);
		wg::stores_read();
		wg::barrier_arrive(m.empty_tile + 8 * s);
	}
}

template <int W, bool BACK>
__global__ void __launch_bounds__(APPLY_THREADS, 1)
apply(struct linear_sizes z, const __grid_constant__ struct apply_maps maps, float *den, const float2 *frames, const struct head<W> *heads)
{
#if HOPPER
	extern __shared__ unsigned char memory[];
	uint32_t start = mma::shared(memory);
	struct apply_room<W> m(start);
	int64_t total = (int64_t)(BACK ? 3 : 1) * z.B * z.H * ((z.T + TILE - 1) / TILE);
	int from = (int)(total * blockIdx.x / gridDim.x), left = (int)(total * (blockIdx.x + 1) / gridDim.x) - from;
	int lane = (int)threadIdx.x & 31;

	if (threadIdx.x == 0) {
		for (int i = 0; i < TILES<W>; i++) {
			wg::barrier_init(m.full_tile + 8 * i, 1);
			wg::barrier_init(m.empty_tile + 8 * i, 1);
		}
		for (int i = 0; i < HEADS; i++) {
			wg::barrier_init(m.full_head + 8 * i, 1);
			wg::barrier_init(m.empty_head + 8 * i, 2 * GROUP / 32);
		}
	}
	wg::barriers_ready();
	if (threadIdx.x >= 2 * GROUP) {
		if (threadIdx.x == 2 * GROUP)
			bring<W, BACK>(m, z, maps, heads, from, left);
		return;
	}
	wait_for_last();
	struct place<BACK> now(z, from);
	int there = -1;
	for (int i = 0; i < left; i++, now.next(z)) {
		if (now.sums != there) {	/* both groups see all sums come and go */
			if (there >= 0)
				hopper::release(m.empty_head + 8 * (there % HEADS), lane);
			there = now.sums;
			wg::barrier_wait(m.full_head + 8 * (there % HEADS), there / HEADS & 1);
		}
		if (i % 2 == (int)threadIdx.x / GROUP)
			turn<W, BACK>(z, m, memory, start, maps, den, frames, now, i);
	}
#endif
}

} // namespace linear_90
#endif
