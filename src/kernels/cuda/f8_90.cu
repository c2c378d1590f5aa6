/* SPDX-License-Identifier: Apache-2.0 */
/* f8_90.cu - products in fp8 on Hopper's own instructions, with what adapters add in 16 bits
 *
 * A tile is OUTS rows of the weight by WIDE rows of x: results lie the other way round, so that a tile's width follows the number of
 * frames. The copy engine brings DEEP columns of both a step; blocks of a cluster, DOWN by ALONG tiles of it, share what they have in
 * common. Behind all of K come further steps of the adapters' columns, added to the sums when these have got their scales. Blocks
 * stay and take one tile after the other. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/f8.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/wgmma_f8.cuh"

namespace {

/* DEEP e4m3 or HALF bf16 columns are ROW bytes; LEFT: bytes of a step's rows of the weight. */
enum { THREADS = 384, OUTS = 128, DEEP = 128, HALF = 64, ROW = 128, LEFT = OUTS * ROW, ROOM = 227 * 1024 };
/* 32 bytes of all rows, and 16 rows, further on, as descriptors count. */
enum { AHEAD = 32 >> 4, DOWNWARD = 16 * ROW >> 4 };

template <int WIDE>
struct size {
	static constexpr int STAGE = LEFT + WIDE * ROW, STAGES = (ROOM - 512) / STAGE, BYTES = STAGES * (STAGE + 16);
};

struct work {
	int across, tiles;		/* clusters' tiles along x; in all */
	int steps, more;		/* of K, of the adapters' columns */
	int N, M;
	int64_t ldy, ldadd;
	const float *s, *t;
	const void *add;		/* or NULL */
	const float *wide_bias;		/* or NULL, as both */
	const bf16 *bias;
};

/* A box to all blocks of mask, at the same place of each; the barriers there count it. */
[[maybe_unused]] __device__ __forceinline__ void
share(uint32_t to, const CUtensorMap *map, int c, int r, uint32_t barrier, uint16_t mask)
{
	asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
	             "[%1, {%2, %3, %4}], [%5], %6;" ::"r"(to),
	             "l"(map), "r"(c), "r"(r), "r"(0), "r"(barrier), "h"(mask)
	             : "memory");
}

[[maybe_unused]] __device__ __forceinline__ void
arrive_at(uint32_t barrier, int block)
{
	asm volatile("{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; "
	             "mbarrier.arrive.shared::cluster.b64 _, [there];}" ::"r"(barrier),
	             "r"(block)
	             : "memory");
}

[[maybe_unused]] __device__ __forceinline__ uint32_t
turned(uint32_t x)
{
	uint32_t y;

	asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
	return y;
}

/* Where a block's tile lies, and whom it shares with: rank = down + DOWN along. */
template <int WIDE, int DOWN, int ALONG>
struct place {
	int down, along;

	__device__ int
	m(int tile, const struct work &z) const
	{
		return (tile / z.across * DOWN + down) * OUTS;
	}
	__device__ int
	n(int tile, const struct work &z) const
	{
		return (tile % z.across * ALONG + along) * WIDE;
	}
	/* Blocks with the same rows of the weight, with the same rows of x. */
	__device__ uint16_t
	same_m() const
	{
		return (uint16_t)(ALONG == 1 ? 1 << down : (1 << down | 1 << (down + DOWN)));
	}
	__device__ uint16_t
	same_n() const
	{
		return (uint16_t)(((1 << DOWN) - 1) << along * DOWN);
	}
};

/* --- the warp that brings tiles --- */

template <int WIDE, int DOWN, int ALONG>
struct bringer {
	struct place<WIDE, DOWN, ALONG> p;
	uint32_t base, full, empty;
	int at, phase;

	static constexpr int STAGES = size<WIDE>::STAGES, STAGE = size<WIDE>::STAGE, PARTS = DOWN > 1 ? 2 : 1;

