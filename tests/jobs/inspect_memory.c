/* SPDX-License-Identifier: Apache-2.0 */
/* What ace-inspect --memory says is what a run takes: within 2 % of its peak, on the preset small */
#include "jobs/inspect_memory.h"

#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "jobs/init_model.h"
#include "jobs/train.h"
#include "support/golden.h"
#include "support/stores.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder, *data, *model;

static void
settle(struct settings *s, const char *program, const char *const *pair)
{
	assert_ok(settings_init(s, program_named(program)));
	assert_ok(settings_set(s, "pretrained_model_name_or_path", model, "test"));
	assert_ok(settings_set(s, "max_train_steps", "3", "test"));
	assert_ok(settings_set(s, "threads", "2", "test"));
	for (int i = 0; pair && pair[i]; i += 2)
		assert_ok(settings_set(s, pair[i], pair[i + 1], "test"));
}

#define PAIRS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* This program anew, as a program of its own: what ("make", "train", "inspect") with pairs. Returns its largest resident set,
 * in bytes. */
static double
apart(const char *what, const char *const *pair)
{
	const char *argv[32] = { "inspect_memory", what, folder, model };
	struct rusage use;
	int state = 0, n = 4;
	pid_t p;

	for (int i = 0; pair[i]; i++)
		argv[n++] = pair[i];
	p = fork();
	assert_true(p >= 0 && n < 32);
	if (p == 0) {
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	assert_int_equal(wait4(p, &state, 0, &use), p);
	assert_int_equal(state, 0);
	return (double)use.ru_maxrss * 1024;
}

static int
make(void)
{
	const struct init_model_job job = { .preset = "small", .dir = model, .seed = 42, .dtype = F32 };

	return init_model_write(&job) == ACE_OK ? 0 : 1;
}

static int
train(const char *const *pair)
{
	struct settings s;
	enum status st;

	settle(&s, "ace-train", pair);
	st = train_run(&s, NULL);
	if (st != ACE_OK)
		fprintf(stderr, "%s\n", ace_message());
	settings_free(&s);
	return st != ACE_OK;
}

static int
inspect(const char *const *pair)
{
	char *path = file_path("%s/plan.json", folder);
	FILE *out = fopen(path, "w");
	struct settings s;
	enum status st;

	settle(&s, "ace-inspect", pair);
	assert_ok(settings_set(&s, "json", "true", "test"));
	st = inspect_memory(out, &s);
	settings_free(&s);
	free(path);
	return fclose(out) != 0 || st != ACE_OK;
}

static int
be(char **argv)
{
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 10);
	folder = argv[2];
	model = argv[3];
	if (strcmp(argv[1], "make") == 0)
		return make();
	return (strcmp(argv[1], "train") == 0 ? train : inspect)((const char *const *)argv + 4);
}

static double
number(const cJSON *o, const char *part, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(part ? cJSON_GetObjectItemCaseSensitive(o, part) : o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("no number %s", key);
	return v->valuedouble;
}

static cJSON *
plan(const char *const *pair)
{
	char *path = file_path("%s/plan.json", folder);
	cJSON *o;

	apart("inspect", pair);
	assert_ok(json_read(path, 1 << 20, &o));
	free(path);
	return o;
}

static void
a_plan_is_within_two_percent_of_the_run(void **state)
{
	static const char *const cases[][9] = {
		{ "mixed_precision", "no", "gradient_checkpointing", "false" },
		{ "mixed_precision", "bf16", "train_batch_size", "2" },
		{ "mixed_precision", "fp16", "lora_rank", "128" },
		{ "base_model_precision", "int8-quanto", "quantize_feed_forward", "true" },
		{ "lyrics_embedder_train", "true", "lyrics_embedder_optimizer", "torch-adamw", "max_train_steps", "1" },
		{ "use_ema", "true", "lora_rank", "128", "max_train_steps", "1" },
	};

	(void)state;
	if (getenv("ASAN_OPTIONS"))
		skip();		/* a checked build takes memory of its own */
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *pair[16] = { "data_backend_config", data, "output_dir", NULL };
		char *out = file_path("%s/out%d", folder, (int)i);
		double peak, planned;
		cJSON *o;
		pair[3] = out;
		for (int k = 0; cases[i][k]; k++)
			pair[4 + k] = cases[i][k];
		o = plan(pair);
		planned = number(o, NULL, "all");
		peak = apart("train", pair);
		print_message("# case %d: %.1f MiB planned, %.1f taken\n", (int)i, planned / 0x1p20, peak / 0x1p20);
		if (!(fabs(planned - peak) <= 0.02 * peak))
			fail_msg("case %d: %.1f MiB were planned, %.1f were taken", (int)i, planned / 0x1p20, peak / 0x1p20);
		cJSON_Delete(o);
		free(out);
	}
}

