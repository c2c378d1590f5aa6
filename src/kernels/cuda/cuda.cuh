/* SPDX-License-Identifier: Apache-2.0 */
/* cuda.cuh - what the cuda twins share
 *
 * Launchers are `extern "C"` functions cuda_NAME of the list's arguments. They launch on cuda_stream(d), ask nothing of the host
 * and allocate nothing but by cuda_scratch; after each launch stands cuda_launched(d, "NAME").
 *
 * Activations are F32 or BF16, as their tensors say: kernels are templates over the types, computing in float. Tensors whose
 * list line allows it may have rows apart (tensor_ld). Sums have a fixed order: no atomics on floats,
 * but where one block alone adds to a number once. */
#ifndef ACE_KERNELS_CUDA_CUH
#define ACE_KERNELS_CUDA_CUH

extern "C" {
#include "dev/cuda.h"
#include "kernels/kernels.h"
}

#include <assert.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

typedef __nv_bfloat16 bf16;

static inline cudaStream_t
cuda_stream(struct dev *d)
{
	return d->cuda->now;
}

/* Fails d, naming the kernel, when the launch just made was refused. */
static inline void
cuda_launched(struct dev *d, const char *kernel)
{
	cuda_ok(d, cudaGetLastError(), kernel);
}

/* Blocks for n pieces of work, per_block in each; at least one, so that nothing to do is still a legal launch. */
static inline unsigned
cuda_blocks(int64_t n, int64_t per_block)
{
	return n > 0 ? (unsigned)((n + per_block - 1) / per_block) : 1u;
}

/* WITH_TYPE(x.dtype, T, statement): the statement with T the C type of F32 or BF16. Any other is a mistake of the caller. */
#define WITH_TYPE(dt, T, ...)                             \
	do {                                              \
		if ((dt) == F32) {                        \
			using T = float;                  \
			__VA_ARGS__;                      \
		} else {                                  \
			assert((dt) == BF16);             \
			using T = bf16;                   \
			__VA_ARGS__;                      \
		}                                         \
	} while (0)

/* Whether rows of these tensors can be read eight numbers at a time: columns and rows' distance multiples of 8, 16-byte
 * aligned starts. */
static inline bool
cuda_by8(struct tensor x)
{
	return tensor_cols(x) % 8 == 0 && tensor_ld(x) % 8 == 0 && (uintptr_t)x.data % 16 == 0;
}

template <class T>
static inline const T *
cuda_in(struct tensor x)
{
	return (const T *)x.data;
}

template <class T>
static inline T *
cuda_out(struct tensor x)
{
	return (T *)x.data;
}

static __device__ __forceinline__ float
to_float(float x)
{
	return x;
}

static __device__ __forceinline__ float
to_float(bf16 x)
{
	return __bfloat162float(x);
}

template <class T>
static __device__ __forceinline__ T from_float(float x);

template <>
__device__ __forceinline__ float
from_float<float>(float x)
{
	return x;
}

template <>
__device__ __forceinline__ bf16
from_float<bf16>(float x)
{
	return __float2bfloat16_rn(x);
}

/* Two bf16 in a word, the lower one first. */
static __device__ __forceinline__ uint32_t
pack_bf16(float lo, float hi)
{
	__nv_bfloat162 p = __floats2bfloat162_rn(lo, hi);

	return *reinterpret_cast<uint32_t *>(&p);
}

static __device__ __forceinline__ void
unpack_bf16(uint32_t w, float &lo, float &hi)
{
	lo = __uint_as_float(w << 16);
	hi = __uint_as_float(w & 0xffff0000u);
}

/* Eight numbers from or to 16-byte aligned memory. */
static __device__ __forceinline__ void
load8(float (&v)[8], const float *p)
{
	float4 a = reinterpret_cast<const float4 *>(p)[0], b = reinterpret_cast<const float4 *>(p)[1];

	v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
	v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

static __device__ __forceinline__ void
load8(float (&v)[8], const bf16 *p)
{
	uint4 a = *reinterpret_cast<const uint4 *>(p);

	unpack_bf16(a.x, v[0], v[1]);
	unpack_bf16(a.y, v[2], v[3]);
	unpack_bf16(a.z, v[4], v[5]);
	unpack_bf16(a.w, v[6], v[7]);
}

static __device__ __forceinline__ void
store8(float *p, const float (&v)[8])
{
	reinterpret_cast<float4 *>(p)[0] = make_float4(v[0], v[1], v[2], v[3]);
	reinterpret_cast<float4 *>(p)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

static __device__ __forceinline__ void
store8(bf16 *p, const float (&v)[8])
{
	*reinterpret_cast<uint4 *>(p) = make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]),
	                                           pack_bf16(v[6], v[7]));
}

