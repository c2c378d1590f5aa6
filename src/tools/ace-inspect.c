/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect.h"
#include "tools/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status
run(struct settings *s)
{
	return inspect_run(s, stdout);
}

/* The variant of reading lyrics by its letter (text.md section 5) is lyrics_language by another name; the option variant itself is
 * that of files of weights. Returns what to put in the argument's place, NULL to leave it. C is A without a dictionary. */
static char *
language_of(const char *value)
{
	static char per_line[] = "--lyrics_language=per-line", per_song[] = "--lyrics_language=per-song";

	if (strcmp(value, "C") == 0)
		unsetenv("ACE_UNIDIC");
	if (strcmp(value, "A") == 0 || strcmp(value, "C") == 0 || strcmp(value, "per-line") == 0)
		return per_line;
	return strcmp(value, "B") == 0 || strcmp(value, "per-song") == 0 ? per_song : NULL;
}

static void
name_languages(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		const char *name = argv[i] + strspn(argv[i], "-");
		bool apart = name > argv[i] && strcmp(name, "variant") == 0 && i + 1 < *argc;
		char *other = apart                                 ? language_of(argv[i + 1])
		              : strncmp(name, "variant=", 8) == 0 ? language_of(name + 8)
		                                                    : NULL;
		if (!other)
			continue;
		argv[i] = other;
		if (apart) {
			for (int k = i + 1; k < *argc; k++)
				argv[k] = argv[k + 1];
			--*argc;
		}
	}
}

int
main(int argc, char **argv)
{
	name_languages(&argc, argv);
	return program_main("ace-inspect", run, argc, argv);
}
