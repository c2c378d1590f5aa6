/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/init_model.h"

#include "audio/mel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/init_model_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum {
	PART_DIT = 1,
	PART_DCAE,
	PART_VOCODER,
	PART_UMT5,
	PARTS = 4,
	SLACK = 4 << 20,
	GRACE = 10,
	MB = 1000000
};

#define TINY_CODEC                                                                                 \
	.dcae = { 8, 16, 32, 64 }, .dcae_head = 16, .vocoder_depth = { 1, 1, 2, 1 },               \
	.vocoder_dim = { 16, 24, 32, 40 }, .vocoder_channels = 128
#define TINY_TEXT                                                                                  \
	.text_head = 8, .text_heads = 6, .text_ff = 72, .text_blocks = 12, .text_rows = 1520
#define REAL_LYRICS .lyric = 1024, .lyric_layers = 6, .lyric_heads = 16, .lyric_ff = 4096
#define REAL_TAPS .speaker = 512, .tap_dim = { 1024, 768 }

static const struct {
	const char *name;
	enum dtype dtype;
	struct init_sizes sizes;
} presets[] = {
	{ "tiny",
	  F32,
	  { .layers = 3,
	    .heads = 3,
	    .head_dim = 10,
	    .speaker = 16,
	    .tap = 1,
	    .tap_dim = { 14, 11 },
	    .lyric = 24,
	    .lyric_layers = 2,
	    .lyric_heads = 4,
	    .lyric_ff = 40,
	    .text = 32,
	    TINY_CODEC,
	    TINY_TEXT } },
	{ "small",
	  F32,
	  { .layers = 4,
	    .heads = 4,
	    .head_dim = 64,
	    .tap = 2,
	    REAL_TAPS,
	    REAL_LYRICS,
	    .text = 768,
	    TINY_CODEC,
	    TINY_TEXT } },
	{ "3.5b",
	  BF16,
	  { .layers = 24,
	    .heads = 20,
	    .head_dim = 128,
	    .tap = 8,
	    REAL_TAPS,
	    REAL_LYRICS,
	    .dcae = { 128, 256, 512, 1024 },
	    .dcae_head = 32,
	    .vocoder_depth = { 3, 3, 9, 3 },
	    .vocoder_dim = { 128, 256, 384, 512 },
	    .vocoder_channels = 1024,
	    .text = 768,
	    .text_head = 64,
	    .text_heads = 12,
	    .text_ff = 2048,
	    .text_blocks = 12,
	    .text_rows = 256384 } },
};

enum { PRESETS = sizeof presets / sizeof *presets };

struct part {
	const char *folder, *file;
	struct init_list list;
	cJSON *config;
};

struct work {
	const struct init_model_job *job;
	const struct init_sizes *sizes;
	struct part part[PARTS];
	struct mel *mel;
	int64_t total, done; /* bytes */
	double start;
};

const struct init_sizes *
init_sizes_of(const char *preset)
{
	for (int i = 0; i < PRESETS; i++)
		if (strcmp(presets[i].name, preset) == 0)
			return &presets[i].sizes;
	return NULL;
}

static enum status
find_preset(const char *name, int *i)
{
	for (*i = 0; *i < PRESETS; ++*i)
		if (strcmp(presets[*i].name, name) == 0)
			return ACE_OK;
	return ace_fail(ACE_EUSAGE, "preset %s is not known, wanted tiny, small or 3.5b", name);
}

enum status
init_model_dtype(const char *preset, enum dtype *dtype)
{
	int i;

	ACE_TRY(find_preset(preset, &i));
	*dtype = presets[i].dtype;
	return ACE_OK;
}

