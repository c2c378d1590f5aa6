/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions of bf16 numbers, heads of 64, on tensor cores. A tile of queries and a tile of keys meet 127
 * rows of positions; 16 queries (or keys) of it meet 79. Their products with the whole window are made first, and then read
 * shifted, through a strip of shared memory that each warp has for itself. */
#include "kernels/cuda/flash.cuh"
#include "kernels/cuda/relative_attention.cuh"

using namespace flash;

namespace {

enum { W = 64, WINDOW = 128, MEET = 80, LINE = MEET + 1, PART = 32, PART_LINE = 17 };
constexpr uint32_t BYTES = TILE * W * 2, WINDOW_BYTES = WINDOW * W * 2;

/* The rows of p that queries q0 .. and keys k0 .. meet: local row 63 - i + j for query q0 + i, key k0 + j. */
__device__ __forceinline__ void
fetch_window(uint32_t tile, const bf16 *p, int64_t ld, int Y, int q0, int k0)
{
	int base = Y - 1 - (q0 + TILE - 1) + k0;

#pragma unroll
	for (int i = 0; i < WINDOW * W / 8 / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / (W / 8), c = n % (W / 8), at = base + r;
		bool valid = at >= 0 && at < 2 * Y - 1;
		mma::fetch16(mma::at<W>(tile, r, c), p + (valid ? at * ld + 8 * c : 0), valid);
	}
}

__device__ __forceinline__ bool
see_keys(float *seen, const float *mask, int first, int count)
{
	bool any = false;

	if (threadIdx.x < TILE) {
		int j = first + (int)threadIdx.x;
		any = j < count && mask[j] != 0.f;
		seen[threadIdx.x] = any ? 0.f : -INFINITY;
	}
	return __syncthreads_or(any);
}

/* s [16, 64] += the warp's rows of sw times the positions that they meet; strip [16, LINE] is the warp's own. */
__device__ __forceinline__ void
add_positions(float (&s)[8][4], float *strip, uint32_t sw, uint32_t sp, struct lane at)
{
	float c[MEET / 8][4];
	int row = at.id / 4;

	clear<MEET>(c);
#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		uint32_t l[4];
		mma::left<W>(l, sw, 16 * at.warp, k, at.id);
#pragma unroll
		for (int j = 0; j < MEET / 16; j++) {
			uint32_t r[4];
			mma::right<W>(r, sp, 48 - 16 * at.warp + 16 * j, k, at.id);
			mma::product(c[2 * j], l, r[0], r[1]);
			mma::product(c[2 * j + 1], l, r[2], r[3]);
		}
	}
	__syncwarp();
#pragma unroll
	for (int j = 0; j < MEET / 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			strip[(row + 8 * (i / 2)) * LINE + 8 * j + at.col + (i & 1)] = c[j][i];
	__syncwarp();
#pragma unroll
	for (int j = 0; j < 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++) {
			int ii = row + 8 * (i / 2);
			s[j][i] += strip[ii * LINE + 15 - ii + 8 * j + at.col + (i & 1)];
		}
}

__global__ void __launch_bounds__(THREADS, 2)
forward(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float seen[2][TILE], strips[4][16 * LINE];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const bf16 *k = (const bf16 *)x.k + start * z.ld_k + head, *v = (const bf16 *)x.v + start * z.ld_v + head;
	const bf16 *p = (const bf16 *)x.p + head;
	uint32_t su = mma::shared(memory), sw = su + BYTES, sk = sw + BYTES, sv = sk + 2 * BYTES, sp = sv + 2 * BYTES;
	float acc[W / 8][4], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };
	struct lane at = me();

