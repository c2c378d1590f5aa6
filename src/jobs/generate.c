/* SPDX-License-Identifier: Apache-2.0 */
/* One model after another: what it gave stays on the host, so that memory holds the largest of them and no more. */
#include "jobs/generate_parts.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/device.h"
#include "jobs/train_model.h"
#include "models/sound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct making {
	const struct generate_job *job;
	const struct generate_clips *clips;
	struct dev dev;
	struct generate_conditioned heard;
	int64_t frames, n;		/* n: numbers of a latent */
	float *latent;			/* [clips][n] */
	float *reference;		/* [n]; NULL: none */
	struct generation_options loop;	/* the job's, with what is made anew of the reference */
	bool *again;			/* [frames]; NULL: all */
	int done;			/* latents that are there */
	struct st_file noise;
	bool noise_open;
	double start, sampled, decoded;	/* seconds */
	int calls;			/* of the network, a clip */
};

/* --- noise --- */

static enum status
given(const struct making *g, const char *name, int64_t wanted, const float **x)
{
	const struct st_entry *e = st_find(&g->noise, name);

	*x = NULL;
	if (!e)
		return ACE_OK;
	if (e->value.dtype != F32 || tensor_count(e->value) != wanted)
		return ace_fail(ACE_EDATA, "%s: %s is %lld numbers of %s; wanted %lld of F32, for %lld latent frames", g->job->noise, name,
		                (long long)tensor_count(e->value), dtype_name(e->value.dtype), (long long)wanted, (long long)g->frames);
	*x = e->value.data;
	return ACE_OK;
}

/* Another take: the noise of clip k turned towards that of another seed, where it is made anew. */
static enum status
retake(const struct making *g, int k, float *x)
{
	float *other = malloc((size_t)g->n * sizeof *other);

	if (!other)
		return ace_fail(ACE_ENOMEM, "no memory for noise");
	rng_normal_fill(rng_stream(g->job->other + (uint64_t)k, RNG_GENERATION, 0, 2), other, g->n);
	sampler_retake(other, x, other, g->n, g->job->variance);
	for (int64_t i = 0; i < g->n; i++)
		if (!g->again || g->again[i % g->frames])
			x[i] = other[i];
	free(other);
	return ACE_OK;
}

/* What clip k begins with, and what its steps add. */
static enum status
begin(struct making *g, int k, float *x, struct generation_noise *fresh)
{
	uint64_t seed = g->job->seed + (uint64_t)k;
	const float *data = NULL;

	*fresh = (struct generation_noise){ .fresh = rng_stream(seed, RNG_GENERATION, 0, 1) };
	if (g->noise_open) {
		ACE_TRY(given(g, "noise", g->n, &data));
		ACE_TRY(given(g, "step_noise", g->n * g->calls, &fresh->given));
		if (!data)
			return ace_fail(ACE_EDATA, "%s: there is no tensor noise", g->job->noise);
		memcpy(x, data, (size_t)g->n * sizeof *x);
		return ACE_OK;
	}
	rng_normal_fill(rng_stream(seed, RNG_GENERATION, 0, 0), x, g->n);
	return g->job->retake || g->again ? retake(g, k, x) : ACE_OK;
}

/* --- sampling --- */

static void
show(void *me, int call, int calls)
{
	const struct making *g = me;
	double gone = clock_now() - g->sampled;
	char left[40] = "";
	int64_t at = (int64_t)g->done * calls + call, all = (int64_t)g->clips->n * calls;

	if (at > 0) {
		clock_length(gone / (double)at * (double)(all - at), left, sizeof left);
		strcat(left, " left");
	}
	if (g->clips->n > 1)
		msg_progress("sampling", at, all, "clip %d of %d  %s", g->done + 1, g->clips->n, left);
	else
		msg_progress("sampling", at, all, "%s", left);
}

/* was: the model with what the reference is, where that is edited. */
static enum status
sample_one(struct making *g, struct generate_model *m, struct generate_model *was, float *x)
{
	const struct generate_conditions *heard = &g->heard.clip[g->done];
	struct generation_noise fresh;

	if (g->job->edits)
		return generate_edited(m, was, x, g->frames, heard, &g->heard.clip[g->clips->n], &g->heard.negative,
		                       rng_stream(g->job->seed + (uint64_t)g->done, RNG_GENERATION, 0, 1));
	ACE_TRY(begin(g, g->done, x, &fresh));
	return generate_sample(m, x, g->frames, heard, &g->heard.negative, &fresh);
}

