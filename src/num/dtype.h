/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.h - the types of stored numbers */
#ifndef ACE_NUM_DTYPE_H
#define ACE_NUM_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* F32 BF16 F16 F8 I8 I32 I64 are computed with; F64 U8 U16 U32 I16 BOOL occur in files only. F8 is e4m3. I4 occurs in memory only: 0 .. 15,
 * two in a byte, the first in its lower half; rows are of even length, and dtype_size is of such a pair. */
enum dtype { F32, BF16, F16, F8, I8, I32, I64, F64, U8, U16, U32, I16, BOOL, I4 };

size_t dtype_size(enum dtype t);

/* Types that activations are stored in. */
static inline bool
dtype_is_activation(enum dtype t)
{
	return t == F32 || t == BF16 || t == F16;
}

const char *dtype_name(enum dtype t);			/* safetensors' spelling: "F32", "BF16", "F8_E4M3" */
bool dtype_parse(const char *name, enum dtype *t);

/* Small functions that nvcc makes for the device as well. */
#ifdef __CUDACC__
#define ACE_INLINE static __host__ __device__ inline
#else
#define ACE_INLINE static inline
#endif

/* bf16 is the upper half of an f32; rounding to nearest even, NaN stays NaN. */
ACE_INLINE float
bf16_to_f32(uint16_t b)
{
	uint32_t u = (uint32_t)b << 16;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

ACE_INLINE uint16_t
f32_to_bf16(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(u >> 16 | 0x40u);
	return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* e4m3: four bits of exponent, three of mantissa, no infinity, 448 the greatest; what is above becomes 448. */
ACE_INLINE float
f8_to_f32(uint8_t b)
{
	uint32_t e = b >> 3 & 15u, m = b & 7u, u = (b & 0x80u) << 24 | (e + 120u) << 23 | m << 20;
	float f;

	if (e == 0)
		f = (b & 0x80u ? -1.f : 1.f) * (float)m * 0x1p-9f;
	else if ((b & 0x7fu) == 0x7fu)
		u = 0x7fc00000u, memcpy(&f, &u, 4);
	else
		memcpy(&f, &u, 4);
	return f;
}

ACE_INLINE uint8_t
f32_to_f8(float f)
{
	uint32_t u, sign, a;

	memcpy(&u, &f, 4);
	sign = u >> 24 & 0x80u;
	a = u & 0x7fffffffu;
	if (a > 0x7f800000u)
		return 0x7fu;
	if (a >= 0x43e00000u)				/* 448 */
		return (uint8_t)(sign | 0x7eu);
	if (a < 0x3c800000u) {				/* below 2^-6 in steps of 2^-9: the adding rounds */
		float v;
		memcpy(&v, &a, 4);
		v += 0x1p14f;
		memcpy(&a, &v, 4);
		return (uint8_t)(sign | (a - 0x46800000u));
	}
	a += 0x7ffffu + (a >> 20 & 1u);
	return (uint8_t)(sign | ((a >> 20) - (120u << 3)));
}

ACE_INLINE float
f16_to_f32(uint16_t h)
{
	uint32_t em = h & 0x7fffu, sign = (uint32_t)(h & 0x8000u) << 16, u;
	float f = (float)em * 0x1p-24f;			/* below 2^-14 in steps of 2^-24 */

	if (em < 0x400u)
		memcpy(&u, &f, 4);
	else
		u = (em << 13) + (em < 0x7c00u ? 112u << 23 : 224u << 23);
	u |= sign;
	memcpy(&f, &u, 4);
	return f;
}

/* To nearest even; from 65520 on infinity. */
ACE_INLINE uint16_t
f32_to_f16(float f)
{
	uint32_t u, sign, a;

	memcpy(&u, &f, 4);
	sign = u >> 16 & 0x8000u;
	a = u & 0x7fffffffu;
	if (a > 0x7f800000u)
		return (uint16_t)(sign | 0x7e00u);
	if (a >= 0x477ff000u)
		return (uint16_t)(sign | 0x7c00u);
	if (a < 0x38800000u) {				/* the adding rounds */
		float v;
		memcpy(&v, &a, 4);
		v += 0.5f;
		memcpy(&a, &v, 4);
		return (uint16_t)(sign | (a - 0x3f000000u));
	}
	a += 0xfffu + (a >> 13 & 1u);
	return (uint16_t)(sign | (a - 0x38000000u) >> 13);
}

/* Of a BF16 or F16 number. */
ACE_INLINE float
half_to_f32(uint16_t b, enum dtype t)
{
	return t == F16 ? f16_to_f32(b) : bf16_to_f32(b);
}

/* n numbers of type from at src to type to at dst; F32 BF16 F16 F64 among themselves. false: a pair it lacks. */
bool dtype_convert(void *dst, enum dtype to, const void *src, enum dtype from, int64_t n);
#endif
