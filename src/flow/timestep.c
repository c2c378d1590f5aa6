/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/timestep.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
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

enum status
flow_list_read(struct flow_options *o, const char *text)
{
	o->density = FLOW_LIST;
	for (o->levels = 0; *text; o->levels++) {
		char *end;
		double x = strtod(text, &end), most = (double)o->n;
		if (end == text || !(x >= 0 && x <= most))
			return ace_fail(ACE_ECONFIG, "flow_custom_timesteps: \"%.40s\"; wanted numbers between commas, sigmas from 0 to 1 or "
			                "timesteps up to %g", text, most);
		if (o->levels == FLOW_LEVELS)
			return ace_fail(ACE_ECONFIG, "flow_custom_timesteps has more than %d numbers", FLOW_LEVELS);
		o->level[o->levels] = (float)(x > 1 ? x / most : x);
		text = end + strspn(end, " ");
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			return ace_fail(ACE_ECONFIG, "flow_custom_timesteps: \"%.40s\" behind a number; wanted a comma and a number", text);
	}
	return o->levels > 0 ? ACE_OK : ace_fail(ACE_ECONFIG, "flow_custom_timesteps is empty; wanted numbers between commas");
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

struct flow_time
flow_draw(const struct flow_options *o, struct rng r)
{
	switch (o->density) {
	case FLOW_LOGIT_NORMAL: break;
	case FLOW_UNIFORM: return flow_time_of_level(o, rng_uniform(r, 0));
	case FLOW_LIST: return flow_turn(o, (uint64_t)(rng_uniform(r, 0) * (float)o->levels));
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
