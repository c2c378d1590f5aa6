/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/rollout.h"

#include "kernels/kernels.h"
#include "num/arena.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { TIMESTEP, WHOLE, HALF, NUMBERS };	/* rows of numbers */

bool
rollout_sampler_named(enum rollout_sampler *s, const char *name, bool *replaced)
{
	*replaced = strcmp(name, "unipc") == 0 || strcmp(name, "dpm") == 0;
	*s = strcmp(name, "heun") == 0 ? ROLLOUT_HEUN : ROLLOUT_EULER;
	return *replaced || *s == ROLLOUT_HEUN || strcmp(name, "euler") == 0;
}

bool
rollout_strategy_named(enum rollout_strategy *s, const char *name)
{
	static const char *const names[] = { [ROLLOUT_UNIFORM] = "uniform", [ROLLOUT_BIASED_EARLY] = "biased_early",
		[ROLLOUT_BIASED_LATE] = "biased_late" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], name) == 0) {
			*s = (enum rollout_strategy)i;
			return true;
		}
	return false;
}

double
rollout_chance(const struct rollout_options *o, int64_t step)
{
	double from = isnan(o->prob_start) ? o->chance : o->prob_start, to = isnan(o->prob_end) ? o->chance : o->prob_end, q;

	if (o->ramp_steps <= 0)
		return o->chance;
	if (step < o->start_step)
		return from;
	q = (double)(step - o->start_step) / (double)o->ramp_steps;
	q = q < 1 ? q : 1;
	if (o->cosine)
		q = (1 - cos(3.14159265358979323846 * q)) / 2;
	return from + (to - from) * q;
}

int64_t
rollout_offset(const struct rollout_options *o, double chance, double keep, double offset)
{
	double longest = (double)o->longest, way = 0;

	if (o->longest <= 0 || !(keep < chance))
		return 0;
	switch (o->strategy) {
	case ROLLOUT_UNIFORM: way = floor(offset * (longest + 1)); break;
	case ROLLOUT_BIASED_EARLY: way = rint(offset * offset * longest); break;	/* half to even */
	case ROLLOUT_BIASED_LATE: way = rint((1 - offset * offset) * longest); break;
	}
	return way < longest ? (int64_t)way : o->longest;
}

int64_t
rollout_source(const struct rollout_options *o, double chance, int64_t target, struct rng r)
{
	int64_t offset = rollout_offset(o, chance, (double)rng_uniform(r, 0), (double)rng_uniform(r, 1));

	if (target < 0)
		return -1;
	return target > offset ? target - offset : 0;
}

static void
place(struct rollout *r, struct arena *a, enum rollout_sampler sampler, int rank, const int64_t dim[])
{
	r->v = arena_make(a, F32, rank, dim);
	r->ahead = sampler == ROLLOUT_HEUN ? arena_make(a, F32, rank, dim) : (struct tensor){ 0 };
	r->numbers = arena_tensor(a, F32, 2, NUMBERS, dim[0]);
}

enum status
rollout_open(struct rollout *r, struct dev *d, enum rollout_sampler sampler, int rank, const int64_t dim[])
{
	struct arena a = { 0 };
	enum status st;

	*r = (struct rollout){ .dev = d };
	place(r, &a, sampler, rank, dim);
	r->bytes = a.used;
	if ((st = dev_alloc(d, r->bytes, "rollouts", &r->memory)))
		return st;
	a = (struct arena){ .base = r->memory, .size = r->bytes };
	place(r, &a, sampler, rank, dim);
	r->host = d->m->pinned(d, tensor_bytes(r->numbers));
	if (!r->host) {
		rollout_close(r);
		return ace_fail(ACE_ENOMEM, "no memory for the numbers of %lld rollouts", (long long)dim[0]);
	}
	return ACE_OK;
}

void
rollout_close(struct rollout *r)
{
	if (!r || !r->dev)
		return;
	if (r->memory)
		r->dev->m->free(r->dev, r->memory);
	if (r->host)
		r->dev->m->unpin(r->dev, r->host);
	*r = (struct rollout){ 0 };
}

/* A tensor like x in the room of y. */
static struct tensor
within(struct tensor y, struct tensor x)
{
	assert(tensor_count(x) <= tensor_count(y));
	x.data = y.data;
	return x;
}

/* The first n numbers of a row. */
static struct tensor
row(const struct rollout *r, int which, int64_t n)
{
	float *data = r->numbers.data;

	return tensor_of(data ? data + which * r->numbers.dim[1] : NULL, F32, 1, n);
}

/* The numbers with which samples go from their k-th step on: those that have arrived stand still, at their own time. When
 * ahead, the timesteps are those one step further. */
static void
send_numbers(struct rollout *r, const struct flow_options *o, int64_t n, const int64_t *source, const int64_t *target,
             int64_t k, bool ahead)
{
	int64_t width = r->numbers.dim[1];

	for (int64_t b = 0; b < n; b++) {
		bool still = source[b] < 0 || source[b] + k >= target[b];
		int64_t at = still ? (target[b] < 0 ? 0 : target[b]) : source[b] + k;
		struct flow_time t = flow_time_at(o, at), next = still ? t : flow_time_at(o, at + 1);
		r->host[TIMESTEP * width + b] = ahead ? next.timestep : t.timestep;
		r->host[WHOLE * width + b] = next.sigma - t.sigma;
		r->host[HALF * width + b] = (next.sigma - t.sigma) / 2.f;
	}
	r->dev->m->upload(r->dev, r->numbers.data, r->host, (size_t)(NUMBERS * width) * sizeof(float));
}

/* The longest way. */
static int64_t
steps_of(int64_t n, const int64_t *source, const int64_t *target)
{
	int64_t steps = 0;

	for (int64_t b = 0; b < n; b++)
		if (source[b] >= 0) {
			assert(source[b] <= target[b]);
			steps = target[b] - source[b] > steps ? target[b] - source[b] : steps;
		}
	return steps;
}

int64_t
rollout_calls(enum rollout_sampler sampler, int64_t n, const int64_t *source, const int64_t *target)
{
	return (sampler == ROLLOUT_HEUN ? 2 : 1) * steps_of(n, source, target);
}

void
rollout_run(struct rollout *r, const struct flow_options *o, enum rollout_sampler sampler, struct tensor x,
            const int64_t *source, const int64_t *target, const struct rollout_network *n)
{
	struct dev *d = r->dev;
	struct tensor v = within(r->v, x), ahead = x, timestep = row(r, TIMESTEP, x.dim[0]);
	int64_t steps = steps_of(x.dim[0], source, target);

	assert(x.dtype == F32 && x.rank >= 2 && x.dim[0] <= r->numbers.dim[1]);
	for (int64_t b = 0; b < x.dim[0]; b++)
		assert(target[b] < o->n);
	if (sampler == ROLLOUT_HEUN)
		ahead = within(r->ahead, x);
	for (int64_t k = 0; k < steps; k++) {
		send_numbers(r, o, x.dim[0], source, target, k, false);
		n->velocity(n->me, v, x, timestep);
		if (sampler == ROLLOUT_EULER) {
			d->k->add_scaled(d, x, v, row(r, WHOLE, x.dim[0]));
			continue;
		}
		d->k->copy(d, ahead, x);
		d->k->add_scaled(d, ahead, v, row(r, WHOLE, x.dim[0]));
		d->k->add_scaled(d, x, v, row(r, HALF, x.dim[0]));
		send_numbers(r, o, x.dim[0], source, target, k, true);
		n->velocity(n->me, v, ahead, timestep);
		d->k->add_scaled(d, x, v, row(r, HALF, x.dim[0]));
	}
}
