/* SPDX-License-Identifier: Apache-2.0 */
/* The lyrics embedder beside the adapters: its rate, its rule, its file, and going on with it */
#include "jobs/runs.h"

#include "base/file.h"
#include "models/adapter.h"
#include "models/lyrics_file.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAIN "lyrics_embedder_train", "true"

static const char states[] = "checkpoint-6/optimizer.safetensors";

static const char *
file_in(const char *out, const char *name)
{
	static char text[700];

	snprintf(text, sizeof text, "%s/%s", out, name);
	return text;
}

static struct st_file
file(const char *out)
{
	struct st_file f;

	assert_ok(st_open(&f, file_in(out, LYRICS_FILE)));
	return f;
}

/* How many of the file's tensors differ from the base model's. */
static int
changed(const char *out, int *all)
{
	struct st_file f = file(out);
	struct weights w;
	int n = 0;

	assert_ok(weights_open(&w, golden_path("transformer-tiny", "ace_step_transformer")));
	for (int i = 0; i < f.n; i++) {
		const struct st_entry *e = weights_find(&w, f.entry[i].name);
		assert_non_null(e);
		assert_true(tensor_same(e->value, f.entry[i].value));	/* F32 in both */
		n += memcmp(e->value.data, f.entry[i].value.data, tensor_bytes(e->value)) != 0;
	}
	*all = f.n;
	weights_close(&w);
	st_close(&f);
	return n;
}

/* Gone on with from update 2, it is what it was: weights and moments to the bit. */
static void
goes_on(const char *name, const char *const *pair)
{
	char out[300], kept[320], path[340];
	int n, all;

	snprintf(out, sizeof out, "%s", runs_at(name));
	snprintf(kept, sizeof kept, "%s-kept", out);
	runs_must(out, pair);
	assert_int_equal(rename(out, kept), 0);
	snprintf(path, sizeof path, "%s/checkpoint-2", kept);
	assert_ok(file_mkdirs(out));
	assert_int_equal(rename(path, file_in(out, "checkpoint-2")), 0);
	runs_must(out, pair);
	runs_same_file(out, kept, states);
	runs_same_file(out, kept, LYRICS_FILE);
	runs_same_file(out, kept, "checkpoint-6/" LYRICS_FILE);
	runs_same_file(out, kept, "checkpoint-4/" LYRICS_FILE);
	if (strcmp(pair[0], "model_type") == 0)
		return;
	runs_same_file(out, kept, ADAPTER_FILE);
	n = changed(out, &all);
	assert_true(all > 10);
	assert_int_equal(n, all);		/* every tensor of it has moved */
}

static void
it_trains_and_goes_on_to_the_bit_whatever_it_follows(void **state)
{
	(void)state;
	goes_on("shared", PAIRS(TRAIN));
	goes_on("rate", PAIRS(TRAIN, "lyrics_embedder_lr", "5e-3"));
	goes_on("rule", PAIRS(TRAIN, "lyrics_embedder_optimizer", "adamw_schedulefree", "lyrics_embedder_lr", "5e-3"));
	goes_on("both", PAIRS(TRAIN, "lyrics_embedder_optimizer", "ao-adamw8bit", "lyrics_embedder_lr_scheduler",
	                      "cosine_with_restarts", "lr_num_cycles", "2"));
	goes_on("averaged", PAIRS(TRAIN, "optimizer", "adamw_schedulefree", "lyrics_embedder_optimizer", "torch-adamw"));
	goes_on("half", PAIRS(TRAIN, "mixed_precision", "bf16", "optimizer", "adamw_bf16"));
	goes_on("quantized", PAIRS(TRAIN, "mixed_precision", "bf16", "base_model_precision", "int8-quanto"));
	goes_on("full", PAIRS("model_type", "full", TRAIN, "lyrics_embedder_lr", "1e-3"));
}

/* An optimiser of its own with the main one's rule, rate and schedule is the main one, to the bit: both are clipped together. */
static void
two_equal_optimisers_are_one(void **state)
{
	const char *a = runs_at("one"), *b = runs_at("two"), *c = runs_at("third");

	(void)state;
	runs_must(a, PAIRS(TRAIN, "max_grad_norm", "0.01"));
	runs_must(b, PAIRS(TRAIN, "max_grad_norm", "0.01", "lyrics_embedder_optimizer", "torch-adamw"));
	runs_must(c, PAIRS(TRAIN, "max_grad_norm", "0.01", "lyrics_embedder_lr", "1e-2"));
	runs_same_run(a, b, 6);
	runs_same_run(a, c, 6);
	runs_same_file(a, b, LYRICS_FILE);
	runs_same_file(a, c, LYRICS_FILE);
}

