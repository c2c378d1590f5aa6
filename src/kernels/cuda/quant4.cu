/* SPDX-License-Identifier: Apache-2.0 */
/* quant4.cu - frozen weights in 4 bits: made by a warp a group, undone sixteen numbers a thread */
#include "kernels/cuda/cuda.cuh"

namespace {

enum { THREADS = 256, WARPS = THREADS / 32, PIECE = 16 };

/* Differences and quotients are the host's to the bit, and rounded to W one by one. */
template <class W>
__device__ __forceinline__ float
rounded(float v)
{
	return to_float(from_float<W>(v));
}

/* A warp a group: pairs lie within it where it is of even length; else one warp has a whole row. */
template <class W>
__global__ void __launch_bounds__(THREADS)
quantize_groups(uint8_t *q, W *scale, const W *w, int64_t all, int64_t group, int64_t groups)
{
	int64_t at = (int64_t)blockIdx.x * WARPS + threadIdx.x / 32, n = at / groups, g = at % groups;
	int lane = threadIdx.x % 32;
	float low = INFINITY, high = -INFINITY, s;

	if (at >= all)
		return;
	w += at * group;
	q += at * group / 2;
	for (int64_t i = lane; i < group; i += 32) {
		float v = to_float(w[i]);
		low = fminf(low, v);
		high = fmaxf(high, v);
	}
#pragma unroll
	for (int k = 16; k; k /= 2) {
		low = fminf(low, __shfl_xor_sync(~0u, low, k));
		high = fmaxf(high, __shfl_xor_sync(~0u, high, k));
	}
	s = rounded<W>(__fdiv_rn(rounded<W>(__fsub_rn(high, low)), 15.f));
	if (lane == 0) {
		scale[2 * n * groups + g] = from_float<W>(s);
		scale[(2 * n + 1) * groups + g] = from_float<W>(-low);
	}
	for (int64_t i = 2 * lane; i < group; i += 64) {
		unsigned four[2];
#pragma unroll
		for (int k = 0; k < 2; k++) {
			float v = s == 0.f ? 0.f : rintf(rounded<W>(__fdiv_rn(rounded<W>(__fsub_rn(to_float(w[i + k]), low)), s)));
			four[k] = (unsigned)fminf(fmaxf(v, 0.f), 15.f);
		}
		q[i / 2] = (uint8_t)(four[0] | four[1] << 4);
	}
}

template <class W>
struct undone4 {
	W *w;
	const uint8_t *q;
	const W *scale;
	const W *right, *below;
	int64_t ld, ld_right, ld_below;
	unsigned rows, width, more, beside;	/* of q; rows of below, columns of right */
	unsigned groups, group;
};

template <class W>
__device__ __forceinline__ float
number_of(unsigned four, float s, float shift)
{
	return __fsub_rn(rounded<W>(__fmul_rn(s, (float)four)), shift);
}

/* All is a multiple of 16 numbers wide, groups too, or of 8 beside, and aligned: a thread sixteen numbers, or eight that are copied. */
template <class W>
__global__ void __launch_bounds__(THREADS)
undo4_wide(const __grid_constant__ struct undone4<W> s)
{
	unsigned per = s.width / PIECE, beside = s.beside / 8, at = blockIdx.x * THREADS + threadIdx.x, n = s.rows * per;

	if (at < n) {
		unsigned row = at / per, c = at % per * PIECE, g = c / s.group;
		uint2 b = __ldg(reinterpret_cast<const uint2 *>(s.q + ((int64_t)row * s.width + c) / 2));
		const W *scales = s.scale + (int64_t)2 * row * s.groups;
		float f = to_float(scales[g]), shift = to_float(scales[s.groups + g]), v[2][8];
#pragma unroll
		for (int j = 0; j < 8; j++) {
			v[0][j] = number_of<W>(b.x >> 4 * j & 15u, f, shift);
			v[1][j] = number_of<W>(b.y >> 4 * j & 15u, f, shift);
		}
		W *to = s.w + row * s.ld + c;
		store8(to, v[0]);
		store8(to + 8, v[1]);
		return;
	}
	at -= n;
	n = s.rows * beside;
	if (at < n) {
		unsigned row = at / beside, c = at % beside * 8;
		float v[8];
		load8(v, s.right + row * s.ld_right + c);
		store8(s.w + row * s.ld + s.width + c, v);
		return;
	}
	at -= n;
	per = s.width / 8;
	if (at < s.more * per) {
		unsigned row = at / per, c = at % per * 8;
		float v[8];
		load8(v, s.below + row * s.ld_below + c);
		store8(s.w + (s.rows + row) * s.ld + c, v);
	}
}

template <class W>
__global__ void __launch_bounds__(THREADS)
undo4_any(const __grid_constant__ struct undone4<W> s)
{
	int64_t row = blockIdx.x;

	for (unsigned c = threadIdx.x; c < s.width; c += THREADS) {
		if (row >= s.rows) {
			s.w[row * s.ld + c] = s.below[(row - s.rows) * s.ld_below + c];
			continue;
		}
		const W *scales = s.scale + 2 * row * s.groups + c / s.group;
		unsigned four = s.q[(row * s.width + c) / 2] >> c % 2 * 4 & 15u;
		s.w[row * s.ld + c] = from_float<W>(number_of<W>(four, to_float(scales[0]), to_float(scales[s.groups])));
	}
	for (unsigned c = threadIdx.x; row < s.rows && c < s.beside; c += THREADS)
		s.w[row * s.ld + s.width + c] = s.right[row * s.ld_right + c];
}

template <class W>
void
undo4(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	struct undone4<W> s = { cuda_out<W>(w), (const uint8_t *)q.data, cuda_in<W>(scale), cuda_in<W>(right), cuda_in<W>(below),
		tensor_ld(w), 0, 0, (unsigned)tensor_rows(q), (unsigned)tensor_cols(q), 0, 0, (unsigned)scale.dim[2],
		(unsigned)(tensor_cols(q) / scale.dim[2]) };
	bool wide = cuda_by8(w) && s.group % PIECE == 0 && (uintptr_t)q.data % 8 == 0;

	if (right.rank) {
		s.beside = (unsigned)tensor_cols(right), s.ld_right = tensor_ld(right);
		wide = wide && cuda_by8(right);
	}
	if (below.rank) {
		s.more = (unsigned)tensor_rows(below), s.ld_below = tensor_ld(below);
		wide = wide && cuda_by8(below);
	}
	if (wide)
		undo4_wide<W><<<cuda_blocks((int64_t)s.rows * (s.width / PIECE + s.beside / 8) + (int64_t)s.more * (s.width / 8), THREADS),
		                THREADS, 0, cuda_stream(d)>>>(s);
	else
		undo4_any<W><<<s.rows + s.more, THREADS, 0, cuda_stream(d)>>>(s);
	cuda_launched(d, "dequantize4");
}

} // namespace

extern "C" void
cuda_quantize4(struct dev *d, struct tensor q, struct tensor scale, struct tensor w)
{
	int64_t groups = scale.dim[2], group = tensor_cols(w) / groups, all = tensor_rows(w) * groups;

	assert(group % 2 == 0);
	if (all > 0)
		WITH_TYPE(w.dtype, W, (quantize_groups<W><<<cuda_blocks(all, WARPS), THREADS, 0, cuda_stream(d)>>>(
			(uint8_t *)q.data, cuda_out<W>(scale), cuda_in<W>(w), all, group, groups)));
	cuda_launched(d, "quantize4");
}

extern "C" void
cuda_dequantize4(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	assert(tensor_rows(q) * (tensor_cols(q) + 64) < INT32_MAX);
	if (tensor_count(q) > 0)
		WITH_TYPE(w.dtype, W, (undo4<W>(d, w, q, scale, right, below)));
}
