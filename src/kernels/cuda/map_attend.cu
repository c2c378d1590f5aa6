/* SPDX-License-Identifier: Apache-2.0 */
/* map_attend.cu - the autoencoder's attention over all positions, in its linear form: per block of 3 D channels Q, K, V [D, N]
 *
 *   M [D+1, D] = (V over ones) relu(K)^T,   y = M[:D] relu(Q) / (M[D] relu(Q) + 1e-15)
 *
 * which is also the quadratic form, summed in another order. */
#include "kernels/cuda/cuda.cuh"

enum { THREADS = 256, TILE = 64, WIDTH = 64, PER_THREAD = (WIDTH * (WIDTH + 1) + THREADS - 1) / THREADS, PIECES = 32 };

/* Pieces of positions of M, one a block; part [blocks, pieces, D+1, D]. */
static __global__ void
sum_products(float *part, const float *x, int D, int64_t N, int64_t per_piece)
{
	__shared__ float k[WIDTH][TILE + 1], v[WIDTH][TILE + 1];
	const float *kp = x + ((int64_t)blockIdx.x * 3 + 1) * D * N, *vp = kp + D * N;
	int64_t from = blockIdx.y * per_piece, to = from + per_piece < N ? from + per_piece : N;
	float sum[PER_THREAD] = { 0.f };

	for (int64_t p0 = from; p0 < to; p0 += TILE) {
		int n = (int)(to - p0 < TILE ? to - p0 : TILE);
		__syncthreads();
		for (int at = (int)threadIdx.x; at < D * TILE; at += THREADS) {
			int c = at / TILE, p = at % TILE;
			k[c][p] = p < n ? fmaxf(kp[c * N + p0 + p], 0.f) : 0.f;
			v[c][p] = p < n ? vp[c * N + p0 + p] : 0.f;
		}
		__syncthreads();
#pragma unroll
		for (int e = 0; e < PER_THREAD; e++) {
			int at = e * THREADS + (int)threadIdx.x, i = at / D, j = at % D;
			if (at < (D + 1) * D)
				for (int p = 0; p < n; p++)
					sum[e] += (i < D ? v[i][p] : 1.f) * k[j][p];
		}
	}
	part += ((int64_t)blockIdx.x * gridDim.y + blockIdx.y) * (D + 1) * D;
#pragma unroll
	for (int e = 0; e < PER_THREAD; e++) {
		int at = e * THREADS + (int)threadIdx.x;
		if (at < (D + 1) * D)
			part[at] = sum[e];
	}
}

static __global__ void
weigh(float *y, const float *part, const float *x, int D, int64_t N, int pieces)
{
	__shared__ float m[WIDTH * (WIDTH + 1)];
	extern __shared__ float q[];		/* [D][THREADS] */
	int64_t p = (int64_t)blockIdx.y * THREADS + threadIdx.x;
	const float *qp = x + (int64_t)blockIdx.x * 3 * D * N;
	float den = 0.f;

	part += (int64_t)blockIdx.x * pieces * (D + 1) * D;
	for (int at = (int)threadIdx.x; at < (D + 1) * D; at += THREADS) {
		float sum = 0.f;
		for (int i = 0; i < pieces; i++)
			sum += part[i * (D + 1) * D + at];
		m[at] = sum;
	}
	__syncthreads();
	if (p >= N)
		return;
	for (int j = 0; j < D; j++) {
		float a = fmaxf(qp[j * N + p], 0.f);
		q[j * THREADS + threadIdx.x] = a;
		den += m[D * D + j] * a;
	}
	for (int i = 0; i < D; i++) {
		float sum = 0.f;
		for (int j = 0; j < D; j++)
			sum += m[i * D + j] * q[j * THREADS + threadIdx.x];
		y[((int64_t)blockIdx.x * D + i) * N + p] = sum / (den + 1e-15f);
	}
}

extern "C" void
cuda_map_attend(struct dev *d, struct tensor y, struct tensor x, int64_t width)
{
	int64_t N = x.dim[0] ? tensor_count(x) / x.dim[0] : 0, blocks = x.dim[0] / (3 * width), per = (N + PIECES - 1) / PIECES;
	int pieces, D = (int)width;
	size_t bytes = (size_t)width * THREADS * sizeof(float);
	float *part;

	if (N == 0)
		return;
	if (width > WIDTH) {
		d->status = ace_fail(ACE_ECONFIG, "attention heads of %lld channels, a cuda device takes at most %d", (long long)width, WIDTH);
		return;
	}
	per = (per + TILE - 1) / TILE * TILE;
	pieces = (int)cuda_blocks(N, per);
	part = (float *)cuda_scratch(d, (size_t)(blocks * pieces * (width + 1) * width) * sizeof(float));
	if (!part || !cuda_ok(d, cudaFuncSetAttribute(weigh, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes), "map_attend"))
		return;
	dim3 pieces_grid((unsigned)blocks, (unsigned)pieces), grid((unsigned)blocks, cuda_blocks(N, THREADS));
	sum_products<<<pieces_grid, THREADS, 0, cuda_stream(d)>>>(part, cuda_in<float>(x), D, N, per);
	weigh<<<grid, THREADS, bytes, cuda_stream(d)>>>(cuda_out<float>(y), part, cuda_in<float>(x), D, N, pieces);
	cuda_launched(d, "map_attend");
}
