/* SPDX-License-Identifier: Apache-2.0 */
/* Which folders are checkpoints, which is the latest, which go: page training.md, section 12, fixture checkpoint-layout. */
#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET "checkpoint-layout"

static const cJSON *
get(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!v)
		fail_msg("listing.json: no %s", key);
	return v;
}

static bool
listed(const cJSON *list, const char *text)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, list)
		if (strcmp(e->valuestring, text) == 0)
			return true;
	return false;
}

static void
make_folder(const char *dir, const char *name, const char *file)
{
	char *path = file_path("%s/%s", dir, name), *inside = file_path("%s/%s", path, file ? file : "");

	assert_ok(file_mkdirs(path));
	if (file)
		assert_ok(file_write(inside, "complete\n", 9));
	free(path);
	free(inside);
}

static bool
is_there(const char *dir, const char *name)
{
	char *path = file_path("%s/%s", dir, name);
	bool there = file_is_dir(path);

	free(path);
	return there;
}

/* A whole one under that name, when it is one that a save can have; else a folder with a guard. */
static void
make_whole(const char *dir, const char *name)
{
	struct checkpoint_name n;
	struct checkpoint_writer *w;
	struct checkpoint_save *s;

	if (!checkpoint_parse(name, &n) || n.temporary) {
		make_folder(dir, name, CHECKPOINT_GUARD);
		return;
	}
	assert_ok(checkpoint_writer_open(&w, dir, false));
	assert_ok(checkpoint_begin(&s, n.step, n.suffix[0] ? n.suffix : NULL));
	assert_ok(checkpoint_add_bytes(s, CHECKPOINT_STATE, "{}", 2));
	assert_ok(checkpoint_commit(w, s, NULL));
	assert_ok(checkpoint_writer_close(w));
	assert_true(is_there(dir, name));
}

static void
latest_is(const char *dir, const cJSON *want)
{
	char *path;

	assert_ok(checkpoint_latest(dir, false, &path));
	if (cJSON_IsNull(want)) {
		assert_null(path);
		return;
	}
	assert_non_null(path);
	assert_string_equal(strrchr(path, '/') + 1, want->valuestring);
	free(path);
}

static void
the_latest_is_the_largest_number_that_is_whole(void **state)
{
	cJSON *all = golden_json(SET, "listing.json");
	const cJSON *v, *e;

	(void)state;
	cJSON_ArrayForEach(v, get(all, "vectors")) {
		const char *dir = golden_tmp();
		cJSON_ArrayForEach(e, get(v, "entries"))
			make_whole(dir, e->valuestring);
		latest_is(dir, get(v, "latest"));
		assert_ok(file_remove_tree(dir));
		dir = golden_tmp();
		cJSON_ArrayForEach(e, get(v, "entries"))
			if (listed(get(v, "with_guard_file"), e->valuestring))
				make_whole(dir, e->valuestring);
			else
				make_folder(dir, e->valuestring, NULL);
		latest_is(dir, get(v, "latest_complete"));
		assert_ok(file_remove_tree(dir));
	}
	cJSON_Delete(all);
}

static void
the_oldest_of_the_class_go(void **state)
{
	cJSON *all = golden_json(SET, "listing.json");
	const cJSON *v, *r, *e;
	int tried = 0;

	(void)state;
	cJSON_ArrayForEach(v, get(all, "vectors"))
		cJSON_ArrayForEach(r, get(v, "rotate")) {
			const struct checkpoint_rule rule = { .limit = get(r, "limit")->valueint };
			const char *dir = golden_tmp();
			int removed;
			cJSON_ArrayForEach(e, get(v, "entries"))
				make_folder(dir, e->valuestring, CHECKPOINT_STATE);
			assert_ok(checkpoint_rotate(dir, get(r, "suffix")->valuestring, &rule, NULL, &removed));
			assert_int_equal(removed, cJSON_GetArraySize(get(r, "removed")));
			cJSON_ArrayForEach(e, get(r, "kept"))
				assert_true(is_there(dir, e->valuestring));
			cJSON_ArrayForEach(e, get(v, "entries")) {
				bool gone = listed(get(r, "removed"), e->valuestring) ||
				            listed(get(r, "removed_temporary"), e->valuestring);
				if (is_there(dir, e->valuestring) == gone)
					fail_msg("limit %d, suffix \"%s\": %s is %s", rule.limit, get(r, "suffix")->valuestring,
					         e->valuestring, gone ? "there" : "gone");
				tried++;
			}
			assert_ok(file_remove_tree(dir));
		}
	assert_true(tried > 0);
	cJSON_Delete(all);
}

