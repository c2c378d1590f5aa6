/* SPDX-License-Identifier: Apache-2.0 */
#include "train/state.h"

#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "models/lyrics_file.h"
#include "train/model_copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for a checkpoint");
}

/* root into the file name, unless it could not be made. */
static enum status
add_json(struct checkpoint_save *s, const char *name, cJSON *root, bool whole)
{
	enum status st = whole ? checkpoint_add_json(s, name, root) : no_memory();

	cJSON_Delete(root);
	return st;
}

static enum status
add_state(struct checkpoint_save *s, const struct step *step)
{
	cJSON *root = cJSON_CreateObject(), *rates = cJSON_AddArrayToObject(root, "learning_rates");
	double rate = step_rate(step);
	bool whole = rates && cJSON_AddItemToArray(rates, cJSON_CreateNumber(rate)) &&
		     cJSON_AddNumberToObject(root, "k", (double)step->updates) &&
		     cJSON_AddStringToObject(root, "optimizer", optim_rule_name(step->o.optim.rule));

	if (step->scaler.scale > 0 || step->scaler.skipped > 0)
		whole = whole && cJSON_AddNumberToObject(root, "loss_scale", step->scaler.scale) &&
			cJSON_AddNumberToObject(root, "good_updates", (double)step->scaler.good) &&
			cJSON_AddNumberToObject(root, "skipped_updates", (double)step->scaler.skipped);
	if (step->spoilt > 0)
		whole = whole && cJSON_AddNumberToObject(root, "nonfinite_updates", (double)step->spoilt);
	if (step->o.groups.lyrics)
		whole = whole && cJSON_AddItemToArray(rates, cJSON_CreateNumber(step_lyrics_rate(step))) &&
			cJSON_AddStringToObject(root, "lyrics_optimizer", optim_rule_name(step->o.groups.optim.rule));
	return add_json(s, CHECKPOINT_STATE, root, whole);
}

/* Where the data goes on: the order of an epoch follows from seed and epoch, so the number of the next batch is all. */
static enum status
add_place(struct checkpoint_save *s, const struct loop *l)
{
	cJSON *sampler = cJSON_CreateObject(), *rng = cJSON_CreateObject();
	char seed[24];
	bool whole;

	snprintf(seed, sizeof seed, "%llu", (unsigned long long)l->step->o.seed);
	whole = cJSON_AddNumberToObject(sampler, "epoch", (double)l->at.epoch) &&
		cJSON_AddNumberToObject(sampler, "batch", (double)l->at.number) &&
		cJSON_AddNumberToObject(sampler, "batches", (double)data_batches_per_epoch(l->data, l->at.epoch)) &&
		cJSON_AddNumberToObject(sampler, "clips", (double)data_clips(l->data));
	if (add_json(s, CHECKPOINT_SAMPLER, sampler, whole) != ACE_OK) {
		cJSON_Delete(rng);
		return ACE_ENOMEM;
	}
	whole = cJSON_AddStringToObject(rng, "generator", "philox4x32-10") && cJSON_AddStringToObject(rng, "seed", seed) &&
		cJSON_AddNumberToObject(rng, "epoch", (double)l->at.epoch) && cJSON_AddNumberToObject(rng, "batch", (double)l->at.number);
	return add_json(s, CHECKPOINT_RNG, rng, whole);
}

/* What state_shown is given. */
struct shown {
	struct checkpoint_save *s;
	struct exchange *x;			/* NULL: alone */
	const struct dit *m;
	const struct adapter_write_options *o;	/* NULL: the whole model */
	bool lyrics;				/* the lyrics embedder as a file of its own as well */
	const char *below;			/* "", or a folder with its slash */
};

/* A name below a folder; NULL when memory is out. */
static char *
name_in(const char *below, const char *name)
{
	return file_path("%s%s", below, name);
}

static bool
is_first(const struct exchange *x)
{
	return exchange_rank(x) == 0;
}

/* The weights as a file that all ranks write. */
static enum status
add_model_shares(const struct shown *a)
{
	char *to = name_in(a->below, CHECKPOINT_MODEL "/" MODEL_COPY_CONFIG), *config = NULL;
	char *weights = name_in(a->below, CHECKPOINT_MODEL "/" MODEL_COPY_WEIGHTS);
	enum status st = to && weights ? model_copy_share(a->x, a->s, weights, a->m) : no_memory();
	size_t size;

	if (st == ACE_OK && is_first(a->x))
		st = model_copy_config(a->m, &config, &size);
	if (st == ACE_OK && is_first(a->x))
		st = checkpoint_add_bytes(a->s, to, config, size);
	free(config);
	free(weights);
	free(to);
	return st;
}

