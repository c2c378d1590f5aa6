/* SPDX-License-Identifier: Apache-2.0 */
/* runs.h - training jobs on the tiny model of the fixtures and random stores: settings, what they leave, whether two are the same */
#ifndef ACE_TESTS_JOBS_RUNS_H
#define ACE_TESTS_JOBS_RUNS_H

#include "base/settings.h"

/* Set up and down of a group of tests: a folder for all runs, with the stores in it. */
int runs_prepare(void **state);
int runs_tidy(void **state);

/* FOLDER/name; four at a time. */
const char *runs_at(const char *name);

#define PAIRS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* Settings of a run of six updates into out; then pairs of option and value, up to NULL. */
void runs_settle(struct settings *s, const char *out, const char *const *pair);

/* Such a run; one that must end well; one that fails with a status and one or two lines that contain text. */
enum status runs_run(const char *out, const char *const *pair);
void runs_must(const char *out, const char *const *pair);
void runs_fails(enum status want, const char *text, const char *out, const char *const *pair);

/* Whether OUT/name is there. */
bool runs_there(const char *out, const char *name);

/* Values of key in metrics.jsonl, v[1 ... steps]: each step is there once, in order. Returns the steps. */
int runs_metric(const char *out, const char *key, double v[64]);

/* Files; losses, norms and rates; these and adapters: that are the same to the bit. */
void runs_same_file(const char *a, const char *b, const char *name);
void runs_same_numbers(const char *a, const char *b, int steps);
void runs_same_run(const char *a, const char *b, int steps);
#endif
