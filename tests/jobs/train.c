/* SPDX-License-Identifier: Apache-2.0 */
/* The training job on a tiny model and random stores: what it leaves, what it refuses, how it goes on */
#include "jobs/runs.h"

#include "base/file.h"
#include "base/json.h"
#include "jobs/train_job.h"
#include "models/adapter.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/checkpoint.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
a_run_leaves_settings_metrics_checkpoints_and_an_adapter(void **state)
{
	const char *out = runs_at("plain");
	struct adapter_file f;
	struct settings s;
	double loss[64];
	cJSON *root;

	(void)state;
	runs_must(out, PAIRS("checkpoints_total_limit", "2"));
	assert_true(runs_there(out, "effective.json") && runs_there(out, "run.json"));
	assert_false(runs_there(out, "checkpoint-2"));
	assert_true(runs_there(out, "checkpoint-4/.guard") && runs_there(out, "checkpoint-6/.guard"));
	assert_int_equal(runs_metric(out, "train_loss", loss), 6);
	for (int i = 1; i <= 6; i++)
		assert_true(loss[i] > 0 && loss[i] < 100);
	assert_ok(adapter_file_open(&f, out, NULL));
	assert_true(f.n > 0 && f.n_unknown == 0 && f.global_step == 6);
	adapter_file_close(&f);
	runs_settle(&s, out, NULL);
	assert_ok(json_read(runs_at("plain/effective.json"), 1 << 20, &root));
	assert_true(cJSON_GetObjectItemCaseSensitive(root, "lora_rank")->valueint == 4);
	cJSON_Delete(root);
	settings_free(&s);
}

static void
a_longer_run_goes_on_from_where_a_shorter_one_ended(void **state)
{
	const char *whole = runs_at("whole"), *parts = runs_at("parts");

	(void)state;
	runs_must(whole, NULL);
	runs_must(parts, PAIRS("max_train_steps", "3"));
	runs_must(parts, PAIRS("max_train_steps", "5"));
	runs_must(parts, NULL);
	runs_same_run(whole, parts, 6);
	runs_must(parts, NULL);		/* nothing is left to do */
	runs_same_run(whole, parts, 6);
}

static void
a_run_without_intervals_saves_at_its_end(void **state)
{
	const char *out = runs_at("endless");

	(void)state;
	runs_must(out, PAIRS("checkpoint_step_interval", "0"));
	assert_true(runs_there(out, "checkpoint-6/.guard"));
	assert_false(runs_there(out, "checkpoint-2") || runs_there(out, "checkpoint-4"));
	runs_must(runs_at("looked"), PAIRS("checkpoint_step_interval", "0", "dry_run", "true"));
}

static void
a_damaged_checkpoint_is_passed_over_for_the_one_before(void **state)
{
	const char *whole = runs_at("whole"), *hurt = runs_at("hurt");
	char path[700];

	(void)state;
	runs_must(hurt, PAIRS("max_train_steps", "5"));
	snprintf(path, sizeof path, "%s/checkpoint-5/optimizer.safetensors", hurt);
	assert_int_equal(truncate(path, 100), 0);
	snprintf(path, sizeof path, "%s/checkpoint-4/.guard", hurt);
	assert_int_equal(unlink(path), 0);
	runs_must(hurt, NULL);
	runs_same_run(whole, hurt, 6);
}

static void
a_fresh_start_keeps_what_was_there_apart(void **state)
{
	const char *out = runs_at("again");
	struct dirent *e;
	int aside = 0;
	DIR *d;

	(void)state;
	runs_must(out, PAIRS("max_train_steps", "4", "seed", "9"));
	runs_must(out, PAIRS("resume_from_checkpoint", ""));
	runs_same_run(runs_at("whole"), out, 6);
	d = opendir(out);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (strncmp(e->d_name, "before-", 7) == 0) {
			char name[300];
			aside++;
			snprintf(name, sizeof name, "%s/checkpoint-4/.guard", e->d_name);
			assert_true(runs_there(out, name));
			snprintf(name, sizeof name, "%s/metrics.jsonl", e->d_name);
			assert_true(runs_there(out, name));
		}
	closedir(d);
	assert_int_equal(aside, 1);
}

