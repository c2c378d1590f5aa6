/* SPDX-License-Identifier: Apache-2.0 */
/* Which configuration files are found, and what is said when one is broken. */
#include "base/settings_try.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static void
the_quickstart_configuration_loads_unchanged(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/my/config.json",
		 "{\"model_type\": \"lora\", \"model_family\": \"ace_step\", \"model_flavour\": \"base\",\n"
		 " \"pretrained_model_name_or_path\": \"ACE-Step/ACE-Step-v1-3.5B\", \"resolution\": 0,\n"
		 " \"mixed_precision\": \"bf16\", \"base_model_precision\": \"int8-quanto\",\n"
		 " \"data_backend_config\": \"config/my/multidatabackend.json\"}");
	s = try_ok("ace-preprocess", "env=my");
	try_value(s, "data_backend_config", "config/my/multidatabackend.json");
	try_value(s, "base_model_precision", "int8-quanto");
}

/* What the Python trainer's example for this model, its guide and its questions for a new configuration write, and what pictures want. */
static void
a_configuration_of_the_python_trainer_loads_unchanged(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/my/config.json",
		 "{\"--model_type\": \"lora\", \"--model_family\": \"ace_step\", \"--model_flavour\": \"base\", \"--seed\": 42,\n"
		 " \"--resume_from_checkpoint\": \"latest\", \"--aspect_bucket_rounding\": 2, \"--minimum_image_size\": 0,\n"
		 " \"compress_disk_cache\": true, \"hub_model_id\": \"x\", \"push_to_hub\": \"true\", \"push_checkpoints_to_hub\": true,\n"
		 " \"resolution\": 512, \"resolution_type\": \"pixel\", \"validation_resolution\": \"1024x1024\", \"report_to\": \"none\",\n"
		 " \"vae_enable_tiling\": true, \"vae_enable_slicing\": true, \"vae_cache_disable\": true, \"vae_batch_size\": 1,\n"
		 " \"dataloader_prefetch\": false, \"vae_cache_scan_behaviour\": \"sync\", \"skip_file_discovery\": \"vae,text\",\n"
		 " \"preserve_data_backend_cache\": true, \"disable_bucket_pruning\": true, \"offload_during_startup\": true,\n"
		 " \"fsdp_enable\": true, \"fsdp_state_dict_type\": \"SHARDED_STATE_DICT\", \"i_know_what_i_am_doing\": true,\n"
		 " \"validation_guidance_rescale\": \"0.0\", \"validation_using_datasets\": false, \"evaluation_type\": \"none\",\n"
		 " \"text_encoder_1_precision\": \"no_change\", \"num_train_epochs\": 0, \"max_train_steps\": 200, \"validation_steps\": 50}");
	s = try_ok("ace-train", "env=my");
	assert_int_equal(s->n_notices, 2);
	assert_string_equal(s->notice[0], "push_to_hub: uploads are not done from batch jobs; copy the output folder");
	assert_non_null(strstr(s->notice[1], "accepted without effect: "));
	assert_non_null(strstr(s->notice[1], "vae_enable_tiling"));
	assert_non_null(strstr(s->notice[1], "validation_resolution"));
	assert_null(strstr(s->notice[1], "minimum_image_size"));
	try_value(s, "validation_step_interval", "50");
}

