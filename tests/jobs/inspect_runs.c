/* SPDX-License-Identifier: Apache-2.0 */
/* ace-inspect on checkpoints, runs, configurations and lyrics, and what it says when there is nothing to show. */
#include "base/file.h"
#include "look.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A checkpoint with the fixture's adapter in it. */
static void
save(const char *dir, int64_t step, const char *suffix)
{
	struct checkpoint_training t = { .global_step = step, .epoch_step = step, .epoch = 1 };
	struct checkpoint_writer *w;
	struct checkpoint_save *s;
	char *data;
	size_t size;

	assert_ok(file_read(golden_path("transformer-tiny", "lora/pytorch_lora_weights.safetensors"), 1 << 24,
	                    &data, &size));
	assert_ok(checkpoint_writer_open(&w, dir, false));
	assert_ok(checkpoint_begin(&s, step, suffix));
	assert_ok(checkpoint_add_bytes(s, ADAPTER_FILE, data, size));
	assert_ok(checkpoint_add_bytes(s, CHECKPOINT_STATE, "{}\n", 3));
	assert_ok(checkpoint_add_training(s, &t));
	assert_ok(checkpoint_add_fact(s, "model_type", "lora"));
	assert_ok(checkpoint_commit(w, s, NULL));
	assert_ok(checkpoint_writer_close(w));
	free(data);
}

static void
a_checkpoint_shows_its_files_whole_or_damaged(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/checkpoint-20", dir), *slash = file_path("%s/", path),
	     *verify = file_path("--verify %s", path);
	char *adapter = file_path("%s/%s", path, ADAPTER_FILE), *data;
	size_t size;
	cJSON *o;

	(void)state;
	save(dir, 20, NULL);
	o = look_json(ACE_OK, slash);
	assert_string_equal(look_word(o, "kind"), "checkpoint");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "whole")));
	assert_true(look_number(o, "global_step") == 20);
	assert_true(look_number(o, "epoch") == 1);
	assert_string_equal(look_word(o, "model_type"), "lora");
	assert_non_null(strstr(look_word(o, "adapter"), "rank 4, 31 modules"));
	assert_int_equal(look_rows(o, "files"), 3);
	assert_string_equal(look_word(look_row(o, "files", "name", ADAPTER_FILE), "state"), "whole");
	cJSON_Delete(o);

	assert_ok(file_read(adapter, 1 << 24, &data, &size));	/* a byte of a weight: only the digest tells */
	data[size - 3] ^= 1;
	assert_ok(file_write(adapter, data, size));
	o = look_json(ACE_OK, path);
	cJSON_Delete(o);
	o = look_json(ACE_EDATA, verify);
	assert_non_null(strstr(ace_message(), ADAPTER_FILE));
	assert_string_equal(look_word(look_row(o, "files", "name", ADAPTER_FILE), "state"), "changed (SHA-256)");
	cJSON_Delete(o);

	assert_int_equal(truncate(adapter, (off_t)size - 100), 0);
	o = look_json(ACE_EDATA, path);
	assert_non_null(strstr(ace_message(), ADAPTER_FILE));
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(o, "whole")));
	assert_true(look_number(look_row(o, "files", "name", ADAPTER_FILE), "found") == (double)size - 100);
	assert_string_equal(look_word(look_row(o, "files", "name", ADAPTER_FILE), "state"), "too short");
	assert_string_equal(look_word(look_row(o, "files", "name", CHECKPOINT_STATE), "state"), "whole");
	cJSON_Delete(o);

	assert_int_equal(unlink(adapter), 0);
	o = look_json(ACE_EDATA, path);
	assert_string_equal(look_word(look_row(o, "files", "name", ADAPTER_FILE), "state"), "missing");
	cJSON_Delete(o);
	free(data);
	free(path);
	free(slash);
	free(verify);
	free(adapter);
	assert_ok(file_remove_tree(dir));
}

static void
a_run_shows_its_checkpoints_and_how_far_it_came(void **state)
{
	const char *dir = golden_tmp();
	char *metrics = file_path("%s/my-logs/%s", dir, METRICS_FILE), *guard = file_path("%s/checkpoint-30/.guard", dir);
	char *effective = file_path("%s/effective.json", dir);
	static const char settings[] =
	    "{\"_effective\": {\"from\": {\"seed\": \"command line\", \"lora_rank\": \"default\"}}, "
	    "\"seed\": 7, \"lora_rank\": 16, \"logging_dir\": \"my-logs\"}";
	struct metrics m;
	cJSON *o;

	(void)state;
	save(dir, 10, NULL);
	save(dir, 20, "rolling");
	save(dir, 30, NULL);
	assert_ok(metrics_open(&m, metrics, 0));
	for (int i = 1; i <= 33; i++) {
		struct metric v[] = { { "train_loss", 100. - i }, { "learning_rate", 1e-4 } };
		assert_ok(metrics_put(&m, i, v, 2, i == 33 ? "save" : NULL));
	}
	metrics_close(&m);
	assert_ok(file_write(effective, settings, sizeof settings - 1));
	assert_int_equal(unlink(guard), 0);
	o = look_json(ACE_OK, dir);
	assert_string_equal(look_word(o, "kind"), "run");
	assert_true(look_number(o, "latest") == 20);
	assert_true(look_number(o, "step") == 33);
	assert_true(look_number(o, "train_loss") == 67);
	assert_int_equal(look_rows(o, "checkpoints"), 3);
	assert_string_equal(look_word(look_row(o, "checkpoints", "name", "checkpoint-10"), "state"), "whole");
	assert_string_equal(look_word(look_row(o, "checkpoints", "name", "checkpoint-20-rolling"), "state"), "whole");
	assert_string_equal(look_word(look_row(o, "checkpoints", "name", "checkpoint-30"), "state"), "damaged");
	assert_int_equal(look_rows(o, "settings"), 1);
	assert_string_equal(look_word(look_row(o, "settings", "option", "seed"), "value"), "7");
	assert_string_equal(look_word(look_row(o, "last", "key", "event"), "value"), "save");
	cJSON_Delete(o);
	o = look_json(ACE_OK, effective);	/* means its folder */
	assert_string_equal(look_word(o, "kind"), "run");
	cJSON_Delete(o);
	o = look_json(ACE_OK, metrics);
	assert_true(look_number(o, "step") == 33);
	assert_true(fabs(look_number(o, "train_loss_mean") - 83) < 1e-9);
	cJSON_Delete(o);
	free(metrics);
	free(guard);
	free(effective);
	assert_ok(file_remove_tree(dir));
}

