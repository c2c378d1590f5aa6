/* SPDX-License-Identifier: Apache-2.0 */
/* Clips that are rendered while training, from the same prompts and the same noise each time (training.md section 13).
 *
 * The first rank does it: prompts are encoded before the transformer is opened, passes use the memory of a step, and the decoder is opened
 * each time. Ranks that have parts of the blocks hear from it before each pass, and put them together with it. With other adapters
 * beside those that train (train_adapters.c) the transformer is opened once more, with all, as ace-generate has it. What goes
 * wrong with a clip is a warning; the run goes on, and its numbers are those of one without validation. */
#include "jobs/train_validate.h"

#include "base/clock.h"
#include "base/datadir.h"
#include "base/file.h"
#include "base/hub.h"
#include "base/msg.h"
#include "train/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- what is asked for --- */

static enum status
fill_run(struct generate_job *j, const struct settings *s)
{
	const char *kind = settings_str(s, "validation_noise_scheduler"), *form = settings_str(s, "validation_guidance_type");
	const char *negative = settings_str(s, "validation_negative_prompt");

	*j = (struct generate_job){ .settings = s, .loop = GENERATION_DEFAULT, .rate = TRAIN_VALIDATION_RATE, .format = AUDIO_PCM16 };
	j->loop.shift = settings_f64(s, "flow_schedule_shift");
	j->loop.steps = (int)settings_i64(s, "validation_num_inference_steps");
	j->loop.omega = settings_f64(s, "validation_omega_scale");
	j->loop.guidance.scale = settings_f64(s, "validation_guidance");
	j->erg_tag = settings_bool(s, "validation_erg_tag");
	j->seconds = settings_f64(s, "validation_audio_duration");
	j->seed = (uint64_t)(settings_has(s, "validation_seed") ? settings_i64(s, "validation_seed") : settings_i64(s, "seed"));
	j->negative = negative && *negative ? negative : NULL;
	if (!sampler_named(&j->loop.kind, kind) || !guidance_named(&j->loop.guidance.kind, form))
		return ace_fail(ACE_EBUG, "validation_noise_scheduler=%s, validation_guidance_type=%s: no such name", kind, form);
	ACE_TRY(generate_fill_weak(j, s));
	return generate_fill_texts(j, s);
}

static void
fill_course(struct train_validation *v, const struct settings *s, bool average)
{
	const char *which = settings_str(s, "ema_validation");

	v->steps = settings_i64(s, "validation_step_interval");
	v->epochs = settings_i64(s, "validation_epoch_interval");
	v->after_step = settings_i64(s, "validate_after_step");
	v->after_epoch = settings_i64(s, "validate_after_epoch");
	v->startup = settings_bool(s, "validation_on_startup");
	v->randomize = settings_bool(s, "validation_randomize");
	v->benchmark = !settings_bool(s, "disable_benchmark");
	v->copies = settings_i64(s, "num_validation_images");
	v->average = average && strcmp(which, "none") != 0;
	v->raw = !v->average || strcmp(which, "comparison") == 0;
	v->frames = sampler_frames(v->job.seconds);
}

/* The prompts of validation_prompt_library: those that come with the programs, or of a file. */
static enum status
read_library(struct generate_clips *c, const char *library, const char *lyrics)
{
	bool ours = strcmp(library, "true") == 0 || (strcmp(library, "audio") == 0 && !file_exists(library));
	char *found = ours ? datadir_find("prompts.json") : NULL;
	enum status st = !ours || found ? ACE_OK : ace_fail(ACE_ENOINPUT, "validation_prompt_library: datasets/prompts.json is not where "
	                                                   "the programs were installed");

	if (st == ACE_OK)
		st = generate_read(c, ours ? found : library, lyrics);
	free(found);
	return st;
}

/* Files are called by the names. */
static enum status
check_names(const struct generate_clips *c)
{
	for (int i = 0; i < c->n; i++)
		for (int k = 0; k < i; k++)
			if (strcmp(c->clip[i].name, c->clip[k].name) == 0)
				return ace_fail(ACE_ECONFIG, "two prompts for validation are called \"%s\"; wanted names that differ",
				                c->clip[i].name);
	return ACE_OK;
}

