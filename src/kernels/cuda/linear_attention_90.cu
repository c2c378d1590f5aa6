/* SPDX-License-Identifier: Apache-2.0 */
/* Linear attention of bf16 numbers on Hopper's own instructions, in the three steps of linear_attention_half.cu: parts of the frames
 * sum k^T v (backward: q^T go / den as well) and find deltas, the parts are added in their order, tiles of frames are multiplied
 * by the sums. */
#include "kernels/cuda/linear_attention_90_apply.cuh"
#include "kernels/cuda/linear_attention_90_sums.cuh"

namespace {

using namespace linear_90;

/* Scratch: heads of each round, then parts, then what is known of frames. */
template <int W>
size_t
scratch_of(const struct linear_sizes *z, bool backward)
{
	size_t heads = (size_t)z->B * (size_t)z->H, all = (backward ? 2 : 1) * heads;

	return all * (sizeof(struct head<W>) + (size_t)z->splits * sizeof(struct part<W>)) +
	       (backward ? heads * (size_t)z->T * sizeof(float2) : 0);
}

template <int W, bool BACK>
void
run(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p, const struct sum_maps &sum_maps,
    const struct apply_maps &apply_maps)
{
	int heads = z.B * z.H, rounds = BACK ? 2 : 1, tiles = (z.T + TILE - 1) / TILE * heads * (BACK ? 3 : 1);
	struct head<W> *sums = (struct head<W> *)p.scratch;
	struct part<W> *parts = (struct part<W> *)(sums + rounds * heads);
	float2 *frames = (float2 *)(parts + rounds * heads * z.splits);
	dim3 by_part((unsigned)z.splits, (unsigned)heads, (unsigned)rounds);
	dim3 by_four(W * W / 4 / ADD_THREADS, (unsigned)heads, (unsigned)rounds);
	dim3 by_run((unsigned)(tiles < z.processors ? tiles : z.processors));

	cudaFuncSetAttribute(sum_part<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, sum_bytes<W>());
	cudaFuncSetAttribute(apply<W, BACK>, cudaFuncAttributeMaxDynamicSharedMemorySize, apply_bytes<W>());
	sum_part<W><<<by_part, 2 * W, sum_bytes<W>(), stream>>>(z, parts, sum_maps, p.den, frames);
	launch_behind(add_parts<W, BACK>, by_four, ADD_THREADS, 0, stream, z, sums, parts);
	launch_behind(apply<W, BACK>, by_run, APPLY_THREADS, (size_t)apply_bytes<W>(), stream, z, apply_maps, p.den, frames, sums);
}

bool
map_of(CUtensorMap *map, const struct linear_sizes &z, const void *x, int64_t ld)
{
	return hopper::aligned(x, ld) && hopper::map_of(map, x, z.B, z.T, (int64_t)z.H * z.w, ld, TILE);
}

} // namespace

size_t
linear_90_scratch(const struct linear_sizes *z, bool backward)
{
	return z->w == 64 ? scratch_of<64>(z, backward) : scratch_of<128>(z, backward);
}

bool
linear_90_forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	struct sum_maps sums = {};
	struct apply_maps apply = {};

	if (!map_of(&sums.k, z, p.k, z.ld_k) || !map_of(&sums.v, z, p.v, z.ld_v) || !map_of(&apply.a[0], z, p.q, z.ld_q) ||
	    !map_of(&apply.out[0], z, p.o, z.ld_o))
		return false;
	z.w == 64 ? run<64, false>(z, stream, p, sums, apply) : run<128, false>(z, stream, p, sums, apply);
	return true;
}

bool
linear_90_backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	struct sum_maps sums;
	struct apply_maps apply;

	if (!map_of(&sums.k, z, p.k, z.ld_k) || !map_of(&sums.v, z, p.v, z.ld_v) || !map_of(&sums.q, z, p.q, z.ld_q) ||
	    !map_of(&sums.go, z, p.go, z.ld_o) || !map_of(&sums.o, z, p.out, z.ld_o) || !map_of(&apply.out[0], z, p.dq, z.ld_q) ||
	    !map_of(&apply.out[1], z, p.dk, z.ld_k) || !map_of(&apply.out[2], z, p.dv, z.ld_v))
		return false;
	apply.a[0] = sums.go, apply.a[1] = sums.v, apply.a[2] = sums.k;
	z.w == 64 ? run<64, true>(z, stream, p, sums, apply) : run<128, true>(z, stream, p, sums, apply);
	return true;
}
