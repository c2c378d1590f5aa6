/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of many parameters in one launch: a block a piece, eight or four numbers a thread at a time where they lie so, the next
 * ones on their way meanwhile. Compiled without contraction, as optim.cu. */
#include "kernels/cuda/optim.cuh"

namespace {

__global__ void
join(float *measured, const float *one, int64_t rows, int64_t columns)
{
	float most = 0.f;
	double all = 0;

	for (int64_t i = 0; i < rows; i++) {
		double sum = 0;
		for (int64_t k = 0; k < columns; k++, one += 2) {
			sum += (double)one[MEASURED_SQUARES];
			most = one[MEASURED_ABSMAX] <= most || isnan(most) ? most : one[MEASURED_ABSMAX];
		}
		all += sum;
	}
	measured[MEASURED_SQUARES] = (float)all;
	measured[MEASURED_ABSMAX] = most;
}

__global__ void __launch_bounds__(THREADS)
guard(float *l, const float *measured, const float *losses, int64_t n)
{
	bool finite = isfinite(measured[MEASURED_SQUARES]) && isfinite(measured[MEASURED_ABSMAX]);

	for (int64_t i = threadIdx.x; i < n; i += THREADS)
		finite = finite && isfinite(losses[i]);
	if (!__syncthreads_and(finite) && threadIdx.x == 0)
		l[LIMIT_FACTOR] = NAN;
}

/* What a rule takes from its numbers, in registers: they are read once, not behind every number that is written. */
struct adamw {
	float n[OPTIM_NUMBERS], part, factor, bound;	/* part: 1 / root */
};

__device__ __forceinline__ struct adamw
adamw_of(const float *n, const float *limit)
{
	struct adamw a = { {}, 1.f / n[NUMBER_ROOT], limit[LIMIT_FACTOR], limit[LIMIT_BOUND] };

#pragma unroll
	for (int i = 0; i < OPTIM_NUMBERS; i++)
		a.n[i] = n[i];
	return a;
}

/* Whether division's and root's usual steps are exact for x: it is nought, or neither tiny nor huge. */
__device__ __forceinline__ bool
is_plain(float x)
{
	return x == 0.f || (fabsf(x) >= 0x1p-100f && fabsf(x) <= 0x1p20f);
}

/* x / b as rounded by IEEE 754, by what the compiler itself does for plain numbers; part: 1 / b to the last bit but one. */
__device__ __forceinline__ float
quotient(float x, float b, float part)
{
	float q = x * part;

	q = fmaf(fmaf(-b, q, x), part, q);
	return fmaf(fmaf(-b, q, x), part, q);
}

__device__ __forceinline__ float
inverse(float b)
{
	float y;

	asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(b));
	return fmaf(y, fmaf(-b, y, 1.f), y);
}

/* The root as rounded by IEEE 754, of a plain number. */
__device__ __forceinline__ float
root_of(float x)
{
	float y, s;

	asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	s = x * y;
	s = fmaf(fmaf(-s, s, x), 0.5f * y, s);
	return x == 0.f ? 0.f : s;
}

/* adamw_moved of four numbers, without its branches, so that they run side by side; numbers that are not plain by the formula. */
__device__ __forceinline__ void
move4(float (&p)[4], const float (&m)[4], const float (&v)[4], const struct adamw &a)
{
	float moved[4];
	bool plain = true;

#pragma unroll
	for (int k = 0; k < 4; k++) {
		float below = quotient(root_of(v[k]), a.n[NUMBER_ROOT], a.part) + a.n[NUMBER_EPS], above = a.n[NUMBER_STEP] * m[k];
		plain = plain && is_plain(v[k]) && is_plain(above) && below >= 0x1p-60f && below <= 0x1p20f;
		moved[k] = p[k] * a.n[NUMBER_DECAY] - quotient(above, below, inverse(below));
	}
	if (!plain) {
#pragma unroll
		for (int k = 0; k < 4; k++)
			moved[k] = adamw_moved(p[k], m[k], v[k], a.n);
	}
#pragma unroll
	for (int k = 0; k < 4; k++)
		p[k] = moved[k];
}

__device__ __forceinline__ void
store4(float *p, const float (&x)[4])
{
	*(float4 *)p = make_float4(x[0], x[1], x[2], x[3]);
}

template <bool HALF>
__device__ __forceinline__ float
take1(void *g, int64_t i, bool left)
{
	float x;

	if (HALF) {
		x = bf16_to_f32(((uint16_t *)g)[i]);
		if (!left)
			((uint16_t *)g)[i] = 0;
	} else {
		x = ((float *)g)[i];
		if (!left)
			((float *)g)[i] = 0.f;
	}
	return x;
}

/* A thread's numbers as they came from memory: nothing waits for them until they are unpacked. */
struct floats {
	float4 p, m, v, g;		/* g: of halves, the first two words */
};