/* The prompts in their order; none, and nothing is rendered, when no option gives any. */
static enum status
list(struct generate_clips *c, const struct settings *s)
{
	const char *prompt = settings_str(s, "validation_prompt"), *lyrics = settings_str(s, "validation_lyrics");
	const char *library = settings_str(s, "user_prompt_library"), *general = settings_str(s, "validation_prompt_library");
	bool own = prompt || (lyrics && *lyrics), many = settings_bool(s, "validation_prompt_library");

	if (!own && !library && !many)
		return ACE_OK;
	if (!settings_bool(s, "validation_disable_unconditional"))
		ACE_TRY(generate_add(c, "unconditional", "", 0, lyrics));
	if (many)
		ACE_TRY(read_library(c, general, lyrics));
	if (library)
		ACE_TRY(generate_read(c, library, lyrics));
	if (own)
		ACE_TRY(generate_add(c, "validation", prompt ? prompt : "", prompt ? strlen(prompt) : 0, lyrics));
	return check_names(c);
}

/* The other parts of the model must be there: said now, not at the first clip. */
static enum status
find_model(struct generate_job *j, const struct settings *s)
{
	static const char *const parts[] = { "umt5-base", "music_dcae_f8c8", "music_vocoder" };
	const char *codec = settings_str(s, "pretrained_vae_model_name_or_path"), *revision = settings_str(s, "revision");

	ACE_TRY(hub_model(settings_str(s, "pretrained_model_name_or_path"), revision, &j->model));
	if (codec)
		ACE_TRY(hub_model(codec, revision, &j->codec));
	for (int i = 0; i < 3; i++) {
		char *path = file_path("%s/%s", i > 0 && j->codec ? j->codec : j->model, parts[i]);
		bool there = path && file_is_dir(path);
		enum status st = there ? ACE_OK : ace_fail(ACE_ENOINPUT, "%s: no such folder; validation renders with it "
		                                           "(validation_disable=true does without)", path ? path : parts[i]);
		free(path);
		ACE_TRY(st);
	}
	return ACE_OK;
}

enum status
train_validation_fill(struct generate_job *j, const struct settings *s)
{
	int calls, outputs;

	ACE_TRY(fill_run(j, s));
	if (!generation_cost(&j->loop, &calls, &outputs))
		return ACE_ECONFIG;			/* has said why */
	return find_model(j, s);
}

static enum status
prepare(struct train *t, struct train_validation *v)
{
	const struct settings *s = t->settings;

	ACE_TRY(train_validation_fill(&v->job, s));
	fill_course(v, s, t->j.step.ema.interval > 0);
	return train_adapters_open(v);
}

/* A command in the place of clips. */
static enum status
take_script(struct train_validation *v)
{
	const struct settings *s = v->train->settings;

	v->script = settings_str(s, "validation_external_script");
	v->background = settings_bool(s, "validation_external_background");
	fill_course(v, s, false);
	v->benchmark = false;
	if (!v->script || !*v->script)
		return ace_fail(ACE_ECONFIG, "validation_method=external-script wants a command as validation_external_script");
	return ACE_OK;
}

enum status
train_validation_open(struct train *t)
{
	struct train_validation *v;
	enum status st;

	if (settings_bool(t->settings, "validation_disable"))
		return ACE_OK;
	v = t->validation = calloc(1, sizeof *v);
	if (!v)
		return ace_fail(ACE_ENOMEM, "no memory for validation");
	v->train = t;
	if (strcmp(settings_str(t->settings, "validation_method"), "external-script") == 0)
		return take_script(v);
	st = list(&v->clips, t->settings);
	if (st == ACE_OK)
		st = train_on_batch_open(v);
	if (st == ACE_OK && v->clips.n == 0 && !v->batch) {
		train_validation_close(t);
		return ACE_OK;
	}
	return st == ACE_OK ? prepare(t, v) : st;
}

