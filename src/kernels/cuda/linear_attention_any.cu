/* SPDX-License-Identifier: Apache-2.0 */
/* Linear attention in f32 arithmetic, of any type and of heads up to 256. The sums of a head lie twice in scratch, as they are and
 * transposed, so that every product reads them along their rows. */
#include "kernels/cuda/linear_attention.cuh"
#include "kernels/cuda/cuda.cuh"

namespace {

enum { LANES = 32, WARPS = 8, THREADS = LANES * WARPS, PARTS = 8, FRAMES = 32 };

/* sum [w, w] of head blockIdx.y: rows a = 8 blockIdx.x .. + 7; sum += a_t[a] f_t b_t[c], z[a] = sum of a_t[a] g_t. */
template <class N>
__global__ void __launch_bounds__(THREADS)
sum_rows(struct linear_sizes z, float *sums, const N *a, int64_t ld_a, const N *b, int64_t ld_b, const float *den,
         const float *delta)
{
	__shared__ float left[FRAMES][WARPS], factor[FRAMES], weight[FRAMES];
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, w = z.w;
	int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, first = (int)blockIdx.x * WARPS, row = first + warp;
	float acc[PARTS] = { 0.f }, total = 0.f, *out = sums + (int64_t)blockIdx.y * (2 * w * w + w);

	a += (int64_t)n * z.T * ld_a + (int64_t)h * w;
	b += (int64_t)n * z.T * ld_b + (int64_t)h * w;
	for (int t0 = 0; t0 < z.T; t0 += FRAMES) {
		int frame = t0 + (int)threadIdx.x / WARPS, column = first + (int)threadIdx.x % WARPS;
		__syncthreads();
		left[threadIdx.x / WARPS][threadIdx.x % WARPS] =
			frame < z.T && column < w ? to_float(a[frame * ld_a + column]) : 0.f;
		if (threadIdx.x < FRAMES) {
			int t = t0 + (int)threadIdx.x;
			int64_t at = ((int64_t)n * z.T + t) * z.H + h;
			factor[threadIdx.x] = t >= z.T ? 0.f : den ? 1.f / den[at] : 1.f;
			weight[threadIdx.x] = t >= z.T ? 0.f : den ? -delta[at] / den[at] : 1.f;
		}
		__syncthreads();
		for (int i = 0; i < FRAMES && t0 + i < z.T; i++) {
			float x = left[i][warp];
			total += x * weight[i];
#pragma unroll
			for (int j = 0; j < PARTS; j++)
				if (lane + LANES * j < w)
					acc[j] += x * (to_float(b[(t0 + i) * ld_b + lane + LANES * j]) * factor[i]);
		}
	}
	if (row >= w)
		return;
#pragma unroll
	for (int j = 0; j < PARTS; j++)
		if (lane + LANES * j < w) {
			out[row * w + lane + LANES * j] = acc[j];
			out[w * w + (lane + LANES * j) * w + row] = acc[j];
		}
	if (lane == 0)
		out[2 * w * w + row] = total;
}

/* acc: row x [w] (in shared memory) times the matrix m [w, w] */
__device__ __forceinline__ void
times(float (&acc)[PARTS], const float *x, const float *m, int w, int lane)
{
#pragma unroll
	for (int j = 0; j < PARTS; j++)
		acc[j] = 0.f;
	for (int a = 0; a < w; a++) {
		float f = x[a];
#pragma unroll
		for (int j = 0; j < PARTS; j++)
			if (lane + LANES * j < w)
				acc[j] += f * m[a * w + lane + LANES * j];
	}
}

template <class N>
__device__ __forceinline__ void
own_row(float *row, const N *x, int w, int lane)
{
	__syncwarp();
	for (int c = lane; c < w; c += LANES)
		row[c] = to_float(x[c]);
	__syncwarp();
}

template <class N>
__global__ void __launch_bounds__(THREADS)
outputs(struct linear_sizes z, N *o, float *den, const N *q, const float *sums)
{
	extern __shared__ float memory[];
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, w = z.w;
	int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, t = (int)blockIdx.x * WARPS + warp;
	const float *m = sums + (int64_t)blockIdx.y * (2 * w * w + w), *zs = m + 2 * w * w;
	float acc[PARTS], below = 0.f, *row = memory + warp * w;
	int64_t at = (int64_t)n * z.T + t;

	if (t >= z.T)
		return;
	own_row(row, q + at * z.ld_q + (int64_t)h * w, w, lane);
	for (int c = lane; c < w; c += LANES)
		below += row[c] * zs[c];
	below = warp_sum(below) + 1e-15f;
	times(acc, row, m, w, lane);
#pragma unroll
	for (int j = 0; j < PARTS; j++)
		if (lane + LANES * j < w)
			o[at * z.ld_o + (int64_t)h * w + lane + LANES * j] = from_float<N>(acc[j] / below);
	if (lane == 0)
		den[at * z.H + h] = below;
}

template <class N>
__global__ void __launch_bounds__(THREADS)
gradients(struct linear_sizes z, N *dq, N *dk, N *dv, const N *go, const N *k, const N *v, const float *den, const float *delta,
          const float *sums, const float *gsums)
{
	extern __shared__ float memory[];
	int n = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, w = z.w;
	int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, t = (int)blockIdx.x * WARPS + warp;
	int64_t at = (int64_t)n * z.T + t, size = 2 * w * w + w, head = (int64_t)h * w;
	const float *kv = sums + blockIdx.y * size, *g = gsums + blockIdx.y * size;
	float acc[PARTS], *row = memory + warp * w;

	if (t >= z.T)
		return;
	float below = den[at * z.H + h], dd = -delta[at * z.H + h] / below;
	own_row(row, go + at * z.ld_o + head, w, lane);
	times(acc, row, kv + w * w, w, lane);
	for (int j = 0; j < PARTS; j++)
		if (lane + LANES * j < w)
			dq[at * z.ld_q + head + lane + LANES * j] = from_float<N>(acc[j] / below + dd * kv[2 * w * w + lane + LANES * j]);
	own_row(row, v + at * z.ld_v + head, w, lane);
	times(acc, row, g + w * w, w, lane);
	for (int j = 0; j < PARTS; j++)
		if (lane + LANES * j < w)
			dk[at * z.ld_k + head + lane + LANES * j] = from_float<N>(acc[j] + g[2 * w * w + lane + LANES * j]);
	own_row(row, k + at * z.ld_k + head, w, lane);
	times(acc, row, g, w, lane);
	for (int j = 0; j < PARTS; j++)
		if (lane + LANES * j < w)
			dv[at * z.ld_v + head + lane + LANES * j] = from_float<N>(acc[j]);
}

template <class N>
void
launch_sums(const struct linear_sizes &z, cudaStream_t stream, float *sums, const void *a, int64_t ld_a, const void *b,
            int64_t ld_b, const float *den, const float *delta)
{
	dim3 grid((unsigned)((z.w + WARPS - 1) / WARPS), (unsigned)(z.B * z.H));

	sum_rows<N><<<grid, THREADS, 0, stream>>>(z, sums, (const N *)a, ld_a, (const N *)b, ld_b, den, delta);
}

dim3
rows_grid(const struct linear_sizes &z)
{
	return dim3((unsigned)((z.T + WARPS - 1) / WARPS), (unsigned)(z.B * z.H));
}

template <class N>
void
forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	float *sums = (float *)p.scratch;

