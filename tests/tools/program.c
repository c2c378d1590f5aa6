/* SPDX-License-Identifier: Apache-2.0 */
/* The main that all programs share: exit codes, what goes to which stream. */
#include "support/test.h"

#include "base/file.h"
#include "support/golden.h"
#include "tools/program.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char out_text[1 << 16], err_text[1 << 16];

static enum status
good(struct settings *s)
{
	printf("seed %d\n", (int)settings_i64(s, "seed"));
	return ACE_OK;
}

static enum status
bad_data(struct settings *s)
{
	(void)s;
	return ace_fail(ACE_EDATA, "songs/a.wav: 3 s declared, 0 bytes found");
}

static enum status
stopped(struct settings *s)
{
	(void)s;
	return ACE_ESTOPPED;
}

static enum status
bug(struct settings *s)
{
	(void)s;
	return ace_fail(ACE_EBUG, "this cannot be");
}

static void
slurp(const char *path, char *text, size_t size)
{
	char *data;
	size_t n;

	assert_ok(file_read(path, size - 1, &data, &n));
	memcpy(text, data, n + 1);
	free(data);
}

/* Run ace-train's main with these words in a child; its exit code. What it wrote is in out_text and err_text. */
static int
run(enum status (*job)(struct settings *), const char *line)
{
	const char *dir = golden_tmp();
	char text[500], *rest = text, *word, name[] = "ace-train", *arg[32] = { name };
	char *out = file_path("%s/out", dir), *err = file_path("%s/err", dir);
	int n = 1, status;
	pid_t child;

	snprintf(text, sizeof text, "%s", line);
	while ((word = strsep(&rest, " ")))
		if (*word)
			arg[n++] = word;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (!freopen(out, "w", stdout) || !freopen(err, "w", stderr) || chdir(dir) != 0)
			_exit(99);
		_exit(program_main("ace-train", job, n, arg));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	slurp(out, out_text, sizeof out_text);
	slurp(err, err_text, sizeof err_text);
	free(out);
	free(err);
	assert_ok(file_remove_tree(dir));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
a_job_that_ends_well_gives_0(void **state)
{
	(void)state;
	assert_int_equal(run(good, "seed=7"), 0);
	assert_string_equal(out_text, "seed 7\n");
	assert_string_equal(err_text, "");
}

static void
a_failure_is_one_line_and_its_code(void **state)
{
	(void)state;
	assert_int_equal(run(bad_data, ""), 65);
	assert_string_equal(err_text, "ace-train: songs/a.wav: 3 s declared, 0 bytes found\n");
	assert_string_equal(out_text, "");
}

static void
wrong_use_is_64_and_points_to_help(void **state)
{
	(void)state;
	assert_int_equal(run(good, "--lora_rnk=3"), 64);
	assert_string_equal(err_text, "ace-train: unknown option \"lora_rnk\"; did you mean \"lora_rank\"?\nTry 'ace-train --help'.\n");
}

static void
stopping_on_request_is_75_and_says_nothing_more(void **state)
{
	(void)state;
	assert_int_equal(run(stopped, ""), 75);
	assert_string_equal(err_text, "");
}

static void
a_mistake_of_the_program_says_where_it_is(void **state)
{
	(void)state;
	assert_int_equal(run(bug, ""), 70);
	assert_non_null(strstr(err_text, "found at"));
	assert_non_null(strstr(err_text, "program.c:"));
}

static void
help_goes_to_the_standard_output_whatever_else_is_there(void **state)
{
	(void)state;
	assert_int_equal(run(bad_data, "env=nowhere --help"), 0);
	assert_non_null(strstr(out_text, "usage: ace-train env=NAME [key=value ...]"));
	assert_string_equal(err_text, "");
	assert_int_equal(run(bad_data, "-h"), 0);
}

static void
version_names_the_libraries(void **state)
{
	static const char *const names[] = { ("ace-train (ace-toolchain) " PACKAGE_VERSION), "commit ", "built with: ", "HDF5", "OpenBLAS",
					     "libsndfile", "FFmpeg", "ICU", "cJSON" };
	(void)state;
	assert_int_equal(run(bad_data, "--version"), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strstr(out_text, names[i]))
			fail_msg("no %s in %s", names[i], out_text);
}

static void
print_config_prints_and_does_not_run(void **state)
{
	(void)state;
	assert_int_equal(run(bad_data, "--print-config seed=7"), 0);
	assert_non_null(strstr(out_text, "\nseed = 7  # command line\n"));
	assert_non_null(strstr(out_text, "\nlora_rank = 16  # default\n"));
	assert_string_equal(err_text, "");
}

static void
notices_are_said_unless_quiet(void **state)
{
	(void)state;
	assert_int_equal(run(good, "resolution=512"), 0);
	assert_string_equal(err_text, "accepted without effect: resolution\n");
	assert_int_equal(run(good, "resolution=512 --quiet"), 0);
	assert_string_equal(err_text, "");
	assert_int_equal(run(good, "resolution=512 --log-level=warn"), 0);
	assert_string_equal(err_text, "");
}

static void
colour_is_there_when_it_is_asked_for(void **state)
{
	(void)state;
	assert_int_equal(run(bad_data, "color=always"), 65);
	assert_string_equal(err_text, "\033[31mace-train: \033[0msongs/a.wav: 3 s declared, 0 bytes found\n");
}

static void
a_log_file_gets_every_line(void **state)
{
	char *path = file_path("%s/log", golden_tmp()), line[400], *data;
	size_t n;

	(void)state;
	snprintf(line, sizeof line, "log_file=%s color=always", path);
	assert_int_equal(run(bad_data, line), 65);
	assert_ok(file_read(path, 1000, &data, &n));
	assert_string_equal(data, "ace-train: songs/a.wav: 3 s declared, 0 bytes found\n");
	free(data);
	unlink(path);
	free(path);
	assert_int_equal(run(good, "log_file=/nowhere/x"), 73);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_that_ends_well_gives_0),
		cmocka_unit_test(a_failure_is_one_line_and_its_code),
		cmocka_unit_test(wrong_use_is_64_and_points_to_help),
		cmocka_unit_test(stopping_on_request_is_75_and_says_nothing_more),
		cmocka_unit_test(a_mistake_of_the_program_says_where_it_is),
		cmocka_unit_test(help_goes_to_the_standard_output_whatever_else_is_there),
		cmocka_unit_test(version_names_the_libraries),
		cmocka_unit_test(print_config_prints_and_does_not_run),
		cmocka_unit_test(notices_are_said_unless_quiet),
		cmocka_unit_test(colour_is_there_when_it_is_asked_for),
		cmocka_unit_test(a_log_file_gets_every_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
