/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/train_job.h"

#include "base/file.h"
#include "base/msg.h"
#include "data/dataset_settings.h"
#include "jobs/device.h"
#include "jobs/transformer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool
is(const struct settings *s, const char *name, const char *value)
{
	const char *text = settings_str(s, name);

	return text && strcmp(text, value) == 0;
}

static enum status
fill_model(struct train_job *j, const struct settings *s)
{
	enum dtype half = is(s, "mixed_precision", "bf16") ? BF16 : is(s, "mixed_precision", "fp16") ? F16 : F32;

	j->full = is(s, "model_type", "full");
	if (!is(s, "lora_type", "standard"))
		return ace_fail(ACE_ECONFIG, "lora_type=%s is not built yet; wanted standard", settings_str(s, "lora_type"));
	j->dit = (struct dit_options){ .dtype = is(s, "base_model_default_dtype", "bf16") ? half : F32, .attention_masks = is(s, "attention_masks", "original"),
		.lyric_dropout = (float)settings_f64(s, "lyric_encoder_dropout") };
	j->f16 = half == F16;
	if (j->f16 && j->full)			/* the weights are the masters */
		j->dit.dtype = F32;
	j->dit.base = is(s, "base_model_precision", "int8-quanto") ? I8 : is(s, "base_model_precision", "fp8") ? F8 :
		is(s, "base_model_precision", "int4-quanto") || is(s, "base_model_precision", "int4") ? I4 : j->dit.dtype;
	if (j->f16 && j->device == DEV_CUDA && (j->full || j->dit.base != j->dit.dtype))
		return ace_fail(ACE_ECONFIG, "mixed_precision=fp16 with %s is not built for device=cuda; wanted bf16",
		                j->full ? "model_type=full" : "a base_model_precision of 8 or 4 bits");
	j->dit.quantize_feed_forward = settings_bool(s, "quantize_feed_forward");
	j->lyrics = settings_bool(s, "lyrics_embedder_train");
	j->dit.lyrics_train = j->lyrics && !j->full;
	j->dit.half_grads = is(s, "gradient_precision", "unmodified");
	j->dit.far_grads = settings_bool(s, "optimizer_offload_gradients");
	if (j->dit.half_grads && j->full && j->dit.dtype == BF16 && j->device != DEV_CUDA)
		return ace_fail(ACE_ECONFIG, "gradient_precision=unmodified with weights in bf16 is built for device=cuda; wanted fp32");
	if (settings_bool(s, "gradient_checkpointing") || settings_bool(s, "fsdp_activation_checkpointing"))
		j->dit.checkpoint_interval = (int)settings_i64(s, "gradient_checkpointing_interval");
	if (!(j->dit.lyric_dropout >= 0.f && j->dit.lyric_dropout < 1.f))
		return ace_fail(ACE_ECONFIG, "lyric_encoder_dropout is %g; wanted a number from 0 to below 1",
		                settings_f64(s, "lyric_encoder_dropout"));
	return transformer_find(s, &j->model_name, &j->model);
}

static enum status
add_target(struct train_job *j, const char *name)
{
	if (j->lora.n_targets == TRAIN_TARGETS)
		return ace_fail(ACE_ECONFIG, "peft_lora_target_modules has more than %d names", TRAIN_TARGETS);
	j->target[j->lora.n_targets] = strdup(name);
	if (!j->target[j->lora.n_targets++])
		return ace_fail(ACE_ENOMEM, "no memory for adapter targets");
	return ACE_OK;
}

/* acestep_lora_target: sets that grow by what follows each '+'. */
static enum status
named_targets(struct train_job *j, const char *set)
{
	static const struct {
		const char *part, *name[4];
	} sets[] = { { "attn_qkv", { "to_q", "to_k", "to_v", "to_out.0" } }, { "+linear_qkv", { "linear_q", "linear_k", "linear_v" } },
		{ "+speech_embedder", { "speaker_embedder" } } };

	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
		for (int k = 0; k < 4 && sets[i].name[k] && strstr(set, sets[i].part); k++)
			ACE_TRY(add_target(j, sets[i].name[k]));
	return ACE_OK;
}

