/* SPDX-License-Identifier: Apache-2.0 */
/* adapters_90.cu - gradients of low-rank adapters at the memory's speed by few multiprocessors
 *
 * A block has STRIPS strips of 64 columns of x or dy and all rows: the copy engine brings them TALL at a time, a group of warps
 * multiplies each strip, as the factor of 64 rows that Hopper's products want on the left, by up to 48 columns of dh or h. As no
 * warp waits for its own loads a few blocks take what the memory gives, and leave the others to what runs beside them. */
#include "kernels/cuda/adapters_90.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace {

enum { GROUP = 128, THREADS = GROUP + 32, STRIPS = 2, TALL = 64, WIDE = 64, ALL = STRIPS * WIDE, LINE = ALL + 4 };
enum { BOX = TALL * WIDE * 2, STAGE = (STRIPS + 1) * BOX, STAGES = 4, BYTES = STAGES * (STAGE + 16) + 1024 };
enum { GROUPS = 6, MOST_ITEMS = 12 };
/* 16 rows further on, as descriptors count. */
enum { DOWNWARD = 16 * WIDE * 2 >> 4 };

/* Of 8 of the left factor's columns. */
struct group {
	float *out;			/* or NULL: not wanted */
	int columns;			/* of them that are there */
	float factor;
};

/* out[j][c] += factor sum over rows n of left [n, j] right [n, c] */
struct item {
	int back;			/* left and right are dh and x, or h and dy */
	int left, n;			/* first column, how many groups */
	int right, W;			/* first column, how many */
	int64_t out_j, out_c;		/* steps in out for the columns of left and right */
	struct group group[GROUPS];
};

struct grads {
	int N;
	struct item item[MOST_ITEMS];
};

/* The group's sums over all rows to part [8 N][LINE]. */
template <int N>
[[maybe_unused]] __device__ __forceinline__ void
sum(float *part, uint32_t base, uint32_t full, uint32_t empty, int turns)
{
	float acc[STRIPS][N][4] = {};
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, g = lane / 4, t = lane % 4;

	for (int i = 0; i < turns; i++) {
		int at = i % STAGES;
		uint64_t left = wg::across(base + at * STAGE + STRIPS * BOX, BOX);
		wg::barrier_wait(full + 8 * at, i / STAGES & 1);
		wg::begin();
#pragma unroll
		for (int k = 0; k < TALL / 16; k++)
#pragma unroll
			for (int j = 0; j < STRIPS; j++)
				wg::thin_product<1>(acc[j], wg::across(base + at * STAGE + j * BOX, BOX) + k * DOWNWARD, left + k * DOWNWARD);
		wg::commit();
		wg::wait<1>();
		if (i > 0 && lane == 0)		/* the turn before has been read */
			wg::barrier_arrive(empty + 8 * ((i - 1) % STAGES));
	}
	wg::wait<0>();
#pragma unroll
	for (int j = 0; j < STRIPS; j++)
		wg::hold(acc[j]);
	asm volatile("bar.sync 1, 128;" ::: "memory");	/* all have read what the sums now take the place of */
#pragma unroll
	for (int j = 0; j < STRIPS; j++)
#pragma unroll
		for (int q = 0; q < N; q++)
#pragma unroll
			for (int k = 0; k < 4; k++)
				part[(8 * q + 2 * t + k % 2) * LINE + j * WIDE + 16 * warp + g + 8 * (k / 2)] = acc[j][q][k];
}

__global__ void __launch_bounds__(THREADS)
sum_grads(const __grid_constant__ CUtensorMap dh, const __grid_constant__ CUtensorMap x, const __grid_constant__ CUtensorMap h,
          const __grid_constant__ CUtensorMap dy, const __grid_constant__ struct grads s)
{
#if HOPPER
	extern __shared__ uint8_t raw[];
	const struct item &w = s.item[blockIdx.y];
	int c0 = (int)blockIdx.x * ALL, turns = (s.N + TALL - 1) / TALL;
	uint32_t base = (mma::shared(raw) + 1023u) & ~1023u, full = base + STAGES * STAGE, empty = full + 8 * STAGES;
	float *part = reinterpret_cast<float *>(raw + (base - mma::shared(raw)));

	if (c0 >= w.W)
		return;
	if (threadIdx.x == 0)
		for (int i = 0; i < STAGES; i++) {
			wg::barrier_init(full + 8 * i, 1);
			wg::barrier_init(empty + 8 * i, GROUP / 32);
		}
	wg::barriers_ready();
	if (threadIdx.x == GROUP) {		/* the others of its warp wait below */
		const CUtensorMap *left = w.back ? &h : &dh, *right = w.back ? &dy : &x;
		for (int i = 0; i < turns; i++) {
			int at = i % STAGES;
			uint32_t to = base + at * STAGE, bar = full + 8 * at;
			wg::barrier_wait(empty + 8 * at, (i / STAGES & 1) ^ 1);
			wg::barrier_expect(bar, STAGE);
			wg::fetch(to + STRIPS * BOX, left, w.left, i * TALL, 0, bar);
#pragma unroll
			for (int j = 0; j < STRIPS; j++)
				wg::fetch(to + j * BOX, right, w.right + c0 + j * WIDE, i * TALL, 0, bar);
		}
	}
	if (threadIdx.x >= GROUP)
		__syncwarp();
	if (threadIdx.x < GROUP && w.n <= 2)
		sum<2>(part, base, full, empty, turns);
	else if (threadIdx.x < GROUP)
		sum<GROUPS>(part, base, full, empty, turns);
	__syncthreads();
	for (int at = (int)threadIdx.x; at < 8 * w.n * ALL; at += THREADS) {
		/* neighbouring threads write neighbouring numbers of out; no other block adds to these: there is one order, and the
		 * memory does it while nobody waits */
		int j = w.out_c == 1 ? at / ALL : at % 8 + at / (8 * ALL) * 8, c = w.out_c == 1 ? at % ALL : at / 8 % ALL;
		const struct group &to = w.group[j / 8];
		if (to.out && j % 8 < to.columns && c0 + c < w.W)
			atomicAdd(to.out + j % 8 * w.out_j + (c0 + c) * w.out_c, to.factor * part[j * LINE + c]);
	}
#endif
}

