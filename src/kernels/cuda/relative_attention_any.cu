/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions in f32 arithmetic, of any type and of heads up to 256: a warp a row, tiles of 32 of the others
 * in shared memory, and of the positions the WARPS + 31 rows that these pairs meet. */
#include "kernels/cuda/cuda.cuh"
#include "kernels/cuda/relative_attention.cuh"

namespace {

enum { LANES = 32, WARPS = 8, THREADS = LANES * WARPS, PARTS = 8, WINDOW = LANES + WARPS - 1 };

/* n rows from row first on as f32 [n, e + 1]; rows outside 0 .. count - 1 are zero. bias [e] is added to those inside, or NULL. */
template <class N>
__device__ __forceinline__ void
fetch(float *tile, const N *x, int64_t ld, int first, int n, int count, int e, const float *bias)
{
	for (int i = (int)threadIdx.x; i < n * e; i += THREADS) {
		int r = i / e, c = i % e, at = first + r;
		bool there = at >= 0 && at < count;
		tile[r * (e + 1) + c] = there ? to_float(x[at * ld + c]) + (bias ? bias[c] : 0.f) : 0.f;
	}
}

__device__ __forceinline__ float
dot(const float *a, const float *b, int e)
{
	float sum = 0.f;

	for (int c = 0; c < e; c++)
		sum += a[c] * b[c];
	return sum;
}

/* acc[i], columns lane + 32 i, += sum over lanes j of their weight times row j of rows, which lie e + 1 apart. */
__device__ __forceinline__ void
gather(float (&acc)[PARTS], float weight, const float *rows, int e, int lane)
{
	for (int j = 0; j < LANES; j++) {
		float p = __shfl_sync(~0u, weight, j);
#pragma unroll
		for (int i = 0; i < PARTS; i++)
			if (lane + LANES * i < e)
				acc[i] += p * rows[j * (e + 1) + lane + LANES * i];
	}
}

template <class N>
__device__ __forceinline__ void
write_row(N *to, const float (&acc)[PARTS], float factor, int e, int lane)
{
#pragma unroll
	for (int i = 0; i < PARTS; i++)
		if (lane + LANES * i < e)
			to[lane + LANES * i] = from_float<N>(acc[i] * factor);
}

/* Where a warp works: sample, head, row. */
struct place {
	int b, h, warp, lane, first, row;
};

__device__ __forceinline__ struct place
my_place(const struct relative_sizes &z)
{
	int warp = (int)threadIdx.x / LANES, first = (int)blockIdx.x * WARPS;

	return { (int)blockIdx.y / z.H, (int)blockIdx.y % z.H, warp, (int)threadIdx.x % LANES, first, first + warp };
}

template <class N>
__global__ void __launch_bounds__(THREADS)
forward(struct relative_sizes z, N *o, float *lse, const N *q, const N *k, const N *v, const N *p, const float *bu,
        const float *bv, const float *mask)
{
	extern __shared__ float memory[];
	struct place at = my_place(z);
	int e = z.e, line = e + 1;
	int64_t head = (int64_t)at.h * e, start = (int64_t)at.b * z.Y;
	float *sk = memory, *sv = sk + LANES * line, *sp = sv + LANES * line, *su = sp + WINDOW * line, *sw = su + WARPS * line;
	float acc[PARTS] = { 0.f }, top = -INFINITY, sum = 0.f;

	fetch(su, q + start * z.ld_q + head, z.ld_q, at.first, WARPS, z.Y, e, bu + head);
	fetch(sw, q + start * z.ld_q + head, z.ld_q, at.first, WARPS, z.Y, e, bv + head);
	for (int first = 0; first < z.Y; first += LANES) {
		int j = first + at.lane;
		bool seen = j < z.Y && mask[start + j] != 0.f;
		__syncthreads();
		fetch(sk, k + start * z.ld_k + head, z.ld_k, first, LANES, z.Y, e, NULL);
		fetch(sv, v + start * z.ld_v + head, z.ld_v, first, LANES, z.Y, e, NULL);
		fetch(sp, p + head, z.ld_p, z.Y - 1 - (at.first + WARPS - 1) + first, WINDOW, 2 * z.Y - 1, e, NULL);
		__syncthreads();
		float s = -INFINITY;
		if (seen)
			s = (dot(su + at.warp * line, sk + at.lane * line, e) +
			     dot(sw + at.warp * line, sp + (WARPS - 1 - at.warp + at.lane) * line, e)) * z.scale;
		float now = fmaxf(top, warp_max(s));
		if (now == -INFINITY)
			continue;	/* the whole warp alike */
		float shrink = expf(top - now), w = seen ? expf(s - now) : 0.f;
#pragma unroll
		for (int i = 0; i < PARTS; i++)
			acc[i] *= shrink;
		sum = sum * shrink + warp_sum(w);
		top = now;
		gather(acc, w, sv, e, at.lane);
	}
	if (at.row >= z.Y)
		return;
	write_row(o + (start + at.row) * z.ld_o + head, acc, sum > 0.f ? 1.f / sum : 0.f, e, at.lane);
	if (at.lane == 0)
		lse[(start + at.row) * z.H + at.h] = sum > 0.f ? top + logf(sum) : 0.f;
}

template <class N>
__global__ void __launch_bounds__(THREADS)
backward_queries(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ float memory[];
	struct place at = my_place(z);
	int e = z.e, line = e + 1;
	int64_t head = (int64_t)at.h * e, start = (int64_t)at.b * z.Y, n = start + at.row;
	float *sk = memory, *sv = sk + LANES * line, *sp = sv + LANES * line, *su = sp + WINDOW * line, *sw = su + WARPS * line;
	float *sg = sw + WARPS * line, content[PARTS] = { 0.f }, position[PARTS] = { 0.f };
	const N *q = (const N *)x.q + start * z.ld_q + head, *go = (const N *)x.go + start * z.ld_o + head;
	bool there = at.row < z.Y;
	float top = there ? x.lse[n * z.H + at.h] : 0.f, delta = there ? x.delta[n * z.H + at.h] : 0.f;

	fetch(su, q, z.ld_q, at.first, WARPS, z.Y, e, x.bu + head);
	fetch(sw, q, z.ld_q, at.first, WARPS, z.Y, e, x.bv + head);
	fetch(sg, go, z.ld_o, at.first, WARPS, z.Y, e, NULL);
	for (int first = 0; first < z.Y; first += LANES) {
		int j = first + at.lane;
		float *row = sp + (WARPS - 1 - at.warp) * line, ds = 0.f;
		__syncthreads();
		fetch(sk, (const N *)x.k + start * z.ld_k + head, z.ld_k, first, LANES, z.Y, e, NULL);
		fetch(sv, (const N *)x.v + start * z.ld_v + head, z.ld_v, first, LANES, z.Y, e, NULL);
		fetch(sp, (const N *)x.p + head, z.ld_p, z.Y - 1 - (at.first + WARPS - 1) + first, WINDOW, 2 * z.Y - 1, e, NULL);
		__syncthreads();
		if (there && j < z.Y && x.mask[start + j] != 0.f) {
			float s = dot(su + at.warp * line, sk + at.lane * line, e) +
			          dot(sw + at.warp * line, row + at.lane * line, e);
			ds = expf(s * z.scale - top) * (dot(sg + at.warp * line, sv + at.lane * line, e) - delta) * z.scale;
		}
		gather(content, ds, sk, e, at.lane);
		gather(position, ds, row, e, at.lane);
		if (x.ds && there && j < z.Y)
			x.ds[((int64_t)blockIdx.y * z.Y + at.row) * z.Y + j] = ds;
	}
	if (!there)
		return;
	if (x.content) {
		write_row(x.content + n * z.H * e + head, content, 1.f, e, at.lane);
		write_row(x.position + n * z.H * e + head, position, 1.f, e, at.lane);
	}
#pragma unroll
	for (int i = 0; i < PARTS; i++)
		content[i] += position[i];
	write_row((N *)x.dq + n * z.ld_q + head, content, 1.f, e, at.lane);
}

template <class N>
__global__ void __launch_bounds__(THREADS)
backward_keys(struct relative_sizes z, struct relative_pointers x)
{
	extern __shared__ float memory[];
	struct place at = my_place(z);
	int e = z.e, line = e + 1;
	int64_t head = (int64_t)at.h * e, start = (int64_t)at.b * z.Y, n = start + at.row;
	float *su = memory, *sw = su + LANES * line, *sg = sw + LANES * line, *sp = sg + LANES * line;
	float *sk = sp + WINDOW * line, *sv = sk + WARPS * line, gk[PARTS] = { 0.f }, gv[PARTS] = { 0.f };
	const N *q = (const N *)x.q + start * z.ld_q + head, *go = (const N *)x.go + start * z.ld_o + head;
	bool there = at.row < z.Y && x.mask[n] != 0.f;

	fetch(sk, (const N *)x.k + start * z.ld_k + head, z.ld_k, at.first, WARPS, z.Y, e, NULL);
	fetch(sv, (const N *)x.v + start * z.ld_v + head, z.ld_v, at.first, WARPS, z.Y, e, NULL);
	for (int first = 0; first < z.Y; first += LANES) {
		int i = first + at.lane;
		float w = 0.f, ds = 0.f;
		__syncthreads();
		fetch(su, q, z.ld_q, first, LANES, z.Y, e, x.bu + head);
		fetch(sw, q, z.ld_q, first, LANES, z.Y, e, x.bv + head);
		fetch(sg, go, z.ld_o, first, LANES, z.Y, e, NULL);
		fetch(sp, (const N *)x.p + head, z.ld_p, z.Y - 1 - (first + LANES - 1) + at.first, WINDOW, 2 * z.Y - 1, e, NULL);
		__syncthreads();
		if (there && i < z.Y) {
			int64_t row = (start + i) * z.H + at.h;
			float s = dot(sk + at.warp * line, su + at.lane * line, e) +
			          dot(sw + at.lane * line, sp + (LANES - 1 - at.lane + at.warp) * line, e);
			w = expf(s * z.scale - x.lse[row]);
			ds = w * (dot(sv + at.warp * line, sg + at.lane * line, e) - x.delta[row]) * z.scale;
		}
		gather(gv, w, sg, e, at.lane);
		gather(gk, ds, su, e, at.lane);
	}
	if (at.row >= z.Y)
		return;
	write_row((N *)x.dk + n * z.ld_k + head, gk, 1.f, e, at.lane);
	write_row((N *)x.dv + n * z.ld_v + head, gv, 1.f, e, at.lane);
}

template <class N>
void
launch_forward(const struct relative_sizes &z, cudaStream_t stream, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, WARPS), (unsigned)(z.B * z.H));
	int bytes = (int)sizeof(float) * (2 * LANES + WINDOW + 2 * WARPS) * (z.e + 1);

	cudaFuncSetAttribute(forward<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	forward<N><<<grid, THREADS, bytes, stream>>>(z, (N *)p.o, p.lse, (const N *)p.q, (const N *)p.k, (const N *)p.v,
	                                             (const N *)p.p, p.bu, p.bv, p.mask);
}

template <class N>
void
launch_backward(const struct relative_sizes &z, cudaStream_t stream, const struct relative_pointers &p)
{
	dim3 grid(cuda_blocks(z.Y, WARPS), (unsigned)(z.B * z.H));
	int queries = (int)sizeof(float) * (2 * LANES + WINDOW + 3 * WARPS) * (z.e + 1);
	int keys = (int)sizeof(float) * (3 * LANES + WINDOW + 2 * WARPS) * (z.e + 1);

	cudaFuncSetAttribute(backward_queries<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, queries);
	cudaFuncSetAttribute(backward_keys<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, keys);
	backward_queries<N><<<grid, THREADS, queries, stream>>>(z, p);
	backward_keys<N><<<grid, THREADS, keys, stream>>>(z, p);
}

} // namespace

void
relative_any_forward(const struct relative_sizes &z, bool half, cudaStream_t stream, const struct relative_pointers &p)
{
	half ? launch_forward<bf16>(z, stream, p) : launch_forward<float>(z, stream, p);
}

void
relative_any_backward(const struct relative_sizes &z, bool half, cudaStream_t stream, const struct relative_pointers &p)
{
	half ? launch_backward<bf16>(z, stream, p) : launch_backward<float>(z, stream, p);
}
