/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/generation.h"

#include <math.h>
#include <stdlib.h>

struct loop {
	const struct generation_options *o;
	struct schedule_of_run run;
	struct sampler sampler;
	struct guidance guidance;
	float *memory, *out[GENERATION_BRANCHES], *fresh;
	int steps, start, end;
};

static enum status
plan(struct loop *l)
{
	const struct generation_options *o = l->o;

	l->steps = o->strength > 0 ? sampler_steps_from(o->steps, o->strength) : o->steps;
	ACE_TRY(guidance_check(&o->guidance));
	if (!(o->strength >= 0 && o->strength < 1))
		return ace_fail(ACE_ECONFIG, "a reference's strength of %g; wanted a number from 0 to below 1", o->strength);
	if (o->place && o->strength > 0)
		return ace_fail(ACE_ECONFIG, "a list of steps and a reference exclude each other");
	if (o->place)
		ACE_TRY(sampler_plan_chosen(&l->run, o->kind, o->shift, o->place, o->steps));
	else
		ACE_TRY(sampler_plan(&l->run, o->kind, o->shift, 1 - o->strength, l->steps));
	guidance_interval(&o->guidance, l->steps, &l->start, &l->end);
	return ACE_OK;
}

static enum status
room(struct loop *l, int64_t channels, int64_t rows, int64_t frames)
{
	int64_t n = channels * rows * frames;

	l->memory = malloc((size_t)(GENERATION_BRANCHES + 1) * (size_t)n * sizeof *l->memory);
	if (!l->memory)
		return ace_fail(ACE_ENOMEM, "no memory for a sample of %lld frames", (long long)frames);
	for (int b = 0; b < GENERATION_BRANCHES; b++)
		l->out[b] = l->memory + b * n;
	l->fresh = l->memory + GENERATION_BRANCHES * n;
	ACE_TRY(sampler_open(&l->sampler, &l->run, l->o->omega, 1, n));
	return guidance_open(&l->guidance, &l->o->guidance, 1, channels, rows * frames);
}

static int
branches(const struct loop *l, int call)
{
	if (call < l->start || call >= l->end)
		return 1;
	return guidance_double(&l->o->guidance) ? 3 : 2;
}

static const float *
fresh_noise(struct loop *l, const struct generation_noise *noise, int call, int64_t n)
{
	if (l->run.kind != SAMPLER_PINGPONG)
		return NULL;
	if (noise->given)
		return noise->given + call * n;
	rng_normal_fill(rng_sub(noise->fresh, (uint64_t)call), l->fresh, n);
	return l->fresh;
}

static enum status
step(struct loop *l, float *x, int64_t n, int call, const struct generation_noise *noise, const struct generation_network *network)
{
	int asked = branches(l, call);
	double scale;

	ACE_TRY(network->velocity(network->me, l->out, asked, x, l->run.timestep[call], call, l->run.n));
	if (asked > 1) {
		scale = guidance_scale_at(&l->o->guidance, l->start, l->end, call);
		guidance_apply(&l->guidance, l->out[GENERATION_CONDITIONS], l->out[GENERATION_CONDITIONS], l->out[GENERATION_NONE],
		               l->out[GENERATION_TEXT], scale, call);
	}
	sampler_step(&l->sampler, call, x, l->out[GENERATION_CONDITIONS], fresh_noise(l, noise, call, n));
	return ACE_OK;
}

static void
begin(const struct loop *l, float *x, const float *reference, int64_t n)
{
	float high, low;

	if (!(l->o->strength > 0))
		return;
	sampler_limits(l->o->shift, 1 - l->o->strength, &high, &low);
	sampler_begin_from(x, reference, x, n, high);
}

static enum status
check_values(const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return ace_fail(ACE_EDATA, "the model gives numbers that are not finite");
	return ACE_OK;
}

enum status
generation_run(const struct generation_options *o, float *x, const float *reference, int64_t channels, int64_t rows, int64_t frames,
               const struct generation_noise *noise, const struct generation_network *network)
{
	int64_t n = channels * rows * frames;
	struct loop l = { .o = o };
	enum status st = plan(&l);

	if (st == ACE_OK)
		st = room(&l, channels, rows, frames);
	if (st == ACE_OK)
		begin(&l, x, reference, n);
	for (int i = 0; i < l.run.n && st == ACE_OK; i++)
		st = step(&l, x, n, i, noise, network);
	if (st == ACE_OK)
		st = check_values(x, n);
	guidance_close(&l.guidance);
	sampler_close(&l.sampler);
	sampler_free(&l.run);
	free(l.memory);
	return st;
}

bool
generation_cost(const struct generation_options *o, int *calls, int *outputs)
{
	struct loop l = { .o = o };
	bool good = plan(&l) == ACE_OK;

	*calls = *outputs = 0;
	for (int i = 0; good && i < l.run.n; i++) {
		*outputs += branches(&l, i);
		++*calls;
	}
	sampler_free(&l.run);
	return good;
}