static enum status
fill_targets(struct train_job *j, const struct settings *s)
{
	cJSON *list = NULL;
	const cJSON *v;
	enum status st = settings_json(s, "peft_lora_target_modules", &list);

	if (st == ACE_OK && !list)
		return named_targets(j, settings_str(s, "acestep_lora_target"));
	if (st == ACE_OK && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0))
		st = ace_fail(ACE_ECONFIG, "peft_lora_target_modules is no list of names; wanted [\"to_q\", ...]");
	cJSON_ArrayForEach(v, list) {
		if (st == ACE_OK && (!cJSON_IsString(v) || !*v->valuestring))
			st = ace_fail(ACE_ECONFIG, "peft_lora_target_modules holds something that is no name");
		if (st == ACE_OK)
			st = add_target(j, v->valuestring);
	}
	cJSON_Delete(list);
	return st;
}

static enum status
fill_lora(struct train_job *j, const struct settings *s)
{
	j->lora = (struct lora_options){ .target = (const char *const *)j->target, .rank = settings_i64(s, "lora_rank"),
		.alpha = (float)(settings_has(s, "lora_alpha") ? settings_f64(s, "lora_alpha") : (double)settings_i64(s, "lora_rank")),
		.rslora = settings_bool(s, "use_rslora"), .dropout = (float)settings_f64(s, "lora_dropout"),
		.seed = (uint64_t)settings_i64(s, "seed"),
		.init = is(s, "lora_init_type", "gaussian") ? LORA_INIT_GAUSSIAN : LORA_INIT_DEFAULT };
	if (j->lora.dropout >= 1.f)
		return ace_fail(ACE_ECONFIG, "lora_dropout is %g; wanted a number from 0 to below 1", settings_f64(s, "lora_dropout"));
	j->init_lora = settings_str(s, "init_lora");
	j->init_lora_step = settings_has(s, "init_lora_step") ? settings_i64(s, "init_lora_step") : -1;
	if (j->init_lora && j->full)
		return ace_fail(ACE_ECONFIG, "init_lora needs model_type=lora: a full training has no adapters");
	if (j->init_lora_step >= 0 && !j->init_lora)
		return ace_fail(ACE_ECONFIG, "init_lora_step=%lld is given without init_lora, whose count it takes the place of",
		                (long long)j->init_lora_step);
	j->adapter = (struct adapter_write_options){ .format = is(s, "lora_format", "comfyui") ? ADAPTER_COMFYUI : ADAPTER_DIFFUSERS,
		.flavour = settings_str(s, "model_flavour") };
	return fill_targets(j, s);
}

/* What is trained on, and what an error costs. */
static enum status
fill_form(struct flow_form *f, const struct settings *s)
{
	const char *cost = settings_str(s, "loss_type"), *width = settings_str(s, "huber_schedule");

	*f = (struct flow_form){ .target = is(s, "prediction_target", "velocity") ? FLOW_VELOCITY : FLOW_X0,
		.c = (float)settings_f64(s, "huber_c") };
	if (!flow_cost_named(&f->cost, cost) || !flow_width_named(&f->width, width))
		return ace_fail(ACE_ECONFIG, "loss_type=%s, huber_schedule=%s: no such name", cost, width);
	if (f->cost != FLOW_L2 && !(f->c > 0))
		return ace_fail(ACE_ECONFIG, "huber_c is %g; loss_type=%s wants a number above 0", settings_f64(s, "huber_c"), cost);
	if (f->cost == FLOW_L2 && (settings_is_set(s, "huber_c") || settings_is_set(s, "huber_schedule")))
		msg_info("loss_type=l2: huber_c and huber_schedule, which are for huber and smooth_l1, have no effect");
	return ACE_OK;
}

