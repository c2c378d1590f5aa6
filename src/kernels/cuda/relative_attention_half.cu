/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions of bf16 numbers, heads of 64, on tensor cores: forward, and backward once over keys and once
 * over queries. */
#include "kernels/cuda/relative_attention_half.cuh"

using namespace relative;

namespace {

__global__ void __launch_bounds__(THREADS, 3)
forward(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int window = window_of(z.Y, first, 0);
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const bf16 *k = (const bf16 *)x.k + start * z.ld_k + head, *v = (const bf16 *)x.v + start * z.ld_v + head;
	const bf16 *p = (const bf16 *)x.p + head;
	uint32_t su = (mma::shared(memory) + 1023) & ~1023u, sw = su + BYTES, sk = sw + BYTES, sv = sk + 2 * BYTES, sp = sv + 2 * BYTES;
	uint32_t low = sp, high = low + BYTES, after = high + BYTES;
	float acc[W / 8][4], top[2] = { -INFINITY, -INFINITY }, sum[2] = { 0.f, 0.f };
	struct lane at = me();

	clear<W>(acc);
	mma::fetch_tile<W, TILE, THREADS>(su, (const bf16 *)x.qu + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sw, (const bf16 *)x.qv + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, z.Y);
	fetch_positions(low, p, z.ld_p, z.Y, window);
	fetch_positions(high, p, z.ld_p, z.Y, window + TILE);
	mma::fetch_commit();
	for (int i = 0; i * TILE < z.Y; i++) {
		int next = (i + 1) * TILE;
		uint32_t now = (uint32_t)(i & 1), then = (uint32_t)((i + 1) & 1);
		if (next < z.Y) {
			mma::fetch_tile<W, TILE, THREADS>(sk + then * BYTES, k + next * z.ld_k, z.ld_k, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sv + then * BYTES, v + next * z.ld_v, z.ld_v, z.Y - next);
			fetch_positions(after, p, z.ld_p, z.Y, window + next + TILE);
		}
		mma::fetch_commit();
		struct keys seen(x.mask + start, i * TILE, z.Y);
		arrived<1>();
		if (seen.any()) {
			float s[8][4], c[SPAN / 8][4], shrink[2];
			begin_scores(s, su, sk + now * BYTES, at);
			begin_positions(c, sw, { low, high }, at);
			finish<0>();
			ready(s);
			ready(c);
			add_positions(s, c, at);
			seen.hide(s, -INFINITY, at.col);
			soften(shrink, top, sum, s, NULL, true, at, z.scale * LOG2E);
			rescale<W>(acc, shrink);
			begin_product(acc, factor_of(s), sv + now * BYTES, at);
			finish<0>();
			ready(acc);
		}
		__syncthreads();
		uint32_t spare = low;
		low = high, high = after, after = spare;
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

/* acc [16, 64] += ds [16, 64], each row shifted as add_shifted says but the other way, times the positions that it meets. */
__device__ __forceinline__ void
begin_positions_product(float (&acc)[W / 8][4], const struct factor &ds, struct window p, struct lane at)
{
	int on = 7 - at.id / 4, far = on / 2, own = at.id & 3, quad = at.id & ~3;
	int first = quad | ((own - far) & 3), second = quad | ((own - far - 1) & 3);
	bool round = own + far > 3, round2 = own + far > 2;
	uint32_t moved[MEET / 8][2];

#pragma unroll
	for (int h = 0; h < 2; h++) {
		uint32_t before = 0;
		moved[h ? MEET / 8 - 1 : 0][h] = 0;
#pragma unroll
		for (int j = 0; j < 9; j++) {
			uint32_t pair = j < 8 ? ds.l[j % 8 / 2][2 * (j & 1) + h] : 0;
			uint32_t one = __shfl_sync(~0u, round ? before : pair, first);
			uint32_t other = __shfl_sync(~0u, round2 ? before : pair, second);
			moved[j + 1 - h][h] = on & 1 ? __byte_perm(other, one, 0x5432) : one;
			before = pair;
		}
	}
#if HOPPER
	uint32_t l[2 * TILE / 16][4];

#pragma unroll
	for (int k = 0; k < 2 * TILE / 16; k++)
#pragma unroll
		for (int i = 0; i < 4; i++) {
			l[k][i] = 0;
#pragma unroll
			for (int warp = 0; warp < 4; warp++)
				if (k + warp >= 3 && k + warp < 3 + MEET / 16 && warp == at.warp)
					l[k][i] = moved[2 * (k + warp - 3) + i / 2][i & 1];
		}
	wg::begin();
#pragma unroll
	for (int k = 0; k < 2 * TILE / 16; k++)
		wg::product(acc, l[k], wg::across((k < 4 ? p.low : p.high) + k % 4 * STEP, BYTES), 1);
	wg::commit();
#else
#pragma unroll
	for (int k = 0; k < MEET / 16; k++) {
		uint32_t l[4] = { moved[2 * k][0], moved[2 * k][1], moved[2 * k + 1][0], moved[2 * k + 1][1] };
		int step = 3 - at.warp + k;
		uint32_t tile = p.tile(16 * step);
#pragma unroll
		for (int j = 0; j < W / 16; j++) {
			uint32_t r[4];
			mma::right_across<W>(r, tile, j, step, at.id);
			mma::product(acc[2 * j], l, r[0], r[1]);
			mma::product(acc[2 * j + 1], l, r[2], r[3]);
		}
	}
#endif
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

/* PARTS: the content's and the positions' gradients are wanted apart as well. */
template <bool PARTS>
__global__ void __launch_bounds__(THREADS, 2)
backward_queries(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int window = window_of(z.Y, first, 0);
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const bf16 *k = (const bf16 *)x.k + start * z.ld_k + head, *v = (const bf16 *)x.v + start * z.ld_v + head;
	const bf16 *p = (const bf16 *)x.p + head;
	uint32_t su = (mma::shared(memory) + 1023) & ~1023u, sw = su + BYTES, sg = sw + BYTES, sk = sg + BYTES, sv = sk + 2 * BYTES, sp = sv + 2 * BYTES;
	uint32_t low = sp, high = low + BYTES, after = high + BYTES;
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
	mma::fetch_tile<W, TILE, THREADS>(su, (const bf16 *)x.qu + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sw, (const bf16 *)x.qv + (start + first) * ld + head, ld, rows);
	mma::fetch_tile<W, TILE, THREADS>(sg, (const bf16 *)x.go + (start + first) * z.ld_o + head, z.ld_o, rows);
	mma::fetch_tile<W, TILE, THREADS>(sk, k, z.ld_k, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sv, v, z.ld_v, z.Y);
	fetch_positions(low, p, z.ld_p, z.Y, window);
	fetch_positions(high, p, z.ld_p, z.Y, window + TILE);
	mma::fetch_commit();
	for (int i = 0; i * TILE < z.Y; i++) {
		int next = (i + 1) * TILE;
		uint32_t now = (uint32_t)(i & 1), then = (uint32_t)((i + 1) & 1);
		if (next < z.Y) {
			mma::fetch_tile<W, TILE, THREADS>(sk + then * BYTES, k + next * z.ld_k, z.ld_k, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sv + then * BYTES, v + next * z.ld_v, z.ld_v, z.Y - next);
			fetch_positions(after, p, z.ld_p, z.Y, window + next + TILE);
		}
		mma::fetch_commit();
		struct keys seen(x.mask + start, i * TILE, z.Y);
		arrived<1>();
		float s[8][4], g[8][4];
		if (seen.any()) {
			float c[SPAN / 8][4];
			begin_scores(s, su, sk + now * BYTES, at);
			begin_positions(c, sw, { low, high }, at);
			begin_scores(g, sg, sv + now * BYTES, at);
			finish<1>();
			ready(s);
			ready(c);
			add_positions(s, c, at);
			seen.hide(s, -INFINITY, at.col);
#pragma unroll
			for (int j = 0; j < 8; j++)
#pragma unroll
				for (int e = 0; e < 4; e++)
					s[j][e] = power2(s[j][e] * (z.scale * LOG2E) - top[e / 2]) * z.scale;
			finish<0>();
			ready(g);
#pragma unroll
			for (int j = 0; j < 8; j++)
#pragma unroll
				for (int e = 0; e < 4; e++)
					g[j][e] = s[j][e] * (g[j][e] - delta[e / 2]);
			struct factor f = factor_of(g);
			begin_product(content, f, sk + now * BYTES, at);
			if constexpr (PARTS)
				begin_positions_product(position, f, { low, high }, at);
			else
				begin_positions_product(content, f, { low, high }, at);
			finish<0>();
			ready(content);
			if constexpr (PARTS)
				ready(position);
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
		uint32_t spare = low;
		low = high, high = after, after = spare;
	}
	mma::fetch_wait<0>();
	if constexpr (PARTS) {
		write_parts(x.content + (start + first) * ld + head, ld, content, at, rows);
		write_parts(x.position + (start + first) * ld + head, ld, position, at, rows);
#pragma unroll
		for (int j = 0; j < W / 8; j++)
#pragma unroll
			for (int c = 0; c < 4; c++)
				content[j][c] += position[j][c];
	}
	flash::store<W>((bf16 *)x.dq + (start + first) * z.ld_q + head, z.ld_q, content, at, rows, 1.f, 1.f);
}

/* s [16 keys, 64 queries] = positions, 16 queries at a time: with 16 keys they meet 31 rows, of which key i and query j want
 * 15 - j + i. A column's rows are held by the eight lanes that have it: the lane 7 - column on gives, and of the eight rows that
 * follow where the asking lane's count has gone round. */
__device__ __forceinline__ void
positions_across(float (&s)[8][4], uint32_t sw, struct window p, struct lane at)
{
	int row = at.id / 4, from[2];
	bool round[2];

#pragma unroll
	for (int e = 0; e < 2; e++) {
		int on = 7 - at.col - e;
		from[e] = ((row + on) & 7) << 2 | (at.id & 3);
		round[e] = row < on;
	}
#pragma unroll
	for (int u = 0; u < 4; u++) {
		float c[4][2][2] = {};		/* by eight rows, eight queries */
		int base = 16 * at.warp + 48 - 16 * u;
#pragma unroll
		for (int k = 0; k < STEPS; k++) {
			uint32_t l[4], r[4];
			mma::right<W>(r, sw, 16 * u, k, at.id);
#pragma unroll
			for (int m = 0; m < 2; m++) {
				float d[2][4] = { { c[2 * m][0][0], c[2 * m][0][1], c[2 * m + 1][0][0], c[2 * m + 1][0][1] },
					{ c[2 * m][1][0], c[2 * m][1][1], c[2 * m + 1][1][0], c[2 * m + 1][1][1] } };
				mma::left<W>(l, p.tile(base + 16 * m), base + 16 * m, k, at.id);
				mma::product(d[0], l, r[0], r[1]);
				mma::product(d[1], l, r[2], r[3]);
#pragma unroll
				for (int i = 0; i < 8; i++)
					c[2 * m + (i >> 1 & 1)][i >> 2][i & 1] = d[i >> 2][i & 3];
			}
		}
#pragma unroll
		for (int n = 0; n < 2; n++)
#pragma unroll
			for (int i = 0; i < 2; i++)
#pragma unroll
				for (int e = 0; e < 2; e++)
					s[2 * u + n][2 * i + e] =
						__shfl_sync(~0u, round[e] ? c[2 - n + i][n][e] : c[1 - n + i][n][e], from[e]);
	}
}

__global__ void __launch_bounds__(THREADS, 2)
backward_keys(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ __align__(8) float top[2][TILE], delta[2][TILE];
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.Y - first;
	int tiles = (z.Y + TILE - 1) / TILE, window = window_of(z.Y, 0, first);
	int64_t start = (int64_t)b * z.Y, head = (int64_t)h * W, ld = (int64_t)z.H * W;
	const bf16 *qu = (const bf16 *)x.qu + start * ld + head, *qv = (const bf16 *)x.qv + start * ld + head;
	const bf16 *go = (const bf16 *)x.go + start * z.ld_o + head, *p = (const bf16 *)x.p + head;
	uint32_t sk = (mma::shared(memory) + 1023) & ~1023u, sv = sk + BYTES, su = sv + BYTES, sw = su + 2 * BYTES, sg = sw + 2 * BYTES, sp = sg + 2 * BYTES;
	uint32_t low = sp, high = low + BYTES, after = high + BYTES;
	float gk[W / 8][4], gv[W / 8][4];
	struct lane at = me();
	struct keys there(x.mask + start, first, z.Y);
	bool seen[2];

#pragma unroll
	for (int r = 0; r < 2; r++)
		seen[r] = there.bit[at.warp / 2] >> (at.row % 32 + 8 * r) & 1;
	clear<W>(gk);
	clear<W>(gv);
	if (!there.any())
		tiles = 0;
	mma::fetch_tile<W, TILE, THREADS>(sk, (const bf16 *)x.k + (start + first) * z.ld_k + head, z.ld_k, rows);
	mma::fetch_tile<W, TILE, THREADS>(sv, (const bf16 *)x.v + (start + first) * z.ld_v + head, z.ld_v, rows);
	mma::fetch_tile<W, TILE, THREADS>(su, qu, ld, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sw, qv, ld, z.Y);
	mma::fetch_tile<W, TILE, THREADS>(sg, go, z.ld_o, z.Y);
	fetch_positions(low, p, z.ld_p, z.Y, window);
	fetch_positions(high, p, z.ld_p, z.Y, window + TILE);
	mma::fetch_commit();
	for (int i = 0; i < tiles; i++) {
		int next = (i + 1) * TILE;
		uint32_t now = (uint32_t)(i & 1), then = (uint32_t)((i + 1) & 1);
		float s[8][4], g[8][4], position[8][4];
		if (next < z.Y) {
			mma::fetch_tile<W, TILE, THREADS>(su + then * BYTES, qu + next * ld, ld, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sw + then * BYTES, qv + next * ld, ld, z.Y - next);
			mma::fetch_tile<W, TILE, THREADS>(sg + then * BYTES, go + next * z.ld_o, z.ld_o, z.Y - next);
			fetch_positions(after, p, z.ld_p, z.Y, window - next);
		}
		mma::fetch_commit();
		row_facts(top[i & 1], delta[i & 1], z, x, b, h, i * TILE);
		arrived<1>();
		begin_scores(s, sk, su + now * BYTES, at);
		begin_scores(g, sv, sg + now * BYTES, at);
		positions_across(position, sw + now * BYTES, { low, high }, at);
		finish<1>();
		ready(s);
#pragma unroll
		for (int j = 0; j < 8; j++) {
			float2 t = *reinterpret_cast<const float2 *>(top[i & 1] + 8 * j + at.col);
#pragma unroll
			for (int c = 0; c < 4; c++) {
				float x = (s[j][c] + position[j][c]) * (z.scale * LOG2E) - (c & 1 ? t.y : t.x);
				s[j][c] = seen[c / 2] ? power2(x) : 0.f;
			}
		}
		begin_product(gv, factor_of(s), sg + now * BYTES, at);
		finish<1>();
		ready(g);
#pragma unroll
		for (int j = 0; j < 8; j++) {
			float2 d = *reinterpret_cast<const float2 *>(delta[i & 1] + 8 * j + at.col);
#pragma unroll
			for (int c = 0; c < 4; c++)
				g[j][c] = s[j][c] * (g[j][c] - (c & 1 ? d.y : d.x)) * z.scale;
		}
		begin_product(gk, factor_of(g), su + now * BYTES, at);
		finish<0>();
		ready(gv);
		ready(gk);
		__syncthreads();
		uint32_t spare = high;
		high = low, low = after, after = spare;
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
	constexpr int bytes = 1024 + 9 * BYTES;

	cudaFuncSetAttribute(forward, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	forward<<<grid, THREADS, bytes, stream>>>(z, p);
}

void
relative_half_backward(const struct relative_sizes &z, cudaStream_t stream, cudaStream_t beside, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, TILE), (unsigned)(z.B * z.H));
	constexpr int queries = 1024 + 10 * BYTES, keys = 1024 + 11 * BYTES;
	auto queries_of = p.content ? backward_queries<true> : backward_queries<false>;

	cudaFuncSetAttribute(queries_of, cudaFuncAttributeMaxDynamicSharedMemorySize, queries);
	cudaFuncSetAttribute(backward_keys, cudaFuncAttributeMaxDynamicSharedMemorySize, keys);
	backward_keys<<<grid, THREADS, keys, beside>>>(z, p);
	queries_of<<<grid, THREADS, queries, stream>>>(z, p);
}
