/* SPDX-License-Identifier: Apache-2.0 */
/* adapters.cu - low-rank adapters beside their weights: thin products on tensor cores, by fragments that go from device memory to
 * registers without a stop
 *
 * In an m16n8k16 product the order of k is free as long as both factors keep it, and so is what column or row a fragment's place
 * stands for: a lane takes 16 bytes of a row at a time and calls them what the product wants them to be. */
#include "kernels/cuda/adapters_90.cuh"
#include "kernels/cuda/adapters_wide.cuh"
#include "kernels/cuda/mma.cuh"

namespace {

enum { WARPS = 16, HALF = WARPS / 2, THREADS = 32 * WARPS, ROWS = 16, MOST_TILES = 6, MOST_ITEMS = 24 };

/* Bits of which of eight numbers from number i on are kept: those whose word is least or more. */
__device__ __forceinline__ uint32_t
kept8(struct rng r, uint64_t i, uint32_t least)
{
	uint4 a = rng_block_of(r, i / 4), b = rng_block_of(r, i / 4 + 1);

	return (uint32_t)(a.x >= least) | (uint32_t)(a.y >= least) << 1 | (uint32_t)(a.z >= least) << 2 | (uint32_t)(a.w >= least) << 3 |
	       (uint32_t)(b.x >= least) << 4 | (uint32_t)(b.y >= least) << 5 | (uint32_t)(b.z >= least) << 6 |
	       (uint32_t)(b.w >= least) << 7;
}

__device__ __forceinline__ uint32_t
kept2(uint32_t word, uint32_t bits)
{
	return word & (((bits & 1) ? 0xffffu : 0u) | ((bits & 2) ? 0xffff0000u : 0u));
}

__device__ __forceinline__ uint4
only(uint4 x, uint32_t bits)
{
	return make_uint4(kept2(x.x, bits), kept2(x.y, bits >> 2), kept2(x.z, bits >> 4), kept2(x.w, bits >> 6));
}

__device__ __forceinline__ uint4
take16(const bf16 *p, bool there)
{
	return there ? __ldg(reinterpret_cast<const uint4 *>(p)) : make_uint4(0, 0, 0, 0);
}

/* h [N, width] = factor drop(x) v^T, v [width, K]. */
struct thin {
	const bf16 *x, *v;
	bf16 *h;
	int K, width;
	int64_t ldv;
	struct rng stream;
};

struct thins {
	struct thin item[MOST_ITEMS];
	int64_t N, ldx, ldh, cols;	/* cols: of x, for its numbers' count */
	float p, factor;
};

template <int TILES, bool DROPS>
__global__ void __launch_bounds__(THREADS)
thin_products(const __grid_constant__ struct thins s)
{
	__shared__ float part[HALF][ROWS][8 * TILES];
	const struct thin &w = s.item[blockIdx.y];
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
	int64_t row = (int64_t)blockIdx.x * ROWS + g;
	bool above = row < s.N, below = row + 8 < s.N;
	const bf16 *x = w.x + row * s.ldx + 8 * t, *v = w.v + g * w.ldv + 8 * t;
	struct rng stream = rng_now(w.stream);
	uint32_t least = least_word(s.p);
	float acc[TILES][4];

#pragma unroll
	for (int j = 0; j < TILES; j++)
		acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
#pragma unroll 5
	for (int k = 32 * warp; k < w.K; k += 32 * WARPS) {
		bool there = k + 8 * t < w.K;
		uint4 up = take16(x + k, there && above), low = take16(x + k + 8 * s.ldx, there && below), b[TILES];
#pragma unroll
		for (int j = 0; j < TILES; j++)
			b[j] = take16(v + k + 8 * j * w.ldv, there && 8 * j < w.width);
		if (DROPS) {
			uint64_t i = (uint64_t)(row * s.cols + k + 8 * t);
			up = only(up, kept8(stream, i, least));
			low = only(low, kept8(stream, i + 8 * (uint64_t)s.cols, least));
		}
		uint32_t first[4] = { up.x, low.x, up.y, low.y }, second[4] = { up.z, low.z, up.w, low.w };
#pragma unroll
		for (int j = 0; j < TILES; j++) {
			mma::product(acc[j], first, b[j].x, b[j].y);
			mma::product(acc[j], second, b[j].z, b[j].w);
		}
	}
	if (warp >= HALF)
#pragma unroll
		for (int j = 0; j < TILES; j++)
#pragma unroll
			for (int i = 0; i < 4; i++)
				part[warp - HALF][g + 8 * (i / 2)][8 * j + 2 * t + i % 2] = acc[j][i];
	__syncthreads();
	if (warp < HALF)
#pragma unroll
		for (int j = 0; j < TILES; j++)
#pragma unroll
			for (int i = 0; i < 4; i++)
				part[warp][g + 8 * (i / 2)][8 * j + 2 * t + i % 2] += acc[j][i];
	__syncthreads();
	for (int at = (int)threadIdx.x; at < ROWS * 8 * TILES; at += THREADS) {
		int r = at / (8 * TILES), c = at % (8 * TILES);
		float sum = 0.f;
#pragma unroll
		for (int i = 0; i < HALF; i++)
			sum += part[i][r][c];
		if ((int64_t)blockIdx.x * ROWS + r < s.N && c < w.width)
			w.h[((int64_t)blockIdx.x * ROWS + r) * s.ldh + c] = __float2bfloat16_rn(s.factor * sum);
	}
}

template <int TILES>
void
launch_thin(struct dev *d, const struct thins &s, int n)
{
	dim3 grid(cuda_blocks(s.N, ROWS), (unsigned)n);

	if (s.p > 0.f)
		thin_products<TILES, true><<<grid, THREADS, 0, cuda_stream(d)>>>(s);
	else
		thin_products<TILES, false><<<grid, THREADS, 0, cuda_stream(d)>>>(s);
}

/* The items in pieces of at most MOST_TILES tiles, a launch for MOST_ITEMS of them. */
void
run_thin(struct dev *d, struct thins s, const struct thin *item, int n, const char *kernel)
{
	int filled = 0, widest = 0;

	if (s.p == 0.f && s.factor == 1.f) {
		struct thin_90 t = { {}, n, s.N, s.ldx, s.ldh };
		for (int i = 0; i < n; i++)
			t.item[i] = { item[i].x, item[i].v, item[i].h, item[i].K, item[i].width, item[i].ldv };
		if (thin_90_products(d, &t)) {
			cuda_launched(d, kernel);
			return;
		}
	}
	for (int i = 0; i < n; i++)
		for (int at = 0; at < item[i].width; at += 8 * MOST_TILES) {
			struct thin piece = item[i];
			piece.v += at * piece.ldv;
			piece.h += at;
			piece.width = item[i].width - at < 8 * MOST_TILES ? item[i].width - at : 8 * MOST_TILES;
			widest = piece.width > widest ? piece.width : widest;
			s.item[filled++] = piece;
			if (filled == MOST_ITEMS) {
				launch_thin<MOST_TILES>(d, s, filled);
				filled = widest = 0;
			}
		}
	if (filled && widest <= 16)
		launch_thin<2>(d, s, filled);
	else if (filled && widest <= 32)
		launch_thin<4>(d, s, filled);
	else if (filled)
		launch_thin<MOST_TILES>(d, s, filled);
	cuda_launched(d, kernel);
}

/* out [rank, W] or (across) [W, rank] += factor sum over rows n of a [n, rank] b [n, W], of 16 of the rank's columns. */
struct grad {
	const bf16 *a, *b;
	float *out;
	int64_t lda, ldb, W;
	int64_t out_j, out_c;		/* steps in out for a's and b's columns */
	int columns, width;		/* of a: wanted, there (the others of 16 are another module's) */
	bool drops;
	float factor;
	struct rng stream;
};

struct grads {
	struct grad item[MOST_ITEMS];
	int64_t N, cols;
	float p;
};

enum { WIDE = 64, GRAD_WARPS = 8, GRAD_THREADS = 32 * GRAD_WARPS, LINE = WIDE + 4 };

/* Lower and upper halves of two rows' words, as two numbers along the rows. */
__device__ __forceinline__ uint32_t
low_of(uint32_t a, uint32_t b)
{
	return __byte_perm(a, b, 0x5410);
}

__device__ __forceinline__ uint32_t
high_of(uint32_t a, uint32_t b)
{
	return __byte_perm(a, b, 0x7632);
}

__device__ __forceinline__ uint32_t
word_of(const uint4 &x, int i)
{
	return i == 0 ? x.x : i == 1 ? x.y : i == 2 ? x.z : x.w;
}

/* Fragments of eight tiles of a right factor whose rows k are r[0], r[1], r[2], r[3] (2t, 2t+1, 2t+8, 2t+9): tile j, column n
 * stands for number 8 n + j. */
__device__ __forceinline__ void
multiply(float (&acc)[8][4], const uint32_t (&a)[4], const uint4 (&r)[4])
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		uint32_t w0 = word_of(r[0], i), w1 = word_of(r[1], i), w2 = word_of(r[2], i), w3 = word_of(r[3], i);
		mma::product(acc[2 * i], a, low_of(w0, w1), low_of(w2, w3));
		mma::product(acc[2 * i + 1], a, high_of(w0, w1), high_of(w2, w3));
	}
}

