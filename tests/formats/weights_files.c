/* SPDX-License-Identifier: Apache-2.0 */
/* Where the tensors of a part are looked for: one file, or shards that an index names */
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "formats/weights.h"
#include "num/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[300];
static float numbers[64];
static const char index_name[] = "diffusion_pytorch_model.safetensors.index.json";

/* A path in the test's folder; of a ring of 8. */
static const char *
at(const char *name)
{
	static char ring[8][400];
	static int i;

	i = (i + 1) % 8;
	snprintf(ring[i], sizeof ring[i], "%s/%s", dir, name);
	return ring[i];
}

static int
start(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	for (int i = 0; i < 64; i++)
		numbers[i] = (float)i / 3;
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	return file_remove_tree(dir) == ACE_OK ? 0 : 1;
}

/* NAME with tensors first ... last of the model, which are called t0, t1, ... and have 1, 2, ... numbers. */
static void
put_shard(const char *name, int first, int last)
{
	struct st_item item[8];
	char names[8][4];

	for (int i = first; i <= last; i++) {
		snprintf(names[i], sizeof names[i], "t%d", i);
		item[i - first] =
			(struct st_item){ names[i], tensor_of(numbers + i, F32, 1, i + 1) };
	}
	assert_ok(st_write(at(name), item, last - first + 1, NULL, 0));
}

static void
put_text(const char *name, const char *text)
{
	assert_ok(file_write(at(name), text, strlen(text)));
}

/* The index in place of whatever is there, and what opening the folder says. */
static enum status
open_with(const char *index)
{
	struct weights w;
	enum status st;

	put_text(index_name, index);
	st = weights_open(&w, dir);
	if (st == ACE_OK)
		weights_close(&w);
	else
		assert_true(!w.file && !w.path && w.n == 0);
	return st;
}

static void
shards_are_one_model(void **state)
{
	static const char *const wholes[] = { "diffusion_pytorch_model.safetensors",
					      "model.safetensors", "of another name" };
	struct weights w;
	char whole[65], sharded[65];

	(void)state;
	for (int i = 0; i < 3; i++) {
		put_shard(wholes[i], 0, 4);
		assert_ok(weights_open(&w, i < 2 ? dir : at(wholes[i])));
		assert_int_equal(w.n, 1);
		assert_ok(weights_hash(&w, whole));
		weights_close(&w);
		assert_int_equal(unlink(at(wholes[i])), 0);
	}
	put_shard("one.safetensors", 3, 4);
	put_shard("two.safetensors", 0, 2);
	put_text(
		index_name,
		"{\"metadata\":{\"total_size\":60},\"weight_map\":{\"t4\":\"one.safetensors\",\"t0\":\"two.safetensors\","
		"\"t3\":\"one.safetensors\",\"t1\":\"two.safetensors\",\"t2\":\"two.safetensors\"}}");
	assert_ok(weights_open(&w, dir));
	assert_int_equal(w.n, 2);
	assert_ok(weights_hash(&w, sharded));
	assert_string_equal(whole, sharded);
	for (int i = 0; i < 5; i++) {
		struct tensor x;
		char name[4];
		snprintf(name, sizeof name, "t%d", i);
		assert_ok(weights_get(&w, name, F32, 1, (const int64_t[TENSOR_RANK]){ i + 1 }, &x));
		assert_memory_equal(x.data, numbers + i, (size_t)(i + 1) * sizeof *numbers);
	}
	weights_close(&w);
	assert_int_equal(unlink(at("one.safetensors")), 0);
	assert_int_equal(unlink(at("two.safetensors")), 0);
	assert_int_equal(unlink(at(index_name)), 0);
}

static void
what_is_asked_for_must_be_there_in_shape_and_type(void **state)
{
	int32_t whole[3] = { 1, 2, 3 };
	struct st_item item[2] = { { "w", tensor_of(numbers, F32, 2, 3, 4) },
				   { "i", tensor_of(whole, I32, 1, 3) } };
	struct weights w;
	struct tensor x;

	(void)state;
	assert_ok(st_write(at("model.safetensors"), item, 2, NULL, 0));
	assert_ok(weights_open(&w, dir));
	assert_int_equal(weights_get(&w, "v", F32, 2, (const int64_t[TENSOR_RANK]){ 3, 4 }, &x),
			 ACE_EDATA);
	assert_non_null(strstr(ace_message(), "tensor v is missing"));
	assert_int_equal(weights_get(&w, "w", F32, 2, (const int64_t[TENSOR_RANK]){ 4, 3 }, &x),
			 ACE_EDATA);
	assert_non_null(strstr(ace_message(), "tensor w has shape [3, 4], wanted [4, 3]"));
	assert_int_equal(weights_get(&w, "w", F32, 1, (const int64_t[TENSOR_RANK]){ 12 }, &x),
			 ACE_EDATA);
	assert_int_equal(weights_get(&w, "w", F32, 3, (const int64_t[TENSOR_RANK]){ 3, 4, 1 }, &x),
			 ACE_EDATA);
	assert_int_equal(weights_get(&w, "i", F32, 1, (const int64_t[TENSOR_RANK]){ 3 }, &x),
			 ACE_EDATA);
	assert_non_null(strstr(ace_message(), "tensor i is I32"));
	assert_ok(weights_get(&w, "w", F32, -1, NULL, &x));
	assert_int_equal(x.rank, 2);
	weights_close(&w);
	assert_int_equal(unlink(at("model.safetensors")), 0);
}

