/* SPDX-License-Identifier: Apache-2.0 */
/* The options of ace-preprocess as a job. */
#include "jobs/preprocess.h"

#include "base/hub.h"
#include "base/msg.h"
#include "base/stop.h"
#include "data/dataset_settings.h"
#include "jobs/device.h"
#include "jobs/ranks.h"
#include "text/buffer.h"
#include "text/lyric.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status
preprocess_max_bad(const char *text, double *most, bool *percent)
{
	char *end;

	errno = 0;
	*most = strtod(text, &end);
	*percent = *end == '%';
	end += *percent;
	if (end == text || *end || errno || !(*most >= 0) || (*percent && *most > 100))
		return ace_fail(ACE_EUSAGE,
				"max_bad=%s; wanted how many songs may fail, as a number (3) or a share (10%%)",
				text);
	return ACE_OK;
}

enum status
preprocess_shard(const char *text, int *shard, int *shards)
{
	int n = 0;

	if (sscanf(text, "%d/%d%n", shard, shards, &n) != 2 || text[n] || *shards < 1 || *shard < 1 || *shard > *shards ||
	    *shards > PREPROCESS_SHARDS)
		return ace_fail(ACE_EUSAGE, "shard=%s; wanted i/n with i from 1 to n, n at most %d", text, PREPROCESS_SHARDS);
	--*shard;
	return ACE_OK;
}

static int
number_in(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n = text && *text ? strtol(text, &end, 10) : -1;

	return n >= 0 && *end == 0 && n < 1 << 24 ? (int)n : -1;
}

/* The share of this job: the option, else the place in a job array of SLURM. */
static enum status
find_shard(const struct settings *s, struct preprocess_job *j)
{
	int id = number_in("SLURM_ARRAY_TASK_ID"), first = number_in("SLURM_ARRAY_TASK_MIN");
	int count = number_in("SLURM_ARRAY_TASK_COUNT"), step = number_in("SLURM_ARRAY_TASK_STEP");

	j->shards = 1;
	if (settings_has(s, "shard"))
		return preprocess_shard(settings_str(s, "shard"), &j->shard, &j->shards);
	if (id < 0 || first < 0 || count <= 1 || j->what == PREPROCESS_MERGE)
		return ACE_OK;
	step = step > 0 ? step : 1;
	if (id < first || (id - first) % step || (id - first) / step >= count || count > PREPROCESS_SHARDS)
		return ace_fail(ACE_EUSAGE, "task %d of a job array of %d from %d is no shard; give shard=i/n", id,
				count, first);
	j->shard = (id - first) / step;
	j->shards = count;
	msg_info("task %d of a job array: shard=%d/%d", id, j->shard + 1, count);
	return ACE_OK;
}

/* "ace-train env=NAME", or with the options of this command line that ace-train takes as well. */
static char *
next_command(const struct settings *s)
{
	struct buffer b = { 0 };

	buffer_str(&b, "ace-train");
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		const char *text = s->v[i].text;
		if (s->v[i].source != FROM_COMMAND || !text || !(o->programs & OPT_TRAIN) ||
		    strcmp(o->category, "program") == 0 || strcmp(o->name, "max_bad") == 0)
			continue;
		buffer_char(&b, ' ');
		buffer_str(&b, strcmp(o->name, "pretrained_model_name_or_path") == 0 ? "model" : o->name);
		buffer_char(&b, '=');
		if (strpbrk(text, " \t\n'\"\\$`*?[]{}()<>|&;!#~")) {
			buffer_char(&b, '\'');
			for (const char *p = text; *p; p++) {
				if (*p == '\'')
					buffer_str(&b, "'\\'");
				buffer_char(&b, *p);
			}
			buffer_char(&b, '\'');
		} else {
			buffer_str(&b, text);
		}
	}
	if (buffer_done(&b))
		return b.data;
	buffer_free(&b);
	return NULL;
}

/* Options of which not every value is built: whoever lets another through must change the code. */
static enum status
check_fixed(const struct settings *s)
{
	const struct { const char *text, *built, *name; } words[] = {
		{ settings_str(s, "model_flavour"), "base", "model_flavour" },
		{ settings_str(s, "audio_resampler"), "sinc", "audio_resampler" },
		{ settings_str(s, "vae_dtype"), "fp32 default bf16", "vae_dtype" },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!words[i].text || !option_has_word(words[i].built, words[i].text))
			return ace_fail(ACE_ECONFIG, "%s=%s is not built; wanted %s", words[i].name, words[i].text ? words[i].text : "",
			                words[i].built);
	if (settings_i64(s, "audio_channels") != 2)
		return ace_fail(ACE_ECONFIG, "audio_channels=%lld; ace_step works on stereo",
		                (long long)settings_i64(s, "audio_channels"));
	return ACE_OK;
}

/* NULL when it is empty. */
static const char *
path_given(const struct settings *s, const char *name)
{
	const char *path = settings_str(s, name);

	return path && *path ? path : NULL;
}

