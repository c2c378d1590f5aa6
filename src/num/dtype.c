/* SPDX-License-Identifier: Apache-2.0 */
#include "num/dtype.h"

#include <math.h>

static const struct { const char *name; size_t size; } types[] = {
	[F32] = { "F32", 4 },  [BF16] = { "BF16", 2 }, [F16] = { "F16", 2 }, [F8] = { "F8_E4M3", 1 },
	[I8] = { "I8", 1 },    [I32] = { "I32", 4 },   [I64] = { "I64", 8 }, [F64] = { "F64", 8 },
	[U8] = { "U8", 1 },    [U16] = { "U16", 2 },   [U32] = { "U32", 4 }, [I16] = { "I16", 2 },
	[BOOL] = { "BOOL", 1 }, [I4] = { "I4", 1 },
};

size_t
dtype_size(enum dtype t)
{
	return types[t].size;
}

const char *
dtype_name(enum dtype t)
{
	return types[t].name;
}

bool
dtype_parse(const char *name, enum dtype *t)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (i != I4 && strcmp(types[i].name, name) == 0) {
			*t = (enum dtype)i;
			return true;
		}
	return false;
}

static double
load(const void *p, enum dtype t, int64_t i)
{
	switch (t) {
	case F32: return ((const float *)p)[i];
	case F64: return ((const double *)p)[i];
	case BF16: return bf16_to_f32(((const uint16_t *)p)[i]);
	case F16: return f16_to_f32(((const uint16_t *)p)[i]);
	case F8: case I8: case I32: case I64: case U8: case U16: case U32: case I16: case BOOL: case I4: break;
	}
	return NAN;
}

static void
store(void *p, enum dtype t, int64_t i, double v)
{
	switch (t) {
	case F32: ((float *)p)[i] = (float)v; break;
	case F64: ((double *)p)[i] = v; break;
	case BF16: ((uint16_t *)p)[i] = f32_to_bf16((float)v); break;
	case F16: ((uint16_t *)p)[i] = f32_to_f16((float)v); break;
	case F8: case I8: case I32: case I64: case U8: case U16: case U32: case I16: case BOOL: case I4: break;
	}
}

static bool
real(enum dtype t)
{
	return t == F32 || t == BF16 || t == F16 || t == F64;
}

bool
dtype_convert(void *dst, enum dtype to, const void *src, enum dtype from, int64_t n)
{
	if (to == from) {
		memcpy(dst, src, (size_t)n * dtype_size(to));
	} else if (from == BF16 && to == F32) {
		for (int64_t i = 0; i < n; i++)
			((float *)dst)[i] = bf16_to_f32(((const uint16_t *)src)[i]);
	} else if (from == F32 && to == BF16) {
		for (int64_t i = 0; i < n; i++)
			((uint16_t *)dst)[i] = f32_to_bf16(((const float *)src)[i]);
	} else if (from == F16 && to == F32) {
		for (int64_t i = 0; i < n; i++)
			((float *)dst)[i] = f16_to_f32(((const uint16_t *)src)[i]);
	} else if (from == F32 && to == F16) {
		for (int64_t i = 0; i < n; i++)
			((uint16_t *)dst)[i] = f32_to_f16(((const float *)src)[i]);
	} else if (from == BF16 && to == F16) {
		for (int64_t i = 0; i < n; i++)
			((uint16_t *)dst)[i] = f32_to_f16(bf16_to_f32(((const uint16_t *)src)[i]));
	} else if (real(from) && real(to)) {
		for (int64_t i = 0; i < n; i++)
			store(dst, to, i, load(src, from, i));
	} else {
		return false;
	}
	return true;
}