	/* This block's share of a step: of OUTS rows of map a and WIDE of map b, their columns from k on; below: of a, rows from k on. */
	__device__ __forceinline__ void
	bring(const CUtensorMap *a, const CUtensorMap *b, int k, int m, int n, bool below)
	{
		uint32_t to = base + at * STAGE, bar = full + 8 * at;

		wg::barrier_wait(empty + 8 * at, phase ^ 1);
		wg::barrier_expect(bar, STAGE);
		if (below) {
			for (int i = ALONG == 1 ? 0 : p.along; i < (ALONG == 1 ? 2 : p.along + 1); i++)
				share(to + i * (LEFT / 2), a, m + i * HALF, k, bar, p.same_m());
		} else {
			share(to + p.along * (LEFT / ALONG), a, k, m + p.along * (OUTS / ALONG), bar, p.same_m());
		}
		if (p.down < PARTS)
			share(to + LEFT + p.down * (WIDE / PARTS) * ROW, b, k, n + p.down * (WIDE / PARTS), bar, p.same_n());
		if (++at == STAGES)
			at = 0, phase ^= 1;
	}
};

/* --- results --- */

/* Sums c [16 rows of the weight from m on, WIDE rows of x from n on], of a warp, into y. */
template <int J>
__device__ __forceinline__ void
put(bf16 *y, const float (&c)[J][4], int m, int n, const struct work &z, int lane)
{
	int odd = lane & 1, first = m + 8 * odd + 2 * (lane & 2);

#pragma unroll
	for (int j = 0; j < J; j++) {
		uint32_t low = turned(pack_bf16(c[j][0], c[j][1])), high = turned(pack_bf16(c[j][2], c[j][3]));
		uint32_t other = __shfl_xor_sync(~0u, odd ? low : high, 1);
		int row = n + 8 * j + lane / 4;
		if (row < z.N && first < z.M)
			*reinterpret_cast<uint2 *>(y + row * z.ldy + first) = odd ? make_uint2(other, high) : make_uint2(low, other);
	}
}

template <int J>
__device__ __forceinline__ void
put(float *y, const float (&c)[J][4], int m, int n, const struct work &z, int lane)
{
	int row = m + lane / 4, col = n + 2 * (lane % 4);

#pragma unroll
	for (int j = 0; j < J; j++)
#pragma unroll
		for (int e = 0; e < 4; e++) {
			int r = row + 8 * (e / 2), x = col + 8 * j + (e & 1);
			if (x < z.N && r < z.M)
				y[x * z.ldy + r] = c[j][e];
		}
}

/* What results are added to: bf16 as put stores it, on its way while products are; F32 when it is wanted. */
template <int J, class Y>
struct addend;

template <int J>
struct addend<J, bf16> {
	uint2 w[J];

	__device__ __forceinline__ void
	fetch(int m, int n, const struct work &z, int lane)
	{
		int first = m + 8 * (lane & 1) + 2 * (lane & 2);
		const bf16 *from = (const bf16 *)z.add + first;

#pragma unroll
		for (int j = 0; j < J; j++) {
			int row = n + 8 * j + lane / 4;
			w[j] = z.add && row < z.N && first < z.M ? *reinterpret_cast<const uint2 *>(from + row * z.ldadd) : make_uint2(0, 0);
		}
	}
	__device__ __forceinline__ void
	add_to(float (&c)[J][4], int, int, const struct work &, int lane) const
	{
		bool odd = lane & 1;

#pragma unroll
		for (int j = 0; j < J; j++) {
			uint32_t other = __shfl_xor_sync(~0u, odd ? w[j].x : w[j].y, 1);
			uint32_t low = turned(odd ? other : w[j].x), high = turned(odd ? w[j].y : other);
			float v[4];
			unpack_bf16(low, v[0], v[1]);
			unpack_bf16(high, v[2], v[3]);
#pragma unroll
			for (int e = 0; e < 4; e++)
				c[j][e] += v[e];
		}
	}
};

template <int J>
struct addend<J, float> {
	__device__ __forceinline__ void
	fetch(int, int, const struct work &, int)
	{
	}
	__device__ __forceinline__ void
	add_to(float (&c)[J][4], int m, int n, const struct work &z, int lane) const
	{
		const float *add = (const float *)z.add;
		int row = m + lane / 4, col = n + 2 * (lane % 4);

#pragma unroll
		for (int j = 0; j < J; j++)
#pragma unroll
			for (int e = 0; e < 4; e++) {
				int r = row + 8 * (e / 2), x = col + 8 * j + (e & 1);
				if (x < z.N && r < z.M)
					c[j][e] += add[x * z.ldadd + r];
			}
	}
};

[[maybe_unused]] __device__ __forceinline__ float
bias_of(const struct work &z, int m)
{
	return m >= z.M ? 0.f : z.bias ? to_float(z.bias[m]) : z.wide_bias ? z.wide_bias[m] : 0.f;
}

