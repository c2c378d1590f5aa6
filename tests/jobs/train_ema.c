/* SPDX-License-Identifier: Apache-2.0 */
/* The running average of what trains: its numbers, its files, and going on with it */
#include "jobs/runs.h"

#include "base/file.h"
#include "models/adapter.h"
#include "models/lyrics_file.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMA "use_ema", "true"

static const char adapters[] = CHECKPOINT_EMA "/" ADAPTER_FILE;

/* Gone on with from update 2, it is what it was: averages to the bit. */
static void
goes_on(const char *name, const char *file, const char *const *pair)
{
	char out[300], kept[320], from[340], to[340];

	snprintf(out, sizeof out, "%s", runs_at(name));
	snprintf(kept, sizeof kept, "%s-kept", out);
	runs_must(out, pair);
	assert_int_equal(rename(out, kept), 0);
	snprintf(from, sizeof from, "%s/checkpoint-2", kept);
	snprintf(to, sizeof to, "%s/checkpoint-2", out);
	assert_ok(file_mkdirs(out));
	assert_int_equal(rename(from, to), 0);
	runs_must(out, pair);
	runs_same_file(out, kept, "checkpoint-6/" CHECKPOINT_OPTIMIZER);
	runs_same_file(out, kept, "checkpoint-6/" CHECKPOINT_EMA_STATE);
	runs_same_file(out, kept, file);
	snprintf(from, sizeof from, "checkpoint-4/%s", file);
	runs_same_file(out, kept, from);
}

static void
an_average_is_gone_on_with_to_the_bit(void **state)
{
	static const char model[] = CHECKPOINT_EMA "/" CHECKPOINT_MODEL "/diffusion_pytorch_model.safetensors";

	(void)state;
	goes_on("plain", adapters, PAIRS(EMA, "lora_alpha", "6"));
	goes_on("seldom", adapters, PAIRS(EMA, "ema_update_interval", "2", "ema_warmup_steps", "3", "ema_decay", "0.7"));
	goes_on("averaged", adapters, PAIRS(EMA, "optimizer", "adamw_schedulefree"));
	goes_on("lyrics", CHECKPOINT_EMA "/" LYRICS_FILE, PAIRS(EMA, "lyrics_embedder_train", "true"));
	goes_on("full", model, PAIRS(EMA, "model_type", "full", "mixed_precision", "bf16", "optimizer", "adamw_bf16"));
}

static struct tensor
read(const char *out, int64_t step, const char *file, const char *name)
{
	char path[700];
	struct st_file f;
	struct tensor x;

	if (step < 0)
		snprintf(path, sizeof path, "%s/%s", out, file);
	else
		snprintf(path, sizeof path, "%s/checkpoint-%lld/%s", out, (long long)step, file);
	assert_ok(st_open(&f, path));
	x = golden_f32(&f, name);
	st_close(&f);
	return x;
}

/* From the values that each checkpoint holds: d = 0 at the first update, (1 + s) / (10 + s) then, at most ema_decay. */
static void
an_average_is_that_of_the_values_of_each_update(void **state)
{
	static const char module[] = "transformer_blocks.0.attn.to_q.lora_B.weight";
	const char *out = runs_at("each");
	char value[100], shadow[100];
	struct tensor want, have, folded;
	double decay[64];

	(void)state;
	runs_must(out, PAIRS(EMA, "checkpoint_step_interval", "1", "checkpoints_total_limit", "0", "ema_decay", "0.3", "lora_alpha",
	                     "8"));
	assert_int_equal(runs_metric(out, "ema_decay_value", decay), 6);
	snprintf(value, sizeof value, "main.%s.value", module);
	snprintf(shadow, sizeof shadow, "ema.%s.shadow", module);
	want = read(out, 1, CHECKPOINT_OPTIMIZER, value);
	for (int t = 1; t <= 6; t++) {
		double d = t == 1 ? 0 : fmin(0.3, (double)t / (9 + t));
		struct tensor now = read(out, t, CHECKPOINT_OPTIMIZER, value);
		assert_true(fabs(decay[t] - d) < 1e-12);
		for (int64_t i = 0; i < tensor_count(now); i++)
			((float *)want.data)[i] += (float)(1 - d) * (((float *)now.data)[i] - ((float *)want.data)[i]);
		free(now.data);
	}
	have = read(out, 6, CHECKPOINT_OPTIMIZER, shadow);
	golden_close("the average", have.data, want.data, tensor_count(want), 1e-6);
	folded = read(out, 6, adapters, module);		/* s = 8 / 4 */
	for (int64_t i = 0; i < tensor_count(want); i++)
		((float *)want.data)[i] *= 2;
	golden_close("the file", folded.data, want.data, tensor_count(want), 1e-6);
	runs_same_file(out, runs_at("each/checkpoint-6"), adapters);
	free(want.data);
	free(have.data);
	free(folded.data);
}

