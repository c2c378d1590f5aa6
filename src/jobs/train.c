/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/train.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/device.h"
#include "jobs/preprocess.h"
#include "jobs/ranks.h"
#include "jobs/train_parts.h"
#include "kernels/kernels.h"
#include "train/ema_file.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The data, and what it means for the run: its end, the schedule's length, the largest batch. */
static enum status
open_data(struct train *t, const struct dit_config *cfg)
{
	struct batch largest = { 0 };

	t->j.data.speaker = cfg->speaker_dim;
	t->j.data.text_width = cfg->text_dim;
	t->j.data.lyric_vocab = cfg->lyric_vocab;
	ACE_TRY(train_encode_open(&t->encode, &t->j.list, t->settings, &t->j.data));
	ACE_TRY(data_open(&t->data, &t->j.data));
	data_largest(t->data, &largest);
	t->room = (struct step_shape){ largest.B, largest.T, largest.S, largest.Y };
	ACE_TRY(loop_limits_of(&t->limits, t->j.steps, t->j.epochs, t->j.strict,
	                       loop_steps_per_epoch(t->data, t->j.step.accumulation, exchange_ranks(t->j.step.exchange))));
	t->j.step.schedule.steps = t->j.step.groups.schedule.steps = t->limits.steps;
	return ACE_OK;
}

/* The run goes on with the seed it has begun with, when that was drawn; another one that was asked for is told of. */
static enum status
take_seed(struct train *t)
{
	uint64_t seed;
	char text[24];

	ACE_TRY(state_seed(&t->c, &seed));
	if (seed == t->j.step.seed)
		return ACE_OK;
	if (strncmp(settings_where(t->settings, "seed"), "drawn", 5) != 0) {
		msg_warn("%s was saved with seed %llu, now it is %llu: order, noise and times are new ones from here on", t->c.path,
		         (unsigned long long)seed, (unsigned long long)t->j.step.seed);
		return ACE_OK;
	}
	snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
	t->j.step.seed = seed;
	return settings_set(t->settings, "seed", text, t->c.path);
}

/* The checkpoint to go on from, if there is one, as the first rank finds it. */
static enum status
find_checkpoint(struct train *t)
{
	bool none = !t->first || (!file_is_dir(t->j.out) && t->j.resume && strcmp(t->j.resume, "latest") == 0);
	char *path = NULL;
	enum status st = train_agree(t, none ? ACE_OK : checkpoint_find(t->j.out, t->j.resume, t->j.delete_invalid, &path));

	if (st == ACE_OK)
		st = train_share_path(t, &path);
	if (st != ACE_OK || !path) {
		free(path);
		return st;
	}
	st = checkpoint_open(&t->c, path, t->j.full);
	free(path);
	return train_agree(t, st == ACE_OK ? take_seed(t) : st);
}

/* Where counting begins (training.md section 9). */
static enum status
find_start(struct train *t)
{
	if (t->c.path)
		t->start = t->c.global_step;
	else if (t->j.init_lora_step >= 0)
		t->start = t->j.init_lora_step;
	else
		t->start = t->init.global_step > 0 ? t->init.global_step : 0;
	if (!t->c.path && t->start > 0 && t->start >= t->limits.steps)
		return ace_fail(ACE_ECONFIG, "init_lora counts from step %lld, which is not below the %lld of this run; init_lora_step=0 "
		                "begins anew", (long long)t->start, (long long)t->limits.steps);
	if (t->j.resume && strcmp(t->j.resume, "latest") != 0)
		t->j.rolling.protect = t->j.rule.protect = strrchr(t->c.path, '/') ? strrchr(t->c.path, '/') + 1 : t->c.path;
	return ACE_OK;
}