	launch_sums<N>(z, stream, sums, p.k, z.ld_k, p.v, z.ld_v, NULL, NULL);
	outputs<N><<<rows_grid(z), THREADS, sizeof(float) * WARPS * (size_t)z.w, stream>>>(z, (N *)p.o, p.den, (const N *)p.q,
	                                                                                  sums);
}

template <class N>
void
backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	float *sums = (float *)p.scratch, *gsums = sums + (int64_t)z.B * z.H * (2 * z.w * z.w + z.w);

	launch_sums<N>(z, stream, sums, p.k, z.ld_k, p.v, z.ld_v, NULL, NULL);
	launch_sums<N>(z, stream, gsums, p.q, z.ld_q, p.go, z.ld_o, p.den, p.delta);
	gradients<N><<<rows_grid(z), THREADS, sizeof(float) * WARPS * (size_t)z.w, stream>>>(
		z, (N *)p.dq, (N *)p.dk, (N *)p.dv, (const N *)p.go, (const N *)p.k, (const N *)p.v, p.den, p.delta, sums, gsums);
}

} // namespace

size_t
linear_any_scratch(const struct linear_sizes *z, bool backward)
{
	return (backward ? 2 : 1) * sizeof(float) * (size_t)z->B * (size_t)z->H * (size_t)(2 * z->w * z->w + z->w);
}

void
linear_any_forward(const struct linear_sizes &z, bool half, cudaStream_t stream, const struct linear_pointers &p)
{
	half ? forward<bf16>(z, stream, p) : forward<float>(z, stream, p);
}

void
linear_any_backward(const struct linear_sizes &z, bool half, cudaStream_t stream, const struct linear_pointers &p)
{
	half ? backward<bf16>(z, stream, p) : backward<float>(z, stream, p);
}