template <bool DROPS>
__global__ void __launch_bounds__(GRAD_THREADS, 2)
add_grads(const __grid_constant__ struct grads s)
{
	__shared__ float part[GRAD_WARPS][ROWS][LINE];	/* number 8 n + j of a row lies at 8 j + n: fewer meet in a bank */
	const struct grad &w = s.item[blockIdx.y];
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
	int64_t col = (int64_t)blockIdx.x * WIDE + 8 * g;
	bool has_a = 2 * g < w.width, has_b = col < w.W;
	struct rng stream = rng_now(w.stream);
	uint32_t least = least_word(s.p);
	float acc[8][4];

	if ((int64_t)blockIdx.x * WIDE >= w.W)
		return;
#pragma unroll
	for (int j = 0; j < 8; j++)
		acc[j][0] = acc[j][1] = acc[j][2] = acc[j][3] = 0.f;
#pragma unroll 4
	for (int64_t n = 16 * warp; n < s.N; n += 16 * GRAD_WARPS) {
		uint32_t word[4], a[4];
		uint4 b[4];
#pragma unroll
		for (int i = 0; i < 4; i++) {
			int64_t row = n + 2 * t + i % 2 + 8 * (i / 2);
			bool there = row < s.N;
			word[i] = there && has_a ? __ldg(reinterpret_cast<const uint32_t *>(w.a + row * w.lda + 2 * g)) : 0u;
			b[i] = take16(w.b + row * w.ldb + col, there && has_b);
			if (DROPS && w.drops)
				b[i] = only(b[i], kept8(stream, (uint64_t)(row * s.cols + col), least));
		}
		a[0] = low_of(word[0], word[1]);
		a[1] = high_of(word[0], word[1]);
		a[2] = low_of(word[2], word[3]);
		a[3] = high_of(word[2], word[3]);
		multiply(acc, a, b);
	}
	/* place (m, n) of tile j is column 2 m (m < 8) or 2 (m - 8) + 1 of a, column 8 n + j of b */
#pragma unroll
	for (int j = 0; j < 8; j++)
#pragma unroll
		for (int i = 0; i < 2; i++)
			*reinterpret_cast<float2 *>(&part[warp][2 * g + i][8 * j + 2 * t]) = make_float2(acc[j][2 * i], acc[j][2 * i + 1]);
	__syncthreads();
	for (int at = (int)threadIdx.x; at < ROWS * WIDE; at += GRAD_THREADS) {
		/* neighbouring threads write neighbouring numbers of out */
		int j = w.out_c == 1 ? at / WIDE : at % ROWS, c = w.out_c == 1 ? at % WIDE : at / ROWS;
		float sum = 0.f;
#pragma unroll
		for (int i = 0; i < GRAD_WARPS; i++)
			sum += part[i][j][8 * (c % 8) + c / 8];
		if (j < w.columns && (int64_t)blockIdx.x * WIDE + c < w.W)
			w.out[j * w.out_j + ((int64_t)blockIdx.x * WIDE + c) * w.out_c] += w.factor * sum;
	}
}

