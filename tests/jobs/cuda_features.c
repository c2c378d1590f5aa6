/* SPDX-License-Identifier: Apache-2.0 */
/* What may train beside adapters, averages, rollouts and held-out clips on a cuda device: beside the cpu, and gone on with */
#include "jobs/runs.h"

#include "base/file.h"
#include "jobs/init_model.h"
#include "models/adapter.h"
#include "models/lyrics_file.h"
#include "support/golden.h"
#include "support/stores.h"
#include "support/test.h"
#include "support/twins.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LYRICS "lyrics_embedder_train", "true", "lyrics_embedder_optimizer", "torch-adamw", "lyrics_embedder_lr", "1e-3"
#define AVERAGE "use_ema", "true", "ema_decay", "0.7"
#define ROLLED "scheduled_sampling_max_step_offset", "3", "scheduled_sampling_probability", "0.7", "learning_rate", "1e-3"
#define COSTS "loss_type", "huber", "huber_schedule", "exponential", "learning_rate", "1e-3"
#define HELD "eval_steps_interval", "1", "eval_dataset_id", "random", "eval_timesteps", "3", "learning_rate", "1e-3"
#define CUDA "device", "cuda"

/* Largest relative difference of numbers of two runs, in fp32: sums differ in their order alone. */
static void
near(const char *a, const char *b, const char *key)
{
	double x[64], y[64], worst = 0;
	int n = runs_metric(a, key, x);

	assert_int_equal(runs_metric(b, key, y), n);
	for (int k = 1; k <= n; k++) {
		double e = fabs(x[k] - y[k]) / (fabs(y[k]) + 1e-30);
		worst = x[k] == y[k] || e < worst ? worst : e;
	}
	print_message("# %s of %s and %s: %.3g\n", key, a, b, worst);
	if (!(n == 6 && worst <= 1e-3))
		fail_msg("%s differs by %.3g of itself", key, worst);
}

static void
a_run_is_that_of_the_cpu(void **state)
{
	(void)state;
	runs_must(runs_at("cpu-lyrics"), PAIRS(LYRICS, "learning_rate", "1e-3"));
	runs_must(runs_at("lyrics"), PAIRS(LYRICS, "learning_rate", "1e-3", CUDA));
	near(runs_at("lyrics"), runs_at("cpu-lyrics"), "train_loss");
	near(runs_at("lyrics"), runs_at("cpu-lyrics"), "grad_norm");
	near(runs_at("lyrics"), runs_at("cpu-lyrics"), "lyrics_embedder_learning_rate");
	runs_must(runs_at("cpu-rolled"), PAIRS(ROLLED));
	runs_must(runs_at("rolled"), PAIRS(ROLLED, CUDA));
	near(runs_at("rolled"), runs_at("cpu-rolled"), "train_loss");
	runs_must(runs_at("cpu-costs"), PAIRS(COSTS));
	runs_must(runs_at("costs"), PAIRS(COSTS, CUDA));
	near(runs_at("costs"), runs_at("cpu-costs"), "train_loss");
	near(runs_at("costs"), runs_at("cpu-costs"), "grad_norm");
	runs_must(runs_at("cpu-held"), PAIRS(HELD));
	runs_must(runs_at("held"), PAIRS(HELD, CUDA));
	near(runs_at("held"), runs_at("cpu-held"), "eval_loss");
	near(runs_at("held"), runs_at("cpu-held"), "train_loss");
}