/* Values that are none, and words for what is one thing here. */
static void
values_of_the_python_trainer_are_taken_as_they_are_meant(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/my/config.json",
		 "{\"eval_steps_interval\": 0, \"eval_epoch_interval\": 0, \"validation_epoch_interval\": 0, \"checkpoint_epoch_interval\": 0,\n"
		 " \"checkpoint_step_interval\": 0, \"validation_step_interval\": \"0\", \"caption_strategy\": \"instance_prompt\",\n"
		 " \"attention_mechanism\": \"sageattention-int8-fp16-cuda\", \"quantize_via\": \"pipeline\", \"dataloader_prefetch_qlen\": 0,\n"
		 " \"text_encoder_1_precision\": \"int4-quanto\", \"validation_torch_compile\": \"false\", \"scheduled_sampling_sampler\": \"rk4\"}");
	s = try_ok("ace-train", "env=my");
	assert_false(settings_has(s, "eval_steps_interval") || settings_has(s, "eval_epoch_interval"));
	assert_false(settings_has(s, "validation_epoch_interval") || settings_has(s, "checkpoint_epoch_interval"));
	try_value(s, "checkpoint_step_interval", "0");
	try_value(s, "validation_step_interval", "0");
	assert_true(settings_i64(s, "checkpoint_step_interval") == 0);
	try_value(s, "caption_strategy", "instanceprompt");
	try_refused("ace-train", "checkpoint_step_interval=-1", 64, "checkpoint_step_interval is -1; wanted a whole number of 1 or more");
	try_refused("ace-train", "eval_timesteps=0", 64, "eval_timesteps is 0; wanted a whole number of 1 or more");
	assert_null(try_load("ace-train", "dataloader_prefetch_qlen=many"));
}

static void
a_name_finds_its_folder_or_file(void **state)
{
	(void)state;
	try_file("config/config.json", "{\"lora_rank\": 1}");
	try_file("config/a/config.json", "{\"lora_rank\": 2}");
	try_file("b/config.json", "{\"lora_rank\": 3}");
	try_file("c.json", "{\"lora_rank\": 4}");
	try_file("config/d/config.toml", "lora_rank = 5 # five\n");
	try_value(try_ok("ace-train", NULL), "lora_rank", "1");
	try_value(try_ok("ace-train", "env=default"), "lora_rank", "1");
	try_value(try_ok("ace-train", "env=a"), "lora_rank", "2");
	try_value(try_ok("ace-train", "--env a"), "lora_rank", "2");
	try_value(try_ok("ace-train", "env=b"), "lora_rank", "3");
	try_value(try_ok("ace-train", "env=config/a"), "lora_rank", "2");
	try_value(try_ok("ace-train", "config=c.json"), "lora_rank", "4");
	try_value(try_ok("ace-train", "config_path=c"), "lora_rank", "4");
	try_value(try_ok("ace-train", "config=b"), "lora_rank", "3");
	try_value(try_ok("ace-train", "env=d"), "lora_rank", "5");
	try_refused("ace-train", "env=nowhere", 66,
		    "env=nowhere: no config.json, config.toml or config.env in nowhere/ or config/nowhere/");
	try_refused("ace-train", "config=nowhere.json", 66, "nowhere.json: no such configuration file");
}

static void
the_environment_names_the_configuration_too(void **state)
{
	static const char *const names[] = { "ENV", "SIMPLETUNER_ENV", "SIMPLETUNER_ENVIRONMENT" };

	(void)state;
	try_file("config/a/config.json", "{\"lora_rank\": 2}");
	try_file("b.json", "{\"lora_rank\": 3}");
	for (int i = 0; i < 3; i++) {
		setenv(names[i], "a", 1);
		try_value(try_ok("ace-train", NULL), "lora_rank", "2");
		unsetenv(names[i]);
	}
	setenv("CONFIG_PATH", "b.json", 1);
	try_value(try_ok("ace-train", "env=a"), "lora_rank", "3");
	unsetenv("CONFIG_PATH");
}

static void
the_backend_chooses_the_file(void **state)
{
	static const char *const names[] = { "CONFIG_BACKEND", "SIMPLETUNER_CONFIG_BACKEND", "CONFIG_TYPE" };

	(void)state;
	try_file("config/config.json", "{\"seed\": 1}");
	try_file("config/config.toml", "seed = 2");
	try_file("config/config.env", "TRAINING_SEED=3");
	try_value(try_ok("ace-train", "config_backend=cmd"), "seed", "42");
	try_value(try_ok("ace-train", "config_backend=env"), "seed", "3");
	assert_ok(file_remove_tree("config/config.env"));
	try_value(try_ok("ace-train", NULL), "seed", "1");
	for (int i = 0; i < 3; i++) {
		setenv(names[i], "toml", 1);
		try_value(try_ok("ace-train", NULL), "seed", "2");
		unsetenv(names[i]);
	}
	try_refused("ace-train", "config_backend=yaml", 78, "config_backend is \"yaml\"; wanted json, toml, env or cmd");
}

