/* SPDX-License-Identifier: Apache-2.0 */
/* settings_parts.h - what the files settings*.c share; of no use elsewhere */
#ifndef ACE_BASE_SETTINGS_PARTS_H
#define ACE_BASE_SETTINGS_PARTS_H

#include "base/settings.h"

/* One spelling with its text, not yet applied. */
struct given {
	const struct option *o;
	bool opposite;			/* the spelling means the opposite */
	char *text;			/* owned */
};

struct given_list {
	struct given *v;
	int n;
};

/* text (moved) joins the list; text NULL means that memory ran out. */
enum status given_add(struct given_list *l, const struct option *o, bool opposite, char *text) ACE_NODISCARD;
void given_free(struct given_list *l);
/* The last text given for an option; NULL when none. Borrowed. */
const char *given_last(const struct given_list *l, const char *name);

/* Where values come from; name: a file, or "environment"; "" for the command line. */
struct origin {
	enum settings_source source;
	const char *where;
};
enum status origin_code(enum settings_source source);	/* of a failure: ACE_EUSAGE or ACE_ECONFIG */

/* Give option o the value of text: types, range, allowed words. Whether it is built is asked by settings_check. */
enum status settings_assign(struct settings *s, const struct option *o, bool opposite, const char *text,
			    const struct origin *from) ACE_NODISCARD;
enum status settings_assign_all(struct settings *s, const struct given_list *l, const struct origin *from) ACE_NODISCARD;

/* As settings_assign, when nobody has given the option a value yet. */
enum status settings_fill(struct settings *s, const char *name, const char *text, const struct origin *from) ACE_NODISCARD;

struct setting *settings_at(const struct settings *s, const struct option *o);

/* A line to be said later. */
enum status settings_notice(struct settings *s, const char *fmt, ...) ACE_PRINTF(2, 3);

/* Key and text of a file or the environment into the list; unknown keys fail, those of other models are noticed. */
enum status settings_key(struct settings *s, struct given_list *l, const char *key, const char *text,
			 const struct origin *from) ACE_NODISCARD;

/* The arguments of a command line, or of TRAINER_EXTRA_ARGS (words false: a positional argument fails). */
enum status settings_arguments(struct settings *s, struct given_list *l, int n, char *const *arg, bool words,
			       const struct origin *from) ACE_NODISCARD;
/* The same from one line, split as a shell does (blanks, both quotes, backslash). */
enum status settings_argument_line(struct settings *s, struct given_list *l, const char *line,
				   const struct origin *from) ACE_NODISCARD;

/* Configuration files: path into the list. config.env files give their names of the environment. */
enum status settings_read_json(struct settings *s, struct given_list *l, const char *path) ACE_NODISCARD;
enum status settings_read_toml(struct settings *s, struct given_list *l, const char *path) ACE_NODISCARD;

/* The environment: what the shell gives, and what config.env files add. */
struct env_list {
	struct { char *key, *value; bool shell; } *v;	/* shell: as strong as the environment itself */
	int n;
};
enum status env_read(struct env_list *e, const char *path) ACE_NODISCARD;
const char *env_file_value(const struct env_list *e, const char *key, bool *shell);	/* NULL: none */
void env_free(struct env_list *e);

/* text with each {env:NAME} replaced; owned by the caller. */
enum status settings_expand(const char *text, const char *where, const char *key, char **expanded) ACE_NODISCARD;

/* preset=upstream, lora_config_path, seed, what follows from what; then what is refused. */
enum status settings_derive(struct settings *s) ACE_NODISCARD;
enum status settings_check(struct settings *s) ACE_NODISCARD;

/* text for a message: quoted unless it is a number, cut when long; into buf, returned. */
const char *settings_shown(const char *text, char *buf, size_t size);
/* "PATH: ", "environment NAME: " or "": the beginning of a message about a value; into buf, returned. */
const char *settings_origin(const char *where, char *buf, size_t size);
/* The failure of an option with the error of its row. */
enum status settings_refuse(const struct option *o, const char *text, const struct origin *from) ACE_NODISCARD;

/* The shortest text that reads back as x. */
void settings_number(double x, char *text, size_t size);
#endif
