/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/timestep.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status
flow_options_check(const struct flow_options *o)
{
	const struct { const char *name; double value; bool positive; } number[] = {
		{ "flow_schedule_shift", o->shift, true },
		{ "logit_mean", o->logit_mean, false },
		{ "logit_std", o->logit_std, false },
		{ "flow_sigmoid_scale", o->sigmoid_scale, false },
		{ "flow_beta_schedule_alpha", o->alpha, true },
		{ "flow_beta_schedule_beta", o->beta, true },
	};

	if (o->n < 2)
		return ace_fail(ACE_ECONFIG, "a table of %lld timesteps, wanted at least 2", (long long)o->n);
	for (size_t i = 0; i < sizeof number / sizeof *number; i++)
		if (!isfinite(number[i].value) || (number[i].positive && number[i].value <= 0))
			return ace_fail(ACE_ECONFIG, "%s is %g, wanted a finite number%s", number[i].name, number[i].value,
			                number[i].positive ? " above 0" : "");
	return ACE_OK;
}

/* Numbers from 0 to most between separators, in brackets or not, into o->level. */
static enum status
numbers(struct flow_options *o, const char *option, const char *text, const char *separators, double most, const char *wanted)
{
	bool list = *text == '[';

	for (text += list, o->levels = 0; *(text += strspn(text, " ")) && !(list && *text == ']'); o->levels++) {
		char *end;
		double x = strtod(text, &end);
		if (end == text || !(x >= 0 && x <= most))
			return ace_fail(ACE_ECONFIG, "%s: \"%.40s\"; wanted %s", option, text, wanted);
		if (o->levels == FLOW_LEVELS)
			return ace_fail(ACE_ECONFIG, "%s has more than %d numbers", option, FLOW_LEVELS);
		o->level[o->levels] = (float)x;
		text = end + strspn(end, " ");
		if (*text && strchr(separators, *text) && text[1])
			text++;
		else if (*text && !(list && *text == ']'))
			return ace_fail(ACE_ECONFIG, "%s: \"%.40s\" behind a number; wanted a comma and a number", option, text);
	}
	if (list && (*text != ']' || text[1 + strspn(text + 1, " ")]))
		return ace_fail(ACE_ECONFIG, "%s: \"%.40s\" at the end of the list; wanted ]", option, text);
	return ACE_OK;
}

enum status
flow_list_read(struct flow_options *o, const char *text)
{
	char wanted[100];

	snprintf(wanted, sizeof wanted, "numbers between commas, sigmas from 0 to 1 or timesteps up to %lld", (long long)o->n);
	o->density = FLOW_LIST;
	ACE_TRY(numbers(o, "flow_custom_timesteps", text, ",", (double)o->n, wanted));
	for (int i = 0; i < o->levels; i++)
		o->level[i] = o->level[i] > 1.f ? (float)((double)o->level[i] / (double)o->n) : o->level[i];
	return o->levels > 0 ? ACE_OK : ace_fail(ACE_ECONFIG, "flow_custom_timesteps is empty; wanted numbers between commas");
}

enum status
flow_cubic_read(struct flow_options *o, const char *text)
{
	float most = 0;

	o->density = FLOW_CUBIC;
	ACE_TRY(numbers(o, "flow_cubic_schedule_weights", text, ",;", 1e9, "numbers of 0 or more between commas"));
	for (int i = 0; i < o->levels; i++)
		most = o->level[i] > most ? o->level[i] : most;
	if (o->levels > 1 && !(most > 0))
		return ace_fail(ACE_ECONFIG, "flow_cubic_schedule_weights are all 0; wanted one above 0");
	return ACE_OK;
}

static float
shifted(const struct flow_options *o, float s)
{
	return (float)o->shift * s / (1.f + (float)(o->shift - 1) * s);
}

struct flow_time
flow_time_at(const struct flow_options *o, int64_t index)
{
	float n = (float)o->n, sigma;

	assert(index >= 0 && index < o->n);
	sigma = shifted(o, (float)(o->n - index) / n);
	return (struct flow_time){ .index = index, .sigma = sigma, .timestep = sigma * n };
}

void
flow_table(const struct flow_options *o, float *sigma, float *timestep)
{
	for (int64_t i = 0; i < o->n; i++) {
		struct flow_time t = flow_time_at(o, i);
		if (sigma)
			sigma[i] = t.sigma;
		if (timestep)
			timestep[i] = t.timestep;
	}
}

struct flow_time
flow_time_of_level(const struct flow_options *o, float level)
{
	float sigma = shifted(o, level);

	return (struct flow_time){ .index = -1, .sigma = sigma, .timestep = sigma * (float)o->n };
}

float
flow_logistic(const struct flow_options *o, float z)
{
	float x = (float)o->logit_mean + (float)o->logit_std * ((float)o->sigmoid_scale * z);

	return 1.f / (1.f + expf(-x));
}

