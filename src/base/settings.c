/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings_parts.h"

#include "base/file.h"
#include "base/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_LIMIT = 4 << 20 };

enum status
settings_init(struct settings *s, const struct program *p)
{
	static const struct origin from = { FROM_DEFAULT, NULL };

	*s = (struct settings){ .program = p };
	s->v = calloc((size_t)options_count(), sizeof *s->v);
	if (!s->v)
		return ace_fail(ACE_ENOMEM, "no memory for the settings");
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		if (o->initial)
			ACE_TRY(settings_assign(s, o, false, o->initial, &from));
	}
	return ACE_OK;
}

void
settings_free(struct settings *s)
{
	for (int i = 0; s->v && i < options_count(); i++) {
		free(s->v[i].text);
		free(s->v[i].where);
	}
	for (int i = 0; i < s->n_words; i++)
		free(s->word[i]);
	for (int i = 0; i < s->n_notices; i++)
		free(s->notice[i]);
	free(s->v);
	free(s->word);
	free(s->notice);
	free(s->file);
	free(s->dir);
	*s = (struct settings){ 0 };
}

enum status
settings_notice(struct settings *s, const char *fmt, ...)
{
	char text[2048];
	char **more = realloc(s->notice, ((size_t)s->n_notices + 1) * sizeof *more);
	va_list ap;

	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for a notice");
	s->notice = more;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!(more[s->n_notices] = strdup(text)))
		return ace_fail(ACE_ENOMEM, "no memory for a notice");
	s->n_notices++;
	return ACE_OK;
}

struct setting *
settings_at(const struct settings *s, const struct option *o)
{
	return &s->v[o - option_at(0)];
}

static const struct option *
option_of(const char *name)
{
	const struct option *o = option_find(name, NULL);

	assert(o && "an option of the table");
	return o;
}

enum status
settings_set(struct settings *s, const char *name, const char *value, const char *where)
{
	const struct origin from = { FROM_COMMAND, where };
	bool opposite;
	const struct option *o = option_find(name, &opposite);

	if (!o)
		return ace_fail(ACE_EUSAGE, "unknown option \"%s\"", name);
	return settings_assign(s, o, opposite, value ? value : "", &from);
}

const char *
settings_str(const struct settings *s, const char *name)
{
	const struct option *o = option_of(name);
	const char *text = settings_at(s, o)->text;

	assert(o->type != OPT_BOOL && o->type != OPT_INT && o->type != OPT_FLOAT);
	return text && *text ? text : NULL;
}

int64_t
settings_i64(const struct settings *s, const char *name)
{
	const struct option *o = option_of(name);

	assert(o->type == OPT_INT);
	return settings_at(s, o)->i64;
}

double
settings_f64(const struct settings *s, const char *name)
{
	const struct option *o = option_of(name);

	assert(o->type == OPT_FLOAT || o->type == OPT_INT);
	return settings_at(s, o)->f64;
}

bool
settings_bool(const struct settings *s, const char *name)
{
	const struct option *o = option_of(name);

	assert(o->type == OPT_BOOL || o->type == OPT_BOOL_OR_STRING);
	return settings_at(s, o)->truth;
}

bool
settings_has(const struct settings *s, const char *name)
{
	const char *text = settings_at(s, option_of(name))->text;

	return text && *text;
}

bool
settings_is_set(const struct settings *s, const char *name)
{
	return settings_source(s, name) != FROM_DEFAULT;
}

enum settings_source
settings_source(const struct settings *s, const char *name)
{
	return settings_at(s, option_of(name))->source;
}

const char *
settings_where(const struct settings *s, const char *name)
{
	const struct setting *v = settings_at(s, option_of(name));

	if (v->where)
		return v->where;
	return v->source == FROM_COMMAND ? "command line" : "default";
}

enum status
settings_json(const struct settings *s, const char *name, cJSON **root)
{
	const struct option *o = option_of(name);
	const struct setting *v = settings_at(s, o);
	char head[600];

	assert(o->type == OPT_JSON);
	*root = NULL;
	if (!v->text || !*v->text)
		return ACE_OK;
	if (*v->text != '[' && *v->text != '{') {
		if (!file_exists(v->text))
			return ace_fail(ACE_ENOINPUT, "%s=%.200s: no such file", name, v->text);
		return json_read(v->text, JSON_LIMIT, root);
	}
	settings_origin(v->where, head, sizeof head);
	return json_parse(v->text, strlen(v->text), *head ? head : name, root);
}