void
launch_grads(struct dev *d, const struct grads &s, int n, int64_t most)
{
	dim3 grid(cuda_blocks(most, WIDE), (unsigned)n);

	if (s.p > 0.f)
		add_grads<true><<<grid, GRAD_THREADS, 0, cuda_stream(d)>>>(s);
	else
		add_grads<false><<<grid, GRAD_THREADS, 0, cuda_stream(d)>>>(s);
}

/* dx += sum over modules of factor drop(dh a): a warp 16 rows of 64 columns, a lane eight columns twice in two rows. */
struct back {
	const bf16 *dh, *a;
	int64_t N, in, lddh, lda, lddx;
	int n, width[ADAPTERS];
	float p, factor;
	struct rng stream[ADAPTERS];
};

enum { BACK_WARPS = 4 };

template <class T>
__global__ void __launch_bounds__(32 * BACK_WARPS, 4)
add_back(const __grid_constant__ struct back s, T *dx)
{
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
	int64_t c0 = ((int64_t)blockIdx.x * BACK_WARPS + warp) * WIDE, row = (int64_t)blockIdx.y * ROWS + g;
	float all[4][8] = {};
	uint32_t least = least_word(s.p);
	int at = 0;

	if (c0 >= s.in)
		return;
	for (int k = 0; k < s.n; k++) {
		struct rng stream = rng_now(s.stream[k]);
		float acc[8][4] = {};
		uint32_t bits[4];
		for (int j0 = 0; j0 < s.width[k]; j0 += 16) {
			uint32_t l[4];
			uint4 r[4];
#pragma unroll
			for (int i = 0; i < 4; i++) {
				int64_t n = row + 8 * (i % 2);
				int j = j0 + 2 * t + 8 * (i / 2);
				l[i] = n < s.N && j < s.width[k]
				               ? __ldg(reinterpret_cast<const uint32_t *>(s.dh + n * s.lddh + at + j)) : 0u;
				j = j0 + 2 * t + i % 2 + 8 * (i / 2);
				r[i] = take16(s.a + (at + j) * s.lda + c0 + 8 * g, j < s.width[k] && c0 + 8 * g < s.in);
			}
			if (j0 == 0)		/* drawn while the numbers come */
#pragma unroll
				for (int q = 0; q < 4; q++)
					bits[q] = kept8(stream, (uint64_t)((row + 8 * (q / 2)) * s.in + c0 + 8 * (2 * t + q % 2)), least);
			multiply(acc, l, r);
		}
#pragma unroll
		for (int q = 0; q < 4; q++)
#pragma unroll
			for (int j = 0; j < 8; j++)
				all[q][j] += bits[q] >> j & 1 ? s.factor * acc[j][q] : 0.f;
		at += s.width[k];
	}
#pragma unroll
	for (int q = 0; q < 4; q++) {		/* rows g, g + 8; columns 8 (2t), 8 (2t + 1) */
		int64_t n = row + 8 * (q / 2), c = c0 + 8 * (2 * t + q % 2);
		if (n < s.N && c < s.in) {
			float v[8];
			load8(v, dx + n * s.lddx + c);
#pragma unroll
			for (int j = 0; j < 8; j++)
				v[j] += all[q][j];
			store8(dx + n * s.lddx + c, v);
		}
	}
}

