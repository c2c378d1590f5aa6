/* SPDX-License-Identifier: Apache-2.0 */
/* From a text to the value of an option. */
#include "base/settings_parts.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Other words for a value: upstream's, and the names of the Python trainer for what is one thing here. */
static const struct {
	const char *option, *from, *to;
} synonyms[] = {
	{ "mixed_precision", "32", "no" },
	{ "mixed_precision", "32-true", "no" },
	{ "mixed_precision", "fp32", "no" },
	{ "mixed_precision", "16", "fp16" },
	{ "mixed_precision", "16-mixed", "fp16" },
	{ "mixed_precision", "bf16-mixed", "bf16" },
	{ "optimizer", "bnb-adamw8bit", "ao-adamw8bit" },
	{ "optimizer", "bnb-adamw8bit-paged", "ao-adamw8bit" },
	{ "optimizer", "bnb-lion", "optimi-lion" },
	{ "optimizer", "bnb-lion8bit", "optimi-lion" },
	{ "lr_scheduler", "cosine_with_warmup", "cosine" },
	{ "lyrics_embedder_lr_scheduler", "cosine_with_warmup", "cosine" },
	{ "num_train_epochs", "-1", "0" },
	{ "max_train_steps", "-1", "0" },
	{ "caption_strategy", "instance_prompt", "instanceprompt" },
	{ "scheduled_sampling_sampler", "rk4", "unipc" },	/* euler takes the place of both */
};

/* 0 is none of these, whatever their range. */
static const char intervals[] = "checkpoint_step_interval checkpoint_epoch_interval validation_step_interval validation_epoch_interval "
	"eval_steps_interval eval_epoch_interval";

/* Names that the Python trainer has withdrawn. */
static const struct {
	const char *option, *from, *to;
} withdrawn[] = {
	{ "optimizer", "adafactor", "torch-adafactor" },
	{ "optimizer", "dadaptation", "prodigy" },
	{ "optimizer", "adamw8bit", "ao-adamw8bit" },
};

enum status
origin_code(enum settings_source source)
{
	return source == FROM_COMMAND ? ACE_EUSAGE : ACE_ECONFIG;
}

const char *
settings_origin(const char *where, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s", where ? where : "", where ? ": " : "");
	return buf;
}

const char *
settings_shown(const char *text, char *buf, size_t size)
{
	char cut[64], *end;
	size_t n = 0;

	if (*text && (strtod(text, &end), *end == 0) && strlen(text) < sizeof cut) {
		snprintf(buf, size, "%s", text);
		return buf;
	}
	for (; text[n] && n < sizeof cut - 4; n++)
		cut[n] = (unsigned char)text[n] < ' ' ? ' ' : text[n];
	while (n > 0 && text[n] && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;		/* no half character at the end */
	strcpy(cut + n, text[n] ? "..." : "");
	snprintf(buf, size, "\"%s\"", cut);
	return buf;
}

void
settings_number(double x, char *text, size_t size)
{
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, size, "%.*g", digits, x);
		if (strtod(text, NULL) == x)
			return;
	}
}

static bool
read_bool(const char *text, bool *v)
{
	static const char *const yes[] = { "true", "1", "yes", "on" }, *const no[] = { "false", "0", "no", "off" };

	for (int i = 0; i < 4; i++) {
		if (strcasecmp(text, yes[i]) == 0)
			return *v = true, true;
		if (strcasecmp(text, no[i]) == 0)
			return *v = false, true;
	}
	return false;
}

static bool
read_number(const char *text, bool whole, double *f, int64_t *i)
{
	char *end;

	if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
		return false;		/* no hexadecimal, no infinity, no blanks */
	*f = strtod(text, &end);
	if (*end || !isfinite(*f))
		return false;
	if (!whole)
		return true;
	errno = 0;
	*i = strtoll(text, &end, 10);
	if (*end == 0)
		return errno == 0;
	if (floor(*f) != *f || fabs(*f) > 9007199254740992.)
		return false;
	*i = (int64_t)*f;
	return true;
}

static bool
in_range(const struct option *o, double x)
{
	const char *dots = o->range ? strstr(o->range, "..") : NULL;

	if (!dots)
		return true;
	if (strcmp(o->name, "seed") == 0 && x == -1)
		return true;		/* a random one */
	if (dots != o->range && x < strtod(o->range, NULL))
		return false;
	return !dots[2] || x <= strtod(dots + 2, NULL);
}

/* None and, unless it may be meant as text, null count as no value. */
static bool
is_unset(const struct option *o, const char *text)
{
	if (o->type == OPT_ENUM && option_has_word(o->allowed, text))
		return false;
	if (strcmp(text, "None") == 0 || !*text)
		return true;
	return o->type != OPT_STRING && strcmp(text, "null") == 0;
}

enum status
settings_refuse(const struct option *o, const char *text, const struct origin *from)
{
	char head[600], shown[80];
	enum status code = origin_code(from->source);
	size_t name = strlen(o->name);

	settings_origin(from->where, head, sizeof head);
	settings_shown(text, shown, sizeof shown);
	if (strncmp(o->error, o->name, name) != 0)
		return ace_fail(code, "%s%s is %s: %s", head, o->name, shown, o->error);
	if (o->error[name] == '=' && strncmp(o->error + name + 1, text, strlen(text)) == 0)
		return ace_fail(code, "%s%s", head, o->error);
	return ace_fail(code, "%s%s (it is %s)", head, o->error, shown);
}

/* Whether the row's error begins with one of its values, and so speaks of that one alone. */
static bool
error_is_for_one(const struct option *o)
{
	char first[40];

	snprintf(first, sizeof first, "%.*s", (int)strcspn(o->error, " :"), o->error);
	return option_has_word(o->allowed, first);
}