/* The lyrics embedder likewise. */
static enum status
add_lyrics_shares(const struct shown *a, const char *file)
{
	const struct params *ps = &a->m->params;

	for (int i = 0; i < ps->n; i++)
		if (lyrics_file_holds(ps->param[i]->name))
			ACE_TRY(exchange_save_value(a->x, a->s, file, ps->param[i]->name, ps->param[i], i));
	return checkpoint_add_meta(a->s, file, "format", "pt");
}

static enum status
add_model(struct checkpoint_save *s, const char *below, const struct dit *m)
{
	char *to = name_in(below, CHECKPOINT_MODEL "/" MODEL_COPY_CONFIG), *weights = name_in(below, CHECKPOINT_MODEL "/" MODEL_COPY_WEIGHTS);
	enum status st = to && weights ? ACE_OK : no_memory();
	struct model_copy *copy;
	char *config = NULL;
	size_t size;

	if (st == ACE_OK)
		st = model_copy_config(m, &config, &size);
	if (st == ACE_OK)
		st = checkpoint_add_bytes(s, to, config, size);
	if (st == ACE_OK)
		st = model_copy_take(&copy, m);
	if (st == ACE_OK)
		st = checkpoint_add_written(s, weights, model_copy_write, model_copy_free, copy);
	free(config);
	free(weights);
	free(to);
	return st;
}

/* Adapters are small, and their file is not made of the tensors alone: the first rank has them whole, and writes them. */
static enum status
add_shown(void *me)
{
	const struct shown *a = me;
	char *lyrics = name_in(a->below, LYRICS_FILE), *adapters = name_in(a->below, ADAPTER_FILE);
	enum status st = lyrics && adapters ? ACE_OK : no_memory();
	bool alone = exchange_ranks(a->x) == 1;

	if (st == ACE_OK && a->lyrics && !alone && !a->o)
		st = add_lyrics_shares(a, lyrics);
	else if (st == ACE_OK && a->lyrics && is_first(a->x))
		st = checkpoint_add_lyrics(a->s, lyrics, &a->m->params);
	if (st == ACE_OK && !a->o)
		st = alone ? add_model(a->s, a->below, a->m) : add_model_shares(a);
	else if (st == ACE_OK && is_first(a->x))
		st = checkpoint_add_adapters(a->s, adapters, &a->m->params, NULL, a->o);
	free(adapters);
	free(lyrics);
	return st;
}

/* The average: raw, and as files for other programs. */
static enum status
add_average(const struct shown *values, struct step *step)
{
	struct shown shown = *values;
	struct ema *e = &step->ema;

	if (is_first(shown.x)) {
		cJSON *root = cJSON_CreateObject();
		bool whole = cJSON_AddNumberToObject(root, "optimization_step", (double)step->updates) &&
			     cJSON_AddNumberToObject(root, "decay", e->opt.decay) &&
			     cJSON_AddNumberToObject(root, "update_interval", (double)e->opt.interval) &&
			     cJSON_AddNumberToObject(root, "warmup_steps", (double)e->opt.warmup) &&
			     cJSON_AddNumberToObject(root, "last_decay", ema_decay(&e->opt, step->updates));
		ACE_TRY(add_json(shown.s, CHECKPOINT_EMA_STATE, root, whole));
	}
	ACE_TRY(exchange_save_average(step->o.exchange, shown.s, e));
	shown.below = CHECKPOINT_EMA "/";
	return state_average_shown(step, shown.o != NULL, add_shown, &shown);
}

static void
restart(void *me, int turn)
{
	if (turn == 0)
		ema_restart(me);
	else
		ema_turn(me, turn);
}

/* As saved; of a run that kept none up to now, the values. */
static enum status
restore_average(const struct checkpoint *c, struct step *step)
{
	if (checkpoint_has(c, CHECKPOINT_EMA_STATE))
		return exchange_restore_average(step->o.exchange, c, &step->ema);
	if (exchange_rank(step->o.exchange) == 0)
		msg_warn("%s has no average of the weights: it begins at the present ones", c->path);
	return exchange_turns(step->o.exchange, false, false, restart, &step->ema);
}

