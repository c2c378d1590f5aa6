/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.h - the list of kernels; tables, prototypes, the dry twin and the twin tests all come from it
 *
 * A line is K(name, twin, arguments): twin is the prefix of what the cpu device runs, `cpu` where it has its own
 * and `ref` where it takes the formula's. Every kernel has ref_NAME, and cuda_NAME in builds with CUDA. Contracts (shapes, dtypes, aliasing) stand
 * beside the lines, in the list_*.h of the part of the product that needs them. */
#ifndef ACE_KERNELS_KERNELS_H
#define ACE_KERNELS_KERNELS_H

#include "dev/dev.h"
#include "kernels/flow_form.h"
#include "num/rng.h"
#include "num/tensor.h"

#include "kernels/list_core.h"
#include "kernels/list_dit.h"
#include "kernels/list_codec.h"
#include "kernels/list_pixels.h"
#include "kernels/list_wave.h"
#include "kernels/list_text.h"
#include "kernels/list_train.h"
#include "kernels/list_adapter.h"
#include "kernels/list_quant.h"

#define KERNELS(K) KERNELS_CORE(K) KERNELS_DIT(K) KERNELS_CODEC(K) KERNELS_TEXT(K) KERNELS_TRAIN(K) KERNELS_ADAPTER(K) \
	KERNELS_QUANT(K) KERNELS_WAVE(K) KERNELS_PIXELS(K)

struct kernels {
#define K(name, twin, args) void(*name) args;
	KERNELS(K)
#undef K
};

#define K(name, twin, args)      \
	void ref_##name args;    \
	void twin##_##name args;
KERNELS(K)
#undef K

#ifdef HAVE_CUDA
#define K(name, twin, args) void cuda_##name args;
KERNELS(K)
#undef K
#endif

/* Give an opened device its kernels, by its kind. */
void kernels_attach(struct dev *d);

/* The list as data, for the tests and ace-inspect. */
struct kernel_info {
	const char *name;
	bool cpu;		/* the cpu device has a twin of its own */
};
const struct kernel_info *kernels_list(int *n);
#endif
