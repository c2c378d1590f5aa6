/* SPDX-License-Identifier: Apache-2.0 */
/* Linear attention of bf16 numbers on tensor cores, in three steps: parts of the frames sum k^T v in f32 (backward: q^T do / den
 * as well), the parts are added in their order, tiles of frames are multiplied by the sums. The sums go into the last products
 * as two bf16 numbers each, so that they keep the precision of 16 bits and more (transformer.md section 7 wants f32). */
#include "kernels/cuda/linear_attention.cuh"
#include "kernels/cuda/mma.cuh"

namespace {

enum { TILE = 64, SUM_THREADS = 256 };

/* Scratch of one head, in order: sums hi and lo [W, W] bf16 x 2, z [W] f32, padded to 16 bytes. */
template <int W>
struct head {
	bf16 hi[W * W], lo[W * W];
	float z[W];
};

template <int W>
struct part {
	float sum[W * W], z[W];
};

__device__ __forceinline__ float2
pair(uint32_t x)
{
	float2 v;

	unpack_bf16(x, v.x, v.y);
	return v;
}

/* Multiply the rows of a tile by factor[row]. */
template <int W, int THREADS>
__device__ __forceinline__ void
scale_rows(unsigned char *tile, const float *factor)
{
#pragma unroll
	for (int i = 0; i < TILE * W / 8 / THREADS; i++) {
		int n = (int)threadIdx.x + i * THREADS, r = n / (W / 8), c = n % (W / 8);
		uint4 *at = reinterpret_cast<uint4 *>(tile + r * W * 2 + ((c ^ (r & 7)) << 4));
		uint4 x = *at;
		uint32_t *word = reinterpret_cast<uint32_t *>(&x);
#pragma unroll
		for (int j = 0; j < 4; j++) {
			float2 f = pair(word[j]);
			word[j] = pack_bf16(f.x * factor[r], f.y * factor[r]);
		}
		*at = x;
	}
}

/* sum [W, W] = a^T b over the part's frames, z = a^T weight. Forward: a = k, b = v, weight 1. Gradients: a = q, b = go / den,
 * weight -delta / den. */
template <int W, bool GRADS>
__global__ void __launch_bounds__(2 * W)
sum_part(struct linear_sizes z, struct part<W> *out, const bf16 *a, int64_t ld_a, const bf16 *b, int64_t ld_b,
         const float *den, const float *delta)
{
	constexpr int THREADS = 2 * W;
	constexpr uint32_t BYTES = TILE * W * 2;
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float factor[TILE], weight[TILE];
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31;
	int from = (int)blockIdx.x * z.rows, to = min(z.T, from + z.rows), tiles = (to - from + TILE - 1) / TILE;
	uint32_t sa = mma::shared(memory), sb = sa + 2 * BYTES;
	float acc[W / 8][4], sums[2] = { 0.f, 0.f };

	a += (int64_t)n * z.T * ld_a + (int64_t)h * W;
	b += (int64_t)n * z.T * ld_b + (int64_t)h * W;
#pragma unroll
	for (int j = 0; j < W / 8; j++)
		acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
	if (tiles > 0) {
		mma::fetch_tile<W, TILE, THREADS>(sa, a + from * ld_a, ld_a, to - from);
		mma::fetch_tile<W, TILE, THREADS>(sb, b + from * ld_b, ld_b, to - from);
	}
	mma::fetch_commit();
	for (int i = 0; i < tiles; i++) {
		int first = from + i * TILE, next = first + TILE;
		uint32_t off = (uint32_t)(i & 1) * BYTES, ta = sa + off, tb = sb + off;
		if (next < to) {
			uint32_t other = (uint32_t)((i + 1) & 1) * BYTES;
			mma::fetch_tile<W, TILE, THREADS>(sa + other, a + next * ld_a, ld_a, to - next);
			mma::fetch_tile<W, TILE, THREADS>(sb + other, b + next * ld_b, ld_b, to - next);
		}
		mma::fetch_commit();
		if (GRADS && threadIdx.x < TILE) {
			int t = first + (int)threadIdx.x;
			int64_t at = ((int64_t)n * z.T + t) * z.H + h;
			factor[threadIdx.x] = t < to ? 1.f / den[at] : 0.f;
			weight[threadIdx.x] = t < to ? -delta[at] / den[at] : 0.f;
		}
		mma::fetch_wait<1>();
		__syncthreads();
		if (GRADS) {
			scale_rows<W, THREADS>(memory + 2 * BYTES + off, factor);
			__syncthreads();
		}
#pragma unroll
		for (int k = 0; k < TILE / 16; k++) {
			uint32_t l[4];
			mma::left_across<W>(l, ta, 2 * warp, k, lane);
#pragma unroll
			for (int i4 = 0; i4 < 4; i4++) {	/* i4: rows l/4 (+8 for odd), frames 2 (l%4) (+8 from 2 on) */
				float2 x = pair(l[i4]);
				int t = 16 * k + 2 * (lane % 4) + 8 * (i4 / 2);
				sums[i4 & 1] += GRADS ? x.x * weight[t] + x.y * weight[t + 1] : x.x + x.y;
			}
#pragma unroll
			for (int j = 0; j < W / 16; j++) {
				uint32_t r[4];
				mma::right_across<W>(r, tb, j, k, lane);
				mma::product(acc[2 * j], l, r[0], r[1]);
				mma::product(acc[2 * j + 1], l, r[2], r[3]);
			}
		}
		__syncthreads();
	}
	mma::fetch_wait<0>();
	struct part<W> *mine = out + (int64_t)blockIdx.y * z.splits + blockIdx.x;
	int row = 16 * warp + lane / 4;
#pragma unroll
	for (int r = 0; r < 2; r++) {
		sums[r] += __shfl_xor_sync(~0u, sums[r], 1);
		sums[r] += __shfl_xor_sync(~0u, sums[r], 2);
		if (lane % 4 == 0)
			mine->z[row + 8 * r] = sums[r];
#pragma unroll
		for (int j = 0; j < W / 8; j++)
			*reinterpret_cast<float2 *>(&mine->sum[(row + 8 * r) * W + 8 * j + 2 * (lane % 4)]) =
				make_float2(acc[j][2 * r], acc[j][2 * r + 1]);
	}
}

/* Add the parts of a head, in order; grid.y: heads, two rounds of them where gradients are summed too. */
template <int W>
__global__ void __launch_bounds__(SUM_THREADS)
add_parts(struct linear_sizes z, struct head<W> *out, const struct part<W> *in)
{
	int i = (int)(blockIdx.x * SUM_THREADS + threadIdx.x) * 4;
	const struct part<W> *p = in + (int64_t)blockIdx.y * z.splits;
	struct head<W> *to = out + blockIdx.y;
	float4 s = make_float4(0.f, 0.f, 0.f, 0.f);

	if (i >= W * W + W)
		return;
	for (int n = 0; n < z.splits; n++) {
		float4 x = *reinterpret_cast<const float4 *>(p[n].sum + i);	/* z lies behind sum */
		s.x += x.x, s.y += x.y, s.z += x.z, s.w += x.w;
	}
	if (i >= W * W) {
		*reinterpret_cast<float4 *>(to->z + i - W * W) = s;
		return;
	}
	float v[4] = { s.x, s.y, s.z, s.w }, high[4];
#pragma unroll
	for (int j = 0; j < 4; j++)
		high[j] = __bfloat162float(__float2bfloat16(v[j]));
	*reinterpret_cast<uint2 *>(to->hi + i) = make_uint2(pack_bf16(high[0], high[1]), pack_bf16(high[2], high[3]));
	*reinterpret_cast<uint2 *>(to->lo + i) =
		make_uint2(pack_bf16(v[0] - high[0], v[1] - high[1]), pack_bf16(v[2] - high[2], v[3] - high[3]));
}

/* acc [16, W] of the warp's rows of tile times the sums, or (ACROSS) times their transpose. */
template <int W, bool ACROSS>
__device__ __forceinline__ void
times_sums(float (&acc)[W / 8][4], uint32_t tile, uint32_t sums, int warp, int lane)
{
#pragma unroll
	for (int j = 0; j < W / 8; j++)
		acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		uint32_t l[4];
		mma::left<W>(l, tile, 16 * warp, k, lane);
#pragma unroll
		for (int j = 0; j < W / 16; j++) {
			uint32_t hi[4], lo[4];
			if (ACROSS) {
				mma::right<W>(hi, sums, 16 * j, k, lane);
				mma::right<W>(lo, sums + W * W * 2, 16 * j, k, lane);
			} else {
				mma::right_across<W>(hi, sums, j, k, lane);
				mma::right_across<W>(lo, sums + W * W * 2, j, k, lane);
			}
			mma::product(acc[2 * j], l, lo[0], lo[1]);
			mma::product(acc[2 * j + 1], l, lo[2], lo[3]);
			mma::product(acc[2 * j], l, hi[0], hi[1]);
			mma::product(acc[2 * j + 1], l, hi[2], hi[3]);
		}
	}
}