static void
a_look_writes_nothing(void **state)
{
	const char *out = runs_at("nowhere");

	(void)state;
	runs_must(out, PAIRS("dry_run", "true"));
	runs_must(out, PAIRS("check", "true"));
	assert_false(file_exists(out));
}

static void
an_adapter_is_gone_on_from_with_its_count_or_a_given_one(void **state)
{
	const char *out = runs_at("init"), *from = runs_at("whole");
	double rate[64];

	(void)state;
	runs_must(out, PAIRS("init_lora", from, "max_train_steps", "9", "lora_rank", "4"));
	assert_true(runs_there(out, "checkpoint-9"));
	runs_must(runs_at("init0"), PAIRS("init_lora", from, "init_lora_step", "0", "lr_warmup_steps", "4"));
	assert_int_equal(runs_metric(runs_at("init0"), "learning_rate", rate), 6);
	assert_true(rate[1] == 0 && rate[3] == 0.005);
	runs_fails(ACE_ECONFIG, "init_lora_step=0", runs_at("init1"), PAIRS("init_lora", from));
	runs_fails(ACE_ECONFIG, "without init_lora", runs_at("init1"), PAIRS("init_lora_step", "3"));
	assert_false(file_exists(runs_at("init1")));
}

/* fp16 with its loss scale: gone on with bit for bit, told among the metrics, kept in state.json. */
static void
fp16_goes_on_with_its_loss_scale(void **state)
{
	static const char *const kind[] = { "lora", "full" };
	double scale[64];

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *a = runs_at(i ? "f16-full" : "f16"), *b = runs_at(i ? "f16-full-parts" : "f16-parts");
		runs_must(a, PAIRS("mixed_precision", "fp16", "model_type", kind[i]));
		runs_must(b, PAIRS("mixed_precision", "fp16", "model_type", kind[i], "max_train_steps", "3"));
		runs_must(b, PAIRS("mixed_precision", "fp16", "model_type", kind[i]));
		runs_same_file(a, b, i ? "ace_step_transformer/diffusion_pytorch_model.safetensors" : ADAPTER_FILE);
		assert_int_equal(runs_metric(b, "loss_scale", scale), 6);
		assert_true(scale[1] == 65536 && scale[6] == 65536);
	}
}

/* Everything trains: gone on with bit for bit, in fp32 and in bf16, and the model that is written is one. */
static void
a_full_training_goes_on_too_and_leaves_a_model(void **state)
{
	static const char *const precision[] = { "no", "bf16" };
	static const char weights[] = "ace_step_transformer/diffusion_pytorch_model.safetensors";

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *rule = i ? "adamw_bf16" : "torch-adamw";
		const char *const whole[] = { "model_type", "full", "mixed_precision", precision[i], "optimizer", rule, "learning_rate",
			"1e-3", NULL };
		const char *const part[] = { "model_type", "full", "mixed_precision", precision[i], "optimizer", rule, "learning_rate",
			"1e-3", "max_train_steps", "3", NULL };
		const char *a = runs_at(i ? "full-bf16" : "full"), *b = runs_at(i ? "full-bf16-parts" : "full-parts");
		struct weights w, first;
		runs_must(a, whole);
		runs_must(b, part);
		runs_must(b, whole);
		runs_same_file(a, b, weights);
		assert_ok(weights_open(&w, runs_at(i ? "full-bf16/ace_step_transformer" : "full/ace_step_transformer")));
		assert_ok(weights_open(&first, golden_path("transformer-tiny", "ace_step_transformer")));
		assert_int_equal(w.file[0].n, first.file[0].n);
		for (int k = 0; k < w.file[0].n; k++)
			assert_true(tensor_same_shape(w.file[0].entry[k].value, first.file[0].entry[k].value));
		weights_close(&first);
		weights_close(&w);
		assert_false(runs_there(a, ADAPTER_FILE));
	}
	runs_must(runs_at("full-again"), PAIRS("pretrained_model_name_or_path", runs_at("full"), "max_train_steps", "1"));
	runs_fails(ACE_ECONFIG, "model_type=full", runs_at("full"), NULL);
	runs_fails(ACE_ECONFIG, "model_type=lora", runs_at("whole"), PAIRS("model_type", "full"));
	runs_fails(ACE_ECONFIG, "init_lora", runs_at("refused"), PAIRS("model_type", "full", "init_lora", runs_at("whole")));
}