template <int J>
__device__ __forceinline__ void
scale(float (&c)[J][4], int row, int col, const struct work &z)
{
	float t[2], s[2];

#pragma unroll
	for (int r = 0; r < 2; r++)
		t[r] = row + 8 * r < z.M ? z.t[row + 8 * r] : 0.f;
#pragma unroll
	for (int j = 0; j < J; j++) {
#pragma unroll
		for (int i = 0; i < 2; i++)
			s[i] = col + 8 * j + i < z.N ? __ldg(z.s + col + 8 * j + i) : 0.f;
#pragma unroll
		for (int e = 0; e < 4; e++)
			c[j][e] *= s[e & 1] * t[e / 2];
	}
}

/* --- the whole --- */

/* BELOW: the adapters' side of the weight has k down its rows. */
template <int WIDE, int DOWN, int ALONG, class Y, bool BELOW>
__global__ void __launch_bounds__(THREADS, 1)
multiply(const __grid_constant__ CUtensorMap mw, const __grid_constant__ CUtensorMap mx, const __grid_constant__ CUtensorMap ma,
         const __grid_constant__ CUtensorMap mh, const __grid_constant__ struct work z, Y *y)
{
#if HOPPER
	extern __shared__ __align__(1024) unsigned char memory[];
	constexpr int STAGES = size<WIDE>::STAGES, STAGE = size<WIDE>::STAGE, BLOCKS = DOWN * ALONG;
	uint32_t base = mma::shared(memory), full = base + STAGES * STAGE, empty = full + 8 * STAGES;
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, rank = (int)blockIdx.x % BLOCKS, at = 0, phase = 0;
	struct place<WIDE, DOWN, ALONG> p = { rank % DOWN, rank / DOWN };

	if (threadIdx.x == 0) {
		if (base & 1023)
			__trap();		/* swizzled tiles begin where their pattern does */
		for (int i = 0; i < STAGES; i++) {
			wg::barrier_init(full + 8 * i, 1);
			wg::barrier_init(empty + 8 * i, 8 * (DOWN + ALONG - 1));
		}
	}
	wg::barriers_ready();
	wg::cluster_meet();
	if (warp >= 8) {
		wg::fewer_registers<40>();
		if (threadIdx.x == 256) {
			struct bringer<WIDE, DOWN, ALONG> b = { p, base, full, empty, 0, 0 };
			for (int tile = (int)blockIdx.x / BLOCKS; tile < z.tiles; tile += (int)gridDim.x / BLOCKS) {
				int m = p.m(tile, z), n = p.n(tile, z);
				for (int i = 0; i < z.steps; i++)
					b.bring(&mw, &mx, i * DEEP, m, n, false);
				for (int i = 0; i < z.more; i++)
					b.bring(&ma, &mh, i * HALF, m, n, BELOW);
			}
		}
		__syncwarp();
		wg::cluster_meet();
		return;
	}
	wg::more_registers<232>();
	float acc[WIDE / 8][4];
	struct addend<WIDE / 8, Y> added;
	bool mine = lane < BLOCKS && (lane % DOWN == p.down || lane / DOWN == p.along);		/* lane's block brings to this one */

	for (int tile = (int)blockIdx.x / BLOCKS; tile < z.tiles; tile += (int)gridDim.x / BLOCKS) {
#pragma unroll
		for (int j = 0; j < WIDE / 8; j++)
			acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
		int before = 0, m = p.m(tile, z) + warp * 16, n = p.n(tile, z);
		for (int i = 0; i < z.steps; i++) {
			uint64_t a = wg::along(base + at * STAGE + warp / 4 * (LEFT / 2)), b = wg::along(base + at * STAGE + LEFT);
			wg::barrier_wait(full + 8 * at, phase);
			wg::hold(acc);
			wg::begin();
#pragma unroll
			for (int k = 0; k < DEEP / 32; k++)
				wg::product_f8(acc, a + AHEAD * k, b + AHEAD * k);
			wg::commit();
			if (i) {		/* the step before has been read */
				wg::wait<1>();
				if (mine)
					arrive_at(empty + 8 * before, lane);
			}
			before = at;
			if (++at == STAGES)
				at = 0, phase ^= 1;
		}
		added.fetch(m, n, z, lane);
		wg::wait<0>();
		wg::hold(acc);
		if (mine)
			arrive_at(empty + 8 * before, lane);
		scale(acc, m + lane / 4, n + 2 * (lane % 4), z);
		for (int i = 0; i < z.more; i++) {
			uint32_t left = base + at * STAGE + warp / 4 * (LEFT / 2);
			uint64_t a = BELOW ? wg::across(left, LEFT / 2) : wg::along(left), b = wg::along(base + at * STAGE + LEFT);
			wg::barrier_wait(full + 8 * at, phase);
			wg::hold(acc);
			wg::begin();
#pragma unroll
			for (int k = 0; k < HALF / 16; k++)
				wg::add_product<BELOW>(acc, a + (BELOW ? DOWNWARD : AHEAD) * k, b + AHEAD * k);
			wg::commit();
			wg::wait<0>();
			wg::hold(acc);
			if (mine)
				arrive_at(empty + 8 * at, lane);
			if (++at == STAGES)
				at = 0, phase ^= 1;
		}
		if (z.bias || z.wide_bias) {
			float low = bias_of(z, m + lane / 4), high = bias_of(z, m + 8 + lane / 4);
#pragma unroll
			for (int j = 0; j < WIDE / 8; j++)
				acc[j][0] += low, acc[j][1] += low, acc[j][2] += high, acc[j][3] += high;
		}
		if (z.add)
			added.add_to(acc, m, n, z, lane);
		put(y, acc, m, n, z, lane);
	}
	wg::cluster_meet();
#endif
}

