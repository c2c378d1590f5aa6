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

/* Sums of columns of x [rows, n] in two steps: of pieces of its rows, then of these. */
enum { SUM_ROWS = 32, SUM_PIECES = 64 };

struct column_sums {
	float *to;
	const float *x;
};

int64_t
piece_rows(int64_t rows)
{
	int64_t per = (rows + SUM_PIECES - 1) / SUM_PIECES;

	return per > SUM_ROWS ? per : (int64_t)SUM_ROWS;
}

/* to [pieces, n] = sums over each piece, of `per` rows, or += them; blockIdx.z: of which of two. A block 32 columns of a piece. */
__global__ void __launch_bounds__(THREADS)
sum_columns(struct column_sums first, struct column_sums second, int64_t rows, int64_t per, int n, bool add)
{
	__shared__ float part[WARPS][LANES];
	int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x / LANES, c = (int)blockIdx.x * LANES + lane;
	struct column_sums s = blockIdx.z ? second : first;
	int64_t from = blockIdx.y * per, end = from + per < rows ? from + per : rows;
	float sum = 0.f;

	if (c < n)
#pragma unroll 8
		for (int64_t r = from + warp; r < end; r += WARPS)
			sum += s.x[r * n + c];
	part[warp][lane] = sum;
	__syncthreads();
	if (warp > 0 || c >= n)
		return;
	for (int i = 1; i < WARPS; i++)
		sum += part[i][lane];
	float *to = s.to + (int64_t)blockIdx.y * n + c;
	*to = add ? *to + sum : sum;
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

/* dbu, dbv += column sums of dq's two parts; sums: room for those of each part's pieces. */
static void
bias_grads(struct dev *d, const struct relative_sizes &z, const struct relative_pointers &x, float *sums, struct tensor dbu,
           struct tensor dbv)
{
	int n = z.H * z.e, count = 0;
	int64_t rows = (int64_t)z.B * z.Y, per = piece_rows(rows);
	unsigned pieces = cuda_blocks(rows, per);
	struct column_sums of[2] = {}, then[2] = {};

	if (dbu.rank)
		of[count++] = { (float *)dbu.data, x.content };
	if (dbv.rank)
		of[count++] = { (float *)dbv.data, x.position };
	for (int i = 0; i < count; i++) {
		float *part = sums + (int64_t)i * pieces * n;
		then[i] = { of[i].to, part };
		of[i].to = part;
	}
	dim3 grid(cuda_blocks(n, LANES), pieces, (unsigned)count), last(grid.x, 1, grid.z);
	sum_columns<<<grid, THREADS, 0, d->cuda->stream>>>(of[0], of[1], rows, per, n, false);
	sum_columns<<<last, THREADS, 0, d->cuda->stream>>>(then[0], then[1], pieces, pieces, n, true);
}

/* Rows of positions from the gradients of scores. */
static void
row_grads(struct dev *d, const struct relative_sizes &z, const struct relative_pointers &x, struct tensor dp, struct tensor q)
{
	dim3 grid(cuda_blocks(2 * z.Y - 1, WARPS), (unsigned)z.H);

	assert(dp.dtype == F32 || dp.dtype == BF16);
	if (!relative_32_positions(z, q.dtype == BF16, !d->tf32, d->cuda->stream, dp.data, tensor_ld(dp), dp.dtype == BF16, x))
		WITH_TYPE(q.dtype, N, WITH_TYPE(dp.dtype, P, position_grads<N, P><<<grid, THREADS, 0, d->cuda->stream>>>(
			z, cuda_out<P>(dp), tensor_ld(dp), x.ds, cuda_in<N>(q), x.bv)));
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
	size_t pieces = padded(2 * cuda_blocks((int64_t)rows, piece_rows((int64_t)rows)) * (size_t)(z.H * z.e) * sizeof(float));
	char *at = (char *)cuda_scratch(d, deltas + (fast ? bias_bytes(z) : 0) + (biases ? 2 * parts + pieces : 0) +
	                                   (dp.rank ? pairs : 0));
	float *of_pieces = NULL;
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
		of_pieces = (float *)(at + 2 * parts);
		at += 2 * parts + pieces;
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
	if (dp.rank)
		row_grads(d, z, x, dp, q);
	if (biases)
		bias_grads(d, z, x, of_pieces, dbu, dbv);
	cuda_launched(d, "relative_attention_backward");
}