/* On a base in 8 bits or 4 adapters learn much the same, and go on bit for bit; nothing of the base is in what is saved. */
static void
adapters_train_on_a_base_in_few_bits(void **state)
{
	const char *const base[] = { "int8-quanto", "fp8", "int4-quanto" };
	const double tol[] = { 0.02, 0.1, 0.2 };
	double plain[64], loss[64];

	(void)state;
	assert_int_equal(runs_metric(runs_at("whole"), "train_loss", plain), 6);
	for (int i = 0; i < 3; i++) {
		char a[600], b[700];
		snprintf(a, sizeof a, "%s", runs_at(base[i]));
		snprintf(b, sizeof b, "%s-parts", a);
		runs_must(a, PAIRS("base_model_precision", base[i], "quantize_feed_forward", i ? "true" : "false"));
		runs_must(b, PAIRS("base_model_precision", base[i], "quantize_feed_forward", i ? "true" : "false", "max_train_steps", "3"));
		runs_must(b, PAIRS("base_model_precision", base[i], "quantize_feed_forward", i ? "true" : "false"));
		runs_same_run(a, b, 6);
		assert_int_equal(runs_metric(a, "train_loss", loss), 6);
		for (int k = 1; k <= 6; k++)
			if (loss[k] == plain[k] || !(fabs(loss[k] - plain[k]) <= tol[i] * plain[k]))
				fail_msg("%s, step %d: loss %.6g, %.6g on the plain base", base[i], k, loss[k], plain[k]);
	}
	runs_fails(ACE_ECONFIG, "8 bits", runs_at("refused"), PAIRS("model_type", "full", "base_model_precision", "fp8"));
	runs_fails(ACE_ECONFIG, "4 bits", runs_at("refused"), PAIRS("model_type", "full", "base_model_precision", "int4"));
}

/* A copy of the list with its clips once more, held out. */
static const char *
list_with_eval(void)
{
	const char *from = runs_at("multidatabackend.json"), *to = runs_at("with-eval.json");
	cJSON *root, *e, *held = NULL;

	assert_ok(json_read(from, 1 << 20, &root));
	cJSON_ArrayForEach(e, root)
		if (strcmp(cJSON_GetObjectItemCaseSensitive(e, "dataset_type")->valuestring, "audio") == 0 && !held)
			held = cJSON_Duplicate(e, true);
	assert_non_null(held);
	cJSON_ReplaceItemInObjectCaseSensitive(held, "id", cJSON_CreateString("held"));
	assert_int_equal(symlink(cJSON_GetObjectItemCaseSensitive(held, "cache_dir_vae")->valuestring, runs_at("held")), 0);
	cJSON_ReplaceItemInObjectCaseSensitive(held, "cache_dir_vae", cJSON_CreateString(runs_at("held")));
	cJSON_ReplaceItemInObjectCaseSensitive(held, "dataset_type", cJSON_CreateString("eval"));
	cJSON_AddItemToArray(root, held);
	assert_ok(json_write(to, root));
	cJSON_Delete(root);
	return to;
}

/* Every second update, also after going on; it changes with the model alone, and the training by it not at all. */
static void
held_out_clips_have_a_loss(void **state)
{
	char list[600], *text, *line;
	const char *out, *still;
	double v[3] = { 0 };
	size_t size;
	int n = 0;

	(void)state;
	snprintf(list, sizeof list, "%s", list_with_eval());
	out = runs_at("eval");
	still = runs_at("eval-still");
	runs_must(out, PAIRS("data_backend_config", list, "eval_steps_interval", "2", "max_train_steps", "3", "eval_timesteps", "4"));
	runs_must(out, PAIRS("data_backend_config", list, "eval_steps_interval", "2", "eval_timesteps", "4"));
	runs_same_run(runs_at("whole"), out, 6);
	runs_must(still, PAIRS("data_backend_config", list, "eval_steps_interval", "2", "eval_timesteps", "4", "learning_rate", "0"));
	for (int k = 0; k < 2; k++) {
		char path[700];
		snprintf(path, sizeof path, "%s/logs/metrics.jsonl", k ? still : out);
		assert_ok(file_read(path, 1 << 20, &text, &size));
		n = 0;
		for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			cJSON *o = cJSON_Parse(line);
			const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, "eval_loss"), *step = cJSON_GetObjectItemCaseSensitive(o, "step");
			assert_int_equal(x != NULL, step->valueint % 2 == 0);
			if (x)
				v[n++] = x->valuedouble;
			cJSON_Delete(o);
		}
		free(text);
		assert_true(n == 3 && v[0] > 0);
		if (!(k ? v[0] == v[2] : v[0] != v[1] && v[1] != v[2]))
			fail_msg("%d: losses of %.9g, %.9g, %.9g", k, v[0], v[1], v[2]);
	}
	runs_fails(ACE_ECONFIG, "dataset_type eval", runs_at("refused"), PAIRS("eval_steps_interval", "2"));
	runs_must(runs_at("eval-off"), PAIRS("eval_steps_interval", "2", "eval_loss_disable", "true", "max_train_steps", "2"));
}

