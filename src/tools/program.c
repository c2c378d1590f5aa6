/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/program.h"

#include "base/msg.h"
#include "jobs/versions.h"
#include "tools/help.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether one of the arguments is one of the two; what follows "--" does not count. */
static bool
asks_for(int argc, char **argv, const char *long_form, const char *short_form)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], long_form) == 0 || strcmp(argv[i], short_form) == 0)
			return true;
	return false;
}

/* What was printed must have arrived. */
static int
flushed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	msg_error("cannot write to the standard output: %s", strerror(errno));
	return status_exit_code(ACE_EIO);
}

static void
print_version(const struct program *p)
{
	printf("%s (%s) %s\n", p->name, PACKAGE_NAME, PACKAGE_VERSION);
	versions_print(stdout);
}

static enum msg_level
level_of(const struct settings *s)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	const char *level = settings_str(s, "log_level");

	for (int i = 0; level && i < 4; i++)
		if (strcmp(level, names[i]) == 0)
			return (enum msg_level)i;
	if (settings_bool(s, "quiet"))
		return MSG_QUIET;
	return settings_bool(s, "verbose") ? MSG_DEBUG : MSG_INFO;
}

static bool
wants_color(const struct settings *s)
{
	const char *color = settings_str(s, "color"), *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
	const char *no = getenv("NO_COLOR");

	if (strcmp(color, "auto") != 0)
		return strcmp(color, "always") == 0;
	if (no && *no)
		return false;
	if (force && strcmp(force, "0") != 0)
		return true;
	return isatty(2) && term && strcmp(term, "dumb") != 0;
}

static enum status
set_up_messages(const struct settings *s)
{
	static const char *const kinds[] = { "auto", "bar", "plain", "none" };
	const char *progress = settings_str(s, "progress"), *log = settings_str(s, "log_file");
	enum msg_progress kind = PROGRESS_AUTO;

	for (int i = 0; i < 4; i++)
		if (strcmp(progress, kinds[i]) == 0)
			kind = (enum msg_progress)i;
	msg_setup(s->program->name, level_of(s), kind, settings_f64(s, "log_interval"));
	msg_color(wants_color(s));
	if (log)
		ACE_TRY(msg_log_to(log));
	for (int i = 0; i < s->n_notices; i++)
		msg_info("%s", s->notice[i]);
	return ACE_OK;
}

static void
say_failure(const char *name, enum status st)
{
	if (st == ACE_ESTOPPED)
		return;
	msg_error("%s", ace_message());
	if (st == ACE_EUSAGE)
		msg_plain("Try '%s --help'.", name);
	if (st == ACE_EBUG)
		msg_plain("a mistake in the program, found at %s", ace_message_where());
	else
		msg_debug("said at %s", ace_message_where());
}

int
program_main(const char *name, enum status (*run)(struct settings *s), int argc, char **argv)
{
	const struct program *p = program_named(name);
	struct settings s;
	enum status st;
	int code;

	msg_setup(name, MSG_INFO, PROGRESS_AUTO, 10.0);
	if (asks_for(argc, argv, "--help", "-h")) {
		help_print(p, stdout);
		return flushed();
	}
	if (asks_for(argc, argv, "--version", "-V")) {
		print_version(p);
		return flushed();
	}
	st = settings_load(&s, p, argc, argv);
	if (st == ACE_OK)
		st = set_up_messages(&s);
	if (st == ACE_OK && settings_bool(&s, "print_config"))
		settings_print(&s, stdout);
	else if (st == ACE_OK)
		st = run(&s);
	msg_progress_end();
	if (st != ACE_OK)
		say_failure(name, st);
	settings_free(&s);
	code = flushed();
	return st != ACE_OK ? status_exit_code(st) : code;
}
