/* SPDX-License-Identifier: Apache-2.0 */
/* dtype.h - the types of stored numbers */
#ifndef ACE_NUM_DTYPE_H
#define ACE_NUM_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* F32 BF16 F16 F8 I8 I32 I64 are computed with; F64 U8 U16 U32 I16 BOOL occur in files only. F8 is e4m3. */
enum dtype { F32, BF16, F16, F8, I8, I32, I64, F64, U8, U16, U32, I16, BOOL };

size_t dtype_size(enum dtype t);
const char *dtype_name(enum dtype t);			/* safetensors' spelling: "F32", "BF16", "F8_E4M3" */
bool dtype_parse(const char *name, enum dtype *t);

/* bf16 is the upper half of an f32; rounding to nearest even, NaN stays NaN. */
static inline float
bf16_to_f32(uint16_t b)
{
	uint32_t u = (uint32_t)b << 16;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

static inline uint16_t
f32_to_bf16(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	if ((u & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)(u >> 16 | 0x40u);
	return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f);

/* n numbers of type from at src to type to at dst; F32 BF16 F16 F64 among themselves. false: a pair it lacks. */
bool dtype_convert(void *dst, enum dtype to, const void *src, enum dtype from, int64_t n);
#endif