/* x brought by boxes of TALL rows and WIDE columns. */
[[maybe_unused]] bool
map_of(CUtensorMap *map, struct tensor x)
{
	return tensor_map_of(map, x.data, sizeof(bf16), 1, tensor_rows(x), tensor_cols(x), tensor_ld(x), WIDE, TALL);
}

[[maybe_unused]] struct group
group_of(struct tensor grad, int64_t j, int64_t step, int64_t rank, float factor)
{
	return { grad.rank ? cuda_out<float>(grad) + j * step : NULL, (int)(rank - j < 8 ? rank - j : 8), factor };
}

/* da: columns of dh of all modules beside x. */
[[maybe_unused]] int
add_das(struct item *item, const struct tensor *da, int64_t in, const struct adapters *m)
{
	int n = 0;

	for (int k = 0; k < m->n; k++)
		for (int64_t j = 0; j < m->rank[k]; j += 8, n++) {
			struct item *i = item + n / GROUPS;
			if (n % GROUPS == 0) {
				*i = {};
				i->left = 8 * n, i->W = (int)in, i->out_j = in, i->out_c = 1;
			}
			i->group[n % GROUPS] = group_of(da[k], j, in, m->rank[k], 1.f);
			i->n = n % GROUPS + 1;
		}
	return (n + GROUPS - 1) / GROUPS;
}

/* db: a module's columns of h beside its of dy. */
[[maybe_unused]] int
add_dbs(struct item *item, const struct tensor *db, const struct adapters *m)
{
	int64_t at = 0, from = 0;
	int filled = 0;

	for (int k = 0; k < m->n; k++) {
		for (int64_t j = 0; db[k].rank && j < m->rank[k]; j += 8) {
			int g = (int)(j / 8 % GROUPS);
			struct item *i = item + filled - (g > 0);
			if (g == 0) {
				*i = {};
				i->back = 1, i->left = (int)(at + j), i->right = (int)from, i->W = (int)m->out[k];
				i->out_j = 1, i->out_c = m->rank[k];
				filled++;
			}
			i->group[g] = group_of(db[k], j, 1, m->rank[k], m->scale[k]);
			i->n = g + 1;
		}
		at += adapter_width(m->rank[k]);
		from += m->out[k];
	}
	return filled;
}

[[maybe_unused]] bool
any_wanted(const struct tensor *da, int n)
{
	for (int k = 0; k < n; k++)
		if (da[k].rank)
			return true;
	return false;
}

/* Whether MOST_ITEMS are enough, whichever gradients are wanted. */
[[maybe_unused]] bool
few_enough(const struct adapters *m)
{
	int64_t all = 0, items = 0;

	for (int k = 0; k < m->n; k++) {
		all += adapter_width(m->rank[k]) / 8;
		items += (adapter_width(m->rank[k]) / 8 + GROUPS - 1) / GROUPS;
	}
	return items + (all + GROUPS - 1) / GROUPS <= MOST_ITEMS;
}

} // namespace

bool
adapters_90_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h, struct tensor x,
                  struct tensor dy, const struct adapters *m)
{
#ifdef ACE_CUDA_90A
	struct grads s = {};
	CUtensorMap map[4];
	int64_t most = 0;
	int n = 0;

	if (m->p > 0.f || d->cuda->arch != 90 || !tensor_map_encoder() || !few_enough(m))
		return false;
	if (!map_of(&map[0], dh) || !map_of(&map[1], x) || !map_of(&map[2], h) || !map_of(&map[3], dy))
		return false;
	s.N = (int)tensor_rows(x);
	if (any_wanted(da, m->n))
		n = add_das(s.item, da, tensor_cols(x), m);
	n += add_dbs(s.item + n, db, m);
	for (int i = 0; i < n; i++)
		most = s.item[i].W > most ? s.item[i].W : most;
	if (n == 0)
		return true;
	cudaFuncSetAttribute(sum_grads, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	sum_grads<<<dim3(cuda_blocks(most, ALL), (unsigned)n), THREADS, BYTES, cuda_stream(d)>>>(map[0], map[1], map[2], map[3], s);
	cuda_launched(d, "adapters_grads");
	return true;
#else
	(void)d, (void)da, (void)db, (void)dh, (void)h, (void)x, (void)dy, (void)m;
	return false;
#endif
}
