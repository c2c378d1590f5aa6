/* SPDX-License-Identifier: Apache-2.0 */
#include "store/facts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct fact *
find(struct facts *f, const char *name)
{
	for (int i = 0; i < f->n; i++)
		if (strcmp(f->fact[i].name, name) == 0)
			return &f->fact[i];
	return NULL;
}

void
facts_set(struct facts *f, const char *name, bool compare, const char *fmt, ...)
{
	struct fact *a = find(f, name);
	va_list ap;

	if (!a) {
		assert(f->n < FACTS_MAX && strlen(name) < FACT_NAME);
		a = &f->fact[f->n++];
		snprintf(a->name, sizeof a->name, "%s", name);
	}
	a->compare = compare;
	va_start(ap, fmt);
	vsnprintf(a->value, sizeof a->value, fmt, ap);
	va_end(ap);
}

const char *
facts_get(const struct facts *f, const char *name)
{
	for (int i = 0; i < f->n; i++)
		if (strcmp(f->fact[i].name, name) == 0)
			return f->fact[i].value;
	return NULL;
}

/* Hashes are shown by their first digits. */
static int
shown(const char *value)
{
	size_t n = strlen(value);

	return n == 64 && strspn(value, "0123456789abcdef") == n ? 12 : (int)n;
}

enum status
facts_check(const struct facts *have, const struct facts *want, const char *where)
{
	for (int i = 0; i < want->n; i++) {
		const struct fact *w = &want->fact[i];
		const char *h = w->compare ? facts_get(have, w->name) : w->value;
		if (!h)		/* stores that do not say it are older than the choice */
			h = strcmp(w->name, "autoencoder_dtype") == 0 ? "f32" : "unknown";
		if (strcmp(h, w->value) != 0)
			return ace_fail(ACE_ECONFIG, "%s: made with %s %.*s; here it is %.*s", where, w->name,
			                shown(h), h, shown(w->value), w->value);
	}
	return ACE_OK;
}

bool
facts_same(const struct facts *a, const struct facts *b)
{
	bool same = a->n == b->n;

	for (int i = 0; same && i < a->n; i++)
		same = strcmp(a->fact[i].name, b->fact[i].name) == 0 && strcmp(a->fact[i].value, b->fact[i].value) == 0;
	return same;
}

void
facts_own(struct facts *own, const struct facts *part)
{
	own->n = 0;
	for (int i = 0; i < part->n; i++)
		if (strcmp(part->fact[i].name, "kind") != 0)
			facts_set(own, part->fact[i].name, false, "%s", part->fact[i].value);
}
