/* SPDX-License-Identifier: Apache-2.0 */
/* Linear attention of bf16 numbers on tensor cores, in three steps: parts of the frames sum k^T v in f32 (backward: q^T go / den
 * as well), the parts are added in their order, tiles of frames are multiplied by the sums. The sums go into the last products
 * as two bf16 numbers each, so that they keep the precision of 16 bits and more (transformer.md section 7 wants f32). */
#include "kernels/cuda/linear_attention_apply.cuh"

namespace {

using namespace linear;

/* Scratch: heads of each side, then parts of each round. */
template <int W>
size_t
scratch_of(const struct linear_sizes *z, bool backward)
{
	size_t heads = (size_t)z->B * (size_t)z->H;

	return heads * ((backward ? 3 : 1) * sizeof(struct head<W>) + (backward ? 2 : 1) * (size_t)z->splits * sizeof(struct part<W>));
}

template <int W, bool BACK>
void
run(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p, const struct apply_sides &what,
    const struct sides &sides)
{
	constexpr int SUM_BYTES = SUM_STAGES * (int)sizeof(struct sum_stage<W>), BYTES = APPLY_STAGES * (int)sizeof(struct apply_stage<W>);
	int heads = z.B * z.H, rounds = BACK ? 2 : 1, tiles = (z.T + TILE - 1) / TILE * heads * what.n;
	struct head<W> *sums = (struct head<W> *)p.scratch;
	struct part<W> *parts = (struct part<W> *)(sums + what.n * heads);
	struct sum_side kv = { (const bf16 *)p.k, (const bf16 *)p.v, z.ld_k, z.ld_v };
	struct sum_side grads = { (const bf16 *)p.q, (const bf16 *)p.go, z.ld_q, z.ld_o };
	dim3 by_part((unsigned)z.splits, (unsigned)heads, (unsigned)rounds);
	dim3 by_side(W * W / 8 / ADD_THREADS, (unsigned)heads, (unsigned)what.n);
	int blocks = tiles < BLOCKS * z.processors ? tiles : BLOCKS * z.processors;

	static_assert(W * W / 8 % ADD_THREADS == 0, "add_parts' threads have a lane's words each");
	cudaFuncSetAttribute(sum_part<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, SUM_BYTES);
	sum_part<W><<<by_part, 2 * W, SUM_BYTES, stream>>>(z, parts, kv, grads, p.den, p.delta);
	add_parts<W><<<by_side, ADD_THREADS, 0, stream>>>(z, sums, parts, sides);
	cudaFuncSetAttribute(apply<W, BACK>, cudaFuncAttributeMaxDynamicSharedMemorySize, BYTES);
	apply<W, BACK><<<(unsigned)blocks, 2 * W, BYTES, stream>>>(z, what, p.den, p.delta, sums);
}

template <int W>
void
forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	struct apply_sides what = { { { OUTPUTS, (const bf16 *)p.q, (bf16 *)p.o, z.ld_q, z.ld_o } }, 1 };

	run<W, false>(z, stream, p, what, { { 0 }, { false } });
}

/* dq = (go KV^T - delta z) / den, dk = v dKV^T + dz, dv = k dKV */
template <int W>
void
backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	struct apply_sides what = { { { QUERIES, (const bf16 *)p.go, (bf16 *)p.dq, z.ld_o, z.ld_q },
		                      { KEYS, (const bf16 *)p.v, (bf16 *)p.dk, z.ld_v, z.ld_k },
		                      { VALUES, (const bf16 *)p.k, (bf16 *)p.dv, z.ld_k, z.ld_v } },
		                    3 };

	run<W, true>(z, stream, p, what, { { 0, 1, 1 }, { true, true, false } });
}

} // namespace

void
linear_half_plan(struct linear_sizes *z, int processors)
{
	int heads = z->B * z->H, tiles = (z->T + TILE - 1) / TILE, want = processors / heads, each;

	want = want < 1 ? 1 : want < tiles ? want : tiles;
	each = (tiles + want - 1) / want;
	z->rows = each * TILE;
	z->splits = (tiles + each - 1) / each;
	z->processors = processors;
}

size_t
linear_half_scratch(const struct linear_sizes *z, bool backward)
{
	return z->w == 64 ? scratch_of<64>(z, backward) : scratch_of<128>(z, backward);
}

void
linear_half_forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	z.w == 64 ? forward<64>(z, stream, p) : forward<128>(z, stream, p);
}

void
linear_half_backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p)
{
	z.w == 64 ? backward<64>(z, stream, p) : backward<128>(z, stream, p);
}