#define ROLLED "scheduled_sampling_max_step_offset", "3", "scheduled_sampling_ramp_steps", "4", "scheduled_sampling_prob_start", "0.2", \
	"scheduled_sampling_prob_end", "1", "scheduled_sampling_strategy", "biased_late"

static void
a_run_with_rollouts_goes_on_too(void **state)
{
	const char *whole = runs_at("rolled"), *parts = runs_at("rolled-parts"), *out = runs_at("refused");
	double plain[64], rolled[64];

	(void)state;
	runs_must(whole, PAIRS(ROLLED));
	runs_must(parts, PAIRS(ROLLED, "max_train_steps", "3"));
	runs_must(parts, PAIRS(ROLLED));
	runs_same_run(whole, parts, 6);
	runs_metric(runs_at("whole"), "train_loss", plain);
	runs_metric(whole, "train_loss", rolled);
	assert_true(plain[6] != rolled[6]);
	runs_must(runs_at("reflex"), PAIRS(ROLLED, "scheduled_sampling_reflexflow", "true"));
	runs_must(runs_at("reflex-parts"), PAIRS(ROLLED, "scheduled_sampling_reflexflow", "true", "max_train_steps", "3"));
	runs_must(runs_at("reflex-parts"), PAIRS(ROLLED, "scheduled_sampling_reflexflow", "true"));
	runs_same_run(runs_at("reflex"), runs_at("reflex-parts"), 6);
	runs_metric(runs_at("reflex"), "train_loss", plain);
	assert_true(plain[1] > rolled[1]);	/* the direction costs besides */
	runs_fails(ACE_ECONFIG, "needs loss_type=l2", out, PAIRS(ROLLED, "scheduled_sampling_reflexflow", "true", "loss_type", "huber"));
	runs_fails(ACE_ECONFIG, "prediction_target=x0", out, PAIRS(ROLLED, "prediction_target", "velocity"));
	runs_fails(ACE_ECONFIG, "flow_use_uniform_schedule", out, PAIRS(ROLLED, "flow_use_uniform_schedule", "true"));
	runs_fails(ACE_ECONFIG, "scheduled_sampling_order=3", out, PAIRS(ROLLED, "scheduled_sampling_order", "3"));
}

#define COSTS "loss_type", "huber", "huber_schedule", "snr"

/* Errors of random latents are around 1: a huber of width 0.1 costs less than their squares. */
static void
a_run_at_other_costs_goes_on_too(void **state)
{
	const char *whole = runs_at("costs"), *parts = runs_at("costs-parts");
	double plain[64], huber[64], smooth[64];

	(void)state;
	runs_must(whole, PAIRS(COSTS));
	runs_must(parts, PAIRS(COSTS, "max_train_steps", "3"));
	runs_must(parts, PAIRS(COSTS));
	runs_same_run(whole, parts, 6);
	runs_metric(whole, "train_loss", huber);
	runs_must(runs_at("smooth"), PAIRS("loss_type", "smooth_l1", "max_train_steps", "1"));
	runs_metric(runs_at("whole"), "train_loss", plain);
	runs_metric(runs_at("smooth"), "train_loss", smooth);
	assert_true(huber[1] > 0 && huber[1] < plain[1] && smooth[1] > huber[1]);
	runs_fails(ACE_ECONFIG, "huber_c is 0; loss_type=huber wants a number above 0", runs_at("refused"),
	           PAIRS(COSTS, "huber_c", "0"));
	runs_must(runs_at("squares"), PAIRS("loss_type", "l2", "huber_c", "0", "max_train_steps", "1"));
	runs_metric(runs_at("squares"), "train_loss", huber);
	assert_true(huber[1] == plain[1]);
}

