/* SPDX-License-Identifier: Apache-2.0 */
/* ctx.h - what a layer gets besides its own fields, and what a parameter is (layout.md section 4) */
#ifndef ACE_LAYERS_CTX_H
#define ACE_LAYERS_CTX_H

#include "dev/dev.h"
#include "num/arena.h"
#include "num/rng.h"

#include <stdbool.h>

struct ctx {
	struct dev *dev;
	struct arena *act;	/* saved for backward; scratch above a mark */
	struct rng rng;		/* the step's stream; a layer draws from rng_sub(rng, its number) */
	bool training;		/* false: forward saves nothing and drops nothing */
};

struct param {
	const char *name;	/* exactly the name in the safetensors file; borrowed from the model */
	struct tensor value;	/* F32 or BF16 */
	struct tensor grad;	/* F32, added to by backward; data NULL when frozen */
	bool train;		/* wants a gradient */
};
#endif
