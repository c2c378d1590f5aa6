/* SPDX-License-Identifier: Apache-2.0 */
/* Linear attention of bf16 numbers on Hopper's own instructions, in two steps: heads' sums k^T v (backward: q^T go / den as well, and
 * deltas), tiles of frames are multiplied by the sums. */
#include "kernels/cuda/linear_attention_90_apply.cuh"
#include "kernels/cuda/linear_attention_90_sums.cuh"

namespace {

using namespace linear_90;

/* Scratch: heads of each round, then what is known of frames. */
template <int W>
size_t
scratch_of(const struct linear_sizes *z, bool backward)
{
	size_t heads = (size_t)z->B * (size_t)z->H;

	return (backward ? 2 : 1) * heads * sizeof(struct head<W>) + (backward ? heads * (size_t)z->T * sizeof(float2) : 0);
}

struct launch_how {
	cudaLaunchConfig_t c;
	cudaLaunchAttribute a;
};

template <class... P>
void
prepare(struct launch_how *l, void (*kernel)(P...), dim3 blocks, int threads, int bytes, cudaStream_t stream)
{
	*l = {};
	l->c.gridDim = blocks, l->c.blockDim = dim3((unsigned)threads), l->c.dynamicSmemBytes = (size_t)bytes, l->c.stream = stream;
	l->c.attrs = &l->a, l->c.numAttrs = 1;
	cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

/* Parts of the frames, blocks of a cluster: no more than are all at work at once. */
template <int W, bool BACK>
int
parts_of(const struct linear_sizes &z, int heads, int rounds)
{
	int tiles = (z.T + TILE - 1) / TILE, parts = z.processors / heads, most = 0;
	struct launch_how l;

	parts = parts < MOST_PARTS ? parts : MOST_PARTS;
	parts = parts < tiles ? parts : tiles;
	for (; parts > 1; parts--) {
		prepare(&l, sum_heads<W, BACK>, dim3((unsigned)parts, (unsigned)heads, (unsigned)rounds), 2 * W, sum_bytes<W, BACK>(), 0);
		l.a.id = cudaLaunchAttributeClusterDimension;
		l.a.val.clusterDim.x = (unsigned)parts, l.a.val.clusterDim.y = l.a.val.clusterDim.z = 1;
		if (cudaOccupancyMaxActiveClusters(&most, sum_heads<W, BACK>, &l.c) == cudaSuccess && most >= heads * rounds)
			return parts;
		cudaGetLastError();	/* no such clusters here */
	}
	return 1;
}

template <int W, bool BACK>
void
run(struct linear_sizes z, cudaStream_t stream, const struct linear_pointers &p, const struct sum_maps &sum_maps,
    const struct apply_maps &apply_maps)
{
	int heads = z.B * z.H, rounds = BACK ? 2 : 1, tiles = (z.T + TILE - 1) / TILE * heads * (BACK ? 3 : 1);
	struct head<W> *sums = (struct head<W> *)p.scratch;
	float2 *frames = (float2 *)(sums + rounds * heads);
	struct launch_how l;

	z.splits = parts_of<W, BACK>(z, heads, rounds);
	prepare(&l, sum_heads<W, BACK>, dim3((unsigned)z.splits, (unsigned)heads, (unsigned)rounds), 2 * W, sum_bytes<W, BACK>(), stream);
	l.a.id = cudaLaunchAttributeClusterDimension;
	l.a.val.clusterDim.x = (unsigned)z.splits, l.a.val.clusterDim.y = l.a.val.clusterDim.z = 1;
	cudaLaunchKernelEx(&l.c, sum_heads<W, BACK>, z, sums, sum_maps, (const float *)p.den, frames);
	prepare(&l, apply<W, BACK>, dim3((unsigned)(tiles < z.processors ? tiles : z.processors)), APPLY_THREADS, apply_bytes<W>(), stream);
	l.a.id = cudaLaunchAttributeProgrammaticStreamSerialization;
	l.a.val.programmaticStreamSerializationAllowed = 1;
	cudaLaunchKernelEx(&l.c, apply<W, BACK>, z, apply_maps, p.den, (const float2 *)frames, (const struct head<W> *)sums);
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
