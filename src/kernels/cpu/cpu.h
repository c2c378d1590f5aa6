/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.h - what the cpu twins share: threads over a fixed split, products by OpenBLAS on one thread each
 *
 * The split of a kernel's work depends on shapes alone, never on the thread count, and every piece is computed by
 * one thread in one order: the same bits whatever the number of threads (style.md section 11). */
#ifndef ACE_KERNELS_CPU_CPU_H
#define ACE_KERNELS_CPU_CPU_H

#include "kernels/kernels.h"

/* Marks a small loop that the compiler builds several times, for the vector units that are found at run time. Results may
 * differ between machines in the last bits, never between runs or thread counts on one. The sanitizers' run-time linking
 * does not know such functions. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__)
#define CPU_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define CPU_CLONES
#endif

/* Called when a cpu device gets its kernels: OpenBLAS works on the calling thread alone, with loops that fit the processor. */
void cpu_start(void);

/* Row-major sgemm with leading dimensions on the calling thread: C[m,n] = alpha op(A) op(B) + beta C. */
void cpu_sgemm1(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                int64_t ldb, float beta, float *c, int64_t ldc);

/* The same on d's threads, C cut into fixed pieces. */
void cpu_sgemm(struct dev *d, bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
               const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* Work space of at least bytes, kept by the device until it is closed; one user at a time. Never returns when memory is
 * out: it sets d->status and returns NULL. */
void *cpu_scratch(struct dev *d, size_t bytes);

/* rng_block (num/rng.h) of CPU_BLOCKS blocks side by side, written so that it vectorises: word w of block first + j at
 * out[w][j]. first is a multiple of CPU_BLOCKS, so that the counter's low word never wraps inside a draw. */
enum { CPU_BLOCKS = 64 };
void cpu_draw(struct rng r, uint64_t first, uint32_t out[4][CPU_BLOCKS]);
#endif
