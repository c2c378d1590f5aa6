/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_memory.h"

#include "base/file.h"
#include "jobs/device.h"
#include "jobs/train_model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { LONGEST = 240 };		/* seconds; what clips are cut to unless a limit is given (datasets.md section 5) */

/* Resident bytes of this process: program, libraries, and the stores that are open. */
static double
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long long all, pages = 0;

	if (f) {
		if (fscanf(f, "%lld %lld", &all, &pages) != 2)
			pages = 0;
		fclose(f);
	}
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* Latent frames of a clip of so many seconds. */
static int64_t
frames_of(double seconds)
{
	return (int64_t)ceil(ceil(seconds * 44100.0) / 4096.0);
}

static bool
stores_there(const struct dataset_list *l)
{
	bool some = false;

	for (int i = 0; i < l->n; i++) {
		if (l->entry[i].kind == DATASET_EVAL)
			continue;
		if (!file_is_dir(l->entry[i].store))
			return false;
		some = some || l->entry[i].kind == DATASET_AUDIO;
	}
	return some;
}

/* Open the stores and read from them as a run does, so that what they take is there. */
static enum status
open_stores(const struct train_job *j, struct data **d)
{
	struct batch b = { 0 };
	enum status st;

	ACE_TRY(data_open(d, &j->data));
	st = data_batch(*d, data_next_epoch(*d, 0), 0, &b);
	batch_free(&b);
	return st;
}

/* The largest batch, and where that is known from. *d: the stores, when they are there; the caller closes them. */
static enum status
room_of(struct train_job *j, struct step_shape *room, const char **from, struct data **d)
{
	const struct settings *s = j->settings;
	double seconds = settings_has(s, "audio_max_duration_seconds") ? settings_f64(s, "audio_max_duration_seconds") : LONGEST;
	struct batch largest = { 0 };
	struct dit_config cfg;

	*room = (struct step_shape){ settings_i64(s, "train_batch_size"), frames_of(seconds), settings_i64(s, "tokenizer_max_length"),
		settings_i64(s, "lyrics_max_tokens") };
	*from = "the longest that the options allow";
	if (!settings_has(s, "dataset") && !settings_has(s, "data_backend_config") && !settings_has(s, "dataset_path"))
		return ACE_OK;
	ACE_TRY(train_job_data(j));
	if (!stores_there(&j->list)) {
		*from = "the longest that the options allow; the stores are not there yet";
		return ACE_OK;
	}
	ACE_TRY(dit_config_read(&cfg, j->model));
	j->data.speaker = cfg.speaker_dim;
	j->data.text_width = cfg.text_dim;
	ACE_TRY(open_stores(j, d));
	data_largest(*d, &largest);
	*room = (struct step_shape){ largest.B, largest.T, largest.S, largest.Y };
	*from = "the longest in the stores";
	return ACE_OK;
}

static void
print_bytes(FILE *out, const char *what, double bytes)
{
	fprintf(out, "  %-26s %12.0f  %10.1f MiB\n", what, bytes, bytes / 0x1p20);
}

static void
print_forecast(FILE *out, const struct train_job *j, const struct plan *p)
{
	const struct forecast_rates *r = j->rates;
	const struct forecast *f = &p->forecast;
	double clips = (double)(p->shape.B * j->step.accumulation * p->ranks);

	fprintf(out, "with %g GB/s within a node of %d, %g between nodes, %g us a hop, %g to the host, %g to the disk:\n", r->link / 1e9,
	        r->node_ranks, r->node / 1e9, r->hop * 1e6, r->copy / 1e9, r->disk / 1e9);
	fprintf(out, "  an update takes %.1f ms: %.1f of computing, %.1f of exchange that it waits for; %.1f are hidden\n", f->step * 1e3,
	        (f->step - f->exposed) * 1e3, f->exposed * 1e3, (f->exchange - f->exposed) * 1e3);
	fprintf(out, "  efficiency %.1f %%, %.1f clips a second; %.1f MB an update through a GPU's network card\n", f->efficiency * 100,
	        clips / f->step, f->card / 1e6);
	fprintf(out, "  a checkpoint is %.1f MB of each rank: the run stands still for %.1f ms, and it is on the disk after %.1f s\n",
	        f->part / 1e6, f->stall * 1e3, f->written);
}