template <int W>
__device__ __forceinline__ void
store(bf16 *to, int64_t ld, const float (&acc)[W / 8][4], int row, int col, int rows)
{
#pragma unroll
	for (int r = 0; r < 2; r++)
		if (row + 8 * r < rows)
#pragma unroll
			for (int j = 0; j < W / 8; j++)
				*reinterpret_cast<uint32_t *>(to + (int64_t)(row + 8 * r) * ld + 8 * j + col) =
					pack_bf16(acc[j][2 * r], acc[j][2 * r + 1]);
}

/* Both halves of a head's sums to shared memory, as two tiles [W, W]. */
template <int W>
__device__ __forceinline__ void
fetch_sums(uint32_t to, const struct head<W> *h)
{
	mma::fetch_tile<W, W, 128>(to, h->hi, W, W);
	mma::fetch_tile<W, W, 128>(to + W * W * 2, h->lo, W, W);
}

template <int W>
__global__ void __launch_bounds__(128)
outputs(struct linear_sizes z, bf16 *o, float *den, const bf16 *q, const struct head<W> *sums)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float sz[W];
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.T - first;
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, row = 16 * warp + lane / 4, col = 2 * (lane % 4);
	uint32_t sq = mma::shared(memory), ss = sq + TILE * W * 2;
	float acc[W / 8][4], below[2] = { 0.f, 0.f };

	sums += blockIdx.y;
	mma::fetch_tile<W, TILE, 128>(sq, q + ((int64_t)n * z.T + first) * z.ld_q + (int64_t)h * W, z.ld_q, rows);
	fetch_sums<W>(ss, sums);
	mma::fetch_commit();
	if (threadIdx.x < W)
		sz[threadIdx.x] = sums->z[threadIdx.x];
	mma::fetch_wait<0>();
	__syncthreads();