static void
its_rate_follows_its_own_schedule(void **state)
{
	struct schedule s = { .rate = 5e-3, .warmup = 1, .steps = 6, .cycles = 2, .power = 0.8, .end = 4e-7 };
	const char *out = runs_at("schedule");
	double main[64], own[64];

	(void)state;
	runs_must(out, PAIRS(TRAIN, "lyrics_embedder_lr", "5e-3", "lr_warmup_steps", "1", "lr_scheduler", "linear",
	                     "lyrics_embedder_lr_scheduler", "cosine_with_restarts", "lr_num_cycles", "2"));
	assert_int_equal(runs_metric(out, "learning_rate", main), 6);
	assert_int_equal(runs_metric(out, "lyrics_embedder_learning_rate", own), 6);
	assert_ok(schedule_named(&s, "cosine_with_restarts"));
	for (int k = 0; k < 6; k++)
		assert_true(own[k + 1] == schedule_rate(&s, k));
	assert_true(own[1] == 0 && own[2] == 5e-3 && own[5] > own[4]);	/* a restart */
	s.rate = 1e-2;
	assert_ok(schedule_named(&s, "linear"));
	for (int k = 0; k < 6; k++)
		assert_true(main[k + 1] == schedule_rate(&s, k));
}

static void
a_rate_of_zero_changes_nothing_in_it(void **state)
{
	const char *out = runs_at("still");
	int all;

	(void)state;
	runs_must(out, PAIRS(TRAIN, "lyrics_embedder_lr", "0"));
	assert_int_equal(changed(out, &all), 0);
	assert_true(all > 10);
}

static void
it_begins_as_what_lies_beside_init_lora(void **state)
{
	const char *from = runs_at("shared"), *out = runs_at("init"), *plain = runs_at("init-plain");

	(void)state;
	runs_must(out, PAIRS(TRAIN, "init_lora", from, "init_lora_step", "0", "lyrics_embedder_lr", "0"));
	runs_same_file(from, out, LYRICS_FILE);
	runs_must(plain, PAIRS("init_lora", from, "init_lora_step", "0"));	/* and is passed over when it does not train */
	assert_false(runs_there(plain, LYRICS_FILE));
}

static void
a_run_may_begin_to_train_it_but_not_forget_it(void **state)
{
	const char *out = runs_at("late"), *own = runs_at("late-own");
	int all;

	(void)state;
	runs_must(out, PAIRS("max_train_steps", "3"));
	assert_false(runs_there(out, "checkpoint-3/" LYRICS_FILE));
	runs_must(out, PAIRS(TRAIN, "lyrics_embedder_lr", "0"));
	assert_int_equal(changed(out, &all), 0);
	runs_must(out, PAIRS(TRAIN, "max_train_steps", "7"));
	assert_true(changed(out, &all) == all);
	runs_fails(ACE_ECONFIG, "lyrics_embedder_train=true", out, PAIRS("max_train_steps", "8"));
	runs_fails(ACE_ECONFIG, "lyrics_embedder_optimizer=torch-adamw", out,
	           PAIRS(TRAIN, "lyrics_embedder_optimizer", "optimi-lion", "max_train_steps", "8"));
	runs_must(own, PAIRS("max_train_steps", "3"));
	runs_must(own, PAIRS(TRAIN, "lyrics_embedder_optimizer", "optimi-lion", "lyrics_embedder_lr", "1e-4"));
	assert_true(changed(own, &all) == all);
}

static void
what_cannot_be_is_refused(void **state)
{
	const char *out = runs_at("refused");

	(void)state;
	runs_fails(ACE_ECONFIG, "lyrics_embedder_lr", out, PAIRS("lyrics_embedder_lr", "1e-3"));
	runs_fails(ACE_ECONFIG, "lyrics_embedder_optimizer", out, PAIRS("lyrics_embedder_optimizer", "torch-adamw"));
	runs_fails(ACE_ECONFIG, "lr_end", out,
	           PAIRS(TRAIN, "lyrics_embedder_lr_scheduler", "polynomial", "lyrics_embedder_lr", "1e-8"));
	assert_false(file_exists(out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_trains_and_goes_on_to_the_bit_whatever_it_follows),
		cmocka_unit_test(two_equal_optimisers_are_one),
		cmocka_unit_test(its_rate_follows_its_own_schedule),
		cmocka_unit_test(a_rate_of_zero_changes_nothing_in_it),
		cmocka_unit_test(it_begins_as_what_lies_beside_init_lora),
		cmocka_unit_test(a_run_may_begin_to_train_it_but_not_forget_it),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	if (!golden_set("transformer-tiny")) {
		printf("1..0 # SKIP transformer-tiny\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, runs_prepare, runs_tidy);
}
