/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_report.h"

#include "base/clock.h"
#include "text/chars.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 16, CELL = 120 };	/* columns of a label; of the widest cell that people see */

/* text, harmless to a terminal and to JSON; owned by the caller. */
static char *
harmless(const char *text)
{
	size_t n = strlen(text), valid = utf8_valid(text, n);
	char *to = malloc(4 * n + 1), *p = to;

	for (size_t i = 0; to && i < n;) {
		size_t len = i < valid ? utf8_len(text[i]) : 0;
		uint32_t c = len ? utf8_at(text + i) : 0;
		if (len == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			size_t raw = len ? len : 1;
			for (size_t k = 0; k < raw; k++)
				p += sprintf(p, "\\x%02x", (unsigned)(unsigned char)text[i + k]);
			i += raw;
			if (len == 0)
				valid = i + utf8_valid(text + i, n - i);
			continue;
		}
		memcpy(p, text + i, len);
		p += len;
		i += len;
	}
	if (to)
		*p = 0;
	return to;
}

static char *format(struct report *r, const char *fmt, va_list ap) ACE_PRINTF(2, 0);

static char *
format(struct report *r, const char *fmt, va_list ap)
{
	char *raw, *text = NULL;

	if (vasprintf(&raw, fmt, ap) >= 0) {
		text = harmless(raw);
		free(raw);
	}
	r->failed |= text == NULL;
	return text;
}

#define FORMAT(text, r, fmt)                      \
	char *text;                               \
	do {                                      \
		va_list ap;                       \
		va_start(ap, fmt);                \
		text = format(r, fmt, ap);        \
		va_end(ap);                       \
	} while (0)

