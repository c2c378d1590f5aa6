/* SPDX-License-Identifier: Apache-2.0 */
#include "train/clip.h"

#include "kernels/kernels.h"
#include "kernels/optim_numbers.h"

#include <assert.h>

static_assert((int)CLIP_SQUARES == (int)MEASURED_SQUARES && (int)CLIP_ABSMAX == (int)MEASURED_ABSMAX, "places in measured");
static_assert((int)CLIP_FACTOR == (int)LIMIT_FACTOR && (int)CLIP_BOUND == (int)LIMIT_BOUND, "places in limits");

static bool
two(struct tensor x)
{
	return x.dtype == F32 && tensor_count(x) == 2;
}

void
clip_measure(struct dev *d, struct tensor measured, struct tensor g)
{
	assert(two(measured) && (g.dtype == F32 || g.dtype == BF16));
	d->k->grad_measure(d, measured, g);
}

void
clip_join(struct dev *d, struct tensor measured, struct tensor measures)
{
	assert(two(measured) && measures.dtype == F32 && measures.rank == 3 && measures.dim[2] == 2);
	d->k->measures_join(d, measured, measures);
}

void
clip_limits(struct dev *d, struct tensor limits, struct tensor measured, const struct clip_options *c, float scale)
{
	assert(two(limits) && two(measured) && c->max >= 0 && scale > 0.f);
	d->k->grad_limits(d, limits, measured, c->method == CLIP_VALUE, (float)c->max, scale);
}

void
clip_guard(struct dev *d, struct tensor limits, struct tensor measured, struct tensor losses)
{
	assert(two(limits) && two(measured) && losses.dtype == F32);
	d->k->update_guard(d, limits, measured, losses);
}

void
clip_apply(struct dev *d, struct tensor g, struct tensor limits)
{
	assert(two(limits) && g.dtype == F32);
	d->k->grad_clip(d, g, limits);
}
