/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.cu - products: cuBLASLt's where it has one, else plain tiles */
#include "kernels/cuda/f16.cuh"

extern "C" {
#include "kernels/cuda/lt.h"
}

enum { TILE = 32, SIDE = 16 };

struct plain {
	int64_t m, n, k;
	int64_t a_row, a_col, b_row, b_col, ldc, ldadd;		/* steps in numbers: op(a)[i, l], op(b)[l, j] */
	float alpha, beta;
};

/* A block makes a TILE x TILE piece of c, a thread four numbers of it. */
template <class C, class A>
static __global__ void
plain_product(C *c, const C *add, const C *bias, const A *a, const A *b, struct plain s)
{
	__shared__ float at[TILE][TILE + 1], bt[TILE][TILE + 1];
	int64_t i0 = (int64_t)blockIdx.y * TILE, j0 = (int64_t)blockIdx.x * TILE;
	int x = (int)threadIdx.x, y = (int)threadIdx.y;
	float sum[2][2] = { { 0.f, 0.f }, { 0.f, 0.f } };

	for (int64_t l0 = 0; l0 < s.k; l0 += TILE) {
		for (int u = y; u < TILE; u += SIDE)
			for (int v = x; v < TILE; v += SIDE) {
				bool has_a = i0 + u < s.m && l0 + v < s.k, has_b = l0 + u < s.k && j0 + v < s.n;
				at[u][v] = has_a ? to_float(a[(i0 + u) * s.a_row + (l0 + v) * s.a_col]) : 0.f;
				bt[u][v] = has_b ? to_float(b[(l0 + u) * s.b_row + (j0 + v) * s.b_col]) : 0.f;
			}
		__syncthreads();
		for (int l = 0; l < TILE; l++)
			for (int u = 0; u < 2; u++)
				for (int v = 0; v < 2; v++)
					sum[u][v] += at[y + u * SIDE][l] * bt[l][x + v * SIDE];
		__syncthreads();
	}
	for (int u = 0; u < 2; u++)
		for (int v = 0; v < 2; v++) {
			int64_t i = i0 + y + u * SIDE, j = j0 + x + v * SIDE;
			if (i >= s.m || j >= s.n)
				continue;
			float r = s.alpha * sum[u][v];
			if (s.beta != 0.f)
				r += s.beta * to_float(add[i * s.ldadd + j]);
			if (bias)
				r += to_float(bias[j]);
			c[i * s.ldc + j] = from_float<C>(r);
		}
}

static void
plain(struct dev *d, const struct lt_product *p)
{
	struct tensor add = p->add.rank ? p->add : p->c;
	struct plain s = { p->c.dim[0], p->c.dim[1], p->a.dim[p->ta ? 0 : 1], tensor_ld(p->a), 1, tensor_ld(p->b), 1, tensor_ld(p->c),
		tensor_ld(add), p->alpha, p->beta };
	dim3 grid(cuda_blocks(s.n, TILE), cuda_blocks(s.m, TILE)), block(SIDE, SIDE);

	if (p->ta)
		s.a_row = 1, s.a_col = tensor_ld(p->a);
	if (p->tb)
		s.b_row = 1, s.b_col = tensor_ld(p->b);
	WITH_TYPE(p->c.dtype, C, WITH_TYPE16(p->a.dtype, A, (plain_product<<<grid, block, 0, cuda_stream(d)>>>(
		cuda_out<C>(p->c), cuda_in<C>(add), p->bias.rank ? cuda_in<C>(p->bias) : NULL, cuda_in<A>(p->a), cuda_in<A>(p->b), s))));
	cuda_launched(d, "gemm");
}

/* x itself, or its copy in type t at *at, which moves on. */
static struct tensor
as_type(struct dev *d, struct tensor x, enum dtype t, char **at)
{
	struct tensor y = x;

	if (!x.rank || x.dtype == t)
		return x;
	y.dtype = t;
	y.ld = 0;
	y.data = *at;
	*at += (tensor_bytes(y) + 255) / 256 * 256;
	cuda_copy(d, y, x);
	return y;
}

static size_t
room(struct tensor x, enum dtype t)
{
	return x.rank && x.dtype != t ? ((size_t)tensor_count(x) * dtype_size(t) + 255) / 256 * 256 : 0;
}

/* Operands are multiplied as F32 when all three are, as F16 when one is, else as BF16. On the side stream nothing may be left to convert. */
static void
product(struct dev *d, struct lt_product p)
{
	bool f16 = p.a.dtype == F16 || p.b.dtype == F16;
	enum dtype t = p.a.dtype == F32 && p.b.dtype == F32 && p.c.dtype == F32 ? F32 : f16 ? F16 : BF16;
	size_t bytes = room(p.a, t) + room(p.b, t) + room(p.bias, p.c.dtype);
	char *at = NULL;

	if (p.c.dim[0] == 0 || p.c.dim[1] == 0)
		return;
	assert(!bytes || d->cuda->now == d->cuda->stream);
	if (bytes && !(at = (char *)cuda_scratch(d, bytes)))
		return;
	p.a = as_type(d, p.a, t, &at);
	p.b = as_type(d, p.b, t, &at);
	p.bias = as_type(d, p.bias, p.c.dtype, &at);
	if (!lt_product(d, &p, d->cuda->now == d->cuda->side) && d->status == ACE_OK)
		plain(d, &p);
}

extern "C" void
cuda_gemm(struct dev *d, struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb, float alpha, float beta)
{
	struct lt_product p = { c, a, b, ta, tb, alpha, beta, {}, {}, {}, {} };

	product(d, p);
}

extern "C" void
cuda_linear(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, struct tensor r)
{
	struct lt_product p = { y, x, w, false, true, 1.f, r.rank ? 1.f : 0.f, r, b, {}, {} };

	product(d, p);
}
