/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE = 1000, MOST_STEPS = 1000000 };

static const char *const names[] = { "euler", "heun", "pingpong" };

bool
sampler_named(enum sampler_kind *kind, const char *name)
{
	for (int i = 0; i < 3; i++) {
		if (strcmp(name, names[i]) == 0) {
			*kind = (enum sampler_kind)i;
			return true;
		}
	}
	return false;
}

const char *
sampler_name(enum sampler_kind kind)
{
	return names[kind];
}

/* --- tables --- */

static double
shifted(double x, double shift)
{
	return shift * x / (1 + (shift - 1) * x);
}

/* An entry of the training table, whose levels are single precision numbers before the shift and after. */
static float
of_table(double level, double shift)
{
	float r = (float)level / (float)TABLE, s = (float)shift;

	return s * r / (1.f + (float)(shift - 1) * r);
}

void
sampler_limits(double shift, double share, float *high, float *low)
{
	*high = of_table(share * TABLE, shift);
	*low = of_table(1, shift);
}

static enum status
room(struct schedule_of_run *r, enum sampler_kind kind, int n)
{
	*r = (struct schedule_of_run){ .kind = kind, .n = n };
	r->timestep = calloc((size_t)n, sizeof *r->timestep);
	r->sigma = calloc((size_t)n + 1, sizeof *r->sigma);
	if (r->timestep && r->sigma)
		return ACE_OK;
	sampler_free(r);
	return ace_fail(ACE_ENOMEM, "no memory for a run of %d steps", n);
}

void
sampler_free(struct schedule_of_run *r)
{
	free(r->timestep);
	free(r->sigma);
	*r = (struct schedule_of_run){ 0 };
}

/* Level k of n, from the table's first sigma down to its last, and shifted again. */
static double
level(double shift, double high, double low, int n, int k)
{
	double from = high * TABLE, to = low * TABLE, step = n > 1 ? (to - from) / (n - 1) : 0;
	double tau = k == n - 1 && n > 1 ? to : from + k * step;

	return shifted(tau / TABLE, shift);
}

static enum status
check(double shift, double share, int steps)
{
	if (!(shift > 0 && isfinite(shift)))
		return ace_fail(ACE_ECONFIG, "flow_schedule_shift %g: a number above 0 is wanted", shift);
	if (!(share > 0 && share <= 1))
		return ace_fail(ACE_ECONFIG, "%g of a run's noise is left: above 0 and at most 1 is wanted", share);
	if (steps < 1 || steps > MOST_STEPS)
		return ace_fail(ACE_ECONFIG, "%d steps: 1 to %d are wanted", steps, MOST_STEPS);
	return ACE_OK;
}

enum status
sampler_plan(struct schedule_of_run *r, enum sampler_kind kind, double shift, double share, int steps)
{
	bool twice = kind == SAMPLER_HEUN;
	float high, low;

	ACE_TRY(check(shift, share, steps));
	ACE_TRY(room(r, kind, twice ? 2 * steps - 1 : steps));
	sampler_limits(shift, share, &high, &low);
	for (int i = 0; i < r->n; i++) {
		double s = level(shift, (double)high, (double)low, steps, twice ? (i + 1) / 2 : i);
		r->sigma[i] = (float)s;
		r->timestep[i] = (float)(s * TABLE);
	}
	return ACE_OK;
}

enum status
sampler_plan_chosen(struct schedule_of_run *r, enum sampler_kind kind, double shift, const int *place, int n)
{
	struct schedule_of_run all;

	if (kind == SAMPLER_HEUN)
		return ace_fail(ACE_ECONFIG, "a list of steps is for the schedulers euler and pingpong, not for heun");
	for (int i = 0; i < n; i++)
		if (place[i] < 1 || (i > 0 && place[i] <= place[i - 1]))
			return ace_fail(ACE_ECONFIG, "a list of steps holds %d%s%.0d: numbers from 1 that rise are wanted", place[i],
			                i > 0 ? " behind " : "", i > 0 ? place[i - 1] : 0);
	if (n < 1)
		return ace_fail(ACE_ECONFIG, "a list of steps is empty");
	ACE_TRY(sampler_plan(&all, kind, shift, 1, place[n - 1]));
	enum status st = room(r, kind, n);
	for (int i = 0; st == ACE_OK && i < n; i++) {
		float given = all.timestep[place[i] - 1] / (float)TABLE;
		double s = shifted((double)given, shift);
		r->sigma[i] = (float)s;
		r->timestep[i] = (float)((double)r->sigma[i] * TABLE);
	}
	sampler_free(&all);
	return st;
}