static void
print_lines(FILE *out, const struct train_job *j, const struct plan *p, const char *from, double libraries)
{
	const char *quantized = j->dit.base == I8 ? "int8" : j->dit.base == F8 ? "fp8" : j->dit.base == I4 ? "int4" : NULL;
	char what[96];

	fprintf(out, "a step of %lld x %lld frames (%.0f s), %lld text rows, %lld lyric tokens: %s\n", (long long)p->shape.B,
	        (long long)p->shape.T, (double)p->shape.T * 4096 / 44100, (long long)p->shape.S, (long long)p->shape.Y, from);
	if (j->full)
		snprintf(what, sizeof what, "all of it trains");
	else
		snprintf(what, sizeof what, "LoRA r %lld on %d modules%s", (long long)j->lora.rank, p->modules,
		         j->lyrics ? " and the lyrics embedder" : "");
	fprintf(out, "%s: %s weights%s%s%s, %s (%lld numbers train), gradient checkpointing %s\n", j->model,
	        train_job_type(j), quantized ? " and " : "", quantized ? quantized : "",
	        quantized && j->dit.quantize_feed_forward ? " with the feed-forward's" : "", what, (long long)p->trained,
	        j->dit.checkpoint_interval ? "on" : "off");
	for (int i = 0; i < PLAN_PARTS; i++)
		if (p->bytes[i] > 0)
			print_bytes(out, p->device == DEV_CUDA && i == PLAN_BASE_COPIED ? "base weights" : plan_name((enum plan_part)i),
			            (double)p->bytes[i]);
	print_bytes(out, p->device == DEV_CUDA ? "asked of the device" : "planned", (double)plan_total(p));
	if (p->host)
		print_bytes(out, "and of the host, pinned", (double)p->host);
	if (p->device != DEV_CUDA) {
		print_bytes(out, "program, libraries, stores", libraries);
		print_bytes(out, "in all", (double)plan_total(p) + libraries);
	}
	if (p->ranks > 1)
		fprintf(out, "this is one of %d ranks (sharding=%s), each of which writes its part of a checkpoint; it sends %.1f MB to others in an update\n", p->ranks,
		        sharding_name(j->sharding), p->sent / 1e6);
	if (j->rates)
		print_forecast(out, j, p);
	fprintf(out, "%.4g TFLOP a micro step in %lld kernel calls; a checkpoint takes %.1f MB\n", p->flops / 1e12,
	        (long long)p->calls, (double)plan_checkpoint(p) / 1e6);
}

static bool
add_forecast(cJSON *root, const struct forecast *f)
{
	const struct { const char *key; double value; } v[] = {
		{ "sent", f->sent }, { "card", f->card }, { "exchange_s", f->exchange }, { "exposed_s", f->exposed },
		{ "hidden_s", f->exchange - f->exposed }, { "step_s", f->step }, { "efficiency", f->efficiency }, { "checkpoint_part", f->part },
		{ "stall_s", f->stall }, { "written_s", f->written },
	};
	cJSON *o = cJSON_AddObjectToObject(root, "forecast");
	bool whole = o != NULL;

	for (size_t i = 0; i < sizeof v / sizeof *v; i++)
		whole = whole && cJSON_AddNumberToObject(o, v[i].key, v[i].value);
	return whole;
}

static enum status
print_json(FILE *out, const struct train_job *j, const struct plan *p, const char *from, double libraries)
{
	static const char *const key[PLAN_PARTS] = { "base_mapped", "base_copied", "base_quantized", "trained", "gradients", "gathered",
		"states", "average", "activations",
		"workspace", "batches", "saving" };
	cJSON *root = cJSON_CreateObject(), *shape = cJSON_AddObjectToObject(root, "shape");
	cJSON *bytes = cJSON_AddObjectToObject(root, "bytes");
	bool whole = shape && bytes;
	char *text;

	whole = whole && cJSON_AddNumberToObject(shape, "clips", (double)p->shape.B) &&
		cJSON_AddNumberToObject(shape, "frames", (double)p->shape.T) &&
		cJSON_AddNumberToObject(shape, "text_rows", (double)p->shape.S) &&
		cJSON_AddNumberToObject(shape, "lyric_tokens", (double)p->shape.Y) && cJSON_AddStringToObject(shape, "from", from);
	for (int i = 0; i < PLAN_PARTS; i++)
		whole = whole && cJSON_AddNumberToObject(bytes, key[i], (double)p->bytes[i]);
	whole = whole && cJSON_AddStringToObject(root, "device", p->device == DEV_CUDA ? "cuda" : "cpu") &&
		cJSON_AddNumberToObject(root, "planned", (double)plan_total(p)) &&
		cJSON_AddNumberToObject(root, "host_pinned", (double)p->host) &&
		cJSON_AddNumberToObject(root, "libraries", libraries) &&
		cJSON_AddNumberToObject(root, "all", (double)plan_total(p) + (p->device == DEV_CUDA ? 0 : libraries)) &&
		cJSON_AddNumberToObject(root, "checkpoint", (double)plan_checkpoint(p)) &&
		cJSON_AddNumberToObject(root, "ranks", p->ranks) && cJSON_AddNumberToObject(root, "sent", p->sent) &&
		cJSON_AddNumberToObject(root, "flops", p->flops) && cJSON_AddNumberToObject(root, "kernel_calls", (double)p->calls) &&
		cJSON_AddNumberToObject(root, "trained", (double)p->trained) && cJSON_AddNumberToObject(root, "modules", p->modules);
	whole = whole && (!j->rates || add_forecast(root, &p->forecast));
	text = whole ? cJSON_Print(root) : NULL;
	cJSON_Delete(root);
	if (!text)
		return ace_fail(ACE_ENOMEM, "no memory for the plan");
	fprintf(out, "%s\n", text);
	free(text);
	return ACE_OK;
}

