/* SPDX-License-Identifier: Apache-2.0 */
/* thin_90.cu - thin products of low-rank adapters on Hopper's own instructions
 *
 * Such a product takes the time of what it reads: x, once, and v for each block anew. A block therefore has TALL rows. Where that gives
 * few blocks, a cluster of them shares the columns; its blocks send one another their sums, and each adds up some of the rows, in the
 * order of the parts. The copy engine brings DEEP columns a step, as many steps ahead as there is room for. */
#include "kernels/cuda/adapters_90.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace {

enum { GROUP = 128, THREADS = GROUP + 32, TALL = 64, DEEP = 64, ROW = 2 * DEEP, MOST_PARTS = 8, ROOM = 224 * 1024 };
/* 16 columns further on, as descriptors count. */
enum { AHEAD = 32 >> 4 };

/* SUMS: of all parts, of the rows that are this block's. */
template <int TILES>
struct size {
	static constexpr int LEFT = TALL * ROW, STAGE = LEFT + 8 * TILES * ROW, LINE = 8 * TILES + 4, SUMS = TALL * LINE * 4;
};

struct work {
	struct {
		CUtensorMap x, v;
		bf16 *h;
		int steps, width;	/* of DEEP columns; columns of h */
	} item[ADAPTERS];
	int N;
	int64_t ldh;
};

[[maybe_unused]] __device__ __forceinline__ void
put_at(uint32_t at, int block, float low, float high)
{
	asm volatile("{.reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; st.shared::cluster.v2.f32 [there], {%2, %3};}" ::"r"(at),
	             "r"(block), "f"(low), "f"(high)
	             : "memory");
}

/* parts: blocks of a cluster, a power of two. */
template <int TILES>
__global__ void __launch_bounds__(THREADS)
multiply(const __grid_constant__ struct work s, int parts, int stages)
{
#if HOPPER
	extern __shared__ __align__(1024) unsigned char memory[];
	constexpr int STAGE = size<TILES>::STAGE, LEFT = size<TILES>::LEFT, LINE = size<TILES>::LINE;
	const auto &w = s.item[blockIdx.y];
	int part = (int)blockIdx.x % parts, row = (int)blockIdx.x / parts * TALL, warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
	int from = w.steps * part / parts, turns = w.steps * (part + 1) / parts - from, own = TALL / parts;
	uint32_t base = mma::shared(memory), sums = base + stages * STAGE, full = sums + size<TILES>::SUMS, empty = full + 8 * stages;

	if (threadIdx.x == 0) {
		if (base & 1023)
			__trap();		/* swizzled tiles begin where their pattern does */
		for (int i = 0; i < stages; i++) {
			wg::barrier_init(full + 8 * i, 1);
			wg::barrier_init(empty + 8 * i, GROUP / 32);
		}
	}
	wg::barriers_ready();
	wg::cluster_arrive();
	if (threadIdx.x == GROUP) {		/* the others of its warp wait below */
		for (int i = 0, at = 0, phase = 1; i < turns; i++) {
			uint32_t to = base + at * STAGE, bar = full + 8 * at;
			wg::barrier_wait(empty + 8 * at, phase);
			wg::barrier_expect(bar, STAGE);
			wg::fetch(to, &w.x, (from + i) * DEEP, row, 0, bar);
			wg::fetch(to + LEFT, &w.v, (from + i) * DEEP, 0, 0, bar);
			if (++at == stages)
				at = 0, phase ^= 1;
		}
	}
	if (warp == GROUP / 32)
		__syncwarp();
	float acc[TILES][4] = {};
	if (warp < GROUP / 32) {
		for (int i = 0, at = 0, phase = 0, before = 0; i < turns; i++) {
			uint64_t a = wg::along(base + at * STAGE), b = wg::along(base + at * STAGE + LEFT);
			wg::barrier_wait(full + 8 * at, phase);
			wg::begin();
#pragma unroll
			for (int k = 0; k < DEEP / 16; k++)
				wg::thin_product<0>(acc, a + AHEAD * k, b + AHEAD * k);
			wg::commit();
			wg::wait<1>();
			if (i > 0 && lane == 0)		/* the turn before has been read */
				wg::barrier_arrive(empty + 8 * before);
			before = at;
			if (++at == stages)
				at = 0, phase ^= 1;
		}
		wg::wait<0>();
		wg::hold(acc);
	}
	wg::cluster_wait();				/* all blocks are there */
	if (warp < GROUP / 32)
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int r = 16 * warp + lane / 4 + 8 * i, block = r / own;
			uint32_t to = sums + (uint32_t)((part * own + r % own) * LINE + 2 * (lane % 4)) * 4;
#pragma unroll
			for (int j = 0; j < TILES; j++)
				put_at(to + 32 * j, block, acc[j][2 * i], acc[j][2 * i + 1]);
		}
	wg::cluster_arrive();
	wg::cluster_wait();
	for (int at = (int)threadIdx.x; at < own * 4 * TILES; at += THREADS) {
		int r = at / (4 * TILES), c = at % (4 * TILES) * 2, n = row + part * own + r;
		const float *sum = reinterpret_cast<const float *>(memory + stages * STAGE) + r * LINE + c;
		float low = 0.f, high = 0.f;
#pragma unroll 2
		for (int i = 0; i < parts; i++) {
			float2 v = *reinterpret_cast<const float2 *>(sum + i * own * LINE);
			low += v.x, high += v.y;
		}
		if (n < s.N && c < w.width)
			*reinterpret_cast<uint32_t *>(w.h + n * s.ldh + c) = pack_bf16(low, high);
	}
