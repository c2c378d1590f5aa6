/* SPDX-License-Identifier: Apache-2.0 */
/* facts.h - what a store was made with, kept in each of its part files, compared when it is opened
 *
 * A fact is a name and a text. Those that change numbers (model, truncation, resampler, dtype ...) are compared;
 * the rest (product version, names) is there for people. */
#ifndef ACE_STORE_FACTS_H
#define ACE_STORE_FACTS_H

#include "base/status.h"

#include <stdbool.h>

enum { FACTS_MAX = 24, FACT_NAME = 32, FACT_VALUE = 128 };

struct fact {
	char name[FACT_NAME], value[FACT_VALUE];
	bool compare;
};

struct facts {
	int n;
	struct fact fact[FACTS_MAX];
};

/* Add or replace one; value is a printf format. Longer texts are cut. */
void facts_set(struct facts *f, const char *name, bool compare, const char *fmt, ...) ACE_PRINTF(4, 5);

/* NULL when there is none. */
const char *facts_get(const struct facts *f, const char *name);

/* Every fact of want that compares must be the same in have; one that have lacks differs. ACE_ECONFIG, naming where,
 * the fact and both values. */
enum status facts_check(const struct facts *have, const struct facts *want, const char *where) ACE_NODISCARD;

/* The same names and values, in the same order. */
bool facts_same(const struct facts *a, const struct facts *b);

/* A part's facts without "kind", which each part says by itself. */
void facts_own(struct facts *own, const struct facts *part);
#endif
