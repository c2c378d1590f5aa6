/* SPDX-License-Identifier: Apache-2.0 */
#include "data/hf_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TERMS = 32 };
enum op { EQ, NE, LE, GE, LT, GT, HAS, HAS_NOT };

static const char *const ops[] = { "=", "!=", "<=", ">=", "<", ">", "~", "!~" };

struct term {
	char *value;
	enum op op;
	double number;			/* NAN: the value is none */
};

struct hf_filter {
	struct term term[TERMS];
	char *name[TERMS + 1];
	int n;
};

void
hf_filter_free(struct hf_filter *f)
{
	for (int i = 0; f && i < f->n; i++) {
		free(f->name[i]);
		free(f->term[i].value);
	}
	free(f);
}

static enum status
wrong(const char *text)
{
	return ace_fail(ACE_EUSAGE, "filter=\"%.100s\": wanted COLUMN=VALUE, with = != < <= > >= ~ (contains) or !~ between them, and "
	                "commas between several", text);
}

/* One term from *p on; *p is moved behind it and its comma. */
static enum status
parse_term(struct hf_filter *f, const char *all, const char **p)
{
	const char *at = *p + strspn(*p, " "), *from, *to;
	size_t n = strcspn(at, "=!<>~,");
	struct term *t = &f->term[f->n];
	int op = -1;
	char *end;

	for (from = at; n > 0 && at[n - 1] == ' '; n--)
		;
	at += strcspn(at, "=!<>~,");
	for (int i = 0; i < 8; i++)
		if (strncmp(at, ops[i], strlen(ops[i])) == 0 && (op < 0 || strlen(ops[i]) > strlen(ops[op])))
			op = i;
	if (n == 0 || op < 0 || f->n == TERMS)
		return wrong(all);
	f->name[f->n] = strndup(from, n);
	at += strlen(ops[op]);
	at += *at == '=' && op == EQ;		/* "==" */
	at += strspn(at, " ");
	if (*at == '"') {
		to = strchr(at + 1, '"');
		if (!to)
			return wrong(all);
		t->value = strndup(at + 1, (size_t)(to - at - 1));
		to++;
		to += strspn(to, " ");
	} else {
		for (to = at + strcspn(at, ","), n = (size_t)(to - at); n > 0 && at[n - 1] == ' '; n--)
			;
		t->value = strndup(at, n);
	}
	if (!f->name[f->n] || !t->value)
		return ace_fail(ACE_ENOMEM, "no memory");
	t->op = (enum op)op;
	t->number = strtod(t->value, &end);
	if (end == t->value || *end)
		t->number = NAN;
	f->n++;
	if ((*to && *to != ',') || (op >= LE && op <= GT && isnan(t->number)))
		return wrong(all);
	*p = to + (*to == ',');
	return ACE_OK;
}

enum status
hf_filter_parse(struct hf_filter **out, const char *text)
{
	struct hf_filter *f = calloc(1, sizeof *f);
	enum status st = f ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");

	*out = NULL;
	for (const char *p = text; st == ACE_OK && *p;)
		st = parse_term(f, text, &p);
	if (st == ACE_OK && f->n == 0)
		st = wrong(text);
	if (st != ACE_OK) {
		if (f && f->name[f->n]) {	/* of the term that failed */
			free(f->name[f->n]);
			free(f->term[f->n].value);
		}
		hf_filter_free(f);
		return st;
	}
	*out = f;
	return ACE_OK;
}

const char *const *
hf_filter_columns(const struct hf_filter *f)
{
	static const char *const none[] = { NULL };

	return f ? (const char *const *)f->name : none;
}

static bool
contains(const char *text, size_t n, const char *what)
{
	size_t m = strlen(what);

	for (size_t i = 0; i + m <= n; i++)
		if (memcmp(text + i, what, m) == 0)
			return true;
	return false;
}

/* = and ~, for which a list holds when one of its elements does. */
static bool
same(const struct term *t, bool part, struct cell c)
{
	const char *text;
	size_t n;
	double x;

	if (cell_kind(c) == CELL_LIST) {
		for (int64_t i = 0; i < cell_count(c); i++)
			if (same(t, part, cell_element(c, i)))
				return true;
		return false;
	}
	if (cell_kind(c) == CELL_BOOL && cell_number(c, &x))
		return strcmp(t->value, x != 0 ? "true" : "false") == 0 || t->number == x;
	if (cell_number(c, &x))
		return t->number == x;
	if (!cell_text(c, &text, &n))
		return false;
	if (part)
		return contains(text, n, t->value);
	return n == strlen(t->value) && memcmp(text, t->value, n) == 0;
}

/* A number, be it written as text, as in CSV. */
static bool
number(struct cell c, double *x)
{
	char copy[64], *end;
	const char *text;
	size_t n;

	if (cell_number(c, x))
		return true;
	if (!cell_text(c, &text, &n) || n == 0 || n >= sizeof copy)
		return false;
	memcpy(copy, text, n);
	copy[n] = 0;
	*x = strtod(copy, &end);
	return *end == 0;
}

static bool
holds(const struct term *t, struct cell c)
{
	double x;

	switch (t->op) {
	case EQ: return same(t, false, c);
	case NE: return !same(t, false, c);
	case HAS: return same(t, true, c);
	case HAS_NOT: return !same(t, true, c);
	case LT: return number(c, &x) && x < t->number;
	case LE: return number(c, &x) && x <= t->number;
	case GT: return number(c, &x) && x > t->number;
	case GE: return number(c, &x) && x >= t->number;
	}
	return false;
}

bool
hf_filter_takes(const struct hf_filter *f, struct cell row)
{
	for (int i = 0; f && i < f->n; i++)
		if (!holds(&f->term[i], cell_member(row, f->name[i])))
			return false;
	return true;
}
