/* SPDX-License-Identifier: Apache-2.0 */
/* pixels_conv_90.cu - convolutions of pixels on Hopper's own instructions
 *
 * A tile is a rectangle of pixels by 128 outputs. For each tap of the window and each 64 channels the copy engine brings the same
 * rectangle, shifted, which it fills with zeros beyond the map, and the weights; a group of four warps multiplies 128 pixels of it.
 * Blocks stay and take one tile after the other, so that the first steps of a tile arrive while the one before is being written. */
#include "kernels/cuda/pixels_conv.cuh"
#include "kernels/cuda/tensor_map.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace {

/* GROUPS of four warps; STAGES tiles on their way; bytes of 64 rows of a tile, of a stage, of sixteen pixels' results. */
enum { GROUPS = 2, STAGES = 4, THREADS = 128 * (GROUPS + 1), ACROSS = 16, DOWN = 8 * GROUPS, OUTS = 128, DEEP = 64 };
enum { ROW = 2 * DEEP, HALF = 64 * ROW, LEFT = 2 * HALF * GROUPS, STAGE = LEFT + OUTS * ROW, LINE = 16 * OUTS * 2 };
enum { BYTES = STAGES * STAGE + 4 * GROUPS * LINE + 16 * STAGES };

struct tiles {
	int down, outs, all;		/* of a column of pixels, of the outputs */
	int steps, chunks, H_out;	/* chunks of DEEP channels */
};

/* The corner of tile t and its first output. */
[[maybe_unused]] __device__ __forceinline__ void
find(int t, const struct tiles &z, int &h, int &v, int &n)
{
	int p = t / z.outs;

	n = t % z.outs * OUTS;
	h = p % z.down * DOWN;
	v = p / z.down * ACROSS;
}

[[maybe_unused]] __global__ void __launch_bounds__(THREADS, 1)
convolve(const __grid_constant__ CUtensorMap mx, const __grid_constant__ CUtensorMap mw, const __grid_constant__ struct pixels_conv s,
         const struct tiles z, bf16 *y)
{
#if HOPPER
	extern __shared__ __align__(1024) unsigned char memory[];
	uint32_t base = mma::shared(memory), full = base + STAGES * STAGE + 4 * GROUPS * LINE, empty = full + 8 * STAGES;
	int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, h, v, n, at = 0, phase = 0;

	if (threadIdx.x == 0) {
		if (base & 1023)
			__trap();		/* swizzled tiles begin where their pattern does */
		for (int i = 0; i < STAGES; i++) {
			wg::barrier_init(full + 8 * i, 1);
			wg::barrier_init(empty + 8 * i, 4 * GROUPS);
		}
	}
	wg::barriers_ready();
	if (warp >= 4 * GROUPS) {
		wg::fewer_registers<40>();
		if (threadIdx.x != 128 * GROUPS)
			return;
		for (int t = (int)blockIdx.x; t < z.all; t += (int)gridDim.x) {
			find(t, z, h, v, n);
			for (int tap = 0; tap < s.k * s.k; tap++)
				for (int c = 0; c < z.chunks; c++) {
					uint32_t to = base + at * STAGE;
					wg::barrier_wait(empty + 8 * at, phase ^ 1);
					wg::barrier_expect(full + 8 * at, STAGE);
					wg::fetch(to, &mx, c * DEEP, v * s.stride + tap % s.k - s.k / 2, h * s.stride + tap / s.k - s.k / 2, full + 8 * at);
					wg::fetch(to + LEFT, &mw, tap * s.I + c * DEEP, n, 0, full + 8 * at);
					if (++at == STAGES)
						at = 0, phase ^= 1;
				}
		}
		return;
	}
	wg::more_registers<232>();
	int group = warp / 4;
	uint32_t *own = reinterpret_cast<uint32_t *>(memory + STAGES * STAGE + warp * LINE);
	float acc[2][16][4];

	for (int t = (int)blockIdx.x; t < z.all; t += (int)gridDim.x) {
		int before = 0;
		for (int step = 0; step < z.steps; step++) {
			uint32_t a = base + at * STAGE + group * 2 * HALF, b = base + at * STAGE + LEFT;
			wg::barrier_wait(full + 8 * at, phase);
			wg::hold(acc[0]);
			wg::hold(acc[1]);
			wg::begin();
#pragma unroll
			for (int k = 0; k < DEEP / 16; k++) {
				wg::product(acc[0], wg::along(a + 32 * k), wg::along(b + 32 * k), step + k > 0);
				wg::product(acc[1], wg::along(a + HALF + 32 * k), wg::along(b + 32 * k), step + k > 0);
			}
			wg::commit();
			if (step) {		/* the step before has been read */
				wg::wait<1>();
				if (lane == 0)
					wg::barrier_arrive(empty + 8 * before);
			}
			before = at;
			if (++at == STAGES)
				at = 0, phase ^= 1;
		}
		wg::wait<0>();
		wg::hold(acc[0]);
		wg::hold(acc[1]);
		if (lane == 0)
			wg::barrier_arrive(empty + 8 * before);
		find(t, z, h, v, n);
#pragma unroll
		for (int i = 0; i < 2; i++) {
			int row = h + 8 * group + 4 * i + warp % 4;
			pixels_put(y + ((int64_t)row * s.W_out + v) * s.ldy, s, own, acc[i], row < z.H_out ? s.W_out - v : 0, n, lane);
		}
	}
#endif
}