static void
without_stores_the_options_say_how_large_a_batch_is(void **state)
{
	cJSON *o = plan(PAIRS("mixed_precision", "no"));

	(void)state;
	assert_true(number(o, "shape", "clips") == 1 && number(o, "shape", "frames") == 2584);
	assert_true(number(o, "shape", "text_rows") == 256 && number(o, "shape", "lyric_tokens") == 4096);
	cJSON_Delete(o);
	o = plan(PAIRS("audio_max_duration_seconds", "30", "lyrics_max_tokens", "200", "train_batch_size", "3", "dataset", folder));
	assert_true(number(o, "shape", "clips") == 3 && number(o, "shape", "frames") == 323);
	assert_true(number(o, "shape", "lyric_tokens") == 200 && number(o, "bytes", "base_mapped") > 0);
	assert_true(number(o, "bytes", "base_copied") > 0);	/* bf16 of a file in fp32 */
	cJSON_Delete(o);
}

/* 16 bits of either kind take about the same room on a GPU, where bf16 lies side by side; what products round to is made on the way. */
static void
fp16_is_planned_for_a_gpu(void **state)
{
	cJSON *half = plan(PAIRS("mixed_precision", "bf16", "device", "cuda")), *f16 = plan(PAIRS("mixed_precision", "fp16", "device", "cuda"));

	(void)state;
	assert_true(number(f16, "bytes", "base_copied") > 0.9 * number(half, "bytes", "base_copied"));
	assert_true(number(f16, "bytes", "base_copied") < 1.1 * number(half, "bytes", "base_copied"));
	assert_true(number(f16, "bytes", "activations") > number(half, "bytes", "activations"));
	assert_true(number(f16, "bytes", "workspace") > 0);
	cJSON_Delete(half);
	cJSON_Delete(f16);
}

/* States, then gradients too, leave the device for the host; the rest stays, and so does what a checkpoint has. */
static void
states_are_planned_beyond_the_bus(void **state)
{
#define FULL "mixed_precision", "bf16", "model_type", "full", "optimizer", "torch-adamw", "device", "cuda"
	cJSON *here = plan(PAIRS(FULL)), *far = plan(PAIRS(FULL, "optimizer_cpu_offload_method", "torchao"));
	cJSON *both = plan(PAIRS(FULL, "optimizer_cpu_offload_method", "torchao", "optimizer_offload_gradients", "true"));
	double trained = number(here, NULL, "trained"), pinned = number(far, NULL, "host_pinned"), grads = number(here, "bytes", "gradients");

	(void)state;
	assert_true(number(here, NULL, "host_pinned") == 0 && grads >= 4 * trained);
	assert_true(pinned > 8 * trained && pinned < 12.1 * trained);		/* two moments, and masters of what is bf16 */
	assert_true(number(far, NULL, "planned") == number(here, NULL, "planned") - pinned);
	assert_true(number(both, NULL, "host_pinned") == pinned + grads);
	assert_true(number(both, NULL, "planned") == number(far, NULL, "planned") - grads);
	assert_true(number(both, NULL, "checkpoint") == number(here, NULL, "checkpoint"));
	cJSON_Delete(here);
	cJSON_Delete(far);
	cJSON_Delete(both);
#undef FULL
}

