/* SPDX-License-Identifier: Apache-2.0 */
/* --help, the man page, the completion and doc/options.md list the same options: those of the table. */
#include "support/test.h"

#include "tools/help.h"

#include <stdlib.h>
#include <string.h>

static char *
printed(void (*print)(const struct program *, FILE *), const struct program *p)
{
	static char *text;
	static size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	print(p, f);
	fclose(f);
	return text;
}

static void
completion(const struct program *p, FILE *out)
{
	(void)p;
	help_completion(out);
}

static void
markdown(const struct program *p, FILE *out)
{
	(void)p;
	help_markdown(out);
}

/* How often the line stands in text. */
static int
lines(const char *text, const char *line)
{
	size_t n = strlen(line);
	int found = 0;

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		found += strncmp(p, line, n) == 0 && (p[n] == '\n' || p[n] == 0);
	return found;
}

static void
help_lists_each_built_option_of_the_program_once_and_no_other(void **state)
{
	char line[80];

	(void)state;
	for (int i = 0; i < programs_count(); i++) {
		const struct program *p = program_at(i);
		char *text = printed(help_print, p);
		for (int k = 0; k < options_count(); k++) {
			const struct option *o = option_at(k);
			snprintf(line, sizeof line, "  %s", o->name);
			if (lines(text, line) != help_lists(p, o))
				fail_msg("%s --help has %s %d times", p->name, o->name, lines(text, line));
		}
		free(text);
	}
}

static void
the_man_page_lists_the_same_options_as_help(void **state)
{
	char line[80];

	(void)state;
	for (int i = 0; i < programs_count(); i++) {
		const struct program *p = program_at(i);
		char *text = printed(help_man, p);
		for (int k = 0; k < options_count(); k++) {
			const struct option *o = option_at(k);
			snprintf(line, sizeof line, ".B %s", o->name);
			if (lines(text, line) != help_lists(p, o))
				fail_msg("%s(1) has %s %d times", p->name, o->name, lines(text, line));
		}
		free(text);
	}
}

static void
completion_offers_the_same_options_as_help(void **state)
{
	char *text = printed(completion, NULL), head[80], word[80];

	(void)state;
	for (int i = 0; i < programs_count(); i++) {
		const struct program *p = program_at(i);
		const char *at, *end;
		char *list;
		snprintf(head, sizeof head, "\t%s) echo '", p->name);
		at = strstr(text, head);
		assert_non_null(at);
		at += strlen(head);
		end = strchr(at, '\'');
		list = strndup(at, (size_t)(end - at));
		for (int k = 0; k < options_count(); k++) {
			snprintf(word, sizeof word, "%s", option_at(k)->name);
			if (option_has_word(list, word) != help_lists(p, option_at(k)))
				fail_msg("%s: completion and help differ about %s", p->name, word);
		}
		free(list);
	}
	free(text);
}

static void
the_options_page_has_every_option_once(void **state)
{
	char *text = printed(markdown, NULL), cell[80];

	(void)state;
	for (int k = 0; k < options_count(); k++) {
		const char *at;
		snprintf(cell, sizeof cell, "\n| `%s` |", option_at(k)->name);
		at = strstr(text, cell);
		if (!at || strstr(at + 1, cell))
			fail_msg("%s stands %s", option_at(k)->name, at ? "twice" : "nowhere");
	}
	free(text);
}

static void
help_gives_default_range_and_values(void **state)
{
	char *text = printed(help_print, program_named("ace-train"));

	(void)state;
	assert_non_null(strstr(text, "  learning_rate\n      number from 0 to 1; default 0.0001; env LEARNING_RATE\n"));
	assert_non_null(strstr(text, "  lora_rank\n      whole number from 1 to 1024; default 16\n"));
	assert_non_null(strstr(text, "  latent_mask\n      all or lengths; default lengths\n"));
	assert_non_null(strstr(text, "also precision"));
	free(text);
}

static void
no_line_of_help_is_longer_than_a_page_is_wide(void **state)
{
	(void)state;
	for (int i = 0; i < programs_count(); i++) {
		char *text = printed(help_print, program_at(i));
		for (char *p = text; *p;) {
			size_t n = strcspn(p, "\n");
			if (n > 110)
				fail_msg("%.*s", (int)n, p);
			p += n + (p[n] == '\n');
		}
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_lists_each_built_option_of_the_program_once_and_no_other),
		cmocka_unit_test(the_man_page_lists_the_same_options_as_help),
		cmocka_unit_test(completion_offers_the_same_options_as_help),
		cmocka_unit_test(the_options_page_has_every_option_once),
		cmocka_unit_test(help_gives_default_range_and_values),
		cmocka_unit_test(no_line_of_help_is_longer_than_a_page_is_wide),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
