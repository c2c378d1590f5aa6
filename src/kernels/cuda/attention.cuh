/* SPDX-License-Identifier: Apache-2.0 */
/* attention.cuh - the ways that softmax attention takes: tensor cores (heads of 64 or 128), or any type and width */
#ifndef ACE_KERNELS_CUDA_ATTENTION_CUH
#define ACE_KERNELS_CUDA_ATTENTION_CUH

#include <cuda_runtime.h>
#include <stdint.h>

struct attention_sizes {
	int B, T, M, H, w;			/* w: width of a head */
	int64_t ld_q, ld_k, ld_v, ld_o;		/* numbers between rows of q and dq, k and dk, v and dv, o and go */
	float scale;				/* of scores */
};

struct attention_pointers {
	const void *q, *k, *v, *go, *out;	/* out: o as forward gave it */
	void *o, *dq, *dk, *dv;
	float *lse, *delta;			/* [B, T, H] */
	const float *qmask, *kmask;
};

bool attention_half_can(int64_t width);
void attention_half_forward(struct attention_sizes z, cudaStream_t stream, const struct attention_pointers &p);
/* delta [B, T, H] = sum over a head of go o, computed before. Two launches: gradients of keys and values on beside. */
void attention_half_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p);

/* The same on Hopper's own instructions; false: this device, width or alignment is not for it, and nothing was done. */
bool attention_90_can(int arch, int64_t width);
bool attention_90_forward(struct attention_sizes z, int processors, cudaStream_t stream, const struct attention_pointers &p);
bool attention_90_backward(struct attention_sizes z, cudaStream_t stream, cudaStream_t beside, const struct attention_pointers &p);

/* Of f32 numbers on tensor cores; split: nearly to f32, else factors are rounded to TF32. can: of width and alignment. */
bool attention_32_can(const struct attention_sizes &z, const struct attention_pointers &p);
void attention_32_forward(const struct attention_sizes &z, bool split, cudaStream_t stream, const struct attention_pointers &p);
void attention_32_backward(const struct attention_sizes &z, bool split, cudaStream_t stream, cudaStream_t beside,
                           const struct attention_pointers &p);

enum { ATTENTION_WIDEST = 256 };
/* half: everything but masks, lse and delta is bf16, else f32. */
void attention_any_forward(struct attention_sizes z, bool half, cudaStream_t stream, const struct attention_pointers &p);
void attention_any_backward(struct attention_sizes z, bool half, cudaStream_t stream, const struct attention_pointers &p);
void attention_deltas(struct attention_sizes z, bool half, cudaStream_t stream, const struct attention_pointers &p);
#endif
