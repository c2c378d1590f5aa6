/* SPDX-License-Identifier: Apache-2.0 */
/* The options of ace-generate as a job. */
#include "jobs/generate_parts.h"

#include "base/file.h"
#include "base/hub.h"
#include "jobs/device.h"
#include "jobs/transformer.h"
#include "text/lyric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is(const struct settings *s, const char *name, const char *value)
{
	const char *text = settings_str(s, name);

	return text && strcmp(text, value) == 0;
}

/* NULL when it is empty. */
static const char *
path_given(const struct settings *s, const char *name)
{
	const char *path = settings_str(s, name);

	return path && *path ? path : NULL;
}

static enum status
fill_model(struct generate_job *j, const struct settings *s)
{
	const char *codec = settings_str(s, "pretrained_vae_model_name_or_path"), *name, *revision = settings_str(s, "revision");
	enum dtype half = is(s, "mixed_precision", "bf16") ? BF16 : is(s, "mixed_precision", "fp16") ? F16 : F32;

	j->dit = (struct dit_options){ .dtype = is(s, "base_model_default_dtype", "bf16") ? half : F32,
		.attention_masks = is(s, "attention_masks", "original") };
	j->dit.base = is(s, "base_model_precision", "int8-quanto") ? I8 : is(s, "base_model_precision", "fp8") ? F8 :
		is(s, "base_model_precision", "int4-quanto") || is(s, "base_model_precision", "int4") ? I4 : j->dit.dtype;
	j->dit.quantize_feed_forward = settings_bool(s, "quantize_feed_forward");
	j->device = device_kind(s);
	j->threads = (int)settings_i64(s, "threads");
	j->tf32 = !settings_bool(s, "disable_tf32");
	ACE_TRY(hub_model(settings_str(s, "pretrained_model_name_or_path"), revision, &j->model));
	if (codec)
		ACE_TRY(hub_model(codec, revision, &j->codec));
	return transformer_find(s, &name, &j->transformer);
}

/* FILE or FILE:SCALE in text [n], into the next place. */
static enum status
add_lora(struct generate_job *j, const char *text, size_t n)
{
	struct generate_lora *l = &j->lora[j->loras];
	char *colon, *end;

	if (j->loras == GENERATE_LORAS)
		return ace_fail(ACE_EUSAGE, "lora names more than %d files", GENERATE_LORAS);
	if (n == 0)
		return ace_fail(ACE_EUSAGE, "lora names no file before or behind a comma; wanted FILE[:SCALE][,FILE[:SCALE]]");
	*l = (struct generate_lora){ strndup(text, n), 1.f };
	if (!l->path)
		return ace_fail(ACE_ENOMEM, "no memory for the adapters' names");
	j->loras++;
	colon = strrchr(l->path, ':');
	if (colon && !file_exists(l->path)) {
		l->strength = strtof(colon + 1, &end);
		if (end == colon + 1 || *end || !isfinite(l->strength))
			return ace_fail(ACE_EUSAGE, "lora=%s: \"%s\" is no scale; wanted a number", l->path, colon + 1);
		*colon = 0;
	}
	if (!file_exists(l->path))
		return ace_fail(ACE_ENOINPUT, "lora=%s: no such file", l->path);
	return ACE_OK;
}

static enum status
fill_loras(struct generate_job *j, const struct settings *s)
{
	const char *text = settings_str(s, "lora");

	if (!text || !*text)
		return ACE_OK;
	if (file_exists(text))			/* be there commas in it or not */
		return add_lora(j, text, strlen(text));
	for (;;) {
		size_t n = strcspn(text, ",");
		ACE_TRY(add_lora(j, text, n));
		if (!text[n])
			return ACE_OK;
		text += n + 1;
	}
}

