/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from what, and what is refused (training.md sections 1.6 and 15). */
#include "base/settings_parts.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { JSON_LIMIT = 1 << 20 };

/* preset=upstream: the original trainer's values for what nobody has set. */
static const struct {
	const char *name, *value;
} upstream[] = {
	{ "optimizer", "torch-adamw" },
	{ "optimizer_beta1", "0.8" },
	{ "optimizer_beta2", "0.9" },
	{ "adam_weight_decay", "0.01" },
	{ "learning_rate", "1e-4" },
	{ "lr_scheduler", "linear" },
	{ "lr_warmup_steps", "10" },
	{ "max_grad_norm", "0.5" },
	{ "grad_clip_method", "norm" },
	{ "mixed_precision", "no" },
	{ "lora_rank", "256" },
	{ "lora_alpha", "32" },
	{ "use_rslora", "true" },
	{ "acestep_lora_target", "attn_qkv+linear_qkv+speech_embedder" },
};

/* The keys of an upstream adapter file (lora_config_path). */
static const struct {
	const char *key, *name;
} adapter[] = {
	{ "r", "lora_rank" },
	{ "lora_alpha", "lora_alpha" },
	{ "lora_dropout", "lora_dropout" },
	{ "use_rslora", "use_rslora" },
	{ "target_modules", "peft_lora_target_modules" },
};

static enum status
fill_from_adapter(struct settings *s, const char *path)
{
	const struct origin from = { FROM_FILE, path };
	cJSON *root = NULL;
	enum status st = json_read(path, JSON_LIMIT, &root);

	if (st == ACE_OK && !cJSON_IsObject(root))
		st = ace_fail(ACE_ECONFIG, "%s: wanted an object with r, lora_alpha, target_modules", path);
	for (size_t i = 0; i < sizeof adapter / sizeof *adapter && st == ACE_OK; i++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(root, adapter[i].key);
		char *text;
		if (!v || cJSON_IsNull(v))
			continue;
		text = cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
		st = text ? settings_fill(s, adapter[i].name, text, &from) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
		free(text);
	}
	cJSON_Delete(root);
	return st;
}

/* seed=0 is the clock, -1 a random number; what it became is kept, so that the run can be repeated. */
static enum status
draw_seed(struct settings *s)
{
	struct setting *v = settings_at(s, option_find("seed", NULL));
	struct origin from = { v->source, v->i64 == 0 ? "drawn from the clock" : "drawn at random" };
	struct timespec now;
	uint32_t drawn = 0;
	char text[24];

	if (v->i64 > 0)
		return ACE_OK;
	clock_gettime(CLOCK_REALTIME, &now);
	drawn = (uint32_t)now.tv_sec * 1000003u + (uint32_t)now.tv_nsec;
	if (v->i64 < 0 && getentropy(&drawn, sizeof drawn) != 0)
		return ace_fail(ACE_EIO, "seed=-1: no random numbers to be had");
	drawn &= 0x7fffffffu;
	snprintf(text, sizeof text, "%u", drawn ? drawn : 1u);
	return settings_assign(s, option_find("seed", NULL), false, text, &from);
}

enum status
settings_derive(struct settings *s)
{
	const struct origin preset = { FROM_PRESET, "preset=upstream" };
	const struct origin steps = { FROM_DEFAULT, "max_train_steps is given" };
	const char *path = settings_str(s, "lora_config_path"), *name = settings_str(s, "preset");

	if (path)
		ACE_TRY(fill_from_adapter(s, path));
	if (name && strcmp(name, "upstream") == 0)
		for (size_t i = 0; i < sizeof upstream / sizeof *upstream; i++)
			ACE_TRY(settings_fill(s, upstream[i].name, upstream[i].value, &preset));
	if (settings_i64(s, "max_train_steps") > 0)
		ACE_TRY(settings_fill(s, "num_train_epochs", "0", &steps));
	return draw_seed(s);
}