/* The average in the device's memory and in the host's are one, up to what a fused multiplication leaves. */
static void
an_average_may_be_on_either_side(void **state)
{
	static const char *const rules[] = { "torch-adamw", "adamw_schedulefree" };
	char path[2][700];
	struct st_file f[2];

	(void)state;
	for (int k = 0; k < 2; k++) {
		runs_must(runs_at(k ? "free-host" : "host"), PAIRS(AVERAGE, CUDA, "optimizer", rules[k]));
		runs_must(runs_at(k ? "free-device" : "device"), PAIRS(AVERAGE, CUDA, "ema_device", "accelerator", "optimizer", rules[k]));
		snprintf(path[0], sizeof path[0], "%s/ema/" ADAPTER_FILE, runs_at(k ? "free-host" : "host"));
		snprintf(path[1], sizeof path[1], "%s/ema/" ADAPTER_FILE, runs_at(k ? "free-device" : "device"));
		assert_ok(st_open(&f[0], path[0]));
		assert_ok(st_open(&f[1], path[1]));
		assert_true(f[0].n > 0 && f[0].n == f[1].n);
		for (int i = 0; i < f[0].n; i++) {
			const struct tensor a = f[0].entry[i].value, b = f[1].entry[i].value;
			golden_close(f[0].entry[i].name, a.data, b.data, tensor_count(a), 1e-5);
		}
		st_close(&f[0]);
		st_close(&f[1]);
	}
}

static char small_model[600], *small_data;

/* A model whose sizes the device packs, and songs for it; once. */
static void
small(void)
{
	const struct stores_options o = { .clips = 6, .captions = 1, .channels = 8, .rows = 16, .frames = 60, .vary = 30,
		.text_width = 768, .text_rows = 20, .lyrics = 50, .lyric_vocab = 6000, .dtype = F32, .seed = 11 };
	char stores[600];

	if (small_data)
		return;
	snprintf(small_model, sizeof small_model, "%s", runs_at("small"));
	snprintf(stores, sizeof stores, "%s", runs_at("small-stores"));
	assert_ok(init_model_write(&(struct init_model_job){ .preset = "small", .dir = small_model, .seed = 42, .dtype = BF16 }));
	assert_ok(file_mkdirs(stores));
	small_data = stores_make(stores, &o);
}

#define SMALL CUDA, "pretrained_model_name_or_path", small_model, "data_backend_config", small_data, "checkpoint_step_interval", "100", \
	"gradient_accumulation_steps", "1", "max_train_steps", "6"

/* All of it at once, in bf16. */
static void
all_of_it_goes_on_to_the_bit_in_bf16(void **state)
{
	static const char *const targets[] = { "attn_qkv", "attn_qkv+linear_qkv" };
	char whole[600], parts[600];

	(void)state;
	small();
	for (int k = 0; k < 2; k++) {
		const char *const pair[] = { SMALL, LYRICS, AVERAGE, ROLLED, "mixed_precision", "bf16", "optimizer", "adamw_bf16",
			"acestep_lora_target", targets[k], NULL };
		const char *const part[] = { SMALL, LYRICS, AVERAGE, ROLLED, "mixed_precision", "bf16", "optimizer", "adamw_bf16",
			"acestep_lora_target", targets[k], "max_train_steps", "3", NULL };
		double loss[64];
		snprintf(whole, sizeof whole, "%s", runs_at(k ? "whole-linear" : "whole"));
		snprintf(parts, sizeof parts, "%s", runs_at(k ? "parts-linear" : "parts"));
		runs_must(whole, pair);
		runs_must(parts, part);
		runs_must(parts, pair);
		runs_same_run(whole, parts, 6);
		runs_same_file(whole, parts, "ema/" ADAPTER_FILE);
		assert_int_equal(runs_metric(whole, "train_loss", loss), 6);
		for (int i = 1; i <= 6; i++)
			assert_true(loss[i] > 0 && loss[i] < 100);
	}
}