static void
an_index_stays_in_its_folder(void **state)
{
	static const char *const outside[] = { "../secret.safetensors",
					       "/etc/hostname",
					       "sub/one.safetensors",
					       ".hidden",
					       "..",
					       ".",
					       "",
					       "./one.safetensors" };

	(void)state;
	put_shard("one.safetensors", 0, 1);
	put_shard(".hidden", 0, 1);
	assert_int_equal(mkdir(at("sub"), 0755), 0);
	put_shard("sub/one.safetensors", 0, 1);
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
		char text[200];
		snprintf(text, sizeof text,
			 "{\"weight_map\":{\"t0\":\"one.safetensors\",\"t1\":\"%s\"}}", outside[i]);
		assert_int_equal(open_with(text), ACE_EDATA);
		assert_non_null(strstr(ace_message(), "is not a plain file name"));
	}
	assert_ok(file_remove_tree(at("sub")));
	assert_int_equal(unlink(at(".hidden")), 0);
}

static void
an_index_that_does_not_hold_is_refused(void **state)
{
	static const struct {
		const char *index, *words;
		enum status st;
	} bad[] = {
		{ "", "not valid JSON", ACE_EDATA },
		{ "[]", "no object weight_map", ACE_EDATA },
		{ "{}", "no object weight_map", ACE_EDATA },
		{ "{\"weight_map\":[\"one.safetensors\"]}", "no object weight_map", ACE_EDATA },
		{ "{\"weight_map\":{\"t0\":1}}", "weight_map of t0 is not a file name", ACE_EDATA },
		{ "{\"weight_map\":{\"t0\":\"one.safetensors\"", "not valid JSON", ACE_EDATA },
		{ "{\"weight_map\":{\"t0\":\"one.safetensors\",\"t0\":\"two.safetensors\"}}",
		  "twice", ACE_EDATA },
		{ "{\"weight_map\":{\"t0\":\"one.safetensors\",\"t2\":\"one.safetensors\"}}",
		  "tensor t2 is not in one.safetensors", ACE_EDATA },
		{ "{\"weight_map\":{\"t2\":\"two.safetensors\",\"t0\":\"two.safetensors\"}}",
		  "tensor t0 is not in two.safetensors", ACE_EDATA },
		{ "{\"weight_map\":{\"t0\":\"one.safetensors\",\"t1\":\"two.safetensors\"}}",
		  "tensor t1 is in", ACE_EDATA },
		{ "{\"weight_map\":{\"t0\":\"one.safetensors\",\"t2\":\"three.safetensors\"}}",
		  "three.safetensors: no such file", ACE_ENOINPUT },
		{ "{\"weight_map\":{\"t0\":\"one.safetensors\",\"t2\":\"broken.safetensors\"}}",
		  "broken.safetensors: ", ACE_EDATA },
	};

	(void)state;
	put_shard("one.safetensors", 0, 1);
	put_shard("two.safetensors", 1, 2);
	put_text("broken.safetensors", "not really");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(open_with(bad[i].index), bad[i].st);
		if (!strstr(ace_message(), bad[i].words))
			fail_msg("%s: \"%s\", wanted \"%s\"", bad[i].index, ace_message(),
				 bad[i].words);
	}
	assert_ok(open_with("{\"weight_map\":{\"t0\":\"one.safetensors\"}}"));
}

static void
a_folder_without_weights_is_a_missing_input(void **state)
{
	struct weights w;

	(void)state;
	assert_int_equal(unlink(at(index_name)), 0);
	assert_int_equal(weights_open(&w, dir), ACE_ENOINPUT);
	assert_non_null(
		strstr(ace_message(),
		       "no diffusion_pytorch_model.safetensors, model.safetensors or index"));
	assert_int_equal(weights_open(&w, at("none")), ACE_ENOINPUT);
	assert_int_equal(weights_open(&w, at("broken.safetensors")), ACE_EDATA);
}

static void
no_index_does_harm(void **state)
{
	static const char valid[] =
		"{\"metadata\":{\"total_size\":12},\"weight_map\":{\"t0\":\"one.safetensors\",\"t2\":\"two.safetensors\"}}";
	static const char alphabet[] = "{}[],:\"./\\0twoe.s";
	int rounds = test_rounds("ACE_FUZZ", 1000), read = 0;

	(void)state;
	put_shard("two.safetensors", 2, 2);
	for (int i = 0; i < rounds; i++) {
		struct rng r = rng_stream(2, RNG_TEST, 8, (uint64_t)i);
		char text[sizeof valid];
		struct weights w;
		FILE *f;
		strcpy(text, valid);
		for (uint64_t k = 0; k < 1 + rng_below(r, 0, 3); k++)
			text[rng_below(r, 10 + 2 * k, sizeof valid - 1)] =
				alphabet[rng_below(r, 11 + 2 * k, sizeof alphabet - 1)];
		unlink(at(index_name));
		f = fopen(at(index_name), "w");
		assert_non_null(f);
		assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
		enum status st = weights_open(&w, dir);
		if (st == ACE_OK) {
			for (int k = 0; k < w.n; k++)
				assert_true(strncmp(w.file[k].path, dir, strlen(dir)) == 0 &&
					    !strchr(w.file[k].path + strlen(dir) + 1, '/'));
			weights_close(&w);
			read++;
		} else {
			assert_true(st == ACE_EDATA || st == ACE_ENOINPUT);
		}
	}
	print_message("# %d mutated indices: %d read\n", rounds, read);
	assert_true(read > 0 && read < rounds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shards_are_one_model),
		cmocka_unit_test(what_is_asked_for_must_be_there_in_shape_and_type),
		cmocka_unit_test(an_index_stays_in_its_folder),
		cmocka_unit_test(an_index_that_does_not_hold_is_refused),
		cmocka_unit_test(a_folder_without_weights_is_a_missing_input),
		cmocka_unit_test(no_index_does_harm),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