static int
columns_of(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void
blanks(FILE *f, int n)
{
	if (n > 0)
		fprintf(f, "%*s", n, "");
}

static void
add(struct report *r, cJSON *to, const char *key, cJSON *item)
{
	if (!item || !cJSON_AddItemToObject(to, key, item)) {
		cJSON_Delete(item);
		r->failed = true;
	}
}

/* A label and its value in the text. */
static void
show(struct report *r, const char *label, const char *value)
{
	if (!label || !value || !r->body)
		return;
	fprintf(r->body, "  %s", label);
	blanks(r->body, LABEL - columns_of(label));
	fprintf(r->body, "  %s\n", value);
}

void
report_begin(struct report *r, FILE *out, bool json, const char *path, const char *kind)
{
	*r = (struct report){ .out = out, .json = json, .root = cJSON_CreateObject() };
	r->body = open_memstream(&r->text, &r->size);
	r->failed = !r->root || !r->body;
	char *safe = harmless(path);
	if (safe && r->root) {
		add(r, r->root, "thing", cJSON_CreateString(safe));
		add(r, r->root, "kind", cJSON_CreateString(kind));
	}
	r->failed |= safe == NULL;
	free(safe);
}

void
report_line(struct report *r, const char *fmt, ...)
{
	FORMAT(text, r, fmt);
	const cJSON *path = cJSON_GetObjectItemCaseSensitive(r->root, "thing");
	char *head = NULL;

	if (text && path && asprintf(&head, "%s: %s", path->valuestring, text) >= 0) {
		free(r->head);
		r->head = head;
		add(r, r->root, "line", cJSON_CreateString(text));
	}
	r->failed |= head == NULL;
	free(text);
}

void
report_text(struct report *r, const char *key, const char *label, const char *fmt, ...)
{
	FORMAT(text, r, fmt);

	if (text)
		add(r, r->root, key, cJSON_CreateString(text));
	show(r, label, text);
	free(text);
}

void
report_i64(struct report *r, const char *key, const char *label, int64_t v)
{
	char text[REPORT_SHORT];

	report_number(r, key, label, (double)v, "%s", report_count(v, text));
}

static cJSON *
number(double v)
{
	return isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull();
}

void
report_number(struct report *r, const char *key, const char *label, double v, const char *fmt, ...)
{
	FORMAT(text, r, fmt);

	add(r, r->root, key, number(v));
	show(r, label, text);
	free(text);
}

void
report_bool(struct report *r, const char *key, const char *label, bool v)
{
	add(r, r->root, key, cJSON_CreateBool(v));
	show(r, label, v ? "yes" : "no");
}

void
report_note(struct report *r, const char *fmt, ...)
{
	FORMAT(text, r, fmt);
	cJSON *notes = cJSON_GetObjectItemCaseSensitive(r->root, "notes"), *note;

	if (!notes) {
		notes = cJSON_CreateArray();
		add(r, r->root, "notes", notes);
	}
	note = text ? cJSON_CreateString(text) : NULL;
	if (note && r->body && !r->failed) {
		cJSON_AddItemToArray(notes, note);
		fprintf(r->body, "  ! %s\n", text);
	} else {
		cJSON_Delete(note);
		r->failed = true;
	}
	free(text);
}

/* --- tables --- */

void
report_table(struct report *r, const char *key, const char *title, const struct report_column *c, int columns)
{
	assert(!r->column && columns >= 1 && columns <= REPORT_COLUMNS);
	r->column = c;
	r->columns = columns;
	r->title = title;
	r->rows = cJSON_CreateArray();
	if (r->rows)
		add(r, r->root, key, r->rows);
	r->failed |= r->rows == NULL;
}

/* Cut text to CELL columns. */
static void
cut(char *text)
{
	char *p = text;

	if (!text || columns_of(text) <= CELL)
		return;
	for (int n = 0; n < CELL - 3; p++)
		n += ((unsigned char)p[1] & 0xc0) != 0x80;
	strcpy(p, "...");
}

static void
cell(struct report *r, char *text, cJSON *value)
{
	int64_t at = r->cells % r->columns;
	char **more = realloc(r->cell, ((size_t)r->cells + 1) * sizeof *more);
	cJSON *row;

	if (more)
		r->cell = more;
	if (!more || !text || !value || r->failed) {
		free(text);
		cJSON_Delete(value);
		r->failed = true;
		return;
	}
	cut(text);
	more[r->cells++] = text;
	row = at == 0 ? cJSON_CreateObject() : r->rows->child->prev;	/* the last one */
	if (row && at == 0)
		cJSON_AddItemToArray(r->rows, row);
	if (row)
		add(r, row, r->column[at].key, value);
	else
		cJSON_Delete(value);
	r->failed |= row == NULL;
}

void
report_cell(struct report *r, const char *fmt, ...)
{
	FORMAT(text, r, fmt);

	cell(r, text, text ? cJSON_CreateString(text) : NULL);
}

void
report_cell_i64(struct report *r, int64_t v)
{
	char text[REPORT_SHORT];

	cell(r, strdup(report_count(v, text)), cJSON_CreateNumber((double)v));
}

void
report_cell_number(struct report *r, double v, const char *fmt, ...)
{
	FORMAT(text, r, fmt);

	cell(r, text, number(v));
}

static void
print_row(struct report *r, char *const *cells, const int *width)
{
	fprintf(r->body, "   ");
	for (int c = 0; c < r->columns; c++) {
		const char *text = cells ? cells[c] : r->column[c].title;
		int pad = width[c] - columns_of(text);
		fputs(c ? "  " : " ", r->body);
		if (r->column[c].right)
			blanks(r->body, pad);
		fputs(text, r->body);
		if (!r->column[c].right && c + 1 < r->columns)
			blanks(r->body, pad);
	}
	fputc('\n', r->body);
}

void
report_table_end(struct report *r)
{
	int width[REPORT_COLUMNS];
	int64_t rows = r->cells / r->columns;

	assert(r->failed || r->cells % r->columns == 0);
	for (int c = 0; c < r->columns; c++) {
		width[c] = columns_of(r->column[c].title);
		for (int64_t i = 0; i < rows; i++) {
			int n = columns_of(r->cell[i * r->columns + c]);
			width[c] = n > width[c] ? n : width[c];
		}
	}
	if (rows > 0 && r->title && r->body) {
		fprintf(r->body, "\n  %s\n", r->title);
		print_row(r, NULL, width);
		for (int64_t i = 0; i < rows && i < REPORT_ROWS; i++)
			print_row(r, r->cell + i * r->columns, width);
		if (rows > REPORT_ROWS)
			fprintf(r->body, "    and %lld more\n", (long long)(rows - REPORT_ROWS));
	}
	for (int64_t i = 0; i < r->cells; i++)
		free(r->cell[i]);
	free(r->cell);
	r->cell = NULL;
	r->cells = 0;
	r->column = NULL;
}

/* --- the end --- */

static void
print_json(struct report *r)
{
	char *text = cJSON_Print(r->root);

	if (text)
		fprintf(r->out, "%s\n", text);
	r->failed |= text == NULL;
	cJSON_free(text);
}

enum status
report_end(struct report *r, enum status st)
{
	if (r->column)
		report_table_end(r);
	if (r->body && fclose(r->body) != 0)
		r->failed = true;
	if (st == ACE_OK && !r->failed) {
		if (r->json)
			print_json(r);
		else
			fprintf(r->out, "%s\n%s", r->head ? r->head : "", r->text);
	}
	if (st == ACE_OK && r->failed)
		st = ace_fail(ACE_ENOMEM, "no memory for the report");
	cJSON_Delete(r->root);
	free(r->head);
	free(r->text);
	*r = (struct report){ 0 };
	return st;
}

/* --- figures --- */

const char *
report_bytes(int64_t bytes, char text[REPORT_SHORT])
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB" };
	double v = (double)bytes;
	int u = 0;

	for (; v >= 999.5 && u < 5; u++)
		v /= 1000;
	snprintf(text, REPORT_SHORT, u > 0 && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
	return text;
}

const char *
report_count(int64_t n, char text[REPORT_SHORT])
{
	char digits[REPORT_SHORT];
	int len = snprintf(digits, sizeof digits, "%lld", (long long)n), k = 0;

	for (int i = 0; i < len; i++) {
		text[k++] = digits[i];
		if (digits[i] != '-' && (len - i - 1) % 3 == 0 && i + 1 < len)
			text[k++] = ',';
	}
	text[k] = 0;
	return text;
}

const char *
report_length(double seconds, char text[REPORT_SHORT])
{
	if (seconds < 3600)
		return clock_length(seconds, text, REPORT_SHORT);
	snprintf(text, REPORT_SHORT, "%.1f h", seconds / 3600);
	return text;
}