enum status
train_validation_encode(struct train *t)
{
	struct train_validation *v = t->validation;

	return v && v->clips.n && t->first ? generate_encode(&v->heard, &v->job, &v->clips, &t->dev) : ACE_OK;
}

enum status
train_validation_ready(struct train *t)
{
	struct train_validation *v = t->validation;
	int64_t n = v ? DIT_CHANNELS * DIT_ROWS * v->frames : 0;

	if (!v || !t->first)
		return ACE_OK;
	ACE_TRY(train_on_batch_ready(v));
	if (v->clips.n == 0)
		return ACE_OK;
	if (t->m.cfg.text_dim != v->heard.width)
		return ace_fail(ACE_ECONFIG, "the text encoder gives %d numbers a token, the transformer takes %lld", v->heard.width,
		                (long long)t->m.cfg.text_dim);
	ACE_TRY(train_adapters_check(v));
	v->latent = malloc((size_t)v->clips.n * (size_t)n * sizeof *v->latent);
	if (!v->latent)
		return ace_fail(ACE_ENOMEM, "no memory for %d latents", v->clips.n);
	ACE_TRY(generate_model_open(&v->model, &v->job, &t->m));
	v->model.lent = (struct arena){ .base = t->step.act.base, .size = t->step.act.size };
	return ACE_OK;
}

void
train_validation_close(struct train *t)
{
	struct train_validation *v = t->validation;

	if (!v)
		return;
	train_on_batch_close(v);
	if (v->model.dev)
		generate_model_close(&v->model);
	generate_conditioned_free(&v->heard);
	generate_clips_free(&v->clips);
	train_adapters_close(v);
	generate_job_free(&v->job);
	free(v->latent);
	free(v);
	t->validation = NULL;
}

/* --- rendering --- */

static void
show(void *me, int call, int calls)
{
	const struct train_validation *v = me;

	msg_progress("validation", (int64_t)v->done * calls + call, (int64_t)v->clips.n * calls, "%s", v->clips.clip[v->done].name);
}

static enum status
sample_one(struct train_validation *v)
{
	uint64_t seed = v->seed + (v->seeds ? (uint64_t)v->done : 0);
	const struct generation_noise fresh = { .fresh = rng_stream(seed, RNG_GENERATION, 0, 1) };
	int64_t n = DIT_CHANNELS * DIT_ROWS * v->frames;
	float *x = v->latent + v->done * n;

	rng_normal_fill(rng_stream(seed, RNG_GENERATION, 0, 0), x, n);
	return generate_sample(&v->model, x, v->frames, &v->heard.clip[v->done], &v->heard.negative, &fresh);
}

enum { NO_MORE = -1 };

/* The first rank: the others run the blocks as often as it is about to, or (0) the lyric encoder; NO_MORE: it is done. */
static enum status
join(void *me, int passes)
{
	struct train_validation *v = me;
	int64_t n = passes;

	return exchange_most(v->train->step.o.exchange, &n);
}

/* The others, until there are no more. */
static enum status
follow(struct exchange *x)
{
	int64_t n;

	do {
		n = NO_MORE;
		ACE_TRY(exchange_most(x, &n));
		if (n == 0)
			exchange_idle_tokens(x);
		for (int64_t k = 0; k < n; k++)
			exchange_idle_forward(x);
	} while (n != NO_MORE);
	return ACE_OK;
}

/* All clips. The first rank's failure is kept: others take part in what follows. */
static void
sample_all(struct train_validation *v)
{
	v->model.shows = show;
	v->model.me = v;
	for (v->done = 0; v->done < v->clips.n && v->st == ACE_OK; v->done += v->st == ACE_OK)
		v->st = sample_one(v);
	msg_progress_end();
}

static enum status
lead(struct train_validation *v)
{
	v->model.joins = join;
	sample_all(v);
	return join(v, NO_MORE);
}

