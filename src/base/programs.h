/* SPDX-License-Identifier: Apache-2.0 */
/* programs.h - what the programs are called and take: for --help, the manual, completion and messages */
#ifndef ACE_BASE_PROGRAMS_H
#define ACE_BASE_PROGRAMS_H

#include <stdbool.h>

struct program {
	const char *name;		/* "ace-train" */
	unsigned bit;			/* its own bit of options.h; options with it are listed in --help */
	unsigned also;			/* bits of programs whose options are taken too, unlisted */
	const char *purpose;		/* one line */
	const char *usage;		/* behind the name */
	int min_words, max_words;	/* words that are neither options nor key=value */
	bool config;			/* reads env=NAME, example=NAME and configuration files */
	const char *config_when;	/* ... only when this option is given; NULL: always */
	const char *about;		/* paragraphs of the manual, an empty line between them */
	const char *examples;		/* "command\nmeaning\n..." */
};

int programs_count(void);
const struct program *program_at(int i);
const struct program *program_named(const char *name);	/* NULL when there is none */
#endif