/* A run that begins to keep one begins at its present values; one that stops to is told. */
static void
an_average_may_begin_and_end_at_a_resumption(void **state)
{
	const char *out = runs_at("late");

	(void)state;
	runs_must(out, PAIRS("max_train_steps", "3"));
	assert_false(runs_there(out, adapters));
	runs_must(out, PAIRS(EMA));
	assert_true(runs_there(out, "checkpoint-6/ema/pytorch_lora_weights.safetensors") && runs_there(out, adapters));
	runs_must(out, PAIRS("max_train_steps", "7"));
	assert_false(runs_there(out, "checkpoint-7/" CHECKPOINT_EMA_STATE));
}

/* Without a rate the values stay, and the average goes towards them by the decay of update 7: (1 + 6) / (10 + 6). */
static void
an_average_begins_as_a_file_says(void **state)
{
	static const char module[] = "transformer_blocks.0.cross_attn.to_v.lora_B.weight";
	const char *out = runs_at("init");
	char from[600], average[700], other[600];
	struct tensor v, e, x;

	(void)state;
	snprintf(from, sizeof from, "%s", runs_at("plain"));
	snprintf(other, sizeof other, "%s", runs_at("other"));
	v = read(from, -1, ADAPTER_FILE, module);
	e = read(from, -1, adapters, module);
	snprintf(average, sizeof average, "%s/" CHECKPOINT_EMA, from);
	runs_must(out, PAIRS(EMA, "init_lora", from, "init_lora_ema", average, "max_train_steps", "7", "learning_rate", "0"));
	x = read(out, -1, adapters, module);
	for (int64_t i = 0; i < tensor_count(e); i++)
		((float *)e.data)[i] += (1 - 7.f / 16) * (((float *)v.data)[i] - ((float *)e.data)[i]);
	golden_close("the average", x.data, e.data, tensor_count(e), 1e-6);
	runs_fails(ACE_ECONFIG, "needs init_lora and use_ema", runs_at("refused"), PAIRS("init_lora", from, "init_lora_ema", average));
	runs_fails(ACE_ECONFIG, "needs init_lora and use_ema", runs_at("refused"), PAIRS(EMA, "init_lora_ema", average));
	runs_fails(ACE_ENOINPUT, "nowhere", runs_at("refused"),
	           PAIRS(EMA, "init_lora", from, "init_lora_ema", "nowhere", "max_train_steps", "7"));
	runs_must(other, PAIRS("lora_rank", "2", "max_train_steps", "2"));
	runs_fails(ACE_ECONFIG, "in this run", runs_at("refused"),
	           PAIRS(EMA, "init_lora", from, "init_lora_ema", other, "max_train_steps", "7"));
	free(v.data);
	free(e.data);
	free(x.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_average_is_gone_on_with_to_the_bit),
		cmocka_unit_test(an_average_is_that_of_the_values_of_each_update),
		cmocka_unit_test(an_average_may_begin_and_end_at_a_resumption),
		cmocka_unit_test(an_average_begins_as_a_file_says),
	};

	if (!golden_set("transformer-tiny")) {
		printf("1..0 # SKIP transformer-tiny\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, runs_prepare, runs_tidy);
}
