/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of many parameters in one launch: a block a piece, eight or four numbers a thread at a time where they lie so. Compiled
 * without contraction, as optim.cu. */
#include "kernels/cuda/optim.cuh"

namespace {

__global__ void __launch_bounds__(THREADS)
guard(float *l, const float *measured, const float *losses, int64_t n)
{
	bool finite = isfinite(measured[MEASURED_SQUARES]) && isfinite(measured[MEASURED_ABSMAX]);

	for (int64_t i = threadIdx.x; i < n; i += THREADS)
		finite = finite && isfinite(losses[i]);
	if (!__syncthreads_and(finite) && threadIdx.x == 0)
		l[LIMIT_FACTOR] = NAN;
}

/* Four neighbouring gradients, cleared. */
template <bool HALF>
__device__ __forceinline__ void
take4(float (&x)[4], void *g, int64_t i)
{
	if (HALF) {
		uint2 *at = (uint2 *)((uint16_t *)g + i), w = *at;
		x[0] = __uint_as_float(w.x << 16), x[1] = __uint_as_float(w.x & 0xffff0000u);
		x[2] = __uint_as_float(w.y << 16), x[3] = __uint_as_float(w.y & 0xffff0000u);
		*at = make_uint2(0, 0);
	} else {
		float4 *at = (float4 *)((float *)g + i), w = *at;
		x[0] = w.x, x[1] = w.y, x[2] = w.z, x[3] = w.w;
		*at = make_float4(0.f, 0.f, 0.f, 0.f);
	}
}

template <bool HALF>
__device__ __forceinline__ float
take1(void *g, int64_t i)
{
	float x;

	if (HALF) {
		x = bf16_to_f32(((uint16_t *)g)[i]);
		((uint16_t *)g)[i] = 0;
	} else {
		x = ((float *)g)[i];
		((float *)g)[i] = 0.f;
	}
	return x;
}

struct limits {
	float factor, bound;
};

template <bool HALF>
__device__ __forceinline__ void
move_floats(const struct update_piece &q, const float *n, struct limits l)
{
	float *p = (float *)q.p, *m = (float *)q.m, *v = (float *)q.v;
	int64_t whole = q.count / 4 * 4;

	for (int64_t i = 4 * threadIdx.x; i < whole; i += 4 * THREADS) {
		float4 p4 = *(float4 *)(p + i), m4 = *(float4 *)(m + i), v4 = *(float4 *)(v + i);
		float x[4];
		take4<HALF>(x, q.g, i);
		p4.x = adamw_number(p4.x, limited(x[0], l.factor, l.bound), &m4.x, &v4.x, n);
		p4.y = adamw_number(p4.y, limited(x[1], l.factor, l.bound), &m4.y, &v4.y, n);
		p4.z = adamw_number(p4.z, limited(x[2], l.factor, l.bound), &m4.z, &v4.z, n);
		p4.w = adamw_number(p4.w, limited(x[3], l.factor, l.bound), &m4.w, &v4.w, n);
		*(float4 *)(p + i) = p4, *(float4 *)(m + i) = m4, *(float4 *)(v + i) = v4;
		if (q.w)
			*(uint2 *)(q.w + i) = make_uint2(f32_to_bf16(p4.x) | (uint32_t)f32_to_bf16(p4.y) << 16,
			                                 f32_to_bf16(p4.z) | (uint32_t)f32_to_bf16(p4.w) << 16);
	}
	for (int64_t i = whole + threadIdx.x; i < q.count; i += THREADS) {
		p[i] = adamw_number(p[i], limited(take1<HALF>(q.g, i), l.factor, l.bound), m + i, v + i, n);
		if (q.w)
			q.w[i] = f32_to_bf16(p[i]);
	}
}

/* Word i of a block of eight. */
__device__ __forceinline__ uint16_t
word_of(const uint32_t (&word)[4], int i)
{
	return (uint16_t)(word[i / 2] >> 16 * (i & 1));
}

template <bool HALF>
__device__ __forceinline__ void
move_halves(const struct update_piece &q, const float *n, struct limits l, struct rng r)
{
	uint16_t *p = (uint16_t *)q.p, *m = (uint16_t *)q.m, *v = (uint16_t *)q.v;
	int64_t whole = q.first % 8 == 0 ? q.count / 8 * 8 : 0;

	for (int64_t i = 8 * threadIdx.x; i < whole; i += 8 * THREADS) {
		uint4 block = rng_block_of(r, (uint64_t)(q.first + i) / 8);
		uint32_t word[4] = { block.x, block.y, block.z, block.w };
		union {
			uint4 all;
			uint16_t one[8];
		} p8, m8, v8;
		float x[2][4];
		p8.all = *(uint4 *)(p + i), m8.all = *(uint4 *)(m + i), v8.all = *(uint4 *)(v + i);
		take4<HALF>(x[0], q.g, i);
		take4<HALF>(x[1], q.g, i + 4);
#pragma unroll
		for (int k = 0; k < 8; k++)
			p8.one[k] = adamw_number_by_chance(p8.one[k], limited(x[k / 4][k % 4], l.factor, l.bound), &m8.one[k], &v8.one[k],
			                                   word_of(word, k), n);
		*(uint4 *)(p + i) = p8.all, *(uint4 *)(m + i) = m8.all, *(uint4 *)(v + i) = v8.all;
	}
	for (int64_t i = whole + threadIdx.x; i < q.count; i += THREADS) {
		uint64_t at = (uint64_t)(q.first + i);
		uint4 block = rng_block_of(r, at / 8);
		uint32_t word[4] = { block.x, block.y, block.z, block.w };
		float x = limited(take1<HALF>(q.g, i), l.factor, l.bound);
		p[i] = adamw_number_by_chance(p[i], x, m + i, v + i, word_of(word, (int)(at % 8)), n);
	}
}

__global__ void __launch_bounds__(THREADS)
pieces(const struct update_piece *table, const float *n0, const float *n1, const float *limit, const uint64_t *stream)
{
	const struct update_piece q = table[blockIdx.x];
	const float *n = q.group ? n1 : n0;
	struct limits l = { limit[LIMIT_FACTOR], limit[LIMIT_BOUND] };

	if (l.factor != l.factor)
		return;
	if (q.round) {
		struct rng r = rng_sub_of({ stream[0], stream[1], NULL }, (uint64_t)q.number);
		if (q.half_g)
			move_halves<true>(q, n, l, r);
		else
			move_halves<false>(q, n, l, r);
	} else if (q.half_g) {
		move_floats<true>(q, n, l);
	} else {
		move_floats<false>(q, n, l);
	}
}

} // namespace

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