static enum status
sample_all(struct making *g, struct generate_model *m, struct generate_model *was)
{

	if (m->m->cfg.text_dim != g->heard.width)
		return ace_fail(ACE_ECONFIG, "the text encoder gives %d numbers a token, the transformer takes %lld", g->heard.width,
		                (long long)m->m->cfg.text_dim);
	m->shows = was->shows = show;
	m->me = was->me = g;
	m->reference = g->reference;
	m->loop = &g->loop;
	g->sampled = clock_now();
	for (; g->done < g->clips->n; g->done++)
		ACE_TRY(sample_one(g, m, was, g->latent + g->done * g->n));
	msg_progress("sampling", (int64_t)g->done * g->calls, (int64_t)g->done * g->calls, "%s", "");
	return ACE_OK;
}

static enum status
sample(struct making *g)
{
	struct generate_model m, was = { 0 };
	struct dit dit;
	int modules;
	enum status st;

	ACE_TRY(generate_open_dit(&dit, g->job, &g->dev, &modules));
	for (int i = 0; i < g->job->loras; i++)
		msg_info("LoRA       %s at %g%s", g->job->lora[i].path, (double)g->job->lora[i].strength,
		         i + 1 < g->job->loras ? "" : modules == 1 ? " (1 module)" : "");
	st = generate_model_open(&m, g->job, &dit);
	if (st == ACE_OK && g->job->edits)
		st = generate_model_open(&was, g->job, &dit);
	if (st == ACE_OK)
		st = sample_all(g, &m, &was);
	msg_progress_end();
	generate_model_close(&m);
	if (was.m)
		generate_model_close(&was);
	dit_close(&dit);
	g->sampled = clock_now() - g->sampled;
	return st;
}

/* --- decoding --- */

static enum status
decode_one(struct making *g, struct sound *sound, int k, bool chunked)
{
	const struct generate_job *j = g->job;
	char *path = generate_path(j, &g->clips->clip[k], audio_ending(j->format)), length[32];
	float *x = NULL;
	int64_t n = 0;
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");

	if (st == ACE_OK)
		st = sound_decode(sound, g->latent + k * g->n, g->frames, chunked, j->rate, &x, &n);
	if (st == ACE_OK)
		st = audio_write(path, x, 2, n, j->rate, j->format);
	if (st == ACE_OK) {
		msg_progress_end();
		msg_info("wrote      %s  %s, %g kHz, seed %llu", path, clock_length((double)n / j->rate, length, sizeof length),
		         j->rate / 1000., (unsigned long long)j->seed + (unsigned long long)k);
	}
	free(x);
	free(path);
	return st;
}

/* In pieces where it was asked for, or where memory would not do for all at once. */
static bool
in_pieces(const struct making *g, const struct sound *sound)
{
	size_t wanted, there = train_memory_there();

	if (g->job->chunked || !dev_is_host(&g->dev))
		return g->job->chunked;
	wanted = sound_memory(sound, g->frames, false);
	if (wanted <= there / 4 * 3)
		return false;
	msg_info("decoding   in pieces: at once it would take %.1f GiB, there are %.1f", (double)wanted / 0x1p30, (double)there / 0x1p30);
	return true;
}

static enum status
decode(struct making *g)
{
	struct sound sound;
	double start = clock_now();
	bool chunked;
	enum status st;

	ACE_TRY(sound_open(&sound, g->job->codec ? g->job->codec : g->job->model, &g->dev));
	if (sound_channels(&sound) != DIT_CHANNELS || sound_rows(&sound) != DIT_ROWS)
		st = ace_fail(ACE_ECONFIG, "the autoencoder has latents of %d x %d, the transformer of %d x %d", sound_channels(&sound),
		              sound_rows(&sound), DIT_CHANNELS, DIT_ROWS);
	else
		st = ACE_OK;
	chunked = st == ACE_OK && in_pieces(g, &sound);
	for (int k = 0; k < g->done && st == ACE_OK; k++) {
		if (g->done > 1)
			msg_progress("decoding", k, g->done, "%s", g->clips->clip[k].name);
		st = decode_one(g, &sound, k, chunked);
	}
	msg_progress_end();
	sound_close(&sound);
	g->decoded = clock_now() - start;
	return st;
}

static enum status
write_rest(const struct making *g)
{
	for (int k = 0; k < g->done; k++) {
		const struct generate_clip *c = &g->clips->clip[k];
		if (g->job->latents)
			ACE_TRY(generate_write_latent(g->job, c, g->latent + k * g->n, g->frames));
		if (g->job->notes)
			ACE_TRY(generate_write_notes(g->job, c, k, g->frames));
		if (!g->job->sound)
			msg_info("wrote      %s  %lld latent frames, seed %llu", g->job->output, (long long)g->frames,
			         (unsigned long long)g->job->seed + (unsigned long long)k);
	}
	return ACE_OK;
}

/* --- all of it --- */

