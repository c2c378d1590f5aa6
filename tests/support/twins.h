/* SPDX-License-Identifier: Apache-2.0 */
/* twins.h - a kernel on the ref, the cpu and the cuda device, with the same inputs
 *
 * A case names a kernel, the tensors it works on and how to call it. All tensors are filled alike on both devices, so what
 * the kernel leaves alone is compared as well. The cpu twin runs with 1, 2 and 3 threads and must give the same bits; the
 * cuda twin runs twice and must give the same bits. A call works on the device's memory: it must not touch t[i].data itself. */
#ifndef ACE_TESTS_SUPPORT_TWINS_H
#define ACE_TESTS_SUPPORT_TWINS_H

#include "dev/dev.h"
#include "num/tensor.h"

#include <stdbool.h>

enum twin_fill {
	TWIN_NORMAL,		/* normal numbers; F32, BF16 and F8; I8: any; I64: any 32 bits */
	TWIN_MASK,		/* 0 or 1, about three quarters ones, F32 */
	TWIN_MASK_BLANK,	/* the same, with the first row all zeros */
	TWIN_POSITIVE,		/* 0.5 .. 1.5 */
	TWIN_INDEX,		/* I32 and U8 below index_below */
	TWIN_FRACTION,		/* 0.05 .. 0.95 */
	TWIN_RISING,		/* a row from -1 to 1, the next from 0 to 1, and so on */
	TWIN_ZERO,
};

struct twin_tensor {
	enum dtype dtype;
	int rank;
	int64_t dim[TENSOR_RANK];
	enum twin_fill fill;
};

enum { TWIN_TENSORS = 16 };

struct twin_case {
	const char *kernel;	/* its name in the list; several cases may have one */
	void (*call)(struct dev *d, struct tensor *t);
	double tol;		/* of the largest entry of a tensor */
	int index_below;
	struct twin_tensor t[TWIN_TENSORS];	/* up to the first of rank 0 */
	/* NULL, or on the cuda device also: words of a letter a tensor, ". as said, h: BF16, s: rows apart, H: both" ("h..."
	 * "hh.."); "!" in front: not as said. */
	const char *also;
};

/* Fails the test, naming kernel, tensor and error, when the twins differ. */
void twins_check(const struct twin_case *c);

/* The same for the cuda twin, which differs by rounding: of F32 by four times the case's tolerance, as its sums have another
 * order; where BF16 is stored, by 2^-6 of the largest entry and 2^-7 of the norm (a few roundings of 2^-9 each). Returns how
 * many variants failed, having said each. d is an open cuda device. Where it rounds factors of products (tf32), variants
 * without BF16 alone are compared, by 2^-8: roundings of 2^-12, in gradients that are what is left of sums some times as large. */
int twins_check_cuda(const struct twin_case *c, struct dev *d);

/* Says so, in TAP, when there is no cuda device; the test then ends with 0 (TAP has said it). */
bool test_without_cuda(void);

/* The cases of one part of the list (list_core.h ...), each kept beside its part. */
struct twin_cases {
	const struct twin_case *c;
	int n;
};
extern const struct twin_cases twins_core, twins_block, twins_codec, twins_pixels, twins_wave, twins_text, twins_lyric,
	twins_train, twins_adapter,
	twins_quant;
#endif