static void
ranks_are_told_how_long_an_update_takes(void **state)
{
	cJSON *o = plan(PAIRS("mixed_precision", "bf16", "model_type", "full", "sharding", "full", "ranks", "16", "compute_ms", "20",
	                      "gradient_accumulation_steps", "2", "link_gbs", "2"));
	cJSON *slow = plan(PAIRS("mixed_precision", "bf16", "model_type", "full", "sharding", "full", "ranks", "16", "compute_ms", "20",
	                         "gradient_accumulation_steps", "2", "link_gbs", "1", "hop_us", "0"));
	double step = number(o, "forecast", "step_s"), exposed = number(o, "forecast", "exposed_s");

	(void)state;
	assert_true(number(o, "forecast", "sent") == number(o, NULL, "sent") && fabs(number(o, "forecast", "card") * 8 / number(o, NULL, "sent") - 1) < 1e-9);
	assert_true(exposed > 0 && fabs(step - 0.04 - exposed) < 1e-9 && fabs(number(o, "forecast", "efficiency") - 0.04 / step) < 1e-9);
	assert_true(fabs(number(slow, "forecast", "exchange_s") / (number(slow, NULL, "sent") / 1e9) - 1) < 1e-9);
	assert_true(number(slow, "forecast", "exposed_s") > exposed);
	assert_true(fabs(number(o, "forecast", "checkpoint_part") * 16 / number(o, NULL, "checkpoint") - 1) < 1e-9);
	assert_true(fabs(number(o, "forecast", "stall_s") - number(o, "forecast", "checkpoint_part") / 10e9) < 1e-12);
	cJSON_Delete(o);
	cJSON_Delete(slow);
}

static void
one_rank_exchanges_nothing(void **state)
{
	struct settings s;

	(void)state;
	settle(&s, "ace-inspect", PAIRS("compute_ms", "20"));
	assert_int_equal(inspect_memory(stdout, &s), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "give ranks as well"));
	settings_free(&s);
}

/* int4 is parted as 8 bits are; what several ranks cannot do is said with what they can. */
static void
ranks_part_four_bits_and_keep_gradients_on_the_device(void **state)
{
	cJSON *all = plan(PAIRS("mixed_precision", "bf16", "base_model_precision", "int4", "sharding", "none", "ranks", "4"));
	cJSON *part = plan(PAIRS("mixed_precision", "bf16", "base_model_precision", "int4", "sharding", "full", "ranks", "4"));
	/* of a rank's part the scales alone, which are whole on all; the numbers are among the frozen */
	double whole = number(all, "bytes", "base_quantized"), scales = number(part, "bytes", "base_quantized");
	double mine = number(part, "bytes", "base_copied");
	struct settings s;

	(void)state;
	print_message("# base in 4 bits: %.3g MB whole; of a rank of 4 %.3g MB of scales, %.3g of its part of all that is frozen\n", whole / 1e6,
	              scales / 1e6, mine / 1e6);
	assert_true(scales > 0 && scales < whole / 8 && mine >= (whole - scales) / 4 && mine + scales < whole);
	cJSON_Delete(all);
	cJSON_Delete(part);
	settle(&s, "ace-inspect", PAIRS("mixed_precision", "bf16", "model_type", "full", "optimizer", "torch-adamw", "device", "cuda", "ranks", "2",
	                                "optimizer_cpu_offload_method", "torchao", "optimizer_offload_gradients", "true"));
	assert_int_equal(inspect_memory(stdout, &s), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "optimizer_offload_gradients with several ranks is not built; optimizer_cpu_offload_method alone is"));
	settings_free(&s);
}

static int
prepare(void **state)
{
	const struct stores_options o = { .clips = 6, .captions = 1, .channels = 8, .rows = 16, .frames = 300, .vary = 30,
		.text_width = 768, .text_rows = 20, .lyrics = 150, .lyric_vocab = 6000, .dtype = F32, .seed = 11 };

	(void)state;
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 10);
	folder = strdup(golden_tmp());
	model = file_path("%s/model", folder);
	apart("make", PAIRS(NULL));
	data = stores_make(folder, &o);
	return 0;
}

static int
tidy(void **state)
{
	int bad = file_remove_tree(folder) != ACE_OK;

	(void)state;
	free(folder);
	free(model);
	free(data);
	return bad;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_within_two_percent_of_the_run),
		cmocka_unit_test(without_stores_the_options_say_how_large_a_batch_is),
		cmocka_unit_test(fp16_is_planned_for_a_gpu),
		cmocka_unit_test(states_are_planned_beyond_the_bus),
		cmocka_unit_test(ranks_are_told_how_long_an_update_takes),
		cmocka_unit_test(one_rank_exchanges_nothing),
		cmocka_unit_test(ranks_part_four_bits_and_keep_gradients_on_the_device),
	};

	if (argc > 4 || (argc == 4 && strcmp(argv[1], "make") == 0))
		return be(argv);
	return cmocka_run_group_tests(tests, prepare, tidy);
}
