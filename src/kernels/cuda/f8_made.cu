/* SPDX-License-Identifier: Apache-2.0 */
/* f8_made.cu - what makes a matrix and brings its rows to e4m3 while they are at hand. A block of threads a row, a thread eight
 * columns; in the order of modulate.cu's and joined.cu's kernels, and cast from what is stored, so to the same bits as those and f8_rows. */
#include "kernels/cuda/f8.cuh"

namespace {

enum { PIECE = 8, MOST = 512, WIDEST = MOST * PIECE };

struct row_shape {
	int64_t D, R, T;		/* columns; rows of m a sample; rows of x a sample */
	int64_t ldx, ldy, ldh, ldz;
	int64_t ldo, Rh;		/* of what is added to; rows of mh a sample */
};

unsigned
threads_of(int64_t cols)
{
	return cuda_blocks(cols, PIECE * 32) * 32;
}

/* Stores eight numbers; v is then what is there. */
__device__ __forceinline__ void
put(bf16 *y, float (&v)[8])
{
	store<8>(y, v);
#pragma unroll
	for (int i = 0; i < 8; i++)
		v[i] = to_float(from_float<bf16>(v[i]));
}

template <class X>
__global__ void __launch_bounds__(MOST)
norm(struct row_shape s, bf16 *y, float *r, const X *x, const float *m, int shift, int scale, uint8_t *q, float *tops)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x;
	int D = (int)s.D, c = (int)threadIdx.x * PIECE;
	float sum = 0.f, v[1][8] = {}, a[8] = {}, b[8] = {};

	m += n / s.T * s.R * s.D;
	if (c < D) {
		load<8>(v[0], x + n * s.ldx + c);
		load<8>(a, m + scale * s.D + c);
		load<8>(b, m + shift * s.D + c);
#pragma unroll
		for (int i = 0; i < 8; i++)
			sum += v[0][i] * v[0][i];
	}
	float inv = 1.f / sqrtf(block_sum(sum, shared) / (float)s.D + 1e-6f);
	if (c < D) {
#pragma unroll
		for (int i = 0; i < 8; i++)
			v[0][i] = v[0][i] * inv * (1.f + a[i]) + b[i];
		put(y + n * s.ldy + c, v[0]);
	}
	if (threadIdx.x == 0)
		r[n] = inv;
	f8_row<false>(q + n * s.D, tops + n, v, NULL, c, 0, D, shared);
}

/* The same of F32, of which nothing goes to e4m3. */
__device__ __forceinline__ void
put(float *y, float (&v)[8])
{
	store<8>(y, v);
}

/* m: the row of the scale; gate: NULL, or what dxh is multiplied by; dxh NULL: the cast is of dx. */
template <class X, class DY>
__global__ void __launch_bounds__(MOST)
norm_back(struct row_shape s, X *dx, bf16 *dxh, const X *onto, const DY *dy, const X *x, const float *r, const float *m,
          const float *gate, uint8_t *q, float *tops, const float *weigh)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x;
	int D = (int)s.D, c = (int)threadIdx.x * PIECE;
	float sum = 0.f, v[8], g[8], a[8], old[1][8] = {}, inv = r[n];

	m += n / s.T * s.R * s.D;
	if (c < D) {
		load<8>(v, x + n * s.ldx + c);
		load<8>(g, dy + n * s.ldz + c);
		load<8>(a, m + c);
		load<8>(old[0], onto + n * s.ldo + c);
#pragma unroll
		for (int i = 0; i < 8; i++)
			sum += g[i] * (1.f + a[i]) * (v[i] * inv);
	}
	float mean = block_sum(sum, shared) / (float)s.D;
	if (c < D) {
#pragma unroll
		for (int i = 0; i < 8; i++)
			old[0][i] += inv * (g[i] * (1.f + a[i]) - v[i] * inv * mean);
		if (dxh) {
			put(dx + n * s.ldy + c, old[0]);
			if (gate) {
				load<8>(a, gate + n / s.T * s.Rh * s.D + c);
#pragma unroll
				for (int i = 0; i < 8; i++)
					old[0][i] *= a[i];
			}
			put(dxh + n * s.ldh + c, old[0]);
		} else {
			put(dx + n * s.ldy + c, old[0]);
		}
	}
	f8_row<true>(q + n * s.D, tops + n, old, weigh, c, 0, D, shared);
}

/* ADD: y = x + m z, yh = y and its cast, or y's where yh is NULL; else yh = m z and its cast, weighed. m: the row of the gate. */
template <bool ADD, class X, class Z>
__global__ void __launch_bounds__(MOST)
gate_of(struct row_shape s, X *y, bf16 *yh, const X *x, const Z *z, const float *m, uint8_t *q, float *tops, const float *weigh)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x;
	int D = (int)s.D, c = (int)threadIdx.x * PIECE;
	float v[1][8] = {}, a[8], b[8];

	if (c < D) {
		if (ADD)
			load<8>(v[0], x + n * s.ldx + c);
		load<8>(b, z + n * s.ldz + c);
		load<8>(a, m + n / s.T * s.R * s.D + c);
#pragma unroll
		for (int i = 0; i < 8; i++)
			v[0][i] += a[i] * b[i];
		if (ADD && yh)
			store<8>(y + n * s.ldy + c, v[0]);
		if (yh)
			put(yh + n * s.ldh + c, v[0]);
		else
			put(y + n * s.ldy + c, v[0]);
	}
	f8_row<!ADD>(q + n * s.D, tops + n, v, weigh, c, 0, D, shared);
}