	clear<W>(acc);
	mma::fetch_tile<W, TILE, THREADS>(su, (const bf16 *)x.qu + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sw, (const bf16 *)x.qv + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, z.Y);
	fetch_window(sp, p, z.ld_p, z.Y, first, 0);
	mma::fetch_commit();
	for (int i = 0; i * TILE < z.Y; i++) {
		int next = (i + 1) * TILE;
		uint32_t now = (uint32_t)(i & 1), then = (uint32_t)((i + 1) & 1);
		if (next < z.Y) {
			mma::fetch_tile<W, TILE, THREADS>(sk + then * BYTES, k + next * z.ld_k, z.ld_k, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sv + then * BYTES, v + next * z.ld_v, z.ld_v, z.Y - next);
			fetch_window(sp + then * WINDOW_BYTES, p, z.ld_p, z.Y, first, next);
		}
		mma::fetch_commit();
		mma::fetch_wait<1>();
		if (see_keys(seen[i & 1], x.mask + start, i * TILE, z.Y)) {
			float s[8][4], shrink[2];
			scores<W>(s, su, sk + now * BYTES, 16 * at.warp, at.id);
			add_positions(s, strips[at.warp], sw, sp + now * WINDOW_BYTES, at);
			soften(shrink, top, sum, s, seen[i & 1], false, at, z.scale * LOG2E);
			rescale<W>(acc, shrink);
			accumulate<W>(acc, s, sv + now * BYTES, at.id);
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
	flash::store<W>((bf16 *)x.o + (start + first) * z.ld_o + head, z.ld_o, acc, at, rows, factor[0], factor[1]);
}

/* lse in powers of two and delta of the queries first ...; absent ones get infinity, so that their probabilities are 0. */
__device__ __forceinline__ void
row_facts(float *top, float *delta, const struct relative_sizes &z, const struct relative_pointers &x, int b, int h, int first)
{
	if (threadIdx.x < TILE) {
		int t = first + (int)threadIdx.x;
		int64_t n = ((int64_t)b * z.Y + t) * z.H + h;
		top[threadIdx.x] = t < z.Y ? x.lse[n] * LOG2E : INFINITY;
		delta[threadIdx.x] = t < z.Y ? x.delta[n] : 0.f;
	}
}

/* acc [16, 64] += ds [16, 64], each row shifted, times the positions that it meets. */
__device__ __forceinline__ void
accumulate_positions(float (&acc)[W / 8][4], const float (&ds)[8][4], float *strip, uint32_t sp, struct lane at)
{
	int row = at.id / 4;

	__syncwarp();
#pragma unroll
	for (int j = 0; j < 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			strip[(row + 8 * (i / 2)) * LINE + 8 * j + at.col + (i & 1)] = ds[j][i];
	__syncwarp();
#pragma unroll
	for (int k = 0; k < MEET / 16; k++) {
		uint32_t l[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			int ii = row + 8 * (i & 1), jj = 16 * k + at.col + 8 * (i / 2) - 15 + ii;
			float lo = jj >= 0 && jj < TILE ? strip[ii * LINE + jj] : 0.f;
			float hi = jj + 1 >= 0 && jj + 1 < TILE ? strip[ii * LINE + jj + 1] : 0.f;
			l[i] = pack_bf16(lo, hi);
		}
#pragma unroll
		for (int j = 0; j < W / 16; j++) {
			uint32_t r[4];
			mma::right_across<W>(r, sp, j, 3 - at.warp + k, at.id);
			mma::product(acc[2 * j], l, r[0], r[1]);
			mma::product(acc[2 * j + 1], l, r[2], r[3]);
		}
	}
}

__device__ __forceinline__ void
write_parts(float *to, int64_t ld, const float (&acc)[W / 8][4], struct lane at, int rows)
{
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			if (at.row + 8 * (i / 2) < rows)
				to[(at.row + 8 * (i / 2)) * ld + 8 * j + at.col + (i & 1)] = acc[j][i];
}

__global__ void __launch_bounds__(THREADS, 2)
backward_queries(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float seen[2][TILE], strips[4][16 * LINE], top[TILE], delta[TILE];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const bf16 *k = (const bf16 *)x.k + start * z.ld_k + head, *v = (const bf16 *)x.v + start * z.ld_v + head;
	const bf16 *p = (const bf16 *)x.p + head;
	uint32_t su = mma::shared(memory), sw = su + BYTES, sg = sw + BYTES, sk = sg + BYTES, sv = sk + 2 * BYTES, sp = sv + 2 * BYTES;
	float content[W / 8][4], position[W / 8][4];
	struct lane at = me();

	clear<W>(content);
	clear<W>(position);
	row_facts(top, delta, z, x, b, h, first);
	mma::fetch_tile<W, TILE, THREADS>(su, (const bf16 *)x.qu + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sw, (const bf16 *)x.qv + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sg, (const bf16 *)x.go + (start + first) * z.ld_o + head, z.ld_o, rows);
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, z.Y);
	fetch_window(sp, p, z.ld_p, z.Y, first, 0);
	mma::fetch_commit();
	for (int i = 0; i * TILE < z.Y; i++) {
		int next = (i + 1) * TILE;
		uint32_t now = (uint32_t)(i & 1), then = (uint32_t)((i + 1) & 1);
		if (next < z.Y) {
			mma::fetch_tile<W, TILE, THREADS>(sk + then * BYTES, k + next * z.ld_k, z.ld_k, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sv + then * BYTES, v + next * z.ld_v, z.ld_v, z.Y - next);
			fetch_window(sp + then * WINDOW_BYTES, p, z.ld_p, z.Y, first, next);
		}
		mma::fetch_commit();
		mma::fetch_wait<1>();
		bool any = see_keys(seen[i & 1], x.mask + start, i * TILE, z.Y);
		float s[8][4], g[8][4];
		if (any) {
			scores<W>(s, su, sk + now * BYTES, 16 * at.warp, at.id);
			add_positions(s, strips[at.warp], sw, sp + now * WINDOW_BYTES, at);
			scores<W>(g, sg, sv + now * BYTES, 16 * at.warp, at.id);
#pragma unroll
			for (int j = 0; j < 8; j++)
#pragma unroll
				for (int c = 0; c < 4; c++) {
					int row = at.row + 8 * (c / 2);
					float w = power2(s[j][c] * z.scale * LOG2E + seen[i & 1][8 * j + at.col + (c & 1)] - top[row]);
					g[j][c] = w * (g[j][c] - delta[row]) * z.scale;
				}
			accumulate<W>(content, g, sk + now * BYTES, at.id);
			accumulate_positions(position, g, strips[at.warp], sp + now * WINDOW_BYTES, at);
		} else {
			clear<TILE>(g);
		}
		if (x.ds) {
			float *ds = x.ds + ((int64_t)blockIdx.y * z.Y + first) * z.Y + i * TILE;
#pragma unroll
			for (int j = 0; j < 8; j++)
#pragma unroll
				for (int c = 0; c < 4; c++)
					if (at.row + 8 * (c / 2) < rows && i * TILE + 8 * j + at.col + (c & 1) < z.Y)
						ds[(int64_t)(at.row + 8 * (c / 2)) * z.Y + 8 * j + at.col + (c & 1)] = g[j][c];
		}
		__syncthreads();
	}
	mma::fetch_wait<0>();
	if (x.content) {
		write_parts(x.content + (start + first) * ld + head, ld, content, at, rows);
		write_parts(x.position + (start + first) * ld + head, ld, position, at, rows);
	}
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int c = 0; c < 4; c++)
			content[j][c] += position[j][c];
	flash::store<W>((bf16 *)x.dq + (start + first) * z.ld_q + head, z.ld_q, content, at, rows, 1.f, 1.f);
}

/* s [16 keys, 64 queries] += positions, 16 queries at a time: with 16 keys they meet 31 rows. part [PART, PART_LINE]: the warp's. */
__device__ __forceinline__ void
add_positions_across(float (&s)[8][4], float *part, uint32_t sw, uint32_t sp, struct lane at)
{
	int row = at.id / 4;

#pragma unroll
	for (int u = 0; u < 4; u++) {
		float c[2][2][4] = {};
		int base = 16 * at.warp + 48 - 16 * u;
#pragma unroll
		for (int k = 0; k < W / 16; k++) {
			uint32_t l[4], r[4];
			mma::right<W>(r, sw, 16 * u, k, at.id);
#pragma unroll
			for (int m = 0; m < 2; m++) {
				mma::left<W>(l, sp, base + 16 * m, k, at.id);
				mma::product(c[m][0], l, r[0], r[1]);
				mma::product(c[m][1], l, r[2], r[3]);
			}
		}
		__syncwarp();
#pragma unroll
		for (int m = 0; m < 2; m++)
#pragma unroll
			for (int n = 0; n < 2; n++)
#pragma unroll
				for (int i = 0; i < 4; i++)
					part[(16 * m + row + 8 * (i / 2)) * PART_LINE + 8 * n + at.col + (i & 1)] = c[m][n][i];
		__syncwarp();
#pragma unroll
		for (int n = 0; n < 2; n++)
#pragma unroll
			for (int i = 0; i < 4; i++) {
				int key = row + 8 * (i / 2), query = 8 * n + at.col + (i & 1);
				s[2 * u + n][i] += part[(15 - query + key) * PART_LINE + query];
			}
	}
}

__global__ void __launch_bounds__(THREADS, 2)
backward_keys(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float seen[TILE], parts[4][PART * PART_LINE], top[2][TILE], delta[2][TILE];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int tiles = (z.Y + TILE - 1) / TILE;
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const bf16 *qu = (const bf16 *)x.qu + start * ld + head, *qv = (const bf16 *)x.qv + start * ld + head;
	const bf16 *go = (const bf16 *)x.go + start * z.ld_o + head, *p = (const bf16 *)x.p + head;
	uint32_t sk = mma::shared(memory), sv = sk + BYTES, su = sv + BYTES, sw = su + 2 * BYTES, sg = sw + 2 * BYTES, sp = sg + 2 * BYTES;
	float gk[W / 8][4], gv[W / 8][4];
	struct lane at = me();

	clear<W>(gk);
	clear<W>(gv);
	if (!see_keys(seen, x.mask + start, first, z.Y))
		tiles = 0;
	mma::fetch_tile<W, TILE, THREADS>(sk, (const bf16 *)x.k + (start + first) * z.ld_k + head, z.ld_k, rows);
	mma::fetch_tile<W, TILE, THREADS>(sv, (const bf16 *)x.v + (start + first) * z.ld_v + head, z.ld_v, rows);
	mma::fetch_tile<W, TILE, THREADS>(su, qu, ld, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sw, qv, ld, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sg, go, z.ld_o, z.Y);
	fetch_window(sp, p, z.ld_p, z.Y, 0, first);
	mma::fetch_commit();
	for (int i = 0; i < tiles; i++) {
		int next = (i + 1) * TILE;
		uint32_t now = (uint32_t)(i & 1), then = (uint32_t)((i + 1) & 1);
		float s[8][4], g[8][4];
		if (next < z.Y) {
			mma::fetch_tile<W, TILE, THREADS>(su + then * BYTES, qu + next * ld, ld, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sw + then * BYTES, qv + next * ld, ld, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sg + then * BYTES, go + next * z.ld_o, z.ld_o, z.Y - next);
			fetch_window(sp + then * WINDOW_BYTES, p, z.ld_p, z.Y, next, first);
		}
		mma::fetch_commit();
		row_facts(top[i & 1], delta[i & 1], z, x, b, h, i * TILE);
		mma::fetch_wait<1>();
		__syncthreads();
		scores<W>(s, sk, su + now * BYTES, 16 * at.warp, at.id);
		add_positions_across(s, parts[at.warp], sw + now * BYTES, sp + now * WINDOW_BYTES, at);
#pragma unroll
		for (int j = 0; j < 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				s[j][c] = power2(s[j][c] * z.scale * LOG2E + seen[at.row + 8 * (c / 2)] -
				                top[i & 1][8 * j + at.col + (c & 1)]);
		accumulate<W>(gv, s, sg + now * BYTES, at.id);
		scores<W>(g, sv, sg + now * BYTES, 16 * at.warp, at.id);
#pragma unroll
		for (int j = 0; j < 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				g[j][c] = s[j][c] * (g[j][c] - delta[i & 1][8 * j + at.col + (c & 1)]) * z.scale;
		accumulate<W>(gk, g, su + now * BYTES, at.id);
		__syncthreads();
	}
	mma::fetch_wait<0>();
	flash::store<W>((bf16 *)x.dk + (start + first) * z.ld_k + head, z.ld_k, gk, at, rows, 1.f, 1.f);
	flash::store<W>((bf16 *)x.dv + (start + first) * z.ld_v + head, z.ld_v, gv, at, rows, 1.f, 1.f);
}

} // namespace

void
relative_half_forward(const struct relative_sizes &z, cudaStream_t stream, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, TILE), (unsigned)(z.B * z.H));
	constexpr int bytes = 6 * BYTES + 2 * WINDOW_BYTES;

	cudaFuncSetAttribute(forward, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	forward<<<grid, THREADS, bytes, stream>>>(z, p);
}

void
relative_half_backward(const struct relative_sizes &z, cudaStream_t stream, cudaStream_t beside, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, TILE), (unsigned)(z.B * z.H));
	constexpr int queries = 7 * BYTES + 2 * WINDOW_BYTES, keys = 8 * BYTES + 2 * WINDOW_BYTES;

	cudaFuncSetAttribute(backward_queries, cudaFuncAttributeMaxDynamicSharedMemorySize, queries);
	cudaFuncSetAttribute(backward_keys, cudaFuncAttributeMaxDynamicSharedMemorySize, keys);
	backward_keys<<<grid, THREADS, keys, beside>>>(z, p);
	backward_queries<<<grid, THREADS, queries, stream>>>(z, p);
}