/* The list and configuration of every part, and what they will take. */
static enum status
plan(struct work *w)
{
	static const struct mel_options real = {
		.rate = 44100, .n_fft = 2048, .hop = 512, .bands = 128, .f_min = 40, .f_max = 16000
	};
	static const char *const folder[PARTS] = { "ace_step_transformer", "music_dcae_f8c8",
						   "music_vocoder", "umt5-base" };
	const struct init_sizes *s = w->sizes;

	ACE_TRY(mel_open(&w->mel, &real, NULL, NULL));
	for (int i = 0; i < PARTS; i++) {
		w->part[i].folder = folder[i];
		w->part[i].file = i + 1 == PART_UMT5 ? "model.safetensors"
						     : "diffusion_pytorch_model.safetensors";
	}
	init_dit(&w->part[PART_DIT - 1].list, s);
	init_dcae(&w->part[PART_DCAE - 1].list, s);
	init_vocoder(&w->part[PART_VOCODER - 1].list, s, mel_window(w->mel), mel_filters(w->mel));
	init_umt5(&w->part[PART_UMT5 - 1].list, s);
	w->part[PART_DIT - 1].config = init_dit_config(s);
	w->part[PART_DCAE - 1].config = init_dcae_config(s);
	w->part[PART_VOCODER - 1].config = init_vocoder_config(s);
	w->part[PART_UMT5 - 1].config = init_umt5_config(s, w->job->dtype);
	for (int i = 0; i < PARTS; i++) {
		w->total += init_list_count(&w->part[i].list) * (int64_t)dtype_size(w->job->dtype);
		if (w->part[i].list.bad || !w->part[i].config)
			return ace_fail(ACE_ENOMEM, "no memory for the list of tensors");
	}
	return ACE_OK;
}

static enum status
check_space(const struct work *w, const char *path)
{
	int64_t need = w->total + SLACK, have = file_free_bytes(path);

	if (have >= 0 && have < need)
		return ace_fail(ACE_EIO, "%s: needs %.1f MB, its file system has %.1f MB free",
				w->job->dir, 1e-6 * (double)need, 1e-6 * (double)have);
	return ACE_OK;
}

static enum status
chunk_done(void *me, int64_t bytes)
{
	struct work *w = me;
	double rate, seconds = clock_now() - w->start;
	char left[24];

	w->done += bytes;
	rate = (double)w->done / (seconds > 0.01 ? seconds : 0.01);
	/* in MB, the last of which is only done when all is */
	msg_progress("weights", w->done < w->total ? w->done / MB : w->total / MB + 1,
		     w->total / MB + 1, "MB  %.2f GB/s  %s left", 1e-9 * rate,
		     clock_length((double)(w->total - w->done) / rate, left, sizeof left));
	if (!stop_asked())
		return ACE_OK;
	return ace_fail(ACE_ESTOPPED, "stopped by %s", stop_signal());
}

static enum status
write_part(struct work *w, int i, const char *folder)
{
	const struct part *p = &w->part[i];
	char *config = file_path("%s/config.json", folder),
	     *weights = file_path("%s/%s", folder, p->file);
	struct init_writing how = { .seed = w->job->seed,
				    .part = (uint64_t)i + 1,
				    .dtype = w->job->dtype,
				    .threads = w->job->threads,
				    .done = chunk_done,
				    .me = w };
	enum status st = config && weights ? file_mkdirs(folder)
					   : ace_fail(ACE_ENOMEM, "%s: no memory", folder);

#ifdef _OPENMP
	if (how.threads <= 0)
		how.threads = omp_get_max_threads();
#else
	how.threads = 1;
#endif
	if (st == ACE_OK)
		st = json_write(config, p->config);
	if (st == ACE_OK)
		st = init_list_write(&p->list, weights, &how);
	if (st == ACE_OK && i + 1 == PART_UMT5)
		st = init_tokenizer(folder, w->sizes->text_rows);
	free(weights);
	free(config);
	return st;
}

