/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_report.h - what is shown of a thing: one line, facts, tables; as text for people or as one JSON object
 *
 * Each fact and table has a key in the JSON object and a label or title in the text. Texts from files are made
 * harmless: control characters and bytes that are not UTF-8 are shown as \xNN. A failed allocation is remembered
 * until the end. */
#ifndef ACE_JOBS_INSPECT_REPORT_H
#define ACE_JOBS_INSPECT_REPORT_H

#include "base/status.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { REPORT_COLUMNS = 8 };

struct report_column {
	const char *key, *title;
	bool right;			/* numbers */
};

struct report {
	FILE *out;
	bool json, failed;
	cJSON *root;
	char *head;			/* the one line */
	char *text;			/* what is below it */
	size_t size;
	FILE *body;			/* writes text */
	const struct report_column *column;	/* of the table at work; NULL: none */
	int columns;
	const char *title;
	char **cell;			/* of the table, as shown */
	int64_t cells;
	cJSON *rows;
};

/* path and kind ("latents") begin the JSON object. */
void report_begin(struct report *r, FILE *out, bool json, const char *path, const char *kind);

/* The line, behind "PATH: ". */
void report_line(struct report *r, const char *fmt, ...) ACE_PRINTF(2, 3);

void report_text(struct report *r, const char *key, const char *label, const char *fmt, ...) ACE_PRINTF(4, 5);
void report_i64(struct report *r, const char *key, const char *label, int64_t v);
/* A number that is shown in other words. */
void report_number(struct report *r, const char *key, const char *label, double v, const char *fmt, ...)
    ACE_PRINTF(5, 6);
void report_bool(struct report *r, const char *key, const char *label, bool v);
/* Something that is wrong or odd: a line of its own, an entry of "notes". */
void report_note(struct report *r, const char *fmt, ...) ACE_PRINTF(2, 3);

/* A table, its cells row by row. Columns are borrowed until its end. Without a row, or a title, nothing is shown;
 * JSON has a list all the same. Of more rows than REPORT_ROWS the text has only the first. */
enum { REPORT_ROWS = 1000 };
void report_table(struct report *r, const char *key, const char *title, const struct report_column *c, int columns);
void report_cell(struct report *r, const char *fmt, ...) ACE_PRINTF(2, 3);
void report_cell_i64(struct report *r, int64_t v);
void report_cell_number(struct report *r, double v, const char *fmt, ...) ACE_PRINTF(3, 4);
void report_table_end(struct report *r);

/* Print (only when st is ACE_OK) and free all; st, or ACE_ENOMEM. */
enum status report_end(struct report *r, enum status st) ACE_NODISCARD;

/* For people, into text, returned: "705 MB"; "1,204"; "0:38", "48.2 h". */
enum { REPORT_SHORT = 40 };
const char *report_bytes(int64_t bytes, char text[REPORT_SHORT]);
const char *report_count(int64_t n, char text[REPORT_SHORT]);
const char *report_length(double seconds, char text[REPORT_SHORT]);
#endif
