/* SPDX-License-Identifier: Apache-2.0 */
/* What a run minds and starts around its checkpoints: the room that is left on the disk, and commands of the user. */
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/train_parts.h"

#include <ctype.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum status
train_size_of(const char *option, const char *text, double *bytes)
{
	static const char units[] = "KMGTP";
	const char *unit;
	char *end;

	*bytes = strtod(text, &end);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit)
		for (const char *p = units; p <= unit; p++)
			*bytes *= 1024;
	if (unit)
		end++;
	if (*end == 'i')
		end++;
	if (*end == 'B' || *end == 'b')
		end++;
	if (end == text || *end || !(*bytes >= 0) || *bytes > 1e18)
		return ace_fail(ACE_ECONFIG, "%s is %s; wanted a size like 50G (K, M, G, T: 1024 and its powers)", option, text);
	return ACE_OK;
}

static void
doze(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&t, NULL);
}

/* sh -c command; its output goes where this program's goes, stdout to stderr. */
static enum status
start(const char *what, const char *command, pid_t *pid)
{
	char *const argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	error = posix_spawn(pid, "/bin/sh", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error ? ace_fail(ACE_EIO, "%s=%s cannot be started: %s", what, command, strerror(error)) : ACE_OK;
}

/* Whether it has ended, which is then told when it went wrong. */
static bool
ended(const char *what, pid_t pid)
{
	int state = 0;
	pid_t got = waitpid(pid, &state, WNOHANG);

	if (got == 0 || (got < 0 && errno == EINTR))
		return false;
	if (got == pid && WIFEXITED(state) && WEXITSTATUS(state) != 0)
		msg_warn("%s ended with status %d", what, WEXITSTATUS(state));
	else if (got == pid && WIFSIGNALED(state))
		msg_warn("%s was ended by signal %d", what, WTERMSIG(state));
	return true;
}

static double
room_left(const struct train *t)
{
	return (double)file_free_bytes(t->j.out);
}

static bool
is_low(const struct train *t)
{
	double left = room_left(t);

	return t->j.disk_low > 0 && left >= 0 && left < t->j.disk_low;
}

/* disk_low_action=wait: until there is room, or the run is asked to stop. */
static void
wait_for_room(const struct train *t)
{
	char left[16], low[16];

	msg_warn("%s: %s are free, disk_low_threshold is %s: waiting for room", t->j.out, train_bytes(room_left(t), left),
	         train_bytes(t->j.disk_low, low));
	while (is_low(t) && !stop_asked())
		doze(1);
}

static void
ask_script(const struct train *t)
{
	static const char what[] = "disk_low_script";
	pid_t pid;

	if (start(what, t->j.disk_low_script, &pid) != ACE_OK) {
		msg_warn("%s", ace_message());
		return;
	}
	while (!ended(what, pid))
		doze(0.02);
}

enum status
train_mind_disk(struct train *t)
{
	char left[16], low[16];

	if (!t->first || !is_low(t))
		return ACE_OK;
	if (t->j.disk_low_action == DISK_WAIT)
		wait_for_room(t);
	if (t->j.disk_low_action == DISK_SCRIPT)
		ask_script(t);
	if (!is_low(t) || stop_asked())
		return ACE_OK;
	train_bytes(room_left(t), left);
	return ace_fail(ACE_EIO, "%s: %s are free, disk_low_threshold is %s: stopped at step %lld", t->j.out, left,
	                train_bytes(t->j.disk_low, low), (long long)t->step.updates);
}

/* text with every {name} replaced; owned by the caller, NULL when memory is out. */
static char *
replaced(char *text, const char *name, const char *by)
{
	for (char *at, *next; text && (at = strstr(text, name)); text = next) {
		next = file_path("%.*s%s%s", (int)(at - text), text, by, at + strlen(name));
		free(text);
	}
	return text;
}

/* command with its placeholders filled in, beside those that are running. */
static void
begin(struct train *t, const char *what, const char *command, int64_t at, const char *checkpoint)
{
	const char *const names[][2] = { { "{local_checkpoint_path}", checkpoint }, { "{model_family}", "ace_step" },
		{ "{tracker_run_name}", settings_str(t->settings, "tracker_run_name") },
		{ "{tracker_project_name}", settings_str(t->settings, "tracker_project_name") } };
	struct train_script *s;
	char step[24], *text;

	snprintf(step, sizeof step, "%lld", (long long)at);
	text = replaced(strdup(command), "{global_step}", step);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		text = replaced(text, names[i][0], names[i][1] ? names[i][1] : "");
	if (t->n_scripts == TRAIN_SCRIPTS) {		/* wait for the first */
		while (!ended(t->script[0].what, t->script[0].pid))
			doze(0.02);
		memmove(t->script, t->script + 1, --t->n_scripts * sizeof *t->script);
	}
	s = &t->script[t->n_scripts];
	s->what = what;
	if (!text)
		msg_warn("no memory for %s", what);
	else if (start(what, text, &s->pid) == ACE_OK)
		t->n_scripts++;
	else
		msg_warn("%s", ace_message());
	free(text);
}

void
train_start_script(struct train *t, const struct checkpoint_report *r)
{
	char *path = t->j.post_script ? file_path("%s/%s", t->j.out, r->name) : NULL;

	if (path)
		begin(t, "post_checkpoint_script", t->j.post_script, r->step, path);
	free(path);
}

void
train_start_command(struct train *t, const char *what, const char *command)
{
	char *path = NULL;

	if (checkpoint_latest(t->j.out, false, &path) != ACE_OK)
		msg_warn("%s", ace_message());
	begin(t, what, command, t->step.updates, path ? path : "");
	free(path);
}

void
train_wait_scripts(struct train *t, bool all)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_scripts; i++) {
		bool over = ended(t->script[i].what, t->script[i].pid);
		while (!over && all && !stop_asked()) {
			doze(0.02);
			over = ended(t->script[i].what, t->script[i].pid);
		}
		if (!over)
			t->script[n++] = t->script[i];
	}
	t->n_scripts = n;
}

/* The value of {env:NAME} at at; *after: behind it. */
static const char *
variable(const char *at, const char **after)
{
	const char *end = strchr(at, '}');
	char name[128];

	*after = end ? end + 1 : at + strlen(at);
	if (!end || end - at - 5 >= (ptrdiff_t)sizeof name)
		return "";
	snprintf(name, sizeof name, "%.*s", (int)(end - at - 5), at + 5);
	return getenv(name) ? getenv(name) : "";
}

char *
train_comment(const struct train *t)
{
	char now[40], step[24], epoch[24], *text = t->j.comment ? strdup(t->j.comment) : NULL;

	if (!text)
		return NULL;
	clock_utc(now, sizeof now);
	snprintf(step, sizeof step, "%lld", (long long)t->step.updates);
	snprintf(epoch, sizeof epoch, "%lld", (long long)t->loop.at.epoch + 1);
	text = replaced(text, "{current_step}", step);
	text = replaced(text, "{current_epoch}", epoch);
	text = replaced(text, "{timestamp}", now);
	for (char *at, *next; text && (at = strstr(text, "{env:")); text = next) {
		const char *after, *value = variable(at, &after);
		next = file_path("%.*s%s%s", (int)(at - text), text, value, after);
		free(text);
	}
	return text;
}