/* What a look at files alone tells: model, data, checkpoint, plan. */
static enum status
look(struct train *t)
{
	enum status st;
	struct dev dry;
	struct dit m;

	ACE_TRY(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	st = dit_open(&m, t->j.model, &t->j.dit, &dry);
	if (st == ACE_OK) {
		st = train_model_mark(&m, t->mark);
		if (st == ACE_OK && t->c.path)
			st = state_check(&t->c, &t->j.step, t->mark);
		if (st == ACE_OK)
			st = open_data(t, &m.cfg);
		dit_close(&m);
	}
	dev_close(&dry);
	ACE_TRY(st);
	ACE_TRY(train_models_begin(t));
	return train_plan(&t->plan, &t->j, t->c.path ? &t->c : NULL, t->room);
}

/* Bring the frozen weights into memory in the order of the file, not in that of the first step. */
static void
read_ahead(const struct dit *m)
{
	for (int i = 0; i < dit_n_params(m); i++)
		weights_read_ahead(&m->weights, m->params.param[i]->value);
}

static enum status
open_model(struct train *t)
{
	const struct checkpoint *c = t->c.path ? &t->c : NULL;

	ACE_TRY(device_open(&t->dev, t->j.device, t->j.threads, ranks_device(t->comm)));
	t->dev.tf32 = t->j.tf32;
	if (!t->j.dry_run)
		ACE_TRY(train_validation_encode(t));
	if (t->j.device == DEV_CUDA)
		ACE_TRY(train_plan_fits_device(&t->plan, &t->j, c, &t->dev));
	else
		ACE_TRY(train_plan_fits(&t->plan, &t->j, c, train_share_of_memory(t)));
	ACE_TRY(train_model_open(&t->m, &t->j, &t->dev, c, &t->init));
	return find_start(t);
}

static enum status
open_step(struct train *t)
{
	ACE_TRY(step_open(&t->step, &t->m, &t->j.step, t->room));
	if (t->first && exchange_text(t->j.step.exchange))
		msg_info("ranks      %d, exchange by %s", t->comm->size, exchange_text(t->j.step.exchange));
	t->step.updates = t->start;
	t->saved = -1;
	if (t->c.path) {
		ACE_TRY(state_restore(&t->c, &t->step, &t->at));
		t->saved = t->start;
	} else if (t->j.init_lora_ema) {
		ACE_TRY(ema_read_adapters(&t->step.ema, &t->m.params, t->j.init_lora_ema));
	}
	if (t->j.eval_steps > 0 || t->j.eval_epochs > 0) {
		const struct evaluation_options o = { &t->j.data, t->j.eval_dataset, t->j.eval_clips, t->j.eval_times };
		ACE_TRY(evaluation_open(&t->evaluation, &t->step, &o));
	}
	ACE_TRY(train_validation_ready(t));
	ACE_TRY(loop_open(&t->loop, &t->step, t->data, &t->limits, t->at));
	t->loop.names = settings_bool(t->settings, "print_filenames");
	return ACE_OK;
}

/* A batch system that says when it will end the job gets a run that stops in time for a save (ecosystem.md section 2): the grace
 * before, or, of a job that is short, a quarter of what it had. */
static bool
is_late(struct train *t)
{
	const char *text = getenv("SLURM_JOB_END_TIME");
	double end = text ? strtod(text, NULL) : 0, rest = end - clock_wall();

	if (!(end > 0))
		return false;
	if (t->margin == 0)
		t->margin = t->j.time_limit;
	if (t->margin == 0)
		t->margin = rest / 4 < (double)t->j.grace ? rest / 4 : (double)t->j.grace;
	return rest < t->margin + 2 * t->longest_save + 2 * t->pace;
}

/* What is to be done between two updates. */
static enum status
ask(struct train *t)
{
	uint32_t mine = is_late(t) ? ASKED_BY_CLOCK : 0;

	if (stop_asked())
		mine |= ASKED_STOP;
	if (stop_save_asked())
		mine |= ASKED_SAVE;
	return train_ask(t, mine);
}

/* Asked to stop: what is done is saved. Every rank comes here. */
static enum status
stop(struct train *t)
{
	char now[40], step[32] = "";
	enum status st = ACE_OK;

	clock_utc(now, sizeof now);
	msg_progress_end();
	msg_info("%.8s  %s: saving and stopping", now + 11, *stop_signal() ? stop_signal() :
	         t->asked & ASKED_BY_CLOCK ? "the job's time is nearly up" : "a signal to another rank");
	if (t->step.updates > t->start || t->saved >= 0) {
		st = train_save(t, false);
		train_may_be_late(t, true);
		if (st == ACE_OK)
			st = train_saved(t, true);
		snprintf(step, sizeof step, "checkpoint-%lld", (long long)t->step.updates);
	}
	ACE_TRY(train_agree(t, st));
	msg_info("stopped    at step %lld of %lld%s%s. Run again to go on (exit 75).", (long long)t->step.updates,
	         (long long)t->limits.steps, *step ? ", state in " : ", before the first update; nothing to save", step);
	return train_agree(t, ace_fail(ACE_ESTOPPED, "stopped on request at step %lld", (long long)t->step.updates));
}

static bool
due(const struct train *t, const struct loop_report *r)
{
	if (t->j.save_steps > 0 && t->step.updates % t->j.save_steps == 0)
		return true;
	return t->j.save_epochs > 0 && r->epoch_ended && r->epochs_done % t->j.save_epochs == 0;
}

/* What the line of an update says besides numbers. */
static const char *
event_of(const struct train *t, bool save)
{
	if (t->step.updates == t->start + 1)
		return t->c.path ? "resume" : "start";
	return save ? "save" : NULL;
}

static bool
to_evaluate(const struct train *t, const struct loop_report *r)
{
	if (t->j.eval_steps > 0 && t->step.updates % t->j.eval_steps == 0)
		return true;
	return t->j.eval_epochs > 0 && r->epoch_ended && r->epochs_done % t->j.eval_epochs == 0;
}

/* The loss on held-out clips, when its turn has come. */
static enum status
evaluate(struct train *t, const struct loop_report *r, double *loss, bool *done)
{
	struct evaluation *e = &t->evaluation;

	*done = to_evaluate(t, r);
	if (!*done)
		return ACE_OK;
	train_may_be_late(t, true);
	ACE_TRY(train_agree(t, evaluation_loss(e, loss)));
	train_may_be_late(t, false);
	msg_progress_end();
	if (t->first)
		msg_info("eval       step %lld: loss %.4g on %d held-out clip%s", (long long)t->step.updates, *loss, e->n,
		         e->n == 1 ? "" : "s");
	return ACE_OK;
}

/* A run that ends because the disk is low ends with what is being saved in its place. */
static enum status
mind_disk(struct train *t)
{
	enum status st = train_agree(t, train_mind_disk(t));
	char message[1024];

	if (st == ACE_OK)
		return st;
	snprintf(message, sizeof message, "%s", ace_message());
	train_may_be_late(t, true);
	ACE_TRY(train_saved(t, true));
	return train_agree(t, ace_fail(st, "%s", message));
}

static enum status
train(struct train *t)
{
	struct loop_report r;
	bool more = true, evaluated, rendered;
	double eval = 0;

	msg_debug("the first update begins %.2f s after the start", clock_now() - t->began);
	train_may_be_late(t, false);
	ACE_TRY(train_validate(t, NULL, &rendered));
	ACE_TRY(ask(t));
	while (more) {
		if (t->asked & (ASKED_STOP | ASKED_BY_CLOCK))
			return stop(t);
		ACE_TRY(loop_update(&t->loop, &r, &more));
		if (!more)
			break;
		ACE_TRY(ask(t));
		ACE_TRY(train_saved(t, false));
		bool save = t->asked & ASKED_SAVE || due(t, &r);
		bool rolling = !save && t->j.rolling_steps > 0 && t->step.updates % t->j.rolling_steps == 0 &&
			       t->step.updates < t->limits.steps;
		ACE_TRY(evaluate(t, &r, &eval, &evaluated));
		ACE_TRY(train_note(t, &r, evaluated ? &eval : NULL, event_of(t, save || rolling)));
		train_say_step(t, &r);
		if (save || rolling)
			ACE_TRY(train_save(t, !save));
		if (save || rolling)
			ACE_TRY(mind_disk(t));
		ACE_TRY(train_validate(t, &r, &rendered));
		if (rendered)			/* it takes its time */
			ACE_TRY(ask(t));
		if (rendered && t->asked & ASKED_SAVE)
			ACE_TRY(train_save(t, false));
	}
	if (t->step.updates == t->start && !t->c.path)
		return ace_fail(ACE_ECONFIG, "no update: the data sets have fewer batches than gradient_accumulation_steps=%lld in all "
		                "their epochs", (long long)t->j.step.accumulation);
	ACE_TRY(train_save(t, false));
	train_may_be_late(t, true);
	return train_saved(t, true);
}

/* The end of a run that was not stopped: its result, by the first rank. */
static enum status
finish(struct train *t)
{
	char *path = NULL;
	enum status st = train_finish(t, &path);

	if (st == ACE_OK && t->first)
		train_say_end(t, path);
	free(path);
	return train_agree(t, st);
}

/* Captions that are not kept (text_cache_disable) get a place for as long as the run lasts. What a run that was killed has left there
 * goes. */
static enum status
place_texts(struct train *t)
{
	for (int i = 0; i < t->j.list.n; i++) {
		struct dataset *e = &t->j.list.entry[i];
		if (e->kind != DATASET_TEXTS || !e->no_cache)
			continue;
		if (!t->texts)
			t->texts = file_path("%s/texts.part", t->j.out);
		free(e->store);
		e->store = t->texts ? file_path("%s/%s", t->texts, e->id) : NULL;
		if (!e->store)
			return ace_fail(ACE_ENOMEM, "no memory for a path");
		e->no_cache = false;
		e->ondemand = true;
	}
	return t->texts && t->first && file_exists(t->texts) ? file_remove_tree(t->texts) : ACE_OK;
}

/* What stores lack and the run wants; a look alone makes only what it cannot do without. */
static enum status
make_missing(struct train *t)
{
	struct dataset_list texts = { .path = t->j.list.path, .n = t->j.list.n };
	enum status st;

	ACE_TRY(train_agree(t, place_texts(t)));
	if (!t->j.check && !t->j.dry_run)
		return preprocess_missing(t->settings, &t->j.list, t->comm);
	if (!t->texts)
		return ACE_OK;
	texts.entry = calloc((size_t)texts.n, sizeof *texts.entry);
	for (int i = 0; texts.entry && i < texts.n; i++) {
		struct dataset *e = &texts.entry[i];
		*e = t->j.list.entry[i];		/* borrowed */
		e->ondemand = e->ondemand && e->kind == DATASET_TEXTS && strncmp(e->store, t->texts, strlen(t->texts)) == 0;
	}
	st = train_agree(t, texts.entry ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a list of data sets"));
	if (st == ACE_OK)
		st = preprocess_missing(t->settings, &texts, t->comm);
	free(texts.entry);
	return st;
}

/* Nothing of the captions stays; of a look not the folder either that they were in, unless it has more. */
static void
remove_texts(struct train *t)
{
	if (t->texts && t->first && file_exists(t->texts) && file_remove_tree(t->texts) != ACE_OK)
		msg_warn("%s", ace_message());
	if (t->texts && t->first && (t->j.check || t->j.dry_run))
		(void)rmdir(t->j.out);
	free(t->texts);
}

static enum status
run(struct train *t)
{
	ACE_TRY(find_checkpoint(t));
	ACE_TRY(train_agree(t, train_job_data(&t->j)));
	ACE_TRY(make_missing(t));
	ACE_TRY(train_agree(t, look(t)));
	ACE_TRY(train_agree(t, train_validation_open(t)));
	if (t->j.check) {
		ACE_TRY(train_agree(t, train_models_end(t)));
		msg_info("checked    model, data and settings fit; nothing was written");
		return ACE_OK;
	}
	ACE_TRY(train_agree(t, open_model(t)));
	train_say_start(t);
	if (t->j.dry_run) {
		ACE_TRY(train_agree(t, train_models_end(t)));
		return train_agree(t, t->first ? train_say_dry(t) : ACE_OK);
	}
	read_ahead(&t->m);
	ACE_TRY(train_agree(t, train_models_end(t)));
	ACE_TRY(train_agree(t, t->first ? train_open_files(t) : ACE_OK));
	ACE_TRY(train_agree(t, train_open_writer(t)));
	ACE_TRY(train_agree(t, open_step(t)));
	ACE_TRY(mind_disk(t));
	ACE_TRY(train(t));
	return finish(t);
}

static enum status
tidy(struct train *t)
{
	enum status st = train_models_end(t);

	train_wait_scripts(t, true);
	evaluation_close(&t->evaluation);
	train_validation_close(t);
	loop_close(&t->loop);
	st = train_close_files(t);
	step_close(&t->step);
	dit_close(&t->m);
	dev_close(&t->dev);
	checkpoint_close(&t->c);
	data_close(t->data);
	train_encode_close(t->encode);
	remove_texts(t);
	train_job_free(&t->j);
	return st;
}

/* What all ranks fail with together does not take with it the save that they have in flight. */
static enum status
end_saves(struct train *t, enum status st)
{
	char message[1024];

	if (!t->comm || st == ACE_OK || !comm_agreed(t->comm))
		return st;
	snprintf(message, sizeof message, "%s", ace_message());
	train_may_be_late(t, true);
	if (t->writer && train_saved(t, true) != ACE_OK)
		msg_warn("%s", ace_message());
	return comm_agree(t->comm, ace_fail(st, "%s", message));
}

/* learning_rate for more ranks; the lyrics embedder's unless it was given. */
static void
scale_rates(struct step_options *o, double by, bool own)
{
	o->schedule.rate *= by;
	if (!own)
		o->groups.schedule.rate *= by;
}

static enum link_way
way_of(const struct settings *s)
{
	const char *way = settings_str(s, "rank_exchange");

	return strcmp(way, "nccl") == 0 ? LINK_NCCL : strcmp(way, "host") == 0 ? LINK_STAGED : LINK_AUTO;
}

/* Ranks compute on the same kind of device: where one has no GPU, none uses it unless it is asked to. Collective. */
static enum status
device_of_ranks(struct train *t)
{
	bool automatic = strcmp(settings_str(t->settings, "device"), "auto") == 0;
	int64_t on_cpu = t->j.device != DEV_CUDA, some = on_cpu;

	ACE_TRY(comm_allreduce(t->comm, tensor_of(&some, I64, 1, 1), COMM_MAX, "which ranks have a GPU"));
	if (some && automatic)
		t->j.device = DEV_CPU;
	if (some && !automatic && !on_cpu)
		return ace_fail(ACE_ECONFIG, "device=cuda here and not on all ranks");
	return ACE_OK;
}

enum status
train_run(struct settings *s, struct comm *c)
{
	struct train t = { .settings = s, .began = clock_now(), .saved = -1, .first = true };
	enum status st = train_job_fill(&t.j, s), closed;
	char message[1024];

	if (c && c->size > 1) {
		t.comm = t.exchange.comm = c;
		t.first = c->rank == 0;
		t.exchange.sharding = t.j.sharding;
		t.exchange.way = way_of(s);
		t.patience = settings_f64(s, "rank_patience");
		t.j.step.exchange = &t.exchange;
		t.j.threads = ranks_threads(c, t.j.threads);
		if (settings_bool(s, "lr_scale"))
			scale_rates(&t.j.step, settings_bool(s, "lr_scale_sqrt") ? sqrt(c->size) : c->size,
			            settings_has(s, "lyrics_embedder_lr"));
		train_may_be_late(&t, true);
		st = comm_agree(c, st);
		if (st == ACE_OK)
			st = comm_agree(c, device_of_ranks(&t));
	}

	/* large blocks go back to the system when they are freed, as the plan supposes: no limit that grows with use */
	mallopt(M_MMAP_THRESHOLD, 1 << 17);
	if (st == ACE_OK) {
		stop_setup(t.j.grace);
		st = end_saves(&t, run(&t));
	}
	snprintf(message, sizeof message, "%s", ace_message());
	closed = tidy(&t);
	if (st == ACE_OK || closed == ACE_OK)
		return st == ACE_OK ? closed : st;
	return ace_fail(st, "%s", message);	/* closing has put its own in the place */
}
