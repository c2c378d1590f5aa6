/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention in f32 arithmetic, of any type and of heads up to 256: a warp a row, tiles of 32 of the others in shared
 * memory. Slower than tensor cores by an order of magnitude; exact to f32. */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/cuda.cuh"

namespace {

enum { LANES = 32, WARPS = 8, THREADS = LANES * WARPS, PARTS = 8 /* of LANES columns, of a row */ };

/* Rows first .. first + 31 of x as f32 [32, w + 1]; rows beyond count are zero. */
template <class N>
__device__ __forceinline__ void
fetch(float *tile, const N *x, int64_t ld, int first, int count, int w)
{
	for (int i = (int)threadIdx.x; i < LANES * w; i += THREADS) {
		int r = i / w, c = i % w;
		tile[r * (w + 1) + c] = first + r < count ? to_float(x[(first + r) * ld + c]) : 0.f;
	}
}

/* The dot product of the warp's own row (in shared memory) and row lane of the tile. */
__device__ __forceinline__ float
dot(const float *own, const float *tile, int w, int lane)
{
	float sum = 0.f;

	for (int c = 0; c < w; c++)
		sum += own[c] * tile[lane * (w + 1) + c];
	return sum;
}

/* acc[i], columns lane + 32 i, += sum over rows j of the tile of weight (that of lane j) times the row. */
__device__ __forceinline__ void
gather(float (&acc)[PARTS], float weight, const float *tile, int w, int lane)
{
	for (int j = 0; j < LANES; j++) {
		float p = __shfl_sync(~0u, weight, j);
#pragma unroll
		for (int i = 0; i < PARTS; i++)
			if (lane + LANES * i < w)
				acc[i] += p * tile[j * (w + 1) + lane + LANES * i];
	}
}

template <class N>
__device__ __forceinline__ void
own_row(float *row, const N *x, bool there, int w, int lane)
{
	for (int c = lane; c < w; c += LANES)
		row[c] = there ? to_float(x[c]) : 0.f;
}

template <class N>
__device__ __forceinline__ void
write_row(N *to, const float (&acc)[PARTS], float factor, bool there, int w, int lane)
{
#pragma unroll
	for (int i = 0; i < PARTS; i++)
		if (there && lane + LANES * i < w)
			to[lane + LANES * i] = from_float<N>(acc[i] * factor);
}

template <class N>
__global__ void __launch_bounds__(THREADS)
forward(struct attention_sizes z, N *o, float *lse, const N *q, const N *k, const N *v, const float *qmask, const float *kmask)
{
	extern __shared__ float memory[];
	int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, w = z.w;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, t = (int)blockIdx.x * WARPS + warp;
	float *sk = memory, *sv = sk + LANES * (w + 1), *row = sv + LANES * (w + 1) + warp * w;
	bool sees = t < z.T && qmask[(int64_t)b * z.T + t] == 1.f;
	float acc[PARTS] = { 0.f }, top = -INFINITY, sum = 0.f;

	k += (int64_t)b * z.M * z.ld_k + (int64_t)h * w;
	v += (int64_t)b * z.M * z.ld_v + (int64_t)h * w;
	own_row(row, q + ((int64_t)b * z.T + t) * z.ld_q + (int64_t)h * w, sees, w, lane);
	for (int first = 0; first < z.M; first += LANES) {
		int j = first + lane;
		bool seen = sees && j < z.M && kmask[(int64_t)b * z.M + j] == 1.f;
		__syncthreads();
		fetch(sk, k, z.ld_k, first, z.M, w);
		fetch(sv, v, z.ld_v, first, z.M, w);
		__syncthreads();
		float s = seen ? dot(row, sk, w, lane) * z.scale : -INFINITY, now = fmaxf(top, warp_max(s));
		if (now == -INFINITY)
			continue;	/* the same for the whole warp; the barriers are at the loop's head */
		float shrink = expf(top - now), p = seen ? expf(s - now) : 0.f;
#pragma unroll
		for (int i = 0; i < PARTS; i++)
			acc[i] *= shrink;
		sum = sum * shrink + warp_sum(p);
		top = now;
		gather(acc, p, sv, w, lane);
	}
	write_row(o + ((int64_t)b * z.T + t) * z.ld_o + (int64_t)h * w, acc, sum > 0.f ? 1.f / sum : 0.f, t < z.T, w, lane);
	if (lane == 0 && t < z.T)
		lse[((int64_t)b * z.T + t) * z.H + h] = sum > 0.f ? top + logf(sum) : 0.f;
}

template <class N>
__global__ void __launch_bounds__(THREADS)
backward_queries(struct attention_sizes z, N *dq, const N *go, const N *q, const N *k, const N *v, const float *lse,
                 const float *delta, const float *qmask, const float *kmask)
{
	extern __shared__ float memory[];
	int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, w = z.w;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, t = (int)blockIdx.x * WARPS + warp;
	int64_t n = (int64_t)b * z.T + t;
	float *sk = memory, *sv = sk + LANES * (w + 1), *row = sv + LANES * (w + 1) + 2 * warp * w;
	bool sees = t < z.T && qmask[n] == 1.f;
	float acc[PARTS] = { 0.f }, top = sees ? lse[n * z.H + h] : 0.f, own = sees ? delta[n * z.H + h] : 0.f;

	k += (int64_t)b * z.M * z.ld_k + (int64_t)h * w;
	v += (int64_t)b * z.M * z.ld_v + (int64_t)h * w;
	own_row(row, q + n * z.ld_q + (int64_t)h * w, sees, w, lane);
	own_row(row + w, go + n * z.ld_o + (int64_t)h * w, sees, w, lane);
	for (int first = 0; first < z.M; first += LANES) {
		int j = first + lane;
		bool seen = sees && j < z.M && kmask[(int64_t)b * z.M + j] == 1.f;
		__syncthreads();
		fetch(sk, k, z.ld_k, first, z.M, w);
		fetch(sv, v, z.ld_v, first, z.M, w);
		__syncthreads();
		float p = seen ? expf(dot(row, sk, w, lane) * z.scale - top) : 0.f;
		float ds = p * (dot(row + w, sv, w, lane) - own) * z.scale;
		gather(acc, ds, sk, w, lane);
	}
	write_row(dq + n * z.ld_q + (int64_t)h * w, acc, 1.f, t < z.T, w, lane);
}

template <class N>
__global__ void __launch_bounds__(THREADS)
backward_keys(struct attention_sizes z, N *dk, N *dv, const N *go, const N *q, const N *k, const N *v, const float *lse,
              const float *delta, const float *qmask, const float *kmask)
{
	extern __shared__ float memory[];
	int warp = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES, w = z.w;
	int b = (int)blockIdx.y / z.H, h = (int)blockIdx.y % z.H, j = (int)blockIdx.x * WARPS + warp;
	int64_t n = (int64_t)b * z.M + j;
	float *sq = memory, *sg = sq + LANES * (w + 1), *row = sg + LANES * (w + 1) + 2 * warp * w;
	bool there = j < z.M && kmask[n] == 1.f;
	float gk[PARTS] = { 0.f }, gv[PARTS] = { 0.f };

	q += (int64_t)b * z.T * z.ld_q + (int64_t)h * w;
	go += (int64_t)b * z.T * z.ld_o + (int64_t)h * w;
	own_row(row, k + n * z.ld_k + (int64_t)h * w, there, w, lane);
	own_row(row + w, v + n * z.ld_v + (int64_t)h * w, there, w, lane);
	for (int first = 0; first < z.T; first += LANES) {
		int t = first + lane;
		int64_t at = (int64_t)b * z.T + t;
		bool sees = there && t < z.T && qmask[at] == 1.f;
		__syncthreads();
		fetch(sq, q, z.ld_q, first, z.T, w);
		fetch(sg, go, z.ld_o, first, z.T, w);
		__syncthreads();
		float p = sees ? expf(dot(row, sq, w, lane) * z.scale - lse[at * z.H + h]) : 0.f;
		float ds = sees ? p * (dot(row + w, sg, w, lane) - delta[at * z.H + h]) * z.scale : 0.f;
		gather(gk, ds, sq, w, lane);
		gather(gv, p, sg, w, lane);
	}
	write_row(dk + n * z.ld_k + (int64_t)h * w, gk, 1.f, j < z.M, w, lane);
	write_row(dv + n * z.ld_v + (int64_t)h * w, gv, 1.f, j < z.M, w, lane);
}

/* delta, heads of a multiple of eight up to EACH * 8: EACH lanes a (row, head), eight numbers a lane */
template <int EACH, class N>
__global__ void __launch_bounds__(THREADS)
deltas_by8(struct attention_sizes z, float *delta, const N *go, const N *o)
{
	int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / EACH, n = i / z.H, h = i % z.H;
	int c = 8 * ((int)threadIdx.x % EACH);
	float sum = 0.f, a[8], b[8];

	if (n < (int64_t)z.B * z.T && c < z.w) {
		load8(a, go + n * z.ld_o + h * z.w + c);
		load8(b, o + n * z.ld_o + h * z.w + c);
#pragma unroll
		for (int k = 0; k < 8; k++)
			sum += a[k] * b[k];
	}
#pragma unroll
	for (int k = EACH / 2; k > 0; k /= 2)
		sum += __shfl_xor_sync(~0u, sum, k);
	if (n < (int64_t)z.B * z.T && c == 0)
		delta[i] = sum;
}

/* delta: one warp a (row, head) */
template <class N>
__global__ void __launch_bounds__(THREADS)
deltas(struct attention_sizes z, float *delta, const N *go, const N *o)
{
	int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / LANES, n = i / z.H, h = i % z.H;
	int lane = (int)threadIdx.x % LANES;
	float sum = 0.f;

	if (n >= (int64_t)z.B * z.T)
		return;
	for (int c = lane; c < z.w; c += LANES)
		sum += to_float(go[n * z.ld_o + h * z.w + c]) * to_float(o[n * z.ld_o + h * z.w + c]);
	sum = warp_sum(sum);
	if (lane == 0)
		delta[i] = sum;
}

int
bytes_of(struct attention_sizes z, int rows)
{
	return (int)sizeof(float) * (2 * LANES * (z.w + 1) + rows * WARPS * z.w);
}

dim3
grid_of(struct attention_sizes z, int rows)
{
	return dim3((unsigned)((rows + WARPS - 1) / WARPS), (unsigned)(z.B * z.H));
}

template <class N>
void
launch_forward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	int bytes = bytes_of(z, 1);