static enum status
prepare(struct making *g)
{
	const struct generate_job *j = g->job;
	int outputs;

	ACE_TRY(generate_check_output(j));
	if (!generation_cost(&j->loop, &g->calls, &outputs))
		return ACE_ECONFIG;			/* has said why */
	ACE_TRY(device_open(&g->dev, j->device, j->threads, 0));
	g->dev.tf32 = j->tf32;
	g->frames = sampler_frames(j->seconds);
	if (j->reference)
		ACE_TRY(generate_reference(j, &g->dev, &g->reference, &g->frames));
	if (j->repaint)
		ACE_TRY(generate_repaint(j, &g->reference, &g->frames, &g->again));
	g->loop = j->loop;
	g->loop.again = g->again;
	if (j->edits ? !generation_edit_cost(&g->loop, &j->edit, &g->calls) : !generation_cost(&g->loop, &g->calls, &outputs))
		return ACE_ECONFIG;			/* has said why */
	g->n = DIT_CHANNELS * DIT_ROWS * g->frames;
	g->latent = malloc((size_t)g->clips->n * (size_t)g->n * sizeof *g->latent);
	if (!g->latent)
		return ace_fail(ACE_ENOMEM, "no memory for %d latents", g->clips->n);
	if (j->noise) {
		ACE_TRY(st_open(&g->noise, j->noise));
		g->noise_open = true;
	}
	return ACE_OK;
}

static void
say_repaint(const struct making *g)
{
	const struct generate_job *j = g->job;
	int64_t anew = 0;

	for (int64_t t = 0; t < g->frames; t++)
		anew += g->again[t];
	msg_info("reference  %s: %.1f of %.1f s are made anew, %d of the steps are left", j->reference, (double)anew * 4096 / 44100,
	         (double)g->frames * 4096 / 44100, g->calls);
}

static void
say_plan(const struct making *g)
{
	const struct generate_job *j = g->job;
	const struct guidance_options *guidance = &j->loop.guidance;
	char device[32], scale[80] = "no guidance";
	int calls, outputs;

	if (generation_cost(&j->loop, &calls, &outputs) && outputs > calls && guidance_double(guidance))
		snprintf(scale, sizeof scale, "guidance %g for the text, %g for the lyrics", guidance->text, guidance->lyric);
	else if (outputs > calls)
		snprintf(scale, sizeof scale, "%s guidance %g", settings_str(j->settings, "guidance_type"), guidance->scale);
	msg_info("ace-generate: %d clip%s of %.3g s, %d steps of %s, %s; seed %llu; %s", g->clips->n, g->clips->n == 1 ? "" : "s",
	         j->reference ? (double)g->frames * 4096 / 44100 : j->seconds, j->loop.steps, sampler_name(j->loop.kind), scale,
	         (unsigned long long)j->seed, device_text(&g->dev, device));
	if (j->repaint)
		say_repaint(g);
	else if (j->edits)
		msg_info("reference  %s: from \"%.60s\" to the prompt, %d calls of the transformer", j->reference,
		         g->clips->clip[g->clips->n].prompt, g->calls);
	else if (j->reference)
		msg_info("reference  %s at %g: %d of the steps are left", j->reference, j->loop.strength,
		         sampler_steps_from(j->loop.steps, j->loop.strength));
}

static enum status
make(struct making *g)
{
	enum status st, stopped;

	ACE_TRY(prepare(g));
	say_plan(g);
	ACE_TRY(generate_encode(&g->heard, g->job, g->clips, &g->dev));
	stopped = stop_asked() ? ACE_ESTOPPED : sample(g);
	if (stopped != ACE_OK && stopped != ACE_ESTOPPED)
		return stopped;
	st = g->job->sound && g->done > 0 ? decode(g) : ACE_OK;
	if (st == ACE_OK)
		st = write_rest(g);
	if (st != ACE_OK)
		return st;
	if (stopped == ACE_ESTOPPED)
		msg_info("stopped    %d of %d clips are made. Run again to make them all (exit 75).", g->done, g->clips->n);
	else
		msg_info("done       %.1f s: %.1f of sampling (%.0f ms a step), %.1f of decoding", clock_now() - g->start, g->sampled,
		         1000 * g->sampled / g->clips->n / g->job->loop.steps, g->decoded);
	return stopped;
}

enum status
generate_make(const struct generate_job *j, const struct generate_clips *c)
{
	struct making g = { .job = j, .clips = c, .start = clock_now() };
	enum status st = make(&g);

	generate_conditioned_free(&g.heard);
	if (g.noise_open)
		st_close(&g.noise);
	if (g.dev.m)
		dev_close(&g.dev);
	free(g.latent);
	free(g.reference);
	free(g.again);
	return st;
}

enum status
generate_run(struct settings *s)
{
	struct generate_clips c = { 0 };
	struct generate_job j;
	enum status st;

	stop_setup((int)settings_i64(s, "grace"));
	st = generate_clips_of(&c, s);
	if (st == ACE_OK) {
		st = generate_fill(&j, s);
		if (st == ACE_OK)
			st = generate_make(&j, &c);
		generate_job_free(&j);
	}
	generate_clips_free(&c);
	return st;
}