/* --- launching --- */

/* x [rows, columns], rows apart bytes apart, brought box by box of box columns and tall rows. */
[[maybe_unused]] bool
map_of(CUtensorMap *map, struct tensor x, int box, int tall)
{
	return tensor_map_of(map, x.data, dtype_size(x.dtype), 1, x.dim[0], x.dim[1], tensor_ld(x), box, tall);
}

[[maybe_unused]] int
ceil_of(int64_t a, int64_t b)
{
	return (int)((a + b - 1) / b);
}

template <int WIDE, int DOWN, int ALONG, class Y, bool BELOW>
cudaLaunchConfig_t
config_of(cudaLaunchAttribute *cluster, unsigned blocks, cudaStream_t stream)
{
	cudaLaunchConfig_t c = {};

	cluster->id = cudaLaunchAttributeClusterDimension;
	cluster->val.clusterDim.x = DOWN * ALONG;
	cluster->val.clusterDim.y = cluster->val.clusterDim.z = 1;
	c.gridDim = dim3(blocks);
	c.blockDim = dim3(THREADS);
	c.dynamicSmemBytes = size<WIDE>::BYTES;
	c.stream = stream;
	c.attrs = cluster;
	c.numAttrs = 1;
	cudaFuncSetAttribute(multiply<WIDE, DOWN, ALONG, Y, BELOW>, cudaFuncAttributeMaxDynamicSharedMemorySize, size<WIDE>::BYTES);
	return c;
}

/* Clusters that the device runs at once. */
template <int WIDE, int DOWN, int ALONG>
int
clusters_of()
{
	static int n;
	cudaLaunchAttribute cluster;

	if (n == 0) {
		cudaLaunchConfig_t c = config_of<WIDE, DOWN, ALONG, bf16, false>(&cluster, DOWN * ALONG, 0);
		if (cudaOccupancyMaxActiveClusters(&n, multiply<WIDE, DOWN, ALONG, bf16, false>, &c) != cudaSuccess || n < 1) {
			cudaGetLastError();
			n = -1;
		}
	}
	return n;
}

/* How long it takes, counted in rows of x by steps; fitted to what an H100 took. A step by many rows is slower by their share of the
 * card's power, and a tile's end by what it stores. */
template <int WIDE, int DOWN, int ALONG>
float
cost_of(int64_t N, int64_t M, int steps)
{
	int n = clusters_of<WIDE, DOWN, ALONG>();

	if (n < 0)
		return INFINITY;
	return (float)ceil_of(ceil_of(N, WIDE * ALONG) * ceil_of(M, OUTS * DOWN), n) *
	       (WIDE > 128 ? 1.08f * (float)(steps * WIDE) + 1500.f : (float)(steps * WIDE) + 1000.f);
}

