/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "jobs/device.h"
#include "jobs/train_parts.h"
#include "jobs/versions.h"
#include "models/lyrics_file.h"
#include "train/model_copy.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for a path");
}

/* Whether a folder entry is of another course than a run that stands at step (0: is new), and must not be mixed with it. */
static bool
is_of_another(const char *name, int64_t step, bool is_new)
{
	struct checkpoint_name n;

	if (checkpoint_parse(name, &n))
		return !n.temporary && (is_new || n.step > step);
	return is_new && (strcmp(name, ADAPTER_FILE) == 0 || strcmp(name, CHECKPOINT_MODEL) == 0 || strcmp(name, LYRICS_FOLDER) == 0 ||
	                  strcmp(name, CHECKPOINT_EMA) == 0);
}

static enum status
move(const char *folder, const char *name, const char *aside)
{
	char *from = file_path("%s/%s", folder, name), *to = file_path("%s/%s", aside, name);
	enum status st = from && to ? ACE_OK : no_memory();

	if (st == ACE_OK)
		st = file_mkdirs(aside);
	if (st == ACE_OK && file_exists(from))
		st = file_rename(from, to);
	free(from);
	free(to);
	return st;
}

/* A fresh start in a folder that holds checkpoints, or a run that goes on from an earlier one of them: the others are kept, in a
 * folder of their own, so that neither rotation nor the next start takes them for this run's. */
static enum status
set_aside(const struct train *t)
{
	DIR *d = opendir(t->j.out);
	char now[40], *aside;
	enum status st = ACE_OK;
	bool is_new = !t->c.path;
	struct dirent *e;
	int moved = 0;

	if (!d)
		return ACE_OK;
	clock_utc(now, sizeof now);
	aside = file_path("%s/before-%s", t->j.out, now);
	if (!aside)
		st = no_memory();
	while (st == ACE_OK && (e = readdir(d)))
		if (is_of_another(e->d_name, t->start, is_new)) {
			st = move(t->j.out, e->d_name, aside);
			moved += st == ACE_OK;
		}
	closedir(d);
	if (st == ACE_OK && moved && is_new)
		st = move(t->j.logs, METRICS_FILE, aside);
	if (moved)
		msg_info("%s: what an earlier run left in %s is in %s now", is_new ? "a fresh start" : "another course", t->j.out, aside);
	free(aside);
	return st;
}

/* run.json: with what and on what it ran. */
static enum status
write_run(const struct train *t)
{
	cJSON *root = cJSON_CreateObject(), *libraries;
	char *path = file_path("%s/run.json", t->j.out), text[300] = "";
	struct version v[VERSIONS_MOST];
	char device[32];
	int n = versions_loaded(v);
	bool whole = root && path;
	enum status st;

	clock_utc(text, sizeof text);
	whole = whole && cJSON_AddStringToObject(root, "program", t->j.settings->program->name) &&
		cJSON_AddStringToObject(root, "version", PACKAGE_VERSION) && cJSON_AddStringToObject(root, "commit", versions_commit()) &&
		cJSON_AddStringToObject(root, "started", text);
	if (gethostname(text, sizeof text) == 0)
		whole = whole && cJSON_AddStringToObject(root, "host", text);
	whole = whole && cJSON_AddStringToObject(root, "device", device_text(&t->dev, device)) &&
		cJSON_AddNumberToObject(root, "threads", t->dev.threads) && cJSON_AddNumberToObject(root, "seed", (double)t->j.step.seed) &&
		cJSON_AddStringToObject(root, "model", t->j.model) && cJSON_AddStringToObject(root, "model_mark", t->mark) &&
		cJSON_AddNumberToObject(root, "ranks", t->comm ? t->comm->size : 1) &&
		cJSON_AddNumberToObject(root, "nodes", t->comm ? t->comm->nodes : 1) &&
		cJSON_AddNumberToObject(root, "from_step", (double)t->start) &&
		cJSON_AddNumberToObject(root, "planned_bytes", (double)plan_total(&t->plan));
	libraries = cJSON_AddObjectToObject(root, "libraries");
	for (int i = 0; i < n; i++)
		whole = whole && cJSON_AddStringToObject(libraries, v[i].name, v[i].run);
	st = whole && libraries ? json_write(path, root) : no_memory();
	cJSON_Delete(root);
	free(path);
	return st;
}