/* false, 0, null, none, default, or what stands there anyway */
static bool
is_neutral(const struct option *o, const struct setting *v)
{
	const char *text = v->text;
	char *end;
	double x;

	if (!text || !*text)
		return true;
	if (o->initial && strcmp(text, o->initial) == 0)
		return true;
	if (o->initial && (o->type == OPT_INT || o->type == OPT_FLOAT)) {
		x = strtod(text, &end);
		if (!*end && x == strtod(o->initial, NULL))
			return true;
	}
	if (o->initial && !o->foreign && strcmp(o->initial, "false") != 0 && strcmp(o->initial, "0") != 0 &&
	    strcmp(o->initial, "none") != 0)
		return false;
	return option_has_word("false False 0 0.0 null None none default no off", text);
}

/* The list "a, b" of names that are accepted without effect grows. */
static void
name_joins(char *list, size_t size, const char *name)
{
	size_t n = strlen(list);

	snprintf(list + n, size - n, "%s%s", n ? ", " : "", name);
}

static enum status
refuse_later(const struct option *o, const struct setting *v)
{
	char head[600], other[200];
	bool passed_over = strcmp(o->category, "validation") == 0;

	settings_origin(v->where, head, sizeof head);
	if (o->error)
		return settings_refuse(o, v->text, &(struct origin){ v->source, v->where });
	if (o->instead)
		snprintf(other, sizeof other, "%s", o->instead);
	else if (o->initial && *o->initial)
		snprintf(other, sizeof other, "wanted %s", o->initial);
	else
		snprintf(other, sizeof other, "leave it out");
	return ace_fail(origin_code(v->source), "%s%s=%.80s is not built yet; %s%s", head, o->name, v->text, other,
			passed_over ? "; validation_disable=true passes over the validation options" : "");
}

/* An option that is built, but not with this value. */
static enum status
check_built(const struct option *o, const struct setting *v)
{
	const char *values = option_built_values(o);
	char head[600], wanted[800];

	if (!values || !v->text || !*v->text || (o->type != OPT_ENUM && o->type != OPT_INT) ||
	    option_has_word(values, v->text))
		return ACE_OK;
	settings_origin(v->where, head, sizeof head);
	if (o->error && strncmp(o->error, v->text, strlen(v->text)) == 0)
		return settings_refuse(o, v->text, &(struct origin){ v->source, v->where });
	return ace_fail(origin_code(v->source), "%s%s=%s is not built yet; wanted %s", head, o->name, v->text,
			option_wanted(o, wanted, sizeof wanted));
}

static bool
is(const struct settings *s, const char *name, const char *value)
{
	const char *text = settings_str(s, name);

	return text && strcmp(text, value) == 0;
}

/* The Python trainer leaves DoRA out on quantised weights as well, and says so. */
static bool
is_left_out(const struct settings *s, const struct option *o)
{
	return strcmp(o->name, "use_dora") == 0 && !is(s, "base_model_precision", "no_change");
}

static enum status
check_states(struct settings *s)
{
	char idle[1500] = "";
	bool no_validation = settings_bool(s, "validation_disable");

	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		const struct setting *v = settings_at(s, o);
		if (v->source == FROM_DEFAULT || !(o->programs & (s->program->bit | s->program->also)))
			continue;
		switch (option_state(o)) {
		case OPT_BUILT:
			ACE_TRY(check_built(o, v));
			break;
		case OPT_NOTICE:
			if (is_neutral(o, v))
				break;
			if (o->error && !o->foreign)
				ACE_TRY(settings_notice(s, "%s: %s", o->name, o->error));
			else
				name_joins(idle, sizeof idle, o->name);
			break;
		case OPT_FOREIGN:
			if (!is_neutral(o, v))
				return settings_refuse(o, v->text, &(struct origin){ v->source, v->where });
			name_joins(idle, sizeof idle, o->name);
			break;
		case OPT_LATER:
			if (is_neutral(o, v))
				break;
			if (is_left_out(s, o)) {
				ACE_TRY(settings_notice(s, "%s: adapters on quantised weights are plain ones", o->name));
				break;
			}
			if (v->source != FROM_EXAMPLE && !(no_validation && strcmp(o->category, "validation") == 0))
				return refuse_later(o, v);
			ACE_TRY(settings_notice(s, "%s=%s is left out: not built yet", o->name, v->text));
			break;
		}
	}
	return *idle ? settings_notice(s, "accepted without effect: %s", idle) : ACE_OK;
}

