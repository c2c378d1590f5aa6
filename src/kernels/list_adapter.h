/* SPDX-License-Identifier: Apache-2.0 */
/* list_adapter.h - kernels of low-rank adapters that lie beside their weights (layers/linears.h)
 *
 * A few modules share an input x [N, in] and write side by side: y [N, out], out = sum of their outs. Their ranks, padded to
 * multiples of 8, lie side by side as well: h and dh [N, R], a [R, in]. Activations and a, bt are BF16, gradients F32. */
#ifndef ACE_KERNELS_LIST_ADAPTER_H
#define ACE_KERNELS_LIST_ADAPTER_H

#include "num/rng.h"
#include "num/tensor.h"

#include <stdbool.h>

enum { ADAPTERS = 3 };

struct adapters {
	int n;
	int64_t rank[ADAPTERS];		/* of each module */
	int64_t out[ADAPTERS];		/* its outputs */
	float scale[ADAPTERS];		/* s */
	float p;			/* of dropping an element of x for a module; 0: none is drawn */
	struct rng stream[ADAPTERS];	/* of each module's drops: number i of it for element i of x, counted without gaps */
};

static inline int64_t
adapter_width(int64_t rank)
{
	return (rank + 7) / 8 * 8;
}

/* Whether a cuda device makes these by wide products: all ranks are at least $ACE_WIDE_ADAPTERS, which is asked for once (0: never;
 * not set: 64). The dry device asks too, as dropping then takes work space. */
bool adapters_are_wide(const struct adapters *m);

/* One module of adapters_spread. Pointers into device memory. */
struct adapter_place {
	const float *a, *b;		/* A [rank, in], at a multiple of 16 bytes; B [out, rank] */
	uint16_t *rows;			/* where A goes, BF16, rows ld apart, padding rows as zeros */
	uint16_t *columns;		/* where s B goes, BF16, rows ld_columns apart, padding columns as zeros */
	uint16_t *across;		/* where s B^T goes, BF16 [width, out], padding rows as zeros */
	int64_t in, out, rank, ld, ld_columns;
	float scale;
};

/* adapters_spread: A and s B of n modules to their places; table: n of struct adapter_place in device memory, whose largest
 *   in or out is most.
 * adapters_down: h = drop(x) a^T, module by module.
 * adapters_back: dh = dy (s B), module by module, from bt: the modules' s B^T one behind the other.
 * adapters_grads: da[m] [rank, in] += dh^T drop(x), db[m] [out, rank] += s dy^T h, where their rank is not 0.
 * adapters_dx: dx += sum over modules of drop(dh a): only with drops; dx F32 or BF16. */
#define KERNELS_ADAPTER(K)                                                                                                    \
	K(adapters_spread, ref, (struct dev * d, struct tensor table, int64_t n, int64_t most))                               \
	K(adapters_down, ref, (struct dev * d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m)) \
	K(adapters_back, ref, (struct dev * d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m)) \
	K(adapters_grads, ref, (struct dev * d, const struct tensor *da, const struct tensor *db, struct tensor dh,           \
	                        struct tensor h, struct tensor x, struct tensor dy, const struct adapters *m))                \
	K(adapters_dx, ref, (struct dev * d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m))
#endif