/* N numbers, N 1 (any place) or 8 (aligned): lets one kernel serve both. */
template <int N, class T>
static __device__ __forceinline__ void
load(float (&v)[N], const T *p)
{
	if constexpr (N == 8)
		load8(v, p);
	else
		for (int i = 0; i < N; i++)
			v[i] = to_float(p[i]);
}

template <int N, class T>
static __device__ __forceinline__ void
store(T *p, const float (&v)[N])
{
	if constexpr (N == 8)
		store8(p, v);
	else
		for (int i = 0; i < N; i++)
			p[i] = from_float<T>(v[i]);
}

/* The warp's sum and greatest, in all lanes; one order. */
static __device__ __forceinline__ float
warp_sum(float x)
{
#pragma unroll
	for (int i = 16; i > 0; i >>= 1)
		x += __shfl_xor_sync(0xffffffffu, x, i);
	return x;
}

static __device__ __forceinline__ float
warp_max(float x)
{
#pragma unroll
	for (int i = 16; i > 0; i >>= 1)
		x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, i));
	return x;
}

/* The block's sum in all threads; shared holds 32 floats; threads a multiple of 32. Barriers before and after, so that calls
 * may follow one another. */
static __device__ __forceinline__ float
block_sum(float x, float *shared)
{
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, warps = (int)blockDim.x / 32;

	x = warp_sum(x);
	__syncthreads();
	if (lane == 0)
		shared[warp] = x;
	__syncthreads();
	return warp_sum(lane < warps ? shared[lane] : 0.f);
}

static __device__ __forceinline__ float
block_max(float x, float *shared)
{
	int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, warps = (int)blockDim.x / 32;

	x = warp_max(x);
	__syncthreads();
	if (lane == 0)
		shared[warp] = x;
	__syncthreads();
	return warp_max(lane < warps ? shared[lane] : -INFINITY);
}

/* 1 / (1 + exp(-x)), to about 2^-21; by instructions that take small numbers for 0, which 1 + exp(-x) cannot tell. */
static __device__ __forceinline__ float
sigmoid_of(float x)
{
	float e, s;

	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(x * -1.44269504f));
	asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(s) : "f"(1.f + e));
	return s;
}

static __device__ __forceinline__ float
silu_of(float x)
{
	return x * sigmoid_of(x);
}

/* rng.h on the device: four words of a stream's block, and number i as rng_uniform gives it. */
static __device__ __forceinline__ uint4
rng_block_of(struct rng r, uint64_t block)
{
	uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)r.stream, c3 = (uint32_t)(r.stream >> 32);
	uint32_t k0 = (uint32_t)r.key, k1 = (uint32_t)(r.key >> 32);

#pragma unroll
	for (int i = 0; i < 10; i++) {
		uint32_t a = 0xD2511F53u * c0, ah = __umulhi(0xD2511F53u, c0);
		uint32_t b = 0xCD9E8D57u * c2, bh = __umulhi(0xCD9E8D57u, c2);
		c0 = bh ^ c1 ^ k0;
		c1 = b;
		c2 = ah ^ c3 ^ k1;
		c3 = a;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return make_uint4(c0, c1, c2, c3);
}

/* rng_sub (num/rng.c) on the device. */
static __device__ __forceinline__ struct rng
rng_sub_of(struct rng r, uint64_t index)
{
	uint64_t x = r.stream + 0x9e3779b97f4a7c15u * (index + 1);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	r.stream = x;
	return r;
}

/* What rng_later stands for, now that the numbers are drawn. */
static __device__ __forceinline__ struct rng
rng_now(struct rng r)
{
	return r.base ? rng_sub_of({ r.base[0], r.base[1], NULL }, r.stream) : r;
}

static __device__ __forceinline__ float
uniform_of(uint32_t word)
{
	return (float)(word >> 8) * 0x1p-24f;
}

/* The least word whose uniform_of is p or more, 0 <= p < 1: to compare words themselves. */
static __device__ __forceinline__ uint32_t
least_word(float p)
{
	return (uint32_t)ceilf(p * 0x1p24f) << 8;
}

#endif