#endif
}

template <int TILES>
bool
launch(struct dev *d, const struct thin_90 *t)
{
	struct work s = {};
	cudaLaunchConfig_t c = {};
	cudaLaunchAttribute cluster = {};
	int tiles = (int)cuda_blocks(t->N, TALL), parts = MOST_PARTS, least = INT32_MAX, most = 0, stages;

	s.N = (int)t->N, s.ldh = t->ldh;
	for (int i = 0; i < t->n; i++) {
		const struct thin_90_item *m = &t->item[i];
		if (!tensor_map_of(&s.item[i].x, m->x, sizeof *m->x, 1, t->N, m->K, t->ldx, DEEP, TALL) ||
		    !tensor_map_of(&s.item[i].v, m->v, sizeof *m->v, 1, m->width, m->K, m->ldv, DEEP, 8 * TILES))
			return false;
		s.item[i].h = m->h, s.item[i].width = m->width;
		s.item[i].steps = (m->K + DEEP - 1) / DEEP;
		least = s.item[i].steps < least ? s.item[i].steps : least;
		most = s.item[i].steps > most ? s.item[i].steps : most;
	}
	while (parts > 1 && (tiles * t->n * parts > d->cuda->processors || parts > least))
		parts /= 2;
	stages = ((tiles * t->n * parts > d->cuda->processors ? ROOM / 2 : ROOM) - size<TILES>::SUMS) / (size<TILES>::STAGE + 16);
	stages = stages < (most + parts - 1) / parts ? stages : (most + parts - 1) / parts;
	cluster.id = cudaLaunchAttributeClusterDimension;
	cluster.val.clusterDim.x = (unsigned)parts;
	cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
	c.gridDim = dim3((unsigned)(tiles * parts), (unsigned)t->n);
	c.blockDim = dim3(THREADS);
	c.dynamicSmemBytes = (size_t)(stages * (size<TILES>::STAGE + 16) + size<TILES>::SUMS);
	c.stream = cuda_stream(d);
	c.attrs = &cluster;
	c.numAttrs = 1;
	cudaFuncSetAttribute(multiply<TILES>, cudaFuncAttributeMaxDynamicSharedMemorySize, ROOM);
	cudaLaunchKernelEx(&c, multiply<TILES>, s, parts, stages);
	return true;
}

} // namespace

bool
thin_90_products(struct dev *d, const struct thin_90 *t)
{
#ifdef ACE_CUDA_90A
	int widest = 0;

	if (d->cuda->arch != 90 || !tensor_map_encoder())
		return false;
	for (int i = 0; i < t->n; i++)
		widest = t->item[i].width > widest ? t->item[i].width : widest;
	return widest <= 16 ? launch<2>(d, t) : widest <= 32 ? launch<4>(d, t) : widest <= 48 && launch<6>(d, t);
#else
	(void)d, (void)t;
	return false;
#endif
}
