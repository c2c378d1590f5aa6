/* SPDX-License-Identifier: Apache-2.0 */
/* Spellings, order of strength, what is derived and what is refused. */
#include "base/settings_try.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
every_spelling_of_an_option_gives_its_value(void **state)
{
	static const char *const lines[] = {
		"learning_rate=0.5", "--learning_rate=0.5", "--learning_rate 0.5", "--learning-rate=0.5", "learning-rate=0.5",
		"--learning-rate 0.5", "train learning_rate=0.5", "train --learning-rate 5e-1", "learning_rate=.5",
		"learning_rate=0.1 --learning-rate 0.5",
	};
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_true(settings_f64(try_ok("ace-train", lines[i]), "learning_rate") == 0.5);
}

static void
a_flag_alone_means_true_and_takes_a_word_of_truth(void **state)
{
	static const struct {
		const char *line;
		bool want;
	} cases[] = {
		{ "--use_rslora", true }, { "--use-rslora", true }, { "--use_rslora true", true }, { "--use_rslora=1", true },
		{ "use_rslora=yes", true }, { "use_rslora=On", true }, { "--use_rslora false", false }, { "use_rslora=0", false },
		{ "use_rslora=no", false }, { "use_rslora=OFF", false }, { "--use_rslora --seed 3", true },
		{ "--use_rslora seed=3", true }, { "use_rslora=True", true },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(settings_bool(try_ok("ace-train", cases[i].line), "use_rslora"), cases[i].want);
}

/* Each flag of the original trainer, with its value behind a blank as its guide has them. */
static void
a_command_line_of_the_original_trainer_is_taken_unchanged(void **state)
{
	struct settings *s;

	(void)state;
	try_file("lora.json", "{\"r\": 16, \"lora_alpha\": 32, \"target_modules\": [\"to_q\"], \"use_rslora\": true}");
	s = try_ok("ace-train", "--num_nodes 1 --shift 3.0 --learning_rate 1e-4 --num_workers 8 --epochs -1 --max_steps 2000000 "
		   "--every_n_train_steps 2000 --dataset_path ./zh_lora_dataset --exp_name chinese_rap_lora --precision 32 "
		   "--accumulate_grad_batches 1 --devices 1 --logger_dir ./exps/logs/ --ckpt_path last --checkpoint_dir model "
		   "--gradient_clip_val 0.5 --gradient_clip_algorithm norm --reload_dataloaders_every_n_epochs 1 "
		   "--every_plot_step 2000 --val_check_interval 100 --lora_config_path lora.json");
	try_value(s, "max_train_steps", "2000000");
	try_value(s, "mixed_precision", "no");
	try_value(s, "dataset_path", "./zh_lora_dataset");
	try_value(s, "lora_alpha", "32");
	try_value(s, "validation_step_interval", "2000");
	try_value(s, "eval_steps_interval", "100");
}

/* Of those that may stand alone, too, and of those that are for other models. */
static void
a_word_behind_a_name_is_its_value(void **state)
{
	struct settings *s = try_ok("ace-train", "--validation_prompt_library audio --noise_offset 0.1 --lora_rank 8");

	(void)state;
	try_value(s, "validation_prompt_library", "audio");
	try_value(s, "lora_rank", "8");
	s = try_ok("ace-train", "--validation_prompt_library lora_rank=8");
	try_value(s, "validation_prompt_library", "true");
	try_value(s, "lora_rank", "8");
	try_value(try_ok("ace-train", "--validation_prompt_library --lora_rank 8"), "validation_prompt_library", "true");
}

static void
inverse_names_mean_the_opposite(void **state)
{
	(void)state;
	assert_true(settings_bool(try_ok("ace-train", "--ignore_final_epochs=false"), "strict_epoch_limit"));
	assert_false(settings_bool(try_ok("ace-train", "--ignore_final_epochs"), "strict_epoch_limit"));
	assert_false(settings_bool(try_ok("ace-train", "vae_cache_preprocess=true"), "vae_cache_ondemand"));
}

static void
upstream_values_become_ours(void **state)
{
	(void)state;
	try_value(try_ok("ace-train", "--precision 32"), "mixed_precision", "no");
	try_value(try_ok("ace-train", "--precision bf16-mixed"), "mixed_precision", "bf16");
	try_value(try_ok("ace-train", "--precision bf16"), "mixed_precision", "bf16");
	try_value(try_ok("ace-train", "--epochs -1 --max_steps 5"), "num_train_epochs", "0");
	try_value(try_ok("ace-train", "--gradient_clip_val 0.5"), "max_grad_norm", "0.5");
	try_value(try_ok("ace-train", "lr_scheduler=cosine_with_warmup"), "lr_scheduler", "cosine");
}

static void
the_16_bits_of_upstream_are_fp16(void **state)
{
	(void)state;
	try_value(try_ok("ace-train", "--precision 16-mixed"), "mixed_precision", "fp16");
	try_value(try_ok("ace-train", "--precision 16"), "mixed_precision", "fp16");
}

static void
the_command_line_beats_the_environment_and_that_the_file_and_that_the_default(void **state)
{
	(void)state;
	assert_true(settings_f64(try_ok("ace-train", NULL), "learning_rate") == 1e-4);
	try_file("config/config.json", "{\"learning_rate\": 0.25, \"lora_rank\": 8}");
	assert_true(settings_f64(try_ok("ace-train", NULL), "learning_rate") == 0.25);
	setenv("LEARNING_RATE", "0.5", 1);
	assert_true(settings_f64(try_ok("ace-train", NULL), "learning_rate") == 0.5);
	assert_true(settings_f64(try_ok("ace-train", "learning_rate=0.75"), "learning_rate") == 0.75);
	assert_int_equal(settings_i64(try_ok("ace-train", "learning_rate=0.75"), "lora_rank"), 8);
	unsetenv("LEARNING_RATE");
}

static void
env_files_stand_between_the_environment_and_the_file(void **state)
{
	(void)state;
	try_file("config/a/config.json", "{\"learning_rate\": 0.1, \"lr_warmup_steps\": 1}");
	try_file("config/config.env", "export LEARNING_RATE=0.2 # all runs\nLR_WARMUP_STEPS='2'\n");
	try_value(try_ok("ace-train", "env=a"), "learning_rate", "0.2");
	try_file("config/a/config.env", "LEARNING_RATE=\"0.3\"\n");
	try_value(try_ok("ace-train", "env=a"), "learning_rate", "0.3");
	try_value(try_ok("ace-train", "env=a"), "lr_warmup_steps", "2");
	setenv("LEARNING_RATE", "0.4", 1);
	try_value(try_ok("ace-train", "env=a"), "learning_rate", "0.4");
	unsetenv("LEARNING_RATE");
}

static void
each_value_tells_where_it_comes_from(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/a/config.json", "{\"--lora_rank\": 8}");
	setenv("LEARNING_RATE", "0.5", 1);
	s = try_ok("ace-train", "env=a seed=3");
	assert_string_equal(settings_where(s, "seed"), "command line");
	assert_string_equal(settings_where(s, "learning_rate"), "environment LEARNING_RATE");
	assert_string_equal(settings_where(s, "lora_rank"), "config/a/config.json");
	assert_string_equal(settings_where(s, "optimizer"), "default");
	assert_int_equal(settings_source(s, "seed"), FROM_COMMAND);
	assert_int_equal(settings_source(s, "lora_rank"), FROM_FILE);
	assert_true(settings_is_set(s, "lora_rank"));
	assert_false(settings_is_set(s, "optimizer"));
	unsetenv("LEARNING_RATE");
}

static void
an_empty_value_brings_the_default_back(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/config.json", "{\"lora_rank\": 8, \"lora_alpha\": 4, \"init_lora\": \"x.safetensors\"}");
	s = try_ok("ace-train", "lora_rank= --lora_alpha=None --init_lora=");
	assert_int_equal(settings_i64(s, "lora_rank"), 16);
	assert_false(settings_has(s, "lora_alpha"));
	assert_null(settings_str(s, "init_lora"));
	assert_false(settings_is_set(s, "lora_rank"));
}

static void
resuming_is_the_default_and_an_empty_value_is_a_fresh_start(void **state)
{
	(void)state;
	assert_string_equal(settings_str(try_ok("ace-train", NULL), "resume_from_checkpoint"), "latest");
	assert_null(settings_str(try_ok("ace-train", "--resume_from_checkpoint="), "resume_from_checkpoint"));
	try_file("config/config.json", "{\"resume_from_checkpoint\": \"\"}");
	assert_null(settings_str(try_ok("ace-train", NULL), "resume_from_checkpoint"));
	try_file("config/config.json", "{\"resume_from_checkpoint\": null}");
	assert_string_equal(settings_str(try_ok("ace-train", NULL), "resume_from_checkpoint"), "latest");
}

static void
extra_arguments_of_the_environment_join_the_command_line_below_it(void **state)
{
	struct settings *s;

	(void)state;
	setenv("TRAINER_EXTRA_ARGS", "--lora_rank=4 --instance_prompt='slow  jazz' --use_rslora", 1);
	s = try_ok("ace-train", "lora_rank=2");
	assert_int_equal(settings_i64(s, "lora_rank"), 2);
	assert_string_equal(settings_str(s, "instance_prompt"), "slow  jazz");
	assert_true(settings_bool(s, "use_rslora"));
	unsetenv("TRAINER_EXTRA_ARGS");
}

static void
the_upstream_preset_fills_what_nobody_has_set(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/config.json", "{\"preset\": \"upstream\", \"lora_rank\": 8}");
	s = try_ok("ace-train", NULL);
	try_value(s, "optimizer", "torch-adamw");
	try_value(s, "optimizer_beta1", "0.8");
	try_value(s, "optimizer_beta2", "0.9");
	try_value(s, "adam_weight_decay", "0.01");
	try_value(s, "lr_scheduler", "linear");
	try_value(s, "lr_warmup_steps", "10");
	try_value(s, "max_grad_norm", "0.5");
	try_value(s, "mixed_precision", "no");
	try_value(s, "lora_alpha", "32");
	try_value(s, "use_rslora", "true");
	try_value(s, "acestep_lora_target", "attn_qkv+linear_qkv+speech_embedder");
	try_value(s, "lora_rank", "8");
	assert_string_equal(settings_where(s, "optimizer"), "preset=upstream");
}

static void
an_upstream_adapter_file_fills_what_nobody_has_set(void **state)
{
	struct settings *s;
	cJSON *targets;

	(void)state;
	try_file("lora.json", "{\"r\": 64, \"lora_alpha\": 32, \"target_modules\": [\"to_q\", \"linear_q\"], \"use_rslora\": true}");
	s = try_ok("ace-train", "--lora_config_path lora.json lora_alpha=8");
	assert_int_equal(settings_i64(s, "lora_rank"), 64);
	assert_true(settings_f64(s, "lora_alpha") == 8);
	assert_true(settings_bool(s, "use_rslora"));
	assert_ok(settings_json(s, "peft_lora_target_modules", &targets));
	assert_int_equal(cJSON_GetArraySize(targets), 2);
	cJSON_Delete(targets);
}

static void
steps_alone_let_the_default_of_epochs_not_count(void **state)
{
	(void)state;
	assert_true(settings_f64(try_ok("ace-train", NULL), "num_train_epochs") == 1);
	assert_true(settings_f64(try_ok("ace-train", "max_train_steps=7"), "num_train_epochs") == 0);
	try_refused("ace-train", "max_train_steps=7 num_train_epochs=2", 78,
		    "num_train_epochs and max_train_steps are both above 0; give one of them");
}

static void
a_seed_from_the_clock_is_kept_as_a_number(void **state)
{
	(void)state;
	assert_int_equal(settings_i64(try_ok("ace-train", NULL), "seed"), 42);
	assert_true(settings_i64(try_ok("ace-train", "seed=0"), "seed") > 0);
	assert_true(settings_i64(try_ok("ace-train", "seed=-1"), "seed") > 0);
	try_refused("ace-train", "seed=-2", 64, "seed is -2; wanted a whole number from 0 to 2147483647");
}

static void
wrong_values_name_the_option_what_was_found_and_what_was_wanted(void **state)
{
	static const char *const cases[][2] = {
		{ "learning_rate=fast", "learning_rate is \"fast\"; wanted a number from 0 to 1" },
		{ "learning_rate=2", "learning_rate is 2; wanted a number from 0 to 1" },
		{ "learning_rate=nan", "learning_rate is nan; wanted a number from 0 to 1" },
		{ "learning_rate=0x1p-4", "learning_rate is 0x1p-4; wanted a number from 0 to 1" },
		{ "lora_rank=0", "lora_rank is 0; wanted a whole number from 1 to 1024" },
		{ "lora_rank=1.5", "lora_rank is 1.5; wanted a whole number from 1 to 1024" },
		{ "lora_rank=99999999999999999999", "lora_rank is 99999999999999999999; wanted a whole number from 1 to 1024" },
		{ "lora_rank=16x", "lora_rank is \"16x\"; wanted a whole number from 1 to 1024" },
		{ "gradient_accumulation_steps=0", "gradient_accumulation_steps is 0; wanted a whole number of 1 or more" },
		{ "use_rslora=maybe", "use_rslora is \"maybe\"; wanted true or false" },
		{ "latent_mask=half", "latent_mask is \"half\"; wanted all or lengths" },
		{ "optimizer=muon", "optimizer is \"muon\"; wanted torch-adamw, torch-adam, torch-sgd, torch-adafactor, "
		    "adamw_bf16, optimi-adamw, optimi-lion, optimi-stableadamw, ao-adamw8bit, bnb-adamw8bit, bnb-lion8bit, "
		    "adamw_schedulefree or prodigy" },
		{ "optimizer=adamw8bit", "optimizer \"adamw8bit\" is no longer a name; use ao-adamw8bit" },
		{ "optimizer=adafactor", "optimizer \"adafactor\" is no longer a name; use torch-adafactor" },
		{ "optimizer=dadaptation", "optimizer \"dadaptation\" is no longer a name; use prodigy" },
		{ "validate_after_step=-1", "validate_after_step is -1; wanted a whole number of 0 or more" },
		{ "audio_channels=1", "audio_channels is 1: ace_step works on stereo; audio_channels must be 2" },
		{ "--learning_rate", "--learning_rate wants a value: --learning_rate=..." },
		{ "songs", "\"songs\" is neither an option nor key=value" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		try_refused("ace-train", cases[i][0], 64, cases[i][1]);
}

static void
unknown_names_suggest_the_nearest(void **state)
{
	static const char *const cases[][2] = {
		{ "lora_rnk=4", "unknown option \"lora_rnk\"; did you mean \"lora_rank\"?" },
		{ "--laerning-rate 4", "unknown option \"laerning-rate\"; did you mean \"learning_rate\"?" },
		{ "batch_size=4", "unknown option \"batch_size\"; did you mean \"train_batch_size\"?" },
		{ "--xyzzy", "unknown option \"xyzzy\"" },
		{ "-x", "unknown option \"-x\"" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		try_refused("ace-train", cases[i][0], 64, cases[i][1]);
}

static void
what_has_no_meaning_here_is_refused_with_its_reason(void **state)
{
	static const char *const cases[][2] = {
		{ "num_validation_images=4",
		  "num_validation_images > 1 is for pictures; render several prompts with user_prompt_library (it is 4)" },
		{ "evaluation_type=clip", "evaluation_type=clip scores pictures against text; it is not available for audio" },
		{ "snr_gamma=5", "snr_gamma applies to image diffusion models, not to flow-matching audio (it is 5)" },
		{ "report_to=wandb", "report_to=wandb|comet_ml|swanlab need a network service; use tensorboard or jsonl" },
		{ "lora_type=lycoris", "lora_type is \"lycoris\": lycoris adapters are not supported; use lora_type=standard" },
		{ "deepspeed_config=x.json", "deepspeed_config is \"x.json\": deepspeed is not used; see fsdp_enable" },
		{ "mixed_precision=fp8", "mixed_precision is \"fp8\": fp8: not supported, use bf16" },
		{ "dynamo_backend=inductor", "dynamo_backend has no meaning here (only no is accepted) (it is \"inductor\")" },
		{ "model_flavour=v15-turbo", "model_flavour is \"v15-turbo\": only base, the v1 3.5B release, is known here; v15 models "
					     "are built otherwise" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		try_refused("ace-train", cases[i][0], 64, cases[i][1]);
}

static void
every_foreign_option_is_refused_by_its_text_and_noticed_when_neutral(void **state)
{
	char line[200];

	(void)state;
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		if (option_state(o) != OPT_FOREIGN)
			continue;
		snprintf(line, sizeof line, "%s=77777", o->name);
		assert_null(try_load("ace-train", line));
		if (!strstr(ace_message(), o->error))
			fail_msg("%s is refused with \"%s\"", o->name, ace_message());
		snprintf(line, sizeof line, "%s=%s", o->name, o->initial && *o->initial ? o->initial : "false");
		assert_int_equal(try_ok("ace-train", line)->n_notices, 1);
		snprintf(line, sizeof line, "%s=none", o->name);
		(void)try_ok("ace-train", line);
	}
}

static void
what_is_not_built_is_refused_by_name_unless_it_is_neutral(void **state)
{
	(void)state;
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		char line[400], value[200];
		if (option_state(o) != OPT_LATER || !(o->programs & OPT_TRAIN))
			continue;
		if (o->initial && *o->initial) {
			snprintf(line, sizeof line, "%s=%s", o->name, o->initial);
			assert_int_equal(try_ok("ace-train", line)->n_notices, 0);
		}
		snprintf(value, sizeof value, "%s", o->type == OPT_BOOL ? (o->initial && *o->initial == 't' ? "false" : "true") : "1");
		if (o->range && atof(o->range) > 1)
			snprintf(value, sizeof value, "%g", atof(o->range));
		if (o->initial && strcmp(o->initial, value) == 0)
			snprintf(value, sizeof value, "2");
		if (o->range && strstr(o->range, "..1") == o->range + strlen(o->range) - 3)
			snprintf(value, sizeof value, "0.75");
		if (o->allowed) {	/* the last word is never the default */
			const char *end = strrchr(o->allowed, ' ');
			snprintf(value, sizeof value, "%s", end ? end + 1 : o->allowed);
			if (o->initial && strcmp(o->initial, value) == 0)
				snprintf(value, sizeof value, "%.*s", (int)strcspn(o->allowed, " "), o->allowed);
			if (o->initial && strcmp(o->initial, value) == 0)
				continue;
		}
		snprintf(line, sizeof line, "%s=%s", o->name, value);
		if (try_load("ace-train", line))
			fail_msg("%s is taken", line);
		if (!strstr(ace_message(), " is not built yet; ") && (!o->error || !strstr(ace_message(), o->error)))
			fail_msg("%s: refused with \"%s\"", line, ace_message());
		if (!strstr(ace_message(), o->name) || (o->instead && !strstr(ace_message(), o->instead)))
			fail_msg("%s: refused with \"%s\", which names no other way", line, ace_message());
	}
}

static void
switching_validation_off_passes_over_its_options(void **state)
{
	struct settings *s;

	(void)state;
	try_refused("ace-train", "decode_overlap=2", 64,
		    "decode_overlap is 2: chunks overlap as those of the original decoder do (chunked_decode); decode_overlap does not change that");
	s = try_ok("ace-train", "decode_overlap=2 validation_disable=true");
	assert_int_equal(s->n_notices, 1);
}

static void
plain_adapters_take_the_place_of_dora_on_quantised_weights(void **state)
{
	struct settings *s = try_ok("ace-train", "use_dora=true base_model_precision=int8-quanto");

	(void)state;
	assert_int_equal(s->n_notices, 1);
	assert_string_equal(s->notice[0], "use_dora: adapters on quantised weights are plain ones");
	try_refused("ace-train", "use_dora=true", 64, "use_dora=true is not built yet; adapters are plain ones; a larger lora_rank or "
		    "use_rslora=true changes how they learn");
}

static void
options_without_effect_are_noticed(void **state)
{
	struct settings *s;

	(void)state;
	s = try_ok("ace-train", "resolution=512 hub_model_id=me/x --reload_dataloaders_every_n_epochs=1 noise_offset=0.1");
	assert_int_equal(s->n_notices, 3);
	assert_string_equal(s->notice[0], "reload_dataloaders_every_n_epochs: songs are shuffled anew each epoch anyway");
	assert_string_equal(s->notice[1], "noise_offset: option of other models, not used for ace_step");
	assert_string_equal(s->notice[2], "accepted without effect: resolution, hub_model_id");
	assert_int_equal(try_ok("ace-train", "resolution=0")->n_notices, 0);
	s = try_ok("ace-train", "musubi_blocks_to_swap=4 gradient_checkpointing_backend=unsloth");
	assert_int_equal(s->n_notices, 2);
	assert_string_equal(s->notice[0], "gradient_checkpointing_backend: blocks are recomputed, as torch does it; "
			    "gradient_checkpointing_interval says which");
	assert_string_equal(s->notice[1], "musubi_blocks_to_swap: frozen weights stay on the device; base_model_precision and "
			    "sharding=full make them smaller");
}

static void
combinations_that_cannot_be_meant_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "optimizer_beta1=0.8", "only optimizer_beta1 is given; optimizer_beta1 and optimizer_beta2 go together" },
		{ "optimizer_beta2=0.8", "only optimizer_beta2 is given; optimizer_beta1 and optimizer_beta2 go together" },
		{ "flow_custom_timesteps=0.5 flow_use_beta_schedule=true", "flow_custom_timesteps takes the place of "
		  "flow_use_uniform_schedule and flow_use_beta_schedule; give one of them" },
		{ "flow_cubic_schedule_weights=1,2 flow_use_beta_schedule=true", "flow_cubic_schedule_weights takes the place of "
		  "flow_use_uniform_schedule, flow_use_beta_schedule and flow_custom_timesteps; give one of them" },
		{ "flow_use_uniform_schedule=true flow_use_beta_schedule=true",
		  "flow_use_uniform_schedule and flow_use_beta_schedule exclude each other" },
		{ "init_lora_step=3 resume_from_checkpoint=latest",
		  "init_lora_step and resume_from_checkpoint exclude each other: a resumed run has its own count" },
		{ "dataset=a data_backend_config=b", "dataset, dataset_path and data_backend_config exclude each other; give one" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		try_refused("ace-train", cases[i][0], 78, cases[i][1]);
	(void)try_ok("ace-train", "init_lora_step=3 init_lora=x");
	(void)try_ok("ace-train", "optimizer_beta1=0.8 optimizer_beta2=0.9");
}

static void
a_program_takes_its_own_options_alone(void **state)
{
	(void)state;
	try_refused("ace-preprocess", "learning_rate=0.1", 64,
		    "learning_rate is no option of ace-preprocess; it is one of ace-train, ace-resume");
	(void)try_ok("ace-preprocess", "latent_dtype=f32");
	try_file("config/config.json", "{\"learning_rate\": 0.1, \"base_model_precision\": \"int8-quanto\"}");
	(void)try_ok("ace-preprocess", NULL);	/* one file for all programs */
}

static void
words_go_to_programs_that_take_them(void **state)
{
	struct settings *s;

	(void)state;
	s = try_ok("ace-init-model", "small dir --seed 7");
	assert_int_equal(s->n_words, 2);
	assert_string_equal(s->word[0], "small");
	assert_string_equal(s->word[1], "dir");
	assert_int_equal(settings_i64(s, "seed"), 7);
	try_refused("ace-init-model", "small", 64, "wanted: ace-init-model PRESET DIR [key=value ...]");
	try_refused("ace-init-model", "a b c", 64, "\"c\" is neither an option nor key=value");
	try_file("a=b.wav", "x");
	s = try_ok("ace-inspect", "a=b.wav -- --memory");
	assert_int_equal(s->n_words, 2);
	assert_string_equal(s->word[0], "a=b.wav");
	assert_string_equal(s->word[1], "--memory");
}

static void
the_effective_settings_come_back_the_same(void **state)
{
	struct settings *s;

	(void)state;
	s = try_ok("ace-train", "output_dir=out learning_rate=3.3e-5 lora_alpha=7 max_train_steps=9 seed=0 use_rslora=1");
	int64_t seed = settings_i64(s, "seed");
	assert_ok(file_mkdirs("out"));
	assert_ok(settings_write_effective(s, "out/effective.json"));
	s = try_ok("ace-resume", "out/");
	assert_true(settings_f64(s, "learning_rate") == 3.3e-5);
	assert_true(settings_f64(s, "lora_alpha") == 7);
	assert_true(settings_f64(s, "num_train_epochs") == 0);
	assert_int_equal(settings_i64(s, "max_train_steps"), 9);
	assert_int_equal(settings_i64(s, "seed"), seed);
	assert_true(settings_is_set(s, "learning_rate"));
	assert_false(settings_is_set(s, "adam_beta1"));	/* a default stays one */
	assert_string_equal(settings_str(s, "output_dir"), "out");
	assert_string_equal(settings_str(s, "resume_from_checkpoint"), "latest");
	s = try_ok("ace-resume", "out max_train_steps=20");
	assert_int_equal(settings_i64(s, "max_train_steps"), 20);
	s = try_ok("ace-resume", "out/checkpoint-5");
	assert_string_equal(settings_str(s, "output_dir"), "out");
	assert_string_equal(settings_str(s, "resume_from_checkpoint"), "out/checkpoint-5");
	s = try_ok("ace-train", "--config out/effective.json");
	assert_true(settings_f64(s, "lora_alpha") == 7);
	try_refused("ace-resume", "elsewhere", 66,
		    "elsewhere/effective.json: no such file; wanted the output folder of a run of ace-train");
}

static void
a_run_can_be_resumed_from_another_folder(void **state)
{
	char here[1024], want[1200];
	struct settings *s;

	(void)state;
	assert_ok(file_mkdirs("out"));
	assert_ok(file_mkdirs("model"));
	s = try_ok("ace-train", "output_dir=out model=model data_backend_config=list.json");
	assert_ok(settings_write_effective(s, "out/effective.json"));
	assert_non_null(getcwd(here, sizeof here));
	assert_ok(file_mkdirs("below"));
	assert_int_equal(chdir("below"), 0);
	s = try_ok("ace-resume", "../out");
	snprintf(want, sizeof want, "%s/list.json", here);
	assert_string_equal(settings_str(s, "data_backend_config"), want);
	snprintf(want, sizeof want, "%s/model", here);
	assert_string_equal(settings_str(s, "model"), want);
	assert_string_equal(settings_str(s, "output_dir"), "../out");
	assert_int_equal(chdir(here), 0);
}

static void
the_printed_configuration_is_a_configuration(void **state)
{
	struct settings *s;
	FILE *f;

	(void)state;
	s = try_ok("ace-train", "instance_prompt=a\"b\\c lora_alpha=7 learning_rate=3e-5 seed=5");
	f = fopen("printed.toml", "w");
	assert_non_null(f);
	settings_print(s, f);
	fclose(f);
	s = try_ok("ace-train", "--config printed.toml");
	assert_string_equal(settings_str(s, "instance_prompt"), "a\"b\\c");
	assert_true(settings_f64(s, "lora_alpha") == 7);
	assert_true(settings_f64(s, "learning_rate") == 3e-5);
	assert_int_equal(settings_i64(s, "seed"), 5);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, try_enter, try_leave)
	const struct CMUnitTest tests[] = {
		T(every_spelling_of_an_option_gives_its_value),
		T(a_flag_alone_means_true_and_takes_a_word_of_truth),
		T(a_command_line_of_the_original_trainer_is_taken_unchanged),
		T(a_word_behind_a_name_is_its_value),
		T(inverse_names_mean_the_opposite),
		T(upstream_values_become_ours),
		T(the_16_bits_of_upstream_are_fp16),
		T(the_command_line_beats_the_environment_and_that_the_file_and_that_the_default),
		T(env_files_stand_between_the_environment_and_the_file),
		T(each_value_tells_where_it_comes_from),
		T(an_empty_value_brings_the_default_back),
		T(resuming_is_the_default_and_an_empty_value_is_a_fresh_start),
		T(extra_arguments_of_the_environment_join_the_command_line_below_it),
		T(the_upstream_preset_fills_what_nobody_has_set),
		T(an_upstream_adapter_file_fills_what_nobody_has_set),
		T(steps_alone_let_the_default_of_epochs_not_count),
		T(a_seed_from_the_clock_is_kept_as_a_number),
		T(wrong_values_name_the_option_what_was_found_and_what_was_wanted),
		T(unknown_names_suggest_the_nearest),
		T(what_has_no_meaning_here_is_refused_with_its_reason),
		T(every_foreign_option_is_refused_by_its_text_and_noticed_when_neutral),
		T(what_is_not_built_is_refused_by_name_unless_it_is_neutral),
		T(switching_validation_off_passes_over_its_options),
		T(plain_adapters_take_the_place_of_dora_on_quantised_weights),
		T(options_without_effect_are_noticed),
		T(combinations_that_cannot_be_meant_are_refused),
		T(a_program_takes_its_own_options_alone),
		T(words_go_to_programs_that_take_them),
		T(the_effective_settings_come_back_the_same),
		T(a_run_can_be_resumed_from_another_folder),
		T(the_printed_configuration_is_a_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
