/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions of F32 numbers, heads of 64, on tensor cores: forward, and backward once over queries and once
 * over keys.
 *
 * A block has 64 queries (backward over keys: 64 keys), a warp 16 of them, and meets the others 32 at a time: 95 rows of positions,
 * a warp 47 of them. They lie in a ring of 128 rows, of which a step gives up 32 and the next one's 32 arrive. Products with the
 * whole window are made, then read shifted. Biases are added to q as it is read. */
#include "kernels/cuda/flash.cuh"
#include "kernels/cuda/mma32.cuh"
#include "kernels/cuda/relative_attention.cuh"

namespace {

using namespace flash;

enum { W = 64, PART = 32, STEPS = W / 8, MEET = PART + 16, RING = 128 };	/* PART: rows of a step */
constexpr uint32_t LINE = W * sizeof(float), BYTES = TILE * LINE, HALF = PART * LINE;

/* Row of the ring, a multiple of 8, as a tile's first. */
__device__ __forceinline__ uint32_t
ring_row(uint32_t ring, int row)
{
	return ring + (uint32_t)(row & (RING - 1)) * LINE;
}

/* 32 rows of p from row first on; there are 2 Y - 1. */
__device__ __forceinline__ void
fetch_positions(uint32_t tile, const float *p, int64_t ld, int Y, int first)
{
#pragma unroll
	for (int i = 0; i < PART * W / 4 / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / (W / 4), c = n % (W / 4), at = first + r;
		bool valid = at >= 0 && at < 2 * Y - 1;
		mma::fetch16(mma32::at<W>(tile, r, c), p + (valid ? at * ld + 4 * c : 0), valid);
	}
}

/* The head's two biases, one behind the other. */
__device__ __forceinline__ void
fetch_biases(float *bias, const struct relative_pointers &x, int64_t head)
{
	if (threadIdx.x < 2 * W)
		bias[threadIdx.x] = threadIdx.x < W ? x.bu[head + threadIdx.x] : x.bv[head + threadIdx.x - W];
}

/* Which of the keys first .. + 31 are there. */
__device__ __forceinline__ uint32_t
keys_there(const float *mask, int first, int count, int lane)
{
	return __ballot_sync(~0u, first + lane < count && mask[first + lane] != 0.f);
}

/* Left factors of q's rows plus each bias: columns 8 step .. + 7. */
template <bool SPLIT>
__device__ __forceinline__ void
left_biased(mma32::left_factor<SPLIT> &u, mma32::left_factor<SPLIT> &v, uint32_t q, int row, int step, const float *bias, int lane)
{
	uint32_t x[4];

	mma::load(x, mma32::at<W>(q, row + (lane & 15), 2 * step + (lane >> 4)));
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int column = 8 * step + (lane & 3) + 4 * (i / 2);
		u.set(i, __uint_as_float(x[i]) + bias[column]);
		v.set(i, __uint_as_float(x[i]) + bias[W + column]);
	}
}

/* Right factors that are the transpose of q's rows row .. + 15 plus each bias. */
template <bool SPLIT>
__device__ __forceinline__ void
right_biased(mma32::right_factor<SPLIT> (&u)[2], mma32::right_factor<SPLIT> (&v)[2], uint32_t q, int row, int step, const float *bias,
             int lane)
{
	uint32_t x[4];

	mma::load(x, mma32::at<W>(q, row + (lane & 7) + 8 * (lane >> 4), 2 * step + ((lane >> 3) & 1)));
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int column = 8 * step + (lane & 3) + 4 * (i % 2);
		u[i / 2].set(i % 2, __uint_as_float(x[i]) + bias[column]);
		v[i / 2].set(i % 2, __uint_as_float(x[i]) + bias[W + column]);
	}
}

/* Part 0, 1 or 2 of c += a b: the two small products when split, and the great one. Products take turns by parts, so that none waits
 * for the one before. */
template <bool SPLIT>
__device__ __forceinline__ void
part_of(float (&c)[4], int part, const mma32::left_factor<SPLIT> &a, const mma32::right_factor<SPLIT> &b)
{
	if constexpr (SPLIT) {
		if (part == 0)
			mma32::product(c, a.lo, b.hi);
		if (part == 1)
			mma32::product(c, a.hi, b.lo);
	}
	if (part == 2)
		mma32::product(c, a.hi, b.hi);
}

/* c[i] += a b[i] */
template <bool SPLIT, int N>
__device__ __forceinline__ void
products(float (*c)[4], const mma32::left_factor<SPLIT> &a, const mma32::right_factor<SPLIT> (&b)[N][2])
{
#pragma unroll
	for (int part = 0; part < 3; part++)
#pragma unroll
		for (int i = 0; i < 2 * N; i++)
			part_of<SPLIT>(c[i], part, a, b[i / 2][i % 2]);
}

/* s [16, 32] = rows row .. + 15 of tile a times the transpose of tile b. */
template <bool SPLIT>
__device__ __forceinline__ void
scores_of(float (&s)[PART / 8][4], uint32_t a, uint32_t b, int row, int lane)
{
	clear<PART>(s);
#pragma unroll
	for (int k = 0; k < STEPS; k++) {
		auto l = mma32::left<W, SPLIT>(a, row, k, lane);
		mma32::right_factor<SPLIT> r[PART / 16][2];
#pragma unroll
		for (int j = 0; j < PART / 16; j++)
			mma32::right<W, SPLIT>(r[j], b, 16 * j, k, lane);
		products<SPLIT>(s, l, r);
	}
}