/* The group that a param is of in the main optimiser, and in the lyrics embedder's own; -1: of none. */
static int
in_main(const void *me, const char *name)
{
	const struct groups_options *g = &((const struct step *)me)->o.groups;

	return !g->lyrics || !lyrics_file_holds(name) ? GROUP_MAIN : g->own ? -1 : GROUP_LYRICS;
}

static int
in_own(const void *me, const char *name)
{
	(void)me;
	return lyrics_file_holds(name) ? GROUP_MAIN : -1;
}

enum status
state_save(struct checkpoint_save *s, const struct loop *l, const struct state_facts *f)
{
	struct step *step = l->step;
	struct adapter_write_options adapter = { 0 };
	struct shown shown = { s, step->o.exchange, step->m, f->adapter ? &adapter : NULL, step->o.groups.lyrics, "" };
	struct checkpoint_training t = { .global_step = step->updates, .epoch_step = l->at.number, .epoch = l->at.epoch + 1 };

	if (f->adapter)
		adapter = *f->adapter;
	adapter.global_step = step->updates;
	ACE_TRY(exchange_save(step->o.exchange, s, groups_main, &step->optim, in_main, step));
	if (step->groups.optim.dev)
		ACE_TRY(exchange_save(step->o.exchange, s, groups_own, &step->groups.optim, in_own, step));
	ACE_TRY(f->adapter ? state_shown(step, add_shown, &shown) : state_looked_at(step, add_shown, &shown));
	if (step->o.ema.interval)
		ACE_TRY(add_average(&shown, step));
	if (f->adapter)
		ACE_TRY(checkpoint_add_scales(s, &step->m->params));
	if (!is_first(step->o.exchange))
		return ACE_OK;
	ACE_TRY(add_state(s, step));
	ACE_TRY(add_place(s, l));
	ACE_TRY(checkpoint_add_training(s, &t));
	ACE_TRY(checkpoint_add_fact(s, "model_type", f->adapter ? "lora" : "full"));
	return checkpoint_add_fact(s, "model", f->model);
}

enum status
state_seed(const struct checkpoint *c, uint64_t *seed)
{
	cJSON *rng = NULL;
	const cJSON *text;
	enum status st;
	char *end = NULL;

	ACE_TRY(checkpoint_json(c, CHECKPOINT_RNG, &rng));
	text = cJSON_GetObjectItemCaseSensitive(rng, "seed");
	*seed = cJSON_IsString(text) ? strtoull(text->valuestring, &end, 10) : 0;
	st = end && end != text->valuestring && !*end ? ACE_OK : ace_fail(ACE_EDATA, "%s/%s: no seed", c->path, CHECKPOINT_RNG);
	cJSON_Delete(rng);
	return st;
}

/* Whether state.json names rule as that of option; absent: it names none. */
static enum status
check_rule(const struct checkpoint *c, const cJSON *state, const char *key, const char *option, enum optim_rule rule)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(state, key);

	if (cJSON_IsString(name) && strcmp(name->valuestring, optim_rule_name(rule)) == 0)
		return ACE_OK;
	return ace_fail(ACE_ECONFIG, "%s was saved with %s=%s, now it is %s: its moments do not fit", c->path, option,
	                cJSON_IsString(name) ? name->valuestring : "?", optim_rule_name(rule));
}

enum status
state_check(const struct checkpoint *c, const struct step_options *o, const char *model)
{
	const char *of = checkpoint_fact(c, "model");
	bool lyrics = checkpoint_has(c, LYRICS_FILE);
	cJSON *state = NULL;
	enum status st;

	if (of && strcmp(of, model) != 0)
		return ace_fail(ACE_ECONFIG, "%s is of a run on another model (%.8s there, %.8s here)", c->path, of, model);
	if (lyrics && !o->groups.lyrics)
		return ace_fail(ACE_ECONFIG, "%s was saved with lyrics_embedder_train=true, now it is false: what it has learnt would "
		                "be lost", c->path);
	ACE_TRY(checkpoint_json(c, CHECKPOINT_STATE, &state));
	st = check_rule(c, state, "optimizer", "optimizer", o->optim.rule);
	if (st == ACE_OK && lyrics)
		st = check_rule(c, state, "lyrics_optimizer", "lyrics_embedder_optimizer", o->groups.optim.rule);
	cJSON_Delete(state);
	return st;
}