/* The ranks that are planned for, into x; alone: none. */
static enum status
plan_ranks(struct train_job *j, const struct settings *s, struct exchange *x)
{
	int64_t ranks = settings_i64(s, "ranks"), node = settings_i64(s, "ranks_per_node");

	if (ranks == 1)
		return ACE_OK;
	if (j->sharding == SHARDING_HYBRID && ranks % node != 0)
		return ace_fail(ACE_ECONFIG, "%lld ranks are no whole nodes of %lld; give ranks_per_node", (long long)ranks, (long long)node);
	*x = (struct exchange){ .sharding = j->sharding, .ranks = (int)ranks, .node_ranks = (int)node };
	j->step.exchange = x;
	return ACE_OK;
}

/* What the options say of the machines that they would run on, into r. The forward pass is as much work as the gradients of the activations, and
 * of the weights where these train; recomputed blocks run it twice. */
static enum status
read_rates(struct train_job *j, const struct settings *s, struct forecast_rates *r)
{
	double again = j->dit.checkpoint_interval > 0 ? 1.0 / j->dit.checkpoint_interval : 0;

	if (!settings_has(s, "compute_ms"))
		return ACE_OK;
	if (!j->step.exchange)
		return ace_fail(ACE_ECONFIG, "compute_ms is for the exchange between ranks, and ranks is 1; give ranks as well");
	*r = (struct forecast_rates){ .link = settings_f64(s, "link_gbs") * 1e9, .node = settings_f64(s, "node_gbs") * 1e9,
		.hop = settings_f64(s, "hop_us") / 1e6, .copy = settings_f64(s, "copy_gbs") * 1e9, .disk = settings_f64(s, "disk_gbs") * 1e9,
		.compute = settings_f64(s, "compute_ms") / 1e3, .forward = 1 / (2 + again + (j->full ? 1 : 0)),
		.node_ranks = (int)settings_i64(s, "ranks_per_node") };
	j->rates = r;
	return ACE_OK;
}

/* Against this machine's memory; of a cuda device's plan where there is such a device, anywhere else it is an answer as well. */
static enum status
check_fits(const struct plan *p, const struct train_job *j)
{
	enum status st;
	struct dev d;

	if (p->ranks > 1)		/* on machines that are not this one */
		return ACE_OK;
	if (p->device != DEV_CUDA)
		return train_plan_fits(p, j, NULL, train_memory_there());
	if (dev_cuda_count() == 0)
		return ACE_OK;
	ACE_TRY(device_open(&d, DEV_CUDA, 0, 0));
	st = train_plan_fits_device(p, j, NULL, &d);
	dev_close(&d);
	return st;
}

enum status
inspect_memory(FILE *out, const struct settings *s)
{
	struct data *data = NULL;
	struct train_job j;
	struct step_shape room;
	struct plan p;
	const char *from;
	double libraries = 0;
	struct forecast_rates rates;
	struct exchange ranks;
	enum status st = train_job_fill(&j, s);

	if (st == ACE_OK)
		st = plan_ranks(&j, s, &ranks);
	if (st == ACE_OK)
		st = read_rates(&j, s, &rates);
	if (st == ACE_OK)
		st = room_of(&j, &room, &from, &data);
	if (st == ACE_OK)
		st = train_plan(&p, &j, NULL, room);
	libraries = resident();
	if (st == ACE_OK && settings_bool(s, "json"))
		st = print_json(out, &j, &p, from, libraries);
	else if (st == ACE_OK)
		print_lines(out, &j, &p, from, libraries);
	if (st == ACE_OK)
		st = check_fits(&p, &j);
	data_close(data);
	train_job_free(&j);
	return st;
}
