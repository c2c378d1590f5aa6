/* SPDX-License-Identifier: Apache-2.0 */
/* A clip turned from one prompt to another without being made anew: the method of FlowEdit (arXiv 2412.08629, algorithm 1). */
#include "flow/generation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct edit {
	const struct generation_options *o;
	const struct edit_options *e;
	struct schedule_of_run run;
	struct sampler sampler;
	struct guided was, wanted;
	float *at, *towards, *move;	/* the source and the clip under noise; a step */
	int64_t n;
	int first, last;		/* the calls [first, last) move the clip */
	int done, calls;
};

static enum status
plan(struct edit *d)
{
	const struct generation_options *o = d->o;
	const struct edit_options *e = d->e;

	if (o->kind != SAMPLER_EULER)
		return ace_fail(ACE_ECONFIG, "editing takes the scheduler euler, not %s", sampler_name(o->kind));
	if (o->place || o->strength > 0 || o->again)
		return ace_fail(ACE_ECONFIG, "editing excludes a list of steps, a reference's strength and repainting");
	if (!(e->from >= 0 && e->from < e->to && e->to <= 1) || e->average < 1)
		return ace_fail(ACE_ECONFIG, "editing from %g to %g of a run with %d draws a step; wanted 0 <= from < to <= 1 and draws from 1",
		                e->from, e->to, e->average);
	ACE_TRY(guided_plan(&d->was, &o->guidance, o->steps));
	ACE_TRY(guided_plan(&d->wanted, &o->guidance, o->steps));
	ACE_TRY(sampler_plan(&d->run, o->kind, o->shift, 1, o->steps));
	d->first = (int)(o->steps * e->from);
	d->last = (int)(o->steps * e->to);
	if (d->first >= d->last)
		return ace_fail(ACE_ECONFIG, "from %g to %g of a run of %d steps there is none", e->from, e->to, o->steps);
	d->calls = 2 * e->average * (d->last - d->first) + d->run.n - d->last;
	return ACE_OK;
}

static enum status
room(struct edit *d, int64_t channels, int64_t rows, int64_t frames)
{
	d->n = channels * rows * frames;
	d->at = malloc(3 * (size_t)d->n * sizeof *d->at);
	if (!d->at)
		return ace_fail(ACE_ENOMEM, "no memory for a sample of %lld frames", (long long)frames);
	d->towards = d->at + d->n;
	d->move = d->towards + d->n;
	ACE_TRY(sampler_open(&d->sampler, &d->run, d->o->omega, 1, d->n));
	ACE_TRY(guided_open(&d->was, channels, rows, frames));
	return guided_open(&d->wanted, channels, rows, frames);
}

static float
level(const struct edit *d, int call)
{
	return call < d->run.n ? d->run.timestep[call] / 1000.f : 0.f;
}

/* at: the source under noise of call's level; towards: what the clip differs from the source, added. */
static void
under_noise(struct edit *d, const float *x, const float *source, int call, struct rng noise)
{
	float t = level(d, call);

	rng_normal_fill(noise, d->at, d->n);
	for (int64_t i = 0; i < d->n; i++) {
		d->at[i] = (1.f - t) * source[i] + t * d->at[i];
		d->towards[i] = d->at[i] + (x[i] - source[i]);
	}
}

static enum status
step(struct edit *d, float *x, const float *source, int call, struct rng fresh, const struct generation_network *was,
     const struct generation_network *wanted)
{
	const float *from = d->was.out[GENERATION_CONDITIONS], *to = d->wanted.out[GENERATION_CONDITIONS];
	float share = 1.f / (float)d->e->average;

	memset(d->move, 0, (size_t)d->n * sizeof *d->move);
	for (int k = 0; k < d->e->average; k++) {
		under_noise(d, x, source, call, rng_sub(fresh, (uint64_t)call * (uint64_t)d->e->average + (uint64_t)k));
		ACE_TRY(guided_velocity(&d->was, was, d->at, d->run.timestep[call], call, d->done++, d->calls));
		ACE_TRY(guided_velocity(&d->wanted, wanted, d->towards, d->run.timestep[call], call, d->done++, d->calls));
		for (int64_t i = 0; i < d->n; i++)
			d->move[i] += share * (to[i] - from[i]);
	}
	for (int64_t i = 0; i < d->n; i++)
		x[i] += (level(d, call + 1) - level(d, call)) * d->move[i];
	return ACE_OK;
}

/* The rest of the run, from the clip under noise. */
static enum status
finish(struct edit *d, float *x, const float *source, struct rng fresh, const struct generation_network *wanted)
{
	if (d->last < d->run.n) {
		under_noise(d, x, source, d->last, rng_sub(fresh, (uint64_t)d->last * (uint64_t)d->e->average));
		memcpy(x, d->towards, (size_t)d->n * sizeof *x);
	}
	for (int i = d->last; i < d->run.n; i++) {
		ACE_TRY(guided_velocity(&d->wanted, wanted, x, d->run.timestep[i], i, d->done++, d->calls));
		sampler_step(&d->sampler, i, x, d->wanted.out[GENERATION_CONDITIONS], NULL);
	}
	for (int64_t i = 0; i < d->n; i++)
		if (!isfinite(x[i]))
			return ace_fail(ACE_EDATA, "the model gives numbers that are not finite");
	return ACE_OK;
}

static void
close_all(struct edit *d)
{
	guided_close(&d->was);
	guided_close(&d->wanted);
	sampler_close(&d->sampler);
	sampler_free(&d->run);
	free(d->at);
}

enum status
generation_edit(const struct generation_options *o, const struct edit_options *e, float *x, const float *source, int64_t channels,
                int64_t rows, int64_t frames, struct rng fresh, const struct generation_network *was, const struct generation_network *wanted)
{
	struct edit d = { .o = o, .e = e };
	enum status st = plan(&d);

	if (st == ACE_OK)
		st = room(&d, channels, rows, frames);
	if (st == ACE_OK)
		memcpy(x, source, (size_t)d.n * sizeof *x);
	for (int i = d.first; i < d.last && st == ACE_OK; i++)
		st = step(&d, x, source, i, fresh, was, wanted);
	if (st == ACE_OK)
		st = finish(&d, x, source, fresh, wanted);
	close_all(&d);
	return st;
}

bool
generation_edit_cost(const struct generation_options *o, const struct edit_options *e, int *calls)
{
	struct edit d = { .o = o, .e = e };
	bool good = plan(&d) == ACE_OK;

	*calls = good ? d.calls : 0;
	close_all(&d);
	return good;
}