/* Combinations that cannot be meant. */
static enum status
check_together(const struct settings *s)
{
	bool quantised = !is(s, "base_model_precision", "no_change");
	const char *schedule = settings_str(s, "lr_scheduler");

	if (settings_f64(s, "num_train_epochs") > 0 && settings_is_set(s, "num_train_epochs") &&
	    settings_i64(s, "max_train_steps") > 0)
		return ace_fail(ACE_ECONFIG, "num_train_epochs and max_train_steps are both above 0; give one of them");
	if (settings_has(s, "optimizer_beta1") != settings_has(s, "optimizer_beta2"))
		return ace_fail(ACE_ECONFIG, "only %s is given; optimizer_beta1 and optimizer_beta2 go together",
				settings_has(s, "optimizer_beta1") ? "optimizer_beta1" : "optimizer_beta2");
	if (quantised && is(s, "model_type", "full"))
		return ace_fail(ACE_ECONFIG, "base_model_precision=%s needs model_type=lora: quantised weights cannot train",
				settings_str(s, "base_model_precision"));
	if (settings_bool(s, "lyrics_embedder_train") && is(s, "lora_type", "lycoris"))
		return ace_fail(ACE_ECONFIG, "lyrics_embedder_train needs model_type=full or lora_type=standard");
	if (settings_bool(s, "flow_use_uniform_schedule") && settings_bool(s, "flow_use_beta_schedule"))
		return ace_fail(ACE_ECONFIG, "flow_use_uniform_schedule and flow_use_beta_schedule exclude each other");
	if (settings_has(s, "flow_custom_timesteps") &&
	    (settings_bool(s, "flow_use_uniform_schedule") || settings_bool(s, "flow_use_beta_schedule")))
		return ace_fail(ACE_ECONFIG, "flow_custom_timesteps takes the place of flow_use_uniform_schedule and "
				"flow_use_beta_schedule; give one of them");
	if (settings_has(s, "flow_cubic_schedule_weights") && (settings_has(s, "flow_custom_timesteps") ||
	    settings_bool(s, "flow_use_uniform_schedule") || settings_bool(s, "flow_use_beta_schedule")))
		return ace_fail(ACE_ECONFIG, "flow_cubic_schedule_weights takes the place of flow_use_uniform_schedule, "
				"flow_use_beta_schedule and flow_custom_timesteps; give one of them");
	if (settings_has(s, "init_lora_step") && settings_is_set(s, "resume_from_checkpoint") &&
	    settings_has(s, "resume_from_checkpoint"))
		return ace_fail(ACE_ECONFIG, "init_lora_step and resume_from_checkpoint exclude each other: a resumed run has "
				"its own count");
	if (schedule && strcmp(schedule, "polynomial") == 0 &&
	    settings_f64(s, "lr_end") >= settings_f64(s, "learning_rate"))
		return ace_fail(ACE_ECONFIG, "lr_end (%g) must be below learning_rate (%g) with lr_scheduler=polynomial",
				settings_f64(s, "lr_end"), settings_f64(s, "learning_rate"));
	if (schedule && strcmp(schedule, "sine") == 0 && settings_i64(s, "lr_warmup_steps") <= 0)
		return ace_fail(ACE_ECONFIG, "lr_scheduler=sine needs lr_warmup_steps above 0: half its period");
	if (settings_has(s, "dataset") + settings_has(s, "data_backend_config") + settings_has(s, "dataset_path") > 1)
		return ace_fail(ACE_ECONFIG, "dataset, dataset_path and data_backend_config exclude each other; give one");
	return ACE_OK;
}

enum status
settings_check(struct settings *s)
{
	ACE_TRY(check_states(s));
	if ((s->program->bit | s->program->also) & OPT_TRAINING)
		ACE_TRY(check_together(s));
	return ACE_OK;
}