/* At sigma 0 the estimate of the data is the data, whatever the network says. */
static void
a_run_at_listed_times_has_no_others(void **state)
{
	double loss[64];

	(void)state;
	runs_must(runs_at("listed"), PAIRS("flow_custom_timesteps", "0", "max_train_steps", "2"));
	assert_int_equal(runs_metric(runs_at("listed"), "train_loss", loss), 2);
	assert_true(loss[1] == 0 && loss[2] == 0);
	runs_must(runs_at("turns"), PAIRS("flow_custom_timesteps", "500,0", "flow_timesteps_mode", "round-robin", "max_train_steps", "4",
	                                  "train_batch_size", "1", "gradient_accumulation_steps", "1"));
	runs_metric(runs_at("turns"), "train_loss", loss);
	assert_true(loss[1] > 0 && loss[2] == 0 && loss[3] > 0 && loss[4] == 0);
	runs_fails(ACE_ECONFIG, "flow_custom_timesteps", runs_at("refused"), PAIRS(ROLLED, "flow_custom_timesteps", "0.5"));
	runs_must(runs_at("knots"), PAIRS("flow_cubic_schedule_weights", "[0, 1, 0.5]", "max_train_steps", "2"));
	assert_int_equal(runs_metric(runs_at("knots"), "train_loss", loss), 2);
	runs_must(runs_at("even"), PAIRS("flow_cubic_schedule_weights", "[1]", "max_train_steps", "2"));
	runs_must(runs_at("uniform"), PAIRS("flow_use_uniform_schedule", "true", "max_train_steps", "2"));
	runs_same_run(runs_at("even"), runs_at("uniform"), 2);
	runs_fails(ACE_ECONFIG, "flow_cubic_schedule_weights", runs_at("refused"), PAIRS(ROLLED, "flow_cubic_schedule_weights", "1,2"));
	runs_fails(ACE_ECONFIG, "timesteps up to 1000", runs_at("refused"), PAIRS("flow_custom_timesteps", "0.5,1001"));
}

