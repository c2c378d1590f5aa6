/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/relative_attention.cuh"

namespace {

enum { LANES = 32, WARPS = 4, THREADS = LANES * WARPS };

/* dp row r of head h += sum over samples and queries i of ds[i][r - (Y-1) + i] (q_i + bv); a warp a (row, head). */
template <class N, class P>
__global__ void __launch_bounds__(THREADS)
position_grads(struct relative_sizes z, P *dp, int64_t ld, const float *ds, const N *q, const float *bv)
{
	int lane = (int)threadIdx.x % LANES, h = (int)blockIdx.y, e = z.e;
	int r = (int)blockIdx.x * WARPS + (int)threadIdx.x / LANES, shift = r - (z.Y - 1);

	if (r >= 2 * z.Y - 1)
		return;
	for (int c = lane; c < e; c += LANES) {
		float sum = 0.f, own = bv[h * e + c];
		for (int b = 0; b < z.B; b++)
			for (int i = shift < 0 ? -shift : 0; i < z.Y && i + shift < z.Y; i++)
				sum += ds[((int64_t)(b * z.H + h) * z.Y + i) * z.Y + i + shift] *
				       (to_float(q[((int64_t)b * z.Y + i) * z.ld_q + h * e + c]) + own);
		P *to = dp + r * ld + h * e + c;
		*to = from_float<P>(to_float(*to) + sum);
	}
}

/* total [n] += column sums of x [rows, n] */
__global__ void __launch_bounds__(THREADS)
add_columns(float *total, const float *x, int64_t rows, int n)
{
	int c = (int)(blockIdx.x * THREADS + threadIdx.x);
	float sum = 0.f;

	if (c >= n)
		return;
	for (int64_t r = 0; r < rows; r++)
		sum += x[r * n + c];
	total[c] += sum;
}

/* qu = q + bu, qv = q + bv, rows side by side, N numbers a thread. */
template <int N>
__global__ void __launch_bounds__(THREADS)
add_biases(struct relative_sizes z, bf16 *qu, bf16 *qv, const bf16 *q, const float *bu, const float *bv)
{
	int n = z.H * z.e;
	int64_t i = N * ((int64_t)blockIdx.x * THREADS + threadIdx.x), row = i / n, c = i % n;
	float x[N], u[N], v[N];

	if (row >= (int64_t)z.B * z.Y)
		return;
	load<N>(x, q + row * z.ld_q + c);
	load<N>(u, bu + c);
	load<N>(v, bv + c);
#pragma unroll
	for (int k = 0; k < N; k++) {
		u[k] += x[k];
		v[k] += x[k];
	}
	store<N>(qu + i, u);
	store<N>(qv + i, v);
}

struct relative_sizes
sizes_of(struct tensor q, struct tensor k, struct tensor v, struct tensor o, struct tensor p, struct tensor bu)
{
	int64_t H = bu.dim[0], e = bu.dim[1];

	assert(e <= ATTENTION_WIDEST && (q.dtype == F32 || q.dtype == BF16));
	return { (int)q.dim[0], (int)q.dim[1], (int)H, (int)e, tensor_ld(q), tensor_ld(k), tensor_ld(v), tensor_ld(o),
		 tensor_ld(p), 1.f / sqrtf((float)e) };
}

bool
half_on_tensor_cores(struct tensor q, const struct relative_sizes &z)
{
	return q.dtype == BF16 && z.e == 64;
}

size_t
padded(size_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

/* q + bu and q + bv into the scratch at; what is behind them. */
char *
with_biases(struct dev *d, const struct relative_sizes &z, struct relative_pointers *p, char *at)
{
	int64_t count = (int64_t)z.B * z.Y * z.H * z.e;
	size_t bytes = padded((size_t)count * sizeof(bf16));

	p->qu = at;
	p->qv = at + bytes;
	bool by8 = z.ld_q % 8 == 0 && ((uintptr_t)p->q | (uintptr_t)p->bu | (uintptr_t)p->bv) % 16 == 0;
	auto add = by8 ? add_biases<8> : add_biases<1>;
	add<<<cuda_blocks(count, by8 ? 8 * THREADS : THREADS), THREADS, 0, d->cuda->stream>>>(z, (bf16 *)p->qu, (bf16 *)p->qv,
	                                                                                    (const bf16 *)p->q, p->bu, p->bv);
	return at + 2 * bytes;
}

size_t
bias_bytes(const struct relative_sizes &z)
{
	return 2 * padded((size_t)z.B * (size_t)z.Y * (size_t)z.H * (size_t)z.e * sizeof(bf16));
}

} // namespace

extern "C" void
cuda_relative_attention(struct dev *d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k, struct tensor v,
                        struct tensor p, struct tensor bu, struct tensor bv, struct tensor mask)
{
	struct relative_sizes z = sizes_of(q, k, v, o, p, bu);
	struct relative_pointers x = {};