/* One tensor to the host at host + at, or back; host NULL: nothing. Returns its bytes. */
static size_t
carry_one(struct dev *d, struct tensor x, char *host, size_t at, bool back)
{
	if (host && back)
		d->m->upload(d, x.data, host + at, tensor_bytes(x));
	else if (host)
		d->m->download(d, host + at, x.data, tensor_bytes(x));
	return tensor_bytes(x);
}

/* All values that this rank has, and the masters of o (NULL: none), to the host, or back. Returns the bytes; host NULL: only counts. */
static size_t
carry(const struct step *s, const struct optim *o, char *host, bool back)
{
	struct param *p;
	size_t at = 0;

	for (int i = 0; (p = exchange_held(s->o.exchange, s->m, i)); i++)
		if (p->train)
			at += carry_one(s->dev, p->value, host, at, back);
	for (int i = 0; o && i < o->n; i++) {
		struct tensor master = optim_state(o, o->item[i].p, "master");
		if (master.rank)
			at += carry_one(s->dev, master, host, at, back);
	}
	return at;
}

static void
to_average(void *me, int turn)
{
	struct optim *o = me;

	if (turn == 0)
		optim_average(o, true);
	else
		optim_average_turn(o, turn);
}

static enum status
at_average(struct step *s, struct optim *o, enum status (*write)(void *me), void *me)
{
	enum status st, settled;
	char *host;

	if (!optim_averages(o->set.rule))
		return write(me);
	host = malloc(carry(s, o, NULL, false) + 1);
	if (!host)
		return no_memory();
	carry(s, o, host, false);
	st = exchange_turns(s->o.exchange, false, true, to_average, o);
	if (st == ACE_OK)
		st = write(me);
	settled = exchange_settle(s->o.exchange);
	optim_average(o, false);	/* nearly what they were */
	carry(s, o, host, true);
	free(host);
	return st == ACE_OK ? settled : st;
}

struct inner {
	struct step *step;
	bool shown;			/* on the first rank, whole */
	enum status (*write)(void *me);
	void *me;
};

static bool
averages(const struct step *s)
{
	return optim_averages(s->optim.set.rule) || (s->groups.optim.dev && optim_averages(s->groups.optim.set.rule));
}

/* With the whole values of what trains, where ranks have parts of them. */
static enum status
write_whole(void *me)
{
	const struct inner *in = me;
	struct exchange *x = in->step->o.exchange;
	enum status st = averages(in->step) ? exchange_values(x) : ACE_OK;

	if (st == ACE_OK && in->shown)
		st = exchange_show(x);
	if (st == ACE_OK)
		st = in->write(in->me);
	if (in->shown)
		exchange_hide(x);
	return st;
}

static enum status
write_inner(void *me)
{
	const struct inner *in = me;

	return at_average(in->step, &in->step->groups.optim, write_whole, me);
}

static enum status
run_inner(struct inner *in)
{
	struct step *s = in->step;
	enum status st = at_average(s, &s->optim, s->groups.optim.dev ? write_inner : write_whole, in);

	return st == ACE_OK && averages(s) ? exchange_values(s->o.exchange) : st;
}

enum status
state_shown(struct step *s, enum status (*write)(void *me), void *me)
{
	return run_inner(&(struct inner){ s, true, write, me });
}

enum status
state_looked_at(struct step *s, enum status (*run)(void *me), void *me)
{
	return run_inner(&(struct inner){ s, false, run, me });
}

static void
show_average(void *me, int turn)
{
	ema_show(me, turn);
}

enum status
state_average_shown(struct step *s, bool whole, enum status (*write)(void *me), void *me)
{
	size_t bytes = carry(s, NULL, NULL, false);
	struct exchange *x = s->o.exchange;
	char *host = malloc(bytes + 1);
	enum status st, settled;

	if (!host)
		return ace_fail(ACE_ENOMEM, "no memory to put the averages of the weights forward (%zu bytes)", bytes);
	carry(s, NULL, host, false);
	st = exchange_turns(x, false, true, show_average, &s->ema);
	if (st == ACE_OK)
		st = exchange_values(x);
	if (st == ACE_OK && whole)
		st = exchange_show(x);
	if (st == ACE_OK)
		st = write(me);
	exchange_hide(x);
	settled = exchange_settle(x);
	st = st == ACE_OK ? settled : st;
	carry(s, NULL, host, true);
	free(host);
	if (st == ACE_OK)
		st = exchange_values(x);
	return st != ACE_OK ? st : s->dev->status;
}

