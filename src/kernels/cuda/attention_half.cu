/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax attention of bf16 numbers with heads of 64 or 128, by the products that all tensor cores have. */
#include "kernels/cuda/attention_warps.cuh"

namespace {

template <int WIDTH>
struct half_way {
	using number = bf16;
	enum { W = WIDTH, BYTES = 2, FORWARD = 64, BACKWARD = 64 };

	template <int N>
	static __device__ __forceinline__ void
	fetch(uint32_t tile, const bf16 *from, int64_t ld, int rows)
	{
		mma::fetch_tile<W, N, flash::THREADS>(tile, from, ld, rows);
	}

	template <int N>
	static __device__ __forceinline__ void
	scores(float (&s)[N / 8][4], uint32_t a, uint32_t b, int row, int lane)
	{
		flash::scores<W>(s, a, b, row, lane);
	}

	template <int N>
	static __device__ __forceinline__ void
	accumulate(float (&acc)[W / 8][4], const float (&p)[N / 8][4], uint32_t tile, int lane)
	{
		flash::accumulate<W>(acc, p, tile, lane);
	}

	static __device__ __forceinline__ void
	store(bf16 *to, const float (&acc)[W / 8][4], int r, float factor, int lane)
	{
#pragma unroll
		for (int j = 0; j < W / 8; j++)
			*reinterpret_cast<uint32_t *>(to + 8 * j + 2 * (lane & 3)) = pack_bf16(acc[j][2 * r] * factor, acc[j][2 * r + 1] * factor);
	}
};

} // namespace

bool
attention_half_can(int64_t width)
{
	return width == 64 || width == 128;
}

void
attention_half_forward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p)
{
	using namespace attention_warps;

	z.w == 64 ? launch_forward<half_way<64>>(z, stream, p) : launch_forward<half_way<128>>(z, stream, p);
}

void
attention_half_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p)
{
	using namespace attention_warps;

	z.w == 64 ? launch_backward<half_way<64>>(z, stream, beside, p) : launch_backward<half_way<128>>(z, stream, beside, p);
}