int64_t
flow_index(const struct flow_options *o, float u)
{
	float i = floorf(u * (float)(o->rule == FLOW_UPSTREAM ? o->n : o->n - 1));

	if (!(i > 0.f))
		return 0;
	return i < (float)o->n ? (int64_t)i : o->n - 1;
}

/* The logarithm of a number ~ Gamma(a): G. Marsaglia, W. Tsang, A Simple Method for Generating Gamma Variables, 2000; for
 * a < 1 by Gamma(a) = Gamma(a + 1) U^(1/a), whose logarithm does not underflow. */
static double
log_gamma_draw(struct rng r, double a)
{
	struct rng normals = rng_sub(r, 0), uniforms = rng_sub(r, 1);
	double less = a < 1 ? log1p(-(double)rng_uniform(uniforms, 0)) / a : 0;
	double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / sqrt(9 * d);

	for (uint64_t i = 1;; i++) {		/* accepts more than 19 of 20 */
		double x = (double)rng_normal(normals, i), u = 1 - (double)rng_uniform(uniforms, i), v = 1 + c * x;
		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(u) < x * x / 2 + d - d * v + d * log(v))
			return log(d * v) + less;
	}
}

float
flow_beta(struct rng r, double alpha, double beta)
{
	double a = log_gamma_draw(rng_sub(r, 0), alpha), b = log_gamma_draw(rng_sub(r, 1), beta);

	return (float)(1 / (1 + exp(b - a)));		/* A / (A + B) */
}

/* A slope at an end, of the parabola through three points; none that turns round. */
static double
end_slope(double near, double far)
{
	double slope = (3 * near - far) / 2;

	if (slope * near <= 0)
		return 0;
	return near * far < 0 && fabs(slope) > 3 * fabs(near) ? 3 * near : slope;
}

/* Of the density at knot i of n > 1, per knot: as the monotone interpolation by F. N. Fritsch and J. Butland, A Method for Constructing
 * Local Monotone Piecewise Cubic Interpolants, 1984, for knots that are equally far apart. */
static double
slope_at(const float *y, int n, int i)
{
	double before = i > 0 ? (double)y[i] - (double)y[i - 1] : 0, behind = i < n - 1 ? (double)y[i + 1] - (double)y[i] : 0;

	if (n == 2)
		return (double)y[1] - (double)y[0];
	if (i == 0)
		return end_slope(behind, (double)y[2] - (double)y[1]);
	if (i == n - 1)
		return end_slope(before, (double)y[n - 2] - (double)y[n - 3]);
	return before * behind > 0 ? 2 * before * behind / (before + behind) : 0;
}

/* What lies below s of the way from knot i to the next: the integral of Hermite's cubic. */
static double
area(const float *y, int n, int i, double s)
{
	double from = slope_at(y, n, i), to = slope_at(y, n, i + 1), ss = s * s, sss = ss * s, ssss = ss * ss;

	return (double)y[i] * (ssss / 2 - sss + s) + from * (ssss / 4 - 2 * sss / 3 + ss / 2) + (double)y[i + 1] * (sss - ssss / 2) +
	       to * (ssss / 4 - sss / 3);
}

float
flow_cubic(const struct flow_options *o, double u)
{
	double total = 0, low = 0, high = 1;
	int n = o->levels, i = 0;

	if (n < 2)
		return (float)u;
	for (int k = 0; k < n - 1; k++)
		total += area(o->level, n, k, 1);
	for (u *= total; i < n - 2 && u >= area(o->level, n, i, 1); i++)
		u -= area(o->level, n, i, 1);
	for (int k = 0; k < 60; k++) {
		double s = (low + high) / 2;
		if (area(o->level, n, i, s) < u)
			low = s;
		else
			high = s;
	}
	return (float)((i + (low + high) / 2) / (n - 1));
}

struct flow_time
flow_draw(const struct flow_options *o, struct rng r)
{
	switch (o->density) {
	case FLOW_LOGIT_NORMAL: break;
	case FLOW_UNIFORM: return flow_time_of_level(o, rng_uniform(r, 0));
	case FLOW_LIST: return flow_turn(o, (uint64_t)(rng_uniform(r, 0) * (float)o->levels));
	case FLOW_CUBIC: return flow_time_of_level(o, flow_cubic(o, (double)rng_uniform(r, 0)));
	case FLOW_BETA: return flow_time_of_level(o, flow_beta(r, o->alpha, o->beta));
	}
	return flow_time_at(o, flow_index(o, flow_logistic(o, rng_normal(r, 0))));
}

struct flow_time
flow_turn(const struct flow_options *o, uint64_t turn)
{
	float sigma = o->level[turn % (uint64_t)o->levels];

	return (struct flow_time){ .index = -1, .sigma = sigma, .timestep = sigma * (float)o->n };
}
