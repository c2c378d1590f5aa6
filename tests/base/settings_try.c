/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings_try.h"

#include "base/file.h"
#include "support/golden.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct settings last;
static char folder[1024], home[1024];

int
try_enter(void **state)
{
	(void)state;
	/* names in the environment that mean something here */
	for (int i = 0; i < options_count(); i++) {
		char name[64];
		for (const char *p = option_at(i)->env; p && *p;) {
			int n = (int)strcspn(p, " ");
			snprintf(name, sizeof name, "%.*s", n, p);
			unsetenv(name);
			p += n + (p[n] == ' ');
		}
	}
	unsetenv("TRAINER_EXTRA_ARGS");
	if (!getcwd(home, sizeof home))
		return -1;
	snprintf(folder, sizeof folder, "%s", golden_tmp());
	return file_mkdirs(folder) != ACE_OK || chdir(folder) != 0;
}

int
try_leave(void **state)
{
	(void)state;
	settings_free(&last);
	return chdir(home) != 0 || file_remove_tree(folder) != ACE_OK;
}

void
try_file(const char *path, const char *text)
{
	char *above = strdup(path), *slash = strrchr(above, '/');

	if (slash) {
		*slash = 0;
		assert_ok(file_mkdirs(above));
	}
	free(above);
	assert_ok(file_write(path, text, strlen(text)));
}

struct settings *
try_load(const char *program, const char *line)
{
	char text[2000], *rest = text, *word, name[] = "program", *arg[64] = { name };
	int n = 1;

	snprintf(text, sizeof text, "%s", line ? line : "");
	while ((word = strsep(&rest, " ")))
		if (*word)
			arg[n++] = word;
	settings_free(&last);
	return settings_load(&last, program_named(program), n, arg) == ACE_OK ? &last : NULL;
}

struct settings *
try_ok(const char *program, const char *line)
{
	struct settings *s = try_load(program, line);

	if (!s)
		fail_msg("%s %s: %s", program, line ? line : "", ace_message());
	return s;
}

void
try_refused(const char *program, const char *line, int code, const char *message)
{
	char text[2000], *rest = text, *word, name[] = "program", *arg[64] = { name };
	enum status st;
	int n = 1;

	snprintf(text, sizeof text, "%s", line ? line : "");
	while ((word = strsep(&rest, " ")))
		if (*word)
			arg[n++] = word;
	settings_free(&last);
	st = settings_load(&last, program_named(program), n, arg);
	if (status_exit_code(st) != code || strcmp(ace_message(), message) != 0)
		fail_msg("%s: ends with %d, \"%s\"; wanted %d, \"%s\"", line ? line : "", status_exit_code(st),
			 st ? ace_message() : "", code, message);
}

void
try_value(const struct settings *s, const char *name, const char *text)
{
	const struct option *o = option_find(name, NULL);
	const char *got;

	assert_non_null(o);
	got = s->v[o - option_at(0)].text;
	if (strcmp(got ? got : "", text) != 0)
		fail_msg("%s is \"%s\", wanted \"%s\"", name, got ? got : "", text);
}