/* While the values are those to be shown. */
static enum status
sample(void *me)
{
	struct train_validation *v = me;
	struct exchange *x = v->train->step.o.exchange;
	enum status st;

	exchange_looks(x, true);
	st = exchange_begin(x, false);
	if (st == ACE_OK)
		st = v->train->first ? lead(v) : follow(x);
	if (st == ACE_OK)
		st = exchange_end(x);
	exchange_looks(x, false);
	return st;
}

/* While the values are those to be shown, whole. */
static enum status
write_own(void *me)
{
	struct train_validation *v = me;
	enum status st = train_write_adapters(v->train, v->own);

	if (v->st == ACE_OK)
		v->st = st;
	return ACE_OK;
}

/* By the first rank alone, with the adapters that were written and the other one. */
static enum status
sample_beside(struct train_validation *v)
{
	const struct generate_model own = v->model;
	struct dit m;
	int modules;

	ACE_TRY(generate_open_dit(&m, &v->job, own.dev, &modules));
	v->st = generate_model_open(&v->model, &v->job, &m);
	v->model.lent = own.lent;
	sample_all(v);
	generate_model_close(&v->model);
	v->model = own;
	dit_close(&m);
	return v->st;
}

enum status
train_validation_sample(struct train_validation *v, bool average)
{
	struct step *s = &v->train->step;

	v->done = 0;
	if (!v->with)
		return average ? state_average_shown(s, false, sample, v) : state_looked_at(s, sample, v);
	ACE_TRY(average ? state_average_shown(s, true, write_own, v) : state_shown(s, write_own, v));
	if (v->train->first && v->st == ACE_OK)
		v->st = sample_beside(v);
	if (v->train->first && file_remove_tree(v->own) != ACE_OK)
		msg_warn("%s", ace_message());
	return ACE_OK;
}

/* With a, or NULL, by the values or their averages. The calls that all ranks take part in are made whatever has failed. */
static enum status
render_with(struct train_validation *v, const struct train_adapters *a, bool average)
{
	bool named = a && *a->label;
	char ending[120];
	enum status st;

	snprintf(ending, sizeof ending, "%s%s%s", named ? "_" : "", named ? a->label : "", average ? "_ema" : "");
	train_adapters_use(v, a);
	st = train_validation_sample(v, average);
	if (st == ACE_OK && v->st == ACE_OK && v->train->first)
		v->st = train_validation_write(v, ending);
	train_adapters_use(v, NULL);
	return st;
}

static enum status
render_kind(struct train_validation *v, bool average)
{
	if (v->without)
		ACE_TRY(render_with(v, NULL, average));
	for (int i = 0; i < v->others; i++)
		ACE_TRY(render_with(v, &v->other[i], average));
	return ACE_OK;
}

/* Both kinds of values that are asked for. */
static enum status
render(struct train_validation *v)
{
	v->st = ACE_OK;
	if (v->clips.n > 0 && v->raw)
		ACE_TRY(render_kind(v, false));
	if (v->clips.n > 0 && v->average)
		ACE_TRY(render_kind(v, true));
	return ACE_OK;
}

/* --- what the model makes without what trains --- */

static uint64_t
seed_of(const struct train_validation *v)
{
	uint32_t drawn;

	return v->randomize && getentropy(&drawn, sizeof drawn) == 0 ? drawn & 0x7fffffffu : v->job.seed;
}

/* The first rank: whether that is wanted and can be had. What was trained before and is no adapter cannot be taken away. */
static bool
wants_benchmark(const struct train_validation *v)
{
	const struct train *t = v->train;
	char *there = file_path("%s/" TRAIN_BENCHMARK, t->j.out);
	bool wanted = there && !file_exists(there) && !(t->c.path && (t->j.full || t->j.lyrics));

	free(there);
	return wanted && v->clips.n > 0;
}

/* The folder is there whole or not at all. */
static enum status
write_benchmark(struct train_validation *v)
{
	const char *out = v->train->j.out;
	char *part = file_path("%s/" TRAIN_BENCHMARK ".part", out), *folder = file_path("%s/" TRAIN_BENCHMARK, out);
	enum status st = part && folder ? file_remove_tree(part) : ace_fail(ACE_ENOMEM, "no memory for a path");

	if (st == ACE_OK)
		st = train_validation_write(v, "_base_model");
	if (st == ACE_OK)
		st = file_rename(part, folder);
	free(part);
	free(folder);
	return st;
}

