/* SPDX-License-Identifier: Apache-2.0 */
/* The option tables as man pages, bash completion and doc/options.md. */
#include "tools/help.h"

#include <string.h>

/* text for roff: '-' and '\' escaped, no line that begins with a control character. */
static void
roff(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
			fputs("\\&", out);
		if (*p == '\\')
			fputs("\\e", out);
		else if (*p == '-')
			fputs("\\-", out);
		else
			putc(*p, out);
	}
}

static void
man_option(FILE *out, const struct option *o)
{
	char value[1000];

	fprintf(out, ".TP\n.B %s\n", o->name);
	roff(out, o->help);
	fputs("\n.br\n", out);
	roff(out, help_value(o, value, sizeof value));
	if (o->initial && *o->initial) {
		fputs("; default ", out);
		roff(out, o->initial);
	}
	if (o->aliases || o->flag) {
		fputs("; also ", out);
		roff(out, o->aliases ? o->aliases : "");
		fputs(o->aliases && o->flag ? " " : "", out);
		roff(out, o->flag ? o->flag : "");
	}
	if (o->env)
		fprintf(out, "; environment %s", o->env);
	fputs(".\n", out);
	if (o->upstream) {
		fputs(".br\nUpstream trainer: ", out);
		roff(out, o->upstream);
		fputs(".\n", out);
	}
}

static void
man_paragraphs(FILE *out, const char *text)
{
	for (const char *p = text; *p;) {
		const char *end = strstr(p, "\n\n");
		size_t n = end ? (size_t)(end - p) : strlen(p);
		char part[2000];
		snprintf(part, sizeof part, "%.*s", (int)n, p);
		fputs(".PP\n", out);
		roff(out, part);
		putc('\n', out);
		p += n + (end ? 2 : 0);
	}
}

static void
man_examples(FILE *out, const char *e)
{
	fputs(".SH EXAMPLES\n", out);
	while (*e) {
		size_t n = strcspn(e, "\n"), m = strcspn(e + n + 1, "\n");
		char line[500];
		snprintf(line, sizeof line, "%.*s", (int)n, e);
		fputs(".TP\n.B \"", out);
		roff(out, line);
		snprintf(line, sizeof line, "%.*s", (int)m, e + n + 1);
		fputs("\"\n", out);
		roff(out, line);
		putc('\n', out);
		e += n + 1 + m + (e[n + 1 + m] == '\n');
	}
}

static void
man_tail(const struct program *p, FILE *out)
{
	fputs(".SH EXIT STATUS\n", out);
	fputs("0 done; 64 wrong use; 65 bad data; 66 an input is missing; 69 a device is gone; 70 a mistake in the program; 71 out "
	      "of memory; 73 an output cannot be created; 74 input or output failed or the disk is full; 75 stopped on request "
	      "with the state saved, run again to go on; 76 a rank or the network failed; 78 the configuration, or a checkpoint "
	      "that does not fit it.\n", out);
	if (p->config) {
		fputs(".SH FILES\n.TP\n.I config/NAME/config.json\nthe configuration that env=NAME names; config.toml and "
		      "config.env are read as well\n.TP\n.I config/NAME/multidatabackend.json\nthe data set list, unless "
		      "data_backend_config names another\n", out);
		fputs(".SH ENVIRONMENT\nThe names at the options above, and TRAINER_EXTRA_ARGS, whose words join the command "
		      "line. ACE_CODE_FILE names a file for the exit status that several ranks agreed on, which a launcher that "
		      "kills the last of them may not report.\n", out);
	}
	man_examples(out, p->examples);
	fputs(".SH SEE ALSO\n", out);
	for (int i = 0, n = 0; i < programs_count(); i++)
		if (program_at(i) != p) {
			fputs(n++ ? ",\n" : "", out);
			fputs(".BR ", out);
			roff(out, program_at(i)->name);
			fputs(" (1)", out);
		}
	putc('\n', out);
}

void
help_man(const struct program *p, FILE *out)
{
	fprintf(out, ".\\\" made from the option tables\n.TH %s 1 \"\" \"%s\" \"User Commands\"\n.SH NAME\n", p->name,
		PACKAGE_STRING);
	roff(out, p->name);
	fputs(" \\- ", out);
	roff(out, p->purpose);
	fputs("\n.SH SYNOPSIS\n.B ", out);
	roff(out, p->name);
	putc('\n', out);
	roff(out, p->usage);
	fputs("\n.SH DESCRIPTION\n", out);
	man_paragraphs(out, p->about);
	fputs(".SH OPTIONS\nAn option is written key=value, \\-\\-key=value or \\-\\-key value; \\- and _ are the same; \\-\\-key "
	      "alone means true. \\-\\-help and \\-\\-version print and stop.\n", out);
	if (p->config && !p->config_when)
		fputs("The command line is stronger than the environment, that than the configuration file, that than the "
		      "default.\n", out);
	if (p->also)
		fputs("The options of ace\\-train and ace\\-preprocess are taken as well.\n", out);
	for (int c = 0; help_categories[c]; c++) {
		bool first = true;
		for (int i = 0; i < options_count(); i++) {
			const struct option *o = option_at(i);
			if (strcmp(o->category, help_categories[c]) != 0 || !help_lists(p, o))
				continue;
			if (first)
				fprintf(out, ".SS %s\n", help_category_title(o->category));
			first = false;
			man_option(out, o);
		}
	}
	man_tail(p, out);
}

