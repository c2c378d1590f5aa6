/* SPDX-License-Identifier: Apache-2.0 */
/* Linear attention of f32 numbers on tensor cores, in three steps: parts of the frames sum k^T v (backward: q^T go / den as
 * well), the parts are added in their order, tiles of frames are multiplied by the sums. SPLIT: see mma32.cuh. den, z and what
 * they weigh are f32 of plain sums. */
#include "kernels/cuda/linear_attention_32.cuh"

namespace {

using namespace linear32;
using namespace linear;

template <int W>
struct apply_stage {
	float a[TILE * W], den[TILE], delta[TILE];
};

struct apply_side {
	int what, round;		/* round: whose sums */
	bool across;			/* product by the sums' transpose */
	const float *a;
	float *out;
	int64_t ld_a, ld_out;
};

struct apply_sides {
	struct apply_side side[3];
	int n;
};

/* Blocks of apply on a multiprocessor, as registers let it. */
template <int W, bool SPLIT>
constexpr int
blocks_of()
{
	return SPLIT && W == 128 ? 1 : 2;
}

/* Frames' sums over c of a[c] z[c]: four rows of a warp at a time, a lane every eighth chunk of one. */
template <int W>
__device__ __forceinline__ void
row_sums(float *to, const float *tile, const float *z, int warp, int lane)
{
	constexpr int EACH = TILE / (W / 16);

#pragma unroll
	for (int first = 0; first < EACH; first += 4) {
		int r = EACH * warp + first + lane / 8;
		float sum = 0.f;
#pragma unroll
		for (int i = 0; i < W / 32; i++) {
			int c = 8 * i + lane % 8;
			float4 v = *reinterpret_cast<const float4 *>(tile + r * W + 4 * (c ^ (r & 7)));
			float4 w = *reinterpret_cast<const float4 *>(z + 4 * c);
			sum += v.x * w.x + v.y * w.y + (v.z * w.z + v.w * w.w);
		}
		sum += __shfl_xor_sync(~0u, sum, 1);
		sum += __shfl_xor_sync(~0u, sum, 2);
		sum += __shfl_xor_sync(~0u, sum, 4);
		if (lane % 8 == 0)
			to[r] = sum + 1e-15f;
	}
}

/* The sums as a warp's right factors of 16 columns, two a step. Column n of 8-column block j is column 4 (n / 2) + 2 j + n % 2
 * of them: a lane then has 4 neighbours of a result. */
template <int W, bool ACROSS>
__device__ __forceinline__ void
keep_sums(float (&kept)[W / 8][2][2], const float *sum, int warp, int lane)
{
	constexpr int ALONG = ACROSS ? 1 : W, ASIDE = ACROSS ? W : 1;
	int n = lane / 4;
	const float *from = sum + (lane & 3) * ALONG + (16 * warp + 4 * (n / 2) + n % 2) * ASIDE;

#pragma unroll
	for (int k = 0; k < W / 8; k++)
#pragma unroll
		for (int i = 0; i < 4; i++)
			kept[k][i / 2][i % 2] = from[(8 * k + 4 * (i % 2)) * ALONG + 2 * (i / 2) * ASIDE];
}

template <bool SPLIT>
__device__ __forceinline__ mma32::right_factor<SPLIT>
right_of(const float (&kept)[2])
{
	mma32::right_factor<SPLIT> f;

#pragma unroll
	for (int i = 0; i < 2; i++)
		f.set(i, kept[i]);
	return f;
}

/* The warp's 16 columns of rows row .. + 16 M - 1 of the tile, four a lane in rows lane / 4 and + 8 of each 16. SPLIT: sums as in
 * sum_frames, of 32 numbers. */
template <int W, int M, bool SPLIT>
__device__ __forceinline__ void
times_sums(float (&y)[M][2][4], const float (&kept)[W / 8][2][2], uint32_t tile, int row, int lane)
{
	constexpr int STEPS = SPLIT ? 4 : W / 8;
	float acc[M][2][4] = {};

#pragma unroll
	for (int some = 0; some < W / 8; some += STEPS) {
		float c[M][2][4] = {};
#pragma unroll
		for (int k = some; k < some + STEPS; k++) {
			mma32::right_factor<SPLIT> r[2] = { right_of<SPLIT>(kept[k][0]), right_of<SPLIT>(kept[k][1]) };
#pragma unroll
			for (int m = 0; m < M; m++) {
				mma32::left_factor<SPLIT> l = mma32::left<W, SPLIT>(tile, row + 16 * m, k, lane);
				mma32::product<SPLIT>(c[m][0], l, r[0]);
				mma32::product<SPLIT>(c[m][1], l, r[1]);
			}
		}
#pragma unroll
		for (int i = 0; i < 8 * M; i++)
			acc[i / 8][i / 4 % 2][i % 4] += c[i / 8][i / 4 % 2][i % 4];
	}
#pragma unroll
	for (int i = 0; i < 8 * M; i++)
		y[i / 8][i / 4 % 2][i % 4] = acc[i / 8][i / 2 % 2][2 * (i / 4 % 2) + i % 2];
}

template <int W, bool BACK>
__device__ __forceinline__ void
fetch_place(struct apply_stage<W> *s, const struct linear_sizes &z, const struct apply_sides &sides, const struct place<TILE> &at,
            const float *den, const float *delta)
{
	const struct apply_side &side = sides.side[at.side];
	int64_t frame = at.frame(z);

	mma32::fetch_tile<W, TILE, 2 * W>(mma::shared(s->a), side.a + frame * side.ld_a + at.h * W, side.ld_a, z.T - at.first);
	if (BACK && side.what == QUERIES)
		fetch_frames<TILE>(s->den, s->delta, den + frame * z.H + at.h, delta + frame * z.H + at.h, z.H, z.T - at.first);
}

/* Each block takes a run of all sides' heads' tiles and keeps the sums in registers while the head stays. */
template <int W, bool BACK, bool SPLIT>
__global__ void __launch_bounds__(2 * W, blocks_of<W, SPLIT>())
apply(struct linear_sizes z, const __grid_constant__ struct apply_sides sides, float *den, const float *delta, const struct sums<W> *heads)
{
	constexpr int M = SPLIT ? 2 : 1;	/* a split factor serves two products, and others need few registers */
	extern __shared__ __align__(128) unsigned char memory[];
	struct apply_stage<W> *stages = reinterpret_cast<struct apply_stage<W> *>(memory);
	int64_t total = (int64_t)sides.n * z.B * z.H * ((z.T + TILE - 1) / TILE);
	int from = (int)(total * blockIdx.x / gridDim.x), to = (int)(total * (blockIdx.x + 1) / gridDim.x);
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, column = 16 * warp + 4 * (lane % 4);
	float kept[W / 8][2][2];

	auto fetch = [&](int u) {
		if (u < to)
			fetch_place<W, BACK>(stages + (u - from) % STAGES, z, sides, place<TILE>(z, u), den, delta);
		mma::fetch_commit();
	};
	for (int i = 0; i < STAGES - 1; i++)
		fetch(from + i);
	for (int u = from; u < to; u++) {
		struct apply_stage<W> *s = stages + (u - from) % STAGES;
		struct place<TILE> at(z, u);
		const struct apply_side &side = sides.side[at.side];
		const struct sums<W> *mine = heads + ((int64_t)side.round * z.B + at.n) * z.H + at.h;
		int64_t frame = at.frame(z);
		int rows = z.T - at.first, what = BACK ? side.what : OUTPUTS;
		mma::fetch_wait<STAGES - 2>();
		__syncthreads();
		fetch(u + STAGES - 1);
		if (u == from || at.first == 0) {
			if (BACK && side.across)
				keep_sums<W, true>(kept, mine->sum, warp, lane);
			else
				keep_sums<W, false>(kept, mine->sum, warp, lane);
		}
		if (!BACK) {
			row_sums<W>(s->den, s->a, mine->z, warp, lane);
			__syncthreads();
			if ((int)threadIdx.x < min((int)TILE, rows))
				den[(frame + threadIdx.x) * z.H + at.h] = s->den[threadIdx.x];
		}
		float *out = side.out + frame * side.ld_out + at.h * W + column;
#pragma unroll 1
		for (int first = 0; first < TILE; first += 16 * M) {
			float y[M][2][4];
			float4 zs = {};
			times_sums<W, M, SPLIT>(y, kept, mma::shared(s->a), first, lane);
			if (what == QUERIES || what == KEYS)
				zs = *reinterpret_cast<const float4 *>(mine->z + column);
#pragma unroll
			for (int m = 0; m < 2 * M; m++) {
				int row = first + 8 * m + lane / 4;
				float factor = 1.f, weight = what == KEYS ? 1.f : 0.f, *x = y[m / 2][m % 2];
				if (row >= rows)
					continue;
				if (what == OUTPUTS || what == QUERIES)
					factor = 1.f / s->den[row];
				if (what == QUERIES)
					weight = -s->delta[row];
				*reinterpret_cast<float4 *>(out + row * side.ld_out) =
					make_float4(fmaf(weight, zs.x, x[0]) * factor, fmaf(weight, zs.y, x[1]) * factor,
				                    fmaf(weight, zs.z, x[2]) * factor, fmaf(weight, zs.w, x[3]) * factor);
			}
		}
	}
	mma::fetch_wait<0>();
}

/* Scratch: heads of each round, then their parts. */
template <int W>
size_t
scratch_of(const struct linear_sizes *z, bool backward)
{
	return (backward ? 2 : 1) * (size_t)z->B * (size_t)z->H * (1 + (size_t)z->splits) * sizeof(struct sums<W>);
}

template <int W, bool BACK, bool SPLIT>
void
run(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p, const struct apply_sides &what)
{
	constexpr int SUM_BYTES = STAGES * (int)sizeof(struct sum_stage<W>), BYTES = STAGES * (int)sizeof(struct apply_stage<W>);
	int heads = z.B * z.H, rounds = BACK ? 2 : 1, tiles = (z.T + TILE - 1) / TILE * heads * what.n;
	struct sums<W> *all = (struct sums<W> *)p.scratch, *parts = all + rounds * heads;
	struct sum_side kv = { (const float *)p.k, (const float *)p.v, z.ld_k, z.ld_v };
	struct sum_side grads = { (const float *)p.q, (const float *)p.go, z.ld_q, z.ld_o };
	dim3 by_part((unsigned)z.splits, (unsigned)heads, (unsigned)rounds);
	dim3 by_head(cuda_blocks(sizeof(struct sums<W>) / 16, ADD_THREADS), (unsigned)(heads * rounds));
	int most = blocks_of<W, SPLIT>() * z.processors, blocks = tiles < most ? tiles : most;

	cudaFuncSetAttribute(sum_part<W, SPLIT>, cudaFuncAttributeMaxDynamicSharedMemorySize, SUM_BYTES);
	sum_part<W, SPLIT><<<by_part, 4 * W, SUM_BYTES, stream>>>(z, parts, kv, grads, p.den, p.delta);
	add_parts<W><<<by_head, ADD_THREADS, 0, stream>>>(z, all, parts);
	cudaFuncSetAttribute(apply<W, BACK, SPLIT>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	apply<W, BACK, SPLIT><<<(unsigned)blocks, 2 * W, BYTES, stream>>>(z, what, p.den, p.delta, all);
}

template <int W, bool SPLIT>
void
forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	struct apply_sides what = { { { OUTPUTS, 0, false, (const float *)p.q, (float *)p.o, z.ld_q, z.ld_o } }, 1 };

	run<W, false, SPLIT>(z, stream, p, what);
}

/* dq = (go KV^T - delta z) / den, dk = v dKV^T + dz, dv = k dKV */
template <int W, bool SPLIT>
void
backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	struct apply_sides what = { { { QUERIES, 0, true, (const float *)p.go, (float *)p.dq, z.ld_o, z.ld_q },
		                      { KEYS, 1, true, (const float *)p.v, (float *)p.dk, z.ld_v, z.ld_k },
		                      { VALUES, 1, false, (const float *)p.k, (float *)p.dv, z.ld_k, z.ld_v } },
		                    3 };

