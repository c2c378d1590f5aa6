/* SPDX-License-Identifier: Apache-2.0 */
/* pixels_mix.cu - a depthwise convolution, then blocks of D channels mixed, in one kernel
 *
 * A thread block makes SIDE x SIDE pixels of one block of channels. Their surroundings lie in shared memory; a thread takes two
 * channels along a row, so that each number it reads counts for K results. What they give is split into two bf16 numbers, and
 * tensor cores mix them: as exact as in F32. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/pixels.cuh"

namespace {

enum { SIDE = 16 };

template <int D, int K>
struct sizes {
	static const int PAIRS = D / 2, THREADS = PAIRS * SIDE, AROUND = SIDE + K - 1;
	static const int ROW = (AROUND + 1) * PAIRS;	/* words of a row of pixels: rows fall into different banks */
	static const int LINE = PAIRS + 4;		/* words of a pixel of what was split: pixels do as well */
	static const int NEAR = AROUND * ROW * 4, SPLIT = 2 * SIDE * SIDE * LINE * 4, BYTES = NEAR > SPLIT ? NEAR : SPLIT;
};

/* The pixels around to shared memory, zeros beyond the map. */
template <int D, int K>
__device__ __forceinline__ void
fetch(uint32_t to, const bf16 *x, int h0, int v0, int H, int W, int64_t ldx)
{
	typedef sizes<D, K> z;
	constexpr int CHUNKS = D / 8, ALL = z::AROUND * z::AROUND * CHUNKS;

	for (int at = (int)threadIdx.x; at < ALL; at += z::THREADS) {
		int chunk = at % CHUNKS, u = at / CHUNKS % z::AROUND, r = at / CHUNKS / z::AROUND, h = h0 + r - K / 2, v = v0 + u - K / 2;
		bool in = h >= 0 && h < H && v >= 0 && v < W;
		mma::fetch16(to + (uint32_t)((r * z::ROW + u * z::PAIRS) * 4 + chunk * 16), x + (in ? ((int64_t)h * W + v) * ldx + chunk * 8 : 0), in);
	}
	mma::fetch_commit();
}

/* Two channels of SIDE pixels of a row. */
template <int D, int K>
__device__ __forceinline__ void
slide(float2 (&sum)[SIDE], const uint32_t *near, const bf16 *w, int C)
{
	typedef sizes<D, K> z;
	float2 wt[K * K];

#pragma unroll
	for (int t = 0; t < K * K; t++)
		wt[t] = pair(w + (int64_t)t * C);
	mma::fetch_wait<0>();
	__syncthreads();
#pragma unroll
	for (int o = 0; o < SIDE; o++)
		sum[o] = make_float2(0.f, 0.f);
#pragma unroll
	for (int u = 0; u < z::AROUND; u++)
#pragma unroll
		for (int i = 0; i < K; i++) {
			float a, b;
			unpack_bf16(near[i * z::ROW + u * z::PAIRS], a, b);
#pragma unroll
			for (int j = 0; j < K; j++) {
				int o = u - j;
				if (o < 0 || o >= SIDE)
					continue;
				sum[o].x += wt[i * K + j].x * a;
				sum[o].y += wt[i * K + j].y * b;
			}
		}
}

/* Sixteen pixels of what was split, mixed by m [D, D]; packed over the first of the two. */
template <int D>
__device__ __forceinline__ void
blend(uint32_t *hi, const uint32_t *lo, const uint32_t (&m)[D / 8][(D + 15) / 16][2], int lane)
{
	constexpr int LINE = D / 2 + 4, STEPS = (D + 15) / 16;
	int g = lane / 4, q = lane % 4;
	float acc[D / 8][4] = {};

#pragma unroll
	for (int s = 0; s < STEPS; s++) {
		uint32_t a[2][4];
#pragma unroll
		for (int half = 0; half < 2; half++) {
			const uint32_t *from = (half ? lo : hi) + 8 * s + q;
			a[half][0] = from[g * LINE];
			a[half][1] = from[(g + 8) * LINE];
			a[half][2] = D > 8 ? from[g * LINE + 4] : 0u;
			a[half][3] = D > 8 ? from[(g + 8) * LINE + 4] : 0u;
		}
#pragma unroll
		for (int n = 0; n < D / 8; n++) {
			mma::product(acc[n], a[1], m[n][s][0], m[n][s][1]);
			mma::product(acc[n], a[0], m[n][s][0], m[n][s][1]);
		}
	}
	__syncwarp();
#pragma unroll
	for (int n = 0; n < D / 8; n++) {
		hi[g * LINE + 4 * n + q] = pack_bf16(acc[n][0], acc[n][1]);
		hi[(g + 8) * LINE + 4 * n + q] = pack_bf16(acc[n][2], acc[n][3]);
	}
	__syncwarp();
}

