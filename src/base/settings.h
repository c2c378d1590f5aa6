/* SPDX-License-Identifier: Apache-2.0 */
/* settings.h - the values of all options and where each comes from (training.md section 15)
 *
 * Strength: command line > environment > config/NAME/config.env > config/config.env > configuration file > example >
 * preset > default. Every option has a value here, whatever the program; what is not built, out of range or unknown was
 * refused by settings_load. */
#ifndef ACE_BASE_SETTINGS_H
#define ACE_BASE_SETTINGS_H

#include "base/options.h"
#include "base/programs.h"
#include "base/status.h"

#include <cjson/cJSON.h>
#include <stdint.h>
#include <stdio.h>

enum settings_source { FROM_DEFAULT, FROM_PRESET, FROM_EXAMPLE, FROM_FILE, FROM_ENV_FILE, FROM_ENV, FROM_COMMAND };

struct setting {
	char *text;			/* NULL: no value */
	double f64;
	int64_t i64;
	bool truth;
	enum settings_source source;
	char *where;			/* the file, variable or rule it came from; NULL: nothing to add */
};

struct settings {
	const struct program *program;
	struct setting *v;		/* [options_count()] */
	char **word;			/* positional arguments */
	int n_words;
	char **notice;			/* lines to be said once messages are set up */
	int n_notices;
	char *file, *dir;		/* the configuration file and its folder; NULL: none */
};

/* Every option at its default. */
enum status settings_init(struct settings *s, const struct program *p) ACE_NODISCARD;

/* Read the command line (argv[0] is skipped), the environment and the configuration files. A failure is one line; its
 * code is ACE_EUSAGE when the command line is at fault, ACE_ECONFIG when a file or the environment is, ACE_ENOINPUT
 * when a named configuration does not exist. settings_free afterwards in any case. */
enum status settings_load(struct settings *s, const struct program *p, int argc, char **argv) ACE_NODISCARD;
void settings_free(struct settings *s);

/* Set one option as the command line would, with where as its origin; NULL or "" as value: back to the default. */
enum status settings_set(struct settings *s, const char *name, const char *value, const char *where) ACE_NODISCARD;

/* Values. name must be in the table (any spelling but an inverse one), and of the type asked for: assert. Without a
 * value (settings_has): NULL, 0, false. Texts are borrowed and never "". They search the table: not for inner loops. */
const char *settings_str(const struct settings *s, const char *name);	/* enums, strings, paths, json */
int64_t settings_i64(const struct settings *s, const char *name);
double settings_f64(const struct settings *s, const char *name);	/* ints as well */
bool settings_bool(const struct settings *s, const char *name);

bool settings_has(const struct settings *s, const char *name);		/* has a value, be it the default */
bool settings_is_set(const struct settings *s, const char *name);	/* someone gave it a value */
enum settings_source settings_source(const struct settings *s, const char *name);

/* "command line", "config/a/config.json", "environment LEARNING_RATE", "default": borrowed. */
const char *settings_where(const struct settings *s, const char *name);

/* A json option: the JSON it holds, or that of the file it names; *root is owned by the caller, NULL without a value. */
enum status settings_json(const struct settings *s, const char *name, cJSON **root) ACE_NODISCARD;

/* --print-config: each value and where it comes from, as TOML with comments. */
void settings_print(const struct settings *s, FILE *out);

/* effective.json: all values with their origin, for the next run and for ace-resume; whole or not at all. */
enum status settings_write_effective(const struct settings *s, const char *path) ACE_NODISCARD;
#endif
