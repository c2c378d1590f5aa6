/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/help.h"

#include <string.h>

enum { WIDTH = 92 };

static const struct {
	const char *category, *title;
} titles[] = {
	{ "program", "Running" },
	{ "inspect", "Inspecting" },
	{ "generation", "Generating" },
	{ "fetch", "Fetching" },
	{ "import", "Data sets in and out" },
	{ "model", "Model and configuration" },
	{ "data", "Data" },
	{ "text", "Text" },
	{ "cache", "Stores" },
	{ "lora", "Adapters (LoRA)" },
	{ "lyrics_embedder", "Lyrics embedder" },
	{ "schedule", "Length, batches, learning rate" },
	{ "optimizer", "Optimizer" },
	{ "precision", "Precision and memory" },
	{ "ema", "Average of the weights (EMA)" },
	{ "objective", "Objective" },
	{ "scheduled_sampling", "Scheduled sampling" },
	{ "checkpoint", "Checkpoints" },
	{ "reporting", "Reports" },
	{ "validation", "Validation" },
	{ "publishing", "Publishing" },
	{ "distributed", "Several devices" },
	{ "image_only", "Of picture models" },
};

const char *const help_categories[] = {
	"program", "inspect", "generation", "fetch", "import", "model", "data", "text", "cache", "lora", "lyrics_embedder", "schedule",
	"optimizer",
	"precision", "ema", "objective", "scheduled_sampling", "checkpoint", "reporting", "validation", "publishing",
	"distributed", "image_only", NULL,
};

const char *
help_category_title(const char *category)
{
	for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
		if (strcmp(titles[i].category, category) == 0)
			return titles[i].title;
	return category;
}

bool
help_lists(const struct program *p, const struct option *o)
{
	return (o->programs & p->bit) && option_state(o) == OPT_BUILT;
}

const char *
help_value(const struct option *o, char *text, int size)
{
	option_wanted(o, text, size);
	if (strncmp(text, "a ", 2) == 0)
		memmove(text, text + 2, strlen(text + 2) + 1);
	return text;
}

/* text wrapped at WIDTH, each line behind indent blanks. */
static void
wrap(FILE *out, int indent, const char *text)
{
	int at = 0;

	while (*text) {
		int n = (int)strcspn(text, " \n");
		if (at == 0 || at + 1 + n > WIDTH) {
			fprintf(out, "%s%*s", at ? "\n" : "", indent, "");
			at = indent;
		} else {
			putc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", n, text);
		at += n;
		text += n;
		while (*text == ' ' || *text == '\n')
			text++;
	}
	putc('\n', out);
}

static void
print_option(const struct option *o, FILE *out)
{
	char value[1000], line[1400];
	int at = snprintf(line, sizeof line, "%s", help_value(o, value, sizeof value));

	if (o->initial && *o->initial)
		at += snprintf(line + at, sizeof line - (size_t)at, "; default %s", o->initial);
	if (o->aliases || o->flag)
		at += snprintf(line + at, sizeof line - (size_t)at, "; also %s%s%s", o->aliases ? o->aliases : "",
			       o->aliases && o->flag ? " " : "", o->flag ? o->flag : "");
	if (o->env)
		snprintf(line + at, sizeof line - (size_t)at, "; env %s", o->env);
	fprintf(out, "  %s\n", o->name);
	wrap(out, 6, line);
	wrap(out, 6, o->help);
}

void
help_print(const struct program *p, FILE *out)
{
	fprintf(out, "%s: %s\n\nusage: %s %s\n\n", p->name, p->purpose, p->name, p->usage);
	wrap(out, 0, "An option is written key=value, --key=value or --key value; - and _ are the same, and --key "
		     "alone means true. --help and --version print and stop.");
	if (p->config && !p->config_when)
		wrap(out, 0, "Strength: command line, then environment, then config/NAME/config.json (or .toml, .env), "
			     "then default. --print-config shows what was read and from where.");
	for (int c = 0; help_categories[c]; c++) {
		bool first = true;
		for (int i = 0; i < options_count(); i++) {
			const struct option *o = option_at(i);
			if (strcmp(o->category, help_categories[c]) != 0 || !help_lists(p, o))
				continue;
			if (first)
				fprintf(out, "\n%s\n", help_category_title(o->category));
			first = false;
			print_option(o, out);
		}
	}
	if (p->also)
		fprintf(out, "\nThe options of ace-train and ace-preprocess are taken as well.\n");
	fprintf(out, "\nExamples\n");
	for (const char *e = p->examples; *e;) {
		size_t n = strcspn(e, "\n"), m = strcspn(e + n + 1, "\n");
		fprintf(out, "  %.*s\n      %.*s\n", (int)n, e, (int)m, e + n + 1);
		e += n + 1 + m + (e[n + 1 + m] == '\n');
	}
	fprintf(out, "\nExit codes: 0 done, 64 usage, 65 bad data, 66 no input, 71 memory, 73 cannot create, 74 input or output,\n"
		     "75 stopped and saved (run again), 78 configuration.\n");
}