template <bool HALF>
__device__ __forceinline__ void
fetch(struct floats &x, const struct update_piece &q, int64_t i)
{
	x.p = *(const float4 *)((const float *)q.p + i);
	x.m = *(const float4 *)((const float *)q.m + i);
	x.v = *(const float4 *)((const float *)q.v + i);
	if (HALF) {
		float2 w = *(const float2 *)((const uint16_t *)q.g + i);
		x.g.x = w.x, x.g.y = w.y;
	} else {
		x.g = *(const float4 *)((const float *)q.g + i);
	}
}

__device__ __forceinline__ void
unpack4(float (&x)[4], float4 w)
{
	x[0] = w.x, x[1] = w.y, x[2] = w.z, x[3] = w.w;
}

template <bool HALF>
__device__ __forceinline__ void
move_floats(const struct update_piece &q, const float *n, const struct adamw &a)
{
	float *p = (float *)q.p, *m = (float *)q.m, *v = (float *)q.v;
	const float none[4] = {};
	int whole = q.count / 4 * 4;
	struct floats now, next = {};

	if (4 * (int)threadIdx.x < whole)
		fetch<HALF>(next, q, 4 * threadIdx.x);
	for (int i = 4 * (int)threadIdx.x; i < whole; i += 4 * THREADS) {
		float p4[4], m4[4], v4[4], g4[4];
		now = next;
		if (i + 4 * THREADS < whole)
			fetch<HALF>(next, q, i + 4 * THREADS);
		unpack4(p4, now.p), unpack4(m4, now.m), unpack4(v4, now.v);
		if (HALF) {
			unpack_bf16(__float_as_uint(now.g.x), g4[0], g4[1]);
			unpack_bf16(__float_as_uint(now.g.y), g4[2], g4[3]);
		} else {
			unpack4(g4, now.g);
		}
#pragma unroll
		for (int k = 0; k < 4; k++)
			adamw_moments(p4[k], limited(g4[k], a.factor, a.bound), &m4[k], &v4[k], a.n);
		move4(p4, m4, v4, a);
		store4(p + i, p4);
		store4(m + i, m4);
		store4(v + i, v4);
		if (HALF && !q.left)
			*(uint2 *)((uint16_t *)q.g + i) = make_uint2(0, 0);
		else if (!q.left)
			store4((float *)q.g + i, none);
		if (q.w)
			*(uint2 *)(q.w + i) = make_uint2(pack_bf16(p4[0], p4[1]), pack_bf16(p4[2], p4[3]));
	}
	for (int i = whole + (int)threadIdx.x; i < q.count; i += THREADS) {
		p[i] = adamw_number(p[i], limited(take1<HALF>(q.g, i, q.left), a.factor, a.bound), m + i, v + i, n);
		if (q.w)
			q.w[i] = f32_to_bf16(p[i]);
	}
}

struct halves {
	uint4 p, m, v, g, g4;		/* g4: of floats, the last four */
};

template <bool HALF>
__device__ __forceinline__ void
fetch(struct halves &x, const struct update_piece &q, int64_t i)
{
	x.p = *(const uint4 *)((const uint16_t *)q.p + i);
	x.m = *(const uint4 *)((const uint16_t *)q.m + i);
	x.v = *(const uint4 *)((const uint16_t *)q.v + i);
	if (HALF) {
		x.g = *(const uint4 *)((const uint16_t *)q.g + i);
	} else {
		x.g = *(const uint4 *)((const float *)q.g + i);
		x.g4 = *(const uint4 *)((const float *)q.g + i + 4);
	}
}

template <bool HALF>
__device__ __forceinline__ void
unpack_gradients(float (&g)[8], const struct halves &x)
{
	if (HALF) {
		unpack_bf16(x.g.x, g[0], g[1]), unpack_bf16(x.g.y, g[2], g[3]);
		unpack_bf16(x.g.z, g[4], g[5]), unpack_bf16(x.g.w, g[6], g[7]);
	} else {
		g[0] = __uint_as_float(x.g.x), g[1] = __uint_as_float(x.g.y), g[2] = __uint_as_float(x.g.z), g[3] = __uint_as_float(x.g.w);
		g[4] = __uint_as_float(x.g4.x), g[5] = __uint_as_float(x.g4.y), g[6] = __uint_as_float(x.g4.z), g[7] = __uint_as_float(x.g4.w);
	}
}

/* Four numbers, two to a word of p, m and v, by chance: words of random bits, two to a word as well. */
__device__ __forceinline__ void
move_words(uint32_t &p0, uint32_t &p1, uint32_t &m0, uint32_t &m1, uint32_t &v0, uint32_t &v1, const float *g, uint32_t r0, uint32_t r1,
           const struct adamw &a)
{
	float p[4], m[4], v[4];
	uint32_t chance[4] = { r0 & 0xffffu, r0 >> 16, r1 & 0xffffu, r1 >> 16 }, u[4];

	unpack_bf16(p0, p[0], p[1]), unpack_bf16(p1, p[2], p[3]);
	unpack_bf16(m0, m[0], m[1]), unpack_bf16(m1, m[2], m[3]);
	unpack_bf16(v0, v[0], v[1]), unpack_bf16(v1, v[2], v[3]);
#pragma unroll
	for (int k = 0; k < 4; k++)
		adamw_moments_by_chance(limited(g[k], a.factor, a.bound), &m[k], &v[k], a.n);
	m0 = pack_bf16(m[0], m[1]), m1 = pack_bf16(m[2], m[3]);
	v0 = pack_bf16(v[0], v[1]), v1 = pack_bf16(v[2], v[3]);
	move4(p, m, v, a);
#pragma unroll
	for (int k = 0; k < 4; k++)
		u[k] = bf16_by_chance(p[k], (uint16_t)chance[k]);
	p0 = u[0] | u[1] << 16, p1 = u[2] | u[3] << 16;
}