/* The knots of a density: numbers, or a file that holds them. */
static enum status
fill_cubic(struct flow_options *o, const struct settings *s)
{
	const char *text = settings_str(s, "flow_cubic_schedule_weights");
	cJSON *root = NULL;
	char *list;
	enum status st;

	if (!text || !*text)
		return ACE_OK;
	if (strspn(text, "[]0123456789.+-eE,; ") == strlen(text))
		return flow_cubic_read(o, text);
	ACE_TRY(settings_json(s, "flow_cubic_schedule_weights", &root));
	list = cJSON_PrintUnformatted(root);
	st = list ? flow_cubic_read(o, list) : ace_fail(ACE_ENOMEM, "no memory for flow_cubic_schedule_weights");
	cJSON_free(list);
	cJSON_Delete(root);
	return st;
}

static enum status
fill_flow(struct step_options *o, const struct settings *s)
{
	const char *list = settings_str(s, "flow_custom_timesteps");

	ACE_TRY(fill_form(&o->form, s));
	o->flow = FLOW_OPTIONS_DEFAULT;
	o->flow.shift = settings_f64(s, "flow_schedule_shift");
	o->flow.logit_mean = settings_f64(s, "logit_mean");
	o->flow.logit_std = settings_f64(s, "logit_std");
	o->flow.sigmoid_scale = settings_f64(s, "flow_sigmoid_scale");
	o->flow.alpha = settings_f64(s, "flow_beta_schedule_alpha");
	o->flow.beta = settings_f64(s, "flow_beta_schedule_beta");
	if (settings_bool(s, "flow_use_uniform_schedule"))
		o->flow.density = FLOW_UNIFORM;
	if (settings_bool(s, "flow_use_beta_schedule"))
		o->flow.density = FLOW_BETA;
	o->flow.rule = is(s, "timestep_index_rule", "compat") ? FLOW_COMPAT : FLOW_UPSTREAM;
	o->dropout = (struct flow_dropout){ (float)settings_f64(s, "text_dropout_probability"),
		(float)settings_f64(s, "speaker_dropout_probability"), (float)settings_f64(s, "lyric_dropout_probability") };
	o->flow.in_turn = list && is(s, "flow_timesteps_mode", "round-robin");
	return list ? flow_list_read(&o->flow, list) : fill_cubic(&o->flow, s);
}

static double
given(const struct settings *s, const char *name)
{
	return settings_is_set(s, name) && settings_has(s, name) ? settings_f64(s, name) : (double)NAN;
}

/* Scheduled sampling (training.md section 10). */
static enum status
fill_rollout(struct step_options *o, const struct settings *s)
{
	const char *sampler = settings_str(s, "scheduled_sampling_sampler");
	int64_t order = settings_i64(s, "scheduled_sampling_order");
	struct rollout_options *r = &o->rollout;
	bool replaced;

	*r = (struct rollout_options){ .longest = settings_i64(s, "scheduled_sampling_max_step_offset"),
		.chance = settings_f64(s, "scheduled_sampling_probability"), .ramp_steps = settings_i64(s, "scheduled_sampling_ramp_steps"),
		.start_step = settings_i64(s, "scheduled_sampling_start_step"), .prob_start = given(s, "scheduled_sampling_prob_start"),
		.prob_end = given(s, "scheduled_sampling_prob_end"), .cosine = is(s, "scheduled_sampling_ramp_shape", "cosine"),
		.reflex = { settings_bool(s, "scheduled_sampling_reflexflow"), settings_f64(s, "scheduled_sampling_reflexflow_alpha"),
			settings_f64(s, "scheduled_sampling_reflexflow_beta1"), settings_f64(s, "scheduled_sampling_reflexflow_beta2") } };
	if (!rollout_strategy_named(&r->strategy, settings_str(s, "scheduled_sampling_strategy")) ||
	    !rollout_sampler_named(&r->sampler, sampler, &replaced))
		return ace_fail(ACE_ECONFIG, "scheduled_sampling_sampler=%s, scheduled_sampling_strategy=%s: no such name", sampler,
		                settings_str(s, "scheduled_sampling_strategy"));
	if (r->longest <= 0) {
		if (r->chance > 0 || r->ramp_steps > 0)
			msg_info("scheduled_sampling_max_step_offset is 0: nothing is rolled out, whatever the chance");
		if (r->reflex.on)
			msg_info("scheduled_sampling_max_step_offset is 0: scheduled_sampling_reflexflow has no rollouts to learn from");
		return ACE_OK;
	}
	if (order > 2)
		return ace_fail(ACE_ECONFIG, "scheduled_sampling_order=%lld: there are 1 (euler) and 2 (heun)", (long long)order);
	if (order == 2)
		r->sampler = ROLLOUT_HEUN;
	if (o->form.target != FLOW_X0 || o->flow.density != FLOW_LOGIT_NORMAL)
		return ace_fail(ACE_ECONFIG, "scheduled sampling goes along the table of times to an estimate of the data: it needs "
		                "prediction_target=x0, and no flow_use_uniform_schedule, flow_use_beta_schedule, flow_cubic_schedule_weights or "
		                "flow_custom_timesteps");
	if (r->reflex.on && o->form.cost != FLOW_L2)
		return ace_fail(ACE_ECONFIG, "scheduled_sampling_reflexflow weighs squares of errors: it needs loss_type=l2");
	if (replaced && order < 2)
		msg_info("scheduled_sampling_sampler=%s: euler takes its place", sampler);
	msg_info("scheduled sampling: a step runs the network up to %lld more times",
	         (long long)r->longest * (r->sampler == ROLLOUT_HEUN ? 2 : 1) + (r->reflex.on ? 2 : 0));
	return ACE_OK;
}