static void
a_configuration_shows_what_it_says(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/config.json", dir), *text;
	static const char good[] =
	    "{\"lora_rank\": 8, \"learning_rate\": 5e-5, \"data_backend_config\": \"/nonexistent/list.json\"}";
	static const char bad[] = "{\"lora_rnk\": 8}";
	cJSON *o;

	(void)state;
	assert_ok(file_write(path, good, sizeof good - 1));
	o = look_json(ACE_OK, path);
	assert_string_equal(look_word(o, "kind"), "configuration");
	assert_int_equal(look_rows(o, "settings"), 3);
	assert_string_equal(look_word(look_row(o, "settings", "option", "lora_rank"), "value"), "8");
	assert_int_equal(look_notes(o, "/nonexistent/list.json"), 1);
	cJSON_Delete(o);
	o = look_json(ACE_OK, dir);
	assert_string_equal(look_word(o, "kind"), "configuration");
	cJSON_Delete(o);
	assert_ok(file_write(path, bad, sizeof bad - 1));
	assert_int_equal(look_text(path, &text), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "lora_rnk"));
	free(text);
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
lyrics_are_shown_as_the_model_reads_them(void **state)
{
	const char *vocab = golden_data("lyric_vocab.json"), *dir = golden_tmp();
	char *path = file_path("%s/song.lyrics", dir), *line, *text;
	cJSON *o;

	(void)state;
	assert_ok(file_write(path, "[verse]\nsing a song\n", 20));
	line = file_path("model=%s %s", dir, path);
	assert_int_equal(look_text(line, &text), ACE_ENOINPUT);	/* no vocabulary in that folder */
	assert_non_null(strstr(ace_message(), "lyric_vocab"));
	free(line);
	free(text);
	if (vocab) {
		line = file_path("lyric_vocab=%s %s", vocab, path);
		o = look_json(ACE_OK, line);
		assert_string_equal(look_word(o, "kind"), "lyrics");
		assert_true(look_number(o, "lines") == 2);
		cJSON_Delete(o);
		free(line);
	}
	free(path);
	assert_ok(file_remove_tree(dir));
	if (!vocab)
		skip();
}

/* What the line says when it fails. */
static void
fails(enum status want, const char *line, const char *word)
{
	enum status st;
	char *text;

	st = look_text(line, &text);
	if (st != want || !strstr(ace_message(), word))
		fail_msg("%s: status %d (wanted %d): %s", line, st, want, ace_message());
	free(text);
}

static void
what_cannot_be_shown_is_said_in_one_line(void **state)
{
	const char *dir = golden_tmp();
	char *song = file_path("%s/a.mp3", dir), *odd = file_path("%s/a.xyz", dir),
	     *bad = file_path("%s/a.safetensors", dir);
	char *number = file_path("%s/a.json", dir), *two = file_path("%s/nothing %s", dir, odd), *text;

	(void)state;
	assert_ok(file_write(song, "x", 1));
	assert_ok(file_write(odd, "x", 1));
	assert_ok(file_write(bad, "x", 1));
	assert_ok(file_write(number, "17", 2));
	fails(ACE_ENOINPUT, "/nonexistent/thing", "/nonexistent/thing: no such file");
	fails(ACE_EDATA, song, "ace-preprocess");
	fails(ACE_EDATA, odd, "a.xyz");
	fails(ACE_EDATA, bad, "a.safetensors");
	fails(ACE_EDATA, number, "a.json");
	fails(ACE_EUSAGE, "", "nothing to look at");
	fails(ACE_EUSAGE, "--system a b", "one folder");
	fails(ACE_ENOINPUT, two, "a.xyz");	/* the code of the first, the words of the last */
	free(two);
	two = file_path("%s/nothing %s", dir, golden_path("transformer-tiny", "batch.safetensors"));
	assert_int_equal(look_text(two, &text), ACE_ENOINPUT);
	assert_non_null(strstr(text, "safetensors, "));	/* the second is shown all the same */
	free(text);
	free(two);
	free(song);
	free(odd);
	free(bad);
	free(number);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checkpoint_shows_its_files_whole_or_damaged),
		cmocka_unit_test(a_run_shows_its_checkpoints_and_how_far_it_came),
		cmocka_unit_test(a_configuration_shows_what_it_says),
		cmocka_unit_test(lyrics_are_shown_as_the_model_reads_them),
		cmocka_unit_test(what_cannot_be_shown_is_said_in_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
