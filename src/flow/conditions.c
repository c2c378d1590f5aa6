/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/conditions.h"

#include <stddef.h>
#include <string.h>

/* Row b of x [B, n] becomes zero. */
static void
clear(void *x, int64_t b, int64_t n, size_t size)
{
	if (x && n > 0)
		memset((char *)x + (size_t)(b * n) * size, 0, (size_t)n * size);
}

unsigned
flow_drop(const struct flow_conditions *c, int64_t b, const struct flow_dropout *p, const float u[3])
{
	unsigned dropped = 0;

	if (u[0] < p->text) {
		clear(c->text, b, c->S * c->text_width, sizeof *c->text);
		dropped |= FLOW_TEXT;
	}
	if (u[1] < p->speaker) {
		clear(c->speaker, b, c->speaker_width, sizeof *c->speaker);
		dropped |= FLOW_SPEAKER;
	}
	if (u[2] < p->lyrics) {
		clear(c->lyric_ids, b, c->Y, sizeof *c->lyric_ids);
		clear(c->lyric_mask, b, c->Y, sizeof *c->lyric_mask);
		dropped |= FLOW_LYRICS;
	}
	return dropped;
}

unsigned
flow_drop_drawn(const struct flow_conditions *c, int64_t b, const struct flow_dropout *p, struct rng r)
{
	const float u[3] = { rng_uniform(r, 0), rng_uniform(r, 1), rng_uniform(r, 2) };

	return flow_drop(c, b, p, u);
}