/* The average of the weights. */
static enum status
fill_average(struct train_job *j, const struct settings *s)
{
	j->init_lora_ema = settings_str(s, "init_lora_ema");
	if (j->init_lora_ema && !(j->init_lora && settings_bool(s, "use_ema")))
		return ace_fail(ACE_ECONFIG, "init_lora_ema needs init_lora and use_ema=true: it is where the average of those adapters "
		                "begins");
	if (settings_bool(s, "use_ema"))
		j->step.ema = (struct ema_options){ .decay = settings_f64(s, "ema_decay"), .warmup = settings_i64(s, "ema_warmup_steps"),
			.interval = settings_i64(s, "ema_update_interval"),
			.host = settings_bool(s, "ema_cpu_only") || is(s, "ema_device", "cpu") };
	return ACE_OK;
}

/* The lyrics embedder's own rate, rule and schedule; what of them is not given is the main one's (training.md section 11). */
static enum status
fill_lyrics(struct step_options *o, const struct settings *s, struct optim_wish w)
{
	const char *rule = settings_str(s, "lyrics_embedder_optimizer"), *schedule = settings_str(s, "lyrics_embedder_lr_scheduler");
	bool rate = settings_has(s, "lyrics_embedder_lr");
	struct groups_options *g = &o->groups;
	char unknown[300];

	if (!settings_bool(s, "lyrics_embedder_train")) {
		if (!rule && !schedule && !rate)
			return ACE_OK;
		return ace_fail(ACE_ECONFIG, "%s is given without lyrics_embedder_train=true, which it is for",
		                rule ? "lyrics_embedder_optimizer" : schedule ? "lyrics_embedder_lr_scheduler" : "lyrics_embedder_lr");
	}
	*g = (struct groups_options){ .lyrics = true, .own = rule || schedule, .optim = o->optim, .schedule = o->schedule };
	if (rate)
		g->schedule.rate = settings_f64(s, "lyrics_embedder_lr");
	if (rule) {
		w.optimizer = rule;
		ACE_TRY(optim_settings_resolve(&g->optim, &w, unknown, sizeof unknown));
		if (*unknown)
			msg_info("lyrics_embedder_optimizer: %s has no %s; left out", rule, unknown);
	}
	return schedule_named(&g->schedule, schedule ? schedule : settings_str(s, "lr_scheduler"));
}