static void
names_are_read_strictly(void **state)
{
	static const struct {
		const char *name, *suffix;
		int64_t step;
		bool ok, temporary;
	} t[] = {
		{ "checkpoint-500", "", 500, true, false },
		{ "checkpoint-0", "", 0, true, false },
		{ "checkpoint-90-rolling", "rolling", 90, true, false },
		{ "checkpoint-5-tmp", "", 5, true, true },
		{ "checkpoint-5-rolling-tmp", "rolling", 5, true, true },
		{ "checkpoint-5-best-of_2", "best-of_2", 5, true, false },
		{ "checkpoint", "", 0, false, false },
		{ "checkpoint-", "", 0, false, false },
		{ "checkpoint-x", "", 0, false, false },
		{ "checkpoint-0100b", "", 0, false, false },
		{ "checkpoint-1-", "", 0, false, false },
		{ "checkpoint-1-a b", "", 0, false, false },
		{ "checkpoint--1", "", 0, false, false },
		{ "checkpoint-1234567890123456", "", 0, false, false },
		{ "checkpoint-1-12345678901234567890123456789012", "", 0, false, false },
		{ "xcheckpoint-1", "", 0, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct checkpoint_name n;
		if (checkpoint_parse(t[i].name, &n) != t[i].ok)
			fail_msg("%s: %s", t[i].name, t[i].ok ? "not read" : "read");
		if (!t[i].ok)
			continue;
		assert_int_equal(n.step, t[i].step);
		assert_int_equal(n.temporary, t[i].temporary);
		assert_string_equal(n.suffix, t[i].suffix);
	}
}

static void
kept_ones_protected_ones_and_newer_ones_stay(void **state)
{
	const struct checkpoint_rule rule = { .limit = 1, .keep_every = 100, .protect = "checkpoint-30" };
	const char *dir = golden_tmp();
	char *link = file_path("%s/checkpoint-11", dir);

	(void)state;
	make_folder(dir, "checkpoint-10", NULL);
	make_folder(dir, "checkpoint-20", "optimizer.bin");	/* of another program */
	make_folder(dir, "checkpoint-30", NULL);
	make_folder(dir, "checkpoint-40", NULL);
	make_folder(dir, "checkpoint-50", NULL);
	make_folder(dir, "checkpoint-60", NULL);
	make_folder(dir, "checkpoint-100", NULL);
	make_folder(dir, "elsewhere", NULL);
	assert_int_equal(symlink("elsewhere", link), 0);
	assert_ok(checkpoint_rotate(dir, NULL, &rule, "checkpoint-50", NULL));
	assert_false(is_there(dir, "checkpoint-10"));
	assert_true(is_there(dir, "checkpoint-11"));
	assert_true(is_there(dir, "checkpoint-20"));
	assert_true(is_there(dir, "checkpoint-30"));
	assert_false(is_there(dir, "checkpoint-40"));
	assert_true(is_there(dir, "checkpoint-50"));
	assert_true(is_there(dir, "checkpoint-60"));
	assert_true(is_there(dir, "checkpoint-100"));
	assert_true(is_there(dir, "elsewhere"));
	assert_ok(file_remove_tree(dir));
	free(link);
}

static void
the_limit_0_keeps_all(void **state)
{
	const struct checkpoint_rule rule = { 0 };
	const char *dir = golden_tmp();

	(void)state;
	make_folder(dir, "checkpoint-1", NULL);
	make_folder(dir, "checkpoint-2", NULL);
	make_folder(dir, "checkpoint-3-tmp", NULL);
	assert_ok(checkpoint_rotate(dir, NULL, &rule, NULL, NULL));
	assert_true(is_there(dir, "checkpoint-1") && is_there(dir, "checkpoint-2"));
	assert_false(is_there(dir, "checkpoint-3-tmp"));
	assert_ok(file_remove_tree(dir));
}

static void
what_a_run_goes_on_from_is_found(void **state)
{
	const char *dir = golden_tmp();
	char *path, *whole = file_path("%s/checkpoint-7", dir);

	(void)state;
	make_whole(dir, "checkpoint-7");
	make_folder(dir, "checkpoint-8", NULL);
	assert_ok(checkpoint_find(dir, NULL, false, &path));
	assert_null(path);
	assert_ok(checkpoint_find(dir, "", false, &path));
	assert_null(path);
	assert_ok(checkpoint_find(dir, "latest", false, &path));
	assert_string_equal(path, whole);
	free(path);
	assert_true(is_there(dir, "checkpoint-8"));
	assert_ok(checkpoint_find(dir, "latest", true, &path));
	assert_string_equal(path, whole);
	free(path);
	assert_false(is_there(dir, "checkpoint-8"));
	assert_ok(checkpoint_find(dir, whole, false, &path));
	assert_string_equal(path, whole);
	free(path);
	assert_ok(checkpoint_find(dir, "checkpoint-7", false, &path));
	assert_string_equal(path, whole);
	free(path);
	assert_ok(checkpoint_find(dir, "/elsewhere/checkpoint-7", false, &path));
	assert_string_equal(path, whole);
	free(path);
	assert_int_equal(checkpoint_find(dir, "checkpoint-9", false, &path), ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), "checkpoint-9"));
	assert_null(path);
	assert_ok(checkpoint_find("/nonexistent/out", "latest", false, &path));
	assert_null(path);
	make_folder(dir, "checkpoint-9", "optimizer.bin");
	assert_int_equal(checkpoint_find(dir, "latest", false, &path), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "another program"));
	assert_ok(file_remove_tree(dir));
	free(whole);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_latest_is_the_largest_number_that_is_whole),
		cmocka_unit_test(the_oldest_of_the_class_go),
		cmocka_unit_test(names_are_read_strictly),
		cmocka_unit_test(kept_ones_protected_ones_and_newer_ones_stay),
		cmocka_unit_test(the_limit_0_keeps_all),
		cmocka_unit_test(what_a_run_goes_on_from_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