enum { SPREAD = 256, STRIP = 64, DEEP = 32 };

__device__ __forceinline__ void
load_four(float (&v)[4], const float *p)
{
	float4 a = *reinterpret_cast<const float4 *>(p);

	v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
}

__device__ __forceinline__ void
store_four(bf16 *p, const float (&v)[4])
{
	*reinterpret_cast<uint2 *>(p) = make_uint2(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]));
}

/* Four of B's numbers in a row, scaled; zeros beyond what is there. */
__device__ __forceinline__ void
load_b(float (&v)[4], const struct adapter_place &p, int64_t row, int64_t j)
{
	const float *from = p.b + row * p.rank + j;

	if (row < p.out && p.rank % 4 == 0 && (uintptr_t)p.b % 16 == 0 && j < p.rank)
		load_four(v, from);
	else
#pragma unroll
		for (int i = 0; i < 4; i++)
			v[i] = row < p.out && j + i < p.rank ? from[i] : 0.f;
#pragma unroll
	for (int i = 0; i < 4; i++)
		v[i] *= p.scale;
}

/* A strip of 64 inputs and of 64 outputs a block, four numbers a thread; B goes across by way of shared memory. Sizes and distances of
 * rows are multiples of 8. */
__global__ void __launch_bounds__(SPREAD)
spread(const struct adapter_place *table)
{
	constexpr int FOURS = STRIP / 4, ROWS = SPREAD / FOURS, DEEP_FOURS = DEEP / 4;
	__shared__ float tile[DEEP][STRIP + 1];
	const struct adapter_place p = table[blockIdx.y];
	int64_t c0 = (int64_t)blockIdx.x * STRIP, width = (p.rank + 7) / 8 * 8;
	int t = (int)threadIdx.x, c = 4 * (t % FOURS), j0 = t / FOURS, deep4 = 4 * (t % DEEP_FOURS);
	bf16 *rows = (bf16 *)p.rows, *columns = (bf16 *)p.columns, *across = (bf16 *)p.across;

	if (c0 + c < p.in)
#pragma unroll 4
		for (int64_t j = j0; j < width; j += ROWS) {
			float v[4] = {};
			if (j < p.rank)
				load_four(v, p.a + j * p.in + c0 + c);
			store_four(rows + j * p.ld + c0 + c, v);
		}
	if (c0 >= p.out)
		return;
	for (int64_t deep = 0; deep < width; deep += DEEP) {
		int64_t j = deep + deep4;
#pragma unroll
		for (int i = t / DEEP_FOURS; i < STRIP; i += SPREAD / DEEP_FOURS) {
			float v[4];
			load_b(v, p, c0 + i, j);
#pragma unroll
			for (int k = 0; k < 4; k++)
				tile[deep4 + k][i] = v[k];
			if (c0 + i < p.out && j < width)
				store_four(columns + (c0 + i) * p.ld_columns + j, v);
		}
		__syncthreads();
#pragma unroll
		for (int i = j0; i < DEEP; i += ROWS)
			if (deep + i < width && c0 + c < p.out)
				store_four(across + (deep + i) * p.out + c0 + c,
				         { tile[i][c], tile[i][c + 1], tile[i][c + 2], tile[i][c + 3] });
		__syncthreads();
	}
}