/* The values that completion offers for o. */
static const char *
completed_values(const struct option *o)
{
	if (o->type == OPT_BOOL)
		return "true false";
	return o->type == OPT_ENUM ? option_built_values(o) : NULL;
}

void
help_completion(FILE *out)
{
	fputs("# bash completion of the ace-* programs; made from the option tables\n"
	      "_ace_options()\n{\n\tcase $1 in\n", out);
	for (int i = 0; i < programs_count(); i++) {
		const struct program *p = program_at(i);
		fprintf(out, "\t%s) echo '", p->name);
		for (int k = 0; k < options_count(); k++)
			if (help_lists(p, option_at(k)))
				fprintf(out, "%s ", option_at(k)->name);
		fputs("help version' ;;\n", out);
	}
	fputs("\tesac\n}\n_ace_values()\n{\n\tcase $1 in\n", out);
	for (int k = 0; k < options_count(); k++) {
		const struct option *o = option_at(k);
		if (option_state(o) == OPT_BUILT && completed_values(o))
			fprintf(out, "\t%s) echo '%s' ;;\n", o->name, completed_values(o));
	}
	fputs("\tesac\n}\n"
	      "_ace()\n{\n"
	      "\tlocal program=${COMP_WORDS[0]##*/} word=${COMP_LINE:0:COMP_POINT} dashes= key value names\n"
	      "\tword=${word##* }\n"
	      "\tcase $word in --*) dashes=-- ;; esac\n"
	      "\tcase $word in *=*) ;; --*) word=--$(printf %s \"${word#--}\" | tr - _) ;; esac\n"
	      "\tCOMPREPLY=()\n"
	      "\tcase $word in\n"
	      "\t*=*)\n"
	      "\t\tkey=${word%%=*} value=${word#*=} key=${key#--} key=${key//-/_}\n"
	      "\t\tnames=$(_ace_values \"$key\")\n"
	      "\t\tif [ \"$key\" = env ]; then\n"
	      "\t\t\tnames=$(cd config 2>/dev/null && for d in */; do printf '%s ' \"${d%/}\"; done)\n"
	      "\t\tfi\n"
	      "\t\tif [ -n \"$names\" ]; then\n"
	      "\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$names\" -- \"$value\")\n"
	      "\t\telse\n"
	      "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$value\")\n"
	      "\t\tfi ;;\n"
	      "\t*)\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$(_ace_options \"$program\")\" -P \"$dashes\" -S = -- \"${word#--}\")\n"
	      "\t\tcompopt -o nospace\n"
	      "\t\tif [ -z \"$dashes\" ]; then\n"
	      "\t\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\")\n"
	      "\t\tfi ;;\n"
	      "\tesac\n}\n", out);
	fputs("complete -F _ace", out);
	for (int i = 0; i < programs_count(); i++)
		fprintf(out, " %s", program_at(i)->name);
	putc('\n', out);
}

/* text in a cell of a table. */
static void
cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fputs(*text == '|' ? "\\|" : *text == '\n' ? " " : (char[2]){ *text, 0 }, out);
}

static void
markdown_row(FILE *out, const struct option *o)
{
	static const char *const states[] = { "yes", "not yet", "no effect", "no" };
	bool never = option_state(o) == OPT_LATER && o->error;
	char value[1000];

	fprintf(out, "| `%s` | ", o->name);
	cell(out, help_value(o, value, sizeof value));
	fputs(" | ", out);
	cell(out, o->initial ? (*o->initial ? o->initial : "\"\"") : "");
	fprintf(out, " | %s | ", states[never ? OPT_FOREIGN : option_state(o)]);
	cell(out, o->help);
	if (never) {
		putc(' ', out);
		cell(out, o->error);
		putc('.', out);
	}
	if (option_state(o) == OPT_FOREIGN && o->reason) {
		fputs(" Not here: ", out);
		cell(out, o->reason);
		putc('.', out);
	}
	if (o->aliases || o->flag) {
		fputs(" Also: ", out);
		for (const char *p = o->aliases ? o->aliases : ""; *p; p++)
			fputs(*p == '!' ? "(opposite) " : *p == ' ' ? ", " : (char[2]){ *p, 0 }, out);
		fprintf(out, "%s%s.", o->aliases && o->flag ? ", " : "", o->flag ? o->flag : "");
	}
	if (o->env) {
		fputs(" Environment: ", out);
		for (const char *p = o->env; *p; p++)
			fputs(*p == ' ' ? ", " : (char[2]){ *p, 0 }, out);
		putc('.', out);
	}
	fputs(" |\n", out);
}

void
help_markdown(FILE *out)
{
	fputs("# Options\n\n"
	      "Made from the option tables by `ace-manual options`. Written `key=value`, `--key=value`, `--key value`, or as keys of\n"
	      "`config/NAME/config.json`; the command line is stronger than the environment, that than the file. Built: *not yet*\n"
	      "is refused by name, *no effect* is accepted with a notice, *no* has no meaning for this model, or is never done, and is refused\n"
	      "unless its value is neutral (false, 0, none or the default).\n", out);
	for (int c = 0; help_categories[c]; c++) {
		fprintf(out, "\n## %s\n\n| option | value | default | built | |\n|---|---|---|---|---|\n",
			help_category_title(help_categories[c]));
		for (int i = 0; i < options_count(); i++)
			if (strcmp(option_at(i)->category, help_categories[c]) == 0)
				markdown_row(out, option_at(i));
	}
}
