/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts: of a command line, a file, the environment. */
#include "base/settings_parts.h"

#include "base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum status
given_add(struct given_list *l, const struct option *o, bool opposite, char *text)
{
	struct given *more = text ? realloc(l->v, ((size_t)l->n + 1) * sizeof *more) : NULL;

	if (!more) {
		free(text);
		return ace_fail(ACE_ENOMEM, "no memory for the settings");
	}
	l->v = more;
	more[l->n++] = (struct given){ o, opposite, text };
	return ACE_OK;
}

void
given_free(struct given_list *l)
{
	for (int i = 0; i < l->n; i++)
		free(l->v[i].text);
	free(l->v);
	*l = (struct given_list){ 0 };
}

const char *
given_last(const struct given_list *l, const char *name)
{
	for (int i = l->n; i-- > 0;)
		if (strcmp(l->v[i].o->name, name) == 0)
			return l->v[i].text;
	return NULL;
}

/* Names of upstream that ask for what happens anyway. */
static bool
is_moot(const char *key)
{
	return strcmp(key, "reload_dataloaders_every_n_epochs") == 0;
}

static enum status
unknown(const struct settings *s, const char *key, const struct origin *from)
{
	const char *near = option_nearest(key, s->program->bit | s->program->also);
	bool command = from->source == FROM_COMMAND;
	char shown[80];

	settings_shown(key, shown, sizeof shown);
	if (near)
		return ace_fail(origin_code(from->source), "%s%sunknown %s %s; did you mean \"%s\"?",
				from->where ? from->where : "", from->where ? ": " : "",
				command ? "option" : "key", shown, near);
	return ace_fail(origin_code(from->source), "%s%sunknown %s %s", from->where ? from->where : "",
			from->where ? ": " : "", command ? "option" : "key", shown);
}

/* The programs that take o, as "ace-train, ace-resume". */
static void
takers(const struct option *o, char *text, size_t size)
{
	size_t at = 0;

	text[0] = 0;
	for (int i = 0; i < programs_count() && at < size; i++)
		if (program_at(i)->bit & o->programs)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", program_at(i)->name);
}

enum status
settings_key(struct settings *s, struct given_list *l, const char *key, const char *text, const struct origin *from)
{
	bool opposite, command = from->source == FROM_COMMAND;
	const struct option *o = option_find(key, &opposite);
	const struct program *p = s->program;
	char who[200];

	while (*key == '-')
		key++;
	if (!o && is_moot(key))
		return settings_notice(s, "%s: songs are shuffled anew each epoch anyway", key);
	if (!o && option_is_elsewhere(key))
		return settings_notice(s, "%s%s%s: option of other models, not used for ace_step",
				       from->where ? from->where : "", from->where ? ": " : "", key);
	if (!o)
		return unknown(s, key, from);
	if (command && !(o->programs & (p->bit | p->also))) {
		takers(o, who, sizeof who);
		return ace_fail(ACE_EUSAGE, "%s is no option of %s; it is one of %s", key, p->name, who);
	}
	return given_add(l, o, opposite, strdup(text));
}

/* Whether an argument is KEY=...; *n becomes the length of KEY. */
static bool
is_pair(const char *arg, size_t *n)
{
	size_t i = 0;

	while (arg[i] == '-')
		i++;
	if (!isalpha((unsigned char)arg[i]))
		return false;
	while (isalnum((unsigned char)arg[i]) || arg[i] == '_' || arg[i] == '-')
		i++;
	*n = i;
	return arg[i] == '=';
}

static bool
is_truth_word(const char *text)
{
	static const char words[] = "true false 1 0 yes no on off True False";

	return option_has_word(words, text);
}

static enum status
add_word(struct settings *s, const char *word)
{
	char **more = realloc(s->word, ((size_t)s->n_words + 1) * sizeof *more);

	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for the arguments");
	s->word = more;
	if (!(more[s->n_words] = strdup(word)))
		return ace_fail(ACE_ENOMEM, "no memory for the arguments");
	s->n_words++;
	return ACE_OK;
}