static enum status
fill_places(struct generate_job *j, const char *text)
{
	const char *p = text;
	char *end;

	if (j->loop.kind == SAMPLER_HEUN)
		return ace_fail(ACE_EUSAGE, "oss_steps is for the schedulers euler and pingpong, not for heun");
	for (int n = 0;; p = end + 1) {
		long v = strtol(p, &end, 10);
		if (end == p || (*end && *end != ',') || v < 1 || v > 100000 || (n > 0 && v <= j->place[n - 1]) || n == GENERATE_STEPS)
			return ace_fail(ACE_EUSAGE, "oss_steps=%s; wanted numbers from 1 that rise, with commas between, %d at most", text,
			                GENERATE_STEPS);
		j->place[n++] = (int)v;
		j->loop.steps = n;
		if (!*end)
			break;
	}
	j->loop.place = j->place;
	return ACE_OK;
}

/* FIRST-LAST, the text of an option. */
static enum status
weak_range(struct weakening *w, bool on, const char *name, const char *text)
{
	int first = -1, last = -1, n = 0;

	*w = (struct weakening){ 0 };
	if (!on)
		return ACE_OK;
	if (!text || sscanf(text, "%d-%d%n", &first, &last, &n) != 2 || text[n] || first < 0 || last < first || last >= 1000)
		return ace_fail(ACE_EUSAGE, "%s=%s; wanted FIRST-LAST, counted from 0", name, text ? text : "");
	*w = (struct weakening){ first, last + 1, DIT_WEAK_TAU, 0 };
	return ACE_OK;
}

enum status
generate_fill_weak(struct generate_job *j, const struct settings *s)
{
	j->erg_lyric = settings_bool(s, "erg_lyric");
	ACE_TRY(weak_range(&j->layers, j->erg_lyric, "erg_lyric_layers", settings_str(s, "erg_lyric_layers")));
	return weak_range(&j->blocks, settings_bool(s, "erg_diffusion"), "erg_diffusion_blocks", settings_str(s, "erg_diffusion_blocks"));
}

static enum status
fill_run(struct generate_job *j, const struct settings *s)
{
	struct guidance_options *g = &j->loop.guidance;
	const char *place = settings_str(s, "oss_steps");

	j->loop = GENERATION_DEFAULT;
	j->loop.shift = settings_f64(s, "flow_schedule_shift");
	j->loop.steps = (int)settings_i64(s, "steps");
	j->loop.omega = settings_f64(s, "omega_scale");
	g->scale = settings_f64(s, "guidance_scale");
	g->least = settings_f64(s, "min_guidance_scale");
	g->interval = settings_f64(s, "guidance_interval");
	g->decay = settings_f64(s, "guidance_interval_decay");
	g->text = settings_f64(s, "guidance_scale_text");
	g->lyric = settings_f64(s, "guidance_scale_lyric");
	if (!sampler_named(&j->loop.kind, settings_str(s, "scheduler")) || !guidance_named(&g->kind, settings_str(s, "guidance_type")))
		return ace_fail(ACE_EBUG, "scheduler=%s, guidance_type=%s: no such name", settings_str(s, "scheduler"),
		                settings_str(s, "guidance_type"));
	j->erg_tag = settings_bool(s, "erg_tag");
	ACE_TRY(generate_fill_weak(j, s));
	j->seconds = settings_f64(s, "duration");
	j->seed = (uint64_t)settings_i64(s, "seed");
	j->noise = settings_str(s, "noise");
	j->reference = settings_str(s, "reference");
	if (j->reference)
		j->loop.strength = settings_f64(s, "reference_strength");
	j->retake = settings_has(s, "retake_seed");
	j->other = (uint64_t)settings_i64(s, "retake_seed");
	j->variance = settings_f64(s, "retake_variance");
	if (j->reference && settings_is_set(s, "duration"))
		return ace_fail(ACE_EUSAGE, "reference and duration exclude each other: the clip is as long as the reference");
	if (j->reference && place && *place)
		return ace_fail(ACE_EUSAGE, "reference and oss_steps exclude each other");
	if (j->retake && j->noise)
		return ace_fail(ACE_EUSAGE, "retake_seed and noise exclude each other: there is no other take of given noise");
	ACE_TRY(generate_fill_repaint(j, s));
	ACE_TRY(generate_fill_edit(j, s));
	if (settings_is_set(s, "retake_variance") && !j->retake && !j->repaint)
		return ace_fail(ACE_EUSAGE, "retake_variance is given without retake_seed");
	if (settings_is_set(s, "reference_strength") && !j->reference)
		return ace_fail(ACE_EUSAGE, "reference_strength is given without reference");
	if (j->reference && !file_exists(j->reference))
		return ace_fail(ACE_ENOINPUT, "reference=%s: no such file", j->reference);
	if (!(j->loop.shift > 0))
		return ace_fail(ACE_ECONFIG, "flow_schedule_shift=%g; wanted a number above 0", j->loop.shift);
	if ((g->text > 1) != (g->lyric > 1))
		return ace_fail(ACE_EUSAGE, "guidance_scale_text and guidance_scale_lyric go together, both above 1; they are %g and %g",
		                g->text, g->lyric);
	return place && *place ? fill_places(j, place) : ACE_OK;
}

