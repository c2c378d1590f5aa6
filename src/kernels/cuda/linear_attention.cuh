/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention.cuh - the two ways that linear attention takes: tensor cores (bf16, heads of 64 or 128), or any */
#ifndef ACE_KERNELS_CUDA_LINEAR_ATTENTION_CUH
#define ACE_KERNELS_CUDA_LINEAR_ATTENTION_CUH

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

struct linear_sizes {
	int B, T, H, w;			/* w: width of a head */
	int64_t ld_q, ld_k, ld_v, ld_o;	/* numbers between rows of q and dq, k and dk, v and dv, o and go */
	int splits, rows;		/* of the frames for the sums: parts, frames a part */
	int processors;			/* multiprocessors */
};

struct linear_pointers {
	const void *q, *k, *v, *go;
	void *o, *dq, *dk, *dv;
	float *den, *delta;		/* [B, T, H]; delta: sum over a head of go o */
	char *scratch;			/* linear_*_scratch bytes */
};

/* Fills splits, rows and processors. */
void linear_half_plan(struct linear_sizes *z, int processors);
size_t linear_half_scratch(const struct linear_sizes *z, bool backward);
void linear_half_forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p);
void linear_half_backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p);

/* half: q, k, v, o, go and what is written are bf16, else f32. */
size_t linear_any_scratch(const struct linear_sizes *z, bool backward);
void linear_any_forward(const struct linear_sizes &z, bool half, cudaStream_t stream, const struct linear_pointers &p);
void linear_any_backward(const struct linear_sizes &z, bool half, cudaStream_t stream, const struct linear_pointers &p);
#endif
