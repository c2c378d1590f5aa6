/* SPDX-License-Identifier: Apache-2.0 */
/* twins.h - a kernel on the ref and on the cpu device, with the same inputs
 *
 * A case names a kernel, the tensors it works on and how to call it. All tensors are filled alike on both devices, so what
 * the kernel leaves alone is compared as well. The cpu twin runs with 1, 2 and 3 threads and must give the same bits. */
#ifndef ACE_TESTS_SUPPORT_TWINS_H
#define ACE_TESTS_SUPPORT_TWINS_H

#include "dev/dev.h"
#include "num/tensor.h"

enum twin_fill {
	TWIN_NORMAL,		/* normal numbers; F32 and BF16 */
	TWIN_MASK,		/* 0 or 1, about three quarters ones, F32 */
	TWIN_POSITIVE,		/* 0.5 .. 1.5 */
	TWIN_INDEX,		/* I32 below index_below */
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
};

/* Fails the test, naming kernel, tensor and error, when the twins differ. */
void twins_check(const struct twin_case *c);

/* The cases of one part of the list (list_core.h ...), each kept beside its part. */
struct twin_cases {
	const struct twin_case *c;
	int n;
};
extern const struct twin_cases twins_core, twins_block, twins_codec, twins_text, twins_lyric;
#endif