/* --- launching --- */

/* x [H, W, I] brought as rectangles of every stride-th pixel; w [O, k k I] as OUTS rows; DEEP columns of either. */
[[maybe_unused]] bool
maps_of(CUtensorMap *x, CUtensorMap *w, const struct pixels_conv &s)
{
	cuuint64_t K = (cuuint64_t)s.k * s.k * s.I, dim[3] = { (cuuint64_t)s.I, (cuuint64_t)s.W, (cuuint64_t)s.H };
	cuuint64_t apart[2] = { dim[0] * 2, dim[0] * dim[1] * 2 };
	cuuint64_t wdim[3] = { K, (cuuint64_t)s.O, 1 }, wapart[2] = { K * 2, K * 2 * (cuuint64_t)s.O };
	cuuint32_t by = (cuuint32_t)s.stride, box[3] = { DEEP, ACROSS * by, DOWN * by }, step[3] = { 1, by, by };
	cuuint32_t wbox[3] = { DEEP, OUTS, 1 }, one[3] = { 1, 1, 1 };
	tensor_map_encode encode = tensor_map_encoder();

	return encode(x, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void *)s.x, dim, apart, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
	              CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS &&
	       encode(w, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void *)s.w, wdim, wapart, wbox, one, CU_TENSOR_MAP_INTERLEAVE_NONE,
	              CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

} // namespace

bool
pixels_conv_90(struct dev *d, const struct pixels_conv &s, bf16 *y)
{
#ifdef ACE_CUDA_90A
	int H_out = (int)(s.P / s.W_out), down = (H_out + DOWN - 1) / DOWN, across = (s.W_out + ACROSS - 1) / ACROSS;
	int outs = (s.O + OUTS - 1) / OUTS, chunks = s.I / DEEP;
	struct tiles z = { down, outs, down * across * outs, s.k * s.k * chunks, chunks, H_out };
	CUtensorMap x, w;

	if (d->cuda->arch != 90 || s.I % DEEP || s.O % 8 || s.ldy % 8 || (uintptr_t)y % 16 || s.stride > 8 || !tensor_map_encoder() ||
	    !maps_of(&x, &w, s))
		return false;
	if (cuda_ok(d, cudaFuncSetAttribute(convolve, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES), "pix_conv"))
		convolve<<<(unsigned)(z.all < d->cuda->processors ? z.all : d->cuda->processors), THREADS, BYTES, cuda_stream(d)>>>(x, w, s, z, y);
	cuda_launched(d, "pix_conv");
	return true;
#else
	(void)d, (void)s, (void)y;
	return false;
#endif
}