/* The loss scale; the updates that were skipped count for the schedule of a run without one, too. */
static enum status
restore_scale(const struct checkpoint *c, struct step *step)
{
	struct scaler s = step->scaler;
	const cJSON *scale;
	cJSON *root = NULL;
	char name[600];
	enum status st;

	ACE_TRY(checkpoint_json(c, CHECKPOINT_STATE, &root));
	snprintf(name, sizeof name, "%s/%s", c->path, CHECKPOINT_STATE);
	scale = cJSON_GetObjectItemCaseSensitive(root, "loss_scale");
	st = json_i64(root, name, "skipped_updates", 0, &s.skipped);
	if (st == ACE_OK)
		st = json_i64(root, name, "nonfinite_updates", 0, &step->spoilt);
	if (st == ACE_OK && s.scale > 0 && cJSON_IsNumber(scale) && scale->valuedouble > 0) {
		s.scale = scale->valuedouble;
		st = json_i64(root, name, "good_updates", 0, &s.good);
	}
	if (st == ACE_OK && (step->spoilt < 0 || step->spoilt > s.skipped))
		st = ace_fail(ACE_EDATA, "%s: %lld nonfinite_updates in a row of %lld that were skipped", name, (long long)step->spoilt,
		              (long long)s.skipped);
	if (st == ACE_OK && (s.good < 0 || s.skipped < 0 || s.skipped > c->global_step))
		st = ace_fail(ACE_EDATA, "%s: %lld good and %lld skipped updates of %lld", name, (long long)s.good, (long long)s.skipped,
		              (long long)c->global_step);
	cJSON_Delete(root);
	if (st == ACE_OK)
		step_scaler(step, s);
	return st;
}

static enum status
restore_place(const struct checkpoint *c, struct loop_place *at)
{
	cJSON *root = NULL;
	char name[600];
	enum status st;

	ACE_TRY(checkpoint_json(c, CHECKPOINT_SAMPLER, &root));
	snprintf(name, sizeof name, "%s/%s", c->path, CHECKPOINT_SAMPLER);
	st = json_i64(root, name, "epoch", -1, &at->epoch);
	if (st == ACE_OK)
		st = json_i64(root, name, "batch", -1, &at->number);
	if (st == ACE_OK && (at->epoch < 0 || at->number < 0))
		st = ace_fail(ACE_EDATA, "%s: epoch %lld, batch %lld; wanted the place of the next batch", name, (long long)at->epoch,
		              (long long)at->number);
	cJSON_Delete(root);
	return st;
}

enum status
state_restore(const struct checkpoint *c, struct step *step, struct loop_place *at)
{
	const struct groups_options *g = &step->o.groups;
	bool lyrics = g->lyrics && checkpoint_has(c, LYRICS_FILE);
	const char *const without[OPTIM_GROUPS] = { groups_main[GROUP_MAIN], NULL };
	bool apart = g->own || lyrics != g->lyrics;

	if (g->lyrics && !lyrics && exchange_rank(step->o.exchange) == 0)
		msg_warn("%s has no %s: the lyrics embedder begins as the model has it", c->path, LYRICS_FILE);
	ACE_TRY(exchange_restore(step->o.exchange, c, apart ? without : groups_main, &step->optim, in_main, step));
	if (lyrics && g->own)
		ACE_TRY(exchange_restore(step->o.exchange, c, groups_own, &step->groups.optim, in_own, step));
	ACE_TRY(exchange_values(step->o.exchange));
	if (step->o.ema.interval)
		ACE_TRY(restore_average(c, step));
	else if (checkpoint_has(c, CHECKPOINT_EMA_STATE) && exchange_rank(step->o.exchange) == 0)
		msg_warn("%s has an average of the weights that is not gone on with: use_ema is false", c->path);
	ACE_TRY(restore_place(c, at));
	ACE_TRY(restore_scale(c, step));
	step->updates = c->global_step;
	return ACE_OK;
}