/* The state of the optimizer in the host's memory, and gradients too: the same kernels and bits, stopped and not, by all rules. */
static void
states_may_be_beyond_the_bus(void **state)
{
	static const char *const rules[] = { "torch-adamw", "torch-sgd", "torch-adafactor", "adamw_bf16", "optimi-stableadamw",
		"optimi-lion", "ao-adamw8bit", "adamw_schedulefree", "prodigy" };
	char here[600], there[600];

	(void)state;
	for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
		const char *rate = strcmp(rules[k], "prodigy") == 0 ? "1" : "1e-3", *type = k % 2 ? "bf16" : "no";
		const char *grads = k % 3 == 0 ? "true" : "false";
		snprintf(here, sizeof here, "%s-%s", runs_at("here"), rules[k]);
		snprintf(there, sizeof there, "%s-%s", runs_at("there"), rules[k]);
		runs_must(here, PAIRS("optimizer", rules[k], CUDA, "mixed_precision", type, "learning_rate", rate, "model_type", "full"));
		runs_must(there, PAIRS("optimizer", rules[k], CUDA, "mixed_precision", type, "learning_rate", rate, "model_type", "full",
		                       "optimizer_cpu_offload_method", "torchao", "optimizer_offload_gradients", grads,
		                       "max_train_steps", "3"));
		runs_must(there, PAIRS("optimizer", rules[k], CUDA, "mixed_precision", type, "learning_rate", rate, "model_type", "full",
		                       "optimizer_cpu_offload_method", "torchao", "optimizer_offload_gradients", grads));
		runs_same_numbers(here, there, 6);
		runs_same_file(here, there, "ace_step_transformer/diffusion_pytorch_model.safetensors");
	}
	runs_must(runs_at("far-lyrics"), PAIRS(LYRICS, AVERAGE, CUDA, "learning_rate", "1e-3", "optimizer_cpu_offload_method", "torchao"));
	runs_must(runs_at("near-lyrics"), PAIRS(LYRICS, AVERAGE, CUDA, "learning_rate", "1e-3"));
	runs_same_run(runs_at("far-lyrics"), runs_at("near-lyrics"), 6);
	runs_same_file(runs_at("far-lyrics"), runs_at("near-lyrics"), "ema/" ADAPTER_FILE);
}

/* A whole run in fp16 on the preset small: within 0.25 % of fp32's losses, and gone on with to the bit, as the loss scale is kept. */
static void
fp16_follows_fp32_and_goes_on(void **state)
{
	double x[64], y[64], worst = 0;

	(void)state;
	small();
	const char *const full[] = { SMALL, "mixed_precision", "no", NULL };
	const char *const half[] = { SMALL, "mixed_precision", "fp16", NULL };
	const char *const part[] = { SMALL, "mixed_precision", "fp16", "max_train_steps", "3", NULL };
	runs_must(runs_at("fp32"), full);
	runs_must(runs_at("fp16"), half);
	runs_must(runs_at("fp16-parts"), part);
	runs_must(runs_at("fp16-parts"), half);
	runs_same_run(runs_at("fp16"), runs_at("fp16-parts"), 6);
	runs_same_file(runs_at("fp16"), runs_at("fp16-parts"), ADAPTER_FILE);
	assert_int_equal(runs_metric(runs_at("fp32"), "train_loss", x), 6);
	assert_int_equal(runs_metric(runs_at("fp16"), "train_loss", y), 6);
	for (int k = 1; k <= 6; k++)
		worst = fmax(worst, fabs(y[k] - x[k]) / x[k]);
	print_message("# losses in fp16 beside fp32: %.3g\n", worst);
	assert_true(worst > 0 && worst <= 0.0025);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_that_of_the_cpu),
		cmocka_unit_test(an_average_may_be_on_either_side),
		cmocka_unit_test(all_of_it_goes_on_to_the_bit_in_bf16),
		cmocka_unit_test(fp16_follows_fp32_and_goes_on),
		cmocka_unit_test(states_may_be_beyond_the_bus),
	};

	if (!golden_set("transformer-tiny")) {
		puts("1..0 # SKIP transformer-tiny is not here");
		return 0;
	}
	return test_without_cuda() ? 0 : cmocka_run_group_tests(tests, runs_prepare, runs_tidy);
}
