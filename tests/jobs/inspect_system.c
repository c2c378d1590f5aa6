/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test.h"

#include "base/file.h"
#include "base/json.h"
#include "jobs/inspect_system.h"
#include "support/golden.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct finding *
of(const struct findings *f, const char *what)
{
	for (int i = 0; i < f->n; i++)
		if (strcmp(f->v[i].what, what) == 0)
			return &f->v[i];
	fail_msg("%s is not looked at", what);
	return NULL;
}

static void
every_finding_that_is_not_fine_says_what_to_do(void **state)
{
	struct findings f;

	(void)state;
	inspect_system_look(&f, ".");
	assert_true(f.n > 15 && f.n < FINDINGS_MOST);
	for (int i = 0; i < f.n; i++) {
		assert_true(*f.v[i].found);
		if (f.v[i].state != FINDING_OK && !*f.v[i].advice)
			fail_msg("%s: %s, and no advice", f.v[i].what, f.v[i].found);
	}
}

static void
libraries_and_codecs_are_named(void **state)
{
	static const char *const names[] = { "HDF5", "OpenBLAS", "libsndfile", "FFmpeg", "ICU", "cJSON", "codecs", "memory", "threads",
					     "processor", "open files", "stack", "locked memory", "output", "writing", "locking" };
	struct findings f;

	(void)state;
	inspect_system_look(&f, ".");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)of(&f, names[i]);
	assert_non_null(strstr(of(&f, "codecs")->found, "wav"));
	assert_non_null(strstr(of(&f, "codecs")->found, "flac"));
}

static void
a_folder_that_is_not_made_yet_is_judged_by_its_parent_and_left_alone(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a/b", dir);
	struct findings f;
	struct dirent *e;
	DIR *d;

	(void)state;
	inspect_system_look(&f, path);
	assert_int_not_equal(of(&f, "writing")->state, FINDING_FAIL);	/* a busy disk is a warning */
	assert_false(file_exists(path));
	d = opendir(dir);
	while ((e = readdir(d)))
		assert_true(strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
	closedir(d);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
a_folder_that_cannot_be_written_to_fails(void **state)
{
	struct findings f;
	FILE *null = fopen("/dev/null", "w");

	(void)state;
	inspect_system_look(&f, "/proc");
	assert_int_equal(of(&f, "writing")->state, FINDING_FAIL);
	assert_int_equal(inspect_system(null, "/proc", false), ACE_EDEVICE);
	fclose(null);
}

static void
few_open_files_are_a_warning(void **state)
{
	struct rlimit was, low;
	struct findings f;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	low = was;
	low.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	inspect_system_look(&f, ".");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(of(&f, "open files")->state, FINDING_WARN);
	assert_string_equal(of(&f, "open files")->found, "100");
}

static void
more_threads_than_the_mask_has_are_a_warning(void **state)
{
	const char *was = getenv("OMP_NUM_THREADS");
	char *kept = was ? strdup(was) : NULL;
	struct findings f;

	(void)state;
	setenv("OMP_NUM_THREADS", "99999", 1);
	inspect_system_look(&f, ".");
	assert_int_equal(of(&f, "threads")->state, FINDING_WARN);
	if (kept)
		setenv("OMP_NUM_THREADS", kept, 1);
	else
		unsetenv("OMP_NUM_THREADS");
	free(kept);
}

static void
the_json_form_says_the_same(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct findings f;
	cJSON *root;

	(void)state;
	assert_ok(inspect_system(out, ".", true));
	fclose(out);
	inspect_system_look(&f, ".");
	assert_ok(json_parse(text, size, "report", &root));
	assert_int_equal(cJSON_GetArraySize(root), f.n);
	for (int i = 0; i < f.n; i++)
		assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(root, i), "what")), f.v[i].what);
	cJSON_Delete(root);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_finding_that_is_not_fine_says_what_to_do),
		cmocka_unit_test(libraries_and_codecs_are_named),
		cmocka_unit_test(a_folder_that_is_not_made_yet_is_judged_by_its_parent_and_left_alone),
		cmocka_unit_test(a_folder_that_cannot_be_written_to_fails),
		cmocka_unit_test(few_open_files_are_a_warning),
		cmocka_unit_test(more_threads_than_the_mask_has_are_a_warning),
		cmocka_unit_test(the_json_form_says_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
