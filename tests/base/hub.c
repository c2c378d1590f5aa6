/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test.h"

#include "base/file.h"
#include "base/hub.h"
#include "support/golden.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[300];

static void
ref(const char *name, const char *commit)
{
	char *path = file_path("%s/models--a--b/refs/%s", dir, name);

	assert_ok(file_write(path, commit, strlen(commit)));
	free(path);
}

static int
enter(void **state)
{
	char *path;

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	assert_int_equal(chdir(dir), 0);	/* names are tried as folders first: nothing but ours is beside us */
	setenv("HF_HUB_CACHE", dir, 1);
	path = file_path("%s/models--a--b/snapshots/c0ffee", dir);
	assert_ok(file_mkdirs(path));
	free(path);
	path = file_path("%s/models--a--b/refs", dir);
	assert_ok(file_mkdirs(path));
	free(path);
	ref("main", "c0ffee\n");
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	unsetenv("HF_HUB_CACHE");
	return file_remove_tree(dir) != ACE_OK;
}

static void
finds(const char *name, const char *revision)
{
	char *folder, want[400];

	snprintf(want, sizeof want, "%s/models--a--b/snapshots/c0ffee", dir);
	assert_ok(hub_model(name, revision, &folder));
	assert_string_equal(folder, want);
	free(folder);
}

static void
misses(const char *name, const char *revision)
{
	char *folder;

	assert_int_equal(hub_model(name, revision, &folder), ACE_ENOINPUT);
	assert_null(folder);
	assert_non_null(strstr(ace_message(), name));
}

static void
a_folder_is_itself(void **state)
{
	char *folder;

	(void)state;
	assert_ok(hub_model(dir, NULL, &folder));
	assert_string_equal(folder, dir);
	free(folder);
}

static void
a_hub_name_finds_the_snapshot_of_its_revision(void **state)
{
	(void)state;
	finds("a/b", NULL);
	finds("a/b", "main");
	finds("a/b", "c0ffee");
}

static void
what_is_not_there_is_missing_input(void **state)
{
	(void)state;
	misses("a/c", NULL);
	misses("a/b", "other");
	misses("nothing", NULL);
	misses("/no/such/folder", NULL);
	misses("a/b/c", NULL);
}

static void
a_reference_cannot_lead_out_of_the_cache(void **state)
{
	(void)state;
	ref("main", "../../..");
	misses("a/b", NULL);
	misses("a/b", "../refs");
	misses("../no-such-folder", NULL);
}

static void
the_cache_is_where_the_hub_keeps_it(void **state)
{
	char *cache;

	(void)state;
	unsetenv("HF_HUB_CACHE");
	setenv("HF_HOME", "/x", 1);
	cache = hub_cache();
	assert_string_equal(cache, "/x/hub");
	free(cache);
	unsetenv("HF_HOME");
	setenv("XDG_CACHE_HOME", "/y", 1);
	cache = hub_cache();
	assert_string_equal(cache, "/y/huggingface/hub");
	free(cache);
	unsetenv("XDG_CACHE_HOME");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		T(a_folder_is_itself),
		T(a_hub_name_finds_the_snapshot_of_its_revision),
		T(what_is_not_there_is_missing_input),
		T(a_reference_cannot_lead_out_of_the_cache),
		T(the_cache_is_where_the_hub_keeps_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
