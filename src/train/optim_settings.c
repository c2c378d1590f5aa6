/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optim_settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a rule has of the settings: these bits say which keys it takes. */
enum {
	HAS_BETAS = 1, HAS_EPS = 2, HAS_DECAY = 4, HAS_MOMENTUM = 8, HAS_FACTORS = 16, HAS_D = 32, HAS_WARMUP = 64,
	ADAM = HAS_BETAS | HAS_EPS | HAS_DECAY,
};

static const struct rule {
	const char *name, *aliases;	/* aliases between blanks */
	enum optim_rule rule;
	unsigned has;
	double beta1, beta2, eps, weight_decay;
} rules[] = {
	{ "torch-adamw", " ", OPTIM_ADAMW, ADAM, 0.9, 0.999, 1e-8, 0.01 },
	{ "torch-adam", " ", OPTIM_ADAM, ADAM, 0.9, 0.999, 1e-8, 0 },
	{ "torch-sgd", " ", OPTIM_SGD, HAS_MOMENTUM | HAS_DECAY, 0, 0, 0, 0 },
	{ "torch-adafactor", " ", OPTIM_ADAFACTOR, HAS_FACTORS | HAS_DECAY, 0, 0, 0x1p-23, 0 },
	{ "adamw_bf16", " ", OPTIM_ADAMW_BF16, ADAM, 0.9, 0.999, 1e-6, 0.01 },
	{ "optimi-adamw", " ", OPTIM_OPTIMI_ADAMW, ADAM, 0.9, 0.99, 1e-6, 0 },
	{ "optimi-stableadamw", " ", OPTIM_STABLEADAMW, ADAM, 0.9, 0.99, 1e-6, 0.01 },
	{ "optimi-lion", " bnb-lion bnb-lion8bit ", OPTIM_LION, HAS_BETAS | HAS_DECAY, 0.9, 0.99, 0, 0 },
	{ "ao-adamw8bit", " bnb-adamw8bit bnb-adamw8bit-paged ", OPTIM_ADAMW8BIT, ADAM, 0.9, 0.999, 1e-6, 0.01 },
	{ "adamw_schedulefree", " ", OPTIM_SCHEDULEFREE, ADAM | HAS_WARMUP, 0.9, 0.999, 1e-8, 0.01 },
	{ "prodigy", " ", OPTIM_PRODIGY, HAS_BETAS | HAS_EPS | HAS_D, 0.9, 0.99, 1e-8, 0 },
};

static const struct { const char *name, *instead; } withdrawn[] = {
	{ "adafactor", "torch-adafactor" },
	{ "dadaptation", "prodigy" },
	{ "adamw8bit", "ao-adamw8bit" },
};

enum kind { REAL, WHOLE, TRUTH };

static const struct key {
	const char *name;
	unsigned has;			/* rules with one of these take it */
	enum kind kind;
	size_t at;
	double low, high;		/* low <= value <= high; betas: below 1 */
} keys[] = {
#define KEY(name, has, kind, low, high) { #name, has, kind, offsetof(struct optim_settings, name), low, high }
	KEY(beta1, HAS_BETAS, REAL, 0, 0.9999999999), KEY(beta2, HAS_BETAS, REAL, 0, 0.9999999999),
	KEY(eps, HAS_EPS, REAL, 0, INFINITY), KEY(weight_decay, HAS_DECAY, REAL, 0, INFINITY),
	KEY(momentum, HAS_MOMENTUM, REAL, 0, INFINITY), KEY(dampening, HAS_MOMENTUM, REAL, 0, 1),
	KEY(nesterov, HAS_MOMENTUM, TRUTH, 0, 1), KEY(beta2_decay, HAS_FACTORS, REAL, -INFINITY, 0),
	KEY(eps2, HAS_FACTORS, REAL, 0, INFINITY), KEY(d, HAS_FACTORS, REAL, 1e-30, INFINITY),
	KEY(d0, HAS_D, REAL, 1e-30, INFINITY), KEY(d_coef, HAS_D, REAL, 1e-30, INFINITY),
	KEY(factored, HAS_D, TRUTH, 0, 1), KEY(prodigy_steps, HAS_D, WHOLE, 0, 1e15),
#undef KEY
	{ "warmup_steps", HAS_WARMUP, WHOLE, offsetof(struct optim_settings, warmup), 0, 1e15 },
	{ "eps1", HAS_FACTORS, REAL, offsetof(struct optim_settings, eps), 0, INFINITY },
};
enum { KEYS = sizeof keys / sizeof *keys, RULES = sizeof rules / sizeof *rules };

static const struct rule *
rule_of(enum optim_rule rule)
{
	for (int i = 0; i < RULES; i++)
		if (rules[i].rule == rule)
			return &rules[i];
	return NULL;
}

const char *
optim_rule_name(enum optim_rule rule)
{
	return rule_of(rule)->name;
}

bool
optim_clips(enum optim_rule rule)
{
	return rule != OPTIM_STABLEADAMW && rule != OPTIM_PRODIGY;
}

bool
optim_parts(enum optim_rule rule)
{
	return rule != OPTIM_ADAFACTOR && rule != OPTIM_STABLEADAMW && rule != OPTIM_PRODIGY;
}

bool
optim_averages(enum optim_rule rule)
{
	return rule == OPTIM_SCHEDULEFREE || rule == OPTIM_PRODIGY;
}

bool
optim_follows_schedule(enum optim_rule rule)
{
	return rule != OPTIM_SCHEDULEFREE;
}

