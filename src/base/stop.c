/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static volatile sig_atomic_t asked, save_asked, signal_number, leave_at_once;

/* The deadline passed, or a second request came: nothing is half-written that was not so before. */
static void
leave(int number)
{
	_exit(128 + number);
}

static void
on_signal(int number)
{
	if (number == SIGALRM)
		leave(signal_number);
	if (number == SIGUSR2) {
		save_asked = 1;
		return;
	}
	if (number != SIGUSR1 && (leave_at_once || asked == 2))
		leave(number);
	signal_number = number;
	asked = number == SIGUSR1 ? (asked ? asked : 1) : 2;
}

static int grace_seconds;

static void
on_end(int number)
{
	bool first = asked != 2;

	on_signal(number);
	if (first)
		alarm((unsigned)grace_seconds);
}

static void
handle(int number, void (*to)(int))
{
	struct sigaction a = { .sa_handler = to, .sa_flags = SA_RESTART };

	sigemptyset(&a.sa_mask);
	sigaction(number, &a, NULL);
}

static bool listening;

void
stop_listen(void)
{
	handle(SIGUSR1, on_signal);
	handle(SIGUSR2, on_signal);
	listening = true;
}

void
stop_setup(int grace)
{
	if (!listening)			/* else what was asked for since stays */
		asked = save_asked = signal_number = 0;
	listening = false;
	leave_at_once = grace <= 0;
	grace_seconds = grace;
	handle(SIGUSR1, on_signal);
	handle(SIGUSR2, on_signal);
	handle(SIGALRM, on_signal);
	handle(SIGTERM, on_end);
	handle(SIGINT, on_end);
	handle(SIGPIPE, SIG_IGN);
	if (getenv("SLURM_JOB_ID") || getenv("PBS_JOBID") || getenv("LSB_JOBID"))
		handle(SIGHUP, SIG_IGN);
}

bool
stop_asked(void)
{
	return asked != 0;
}

bool
stop_save_asked(void)
{
	bool was = save_asked != 0;

	save_asked = 0;
	return was;
}

const char *
stop_signal(void)
{
	switch (signal_number) {
	case SIGUSR1: return "SIGUSR1";
	case SIGTERM: return "SIGTERM";
	case SIGINT: return "SIGINT";
	}
	return "";
}

void
stop_now(void)
{
	if (!asked)
		asked = 1;
}