#pragma unroll
	for (int k = 0; k < W / 16; k++) {
		uint32_t l[4];
		mma::left<W>(l, sq, 16 * warp, k, lane);
#pragma unroll
		for (int i = 0; i < 4; i++) {
			float2 x = pair(l[i]);
			int c = 16 * k + col + 8 * (i / 2);
			below[i & 1] += x.x * sz[c] + x.y * sz[c + 1];
		}
	}
	times_sums<W, false>(acc, sq, ss, warp, lane);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int t = first + row + 8 * r;
		below[r] += __shfl_xor_sync(~0u, below[r], 1);
		below[r] += __shfl_xor_sync(~0u, below[r], 2);
		below[r] += 1e-15f;
		if (lane % 4 == 0 && t < z.T)
			den[((int64_t)n * z.T + t) * z.H + h] = below[r];
#pragma unroll
		for (int j = 0; j < W / 8; j++) {
			acc[j][2 * r] /= below[r];
			acc[j][2 * r + 1] /= below[r];
		}
	}
	store<W>(o + ((int64_t)n * z.T + first) * z.ld_o + (int64_t)h * W, z.ld_o, acc, row, col, rows);
}

/* blockIdx.z 0: dq = (go KV^T - delta z) / den. 1: dk = v dKV^T + dz, dv = k dKV. gsums: of the gradients. */
template <int W>
__global__ void __launch_bounds__(128)
gradients(struct linear_sizes z, bf16 *dq, bf16 *dk, bf16 *dv, const bf16 *go, const bf16 *k, const bf16 *v,
          const float *den, const float *delta, const struct head<W> *sums, const struct head<W> *gsums)
{
	extern __shared__ __align__(128) unsigned char memory[];
	__shared__ float sz[W];
	bool queries = blockIdx.z == 0;
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, first = (int)blockIdx.x * TILE, rows = z.T - first;
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x & 31, row = 16 * warp + lane / 4, col = 2 * (lane % 4);
	int64_t frame = (int64_t)n * z.T + first, column = (int64_t)h * W;
	uint32_t s1 = mma::shared(memory), s2 = s1 + TILE * W * 2, ss = s2 + TILE * W * 2;
	const struct head<W> *mine = (queries ? sums : gsums) + blockIdx.y;
	float acc[W / 8][4];

	if (queries) {
		mma::fetch_tile<W, TILE, 128>(s1, go + frame * z.ld_o + column, z.ld_o, rows);
	} else {
		mma::fetch_tile<W, TILE, 128>(s1, v + frame * z.ld_v + column, z.ld_v, rows);
		mma::fetch_tile<W, TILE, 128>(s2, k + frame * z.ld_k + column, z.ld_k, rows);
	}
	fetch_sums<W>(ss, mine);
	mma::fetch_commit();
	if (threadIdx.x < W)
		sz[threadIdx.x] = mine->z[threadIdx.x];
	mma::fetch_wait<0>();
	__syncthreads();
	times_sums<W, true>(acc, s1, ss, warp, lane);
#pragma unroll
	for (int r = 0; r < 2; r++) {
		int t = first + row + 8 * r;
		int64_t at = ((int64_t)n * z.T + t) * z.H + h;
		float factor = queries && t < z.T ? 1.f / den[at] : 1.f, weight = queries && t < z.T ? -delta[at] / den[at] : 1.f;
#pragma unroll
		for (int j = 0; j < W / 8; j++) {
			acc[j][2 * r] = acc[j][2 * r] * factor + weight * sz[8 * j + col];
			acc[j][2 * r + 1] = acc[j][2 * r + 1] * factor + weight * sz[8 * j + col + 1];
		}
	}
	if (queries) {
		store<W>(dq + frame * z.ld_q + column, z.ld_q, acc, row, col, rows);
		return;
	}
	store<W>(dk + frame * z.ld_k + column, z.ld_k, acc, row, col, rows);
	times_sums<W, false>(acc, s2, ss, warp, lane);
	store<W>(dv + frame * z.ld_v + column, z.ld_v, acc, row, col, rows);
}