/* "--key" without '=': its value is the next argument, or true. *used: arguments taken. */
static enum status
dashed(struct settings *s, struct given_list *l, const char *arg, const char *next, int *used,
       const struct origin *from)
{
	bool opposite, truth, takes, may;
	const struct option *o = option_find(arg, &opposite);
	size_t key;

	*used = 1;
	truth = !o || o->type == OPT_BOOL || o->type == OPT_BOOL_OR_STRING;
	/* a name that may stand alone has its value behind it, unless that is the next name */
	may = o ? o->type == OPT_BOOL_OR_STRING : is_moot(arg + strspn(arg, "-")) || option_is_elsewhere(arg);
	/* "-1" is a value, "--x" is not; an unknown name fails below whatever follows */
	takes = next && strncmp(next, "--", 2) != 0 && (truth ? may || (o && is_truth_word(next)) : true);
	if (takes && may && !is_truth_word(next))
		takes = !is_pair(next, &key);
	if (takes) {
		*used = 2;
		return settings_key(s, l, arg, next, from);
	}
	if (!truth)
		return ace_fail(origin_code(from->source), "%s wants a value: %s=...", arg, arg);
	return settings_key(s, l, arg, "true", from);
}

/* KEY=VALUE with KEY n bytes long. A file of that name is a word where words are taken. */
static enum status
pair(struct settings *s, struct given_list *l, const char *arg, size_t n, bool words, const struct origin *from)
{
	char *key = strndup(arg, n);
	enum status st;

	if (!key)
		return ace_fail(ACE_ENOMEM, "no memory for the arguments");
	if (words && s->program->max_words && *arg != '-' && !option_find(key, &(bool){ false }) &&
	    !option_is_elsewhere(key) && file_exists(arg))
		st = add_word(s, arg);
	else
		st = settings_key(s, l, key, arg + n + 1, from);
	free(key);
	return st;
}

enum status
settings_arguments(struct settings *s, struct given_list *l, int n, char *const *arg, bool words,
		   const struct origin *from)
{
	bool literal = false;

	for (int i = 0, used = 1; i < n; i += used) {
		size_t key;
		used = 1;
		if (literal) {
			ACE_TRY(add_word(s, arg[i]));
		} else if (words && strcmp(arg[i], "--") == 0) {
			literal = true;
		} else if (strcmp(arg[i], "-q") == 0) {
			ACE_TRY(settings_key(s, l, "quiet", "true", from));
		} else if (strcmp(arg[i], "-v") == 0) {
			ACE_TRY(settings_key(s, l, "verbose", "true", from));
		} else if (is_pair(arg[i], &key)) {
			ACE_TRY(pair(s, l, arg[i], key, words, from));
		} else if (strncmp(arg[i], "--", 2) == 0) {
			ACE_TRY(dashed(s, l, arg[i], i + 1 < n ? arg[i + 1] : NULL, &used, from));
		} else if (arg[i][0] == '-' && arg[i][1]) {
			return unknown(s, arg[i], from);
		} else if (words && s->n_words < s->program->max_words) {
			ACE_TRY(add_word(s, arg[i]));
		} else {
			char shown[80];
			return ace_fail(origin_code(from->source), "%s is neither an option nor key=value",
					settings_shown(arg[i], shown, sizeof shown));
		}
	}
	return ACE_OK;
}

/* The next word of *p as a shell would read it, into word (as large as the line); false at the end of the line. */
static bool
next_word(const char **p, char *word)
{
	const char *c = *p;
	char quote = 0;

	while (isspace((unsigned char)*c))
		c++;
	if (!*c)
		return false;
	for (; *c && (quote || !isspace((unsigned char)*c)); c++) {
		if (quote && *c == quote)
			quote = 0;
		else if (!quote && (*c == '"' || *c == '\''))
			quote = *c;
		else if (*c == '\\' && quote != '\'' && c[1])
			*word++ = *++c;
		else
			*word++ = *c;
	}
	*word = 0;
	*p = c;
	return true;
}

enum status
settings_argument_line(struct settings *s, struct given_list *l, const char *line, const struct origin *from)
{
	enum { MOST = 512 };
	char **word = calloc(MOST, sizeof *word), *text = malloc(strlen(line) + 1);
	enum status st = word && text ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for the arguments");
	int n = 0;

	while (st == ACE_OK && n < MOST && next_word(&line, text))
		if (!(word[n++] = strdup(text)))
			st = ace_fail(ACE_ENOMEM, "no memory for the arguments");
	if (st == ACE_OK)
		st = settings_arguments(s, l, n, word, false, from);
	for (int i = 0; i < n; i++)
		free(word[i]);
	free(word);
	free(text);
	return st;
}
