/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: what each asks for. Each case runs in a child, since some of them end it. */
#include "support/test.h"

#include "base/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The exit status of a child that runs body: 1000 + signal when one killed it. */
static int
run(void (*body)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void
usr1(void)
{
	stop_setup(60);
	if (stop_asked())
		_exit(1);
	raise(SIGUSR1);
	_exit(stop_asked() && !stop_save_asked() && strcmp(stop_signal(), "SIGUSR1") == 0 ? 10 : 2);
}

/* What came before is asked for still; a second run of the same program begins anew. */
static void
early(void)
{
	stop_listen();
	raise(SIGUSR1);
	raise(SIGUSR2);
	stop_setup(60);
	if (!stop_asked() || !stop_save_asked())
		_exit(1);
	stop_setup(60);
	_exit(!stop_asked() ? 10 : 2);
}

static void
usr2(void)
{
	stop_setup(60);
	raise(SIGUSR2);
	_exit(!stop_asked() && stop_save_asked() && !stop_save_asked() ? 10 : 2);
}

static void
term(void)
{
	stop_setup(60);
	raise(SIGTERM);
	_exit(stop_asked() && strcmp(stop_signal(), "SIGTERM") == 0 ? 10 : 2);
}

static void
term_twice(void)
{
	stop_setup(60);
	raise(SIGTERM);
	raise(SIGTERM);
}

static void
int_then_term(void)
{
	stop_setup(60);
	raise(SIGINT);
	raise(SIGTERM);
}

static void
usr1_then_term(void)
{
	stop_setup(60);
	raise(SIGUSR1);
	raise(SIGTERM);
	_exit(stop_asked() ? 10 : 2);
}

static void
no_grace(void)
{
	stop_setup(0);
	raise(SIGTERM);
}

static void
grace_over(void)
{
	stop_setup(1);
	raise(SIGTERM);
	for (;;)
		pause();
}

static void
pipe_ignored(void)
{
	stop_setup(60);
	raise(SIGPIPE);
	_exit(10);
}

static void
hup_in_a_job(void)
{
	setenv("SLURM_JOB_ID", "1", 1);
	stop_setup(60);
	raise(SIGHUP);
	_exit(10);
}

static void
from_inside(void)
{
	stop_setup(60);
	stop_now();
	_exit(stop_asked() ? 10 : 2);
}

#define SENTENCE(name, body, want)                      \
	static void name(void **state)                  \
	{                                               \
		(void)state;                            \
		assert_int_equal(run(body), want);      \
	}
SENTENCE(usr1_asks_to_save_and_stop, usr1, 10)
SENTENCE(what_was_asked_for_at_the_start_is_not_forgotten, early, 10)
SENTENCE(usr2_asks_once_to_save_and_go_on, usr2, 10)
SENTENCE(term_asks_to_save_and_stop, term, 10)
SENTENCE(a_second_term_leaves_at_once, term_twice, 128 + SIGTERM)
SENTENCE(term_after_int_leaves_at_once, int_then_term, 128 + SIGTERM)
SENTENCE(term_after_usr1_still_waits_for_the_step, usr1_then_term, 10)
SENTENCE(without_grace_term_leaves_at_once, no_grace, 128 + SIGTERM)
SENTENCE(when_the_grace_is_over_the_program_leaves, grace_over, 128 + SIGTERM)
SENTENCE(pipe_is_ignored, pipe_ignored, 10)
SENTENCE(hup_is_ignored_in_a_batch_job, hup_in_a_job, 10)
SENTENCE(a_stop_can_be_asked_for_from_inside, from_inside, 10)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usr1_asks_to_save_and_stop),
		cmocka_unit_test(what_was_asked_for_at_the_start_is_not_forgotten),
		cmocka_unit_test(usr2_asks_once_to_save_and_go_on),
		cmocka_unit_test(term_asks_to_save_and_stop),
		cmocka_unit_test(a_second_term_leaves_at_once),
		cmocka_unit_test(term_after_int_leaves_at_once),
		cmocka_unit_test(term_after_usr1_still_waits_for_the_step),
		cmocka_unit_test(without_grace_term_leaves_at_once),
		cmocka_unit_test(when_the_grace_is_over_the_program_leaves),
		cmocka_unit_test(pipe_is_ignored),
		cmocka_unit_test(hup_is_ignored_in_a_batch_job),
		cmocka_unit_test(a_stop_can_be_asked_for_from_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
