/* SPDX-License-Identifier: Apache-2.0 */
#include "train/schedule.h"

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static const struct { const char *name; enum schedule_kind kind; } names[] = {
	{ "constant", SCHEDULE_CONSTANT },
	{ "constant_with_warmup", SCHEDULE_CONSTANT_WITH_WARMUP },
	{ "linear", SCHEDULE_LINEAR },
	{ "cosine", SCHEDULE_COSINE },
	{ "cosine_with_warmup", SCHEDULE_COSINE },
	{ "cosine_with_restarts", SCHEDULE_COSINE_WITH_RESTARTS },
	{ "polynomial", SCHEDULE_POLYNOMIAL },
	{ "sine", SCHEDULE_SINE },
};

enum status
schedule_named(struct schedule *s, const char *name)
{
	size_t i = 0, n = sizeof names / sizeof *names;

	while (i < n && strcmp(names[i].name, name) != 0)
		i++;
	if (i == n)
		return ace_fail(ACE_ECONFIG, "lr_scheduler %s is unknown", name);
	s->kind = names[i].kind;
	if (s->kind == SCHEDULE_CONSTANT && s->warmup > 0)
		s->kind = SCHEDULE_CONSTANT_WITH_WARMUP;
	if (s->kind == SCHEDULE_SINE && s->warmup <= 0)
		return ace_fail(ACE_ECONFIG, "lr_scheduler sine takes its period from lr_warmup_steps, which is %lld, wanted at "
		                "least 1", (long long)s->warmup);
	if (s->kind == SCHEDULE_POLYNOMIAL && !(s->end < s->rate))
		return ace_fail(ACE_ECONFIG, "lr_scheduler polynomial: lr_end %g is not below learning_rate %g", s->end,
		                s->rate);
	return ACE_OK;
}

/* A wave between rate and end; shape in [-1, 1]. */
static double
wave(const struct schedule *s, double shape)
{
	return s->end + (s->rate - s->end) * (1 + shape) / 2;
}

/* The Python trainer's own classes: their values behind the first are floored to whole multiples of 1e-9. */
static double
compat_rate(const struct schedule *s, int64_t k)
{
	double period = s->warmup > 0 ? (double)s->warmup : 1000, rate = s->rate;

	if (s->kind == SCHEDULE_COSINE)
		rate = wave(s, cos(PI * (double)k / period));
	else if (s->kind == SCHEDULE_SINE)
		rate = wave(s, sin(PI * (double)k / period));
	return k > 0 ? floor(rate * 1e9) / 1e9 : rate;
}

static double
decayed(const struct schedule *s, int64_t k)
{
	double left = (double)(s->steps - s->warmup > 1 ? s->steps - s->warmup : 1), q = (double)(k - s->warmup) / left;

	switch (s->kind) {
	case SCHEDULE_CONSTANT: case SCHEDULE_CONSTANT_WITH_WARMUP: case SCHEDULE_SINE: break;
	case SCHEDULE_LINEAR: return s->rate * fmax(0, (double)(s->steps - k) / left);
	case SCHEDULE_COSINE: return s->rate * fmax(0, (1 + cos(PI * q)) / 2);
	case SCHEDULE_COSINE_WITH_RESTARTS:
		return q >= 1 ? 0 : s->rate * fmax(0, (1 + cos(PI * fmod(s->cycles * q, 1))) / 2);
	case SCHEDULE_POLYNOMIAL: return k > s->steps ? s->end : (s->rate - s->end) * pow(1 - q, s->power) + s->end;
	}
	return s->rate;
}

double
schedule_rate(const struct schedule *s, int64_t k)
{
	bool waves = s->kind == SCHEDULE_COSINE || s->kind == SCHEDULE_COSINE_WITH_RESTARTS || s->kind == SCHEDULE_SINE;

	if (s->compat && waves)
		return compat_rate(s, k);
	if (s->kind == SCHEDULE_SINE)
		return wave(s, sin(PI * (double)k / (double)s->warmup));
	if (k < s->warmup && s->kind != SCHEDULE_CONSTANT)
		return s->rate * ((double)k / (double)s->warmup);
	return decayed(s, k);
}
