/* SPDX-License-Identifier: Apache-2.0 */
/* linear_attention.cuh - the ways that linear attention takes: tensor cores (heads of 64 or 128), or any */
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
	const void *q, *k, *v, *go, *out;	/* out: o as forward gave it */
	void *o, *dq, *dk, *dv;
	float *den, *delta;		/* [B, T, H]; delta: sum over a head of go o */
	char *scratch;			/* linear_*_scratch bytes */
};

/* Fills splits, rows and processors. */
void linear_half_plan(struct linear_sizes *z, int processors);
size_t linear_half_scratch(const struct linear_sizes *z, bool backward);
void linear_half_forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p);
void linear_half_backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p);

/* The same on Hopper's own instructions, without delta; false: alignment is not for it, and nothing was done. It can where
 * attention_90_can. */
size_t linear_90_scratch(const struct linear_sizes *z, bool backward);
bool linear_90_forward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p);
bool linear_90_backward(const struct linear_sizes &z, cudaStream_t stream, const struct linear_pointers &p);

/* F32 numbers on tensor cores, where heads are of 64 or 128 and rows are 16-byte aligned; split: nearly to f32, else in TF32. */
bool linear_32_can(const struct linear_sizes &z, const struct linear_pointers &p);
size_t linear_32_scratch(const struct linear_sizes *z, bool backward);
void linear_32_forward(const struct linear_sizes &z, bool split, cudaStream_t stream, const struct linear_pointers &p);
void linear_32_backward(const struct linear_sizes &z, bool split, cudaStream_t stream, const struct linear_pointers &p);

/* half: q, k, v, o, go and what is written are bf16, else f32. */
size_t linear_any_scratch(const struct linear_sizes *z, bool backward);
void linear_any_forward(const struct linear_sizes &z, bool half, cudaStream_t stream, const struct linear_pointers &p);
void linear_any_backward(const struct linear_sizes &z, bool half, cudaStream_t stream, const struct linear_pointers &p);
#endif