/* init_model.json: what a reader needs to make the same again. */
static enum status
write_record(const struct work *w, const char *folder)
{
	char *path = file_path("%s/init_model.json", folder);
	cJSON *o = cJSON_CreateObject();
	enum status st;

	cJSON_AddStringToObject(o, "program", PACKAGE_STRING);
	cJSON_AddStringToObject(o, "preset", w->job->preset);
	cJSON_AddNumberToObject(o, "seed", (double)w->job->seed);
	cJSON_AddStringToObject(o, "dtype", w->job->dtype == BF16 ? "bf16" : "fp32");
	st = path && o ? json_write(path, o) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	cJSON_Delete(o);
	free(path);
	return st;
}

static enum status
write_all(struct work *w, const char *part)
{
	w->start = clock_now();
	for (int i = 0; i < PARTS; i++) {
		char *folder = file_path("%s/%s", part, w->part[i].folder);
		enum status st = folder ? write_part(w, i, folder)
					: ace_fail(ACE_ENOMEM, "%s: no memory", part);
		if (st == ACE_OK)
			st = file_sync(folder);
		free(folder);
		if (st != ACE_OK)
			return st;
	}
	ACE_TRY(init_lyric_vocab(part));
	return write_record(w, part);
}

static void
say_done(const struct work *w)
{
	double seconds = clock_now() - w->start, bytes = (double)w->total;
	double n = bytes / (double)dtype_size(w->job->dtype);

	msg_progress_end();
	msg_info("%s: %s, %.4g %s parameters, %.4g %s in %s, seed %llu: %.2f s, %.2f GB/s",
		 w->job->dir, w->job->preset, n * (n < 1e9 ? 1e-6 : 1e-9), n < 1e9 ? "M" : "G",
		 bytes * (bytes < 1e9 ? 1e-6 : 1e-9), bytes < 1e9 ? "MB" : "GB",
		 w->job->dtype == BF16 ? "bf16" : "fp32", (unsigned long long)w->job->seed, seconds,
		 1e-9 * bytes / seconds);
}

/* Beside its place, then there; on failure nothing is left. */
static enum status
write_folder(struct work *w)
{
	struct init_folder f;
	enum status st;

	ACE_TRY(init_folder_begin(&f, w->job->dir));
	st = check_space(w, f.part);
	if (st == ACE_OK)
		st = write_all(w, f.part);
	if (st == ACE_OK)
		st = init_folder_end(&f);
	if (st == ACE_OK) {
		say_done(w);
	} else {
		char *why = file_path("%s", ace_message());
		if (init_folder_undo(&f) != ACE_OK)
			msg_warn("%s.part is left behind: %s", w->job->dir, ace_message());
		st = ace_fail(st, "%s", why ? why : "no memory");
		free(why);
	}
	return st;
}

enum status
init_model_write(const struct init_model_job *job)
{
	struct work w = { .job = job };
	enum status st;
	int i;

	ACE_TRY(find_preset(job->preset, &i));
	w.sizes = &presets[i].sizes;
	st = plan(&w);
	if (st == ACE_OK)
		st = write_folder(&w);
	for (i = 0; i < PARTS; i++) {
		init_list_free(&w.part[i].list);
		cJSON_Delete(w.part[i].config);
	}
	mel_close(w.mel);
	return st;
}

enum status
init_model_run(struct settings *s)
{
	struct init_model_job job = { .preset = s->word[0],
				      .dir = s->word[1],
				      .seed = (uint64_t)settings_i64(s, "seed"),
				      .threads = (int)settings_i64(s, "threads") };
	enum status st;

	ACE_TRY(init_model_dtype(job.preset, &job.dtype));
	if (settings_is_set(s, "base_model_default_dtype"))
		job.dtype = strcmp(settings_str(s, "base_model_default_dtype"), "bf16") == 0 ? BF16
											     : F32;
	if (job.seed == 0) /* the clock's */
		job.seed = (uint64_t)clock_wall();
	stop_setup(GRACE);
	st = init_model_write(&job);
	if (st == ACE_ESTOPPED)
		msg_info("%s: stopped by %s, nothing is kept; run again", job.dir, stop_signal());
	else if (st == ACE_OK)
		msg_info("next: ace-preprocess dataset=FOLDER model=%s", job.dir);
	return st;
}