static void
the_data_list_beside_the_configuration_is_the_default(void **state)
{
	(void)state;
	try_file("config/a/config.json", "{}");
	assert_null(settings_str(try_ok("ace-train", "env=a"), "data_backend_config"));
	try_file("config/a/multidatabackend.json", "[]");
	try_value(try_ok("ace-train", "env=a"), "data_backend_config", "config/a/multidatabackend.json");
	try_value(try_ok("ace-train", "env=a data_backend_config=b.json"), "data_backend_config", "b.json");
	assert_null(settings_str(try_ok("ace-train", "env=a dataset=songs"), "data_backend_config"));
}

static void
variables_in_texts_are_filled_in(void **state)
{
	(void)state;
	setenv("ACE_TRY", "there", 1);
	try_file("config/config.json", "{\"output_dir\": \"{env:ACE_TRY}/out-{model_family}\"}");
	try_value(try_ok("ace-train", NULL), "output_dir", "there/out-{model_family}");
	unsetenv("ACE_TRY");
	try_refused("ace-train", NULL, 78,
		    "config/config.json: output_dir wants the environment variable ACE_TRY, which is not set");
}

static void
null_and_empty_texts_leave_the_default(void **state)
{
	(void)state;
	try_file("config/config.json", "{\"lora_rank\": null, \"optimizer\": \"\", \"lora_alpha\": \"None\"}");
	try_value(try_ok("ace-train", NULL), "lora_rank", "16");
	try_value(try_ok("ace-train", NULL), "optimizer", "adamw_bf16");
	assert_false(settings_has(try_ok("ace-train", NULL), "lora_alpha"));
}

static void
a_broken_json_file_is_named_with_what_is_wrong(void **state)
{
	static const char *const cases[][2] = {
		{ "{\"learning_rate\": \"fast\"}", "learning_rate is \"fast\"; wanted a number from 0 to 1" },
		{ "{\"learning_rate\": true}", "learning_rate is \"true\"; wanted a number from 0 to 1" },
		{ "{\"learning_rate\": 3}", "learning_rate is 3; wanted a number from 0 to 1" },
		{ "{\"lora_rnk\": 3}", "unknown key \"lora_rnk\"; did you mean \"lora_rank\"?" },
		{ "{\"lora_rank\": [3]}", "lora_rank is a list; wanted a whole number from 1 to 1024" },
		{ "{\"lora_rank\": {}}", "lora_rank is an object; wanted a whole number from 1 to 1024" },
		{ "[1]", "wanted an object, {\"key\": value, ...}" },
		{ "{\"quantize_activations\": true}", "quantize_activations=true is not built yet; base_model_precision=fp8 multiplies in 8 bits" },
		{ "{\"base_model_precision\": \"nf4-bnb\"}",
		  "base_model_precision=nf4-bnb is not built yet; wanted no_change, int8-quanto, fp8, int4-quanto or int4" },
	};
	char want[300];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		try_file("config/x/config.json", cases[i][0]);
		snprintf(want, sizeof want, "config/x/config.json: %s", cases[i][1]);
		try_refused("ace-train", "env=x", 78, want);
	}
}

static void
json_that_is_none_is_refused(void **state)
{
	static const char *const texts[] = { "", "{", "{\"a\"}", "{\"seed\": 1,}", "{\"seed\": 1} x", "{\"seed\": 1, \"seed\": 2}", "nul",
					     "{'seed': 1}" };
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		try_file("config/x/config.json", texts[i]);
		if (try_load("ace-train", "env=x"))
			fail_msg("%s is taken", texts[i]);
		assert_int_equal(strncmp(ace_message(), "config/x/config.json", 20), 0);
	}
}

