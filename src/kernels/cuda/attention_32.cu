/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention of f32 numbers with heads of 64 or 128, by products in TF32 or of numbers split in two of it. */
#include "kernels/cuda/attention_warps.cuh"
#include "kernels/cuda/mma32.cuh"

namespace {

/* Steps of so many rows that a block's tiles fit where a multiprocessor has 100 KB. */
template <int WIDTH, bool SPLIT>
struct f32_way {
	using number = float;
	enum { W = WIDTH, BYTES = 4, FORWARD = 32, BACKWARD = WIDTH == 64 ? 32 : 16 };

	template <int N>
	static __device__ __forceinline__ void
	fetch(uint32_t tile, const float *from, int64_t ld, int rows)
	{
		mma32::fetch_tile<W, N, flash::THREADS>(tile, from, ld, rows);
	}

	template <int N>
	static __device__ __forceinline__ void
	scores(float (&s)[N / 8][4], uint32_t a, uint32_t b, int row, int lane)
	{
		flash::clear<N>(s);
#pragma unroll
		for (int k = 0; k < W / 8; k++) {
			mma32::left_factor<SPLIT> l = mma32::left<W, SPLIT>(a, row, k, lane);
#pragma unroll
			for (int j = 0; j < N / 16; j++) {
				mma32::right_factor<SPLIT> r[2];
				mma32::right<W>(r, b, 16 * j, k, lane);
				mma32::product(s[2 * j], l, r[0]);
				mma32::product(s[2 * j + 1], l, r[1]);
			}
		}
	}

	template <int N>
	static __device__ __forceinline__ void
	accumulate(float (&acc)[W / 8][4], const float (&p)[N / 8][4], uint32_t tile, int lane)
	{
		mma32::left_factor<SPLIT> l[N / 8];

#pragma unroll
		for (int k = 0; k < N / 8; k++)
			l[k] = mma32::left_of<SPLIT>(p[k]);
#pragma unroll
		for (int j = 0; j < W / 16; j++) {
			float part[2][4] = {};		/* products cut their sums: long ones are added up in f32 where they are to be exact */
#pragma unroll
			for (int k = 0; k < N / 8; k++) {
				mma32::right_factor<SPLIT> r[2];
				mma32::right_across_pair<W>(r, tile, j, k, lane);
				mma32::product(SPLIT ? part[0] : acc[2 * j], l[k], r[0]);
				mma32::product(SPLIT ? part[1] : acc[2 * j + 1], l[k], r[1]);
			}
			if (SPLIT)
#pragma unroll
				for (int i = 0; i < 8; i++)
					acc[2 * j + i / 4][i % 4] += part[i / 4][i % 4];
		}
	}

	static __device__ __forceinline__ void
	store(float *to, const float (&acc)[W / 8][4], int r, float factor, int lane)
	{
#pragma unroll
		for (int j = 0; j < W / 16; j++)
			*reinterpret_cast<float4 *>(to + 16 * j + 4 * (lane & 3)) =
				make_float4(acc[2 * j][2 * r] * factor, acc[2 * j + 1][2 * r] * factor, acc[2 * j][2 * r + 1] * factor,
			                    acc[2 * j + 1][2 * r + 1] * factor);
	}
};

template <int W>
void
run_forward(const struct attention_sizes &z, bool split, cudaStream_t stream, const struct attention_pointers &p)
{
	using namespace attention_warps;

	split ? launch_forward<f32_way<W, true>>(z, stream, p) : launch_forward<f32_way<W, false>>(z, stream, p);
}

template <int W>
void
run_backward(const struct attention_sizes &z, bool split, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	using namespace attention_warps;

	split ? launch_backward<f32_way<W, true>>(z, stream, beside, p) : launch_backward<f32_way<W, false>>(z, stream, beside, p);
}

} // namespace

bool
attention_32_can(const struct attention_sizes &z, const struct attention_pointers &p)
{
	uintptr_t places = (uintptr_t)p.q | (uintptr_t)p.k | (uintptr_t)p.v | (uintptr_t)p.o | (uintptr_t)p.go | (uintptr_t)p.dq |
	                   (uintptr_t)p.dk | (uintptr_t)p.dv;

	return (z.w == 64 || z.w == 128) && (z.ld_q | z.ld_k | z.ld_v | z.ld_o) % 4 == 0 && places % 16 == 0;
}

void
attention_32_forward(const struct attention_sizes &z, bool split, cudaStream_t stream, const struct attention_pointers &p)
{
	z.w == 64 ? run_forward<64>(z, split, stream, p) : run_forward<128>(z, split, stream, p);
}

void
attention_32_backward(const struct attention_sizes &z, bool split, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	z.w == 64 ? run_backward<64>(z, split, stream, beside, p) : run_backward<128>(z, split, stream, beside, p);
}
