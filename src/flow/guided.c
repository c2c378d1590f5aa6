/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/guided.h"

#include <stdlib.h>

enum status
guided_plan(struct guided *g, const struct guidance_options *how, int steps)
{
	*g = (struct guided){ .how = how };
	ACE_TRY(guidance_check(how));
	guidance_interval(how, steps, &g->start, &g->end);
	return ACE_OK;
}

enum status
guided_open(struct guided *g, int64_t channels, int64_t rows, int64_t frames)
{
	size_t n = (size_t)(channels * rows * frames);

	g->out[0] = malloc(GENERATION_BRANCHES * n * sizeof *g->out[0]);
	if (!g->out[0])
		return ace_fail(ACE_ENOMEM, "no memory for a sample of %lld frames", (long long)frames);
	for (int b = 1; b < GENERATION_BRANCHES; b++)
		g->out[b] = g->out[0] + (size_t)b * n;
	return guidance_open(&g->guidance, g->how, 1, channels, rows * frames);
}

void
guided_close(struct guided *g)
{
	guidance_close(&g->guidance);
	free(g->out[0]);
	*g = (struct guided){ 0 };
}

int
guided_branches(const struct guided *g, int i)
{
	if (i < g->start || i >= g->end)
		return 1;
	return guidance_double(g->how) ? 3 : 2;
}

enum status
guided_velocity(struct guided *g, const struct generation_network *network, const float *x, float timestep, int i, int shown, int calls)
{
	int asked = guided_branches(g, i);

	ACE_TRY(network->velocity(network->me, g->out, asked, x, timestep, shown, calls));
	if (asked > 1)
		guidance_apply(&g->guidance, g->out[GENERATION_CONDITIONS], g->out[GENERATION_CONDITIONS], g->out[GENERATION_NONE],
		               g->out[GENERATION_TEXT], guidance_scale_at(g->how, g->start, g->end, i), i);
	return ACE_OK;
}