/* s [16, 32] += c [16, 48], each row from its own column on: of query i column 15 - i + j belongs to key j, that is 8 and 7 - row
 * columns on for the first eight queries, 7 - row for the others. A lane asks the one of its quad that has the column, which gives
 * of the eight columns that follow where the asking lane's count has gone round. */
__device__ __forceinline__ void
add_shifted(float (&s)[PART / 8][4], const float (&c)[MEET / 8][4], struct lane at)
{
	int on = 7 - at.id / 4;
	bool odd = on & 1;

#pragma unroll
	for (int e = 0; e < 2; e++) {
		int from = (at.id & ~3) | ((at.col + e + on) & 7) >> 1;
		bool round = at.col + (odd ? 1 - e : e) < on;
#pragma unroll
		for (int h = 0; h < 2; h++)
#pragma unroll
			for (int j = 0; j < PART / 8; j++) {
				const float (&here)[4] = c[j + 1 - h], (&behind)[4] = c[j + 2 - h];
				float even = round ? behind[2 * h + e] : here[2 * h + e];
				float other = round ? behind[2 * h + 1 - e] : here[2 * h + 1 - e];
				s[j][2 * h + e] += __shfl_sync(~0u, odd ? other : even, from);
			}
	}
}

/* c [16, 48] = s [16, 32], each row shifted the other way, zeros beside it. */
__device__ __forceinline__ void
shift_back(float (&c)[MEET / 8][4], const float (&s)[PART / 8][4], struct lane at)
{
	int on = 7 - at.id / 4;
	bool odd = on & 1;

#pragma unroll
	for (int e = 0; e < 2; e++) {
		int from = (at.id & ~3) | ((at.col + e - on) & 7) >> 1;
		bool round = at.col + (odd ? 1 - e : e) + on > 7;
#pragma unroll
		for (int h = 0; h < 2; h++) {
			float before = 0.f;
			c[h ? MEET / 8 - 1 : 0][2 * h + e] = 0.f;
#pragma unroll
			for (int j = 0; j < PART / 8 + 1; j++) {
				float now = 0.f;
				if (j < PART / 8)
					now = odd ? s[j % (PART / 8)][2 * h + 1 - e] : s[j % (PART / 8)][2 * h + e];
				c[j + 1 - h][2 * h + e] = __shfl_sync(~0u, round ? before : now, from);
				before = now;
			}
		}
	}
}

/* s [16, 32] = the warp's queries times keys and times the positions they meet, of which row `window` of the ring is the first. */
template <bool SPLIT>
__device__ __forceinline__ void
scores_with_positions(float (&s)[PART / 8][4], uint32_t q, const float *bias, uint32_t k, uint32_t ring, int window, struct lane at)
{
	float c[MEET / 8][4];

	clear<PART>(s);
	clear<MEET>(c);
#pragma unroll 2
	for (int i = 0; i < STEPS; i++) {
		mma32::left_factor<SPLIT> u, v;
		mma32::right_factor<SPLIT> r[PART / 16][2], m[MEET / 16][2];
		left_biased<SPLIT>(u, v, q, 16 * at.warp, i, bias, at.id);
#pragma unroll
		for (int j = 0; j < PART / 16; j++)
			mma32::right<W, SPLIT>(r[j], k, 16 * j, i, at.id);
		products<SPLIT>(s, u, r);
#pragma unroll
		for (int j = 0; j < MEET / 16; j++)
			mma32::right<W, SPLIT>(m[j], ring_row(ring, window + 16 * j), 0, i, at.id);
		products<SPLIT>(c, v, m);
	}
	add_shifted(s, c, at);
}

/* acc [16, 64] += s [16, 8 N] times 8 N rows, of which tile_of gives where each eight begin. Tensor cores cut what they add up,
 * where others round: a step's sum is made apart, so that long ones do not shrink. Of two neighbours in acc the first has the even
 * columns of 16, the second the odd ones. */
template <bool SPLIT, int N, class F>
__device__ __forceinline__ void
accumulate_rows(float (&acc)[W / 8][4], const float (&s)[N][4], F tile_of, int lane)
{
	float sum[W / 8][4];

	clear<W>(sum);
#pragma unroll
	for (int k = 0; k < N; k++) {
		auto l = mma32::left_of<SPLIT>(s[k]);
#pragma unroll
		for (int j = 0; j < W / 8; j += 4) {
			mma32::right_factor<SPLIT> r[2][2];
#pragma unroll
			for (int i = 0; i < 2; i++)
				mma32::right_across_pair<W>(r[i], tile_of(k), j / 2 + i, 0, lane);
			products<SPLIT>(sum + j, l, r);
		}
	}
#pragma unroll
	for (int j = 0; j < W / 8; j++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			acc[j][i] += sum[j][i];
}

/* Rows row and row + 8 of what was accumulated, scaled, to numbers ld apart. */
__device__ __forceinline__ void
write_rows(float *to, int64_t ld, const float (&acc)[W / 8][4], struct lane at, int rows, float first, float second)
{
#pragma unroll
	for (int r = 0; r < 2; r++)
#pragma unroll
		for (int j = 0; j < W / 8; j += 2) {
			float4 *p = reinterpret_cast<float4 *>(to + (at.row + 8 * r) * ld + 8 * j + 2 * at.col);
			float f = r ? second : first;
			if (at.row + 8 * r < rows)
				*p = make_float4(acc[j][2 * r] * f, acc[j + 1][2 * r] * f, acc[j][2 * r + 1] * f, acc[j + 1][2 * r + 1] * f);
		}
}

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
