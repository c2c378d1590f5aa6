/* SPDX-License-Identifier: Apache-2.0 */
/* Killed at any moment, nothing that was reported as saved is lost, and nothing half written counts. ACE_KILLS: how many
 * times (5). */
#include "train/checkpoint_run.h"

#include "base/file.h"
#include "num/rng.h"
#include "support/golden.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT = 3 };

/* Save step after step, from the one after the latest (each third life: the latest again), and report each. */
static void
live(const char *dir, int64_t step, int report)
{
	const struct checkpoint_rule rule = { .limit = LIMIT };
	struct checkpoint_writer *w;
	struct checkpoint_report r;
	struct run run;
	bool done;

	run_open(&run);
	run_adapters(&run);
	run_optim(&run);
	if (checkpoint_writer_open(&w, dir, true) != ACE_OK)
		_exit(1);
	for (;; step++) {
		run_fill(&run, (uint64_t)step);
		if (checkpoint_commit(w, run_save(&run, step), &rule) != ACE_OK || checkpoint_poll(w, &done, &r) != ACE_OK)
			_exit(1);
		if (done && write(report, &r.step, sizeof r.step) != sizeof r.step)
			_exit(1);
	}
}

/* The latest is whole, to the last bit, and no older than what was reported; so is every other. */
static int64_t
check(const char *dir, int64_t reported)
{
	struct dirent *e;
	struct checkpoint_name n;
	struct checkpoint c;
	struct run b;
	int64_t step;
	char *latest;
	int whole = 0;
	DIR *d = opendir(dir);

	assert_non_null(d);
	while ((e = readdir(d))) {
		char *path = file_path("%s/%s", dir, e->d_name);
		if (checkpoint_parse(e->d_name, &n) && !n.temporary) {
			assert_ok(checkpoint_verify(path, true));
			whole++;
		}
		free(path);
	}
	closedir(d);
	assert_ok(checkpoint_latest(dir, false, &latest));
	if (!latest) {
		assert_int_equal(reported, -1);
		assert_int_equal(whole, 0);
		return -1;
	}
	assert_true(whole > 0);
	assert_ok(checkpoint_open(&c, latest, false));
	step = c.global_step;
	assert_true(step >= reported);
	run_open(&b);
	assert_ok(checkpoint_make_adapters(&c, &b.ps, 0.f, NULL));
	run_optim(&b);
	assert_ok(checkpoint_restore_optim(&c, run_groups, &b.o));
	run_is(&b, (uint64_t)step);
	run_close(&b);
	checkpoint_close(&c);
	free(latest);
	return step;
}

/* A save that is let live removes all that the killed ones left. */
static void
save_in_peace(const char *dir, int64_t step)
{
	const struct checkpoint_rule rule = { .limit = LIMIT };
	struct checkpoint_writer *w;
	struct dirent *e;
	struct run run;
	int n = 0;
	DIR *d;

	run_open(&run);
	run_adapters(&run);
	run_optim(&run);
	run_fill(&run, (uint64_t)step);
	assert_ok(checkpoint_writer_open(&w, dir, true));
	assert_ok(checkpoint_commit(w, run_save(&run, step), &rule));
	assert_ok(checkpoint_writer_close(w));
	run_close(&run);
	d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	assert_in_range(n, 1, LIMIT);
}

static void
nothing_reported_is_lost_by_a_kill(void **state)
{
	const char *text = getenv("ACE_KILLS"), *dir = golden_tmp();
	uint64_t kills = text && *text ? strtoull(text, NULL, 10) : 5;
	struct rng rng = rng_stream(3, RNG_TEST, 0, 0);
	int64_t at = -1, reported = -1;

	(void)state;
	for (uint64_t i = 0; i < kills; i++) {
		int64_t step, start = i % 3 == 2 && at >= 0 ? at : at + 1;
		int report[2], status;
		pid_t child;
		assert_int_equal(pipe(report), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(report[0]);
			live(dir, start, report[1]);
		}
		close(report[1]);
		while (i == 0 && reported < 0)		/* the first lives until something is saved, however busy the machine */
			assert_int_equal(read(report[0], &reported, sizeof reported), sizeof reported);
		usleep((useconds_t)(2000 + rng_below(rng, i, 150000)));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (read(report[0], &step, sizeof step) == sizeof step)
			reported = step > reported ? step : reported;
		close(report[0]);
		at = check(dir, reported);
	}
	assert_true(at >= 0);
	save_in_peace(dir, at + 1);
	assert_int_equal(check(dir, at + 1), at + 1);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_reported_is_lost_by_a_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