template <int W>
size_t
scratch_of(const struct linear_sizes *z, bool backward)
{
	size_t heads = (size_t)z->B * (size_t)z->H;

	return (backward ? 2 : 1) * heads * (sizeof(struct head<W>) + (size_t)z->splits * sizeof(struct part<W>));
}

template <int W, bool GRADS>
void
launch_sums(const struct linear_sizes &z, cudaStream_t stream, struct part<W> *out, const void *a, int64_t ld_a, const void *b,
            int64_t ld_b, const struct linear_pointers &p)
{
	constexpr int BYTES = 4 * TILE * W * 2;

	cudaFuncSetAttribute(sum_part<W, GRADS>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	sum_part<W, GRADS><<<dim3((unsigned)z.splits, (unsigned)(z.B * z.H)), 2 * W, BYTES, stream>>>(
		z, out, (const bf16 *)a, ld_a, (const bf16 *)b, ld_b, p.den, p.delta);
}

template <int W>
void
launch_add(const struct linear_sizes &z, cudaStream_t stream, struct head<W> *out, const struct part<W> *in, int heads)
{
	dim3 grid((W * W + W + 4 * SUM_THREADS - 1) / (4 * SUM_THREADS), (unsigned)heads);

	add_parts<W><<<grid, SUM_THREADS, 0, stream>>>(z, out, in);
}

template <int W>
void
forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	constexpr int BYTES = TILE * W * 2 + 2 * W * W * 2;
	int heads = z.B * z.H;
	struct head<W> *sums = (struct head<W> *)p.scratch;
	struct part<W> *parts = (struct part<W> *)(sums + heads);
	dim3 grid((unsigned)((z.T + TILE - 1) / TILE), (unsigned)heads);

	launch_sums<W, false>(z, stream, parts, p.k, z.ld_k, p.v, z.ld_v, p);
	launch_add<W>(z, stream, sums, parts, heads);
	cudaFuncSetAttribute(outputs<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	outputs<W><<<grid, 128, BYTES, stream>>>(z, (bf16 *)p.o, p.den, (const bf16 *)p.q, sums);
}

template <int W>
void
backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	constexpr int BYTES = 2 * TILE * W * 2 + 2 * W * W * 2;
	int heads = z.B * z.H;
	struct head<W> *sums = (struct head<W> *)p.scratch;
	struct part<W> *parts = (struct part<W> *)(sums + 2 * heads);
	dim3 grid((unsigned)((z.T + TILE - 1) / TILE), (unsigned)heads, 2);

	launch_sums<W, false>(z, stream, parts, p.k, z.ld_k, p.v, z.ld_v, p);
	launch_sums<W, true>(z, stream, parts + (int64_t)heads * z.splits, p.q, z.ld_q, p.go, z.ld_o, p);
	launch_add<W>(z, stream, sums, parts, 2 * heads);
	cudaFuncSetAttribute(gradients<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	gradients<W><<<grid, 128, BYTES, stream>>>(z, (bf16 *)p.dq, (bf16 *)p.dk, (bf16 *)p.dv, (const bf16 *)p.go,
	                                           (const bf16 *)p.k, (const bf16 *)p.v, p.den, p.delta, sums, sums + heads);
}

} // namespace

void
linear_half_plan(struct linear_sizes *z, int processors)
{
	int heads = z->B * z->H, tiles = (z->T + TILE - 1) / TILE, want = (processors + heads - 1) / heads, each;

	want = want < tiles ? want : tiles;
	each = (tiles + want - 1) / want;
	z->rows = each * TILE;
	z->splits = (tiles + each - 1) / each;
}

size_t
linear_half_scratch(const struct linear_sizes *z, bool backward)
{
	return z->w == 64 ? scratch_of<64>(z, backward) : scratch_of<128>(z, backward);
}

void
linear_half_forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	z.w == 64 ? forward<64>(z, stream, p) : forward<128>(z, stream, p);
}

void
linear_half_backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	z.w == 64 ? backward<64>(z, stream, p) : backward<128>(z, stream, p);
}
