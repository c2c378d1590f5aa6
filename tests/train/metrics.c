/* SPDX-License-Identifier: Apache-2.0 */
#include "train/metrics.h"

#include "base/file.h"
#include "base/json.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The lines of a file, parsed; a torn one fails. */
static int
read_lines(const char *path, cJSON **line, int cap)
{
	char *data, *p, *end;
	size_t size;
	int n = 0;

	assert_ok(file_read(path, 1 << 24, &data, &size));
	for (p = data; p < data + size; p = end + 1) {
		end = strchr(p, '\n');
		assert_true(end && n < cap);
		assert_ok(json_parse(p, (size_t)(end - p), path, &line[n++]));
	}
	free(data);
	return n;
}

static void
drop(cJSON **line, int n)
{
	for (int i = 0; i < n; i++)
		cJSON_Delete(line[i]);
}

static void
a_line_holds_what_was_put(void **state)
{
	const struct metric m[] = { { "train_loss", 0.1 }, { "learning_rate", 1e-4 }, { "ssl/m-hubert", 3 } };
	const char *dir = golden_tmp();
	char *path = file_path("%s/logs/%s", dir, METRICS_FILE), key[40];
	static const char *const begin[] = { "schema", "time", "step" };
	struct metrics f;
	cJSON *line[8];
	int n;

	(void)state;
	assert_ok(metrics_open(&f, path, -1));
	assert_ok(metrics_put(&f, 1, m, 3, NULL));
	assert_ok(metrics_put(&f, 2, m, 1, "save"));
	metrics_close(&f);
	n = read_lines(path, line, 8);
	assert_int_equal(n, 2);
	for (int i = 0; i < 3; i++)
		assert_string_equal(cJSON_GetArrayItem(line[0], i)->string, begin[i]);
	assert_int_equal(golden_number(line[0], "schema"), METRICS_SCHEMA);
	assert_int_equal(golden_number(line[0], "step"), 1);
	for (int i = 0; i < 3; i++)
		assert_true(golden_number(line[0], m[i].name) == m[i].value);
	assert_int_equal(cJSON_GetArraySize(line[0]), 6);
	assert_int_equal(sscanf(cJSON_GetObjectItem(line[0], "time")->valuestring, "%*d-%*d-%*dT%*d:%*d:%*d%39s", key), 1);
	assert_string_equal(key, "Z");
	assert_string_equal(cJSON_GetObjectItem(line[1], "event")->valuestring, "save");
	drop(line, n);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
what_is_not_finite_is_null_and_an_event(void **state)
{
	const struct metric m[] = { { "train_loss", NAN }, { "grad_norm", INFINITY }, { "learning_rate", 2 } };
	const char *dir = golden_tmp();
	char *path = file_path("%s/%s", dir, METRICS_FILE);
	struct metrics f;
	cJSON *line[8];
	int n;

	(void)state;
	assert_ok(metrics_open(&f, path, -1));
	assert_ok(metrics_put(&f, 1, m, 3, NULL));
	assert_ok(metrics_put(&f, 2, m, 3, "save"));
	assert_ok(metrics_put(&f, 3, m + 2, 1, NULL));
	metrics_close(&f);
	n = read_lines(path, line, 8);
	assert_int_equal(n, 3);
	for (int i = 0; i < 2; i++) {
		assert_true(cJSON_IsNull(cJSON_GetObjectItem(line[i], "train_loss")));
		assert_true(cJSON_IsNull(cJSON_GetObjectItem(line[i], "grad_norm")));
		assert_true(golden_number(line[i], "learning_rate") == 2);
		assert_string_equal(cJSON_GetObjectItem(line[i], "event")->valuestring, i ? "save nonfinite" : "nonfinite");
	}
	assert_null(cJSON_GetObjectItem(line[2], "event"));
	drop(line, n);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
put_steps(const char *path, int64_t after, int64_t from, int64_t to)
{
	struct metrics f;

	assert_ok(metrics_open(&f, path, after));
	for (int64_t s = from; s <= to; s++) {
		struct metric m = { "train_loss", (double)s };
		assert_ok(metrics_put(&f, s, &m, 1, NULL));
	}
	metrics_close(&f);
}

static void
steps_are(const char *path, int64_t from, int64_t to)
{
	cJSON *line[64];
	int n = read_lines(path, line, 64);

	assert_int_equal(n, to - from + 1);
	for (int i = 0; i < n; i++)
		assert_int_equal(golden_number(line[i], "step"), from + i);
	drop(line, n);
}

static void
no_step_counts_twice_after_going_on(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/%s", dir, METRICS_FILE), *data;
	size_t size;
	FILE *out;

	(void)state;
	put_steps(path, -1, 0, 20);
	put_steps(path, 12, 13, 15);
	steps_are(path, 0, 15);
	assert_ok(file_read(path, 1 << 20, &data, &size));
	assert_int_equal(truncate(path, (off_t)size - 5), 0);	/* a line torn by a kill */
	free(data);
	put_steps(path, 15, 15, 17);
	steps_are(path, 0, 17);
	put_steps(path, 17, 18, 18);
	steps_are(path, 0, 18);
	put_steps(path, -1, 1, 2);
	steps_are(path, 1, 2);
	out = fopen(path, "ab");			/* a line that is not ours stops nothing */
	assert_true(out && fputs("{\"note\": \"by hand\"}\n", out) >= 0 && fclose(out) == 0);
	put_steps(path, 2, 3, 3);
	assert_ok(file_read(path, 1 << 20, &data, &size));
	assert_non_null(strstr(data, "by hand"));
	assert_non_null(strstr(data, "\"step\":3,"));
	free(data);
	assert_ok(file_remove_tree(dir));
	free(path);
}

/* Writers that are killed leave at most half a line, which the next one cuts. */
static void
a_kill_loses_no_line(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/%s", dir, METRICS_FILE);
	int64_t next = 0;

	(void)state;
	for (uint64_t i = 0; i < 5; i++) {
		struct metric m = { "train_loss", 1 };
		struct metrics f;
		int report[2], status;
		int64_t step, told = -1;
		cJSON *line;
		char *data, *last;
		size_t size;
		pid_t child;
		assert_int_equal(pipe(report), 0);
		child = fork();
		if (child == 0) {
			if (metrics_open(&f, path, next - 1) != ACE_OK)
				_exit(1);
			for (int64_t s = next;; s++)
				if (metrics_put(&f, s, &m, 1, NULL) != ACE_OK || write(report[1], &s, sizeof s) != sizeof s)
					_exit(1);
		}
		close(report[1]);
		assert_int_equal(read(report[0], &step, sizeof step), sizeof step);	/* it has begun, however busy the machine */
		told = step;
		usleep((useconds_t)(2000 + rng_below(rng_stream(1, RNG_TEST, 0, 0), i, 10000)));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		while (read(report[0], &step, sizeof step) == sizeof step)
			told = step;
		close(report[0]);
		if (told >= 0) {
			put_steps(path, told, told + 1, told + 1);
			next = told + 2;
		}
		assert_ok(file_read(path, 1 << 28, &data, &size));
		for (last = data + size - 1; last > data && last[-1] != '\n'; last--)
			;
		assert_ok(json_parse(last, strlen(last), path, &line));
		assert_int_equal(golden_number(line, "step"), next - 1);
		cJSON_Delete(line);
		free(data);
	}
	assert_true(next > 5);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
a_line_that_does_not_fit_is_taken_back(void **state)
{
	const struct metric m = { "train_loss", 1.0 };
	const char *dir = golden_tmp();
	char *path = file_path("%s/%s", dir, METRICS_FILE);
	struct rlimit old, little;
	struct metrics f;
	enum status st;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_ok(metrics_open(&f, path, -1));
	assert_ok(metrics_put(&f, 0, &m, 1, NULL));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	little = old;
	little.rlim_cur = (rlim_t)file_size(path) + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	st = metrics_put(&f, 1, &m, 1, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(st, ACE_EIO);
	assert_ok(metrics_put(&f, 1, &m, 1, NULL));
	metrics_close(&f);
	steps_are(path, 0, 1);
	assert_int_equal(metrics_open(&f, dir, -1), ACE_ECREATE);
	assert_int_equal(metrics_open(&f, "/proc/nowhere/metrics.jsonl", -1), ACE_ECREATE);
	assert_ok(file_remove_tree(dir));
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_holds_what_was_put),
		cmocka_unit_test(what_is_not_finite_is_null_and_an_event),
		cmocka_unit_test(no_step_counts_twice_after_going_on),
		cmocka_unit_test(a_kill_loses_no_line),
		cmocka_unit_test(a_line_that_does_not_fit_is_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