static void
toml_gives_texts_numbers_truth_and_lists(void **state)
{
	struct settings *s;
	cJSON *list;

	(void)state;
	try_file("config/config.toml",
		 "# a comment\r\nlora_rank = 3_2\n\"use_rslora\" = true\nlearning_rate = 5e-5   # small\n"
		 "instance_prompt = \"say \\\"hi\\\"\\u00e9 # no comment\"\ncaption_strategy = 'instanceprompt'\n"
		 "logging-dir = \"\"\"\nlogs \\\n   of mine\"\"\"\n"
		 "peft_lora_target_modules = [\n  \"to_q\", # first\n  'to_k',\n]\n");
	s = try_ok("ace-train", NULL);
	try_value(s, "lora_rank", "32");
	try_value(s, "use_rslora", "true");
	assert_true(settings_f64(s, "learning_rate") == 5e-5);
	try_value(s, "instance_prompt", "say \"hi\"\xc3\xa9 # no comment");
	try_value(s, "caption_strategy", "instanceprompt");
	try_value(s, "logging_dir", "logs of mine");
	assert_ok(settings_json(s, "peft_lora_target_modules", &list));
	assert_int_equal(cJSON_GetArraySize(list), 2);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(list, 1)), "to_k");
	cJSON_Delete(list);
}

static void
a_broken_toml_file_is_named_with_its_line(void **state)
{
	static const char *const cases[][2] = {
		{ "seed = 1\nlora_rank\n", "2: wanted key = value" },
		{ "seed =\n", "1: wanted a value" },
		{ "\n\nmodel_type = lora\n", "3: a text wants quotes" },
		{ "model_type = \"lora\n", "1: a text is not closed" },
		{ "model_type = \"lo\\qra\"\n", "1: an escape that TOML does not have" },
		{ "model_type = \"\\ud800\"\n", "1: an escape that is no character" },
		{ "[model]\nseed = 1\n", "1: tables are not read; wanted flat keys, key = value" },
		{ "seed = 1 2\n", "1: wanted the end of the line behind a value" },
		{ "peft_lora_target_modules = [\"a\" \"b\"]\n", "1: wanted , or ] in a list" },
		{ "peft_lora_target_modules = [\"a\",\n", "2: wanted a value" },
		{ "model_type = \"\"\"lora\n\n", "3: a text is not closed" },
		{ "model_type = \"\\", "1: a text is not closed" },
	};
	char want[300];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		try_file("config/config.toml", cases[i][0]);
		snprintf(want, sizeof want, "config/config.toml:%s", cases[i][1]);
		try_refused("ace-train", NULL, 78, want);
	}
	try_file("config/config.toml", "lora_rank = \"many\"");
	try_refused("ace-train", NULL, 78, "config/config.toml: lora_rank is \"many\"; wanted a whole number from 1 to 1024");
}

static void
env_files_know_exports_quotes_comments_and_appending(void **state)
{
	struct settings *s;

	(void)state;
	try_file("config/config.env",
		 "# all\nexport TRAINING_SEED=7 # seven\nOUTPUT_DIR='a b'\n  MODEL_NAME=\"c\\\"d\"\nNOT_OURS=1\n"
		 "TRAINER_EXTRA_ARGS=\"--lora_rank 4\"\nTRAINER_EXTRA_ARGS+=\" --use_rslora\"\n");
	s = try_ok("ace-train", NULL);
	try_value(s, "seed", "7");
	try_value(s, "output_dir", "a b");
	try_value(s, "model", "c\"d");
	try_value(s, "lora_rank", "4");
	try_value(s, "use_rslora", "true");
}