/* What the kernels here ask of their tensors: the layers' packing sees to it. */
bool
fits(struct tensor x)
{
	return x.dtype == BF16 && tensor_cols(x) % 8 == 0 && tensor_ld(x) % 8 == 0 && (uintptr_t)x.data % 16 == 0;
}

} // namespace

extern "C" void
cuda_adapters_spread(struct dev *d, struct tensor table, int64_t n, int64_t most)
{
	if (n > 0)
		spread<<<dim3(cuda_blocks(most, STRIP), (unsigned)n), SPREAD, 0, cuda_stream(d)>>>((const struct adapter_place *)table.data);
	cuda_launched(d, "adapters_spread");
}

extern "C" void
cuda_adapters_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m)
{
	struct thins s = {};
	struct thin item[ADAPTERS] = {};
	int64_t at = 0;
	int n = m->p > 0.f ? m->n : 1;		/* without drops they all see one x */

	assert(fits(h) && fits(x) && fits(a));
	if (adapters_are_wide(m)) {
		adapters_wide_down(d, h, x, a, m);
		return;
	}
	s.N = tensor_rows(x), s.ldx = tensor_ld(x), s.ldh = tensor_ld(h), s.cols = tensor_cols(x), s.p = m->p;
	s.factor = 1.f / (1.f - m->p);
	for (int k = 0; k < n; k++) {
		item[k].x = cuda_in<bf16>(x);
		item[k].v = cuda_in<bf16>(a) + at * tensor_ld(a);
		item[k].h = cuda_out<bf16>(h) + at;
		item[k].K = (int)tensor_cols(x);
		item[k].width = (int)(n == 1 && m->p == 0.f ? tensor_cols(h) : adapter_width(m->rank[k]));
		item[k].ldv = tensor_ld(a);
		item[k].stream = m->stream[k];
		at += item[k].width;
	}
	if (s.N > 0)
		run_thin(d, s, item, n, "adapters_down");
}

