/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_slurm.h"

#include "base/datadir.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { SCRIPT_LIMIT = 1 << 20 };

/* Words of sbatch, and nothing that a line of a script could be ended with. */
static bool
plain(const char *text)
{
	return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,:;/=+@%*&|()[]-")] == 0;
}

static enum status
print_line(FILE *out, const char *option, const char *value)
{
	if (!value)
		return ACE_OK;
	if (!plain(value))
		return ace_fail(ACE_EUSAGE, "--%s=%s: wanted one word as sbatch takes it", option, value);
	if (out)
		fprintf(out, "#SBATCH --%s=%s\n", option, value);
	return ACE_OK;
}

/* nodes and tasks_per_node, else what the configuration has for any launcher. */
static const char *
either(const char *value, bool set, int64_t number, char text[24])
{
	if (value || !set)
		return value;
	snprintf(text, 24, "%lld", (long long)number);
	return text;
}

/* out NULL: only check them. */
static enum status
print_lines(FILE *out, const struct settings *s)
{
	char number[2][24];
	const char *nodes = either(settings_str(s, "nodes"), settings_is_set(s, "num_machines"), settings_i64(s, "num_machines"),
	                           number[0]);
	const char *tasks = either(settings_str(s, "tasks_per_node"), settings_is_set(s, "num_processes"),
	                           settings_i64(s, "num_processes"), number[1]);
	const struct { const char *option, *value; } line[] = {
		{ "partition", settings_str(s, "partition") }, { "account", settings_str(s, "account") },
		{ "qos", settings_str(s, "qos") }, { "nodes", nodes },
		{ "ntasks-per-node", tasks },
		{ "cpus-per-task", settings_str(s, "cpus_per_task") },
		{ "gres", settings_str(s, "gres") }, { "mem", settings_str(s, "mem") }, { "time", settings_str(s, "time_limit") },
	};

	for (size_t i = 0; i < sizeof line / sizeof *line; i++)
		ACE_TRY(print_line(out, line[i].option, line[i].value));
	return ACE_OK;
}

/* Behind the last "#SBATCH" line of a script. */
static const char *
end_of_options(const char *text)
{
	const char *last = NULL, *at = text;

	while ((at = strstr(at, "\n#SBATCH "))) {
		last = ++at;
		at = strchr(at, '\n');
		if (!at)
			return NULL;
		last = at + 1;
	}
	return last;
}

enum status
inspect_slurm(FILE *out, const struct settings *s)
{
	char name[64], *path, *text = NULL;
	const char *end;
	enum status st;
	size_t size;

	ACE_TRY(print_lines(NULL, s));
	snprintf(name, sizeof name, "%s.sbatch", settings_str(s, "slurm_template"));
	path = datadir_file("slurm", name);
	if (!path)
		return ace_fail(ACE_ENOINPUT, "%s: not beside the programs; wanted in slurm/ below $ACE_DATADIR, or where they are installed",
		                name);
	st = file_read(path, SCRIPT_LIMIT, &text, &size);
	end = st == ACE_OK ? end_of_options(text) : NULL;
	if (st == ACE_OK && !end)
		st = ace_fail(ACE_EDATA, "%s: no line begins with #SBATCH", path);
	if (st == ACE_OK) {
		fwrite(text, 1, (size_t)(end - text), out);
		st = print_lines(out, s);	/* they were good just now */
	}
	if (st == ACE_OK)
		fputs(end, out);
	free(text);
	free(path);
	return st;
}
