/* SPDX-License-Identifier: Apache-2.0 */
/* relative_attention.cuh - the ways of the lyric encoder's attention: tensor cores (heads of 64, bf16 or F32), or any */
#ifndef ACE_KERNELS_CUDA_RELATIVE_ATTENTION_CUH
#define ACE_KERNELS_CUDA_RELATIVE_ATTENTION_CUH

#include <cuda_runtime.h>
#include <stdint.h>

struct relative_sizes {
	int B, Y, H, e;				/* e: width of a head */
	int64_t ld_q, ld_k, ld_v, ld_o, ld_p;	/* numbers between rows of q and dq, k and dk, v and dv, o and go, p */
	float scale;
};

struct relative_pointers {
	const void *q, *k, *v, *p, *go;
	void *o, *dq, *dk, *dv;
	const float *mask, *bu, *bv;		/* [B, Y], [H, e] x 2 */
	float *lse, *delta;			/* [B, Y, H] */
	void *qu, *qv;				/* scratch [B, Y, H e]: q + bu, q + bv (bf16 on tensor cores only) */
	float *content, *position;		/* scratch [B, Y, H e]: dq's two parts, or NULL: not wanted */
	float *ds;				/* scratch [B H, Y, Y]: gradients of scores, or NULL: not wanted */
};

void relative_half_forward(const struct relative_sizes &z, cudaStream_t stream, const struct relative_pointers &p);
/* Two launches: gradients of keys and values on beside. */
void relative_half_backward(const struct relative_sizes &z, cudaStream_t stream, cudaStream_t beside, const struct relative_pointers &p);

/* F32 numbers in TF32, split: of two such each, which is near F32's own exactness. Rows and their distances are to be multiples of
 * 16 bytes. */
bool relative_32_can(const struct relative_sizes &z, const struct relative_pointers &p);
void relative_32_forward(const struct relative_sizes &z, bool split, cudaStream_t stream, const struct relative_pointers &p);
void relative_32_backward(const struct relative_sizes &z, bool split, cudaStream_t stream, cudaStream_t beside,
                          const struct relative_pointers &p);
/* dp, rows ld apart, of F32 or bf16 (half), += from p.ds and p.q, F32 or bf16 (half_q: never split). false: width or alignment is
 * not for it, and nothing was done. */
bool relative_32_positions(const struct relative_sizes &z, bool half_q, bool split, cudaStream_t stream, void *dp, int64_t ld,
                           bool half, const struct relative_pointers &p);

/* half: q, k, v, p, o, go and what is written are bf16, else f32. */
void relative_any_forward(const struct relative_sizes &z, bool half, cudaStream_t stream, const struct relative_pointers &p);
void relative_any_backward(const struct relative_sizes &z, bool half, cudaStream_t stream, const struct relative_pointers &p);
#endif