	run<W, true, SPLIT>(z, stream, p, what);
}

} // namespace

bool
linear_32_can(const struct linear_sizes &z, const struct linear_pointers &p)
{
	const void *rows[] = { p.q, p.k, p.v, p.go, p.o, p.dq, p.dk, p.dv };
	uintptr_t at = 0;

	for (const void *x : rows)
		at |= (uintptr_t)x;
	return (z.w == 64 || z.w == 128) && at % 16 == 0 && (z.ld_q | z.ld_k | z.ld_v | z.ld_o) % 4 == 0;
}

size_t
linear_32_scratch(const struct linear_sizes *z, bool backward)
{
	return z->w == 64 ? scratch_of<64>(z, backward) : scratch_of<128>(z, backward);
}

void
linear_32_forward(const struct linear_sizes &z, bool split, cudaStream_t stream, const struct linear_pointers &p)
{
	if (z.w == 64)
		split ? forward<64, true>(z, stream, p) : forward<64, false>(z, stream, p);
	else
		split ? forward<128, true>(z, stream, p) : forward<128, false>(z, stream, p);
}

void
linear_32_backward(const struct linear_sizes &z, bool split, cudaStream_t stream, const struct linear_pointers &p)
{
	if (z.w == 64)
		split ? backward<64, true>(z, stream, p) : backward<64, false>(z, stream, p);
	else
		split ? backward<128, true>(z, stream, p) : backward<128, false>(z, stream, p);
}
