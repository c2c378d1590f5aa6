/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/ctx.h"

#include "ops/rows.h"

#include <assert.h>

void
ctx_weaken(const struct ctx *c, struct tensor q)
{
	if (c->tau == 0.f || c->weak >= q.dim[0])
		return;
	assert(!c->training);
	q = tensor_slice(q, c->weak, q.dim[0] - c->weak);
	rows_scale(c->dev, q, q, c->tau);
}