template <int WIDE, int DOWN, int ALONG, class Y, bool BELOW>
bool
launch(struct dev *d, const struct f8_product *p, struct work z)
{
	CUtensorMap w, x, a, h;
	cudaLaunchAttribute cluster;
	constexpr int TALL = WIDE / (DOWN > 1 ? 2 : 1);
	int most = clusters_of<WIDE, DOWN, ALONG>();

	if (!map_of(&w, p->w, DEEP, OUTS / ALONG) || !map_of(&x, p->x, DEEP, TALL))
		return false;
	a = w, h = x;
	if (z.more && (!map_of(&h, p->h, HALF, TALL) ||
	               !(BELOW ? map_of(&a, p->below, HALF, HALF) : map_of(&a, p->right, HALF, OUTS / ALONG))))
		return false;
	z.across = ceil_of(z.N, WIDE * ALONG);
	z.tiles = z.across * ceil_of(z.M, OUTS * DOWN);
	cudaLaunchConfig_t c = config_of<WIDE, DOWN, ALONG, Y, BELOW>(&cluster, (unsigned)((z.tiles < most ? z.tiles : most) * DOWN * ALONG),
	                                                       cuda_stream(d));
	cudaLaunchKernelEx(&c, multiply<WIDE, DOWN, ALONG, Y, BELOW>, w, x, a, h, z, cuda_out<Y>(p->y));
	cuda_launched(d, "f8_product");
	return true;
}

[[maybe_unused]] bool
aligned(struct tensor x)
{
	return !x.rank || ((uintptr_t)x.data % 16 == 0 && (size_t)tensor_ld(x) * dtype_size(x.dtype) % 16 == 0);
}

[[maybe_unused]] bool
by4(struct tensor x)
{
	return !x.rank || (tensor_ld(x) % 4 == 0 && (uintptr_t)x.data % 8 == 0);
}

[[maybe_unused]] bool
can(struct dev *d, const struct f8_product *p)
{
	return d->cuda->arch == 90 && tensor_map_encoder() && aligned(p->x) && aligned(p->w) && aligned(p->h) && aligned(p->right) &&
	       aligned(p->below) && p->w.dim[0] % 8 == 0 && by4(p->y) && by4(p->add);
}

/* Over eight rounds of tiles and more without adapters cuBLASLt is faster, by a twentieth. */
[[maybe_unused]] bool
leave(const struct f8_product *p)
{
	return !p->h.rank && !p->add.rank && p->y.dim[0] * p->y.dim[1] >= (int64_t)8 * OUTS * 112 * 128;
}

} // namespace

bool
f8_90_product(struct dev *d, const struct f8_product *p)
{
#ifdef ACE_CUDA_90A
	static const struct {
		float (*cost)(int64_t N, int64_t M, int steps);
		bool (*launch[2][2])(struct dev *d, const struct f8_product *p, struct work z);	/* of F32; of below */
	} ways[] = {
#define WAY(...)                                                                                          \
	{ cost_of<__VA_ARGS__>, { { launch<__VA_ARGS__, bf16, false>, launch<__VA_ARGS__, bf16, true> },  \
	                          { launch<__VA_ARGS__, float, false>, launch<__VA_ARGS__, float, true> } } }
		WAY(112, 2, 2), WAY(208, 2, 1),
#undef WAY
	};
	struct work z = {};
	float least = INFINITY;
	int best = -1;

	if (!can(d, p) || leave(p))
		return false;
	z.N = (int)p->x.dim[0], z.M = (int)p->w.dim[0];
	z.steps = ceil_of(p->x.dim[1], DEEP), z.more = p->h.rank ? ceil_of(p->h.dim[1], HALF) : 0;
	z.ldy = tensor_ld(p->y), z.ldadd = p->add.rank ? tensor_ld(p->add) : 0;
	z.s = cuda_in<float>(p->s), z.t = cuda_in<float>(p->t);
	z.add = p->add.rank ? p->add.data : NULL;
	z.wide_bias = p->b.rank && p->b.dtype == F32 ? cuda_in<float>(p->b) : NULL;
	z.bias = p->b.rank && p->b.dtype == BF16 ? cuda_in<bf16>(p->b) : NULL;
	for (int i = 0; i < (int)(sizeof ways / sizeof *ways); i++) {
		float cost = ways[i].cost(z.N, z.M, z.steps + z.more);
		if (cost < least)
			least = cost, best = i;
	}
	return best >= 0 && ways[best].launch[p->y.dtype == F32][p->below.rank > 0](d, p, z);
#else
	(void)d, (void)p;
	return false;
#endif
}