/* The same clips, with adapters of no strength. */
static enum status
sample_bare(struct train_validation *v)
{
	enum status st;

	for (int i = 0; i < v->heard.clips; i++)
		v->heard.clip[i].strength = 0;
	v->bare = true;
	st = train_validation_sample(v, false);
	if (st == ACE_OK && v->st == ACE_OK && v->train->first)
		v->st = write_benchmark(v);
	v->bare = false;
	for (int i = 0; i < v->heard.clips; i++)
		v->heard.clip[i].strength = v->clips.clip[i].strength;
	return st;
}

static enum status
benchmark(struct train_validation *v)
{
	struct train *t = v->train;
	int64_t wanted = t->first && wants_benchmark(v);
	double start = clock_now();

	ACE_TRY(exchange_most(t->step.o.exchange, &wanted));
	if (!wanted)
		return ACE_OK;
	v->seed = seed_of(v);
	v->st = ACE_OK;
	train_may_be_late(t, true);
	ACE_TRY(sample_bare(v));
	if (t->first && v->st == ACE_OK)
		msg_info("benchmark  the model without what trains: %d clip%s in %.1f s -> %s/" TRAIN_BENCHMARK, v->clips.n,
		         v->clips.n == 1 ? "" : "s", clock_now() - start, t->j.out);
	else if (t->first && v->st == ACE_ESTOPPED)
		msg_info("validation broken off: asked to stop");
	else if (t->first)
		msg_warn("the clips of the model without what trains failed, training goes on: %s", ace_message());
	ACE_TRY(train_agree(t, t->dev.status));
	train_may_be_late(t, false);
	return ACE_OK;
}

static bool
due(const struct train *t, const struct loop_report *r)
{
	const struct train_validation *v = t->validation;
	int64_t step = t->step.updates;

	if (!v || step < v->after_step || (r ? r->epochs_done : 0) < v->after_epoch)
		return false;
	if (!r)
		return v->startup;
	if (v->steps > 0 && step % v->steps == 0)
		return true;
	return v->epochs > 0 && r->epoch_ended && r->epochs_done % v->epochs == 0;
}

static void
say(const struct train_validation *v, double seconds)
{
	const struct train *t = v->train;
	int made = v->clips.n * (v->raw + v->average) * (v->without + v->others);

	if (v->st == ACE_ESTOPPED)
		msg_info("validation broken off: asked to stop");
	else if (v->st != ACE_OK)
		msg_warn("validation of step %lld failed, training goes on: %s", (long long)t->step.updates, ace_message());
	else if (v->clips.n)
		msg_info("validation step %lld: %d clip%s in %.1f s -> %s/validation_audio", (long long)t->step.updates,
		         made, made == 1 ? "" : "s", seconds, t->j.out);
}

static void
run_script(const struct train_validation *v)
{
	static const char what[] = "validation_external_script";
	struct train *t = v->train;

	msg_progress_end();
	msg_info("validation step %lld: %s", (long long)t->step.updates, what);
	train_start_command(t, what, v->script);
	if (!v->background)
		train_wait_scripts(t, true);
}

enum status
train_validate(struct train *t, const struct loop_report *r, bool *rendered)
{
	struct train_validation *v = t->validation;
	double start = clock_now();

	if (v && v->benchmark && !r)
		ACE_TRY(benchmark(v));
	*rendered = due(t, r);
	if (!*rendered)
		return ACE_OK;
	v->seed = seed_of(v);
	train_may_be_late(t, true);
	ACE_TRY(render(v));
	if (t->first)
		say(v, clock_now() - start);
	if (v->script && t->first)
		run_script(v);
	if (v->batch)
		ACE_TRY(train_on_batch(v, r ? r->batch : t->at));
	ACE_TRY(train_agree(t, t->dev.status));
	train_may_be_late(t, false);
	return ACE_OK;
}