static enum status
write_settings(const struct train *t)
{
	char *path = file_path("%s/effective.json", t->j.out);
	enum status st = path ? settings_write_effective(t->j.settings, path) : no_memory();

	free(path);
	return st;
}

enum status
train_open_files(struct train *t)
{
	bool is_new = !file_is_dir(t->j.out);
	char *path = file_path("%s/" METRICS_FILE, t->j.logs);
	enum status st = path ? file_mkdirs(t->j.out) : no_memory();

	if (st == ACE_OK)
		st = set_aside(t);
	if (st == ACE_OK)
		st = write_settings(t);
	if (st == ACE_OK)
		st = write_run(t);
	if (st == ACE_OK)
		st = metrics_open(&t->metrics, path, t->start);
	free(path);
	if (st == ACE_OK && t->j.tensorboard)
		st = tensorboard_open(&t->tensorboard, t->j.logs, clock_wall());
	if (st == ACE_OK && t->j.tensorboard && t->start > 0)
		st = tensorboard_restart(&t->tensorboard, clock_wall(), t->start);
	if (st == ACE_OK)
		msg_info("out        %s%s      effective settings: %s/effective.json", t->j.out, is_new ? " (new)" : "", t->j.out);
	return st;
}

enum status
train_open_writer(struct train *t)
{
	ACE_TRY(checkpoint_writer_open(&t->writer, t->j.out, true));
	checkpoint_writer_join(t->writer, t->comm);
	return ACE_OK;
}

enum { METRICS_MOST = 24 };

static void
put(struct metric *m, int *n, const char *name, double value)
{
	if (*n < METRICS_MOST)
		m[(*n)++] = (struct metric){ name, value };
}

static enum status
note(struct train *t, const struct metric *m, int n, const char *event)
{
	if (!t->first)
		return ACE_OK;
	ACE_TRY(metrics_put(&t->metrics, t->step.updates, m, n, event));
	if (!t->j.tensorboard)
		return ACE_OK;
	return tensorboard_put(&t->tensorboard, clock_wall(), t->step.updates, m, n);
}

enum status
train_note(struct train *t, const struct loop_report *r, const double *eval, const char *event)
{
	bool value = t->j.step.clip.method == CLIP_VALUE;
	struct metric m[METRICS_MOST];
	int n = 0;

	put(m, &n, "train_loss", r->step.loss);
	put(m, &n, "optimization_loss", r->step.last_loss);
	put(m, &n, "learning_rate", r->step.rate);
	if (t->j.lyrics)
		put(m, &n, "lyrics_embedder_learning_rate", r->step.lyrics_rate);
	if (r->step.ema_decay >= 0)
		put(m, &n, "ema_decay_value", r->step.ema_decay);
	if (eval)
		put(m, &n, "eval_loss", *eval);
	put(m, &n, "epoch", r->epoch);
	put(m, &n, value ? "grad_absmax" : "grad_norm", value ? r->step.grad_absmax : r->step.grad_norm);
	if (r->step.loss_scale > 0)
		put(m, &n, "loss_scale", r->step.loss_scale);
	if (r->step.loss_scale > 0 || t->j.step.nonfinite > 0)
		put(m, &n, "skipped_updates", (double)t->step.scaler.skipped);
	put(m, &n, "samples", (double)r->step.samples);
	put(m, &n, "audio_s", r->step.audio);
	put(m, &n, "step_s", r->seconds);
	put(m, &n, "data_wait_s", r->waited);
	put(m, &n, "samples_per_second", r->seconds > 0 ? (double)r->step.samples / r->seconds : 0);
	put(m, &n, "mem_gb", train_peak(t) / 1e9);
	return note(t, m, n, event);
}

/* Put together, and written, by all ranks. */
static enum status
save(struct train *t, bool rolling)
{
	struct adapter_write_options adapter = t->j.adapter;
	const struct state_facts facts = { t->mark, t->j.full ? NULL : &adapter };
	struct checkpoint_save *s = NULL;
	char *comment = train_comment(t);
	double began = clock_now();
	enum status st;

	adapter.comment = comment;
	st = train_agree(t, checkpoint_begin(&s, t->step.updates, rolling ? "rolling" : NULL));
	if (st == ACE_OK)
		st = train_agree(t, state_save(s, &t->loop, &facts));
	free(comment);
	if (st != ACE_OK) {
		checkpoint_save_free(s);
		return st;
	}
	st = checkpoint_commit(t->writer, s, rolling ? &t->j.rolling : &t->j.rule);
	msg_debug("the save of step %lld kept the run for %.3f s", (long long)t->step.updates, clock_now() - began);
	return st;
}