static enum status
refuse(const struct option *o, const char *text, const struct origin *from)
{
	char shown[80], wanted[1000], head[600];
	enum status code = origin_code(from->source);

	settings_origin(from->where, head, sizeof head);
	for (size_t i = 0; i < sizeof withdrawn / sizeof *withdrawn; i++)
		if (strcmp(withdrawn[i].option, o->name) == 0 && strcmp(withdrawn[i].from, text) == 0)
			return ace_fail(code, "%s%s \"%s\" is no longer a name; use %s", head, o->name, text, withdrawn[i].to);
	if (o->error && !error_is_for_one(o))
		return settings_refuse(o, text, from);
	return ace_fail(code, "%s%s is %s; wanted %s", head, o->name, settings_shown(text, shown, sizeof shown),
			option_wanted(o, wanted, sizeof wanted));
}

static bool
is_no_interval(const struct option *o, const char *text)
{
	char *end;

	return option_has_word(intervals, o->name) && strtod(text, &end) == 0 && end != text && !*end;
}

/* text as o's type wants it into v (not its text); false when it does not fit. What has no effect fits with any number or word. */
static bool
read_value(const struct option *o, const char *text, struct setting *v)
{
	if (option_state(o) == OPT_NOTICE && o->type == OPT_ENUM)
		return true;
	if (option_state(o) == OPT_NOTICE && (o->type == OPT_INT || o->type == OPT_FLOAT))
		return read_number(text, o->type == OPT_INT, &v->f64, &v->i64);
	if (o->initial && is_no_interval(o, text))
		return read_number(text, true, &v->f64, &v->i64);
	switch (o->type) {
	case OPT_BOOL:
		return read_bool(text, &v->truth);
	case OPT_INT:
		if (!read_number(text, true, &v->f64, &v->i64) || !in_range(o, v->f64))
			return false;
		return !o->allowed || option_has_word(o->allowed, text);
	case OPT_FLOAT:
		return read_number(text, false, &v->f64, &v->i64) && in_range(o, v->f64);
	case OPT_ENUM:
		return !o->allowed || option_has_word(o->allowed, text);
	case OPT_BOOL_OR_STRING:
		if (!read_bool(text, &v->truth))
			v->truth = true;
		return true;
	case OPT_STRING: case OPT_PATH: case OPT_JSON:
		return true;
	}
	return false;
}

/* How the text of a value is kept. */
static char *
kept(const struct option *o, const char *text, const struct setting *v)
{
	char number[64];
	bool truth;

	if (o->type == OPT_BOOL || (o->type == OPT_BOOL_OR_STRING && read_bool(text, &truth)))
		return strdup(v->truth ? "true" : "false");
	if (o->type == OPT_FLOAT) {
		settings_number(v->f64, number, sizeof number);
		return strdup(number);
	}
	if (o->type == OPT_INT) {
		snprintf(number, sizeof number, "%lld", (long long)v->i64);
		return strdup(number);
	}
	return strdup(text);
}

static enum status
put(struct setting *at, struct setting v, char *text, const struct origin *from)
{
	v.text = text;
	v.source = from->source;
	v.where = from->where ? strdup(from->where) : NULL;
	if (!v.text || (from->where && !v.where)) {
		free(v.text);
		free(v.where);
		return ace_fail(ACE_ENOMEM, "no memory for a setting");
	}
	free(at->text);
	free(at->where);
	*at = v;
	return ACE_OK;
}

/* No value was given: the default is back, and does not count as set. */
static enum status
put_back(struct settings *s, const struct option *o)
{
	struct setting v = { 0 }, *at = settings_at(s, o);
	const struct origin from = { FROM_DEFAULT, NULL };

	if (o->initial) {
		bool fits = read_value(o, o->initial, &v);
		assert(fits);
		(void)fits;
		return put(at, v, kept(o, o->initial, &v), &from);
	}
	free(at->text);
	free(at->where);
	*at = v;
	return ACE_OK;
}

enum status
settings_assign(struct settings *s, const struct option *o, bool opposite, const char *text,
		const struct origin *from)
{
	struct setting v = { 0 };

	if (strcmp(o->name, "resume_from_checkpoint") == 0 && !*text)
		return put(settings_at(s, o), v, strdup(""), from);	/* a fresh start, unlike the default */
	if ((is_unset(o, text) || (!o->initial && is_no_interval(o, text))) && from->source != FROM_DEFAULT)
		return put_back(s, o);
	for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
		if (strcmp(synonyms[i].option, o->name) == 0 && strcmp(synonyms[i].from, text) == 0)
			text = synonyms[i].to;
	/* of a foreign option only the neutral value counts, which settings_check asks for */
	if (!read_value(o, text, &v) && !o->foreign)
		return refuse(o, text, from);
	if (opposite) {
		assert(o->type == OPT_BOOL);
		v.truth = !v.truth;
	}
	return put(settings_at(s, o), v, o->foreign ? strdup(text) : kept(o, text, &v), from);
}

enum status
settings_assign_all(struct settings *s, const struct given_list *l, const struct origin *from)
{
	for (int i = 0; i < l->n; i++)
		ACE_TRY(settings_assign(s, l->v[i].o, l->v[i].opposite, l->v[i].text, from));
	return ACE_OK;
}

enum status
settings_fill(struct settings *s, const char *name, const char *text, const struct origin *from)
{
	const struct option *o = option_find(name, NULL);

	assert(o);
	if (settings_at(s, o)->source != FROM_DEFAULT)
		return ACE_OK;
	return settings_assign(s, o, false, text, from);
}