static enum status
fill_optimizer(struct step_options *o, const struct settings *s)
{
	const struct optim_wish w = { .optimizer = settings_str(s, "optimizer"), .config = settings_str(s, "optimizer_config"),
		.beta1 = given(s, "optimizer_beta1"), .beta2 = given(s, "optimizer_beta2"),
		.adam_beta1 = given(s, "adam_beta1"), .adam_beta2 = given(s, "adam_beta2"),
		.adam_epsilon = given(s, "adam_epsilon"), .adam_weight_decay = given(s, "adam_weight_decay"),
		.prodigy_steps = settings_i64(s, "prodigy_steps"), .warmup = settings_i64(s, "lr_warmup_steps") };
	double batch = (double)settings_i64(s, "train_batch_size") * (double)o->accumulation;
	char unknown[300];

	ACE_TRY(optim_settings_resolve(&o->optim, &w, unknown, sizeof unknown));
	if (*unknown)
		msg_info("optimizer_config: %s has no %s; left out", w.optimizer, unknown);
	o->schedule = (struct schedule){ .rate = settings_f64(s, "learning_rate"), .warmup = settings_i64(s, "lr_warmup_steps"),
		.cycles = settings_f64(s, "lr_num_cycles"), .power = settings_f64(s, "lr_power"), .end = settings_f64(s, "lr_end"),
		.compat = is(s, "lr_schedule_semantics", "compat") };
	if (settings_bool(s, "lr_scale"))
		o->schedule.rate *= settings_bool(s, "lr_scale_sqrt") ? sqrt(batch) : batch;
	ACE_TRY(schedule_named(&o->schedule, settings_str(s, "lr_scheduler")));
	o->optim.far = is(s, "optimizer_cpu_offload_method", "torchao") ||
		       (settings_bool(s, "fsdp_enable") && settings_bool(s, "fsdp_cpu_offload"));
	if (settings_bool(s, "fsdp_cpu_offload") && !settings_bool(s, "fsdp_enable"))
		msg_info("fsdp_cpu_offload has no effect without fsdp_enable");
	if (settings_bool(s, "optimizer_offload_gradients") && !o->optim.far)
		return ace_fail(ACE_ECONFIG, "optimizer_offload_gradients is given without optimizer_cpu_offload_method=torchao, which it goes with");
	ACE_TRY(fill_lyrics(o, s, w));
	o->groups.optim.far = o->optim.far;
	o->clip = (struct clip_options){ is(s, "grad_clip_method", "value") ? CLIP_VALUE : CLIP_NORM, settings_f64(s, "max_grad_norm") };
	o->nonfinite = settings_i64(s, "nonfinite_limit");
	return ACE_OK;
}

static enum status
fill_checkpoints(struct train_job *j, const struct settings *s)
{
	const char *low = settings_str(s, "disk_low_threshold");

	j->save_steps = settings_i64(s, "checkpoint_step_interval");
	j->save_epochs = settings_i64(s, "checkpoint_epoch_interval");
	j->rolling_steps = settings_i64(s, "checkpointing_rolling_steps");
	j->rule = (struct checkpoint_rule){ .limit = (int)settings_i64(s, "checkpoints_total_limit"),
		.keep_every = settings_i64(s, "keep_every") };
	j->rolling = (struct checkpoint_rule){ .limit = (int)settings_i64(s, "checkpoints_rolling_total_limit") };
	j->resume = settings_str(s, "resume_from_checkpoint");
	j->delete_invalid = settings_bool(s, "delete_invalid_checkpoints");
	j->time_limit = (int)settings_i64(s, "checkpoint_time_limit");
	j->post_script = settings_str(s, "post_checkpoint_script");
	j->comment = settings_str(s, "modelspec_comment");
	j->disk_low_action = is(s, "disk_low_action", "wait") ? DISK_WAIT : is(s, "disk_low_action", "script") ? DISK_SCRIPT : DISK_STOP;
	j->disk_low_script = settings_str(s, "disk_low_script");
	if ((j->disk_low_action == DISK_SCRIPT) != (j->disk_low_script != NULL))
		return ace_fail(ACE_ECONFIG, "disk_low_action=script and disk_low_script go together; only one of them is given");
	if (low)
		return train_size_of("disk_low_threshold", low, &j->disk_low);
	if (settings_is_set(s, "disk_low_action") && j->disk_low_action != DISK_STOP)
		return ace_fail(ACE_ECONFIG, "disk_low_action=%s is given without disk_low_threshold", settings_str(s, "disk_low_action"));
	return ACE_OK;
}