/* Word i of a block of eight. */
__device__ __forceinline__ uint16_t
word_of(const uint32_t (&word)[4], int i)
{
	return (uint16_t)(word[i / 2] >> 16 * (i & 1));
}

template <bool HALF>
__device__ __forceinline__ void
move_halves(const struct update_piece &q, const float *n, const struct adamw &a, struct rng r)
{
	uint16_t *p = (uint16_t *)q.p, *m = (uint16_t *)q.m, *v = (uint16_t *)q.v;
	const float none[8] = {};
	int whole = q.first % 8 == 0 ? q.count / 8 * 8 : 0;
	struct halves now, next = {};

	if (8 * (int)threadIdx.x < whole)
		fetch<HALF>(next, q, 8 * threadIdx.x);
	for (int i = 8 * (int)threadIdx.x; i < whole; i += 8 * THREADS) {
		uint4 block = rng_block_of(r, (uint64_t)(q.first + i) / 8);
		float g[8];
		now = next;
		if (i + 8 * THREADS < whole)
			fetch<HALF>(next, q, i + 8 * THREADS);
		unpack_gradients<HALF>(g, now);
		move_words(now.p.x, now.p.y, now.m.x, now.m.y, now.v.x, now.v.y, g, block.x, block.y, a);
		move_words(now.p.z, now.p.w, now.m.z, now.m.w, now.v.z, now.v.w, g + 4, block.z, block.w, a);
		*(uint4 *)(p + i) = now.p, *(uint4 *)(m + i) = now.m, *(uint4 *)(v + i) = now.v;
		if (HALF && !q.left)
			*(uint4 *)((uint16_t *)q.g + i) = make_uint4(0, 0, 0, 0);
		else if (!q.left)
			store8((float *)q.g + i, none);
	}
	for (int i = whole + (int)threadIdx.x; i < q.count; i += THREADS) {
		uint64_t at = (uint64_t)(q.first + i);
		uint4 block = rng_block_of(r, at / 8);
		uint32_t word[4] = { block.x, block.y, block.z, block.w };
		float x = limited(take1<HALF>(q.g, i, q.left), a.factor, a.bound);
		p[i] = adamw_number_by_chance(p[i], x, m + i, v + i, word_of(word, (int)(at % 8)), n);
	}
}

__device__ __forceinline__ void
clear(const struct update_piece &q)
{
	for (int i = (int)threadIdx.x; i < q.count && !q.left; i += THREADS)
		if (q.half_g)
			((uint16_t *)q.g)[i] = 0;
		else
			((float *)q.g)[i] = 0.f;
}

__global__ void __launch_bounds__(THREADS)
pieces(const struct update_piece *table, const float *n0, const float *n1, const float *limit, const uint64_t *stream)
{
	const struct update_piece q = table[blockIdx.x];
	const float *n = q.group ? n1 : n0;
	struct adamw a = adamw_of(n, limit);

	if (a.factor != a.factor) {
		clear(q);
	} else if (q.round) {
		struct rng r = rng_sub_of({ stream[0], stream[1], NULL }, (uint64_t)q.number);
		if (q.half_g)
			move_halves<true>(q, n, a, r);
		else
			move_halves<false>(q, n, a, r);
	} else if (q.half_g) {
		move_floats<true>(q, n, a);
	} else {
		move_floats<false>(q, n, a);
	}
}

} // namespace

extern "C" void
cuda_measures_join(struct dev *d, struct tensor measured, struct tensor measures)
{
	join<<<1, 1, 0, cuda_stream(d)>>>(cuda_out<float>(measured), cuda_in<float>(measures), measures.dim[0], measures.dim[1]);
	cuda_launched(d, "measures_join");
}

extern "C" void
cuda_update_guard(struct dev *d, struct tensor l, struct tensor measured, struct tensor losses)
{
	guard<<<1, THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(l), cuda_in<float>(measured), cuda_in<float>(losses),
	                                         tensor_count(losses));
	cuda_launched(d, "update_guard");
}

extern "C" void
cuda_adamw_pieces(struct dev *d, struct tensor table, int64_t n, struct tensor n0, struct tensor n1, struct tensor l,
                  struct tensor stream)
{
	if (n > 0)
		pieces<<<(unsigned)n, THREADS, 0, cuda_stream(d)>>>((const struct update_piece *)table.data, cuda_in<float>(n0),
		                                                    cuda_in<float>(n1), cuda_in<float>(l), cuda_in<uint64_t>(stream));
	cuda_launched(d, "adamw_pieces");
}