enum status
train_save(struct train *t, bool rolling)
{
	enum status st;

	if (t->saved == t->step.updates)
		return ACE_OK;
	train_may_be_late(t, true);
	st = save(t, rolling);
	train_may_be_late(t, false);
	if (st == ACE_OK)
		t->saved = t->step.updates;
	return st;
}

enum status
train_saved(struct train *t, bool wait)
{
	struct checkpoint_report r;
	bool done;

	if (t->first)
		train_wait_scripts(t, false);
	if (wait)
		ACE_TRY(checkpoint_wait(t->writer));
	else
		ACE_TRY(checkpoint_settle(t->writer, t->asked));
	for (;;) {			/* one that had to wait for the one before: both */
		ACE_TRY(checkpoint_poll(t->writer, &done, &r));
		if (!done)
			return ACE_OK;
		if (r.seconds > t->longest_save)
			t->longest_save = r.seconds;
		train_say_saved(&r);
		train_start_script(t, &r);
	}
}

struct final {
	const struct train *t;
	const char *folder;
	const struct adapter_write_options *o;
};

static enum status
write_model(const struct train *t, const char *folder)
{
	char *config = NULL, *to = file_path("%s/" MODEL_COPY_CONFIG, folder), *weights = file_path("%s/" MODEL_COPY_WEIGHTS, folder);
	enum status st = to && weights ? file_mkdirs(folder) : no_memory();
	struct model_copy *copy = NULL;
	size_t size;

	if (st == ACE_OK)
		st = model_copy_config(&t->m, &config, &size);
	if (st == ACE_OK)
		st = file_write(to, config, size);
	if (st == ACE_OK)
		st = model_copy_take(&copy, &t->m);
	if (st == ACE_OK)
		st = model_copy_write(copy, weights);
	model_copy_free(copy);
	free(config);
	free(to);
	free(weights);
	return st;
}

static enum status
write_adapters(const struct final *f)
{
	char *path = file_path("%s/" ADAPTER_FILE, f->folder);
	enum status st = path ? file_mkdirs(f->folder) : no_memory();
	struct adapter_set set;

	if (st == ACE_OK)
		st = adapter_snapshot(&set, &f->t->m.params, NULL);
	if (st == ACE_OK) {
		st = adapter_write(path, &set, f->o);
		adapter_set_free(&set);
	}
	free(path);
	return st;
}

static enum status
write_final(void *me)
{
	const struct final *f = me;
	char *model = file_path("%s/" CHECKPOINT_MODEL, f->folder);
	enum status st = model ? ACE_OK : no_memory();

	if (!f->t->first) {
		free(model);
		return ACE_OK;
	}
	if (st == ACE_OK && f->t->j.lyrics)
		st = lyrics_file_write(f->folder, &f->t->m.params);
	if (st == ACE_OK)
		st = f->t->j.full ? write_model(f->t, model) : write_adapters(f);
	free(model);
	return st;
}

enum status
train_write_adapters(const struct train *t, const char *folder)
{
	const struct adapter_write_options o = t->j.adapter;

	return write_final(&(struct final){ t, folder, &o });
}

enum status
train_finish(struct train *t, char **path)
{
	struct adapter_write_options o = t->j.adapter;
	struct final f = { t, t->j.out, &o };
	char *ema, *comment;
	enum status st;

	*path = NULL;
	if (!t->first && !exchange_parted(t->j.step.exchange))
		return ACE_OK;
	o.global_step = t->step.updates;
	o.comment = comment = train_comment(t);
	*path = file_path("%s/%s", t->j.out, t->j.full ? CHECKPOINT_MODEL : ADAPTER_FILE);
	ema = file_path("%s/" CHECKPOINT_EMA, t->j.out);
	st = *path && ema ? state_shown(&t->step, write_final, &f) : no_memory();
	f.folder = ema;
	if (st == ACE_OK && t->j.step.ema.interval)
		st = state_average_shown(&t->step, true, write_final, &f);
	free(comment);
	free(ema);
	return st;
}

enum status
train_close_files(struct train *t)
{
	enum status st = checkpoint_writer_close(t->writer);

	t->writer = NULL;
	if (t->metrics.path)
		metrics_close(&t->metrics);
	if (t->tensorboard.path)
		tensorboard_close(&t->tensorboard);
	return st;
}
