/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/generation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct loop {
	const struct generation_options *o;
	struct schedule_of_run run;
	struct sampler sampler;
	struct guided guided;
	float *fresh;			/* owned */
	float *noise;			/* of repainting: what x began with */
	int64_t frames, n;		/* n: numbers of x */
	int steps;
	int first;			/* the call that a run begins with */
};

static enum status
plan_again(struct loop *l)
{
	const struct generation_options *o = l->o;

	if (o->kind != SAMPLER_EULER)
		return ace_fail(ACE_ECONFIG, "repainting takes the scheduler euler, not %s", sampler_name(o->kind));
	if (o->place || o->strength > 0)
		return ace_fail(ACE_ECONFIG, "repainting excludes a list of steps and a reference's strength");
	if (!(o->variance > 0 && o->variance <= 1))
		return ace_fail(ACE_ECONFIG, "repainting with a variance of %g; wanted a number above 0 to 1", o->variance);
	l->first = (int)(l->steps * (1 - o->variance));
	if (l->first >= l->steps)
		return ace_fail(ACE_ECONFIG, "repainting with a variance of %g leaves none of %d steps", o->variance, l->steps);
	return ACE_OK;
}

static enum status
plan(struct loop *l)
{
	const struct generation_options *o = l->o;

	l->steps = o->strength > 0 ? sampler_steps_from(o->steps, o->strength) : o->steps;
	ACE_TRY(guided_plan(&l->guided, &o->guidance, l->steps));
	if (!(o->strength >= 0 && o->strength < 1))
		return ace_fail(ACE_ECONFIG, "a reference's strength of %g; wanted a number from 0 to below 1", o->strength);
	if (o->place && o->strength > 0)
		return ace_fail(ACE_ECONFIG, "a list of steps and a reference exclude each other");
	if (o->place)
		ACE_TRY(sampler_plan_chosen(&l->run, o->kind, o->shift, o->place, o->steps));
	else
		ACE_TRY(sampler_plan(&l->run, o->kind, o->shift, 1 - o->strength, l->steps));
	return o->again ? plan_again(l) : ACE_OK;
}

static enum status
room(struct loop *l, int64_t channels, int64_t rows, int64_t frames)
{
	int64_t n = channels * rows * frames;

	l->frames = frames;
	l->n = n;
	l->fresh = malloc(2 * (size_t)n * sizeof *l->fresh);
	if (!l->fresh)
		return ace_fail(ACE_ENOMEM, "no memory for a sample of %lld frames", (long long)frames);
	l->noise = l->fresh + n;
	ACE_TRY(sampler_open(&l->sampler, &l->run, l->o->omega, 1, n));
	return guided_open(&l->guided, channels, rows, frames);
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

/* The reference under the noise of so much; keep: where frames are not made anew alone. */
static void
mix(const struct loop *l, float *x, const float *reference, float much, bool keep)
{
	for (int64_t i = 0; i < l->n; i++)
		if (!keep || !l->o->again[i % l->frames])
			x[i] = (1.f - much) * reference[i] + much * l->noise[i];
}

/* A plain step of Euler's, in what is made anew. */
static void
step_again(const struct loop *l, float *x, const float *reference, int call)
{
	float from = l->run.timestep[call] / 1000.f, to = call + 1 < l->run.n ? l->run.timestep[call + 1] / 1000.f : 0.f;

	for (int64_t i = 0; i < l->n; i++)
		x[i] += (to - from) * l->guided.out[GENERATION_CONDITIONS][i];
	mix(l, x, reference, to, true);
}

static enum status
step(struct loop *l, float *x, const float *reference, int call, const struct generation_noise *noise,
     const struct generation_network *network)
{
	ACE_TRY(guided_velocity(&l->guided, network, x, l->run.timestep[call], call, call - l->first, l->run.n - l->first));
	if (l->o->again)
		step_again(l, x, reference, call);
	else
		sampler_step(&l->sampler, call, x, l->guided.out[GENERATION_CONDITIONS], fresh_noise(l, noise, call, l->n));
	return ACE_OK;
}

static void
begin(const struct loop *l, float *x, const float *reference)
{
	float high, low;

	if (l->o->again) {
		memcpy(l->noise, x, (size_t)l->n * sizeof *x);
		mix(l, x, reference, l->run.timestep[l->first] / 1000.f, false);
	}
	if (!(l->o->strength > 0))
		return;
	sampler_limits(l->o->shift, 1 - l->o->strength, &high, &low);
	sampler_begin_from(x, reference, x, l->n, high);
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
	struct loop l = { .o = o };
	enum status st = plan(&l);

	if (st == ACE_OK)
		st = room(&l, channels, rows, frames);
	if (st == ACE_OK)
		begin(&l, x, reference);
	for (int i = l.first; i < l.run.n && st == ACE_OK; i++)
		st = step(&l, x, reference, i, noise, network);
	if (st == ACE_OK)
		st = check_values(x, l.n);
	guided_close(&l.guided);
	sampler_close(&l.sampler);
	sampler_free(&l.run);
	free(l.fresh);
	return st;
}

bool
generation_cost(const struct generation_options *o, int *calls, int *outputs)
{
	struct loop l = { .o = o };
	bool good = plan(&l) == ACE_OK;

	*calls = *outputs = 0;
	for (int i = l.first; good && i < l.run.n; i++) {
		*outputs += guided_branches(&l.guided, i);
		++*calls;
	}
	sampler_free(&l.run);
	return good;
}
