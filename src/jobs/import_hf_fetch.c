/* SPDX-License-Identifier: Apache-2.0 */
/* A data set of the hub is brought by the program that does that: this one knows no network. */
#include "jobs/import_hf_parts.h"

#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* "ace-fetch" in the folder of the running program, or the name alone; owned. */
static char *
program(void)
{
	char self[PATH_MAX], *slash, *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	if (slash)
		path = file_path("%.*s/ace-fetch", (int)(slash - self), self);
	if (path && access(path, X_OK) == 0)
		return path;
	free(path);
	return strdup("ace-fetch");
}

/* What it says goes where this one's lines go; the folder that it prints is no result of this one. */
static int
start(const char *path, const char *what, pid_t *child)
{
	char *argv[] = { (char *)path, (char *)what, NULL };
	posix_spawn_file_actions_t to;
	int e = posix_spawn_file_actions_init(&to);

	if (e == 0) {
		e = posix_spawn_file_actions_adddup2(&to, 2, 1);
		if (e == 0)
			e = posix_spawnp(child, path, &to, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&to);
	}
	return e;
}

enum status
import_fetch(const char *source, const char *revision)
{
	bool named = strncmp(source, "datasets/", 9) == 0;
	char *what = file_path("datasets/%s%s%s", source + (named ? 9 : 0), revision ? "@" : "", revision ? revision : "");
	char *path = program();
	enum status st = what && path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");
	pid_t child = -1;
	int how = 0, e = st == ACE_OK ? start(path, what, &child) : 0;

	if (e != 0)
		st = ace_fail(ACE_ENOINPUT, "%s: %s; fetch=true wants the program ace-fetch", path, strerror(e));
	while (st == ACE_OK && waitpid(child, &how, 0) < 0)
		if (errno != EINTR)
			st = ace_fail(ACE_EIO, "%s: %s", path, strerror(errno));
	if (st == ACE_OK && !(WIFEXITED(how) && WEXITSTATUS(how) == 0))
		st = ace_fail(WIFEXITED(how) && WEXITSTATUS(how) == 75 ? ACE_ESTOPPED : ACE_ENOINPUT, "%s: ace-fetch did not bring it (%s %d)",
		              source, WIFEXITED(how) ? "exit code" : "signal", WIFEXITED(how) ? WEXITSTATUS(how) : WTERMSIG(how));
	free(what);
	free(path);
	return st;
}