enum status
preprocess_fill(const struct settings *s, struct preprocess_job *j)
{
	ACE_TRY(check_fixed(s));
	j->what = settings_bool(s, "merge")     ? PREPROCESS_MERGE
	          : settings_bool(s, "check")   ? PREPROCESS_CHECK
	          : settings_bool(s, "dry_run") ? PREPROCESS_DRY_RUN
	                                        : PREPROCESS_ALL;
	j->model_name = settings_str(s, "pretrained_model_name_or_path");
	j->lyric_vocab = settings_str(s, "lyric_vocab");
	j->text_data = path_given(s, "text_data_dir");
	j->unidic = path_given(s, "unidic_dir");
	j->per_song = strcmp(settings_str(s, "lyrics_language"), "per-song") == 0;
	j->device = device_kind(s);
	j->threads = (int)settings_i64(s, "threads");
	j->latent_dtype = strcmp(settings_str(s, "latent_dtype"), "f32") == 0 ? F32 : BF16;
	j->bf16_codec = strcmp(settings_str(s, "vae_dtype"), "bf16") == 0;
	j->text_tokens = (int)settings_i64(s, "tokenizer_max_length");
	j->whole_lyrics = !settings_bool(s, "skip_untokenizable_lines");
	j->ignore_missing = settings_bool(s, "ignore_missing_files");
	j->verify = settings_bool(s, "verify");
	j->override = settings_bool(s, "override_dataset_config");
	j->seed = (uint64_t)settings_i64(s, "seed");
	j->seal_every = settings_i64(s, "write_batch_size") < 64 ? (int)settings_i64(s, "write_batch_size") : 0;
	if (settings_i64(s, "lyrics_max_tokens") < 1 || settings_i64(s, "lyrics_max_tokens") > LYRIC_MAX)
		return ace_fail(ACE_ECONFIG, "lyrics_max_tokens=%lld; wanted 1 to %d",
				(long long)settings_i64(s, "lyrics_max_tokens"), LYRIC_MAX);
	j->lyric_tokens = (int)settings_i64(s, "lyrics_max_tokens");
	ACE_TRY(preprocess_max_bad(settings_str(s, "max_bad"), &j->max_bad, &j->max_bad_percent));
	return ACE_OK;
}

enum status
preprocess_settings(struct settings *s, struct comm *c)
{
	const char *codec_name = settings_str(s, "pretrained_vae_model_name_or_path"),
		   *revision = settings_str(s, "revision");
	struct preprocess_job j = { 0 };
	struct preprocess_report r;
	struct dataset_list list = { 0 };
	char *model = NULL, *codec = NULL, *next = NULL;
	enum status st;

	stop_setup((int)settings_i64(s, "grace"));
	ACE_TRY(preprocess_fill(s, &j));
	ACE_TRY(find_shard(s, &j));
	ACE_TRY(dataset_list_settings(&list, s));
	j.list = &list;
	j.comm = c;
	if (c)			/* some have longer songs than others */
		comm_set_patience(c, settings_f64(s, "rank_patience"), true);
	j.threads = ranks_threads(c, j.threads);
	j.out = stdout;
	st = ACE_OK;
	if (j.what == PREPROCESS_CHECK && hub_model(j.model_name, revision, &model) != ACE_OK) {
		msg_info("%s", ace_message());
		msg_info("going on without a model: whether stores were made with it is not looked at");
	} else if (j.what == PREPROCESS_CHECK) {
		if (codec_name)
			st = hub_model(codec_name, revision, &codec);
		j.model = model;
		j.codec = codec;
	}
	if (j.what == PREPROCESS_ALL || j.what == PREPROCESS_DRY_RUN) {
		st = hub_model(j.model_name, revision, &model);
		if (st == ACE_OK && codec_name)
			st = hub_model(codec_name, revision, &codec);
		j.model = model;
		j.codec = codec;
		j.next = next = next_command(s);
	}
	if (st == ACE_OK)
		st = preprocess_run(&j, &r);
	free(model);
	free(codec);
	free(next);
	dataset_list_free(&list);
	return st;
}

/* The entries that are wanted, borrowed; *n of them, 0: none. Of those of which only captions are wanted, no latents are made. */
static struct dataset *
on_demand(const struct dataset_list *l, int *n)
{
	struct dataset *e = calloc((size_t)l->n + 1, sizeof *e);
	bool any = false;

	*n = 0;
	for (int i = 0; e && i < l->n; i++) {
		const struct dataset *from = &l->entry[i];
		const struct dataset *texts = from->kind == DATASET_TEXTS ? from : dataset_texts(l, from);
		bool latents = from->ondemand && !from->no_cache;
		if (from->kind != DATASET_TEXTS && !latents && !(texts && texts->ondemand))
			continue;
		e[*n] = *from;
		if (from->kind != DATASET_TEXTS) {
			any = true;
			e[*n].no_cache = !latents;
		}
		++*n;
	}
	*n = any ? *n : 0;
	return e;
}

enum status
preprocess_missing(const struct settings *s, const struct dataset_list *l, struct comm *c)
{
	const char *codec_name = settings_str(s, "pretrained_vae_model_name_or_path"), *revision = settings_str(s, "revision");
	struct dataset_list some = { .path = l->path };
	struct preprocess_job j = { .list = &some, .comm = c };
	struct preprocess_report r;
	char *model = NULL, *codec = NULL;
	enum status st = ACE_OK;

	some.entry = on_demand(l, &some.n);
	if (!some.entry)
		st = ace_fail(ACE_ENOMEM, "no memory");
	else if (some.n > 0) {
		st = preprocess_fill(s, &j);
		j.what = PREPROCESS_ALL;
		j.threads = ranks_threads(c, j.threads);
		if (st == ACE_OK)
			st = hub_model(j.model_name, revision, &model);
		if (st == ACE_OK && codec_name)
			st = hub_model(codec_name, revision, &codec);
		j.model = model;
		j.codec = codec;
	}
	if (c)
		st = comm_agree(c, st);
	if (st == ACE_OK && some.n > 0)
		st = preprocess_run(&j, &r);
	free(some.entry);
	free(model);
	free(codec);
	return st;
}
