/* SPDX-License-Identifier: Apache-2.0 */
/* look.h - ace-inspect in a test: what it prints, as text or as JSON */
#ifndef ACE_TESTS_JOBS_LOOK_H
#define ACE_TESTS_JOBS_LOOK_H

#include "base/status.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* Run with the words of a line (blanks between them; names have none). *text is owned by the caller. */
enum status look_text(const char *line, char **text);

/* "--json LINE", which must print one object, and, but for want, succeed. Owned by the caller (cJSON_Delete). */
cJSON *look_json(enum status want, const char *line);

/* Members; the test fails when they are not there. */
double look_number(const cJSON *o, const char *key);
const char *look_word(const cJSON *o, const char *key);
/* The row of a table whose column key is value; NULL when there is none. */
const cJSON *look_row(const cJSON *o, const char *table, const char *key, const char *value);
int look_rows(const cJSON *o, const char *table);
/* Some note holds text. */
int look_notes(const cJSON *o, const char *text);
#endif
