/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/program.h"

#include "base/msg.h"
#include "base/stop.h"
#include "jobs/ranks.h"
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

struct job {
	enum status (*alone)(struct settings *s);
	enum status (*ranks)(struct settings *s, struct comm *comm);
};

/* The group, for a job that has one; *c is NULL for the others. */
static enum status
open_group(const struct program *p, const struct job *job, struct comm **c)
{
	char host[64] = "?";

	*c = NULL;
	gethostname(host, sizeof host - 1);
	msg_ranks(comm_launched_rank(), host);
	if (job->ranks)
		ACE_TRY(comm_open(c, COMM_PATIENCE));
	else if (comm_launched() > 1)
		return ace_fail(ACE_EUSAGE, "%s runs on one rank, and %d were started", p->name, comm_launched());
	if (*c)
		msg_ranks((*c)->rank, (*c)->host);
	return ACE_OK;
}

static enum status
load_and_run(const struct job *job, struct settings *s, struct comm *c, int argc, char **argv)
{
	enum status st = settings_load(s, s->program, argc, argv);

	if (st == ACE_OK)
		st = set_up_messages(s);
	if (c)
		st = comm_agree(c, st);
	if (st != ACE_OK)
		return st;
	if (settings_bool(s, "print_config")) {
		if (!c || c->rank == 0)
			settings_print(s, stdout);
		return ACE_OK;
	}
	if (!c)
		return job->alone(s);
	comm_set_patience(c, settings_f64(s, "rank_patience"), false);
	ACE_TRY(comm_agree(c, ranks_check(c, s)));
	ACE_TRY(comm_agree(c, ranks_share_settings(c, s)));
	return job->ranks(s, c);
}

/* For the script that started the ranks: a launcher may kill those that have not ended yet, and report that instead. */
static void
note_code(int code)
{
	const char *path = getenv("ACE_CODE_FILE");
	FILE *f = path && *path ? fopen(path, "w") : NULL;

	if (!f)
		return;
	fprintf(f, "%d\n", code);
	fclose(f);
}

static int
main_of(const char *name, const struct job *job, int argc, char **argv)
{
	const struct program *p = program_named(name);
	struct settings s = { .program = p };
	struct comm *c;
	enum status st;
	bool speaks, said = false;
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
	if (job->ranks)			/* a batch system may tell it to stop while ranks are still gathering */
		stop_listen();
	speaks = comm_launched_rank() == 0;
	st = open_group(p, job, &c);
	if (st == ACE_OK) {
		speaks = !c || c->rank == 0;
		st = load_and_run(job, &s, c, argc, argv);
		msg_progress_end();
		if (st != ACE_OK && comm_agreed(c)) {	/* before the first of the ranks ends */
			if (speaks) {
				note_code(status_exit_code(st));
				say_failure(name, st);
			}
			said = true;
		}
		st = comm_close(&c, st);
		if (c)
			speaks = comm_speaks(c);
		settings_free(&s);
	}
	if (st != ACE_OK && speaks && !said)
		say_failure(name, st);
	code = flushed();
	code = st != ACE_OK ? status_exit_code(st) : code;
	comm_abandon(c, code);		/* returns unless the group has failed */
	return code;
}

int
program_main(const char *name, enum status (*run)(struct settings *s), int argc, char **argv)
{
	return main_of(name, &(struct job){ .alone = run }, argc, argv);
}

int
program_main_ranks(const char *name, enum status (*run)(struct settings *s, struct comm *comm), int argc, char **argv)
{
	return main_of(name, &(struct job){ .ranks = run }, argc, argv);
}