static void
fill_evaluation(struct train_job *j, const struct settings *s)
{
	j->eval_clips = settings_i64(s, "num_eval_images");
	j->eval_times = settings_i64(s, "eval_timesteps");
	j->eval_dataset = settings_str(s, "eval_dataset_id");
	if (settings_bool(s, "eval_loss_disable"))
		return;
	j->eval_steps = settings_i64(s, "eval_steps_interval");
	j->eval_epochs = settings_i64(s, "eval_epoch_interval");
}

static enum status
fill_course(struct train_job *j, const struct settings *s)
{
	const char *report = settings_str(s, "report_to");

	j->steps = settings_i64(s, "max_train_steps");
	j->epochs = settings_f64(s, "num_train_epochs");
	j->strict = settings_bool(s, "strict_epoch_limit");
	j->out = settings_str(s, "output_dir");
	j->logs = file_path("%s/%s", j->out, settings_str(s, "logging_dir"));
	if (!j->logs)
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	j->tensorboard = strcmp(report, "tensorboard") == 0 || strcmp(report, "all") == 0;
	j->device = device_kind(s);
	j->tf32 = !settings_bool(s, "disable_tf32");
	j->threads = (int)settings_i64(s, "threads");
	j->grace = (int)settings_i64(s, "grace");
	j->dry_run = settings_bool(s, "dry_run");
	j->check = settings_bool(s, "check");
	fill_evaluation(j, s);
	return fill_checkpoints(j, s);
}

static enum sharding
sharding_of(const struct settings *s)
{
	for (enum sharding i = SHARDING_NONE; i <= SHARDING_HYBRID; i++)
		if (is(s, "sharding", sharding_name(i)))
			return i;
	if (!settings_bool(s, "fsdp_enable"))
		return SHARDING_NONE;
	return settings_bool(s, "fsdp_reshard_after_forward") ? SHARDING_FULL : SHARDING_OPTIMIZER;
}

enum status
train_job_fill(struct train_job *j, const struct settings *s)
{
	*j = (struct train_job){ .settings = s };
	ACE_TRY(fill_course(j, s));
	ACE_TRY(fill_model(j, s));
	ACE_TRY(fill_lora(j, s));
	j->step = (struct step_options){ .seed = (uint64_t)settings_i64(s, "seed"),
		.accumulation = settings_i64(s, "gradient_accumulation_steps") };
	j->sharding = sharding_of(s);
	if (j->f16)
		j->step.scaler = SCALER_DEFAULT;
	ACE_TRY(fill_flow(&j->step, s));
	ACE_TRY(flow_options_check(&j->step.flow));
	ACE_TRY(fill_average(j, s));
	ACE_TRY(fill_rollout(&j->step, s));
	return fill_optimizer(&j->step, s);
}

enum status
train_job_data(struct train_job *j)
{
	const struct settings *s = j->settings;

	ACE_TRY(dataset_list_settings(&j->list, s));
	j->data = (struct data_options){ .list = &j->list, .seed = j->step.seed,
		.override = settings_bool(s, "override_dataset_config"),
		.mask = is(s, "latent_mask", "all") ? MASK_ALL : MASK_LENGTHS, .drop_incomplete = settings_bool(s, "drop_incomplete_batches"),
		.uniform = is(s, "data_backend_sampling", "uniform"),
		.caption_dropout = (float)settings_f64(s, "caption_dropout_probability") };
	return ACE_OK;
}

const char *
train_job_type(const struct train_job *j)
{
	return j->dit.dtype == BF16 ? "bf16" : j->dit.dtype == F16 ? "fp16" : "fp32";
}

void
train_job_free(struct train_job *j)
{
	if (!j)
		return;
	for (int i = 0; i < j->lora.n_targets; i++)
		free(j->target[i]);
	dataset_list_free(&j->list);
	free(j->model);
	free(j->logs);
	*j = (struct train_job){ 0 };
}
