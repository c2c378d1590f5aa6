/* SPDX-License-Identifier: Apache-2.0 */
/* help.h - what the option tables say to people: --help, man pages, completion, doc/options.md */
#ifndef ACE_TOOLS_HELP_H
#define ACE_TOOLS_HELP_H

#include "base/options.h"
#include "base/programs.h"

#include <stdio.h>

/* --help: usage and the built options of a program by category. */
void help_print(const struct program *p, FILE *out);

/* The page of section 1, as roff for man. */
void help_man(const struct program *p, FILE *out);

/* Words that bash completes, for all programs. */
void help_completion(FILE *out);

/* doc/options.md: every option of every program, built or not. */
void help_markdown(FILE *out);

/* The categories in the order in which they are shown, NULL at the end, and what they are called. */
extern const char *const help_categories[];
const char *help_category_title(const char *category);

/* Whether the help of p lists o. */
bool help_lists(const struct program *p, const struct option *o);

/* "whole number from 1 to 1024", "text", "bucket or pad": what a value of o looks like; into text, returned. */
const char *help_value(const struct option *o, char *text, int size);
#endif