struct ready_shape {
	int64_t N, D, d, table, ld, ldq, ldk;	/* rows of a sample; columns, of a head; positions in the table */
};

/* dq, dk, dv: columns 0, D, 2 D of g; q and k as qkv_ready made them. */
__global__ void __launch_bounds__(MOST)
ready_back(struct ready_shape s, bf16 *g, const bf16 *q, const bf16 *k, const float *cs, const float *mask, uint8_t *to, float *tops,
           const float *weigh)
{
	__shared__ float shared[32];
	int64_t n = blockIdx.x;
	int D = (int)s.D, c = (int)threadIdx.x * PIECE;
	float x[3][8] = {}, keep[2][8], co[8], si[8], m = mask[n];

	if (c < D) {
		const float *row = cs + n % s.N * s.d + c % (int)s.d;
		g += n * s.ld + c;
#pragma unroll
		for (int p = 0; p < 3; p++)
			load<8>(x[p], (const bf16 *)g + p * D);
		load<8>(keep[0], q + n * s.ldq + c);
		load<8>(keep[1], k + n * s.ldk + c);
		load<8>(co, row);
		load<8>(si, row + s.table * s.d);
#pragma unroll
		for (int p = 0; p < 2; p++)
#pragma unroll
			for (int i = 0; i < 8; i += 2) {
				float a = keep[p][i] > 0.f ? x[p][i] : 0.f, b = keep[p][i + 1] > 0.f ? x[p][i + 1] : 0.f;
				x[p][i] = co[i] * a + si[i + 1] * b;
				x[p][i + 1] = co[i + 1] * b - si[i] * a;
			}
#pragma unroll
		for (int p = 0; p < 3; p++) {
			if (p == 2 && m == 1.f)
				break;		/* dv is there as it is */
#pragma unroll
			for (int i = 0; i < 8; i++)
				x[p][i] *= m;
			put(g + p * D, x[p]);
		}
	}
	f8_row<true>(to + n * 3 * s.D, tops + n, x, weigh, c < D ? c : 3 * D, D, 3 * D, shared);
}

bool
fits(int64_t D, struct f8_cast f, bool weighed)
{
	return D % PIECE == 0 && D <= WIDEST && (f.c.rank > 0) == weighed && (uintptr_t)f.q.data % 8 == 0 &&
	       (!weighed || (uintptr_t)f.c.data % 16 == 0);
}

struct row_shape
shape_of(struct tensor x, struct tensor m)
{
	struct row_shape s = { x.dim[2], m.dim[1], x.dim[1], 0, 0, 0, 0, 0, 0 };

	return s;
}

} // namespace

extern "C" void
cuda_rms_modulate_f8(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale,
                     struct f8_cast f)
{
	struct row_shape s = shape_of(x, m);
	unsigned n = (unsigned)tensor_rows(x);

	if (n == 0 || y.dtype != BF16 || !cuda_by8(x) || !cuda_by8(y) || !cuda_by8(m) || !fits(s.D, f, false)) {
		cuda_rms_modulate(d, y, r, x, m, shift, scale);
		cuda_f8_rows(d, f.q, f.s, y, f.c);
		return;
	}
	s.ldx = tensor_ld(x), s.ldy = tensor_ld(y);
	WITH_TYPE(x.dtype, X, (norm<X><<<n, threads_of(s.D), 0, cuda_stream(d)>>>(
		s, cuda_out<bf16>(y), cuda_out<float>(r), cuda_in<X>(x), cuda_in<float>(m), shift, scale, cuda_out<uint8_t>(f.q),
		cuda_out<float>(f.s))));
	cuda_launched(d, "rms_modulate_f8");
}

extern "C" void
cuda_rms_modulate_backward_half_f8(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy,
                                   struct tensor x, struct tensor r, struct tensor m, int scale, struct tensor mh, int gate,
                                   struct f8_cast f)
{
	struct row_shape s = shape_of(x, m);
	struct tensor of = dxh.rank ? dxh : dx;
	unsigned n = (unsigned)tensor_rows(x);

