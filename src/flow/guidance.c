/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/guidance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool
guidance_named(enum guidance_kind *kind, const char *name)
{
	static const char *const names[] = { "apg", "cfg", "cfg_star" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(name, names[i]) == 0) {
			*kind = (enum guidance_kind)i;
			return true;
		}
	}
	return false;
}

enum status
guidance_check(const struct guidance_options *o)
{
	const struct {
		const char *name;
		double value;
	} numbers[] = { { "scale", o->scale }, { "least scale", o->least }, { "decay", o->decay }, { "text scale", o->text },
		        { "lyric scale", o->lyric } };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (!isfinite(numbers[i].value))
			return ace_fail(ACE_ECONFIG, "the guidance's %s is %g: a number is wanted", numbers[i].name, numbers[i].value);
	if (!(o->interval >= 0 && o->interval <= 1))
		return ace_fail(ACE_ECONFIG, "the guidance's interval is %g: a share of the run, 0 to 1, is wanted", o->interval);
	return ACE_OK;
}

bool
guidance_double(const struct guidance_options *o)
{
	return o->text > 1 && o->lyric > 1;
}

void
guidance_interval(const struct guidance_options *o, int steps, int *start, int *end)
{
	*start = (int)(steps * ((1 - o->interval) / 2));
	*end = (int)(steps * (o->interval / 2 + 0.5));
	if (o->scale == 0 || o->scale == 1)
		*end = *start;
}

double
guidance_scale_at(const struct guidance_options *o, int start, int end, int i)
{
	double progress = end - start > 1 ? (double)(i - start) / (end - start - 1) : 0;

	return o->decay > 0 ? o->scale - (o->scale - o->least) * progress * o->decay : o->scale;
}

enum status
guidance_open(struct guidance *g, const struct guidance_options *how, int64_t clips, int64_t planes, int64_t per_plane)
{
	size_t n = (size_t)(clips * planes * per_plane);

	*g = (struct guidance){ .how = *how, .clips = clips, .planes = planes, .per_plane = per_plane };
	if (how->kind != GUIDANCE_APG || guidance_double(how))
		return ACE_OK;
	g->buffer = calloc(n, sizeof(float));
	g->change = calloc(n, sizeof(float));
	if (g->buffer && g->change)
		return ACE_OK;
	guidance_close(g);
	return ace_fail(ACE_ENOMEM, "no memory for two samples of %zu bytes", n * sizeof(float));
}

void
guidance_close(struct guidance *g)
{
	free(g->buffer);
	free(g->change);
	*g = (struct guidance){ 0 };
}

static double
norm(const float *x, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i] * (double)x[i];
	return sqrt(sum);
}

/* One plane: the change, limited in its length, loses what points along c (but eta of it). */
static void
project(const struct guidance_options *o, float *out, const float *c, float *change, int64_t n, double scale)
{
	double length = norm(change, n), along, dot = 0;
	float by = o->limit > 0 && length > o->limit ? (float)(o->limit / length) : 1.f;

	for (int64_t i = 0; i < n; i++)
		change[i] *= by;
	along = norm(c, n);
	along = along > 1e-12 ? along : 1e-12;
	for (int64_t i = 0; i < n; i++)
		dot += (double)change[i] * ((double)c[i] / along);
	for (int64_t i = 0; i < n; i++) {
		double parallel = dot * ((double)c[i] / along);
		float p = (float)parallel, rest = (float)((double)change[i] - parallel);
		out[i] = c[i] + (float)(scale - 1) * (rest + (float)o->eta * p);
	}
}

static void
apg(struct guidance *g, float *out, const float *c, const float *u, double scale)
{
	int64_t n = g->clips * g->planes * g->per_plane;

	for (int64_t i = 0; i < n; i++)
		g->buffer[i] = g->change[i] = (c[i] - u[i]) + (float)g->how.momentum * g->buffer[i];
	for (int64_t at = 0; at < n; at += g->per_plane)
		project(&g->how, out + at, c + at, g->change + at, g->per_plane, scale);
}

static void
cfg_star(const struct guidance *g, float *out, const float *c, const float *u, double scale, int i)
{
	int64_t n = g->planes * g->per_plane;

	if (i <= g->how.zero_steps) {
		memset(out, 0, (size_t)(g->clips * n) * sizeof *out);
		return;
	}
	for (int64_t b = 0; b < g->clips; b++, out += n, c += n, u += n) {
		double cu = 0, uu = 0;
		float alpha;
		for (int64_t k = 0; k < n; k++) {
			cu += (double)c[k] * (double)u[k];
			uu += (double)u[k] * (double)u[k];
		}
		alpha = (float)(cu / (uu + 1e-8));
		for (int64_t k = 0; k < n; k++)
			out[k] = alpha * u[k] + (float)scale * (c[k] - alpha * u[k]);
	}
}

void
guidance_apply(struct guidance *g, float *out, const float *c, const float *u, const float *t, double scale, int i)
{
	int64_t n = g->clips * g->planes * g->per_plane;
	float text = (float)g->how.text, lyric = (float)g->how.lyric;

	if (guidance_double(&g->how)) {
		for (int64_t k = 0; k < n; k++)
			out[k] = (1.f - text) * u[k] + (text - lyric) * t[k] + lyric * c[k];
		return;
	}
	switch (g->how.kind) {
	case GUIDANCE_APG:
		apg(g, out, c, u, scale);
		break;
	case GUIDANCE_CFG:
		for (int64_t k = 0; k < n; k++)
			out[k] = u[k] + (float)scale * (c[k] - u[k]);
		break;
	case GUIDANCE_CFG_STAR:
		cfg_star(g, out, c, u, scale, i);
		break;
	}
}