static enum status
find_rule(const char *name, const struct rule **rule)
{
	char word[80], list[400] = "";

	snprintf(word, sizeof word, " %s ", name);
	for (int i = 0; i < RULES; i++) {
		size_t n = strlen(list);
		*rule = &rules[i];
		if (strcmp(rules[i].name, name) == 0 || strstr(rules[i].aliases, word))
			return ACE_OK;
		snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", rules[i].name);
	}
	for (size_t i = 0; i < sizeof withdrawn / sizeof *withdrawn; i++)
		if (strcmp(withdrawn[i].name, name) == 0)
			return ace_fail(ACE_ECONFIG, "optimizer %s was withdrawn, %s has taken its place", name,
			                withdrawn[i].instead);
	return ace_fail(ACE_ECONFIG, "optimizer %s is not built; there are %s", name, list);
}

static enum status
put(struct optim_settings *o, const struct key *k, double value, const char *from)
{
	char *at = (char *)o + k->at;

	if (!(value >= k->low && value <= k->high))
		return ace_fail(ACE_ECONFIG, "%s: %s is %g, wanted %g to %g", from, k->name, value, k->low, k->high);
	switch (k->kind) {
	case REAL: *(double *)at = value; break;
	case WHOLE: *(int64_t *)at = (int64_t)value; break;
	case TRUTH: *(bool *)at = value != 0; break;
	}
	return ACE_OK;
}

static const struct key *
find_key(const char *name, unsigned has)
{
	for (int i = 0; i < KEYS; i++)
		if ((keys[i].has & has) && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

struct text {
	char *at;
	size_t size;
};

static void
append(struct text *t, const char *name)
{
	size_t n = t->size > 0 ? strlen(t->at) : 0;

	if (n < t->size)
		snprintf(t->at + n, t->size - n, "%s%s", n ? ", " : "", name);
}

/* A number that was given goes to its key; where the rule lacks it, the option is unknown. */
static enum status
given(struct optim_settings *o, unsigned has, const char *key, double value, const char *option, struct text *unknown)
{
	const struct key *k = find_key(key, has);

	if (isnan(value))
		return ACE_OK;
	if (k)
		return put(o, k, value, option);
	append(unknown, option);
	return ACE_OK;
}

static enum status
put_text(struct optim_settings *o, const struct key *k, const char *text)
{
	char *end;
	double value;

	if (strcmp(text, "none") == 0 || strcmp(text, "None") == 0)
		return ACE_OK;			/* nothing said */
	if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0)
		value = 1;
	else if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0)
		value = 0;
	else if (k->kind == TRUTH)
		return ace_fail(ACE_ECONFIG, "optimizer_config: %s is '%s', wanted true or false", k->name, text);
	else
		value = strtod(text, &end);
	if (k->kind != TRUTH && (*text == 't' || *text == 'T' || *text == 'f' || *text == 'F' || *end || end == text))
		return ace_fail(ACE_ECONFIG, "optimizer_config: %s is '%s', wanted a number", k->name, text);
	if (k->kind == WHOLE && value != floor(value))
		return ace_fail(ACE_ECONFIG, "optimizer_config: %s is '%s', wanted a whole number", k->name, text);
	return put(o, k, value, "optimizer_config");
}

/* Cut the blanks around text off, in place. */
static char *
trimmed(char *text)
{
	size_t n;

	text += strspn(text, " \t");
	for (n = strlen(text); n > 0 && strchr(" \t", text[n - 1]); n--)
		text[n - 1] = 0;
	return text;
}

static enum status
read_config(struct optim_settings *o, unsigned has, char *config, struct text *unknown)
{
	for (char *next, *at = config; at; at = next) {
		char *value = NULL, *name;
		const struct key *k;

		next = strchr(at, ',');
		if (next)
			*next++ = 0;
		name = trimmed(at);
		if (!*name)
			continue;
		value = strchr(name, '=');
		if (!value)
			return ace_fail(ACE_ECONFIG, "optimizer_config: '%s' is no key=value", name);
		*value++ = 0;
		name = trimmed(name);
		k = find_key(name, has);
		if (k)
			ACE_TRY(put_text(o, k, trimmed(value)));
		else
			append(unknown, name);
	}
	return ACE_OK;
}

enum status
optim_settings_resolve(struct optim_settings *o, const struct optim_wish *w, char *unknown, size_t size)
{
	struct text left = { unknown, size };
	const struct rule *r;
	enum status st = ACE_OK;

	if (size > 0)
		*unknown = 0;
	ACE_TRY(find_rule(w->optimizer, &r));
	*o = (struct optim_settings){ .rule = r->rule, .beta1 = r->beta1, .beta2 = r->beta2, .eps = r->eps,
		.weight_decay = r->weight_decay, .beta2_decay = -0.8, .eps2 = 1e-3, .d = 1, .d0 = 1e-6, .d_coef = 1,
		.prodigy_steps = w->prodigy_steps, .warmup = w->warmup };
	ACE_TRY(given(o, r->has, "beta1", w->adam_beta1, "adam_beta1", &left));
	ACE_TRY(given(o, r->has, "beta2", w->adam_beta2, "adam_beta2", &left));
	ACE_TRY(given(o, r->has, "eps", w->adam_epsilon, "adam_epsilon", &left));
	ACE_TRY(given(o, r->has, "weight_decay", w->adam_weight_decay, "adam_weight_decay", &left));
	if (w->config) {
		char *config = strdup(w->config);
		if (!config)
			return ace_fail(ACE_ENOMEM, "no memory for optimizer_config");
		st = read_config(o, r->has, config, &left);
		free(config);
		ACE_TRY(st);
	}
	if (isnan(w->beta1) != isnan(w->beta2))
		return ace_fail(ACE_ECONFIG, "optimizer_beta1 and optimizer_beta2 come together, only one of them is given");
	ACE_TRY(given(o, r->has, "beta1", w->beta1, "optimizer_beta1", &left));
	return given(o, r->has, "beta2", w->beta2, "optimizer_beta2", &left);
}