	if (n == 0 || of.dtype != BF16 || dx.dtype != x.dtype || !cuda_by8(dx) || !cuda_by8(of) || !cuda_by8(onto) || !cuda_by8(dy) ||
	    !cuda_by8(x) || !cuda_by8(m) || (mh.rank && !cuda_by8(mh)) || !fits(s.D, f, true)) {
		cuda_rms_modulate_backward_half(d, dx, dxh, onto, dy, x, r, m, scale, mh, gate);
		cuda_f8_rows(d, f.q, f.s, of, f.c);
		return;
	}
	s.ldx = tensor_ld(x), s.ldy = tensor_ld(dx), s.ldh = tensor_ld(of), s.ldz = tensor_ld(dy), s.ldo = tensor_ld(onto);
	s.Rh = mh.rank ? mh.dim[1] : 0;
	WITH_TYPE(x.dtype, X, WITH_TYPE(dy.dtype, DY, (norm_back<<<n, threads_of(s.D), 0, cuda_stream(d)>>>(
		s, cuda_out<X>(dx), (bf16 *)dxh.data, cuda_in<X>(onto), cuda_in<DY>(dy), cuda_in<X>(x), cuda_in<float>(r),
		cuda_in<float>(m) + scale * s.D, mh.rank ? cuda_in<float>(mh) + gate * s.D : NULL, cuda_out<uint8_t>(f.q),
		cuda_out<float>(f.s), cuda_in<float>(f.c)))));
	cuda_launched(d, "rms_modulate_backward_half_f8");
}

extern "C" void
cuda_gate_add_half_f8(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate,
                      struct f8_cast f)
{
	struct row_shape s = shape_of(x, m);
	struct tensor of = yh.rank ? yh : y;
	unsigned n = (unsigned)tensor_rows(x);

	if (n == 0 || of.dtype != BF16 || y.dtype != x.dtype || !cuda_by8(y) || !cuda_by8(of) || !cuda_by8(x) || !cuda_by8(z) ||
	    !cuda_by8(m) || !fits(s.D, f, false)) {
		cuda_gate_add_half(d, y, yh, x, z, m, gate);
		cuda_f8_rows(d, f.q, f.s, of, f.c);
		return;
	}
	s.ldx = tensor_ld(x), s.ldy = tensor_ld(y), s.ldh = tensor_ld(of), s.ldz = tensor_ld(z);
	WITH_TYPE(x.dtype, X, WITH_TYPE(z.dtype, Z, (gate_of<true><<<n, threads_of(s.D), 0, cuda_stream(d)>>>(
		s, cuda_out<X>(y), (bf16 *)yh.data, cuda_in<X>(x), cuda_in<Z>(z), cuda_in<float>(m) + gate * s.D,
		cuda_out<uint8_t>(f.q), cuda_out<float>(f.s), (const float *)NULL))));
	cuda_launched(d, "gate_add_half_f8");
}

extern "C" void
cuda_gate_backward_f8(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate, struct f8_cast f)
{
	struct row_shape s = shape_of(dy, m);
	unsigned n = (unsigned)tensor_rows(dy);

	if (n == 0 || dz.dtype != BF16 || !cuda_by8(dz) || !cuda_by8(dy) || !cuda_by8(m) || !fits(s.D, f, true)) {
		cuda_gate_backward(d, dz, dy, m, gate);
		cuda_f8_rows(d, f.q, f.s, dz, f.c);
		return;
	}
	s.ldh = tensor_ld(dz), s.ldz = tensor_ld(dy);
	WITH_TYPE(dy.dtype, Z, (gate_of<false><<<n, threads_of(s.D), 0, cuda_stream(d)>>>(
		s, (float *)NULL, cuda_out<bf16>(dz), (const float *)NULL, cuda_in<Z>(dy), cuda_in<float>(m) + gate * s.D,
		cuda_out<uint8_t>(f.q), cuda_out<float>(f.s), cuda_in<float>(f.c))));
	cuda_launched(d, "gate_backward_f8");
}

extern "C" void
cuda_qkv_ready_backward_f8(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q, struct tensor k,
                           struct tensor cs, struct tensor mask, struct f8_cast f)
{
	struct ready_shape s = { q.dim[1], q.dim[2], cs.dim[2], cs.dim[1], tensor_ld(dq), tensor_ld(q), tensor_ld(k) };
	struct tensor all = dq;
	unsigned n = (unsigned)tensor_rows(q);

	all.ld = s.ld;
	all.dim[2] *= 3;
	if (n == 0 || dq.dtype != BF16 || q.dtype != BF16 || k.dtype != BF16 || !cuda_by8(dq) || !cuda_by8(q) || !cuda_by8(k) ||
	    !cuda_by8(cs) || s.d % PIECE != 0 || !fits(s.D, f, true)) {
		cuda_qkv_ready_backward(d, dq, dk, dv, q, k, cs, mask);
		cuda_f8_rows(d, f.q, f.s, all, f.c);
		return;
	}
	ready_back<<<n, threads_of(s.D), 0, cuda_stream(d)>>>(s, cuda_out<bf16>(dq), cuda_in<bf16>(q), cuda_in<bf16>(k), cuda_in<float>(cs),
	                                                     cuda_in<float>(mask), cuda_out<uint8_t>(f.q), cuda_out<float>(f.s),
	                                                     cuda_in<float>(f.c));
	cuda_launched(d, "qkv_ready_backward_f8");
}
