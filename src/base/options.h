/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the table of all options: one row drives parsing, --help, the manual, completion and the tests
 *
 * Rows stand in base/options/GROUP.h, those of the specification (options.json) and, in own.h, our own. What of them
 * is built stands in base/options/built.h, and only there. */
#ifndef ACE_BASE_OPTIONS_H
#define ACE_BASE_OPTIONS_H

#include <stdbool.h>

enum option_type { OPT_BOOL, OPT_INT, OPT_FLOAT, OPT_ENUM, OPT_STRING, OPT_PATH, OPT_JSON, OPT_BOOL_OR_STRING };

/* Programs, as a set. */
enum {
	OPT_TRAIN = 1, OPT_RESUME = 2, OPT_PREPROCESS = 4, OPT_INSPECT = 8, OPT_INIT_MODEL = 16, OPT_REPORT = 32,
	OPT_GENERATE = 64, OPT_FETCH = 128, OPT_IMPORT = 256, OPT_CONVERT = 512,
	OPT_TRAINING = OPT_TRAIN | OPT_RESUME,
	OPT_CONFIGURED = OPT_TRAINING | OPT_PREPROCESS,
	OPT_COMPUTING = OPT_CONFIGURED | OPT_GENERATE | OPT_INIT_MODEL,
	OPT_ALL = OPT_COMPUTING | OPT_INSPECT | OPT_REPORT | OPT_FETCH | OPT_IMPORT | OPT_CONVERT,
};

enum option_state {
	OPT_BUILT,
	OPT_LATER,	/* refused by name unless neutral */
	OPT_NOTICE,	/* accepted without effect, with a notice when it is set */
	OPT_FOREIGN,	/* means nothing here: a notice when neutral, else refused with the row's error */
};

struct option {
	const char *name, *category, *help;
	enum option_type type;
	const char *initial;	/* default, as text; NULL: unset */
	const char *range;	/* "LOW..HIGH", both included, either may be missing; NULL: any */
	const char *allowed;	/* values between blanks; NULL: any */
	const char *aliases;	/* other names between blanks; '!' before one that means the opposite */
	const char *env;	/* name in the environment */
	const char *flag;	/* name among the upstream trainer's flags */
	const char *upstream;	/* what the upstream trainer has in its place, for the manual */
	const char *error;	/* said when the value is refused, or, where it has no effect, with the notice of that */
	const char *reason;	/* why it is refused, for the manual */
	const char *instead;	/* of what is not built: what does something like it; NULL: nothing */
	unsigned programs;	/* that take it */
	bool foreign;
};

int options_count(void);
const struct option *option_at(int i);

/* The option of that name, alias or upstream flag; '-' counts as '_', leading dashes do not count. *opposite (may be NULL)
 * says whether the spelling means the opposite. NULL when there is none. */
const struct option *option_find(const char *spelling, bool *opposite);

/* The option with that name in the environment; NULL when there is none. */
const struct option *option_by_env(const char *env);

/* Whether the name is one of the Python trainer's that belongs to other models. */
bool option_is_elsewhere(const char *spelling);

/* The known name nearest to a misspelt one that these programs take, NULL when none is near. */
const char *option_nearest(const char *spelling, unsigned programs);

enum option_state option_state(const struct option *o);

/* The values of o that are built, between blanks; NULL: all that are allowed. */
const char *option_built_values(const struct option *o);

/* Whether word is one of the words of a list between blanks. */
bool option_has_word(const char *list, const char *word);

const char *option_type_name(enum option_type t);

/* "a number from 0 to 1", "one of cpu, ref": what a value must be, into text; returns text. */
const char *option_wanted(const struct option *o, char *text, int size);
#endif