/* --- steps --- */

double
sampler_omega(double omega)
{
	return 0.9 + 0.2 / (1 + exp(-0.1 * omega));
}

enum status
sampler_open(struct sampler *s, const struct schedule_of_run *run, double omega, int64_t clips, int64_t per_clip)
{
	size_t bytes = (size_t)(clips * per_clip) * sizeof(float);

	*s = (struct sampler){ .run = run, .omega = omega, .clips = clips, .per_clip = per_clip };
	if (run->kind != SAMPLER_HEUN)
		return ACE_OK;
	s->d1 = malloc(bytes);
	s->x1 = malloc(bytes);
	if (s->d1 && s->x1)
		return ACE_OK;
	sampler_close(s);
	return ace_fail(ACE_ENOMEM, "no memory for two samples of %zu bytes", bytes);
}

void
sampler_close(struct sampler *s)
{
	free(s->d1);
	free(s->x1);
	*s = (struct sampler){ 0 };
}

/* x = from + (d - mean) w + mean, d = slope dt, mean of d over n numbers. */
static void
move(float *x, const float *from, const float *slope, float dt, int64_t n, float w)
{
	double sum = 0;
	float mean;

	for (int64_t i = 0; i < n; i++)
		sum += (double)(slope[i] * dt);
	mean = (float)(sum / (double)n);
	for (int64_t i = 0; i < n; i++)
		x[i] = from[i] + (slope[i] * dt - mean) * w + mean;
}

static void
move_all(const struct sampler *s, float *x, const float *from, const float *slope, float dt)
{
	int64_t n = s->joint ? s->clips * s->per_clip : s->per_clip;
	float w = (float)sampler_omega(s->omega);

	for (int64_t b = 0; b < (s->joint ? 1 : s->clips); b++)
		move(x + b * n, from + b * n, slope + b * n, dt, n, w);
}

static void
heun(struct sampler *s, int i, float *x, const float *v)
{
	const float *sigma = s->run->sigma;
	int64_t n = s->clips * s->per_clip;
	float at = sigma[i];

	if (i % 2 == 0) {
		for (int64_t k = 0; k < n; k++)
			s->d1[k] = (x[k] - (x[k] - v[k] * at)) / at;
		memcpy(s->x1, x, (size_t)n * sizeof *x);
		s->dt1 = sigma[i + 1] - at;
		move_all(s, x, s->x1, s->d1, s->dt1);
		return;
	}
	for (int64_t k = 0; k < n; k++)
		s->d1[k] = 0.5f * (s->d1[k] + (x[k] - (x[k] - v[k] * at)) / at);
	move_all(s, x, s->x1, s->d1, s->dt1);
}

void
sampler_step(struct sampler *s, int i, float *x, const float *v, const float *noise)
{
	float a = s->run->sigma[i], b = s->run->sigma[i + 1];
	int64_t n = s->clips * s->per_clip;

	switch (s->run->kind) {
	case SAMPLER_EULER:
		move_all(s, x, x, v, b - a);
		break;
	case SAMPLER_HEUN:
		heun(s, i, x, v);
		break;
	case SAMPLER_PINGPONG:
		for (int64_t k = 0; k < n; k++)
			x[k] = (1.f - b) * (x[k] - a * v[k]) + b * noise[k];
		break;
	}
}

/* --- where a run begins --- */

int64_t
sampler_frames(double seconds)
{
	return (int64_t)(seconds * 44100 / 512 / 8);
}

void
sampler_begin_from(float *x, const float *reference, const float *noise, int64_t n, float high)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = reference[i] * (1.f - high) + noise[i] * high;
}

int
sampler_steps_from(int steps, double strength)
{
	return (int)((1 - strength) * steps);
}

void
sampler_retake(float *x, const float *noise, const float *other, int64_t n, double variance)
{
	double angle = variance * acos(-1) / 2;
	float c = (float)cos(angle), s = (float)sin(angle);

	for (int64_t i = 0; i < n; i++)
		x[i] = c * noise[i] + s * other[i];
}