template <int D, int K>
__global__ void __launch_bounds__(D / 2 * SIDE)
mix(bf16 *y, const bf16 *x, const bf16 *w, const bf16 *m, int H, int W, int C, int64_t ldx, int64_t ldy)
{
	typedef sizes<D, K> z;
	extern __shared__ __align__(16) uint32_t space[];
	uint32_t *hi = space, *lo = space + SIDE * SIDE * z::LINE;
	int first = (int)blockIdx.z * D, h0 = (int)blockIdx.y * SIDE, v0 = (int)blockIdx.x * SIDE;
	int c = (int)threadIdx.x % z::PAIRS, row = (int)threadIdx.x / z::PAIRS, lane = (int)threadIdx.x % 32;
	uint32_t by[D / 8][(D + 15) / 16][2];
	float2 sum[SIDE];

	fetch<D, K>(mma::shared(space), x + first, h0, v0, H, W, ldx);
	slide<D, K>(sum, space + row * z::ROW + c, w + first + 2 * c, C);
	__syncthreads();		/* all have read what is now written over */
#pragma unroll
	for (int o = 0; o < SIDE; o++)
		split_bf16(sum[o].x, sum[o].y, hi[(row * SIDE + o) * z::LINE + c], lo[(row * SIDE + o) * z::LINE + c]);
#pragma unroll
	for (int n = 0; n < D / 8; n++)
#pragma unroll
		for (int s = 0; s < (D + 15) / 16; s++) {
			const bf16 *from = m + (int64_t)(first + 8 * n + lane / 4) * D + 16 * s + 2 * (lane % 4);
			by[n][s][0] = *reinterpret_cast<const uint32_t *>(from);
			by[n][s][1] = D > 8 ? *reinterpret_cast<const uint32_t *>(from + 8) : 0u;
		}
	__syncthreads();
	for (int r = (int)threadIdx.x / 32; r < SIDE && h0 + r < H; r += z::THREADS / 32) {
		blend<D>(hi + r * SIDE * z::LINE, lo + r * SIDE * z::LINE, by, lane);
		for (int at = lane; at < SIDE * D / 8; at += 32) {
			int o = at / (D / 8), chunk = at % (D / 8);
			if (v0 + o < W)
				*reinterpret_cast<uint4 *>(y + ((int64_t)(h0 + r) * W + v0 + o) * ldy + first + 8 * chunk) =
					*reinterpret_cast<const uint4 *>(hi + (r * SIDE + o) * z::LINE + 4 * chunk);
		}
	}
}

template <int D, int K>
void
launch(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m)
{
	typedef sizes<D, K> z;
	int H = (int)x.dim[0], W = (int)x.dim[1], C = (int)x.dim[2];
	dim3 grid(cuda_blocks(W, SIDE), cuda_blocks(H, SIDE), (unsigned)(C / D));

	if (cuda_ok(d, cudaFuncSetAttribute(mix<D, K>, cudaFuncAttributeMaxDynamicSharedMemorySize, z::BYTES), "pix_mix"))
		mix<D, K><<<grid, z::THREADS, z::BYTES, cuda_stream(d)>>>(cuda_out<bf16>(y), cuda_in<bf16>(x), cuda_in<bf16>(w),
		                                                        cuda_in<bf16>(m), H, W, C, tensor_ld(x), tensor_ld(y));
}

} // namespace

extern "C" void
cuda_pix_mix(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor m)
{
	assert(cuda_by8(x) && cuda_by8(y));
	if (tensor_count(x) && w.dim[0] == 3)
		WITH_WIDTH(d, m.dim[1], D, launch<D, 3>(d, y, x, w, m));
	else if (tensor_count(x))
		WITH_WIDTH(d, m.dim[1], D, launch<D, 5>(d, y, x, w, m));
	cuda_launched(d, "pix_mix");
}