	x.q = q.data, x.k = k.data, x.v = v.data, x.p = p.data, x.o = o.data;
	x.mask = (const float *)mask.data, x.bu = (const float *)bu.data, x.bv = (const float *)bv.data;
	x.lse = (float *)lse.data;
	if (half_on_tensor_cores(q, z)) {
		char *scratch = (char *)cuda_scratch(d, bias_bytes(z));
		if (!scratch)
			return;
		with_biases(d, z, &x, scratch);
		relative_half_forward(z, d->cuda->stream, x);
	} else if (q.dtype == F32 && relative_32_can(z, x)) {
		relative_32_forward(z, !d->tf32, d->cuda->stream, x);
	} else {
		relative_any_forward(z, q.dtype == BF16, d->cuda->stream, x);
	}
	cuda_launched(d, "relative_attention");
}

/* What params want: rows of positions from the gradients of scores, biases from the two parts of dq. fast32: of F32 on tensor cores. */
static void
param_grads(struct dev *d, const struct relative_sizes &z, const struct relative_pointers &x, bool fast32, struct tensor q,
            struct tensor dp, struct tensor dbu, struct tensor dbv)
{
	int n = z.H * z.e;
	int64_t rows = (int64_t)z.B * z.Y;

	if (dp.rank && fast32) {
		assert(dp.dtype == F32 || dp.dtype == BF16);
		relative_32_positions(z, !d->tf32, d->cuda->stream, dp.data, tensor_ld(dp), dp.dtype == BF16, x);
	} else if (dp.rank) {
		dim3 grid(cuda_blocks(2 * z.Y - 1, WARPS), (unsigned)z.H);
		WITH_TYPE(q.dtype, N, WITH_TYPE(dp.dtype, P, position_grads<N, P><<<grid, THREADS, 0, d->cuda->stream>>>(
			z, cuda_out<P>(dp), tensor_ld(dp), x.ds, cuda_in<N>(q), x.bv)));
	}
	if (dbu.rank)
		add_columns<<<cuda_blocks(n, THREADS), THREADS, 0, d->cuda->stream>>>((float *)dbu.data, x.content, rows, n);
	if (dbv.rank)
		add_columns<<<cuda_blocks(n, THREADS), THREADS, 0, d->cuda->stream>>>((float *)dbv.data, x.position, rows, n);
}

extern "C" void
cuda_relative_attention_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor dp,
                                 struct tensor dbu, struct tensor dbv, struct tensor go, struct tensor q, struct tensor k,
                                 struct tensor v, struct tensor p, struct tensor bu, struct tensor bv, struct tensor o,
                                 struct tensor lse, struct tensor mask)
{
	struct relative_sizes z = sizes_of(q, k, v, o, p, bu);
	struct relative_pointers x = {};
	bool fast = half_on_tensor_cores(q, z), half = q.dtype == BF16, biases = dbu.rank || dbv.rank;
	size_t rows = (size_t)z.B * (size_t)z.Y, parts = padded(rows * (size_t)(z.H * z.e) * sizeof(float));
	size_t deltas = padded(tensor_bytes(lse)), pairs = padded(rows * (size_t)z.H * (size_t)z.Y * sizeof(float));
	char *at = (char *)cuda_scratch(d, deltas + (fast ? bias_bytes(z) : 0) + (biases ? 2 * parts : 0) + (dp.rank ? pairs : 0));
	struct attention_sizes sums = { z.B, z.Y, 0, z.H, z.e, z.ld_q, z.ld_k, z.ld_v, z.ld_o, 0.f };
	struct attention_pointers of = {};

	if (!at)
		return;
	assert(tensor_ld(dq) == z.ld_q && tensor_ld(dk) == z.ld_k && tensor_ld(dv) == z.ld_v && tensor_ld(go) == z.ld_o);
	x.q = q.data, x.k = k.data, x.v = v.data, x.p = p.data, x.go = go.data;
	x.dq = dq.data, x.dk = dk.data, x.dv = dv.data;
	x.mask = (const float *)mask.data, x.bu = (const float *)bu.data, x.bv = (const float *)bv.data;
	x.lse = (float *)lse.data, x.delta = (float *)at;
	at += deltas;
	if (biases) {
		x.content = (float *)at, x.position = (float *)(at + parts);
		at += 2 * parts;
	}
	if (dp.rank) {
		x.ds = (float *)at;
		at += pairs;
	}
	of.go = go.data, of.out = o.data, of.delta = x.delta;
	attention_deltas(sums, half, d->cuda->stream, of);
	bool fast32 = !half && relative_32_can(z, x);
	if (fast) {
		with_biases(d, z, &x, at);
		relative_half_backward(z, d->cuda->stream, cuda_fork(d), x);
		cuda_meet(d);
	} else if (fast32) {
		relative_32_backward(z, !d->tf32, d->cuda->stream, cuda_fork(d), x);
		cuda_meet(d);
	} else {
		relative_any_backward(z, half, d->cuda->stream, x);
	}
	param_grads(d, z, x, fast32, q, dp, dbu, dbv);
	cuda_launched(d, "relative_attention_backward");
}