	cudaFuncSetAttribute(forward<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	forward<N><<<grid_of(z, z.T), THREADS, bytes, stream>>>(z, (N *)p.o, p.lse, (const N *)p.q, (const N *)p.k,
	                                                        (const N *)p.v, p.qmask, p.kmask);
}

template <class N>
void
launch_backward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	int bytes = bytes_of(z, 2);

	cudaFuncSetAttribute(backward_queries<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	cudaFuncSetAttribute(backward_keys<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
	backward_queries<N><<<grid_of(z, z.T), THREADS, bytes, stream>>>(z, (N *)p.dq, (const N *)p.go, (const N *)p.q,
	                                                                 (const N *)p.k, (const N *)p.v, p.lse, p.delta,
	                                                                 p.qmask, p.kmask);
	backward_keys<N><<<grid_of(z, z.M), THREADS, bytes, stream>>>(z, (N *)p.dk, (N *)p.dv, (const N *)p.go, (const N *)p.q,
	                                                              (const N *)p.k, (const N *)p.v, p.lse, p.delta, p.qmask,
	                                                              p.kmask);
}

template <class N>
void
launch_deltas(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	int64_t pairs = (int64_t)z.B * z.T * z.H;

	bool by8 = z.w % 8 == 0 && z.ld_o % 8 == 0 && (uintptr_t)p.go % 16 == 0 && (uintptr_t)p.out % 16 == 0;
	auto blocks = [=](int each) { return (unsigned)((pairs * each + THREADS - 1) / THREADS); };

	if (by8 && z.w <= 64)
		deltas_by8<8><<<blocks(8), THREADS, 0, stream>>>(z, p.delta, (const N *)p.go, (const N *)p.out);
	else if (by8 && z.w <= 128)
		deltas_by8<16><<<blocks(16), THREADS, 0, stream>>>(z, p.delta, (const N *)p.go, (const N *)p.out);
	else
		deltas<N><<<blocks(LANES), THREADS, 0, stream>>>(z, p.delta, (const N *)p.go, (const N *)p.out);
}

} // namespace

void
attention_any_forward(struct attention_sizes z, bool half, cudaStream_t stream, const struct attention_pointers &p)
{
	half ? launch_forward<bf16>(z, stream, p) : launch_forward<float>(z, stream, p);
}

void
attention_any_backward(struct attention_sizes z, bool half, cudaStream_t stream, const struct attention_pointers &p)
{
	half ? launch_backward<bf16>(z, stream, p) : launch_backward<float>(z, stream, p);
}

void
attention_deltas(struct attention_sizes z, bool half, cudaStream_t stream, const struct attention_pointers &p)
{
	half ? launch_deltas<bf16>(z, stream, p) : launch_deltas<float>(z, stream, p);
}
