/* SPDX-License-Identifier: Apache-2.0 */
/* quant.cu - frozen weights in 8 bits: made by a block of threads a row, undone sixteen numbers a thread */
#include "kernels/cuda/cuda.cuh"

namespace {

enum { THREADS = 256, PIECE = 16 };

/* Quotients are the host's to the bit. */
template <class W>
__global__ void __launch_bounds__(THREADS)
quantize_rows(uint8_t *q, void *scale, const W *w, int64_t width, bool whole)
{
	__shared__ float shared[32];
	int64_t row = blockIdx.x;
	float top = 0.f, s;

	w += row * width;
	q += row * width;
	for (int64_t c = threadIdx.x; c < width; c += THREADS)
		top = fmaxf(top, fabsf(to_float(w[c])));
	top = block_max(top, shared);
	s = __fdiv_rn(top, whole ? 127.f : 448.f);
	if (whole)
		s = to_float(from_float<W>(s));
	if (threadIdx.x == 0 && whole)
		((W *)scale)[row] = from_float<W>(s);
	else if (threadIdx.x == 0)
		((float *)scale)[row] = s;
	for (int64_t c = threadIdx.x; c < width; c += THREADS) {
		float v = to_float(w[c]);
		if (!whole) {
			q[c] = s == 0.f ? 0 : f32_to_f8(__fdiv_rn(v, s));
			continue;
		}
		if (s == 0.f)
			v = v > 0.f ? 127.f : v < 0.f ? -128.f : 0.f;
		else
			v = rintf(to_float(from_float<W>(__fdiv_rn(v, s))));
		q[c] = (uint8_t)(int8_t)fminf(fmaxf(v, -128.f), 127.f);
	}
}

template <bool WHOLE>
__device__ __forceinline__ float
number_of(uint32_t byte)
{
	return WHOLE ? (float)(int8_t)byte : f8_to_f32((uint8_t)byte);
}

template <class W>
struct undone {
	W *w;
	const uint8_t *q;
	const void *scale;
	const W *right, *below;
	int64_t ld, ld_right, ld_below;
	unsigned rows, width, more, beside;	/* of q; rows of below, columns of right */
	bool float_scale;
};

template <class W, bool WHOLE>
__device__ __forceinline__ float
scale_of(const struct undone<W> &s, unsigned row)
{
	return s.float_scale ? ((const float *)s.scale)[row] : to_float(((const W *)s.scale)[row]);
}

/* All is a multiple of 16 numbers wide or of 8 beside, and aligned: a thread sixteen numbers of q, or eight that are copied. */
template <class W, bool WHOLE>
__global__ void __launch_bounds__(THREADS)
undo_wide(const __grid_constant__ struct undone<W> s)
{
	unsigned per = s.width / PIECE, beside = s.beside / 8, at = blockIdx.x * THREADS + threadIdx.x, n = s.rows * per;

	if (at < n) {
		unsigned row = at / per, c = at % per * PIECE;
		uint4 b = __ldg(reinterpret_cast<const uint4 *>(s.q + (int64_t)row * s.width + c));
		float f = scale_of<W, WHOLE>(s, row), v[2][8];
		uint32_t word[4] = { b.x, b.y, b.z, b.w };
#pragma unroll
		for (int i = 0; i < 4; i++)
#pragma unroll
			for (int j = 0; j < 4; j++)
				v[i / 2][i % 2 * 4 + j] = f * number_of<WHOLE>(word[i] >> 8 * j & 255u);
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

template <class W, bool WHOLE>
__global__ void __launch_bounds__(THREADS)
undo_any(const __grid_constant__ struct undone<W> s)
{
	int64_t row = blockIdx.x;

	for (unsigned c = threadIdx.x; c < s.width; c += THREADS)
		s.w[row * s.ld + c] = row < s.rows ? from_float<W>(scale_of<W, WHOLE>(s, (unsigned)row) *
		                                                   number_of<WHOLE>(s.q[row * s.width + c]))
		                                   : s.below[(row - s.rows) * s.ld_below + c];
	for (unsigned c = threadIdx.x; row < s.rows && c < s.beside; c += THREADS)
		s.w[row * s.ld + s.width + c] = s.right[row * s.ld_right + c];
}

template <class W, bool WHOLE>
void
undo(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	struct undone<W> s = { cuda_out<W>(w), (const uint8_t *)q.data, scale.data, cuda_in<W>(right), cuda_in<W>(below), tensor_ld(w),
		0, 0, (unsigned)tensor_rows(q), (unsigned)tensor_cols(q), 0, 0, scale.dtype == F32 };
	bool wide = cuda_by8(w) && s.width % PIECE == 0 && (uintptr_t)q.data % 16 == 0;

	if (right.rank) {
		s.beside = (unsigned)tensor_cols(right), s.ld_right = tensor_ld(right);
		wide = wide && cuda_by8(right);
	}
	if (below.rank) {
		s.more = (unsigned)tensor_rows(below), s.ld_below = tensor_ld(below);
		wide = wide && cuda_by8(below);
	}
	if (wide)
		undo_wide<W, WHOLE><<<cuda_blocks((int64_t)s.rows * (s.width / PIECE + s.beside / 8) + (int64_t)s.more * (s.width / 8),
		                                  THREADS), THREADS, 0, cuda_stream(d)>>>(s);
	else
		undo_any<W, WHOLE><<<s.rows + s.more, THREADS, 0, cuda_stream(d)>>>(s);
	cuda_launched(d, "dequantize");
}

} // namespace

extern "C" void
cuda_quantize(struct dev *d, struct tensor q, struct tensor scale, struct tensor w)
{
	int64_t rows = tensor_rows(w), width = tensor_cols(w);

	if (rows > 0 && width > 0)
		WITH_TYPE(w.dtype, W, (quantize_rows<W><<<(unsigned)rows, THREADS, 0, cuda_stream(d)>>>(
			(uint8_t *)q.data, scale.data, cuda_in<W>(w), width, q.dtype == I8)));
	cuda_launched(d, "quantize");
}

extern "C" void
cuda_dequantize(struct dev *d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, struct tensor below)
{
	assert(tensor_rows(q) * (tensor_cols(q) + 64) < INT32_MAX);
	if (tensor_count(q) == 0)
		return;
	if (q.dtype == I8)
		WITH_TYPE(w.dtype, W, (undo<W, true>(d, w, q, scale, right, below)));
	else
		WITH_TYPE(w.dtype, W, (undo<W, false>(d, w, q, scale, right, below)));
}