static void
options_of_fsdp_say_what_is_parted_and_recomputed(void **state)
{
	const struct {
		const char *const *pair;
		enum sharding sharding;
		int interval;
		bool far;
	} cases[] = {
		{ NULL, SHARDING_NONE, 1, false },
		{ PAIRS("fsdp_enable", "true", "fsdp_cpu_offload", "true"), SHARDING_FULL, 1, true },
		{ PAIRS("fsdp_cpu_offload", "true"), SHARDING_NONE, 1, false },
		{ PAIRS("optimizer_cpu_offload_method", "torchao"), SHARDING_NONE, 1, true },
		{ PAIRS("fsdp_enable", "true"), SHARDING_FULL, 1, false },
		{ PAIRS("fsdp_enable", "true", "fsdp_reshard_after_forward", "false"), SHARDING_OPTIMIZER, 1, false },
		{ PAIRS("fsdp_enable", "true", "fsdp_reshard_after_forward", "false", "sharding", "full"), SHARDING_FULL, 1, false },
		{ PAIRS("fsdp_reshard_after_forward", "false"), SHARDING_NONE, 1, false },
		{ PAIRS("gradient_checkpointing", "false"), SHARDING_NONE, 0, false },
		{ PAIRS("gradient_checkpointing", "false", "fsdp_activation_checkpointing", "true"), SHARDING_NONE, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct settings s;
		struct train_job j;

		runs_settle(&s, runs_at("fsdp"), cases[i].pair);
		assert_ok(train_job_fill(&j, &s));
		assert_int_equal(j.sharding, cases[i].sharding);
		assert_int_equal(j.dit.checkpoint_interval, cases[i].interval);
		assert_int_equal(j.step.optim.far, cases[i].far);
		train_job_free(&j);
		settings_free(&s);
	}
}

static void
what_does_not_fit_is_one_line(void **state)
{
	static const char empty[] =
		"[{\"id\": \"a\", \"type\": \"local\", \"dataset_type\": \"audio\", \"instance_data_dir\": \"x\", "
		"\"cache_dir_vae\": \"no-store-here\"}, {\"id\": \"t\", \"type\": \"local\", \"dataset_type\": "
		"\"text_embeds\", \"default\": true, \"cache_dir\": \"no-texts-here\"}]";
	const char *out = runs_at("refused"), *whole = runs_at("whole");
	char list[600];

	(void)state;
	runs_fails(ACE_ENOINPUT, "/nothing-here", out, PAIRS("pretrained_model_name_or_path", "/nothing-here"));
	runs_fails(ACE_ECONFIG, "no-such-module", out, PAIRS("peft_lora_target_modules", "[\"no-such-module\"]"));
	runs_fails(ACE_ECONFIG, "peft_lora_target_modules", out, PAIRS("peft_lora_target_modules", "{\"a\": 1}"));
	runs_fails(ACE_ECONFIG, "optimizer_cpu_offload_method=torchao", out, PAIRS("optimizer_offload_gradients", "true"));
	runs_fails(ACE_ECONFIG, "mixed_precision=fp16 with model_type=full is not built for device=cuda; wanted bf16", out,
	           PAIRS("device", "cuda", "mixed_precision", "fp16", "model_type", "full"));
	runs_fails(ACE_ECONFIG, "mixed_precision=fp16 with a base_model_precision of 8 or 4 bits is not built for device=cuda; wanted bf16", out,
	           PAIRS("device", "cuda", "mixed_precision", "fp16", "base_model_precision", "int4"));
	runs_fails(ACE_ECONFIG, "num_train_epochs", out, PAIRS("max_train_steps", "0", "num_train_epochs", "0"));
	runs_fails(ACE_ECONFIG, "gradient_accumulation_steps=1000", out,
	      PAIRS("max_train_steps", "0", "num_train_epochs", "1", "gradient_accumulation_steps", "1000"));
	runs_fails(ACE_ENOINPUT, "nowhere", out, PAIRS("init_lora", "nowhere"));
	runs_fails(ACE_ENOINPUT, "checkpoint-77", out, PAIRS("resume_from_checkpoint", "checkpoint-77"));
	runs_fails(ACE_ECONFIG, "lora_rank is 8", whole, PAIRS("lora_rank", "8"));
	runs_fails(ACE_ECONFIG, "lora_alpha", whole, PAIRS("lora_alpha", "1"));
	runs_fails(ACE_ECONFIG, "optimizer=torch-adamw", whole, PAIRS("optimizer", "adamw_bf16"));
	snprintf(list, sizeof list, "%s", runs_at("empty.json"));
	assert_ok(file_write(list, empty, sizeof empty - 1));
	runs_fails(ACE_ENOINPUT, "no-", out, PAIRS("data_backend_config", list));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_leaves_settings_metrics_checkpoints_and_an_adapter),
		cmocka_unit_test(a_longer_run_goes_on_from_where_a_shorter_one_ended),
		cmocka_unit_test(a_run_without_intervals_saves_at_its_end),
		cmocka_unit_test(a_damaged_checkpoint_is_passed_over_for_the_one_before),
		cmocka_unit_test(a_fresh_start_keeps_what_was_there_apart),
		cmocka_unit_test(a_look_writes_nothing),
		cmocka_unit_test(an_adapter_is_gone_on_from_with_its_count_or_a_given_one),
		cmocka_unit_test(adapters_train_on_a_base_in_few_bits),
		cmocka_unit_test(fp16_goes_on_with_its_loss_scale),
		cmocka_unit_test(a_full_training_goes_on_too_and_leaves_a_model),
		cmocka_unit_test(held_out_clips_have_a_loss),
		cmocka_unit_test(a_run_with_rollouts_goes_on_too),
		cmocka_unit_test(a_run_at_other_costs_goes_on_too),
		cmocka_unit_test(a_run_at_listed_times_has_no_others),
		cmocka_unit_test(options_of_fsdp_say_what_is_parted_and_recomputed),
		cmocka_unit_test(what_does_not_fit_is_one_line),
	};

	if (!golden_set("transformer-tiny")) {
		printf("1..0 # SKIP transformer-tiny\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, runs_prepare, runs_tidy);
}
