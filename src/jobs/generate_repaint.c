/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a song made anew, what comes before or behind it, and a song of another prompt (sampling.md section 6). */
#include "jobs/generate_parts.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* FROM-TO in seconds, TO left out: the end. */
static enum status
fill_range(struct generate_job *j, const char *text)
{
	const char *p = text;
	char *end;

	j->from = strtod(p, &end);
	if (end == p || *end != '-' || !(j->from >= 0 && j->from < 1e6))
		goto bad;
	p = end + 1;
	j->to = *p ? strtod(p, &end) : INFINITY;
	if (*p && (end == p || *end || !(j->to > j->from)))
		goto bad;
	return ACE_OK;
bad:
	return ace_fail(ACE_EUSAGE, "repaint=%s; wanted FROM-TO in seconds, FROM below TO, or FROM- for all that follows", text);
}

enum status
generate_fill_repaint(struct generate_job *j, const struct settings *s)
{
	const char *range = settings_str(s, "repaint");

	j->before = settings_f64(s, "extend_before");
	j->after = settings_f64(s, "extend_after");
	j->repaint = (range && *range) || j->before > 0 || j->after > 0;
	if (!j->repaint)
		return ACE_OK;
	if (!j->reference)
		return ace_fail(ACE_EUSAGE, "repaint, extend_before and extend_after want a song: reference=FILE");
	if (settings_is_set(s, "reference_strength"))
		return ace_fail(ACE_EUSAGE, "reference_strength is for a whole song; what is made anew of it has retake_variance");
	if (j->loop.kind != SAMPLER_EULER)
		return ace_fail(ACE_EUSAGE, "repaint, extend_before and extend_after take scheduler=euler, not %s", sampler_name(j->loop.kind));
	if (range && *range)
		ACE_TRY(fill_range(j, range));
	j->loop.strength = 0;
	j->loop.variance = settings_is_set(s, "retake_variance") || !(j->before > 0 || j->after > 0) ? j->variance : 1;
	if (!(j->loop.variance > 0))
		return ace_fail(ACE_EUSAGE, "retake_variance=0 makes nothing anew; wanted a number above 0 to 1");
	j->variance = j->loop.variance;
	if (!j->retake)
		j->other = j->seed;
	return ACE_OK;
}

enum status
generate_fill_edit(struct generate_job *j, const struct settings *s)
{
	static const char *const others[] = { "repaint", "extend_before", "extend_after", "reference_strength", "retake_seed",
		"retake_variance", "noise" };

	j->edits = settings_has(s, "source_prompt");
	j->edit = (struct edit_options){ settings_f64(s, "edit_n_min"), settings_f64(s, "edit_n_max"), (int)settings_i64(s, "edit_n_avg") };
	if (!j->edits) {
		static const char *const own[] = { "source_lyrics", "edit_n_min", "edit_n_max", "edit_n_avg" };
		for (size_t i = 0; i < sizeof own / sizeof *own; i++)
			if (settings_is_set(s, own[i]))
				return ace_fail(ACE_EUSAGE, "%s is given without source_prompt, which says what the reference is", own[i]);
		return ACE_OK;
	}
	if (!j->reference)
		return ace_fail(ACE_EUSAGE, "source_prompt wants the song that it is about: reference=FILE");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (settings_is_set(s, others[i]))
			return ace_fail(ACE_EUSAGE, "source_prompt and %s exclude each other", others[i]);
	if (j->loop.kind != SAMPLER_EULER)
		return ace_fail(ACE_EUSAGE, "source_prompt takes scheduler=euler, not %s", sampler_name(j->loop.kind));
	if (!(j->edit.from < j->edit.to))
		return ace_fail(ACE_EUSAGE, "edit_n_min=%g is not below edit_n_max=%g", j->edit.from, j->edit.to);
	j->loop.strength = 0;
	return ACE_OK;
}

/* x [rows, frames] to [rows, before + frames + after], zeros at both ends. */
static enum status
lengthen(float **x, int64_t *frames, int64_t before, int64_t after)
{
	int64_t rows = DIT_CHANNELS * DIT_ROWS, longer = before + *frames + after;
	float *y;

	if (longer == *frames)
		return ACE_OK;
	if (!(y = calloc((size_t)(rows * longer), sizeof *y)))
		return ace_fail(ACE_ENOMEM, "no memory for a latent of %lld frames", (long long)longer);
	for (int64_t r = 0; r < rows; r++)
		memcpy(y + r * longer + before, *x + r * *frames, (size_t)*frames * sizeof *y);
	free(*x);
	*x = y;
	*frames = longer;
	return ACE_OK;
}

enum status
generate_repaint(const struct generate_job *j, float **x, int64_t *frames, bool **again)
{
	int64_t before = sampler_frames(j->before), after = sampler_frames(j->after), was = *frames, most = sampler_frames(GENERATE_SECONDS);
	int64_t from = sampler_frames(j->from), to = isfinite(j->to) ? sampler_frames(j->to) : was;

	*again = NULL;
	if (from >= was || (isfinite(j->to) && to > was + 1))
		return ace_fail(ACE_EUSAGE, "repaint=%s: %s is %.2f s long; extend_after makes it longer", settings_str(j->settings, "repaint"),
		                j->reference, (double)was * 4096 / 44100);
	to = to < was ? to : was;
	if (before + was + after > most)
		return ace_fail(ACE_EUSAGE, "%s of %.2f s gets too long by extend_before and extend_after: %g s are the most", j->reference,
		                (double)was * 4096 / 44100, (double)GENERATE_SECONDS);
	ACE_TRY(lengthen(x, frames, before, after));
	if (!(*again = calloc((size_t)*frames, sizeof **again)))
		return ace_fail(ACE_ENOMEM, "no memory for %lld frames", (long long)*frames);
	for (int64_t t = 0; t < *frames; t++)
		(*again)[t] = t < before || t >= before + was || (t >= before + from && t < before + to);
	return ACE_OK;
}
