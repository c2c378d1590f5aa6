/* SPDX-License-Identifier: Apache-2.0 */
/* vae_cache_disable: songs encoded while training give the very run that a latent store gives. */
#include "base/file.h"
#include "jobs/preprocess.h"
#include "jobs/runs.h"
#include "jobs/train.h"
#include "preprocess_bench.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 5 };

static struct bench b;
static char place[4][500];

/* DIR/name; four at a time */
static const char *
at(const char *name)
{
	static int i;
	char *to = place[i++ % 4];

	snprintf(to, sizeof place[0], "%s/%s", b.dir, name);
	return to;
}

static int
enter(void **state)
{
	(void)state;
	bench_open(&b, "tiny");
	bench_song(&b, "a.wav", 1, 0.4, "slow jazz", "[verse]\nrain on the roof\n");
	bench_song(&b, "b.wav", 2, 3.1, "fast rock\nloud guitars", NULL);
	bench_song(&b, "c.wav", 3, 3.2, "slow jazz", "hold on");
	bench_song(&b, "d.wav", 4, 6.2, "solo piano", NULL);
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

static void
settle(struct settings *s, const char *program, const char *cache, const char *out, const char *const *pair)
{
	const char *const base[] = { "pretrained_model_name_or_path", b.model, "dataset", b.songs, "cache_dir", cache, "output_dir", out,
		"mixed_precision", "no", "optimizer", "torch-adamw", "learning_rate", "1e-2", "lora_rank", "4", "threads", "2",
		"train_batch_size", "2", "max_train_steps", "5", NULL };

	assert_ok(settings_init(s, program_named(program)));
	for (int i = 0; base[i]; i += 2)
		assert_ok(settings_set(s, base[i], base[i + 1], "command line"));
	for (int i = 0; pair && pair[i]; i += 2)
		assert_ok(settings_set(s, pair[i], pair[i + 1], "command line"));
}

static enum status
prepare(const char *cache, const char *const *pair)
{
	struct settings s;
	enum status st;

	settle(&s, "ace-preprocess", cache, at("none"), pair);
	st = preprocess_settings(&s, NULL);
	settings_free(&s);
	return st;
}

static enum status
train(const char *cache, const char *out, const char *const *pair)
{
	struct settings s;
	enum status st;

	settle(&s, "ace-train", cache, out, pair);
	st = train_run(&s, NULL);
	settings_free(&s);
	return st;
}

/* A run over a store and one without, with these options beside. */
static void
same_with(const char *const *stored, const char *const *encoded)
{
	assert_ok(prepare(at("cache"), stored));
	assert_ok(train(at("cache"), at("a"), stored));
	assert_ok(prepare(at("cache2"), encoded));
	assert_false(file_exists(at("cache2/vae")));
	assert_ok(train(at("cache2"), at("b"), encoded));
	assert_false(file_exists(at("cache2/vae")));
	runs_same_run(at("a"), at("b"), STEPS);
}

static void
every_loss_and_the_adapters_are_those_of_a_run_over_a_store(void **state)
{
	(void)state;
	same_with(NULL, PAIRS("vae_cache_disable", "true"));
}

static void
so_they_are_with_full_precision_and_windows_drawn_at_random(void **state)
{
	(void)state;
	same_with(PAIRS("latent_dtype", "f32", "audio_truncation_mode", "random"),
	          PAIRS("latent_dtype", "f32", "audio_truncation_mode", "random", "vae_cache_disable", "true"));
}

/* From nothing: the same run as over stores that ace-preprocess has filled, and the stores are there for the next one. */
static void
what_is_missing_is_made_before_the_first_step(void **state)
{
	const char *const ondemand[] = { "vae_cache_ondemand", "true", "text_cache_ondemand", "true", NULL };

	(void)state;
	assert_ok(prepare(at("cache"), NULL));
	assert_ok(train(at("cache"), at("a"), NULL));
	assert_int_equal(train(at("made"), at("n"), NULL), ACE_ENOINPUT);
	assert_ok(train(at("made"), at("b"), ondemand));
	runs_same_run(at("a"), at("b"), STEPS);
	assert_ok(train(at("made"), at("c"), NULL));
	runs_same_run(at("a"), at("c"), STEPS);
	/* captions alone, where songs have no store */
	assert_ok(train(at("words"), at("d"), PAIRS("vae_cache_disable", "true", "text_cache_ondemand", "true")));
	runs_same_run(at("a"), at("d"), STEPS);
	assert_false(file_exists(at("words/vae")));
}

static void
captions_that_are_not_kept_give_the_same_run(void **state)
{
	const char *const none[] = { "text_cache_disable", "true", NULL };

	(void)state;
	assert_ok(prepare(at("cache"), NULL));
	assert_ok(train(at("cache"), at("a"), NULL));
	assert_ok(prepare(at("cache2"), none));
	assert_true(file_exists(at("cache2/vae")));
	assert_false(file_exists(at("cache2/text")));
	assert_ok(prepare(at("cache2"), PAIRS("text_cache_disable", "true", "merge", "true")));
	assert_ok(train(at("cache2"), at("b"), none));
	runs_same_run(at("a"), at("b"), STEPS);
	assert_false(file_exists(at("b/texts.part")));
	assert_false(file_exists(at("cache2/text")));
	/* a look makes them too, and leaves nothing */
	assert_ok(train(at("cache2"), at("c"), PAIRS("text_cache_disable", "true", "check", "true")));
	assert_false(file_exists(at("c")));
	/* neither songs nor captions are kept; what a killed run has left is in nobody's way */
	assert_ok(file_mkdirs(at("d/texts.part/text")));
	assert_ok(train(at("cache3"), at("d"), PAIRS("text_cache_disable", "true", "vae_cache_disable", "true")));
	runs_same_run(at("a"), at("d"), STEPS);
	assert_false(file_exists(at("cache3")));
	assert_false(file_exists(at("d/texts.part")));
}

static void
without_prepared_captions_it_says_what_adds_them(void **state)
{
	(void)state;
	assert_int_equal(train(at("empty"), at("c"), PAIRS("vae_cache_disable", "true")), ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), "ace-preprocess"));
}

static void
songs_that_cannot_be_used_count_as_they_do_in_preparation(void **state)
{
	double loss[64];

	(void)state;
	bench_write(&b, "bad.wav", "no sound at all", 15);
	bench_write(&b, "bad.txt", "noise", 5);
	assert_ok(prepare(at("cache"), PAIRS("vae_cache_disable", "true", "max_bad", "1")));
	assert_int_equal(train(at("cache"), at("d"), PAIRS("vae_cache_disable", "true", "max_bad", "0")), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "max_bad"));
	assert_ok(train(at("cache"), at("e"), PAIRS("vae_cache_disable", "true", "max_bad", "1")));
	assert_int_equal(runs_metric(at("e"), "train_loss", loss), STEPS);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		T(every_loss_and_the_adapters_are_those_of_a_run_over_a_store),
		T(so_they_are_with_full_precision_and_windows_drawn_at_random),
		T(what_is_missing_is_made_before_the_first_step),
		T(captions_that_are_not_kept_give_the_same_run),
		T(without_prepared_captions_it_says_what_adds_them),
		T(songs_that_cannot_be_used_count_as_they_do_in_preparation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