extern "C" void
cuda_adapters_back(struct dev *d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m)
{
	struct thins s = {};
	struct thin item[ADAPTERS] = {};
	int64_t at = 0, from = 0, row = 0;

	assert(fits(dh) && fits(dy) && bt.dtype == BF16);
	if (adapters_are_wide(m)) {
		adapters_wide_back(d, dh, dy, bt, m);
		return;
	}
	s.N = tensor_rows(dy), s.ldx = tensor_ld(dy), s.ldh = tensor_ld(dh), s.factor = 1.f;
	for (int k = 0; k < m->n; k++) {
		assert(m->out[k] % 8 == 0);
		item[k].x = cuda_in<bf16>(dy) + from;
		item[k].v = cuda_in<bf16>(bt) + row;
		item[k].h = cuda_out<bf16>(dh) + at;
		item[k].K = (int)m->out[k];
		item[k].width = (int)adapter_width(m->rank[k]);
		item[k].ldv = m->out[k];
		at += item[k].width;
		from += m->out[k];
		row += item[k].width * m->out[k];
	}
	if (s.N > 0)
		run_thin(d, s, item, m->n, "adapters_back");
}

extern "C" void
cuda_adapters_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h,
                    struct tensor x, struct tensor dy, const struct adapters *m)
{
	struct grads s = {};
	int64_t in = tensor_cols(x), at = 0, from = 0, most = in;
	int filled = 0;

	assert(fits(dh) && fits(h) && fits(x) && fits(dy));
	if (adapters_are_wide(m)) {
		adapters_wide_grads(d, da, db, dh, h, x, dy, m);
		return;
	}
	if (adapters_90_grads(d, da, db, dh, h, x, dy, m))
		return;
	s.N = tensor_rows(x), s.cols = in, s.p = m->p;
	for (int k = 0; k < m->n; k++)
		most = m->out[k] > most ? m->out[k] : most;
	for (int k = 0; k < m->n; k++) {
		int64_t rank = m->rank[k], width = adapter_width(rank);
		for (int64_t j = 0; j < rank; j += 16) {
			struct grad a = {}, b = {};
			a.a = cuda_in<bf16>(dh) + at + j, a.lda = tensor_ld(dh), a.b = cuda_in<bf16>(x), a.ldb = tensor_ld(x), a.W = in;
			a.out = cuda_out<float>(da[k]) + j * in, a.out_j = in, a.out_c = 1;
			a.columns = (int)(rank - j < 16 ? rank - j : 16), a.width = (int)(width - j < 16 ? width - j : 16);
			a.drops = true, a.factor = 1.f / (1.f - m->p), a.stream = m->stream[k];
			b = a;
			b.a = cuda_in<bf16>(h) + at + j, b.lda = tensor_ld(h), b.b = cuda_in<bf16>(dy) + from, b.ldb = tensor_ld(dy);
			b.W = m->out[k], b.out = cuda_out<float>(db[k]) + j, b.out_j = 1, b.out_c = rank;
			b.drops = false, b.factor = m->scale[k];
			if (da[k].rank)
				s.item[filled++] = a;
			if (db[k].rank)
				s.item[filled++] = b;
			if (filled > MOST_ITEMS - 2) {
				launch_grads(d, s, filled, most);
				filled = 0;
			}
		}
		at += width;
		from += m->out[k];
	}
	if (filled)
		launch_grads(d, s, filled, most);
	cuda_launched(d, "adapters_grads");
}

extern "C" void
cuda_adapters_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m)
{
	struct back s = {};
	dim3 grid(cuda_blocks(tensor_cols(dx), BACK_WARPS * WIDE), cuda_blocks(tensor_rows(dx), ROWS));

	assert(fits(dh) && fits(a) && cuda_by8(dx));
	if (adapters_are_wide(m)) {
		adapters_wide_dx(d, dx, dh, a, m);
		return;
	}
	s.dh = cuda_in<bf16>(dh), s.a = cuda_in<bf16>(a), s.N = tensor_rows(dx), s.in = tensor_cols(dx);
	s.lddh = tensor_ld(dh), s.lda = tensor_ld(a), s.lddx = tensor_ld(dx), s.n = m->n, s.p = m->p, s.factor = 1.f / (1.f - m->p);
	for (int k = 0; k < m->n; k++) {
		s.width[k] = (int)adapter_width(m->rank[k]);
		s.stream[k] = m->stream[k];
	}
	WITH_TYPE(dx.dtype, T, (add_back<T><<<grid, 32 * BACK_WARPS, 0, cuda_stream(d)>>>(s, cuda_out<T>(dx))));
	cuda_launched(d, "adapters_dx");
}