enum status
generate_fill_texts(struct generate_job *j, const struct settings *s)
{
	int64_t most = settings_i64(s, "lyrics_max_tokens");

	j->vocab = settings_str(s, "lyric_vocab");
	j->tables = path_given(s, "text_data_dir");
	j->unidic = path_given(s, "unidic_dir");
	j->per_song = is(s, "lyrics_language", "per-song");
	j->whole_lyrics = !settings_bool(s, "skip_untokenizable_lines");
	j->text_tokens = (int)settings_i64(s, "tokenizer_max_length");
	if (most < 1 || most > LYRIC_MAX)
		return ace_fail(ACE_ECONFIG, "lyrics_max_tokens=%lld; wanted 1 to %d", (long long)most, LYRIC_MAX);
	j->lyric_tokens = (int)most;
	return ACE_OK;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n > m && strcmp(text + n - m, end) == 0;
}

static enum status
fill_output(struct generate_job *j, const struct settings *s)
{
	static const enum audio_format formats[] = { AUDIO_PCM16, AUDIO_FLAC, AUDIO_OGG, AUDIO_MP3 };
	char ending[16];

	j->output = settings_str(s, "output");
	j->folder = settings_has(s, "prompts");
	j->rate = (int)settings_i64(s, "sample_rate");
	j->chunked = settings_bool(s, "chunked_decode");
	j->latents = settings_bool(s, "write_latents");
	j->notes = settings_bool(s, "write_settings");
	j->sound = true;
	j->format = AUDIO_PCM16;
	if (j->folder && settings_is_set(s, "output"))
		return ACE_OK;
	if (j->folder) {
		j->output = "generated";
		return ACE_OK;
	}
	if (ends_with(j->output, ".safetensors")) {
		j->sound = false;
		j->latents = true;
		return ACE_OK;
	}
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		snprintf(ending, sizeof ending, ".%s", audio_ending(formats[i]));
		if (!ends_with(j->output, ending))
			continue;
		j->format = formats[i];
		return audio_can_write(j->format) ? ACE_OK : ace_fail(ACE_EUSAGE, "output=%s: libsndfile here cannot write %s", j->output,
		                                                       ending);
	}
	return ace_fail(ACE_EUSAGE, "output=%s; wanted a name that ends in .wav, .flac, .ogg, .mp3 or .safetensors", j->output);
}

enum status
generate_fill(struct generate_job *j, const struct settings *s)
{
	*j = (struct generate_job){ .settings = s };
	ACE_TRY(fill_run(j, s));
	ACE_TRY(fill_output(j, s));
	ACE_TRY(generate_fill_texts(j, s));
	j->negative = path_given(s, "negative_prompt");
	ACE_TRY(fill_loras(j, s));
	return fill_model(j, s);
}

void
generate_job_free(struct generate_job *j)
{
	for (int i = 0; i < j->loras; i++)
		free(j->lora[i].path);
	free(j->model);
	free(j->transformer);
	free(j->codec);
	*j = (struct generate_job){ 0 };
}