static void
what_env_files_append_to_the_environment_is_as_strong_as_it(void **state)
{
	(void)state;
	try_file("config/config.env", "OUTPUT_DIR+=/b\n");
	setenv("OUTPUT_DIR", "a", 1);
	try_value(try_ok("ace-train", NULL), "output_dir", "a/b");
	unsetenv("OUTPUT_DIR");
	try_value(try_ok("ace-train", NULL), "output_dir", "/b");
}

static void
a_broken_env_file_is_named_with_its_line(void **state)
{
	static const char *const cases[][2] = {
		{ "SEED 1\n", "config/config.env:1: wanted KEY=VALUE" },
		{ "A=1\n\n1B=2\n", "config/config.env:3: wanted KEY=VALUE" },
		{ "OUTPUT_DIR='x\n", "config/config.env:1: a quote is not closed" },
		{ "LEARNING_RATE=fast\n", "config/config.env: learning_rate is \"fast\"; wanted a number from 0 to 1" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		try_file("config/config.env", cases[i][0]);
		try_refused("ace-train", NULL, 78, cases[i][1]);
	}
}

static void
a_wrong_value_in_the_environment_names_its_variable(void **state)
{
	(void)state;
	setenv("LEARNING_RATE", "fast", 1);
	try_refused("ace-train", NULL, 78, "environment LEARNING_RATE: learning_rate is \"fast\"; wanted a number from 0 to 1");
	unsetenv("LEARNING_RATE");
	setenv("TRAINER_EXTRA_ARGS", "--lora_rnk=1", 1);
	try_refused("ace-train", NULL, 78,
		    "environment TRAINER_EXTRA_ARGS: unknown key \"lora_rnk\"; did you mean \"lora_rank\"?");
	unsetenv("TRAINER_EXTRA_ARGS");
}

static void
the_bundled_preset_loads_below_everything_else(void **state)
{
	const char *top = getenv("top_srcdir");
	struct settings *s;

	(void)state;
	if (!top)
		skip();
	setenv("ACE_DATADIR", top, 1);
	try_file("config/config.json", "{\"lora_rank\": 8}");
	s = try_ok("ace-train", "example=ace_step-v1-0.peft-lora seed=1");
	try_value(s, "lora_rank", "8");
	try_value(s, "lr_scheduler", "cosine");
	try_value(s, "lr_warmup_steps", "50");
	try_value(s, "max_train_steps", "200");
	try_value(s, "seed", "1");
	assert_true(settings_f64(s, "learning_rate") == 5e-5);
	assert_true(file_exists(settings_str(s, "data_backend_config")));
	assert_int_equal(s->n_notices, 0);	/* all of it is built */
	unsetenv("ACE_DATADIR");
	try_refused("ace-train", "example=../x", 64, "example=../x: wanted the name of a bundled preset");
	assert_null(try_load("ace-train", "example=nothing"));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, try_enter, try_leave)
	const struct CMUnitTest tests[] = {
		T(the_quickstart_configuration_loads_unchanged),
		T(a_configuration_of_the_python_trainer_loads_unchanged),
		T(values_of_the_python_trainer_are_taken_as_they_are_meant),
		T(a_name_finds_its_folder_or_file),
		T(the_environment_names_the_configuration_too),
		T(the_backend_chooses_the_file),
		T(the_data_list_beside_the_configuration_is_the_default),
		T(variables_in_texts_are_filled_in),
		T(null_and_empty_texts_leave_the_default),
		T(a_broken_json_file_is_named_with_what_is_wrong),
		T(json_that_is_none_is_refused),
		T(toml_gives_texts_numbers_truth_and_lists),
		T(a_broken_toml_file_is_named_with_its_line),
		T(env_files_know_exports_quotes_comments_and_appending),
		T(what_env_files_append_to_the_environment_is_as_strong_as_it),
		T(a_broken_env_file_is_named_with_its_line),
		T(a_wrong_value_in_the_environment_names_its_variable),
		T(the_bundled_preset_loads_below_everything_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
