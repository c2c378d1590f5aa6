/* SPDX-License-Identifier: Apache-2.0 */
#include "data/hf_rows.h"

#include "base/file.h"
#include "base/json.h"
#include "data/csv.h"
#include "data/hf_parts.h"
#include "formats/arrow.h"
#include "text/chars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_LIMIT = 64 << 20, ARRAY_LIMIT = 256 << 20, WHY = 400 };

struct hf_rows {
	const struct hf_repo *repo;
	const struct hf_split *split;
	const char *const *columns;
	int file;			/* that is open, or comes next */
	bool open;
	int64_t number, at;		/* of the next row */
	char why[WHY];
	/* by the kind of the file */
	struct arrow_file *arrow;
	int64_t batch, in_batch;	/* rows of the batch; the next of them */
	struct csv *csv;
	char **header;
	int columns_n;
	FILE *lines;
	char *line;
	size_t line_cap;
	cJSON *array;			/* a .json that is one list */
	const cJSON *element;
	struct hf_samples *samples;
	cJSON *row;			/* of CSV, JSON lines and tar: the row that was given */
};

static void
close_file(struct hf_rows *r)
{
	arrow_close(r->arrow);
	csv_close(r->csv);
	if (r->lines)
		fclose(r->lines);
	for (int i = 0; i < r->columns_n; i++)
		free(r->header[i]);
	free(r->header);
	cJSON_Delete(r->array);
	hf_samples_close(r->samples);
	r->arrow = NULL;
	r->csv = NULL;
	r->lines = NULL;
	r->header = NULL;
	r->columns_n = 0;
	r->array = NULL;
	r->samples = NULL;
	r->open = false;
	r->batch = r->in_batch = r->at = 0;
}

enum status
hf_rows_open(struct hf_rows **out, const struct hf_repo *repo, const struct hf_split *split, const char *const *columns)
{
	struct hf_rows *r = calloc(1, sizeof *r);

	*out = r;
	if (!r)
		return ace_fail(ACE_ENOMEM, "no memory");
	r->repo = repo;
	r->split = split;
	r->columns = columns;
	return ACE_OK;
}

void
hf_rows_close(struct hf_rows *r)
{
	if (!r)
		return;
	close_file(r);
	cJSON_Delete(r->row);
	free(r->line);
	free(r);
}

int
hf_rows_files(const struct hf_rows *r)
{
	return r->file;
}

int64_t
hf_rows_count(const struct hf_split *split)
{
	int64_t sum = 0, n;

	for (int i = 0; i < split->n; i++) {
		size_t len = strlen(split->file[i].path);
		if (len < 8 || strcmp(split->file[i].path + len - 8, ".parquet") != 0 ||
		    arrow_parquet_rows(split->file[i].path, &n) != ACE_OK || n > INT64_MAX - sum)
			return -1;
		sum += n;
	}
	return sum;
}

/* --- opening --- */

static enum status
read_header(struct hf_rows *r, const char *path)
{
	const char *const *field;
	int n;

	ACE_TRY(csv_next(r->csv, &n, &field));
	if (n == 0)
		return ace_fail(ACE_EDATA, "%s: empty, no names of columns", path);
	r->header = calloc((size_t)n, sizeof *r->header);
	if (!r->header)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (r->columns_n = 0; r->columns_n < n; r->columns_n++) {
		const char *name = field[r->columns_n];
		if (utf8_valid(name, strlen(name)) < strlen(name))
			return ace_fail(ACE_EDATA, "%s: the names of its columns are not UTF-8", path);
		for (int k = 0; k < r->columns_n; k++)
			if (strcmp(r->header[k], name) == 0)
				return ace_fail(ACE_EDATA, "%s: two columns are called \"%.80s\"", path, name);
		r->header[r->columns_n] = strdup(name);
		if (!r->header[r->columns_n])
			return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	}
	return ACE_OK;
}

/* Lines of JSON, or one list of objects. */
static enum status
open_json(struct hf_rows *r, const char *path)
{
	int ch;

	r->lines = fopen(path, "rbe");
	if (!r->lines)
		return ace_fail(errno == ENOENT ? ACE_ENOINPUT : ACE_EIO, "%s: %s", path, strerror(errno));
	do
		ch = getc(r->lines);
	while (ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t' || ch == 0xef || ch == 0xbb || ch == 0xbf);
	if (ch == '[') {
		fclose(r->lines);
		r->lines = NULL;
		ACE_TRY(json_read(path, ARRAY_LIMIT, &r->array));
		r->element = r->array->child;
		return ACE_OK;
	}
	if (ch != EOF)
		ungetc(ch, r->lines);
	return ACE_OK;
}

static enum status
open_file(struct hf_rows *r)
{
	const struct hf_file *f = &r->split->file[r->file];

	r->open = true;
	switch (f->kind) {
	case HF_ARROW:
		return arrow_open(&r->arrow, f->path, r->columns);
	case HF_CSV:
		ACE_TRY(csv_open(&r->csv, f->path));
		return read_header(r, f->path);
	case HF_JSON:
		return open_json(r, f->path);
	case HF_TAR:
		return hf_samples_open(&r->samples, f->path);
	}
	return ACE_OK;
}

/* --- rows --- */

static void
bad_row(struct hf_rows *r, struct hf_row *row, const char *code)
{
	snprintf(r->why, sizeof r->why, "%.390s", ace_message());
	row->code = code;
	row->why = r->why;
}

static enum status
next_arrow(struct hf_rows *r, struct hf_row *row, bool *more)
{
	if (r->in_batch == r->batch) {
		ACE_TRY(arrow_next(r->arrow, &r->batch));
		r->in_batch = 0;
	}
	*more = r->batch > 0;
	if (*more)
		row->cell = arrow_row(r->arrow, r->in_batch++);
	return ACE_OK;
}

static enum status
next_csv(struct hf_rows *r, struct hf_row *row, bool *more)
{
	const char *const *field;
	int n;

	ACE_TRY(csv_next(r->csv, &n, &field));
	*more = n > 0;
	if (n == 0)
		return ACE_OK;
	if (n != r->columns_n) {
		(void)ace_fail(ACE_EDATA, "%s: line %lld: %d fields, and the table has %d columns", row->file->path,
		               (long long)csv_line(r->csv), n, r->columns_n);
		bad_row(r, row, "bad_row");
		return ACE_OK;
	}
	r->row = cJSON_CreateObject();
	for (int i = 0; i < n; i++) {
		if (utf8_valid(field[i], strlen(field[i])) < strlen(field[i])) {
			(void)ace_fail(ACE_EDATA, "%s: line %lld: not UTF-8", row->file->path, (long long)csv_line(r->csv));
			bad_row(r, row, "bad_row");
			return ACE_OK;
		}
		if (*field[i] && !cJSON_AddStringToObject(r->row, r->header[i], field[i]))
			return ace_fail(ACE_ENOMEM, "%s: no memory", row->file->path);
	}
	row->cell = cell_of_json(r->row);
	return ACE_OK;
}

static enum status
next_line(struct hf_rows *r, struct hf_row *row, bool *more)
{
	ssize_t n;

	if (r->array) {
		*more = r->element != NULL;
		row->cell = cell_of_json(r->element);
		if (r->element && !cJSON_IsObject(r->element)) {
			(void)ace_fail(ACE_EDATA, "%s: element %lld is no object", row->file->path, (long long)row->at);
			bad_row(r, row, "bad_row");
		}
		r->element = r->element ? r->element->next : NULL;
		return ACE_OK;
	}
	do {
		n = getline(&r->line, &r->line_cap, r->lines);
		while (n > 0 && strchr(" \t\r\n", r->line[n - 1]))
			n--;
	} while (n == 0 && !feof(r->lines));
	*more = n > 0;
	if (n <= 0)
		return ferror(r->lines) ? ace_fail(ACE_EIO, "%s: %s", row->file->path, strerror(errno)) : ACE_OK;
	if (n > LINE_LIMIT)
		return ace_fail(ACE_EDATA, "%s: a line of more than 64 MiB", row->file->path);
	r->line[n] = 0;
	if (utf8_valid(r->line, (size_t)n) < (size_t)n)
		(void)ace_fail(ACE_EDATA, "%s: row %lld: not UTF-8", row->file->path, (long long)row->at);
	else if (strstr(r->line, "\\u0000"))
		(void)ace_fail(ACE_EDATA, "%s: row %lld: a 0 character in a text", row->file->path, (long long)row->at);
	else if (json_parse(r->line, (size_t)n, row->file->path, &r->row) != ACE_OK)
		(void)ace_fail_prefix(ACE_EDATA, "row %lld: ", (long long)row->at);
	else if (!cJSON_IsObject(r->row))
		(void)ace_fail(ACE_EDATA, "%s: row %lld is no object", row->file->path, (long long)row->at);
	else {
		row->cell = cell_of_json(r->row);
		return ACE_OK;
	}
	bad_row(r, row, "bad_row");
	return ACE_OK;
}

static enum status
next_of_file(struct hf_rows *r, struct hf_row *row, bool *more)
{
	*more = false;
	switch (row->file->kind) {
	case HF_ARROW:
		return next_arrow(r, row, more);
	case HF_CSV:
		return next_csv(r, row, more);
	case HF_JSON:
		return next_line(r, row, more);
	case HF_TAR:
		ACE_TRY(hf_samples_next(r->samples, row, &r->row, more));
		if (*more && row->code)
			bad_row(r, row, row->code);
		return ACE_OK;
	}
	return ACE_OK;
}

enum status
hf_rows_next(struct hf_rows *r, struct hf_row *row, bool *more)
{
	for (*more = false; r->file < r->split->n; r->file++) {
		enum status st = ACE_OK;
		cJSON_Delete(r->row);
		r->row = NULL;
		*row = (struct hf_row){ .number = r->number, .at = r->at, .file = &r->split->file[r->file] };
		if (!r->open)
			st = open_file(r);
		if (st == ACE_OK)
			st = next_of_file(r, row, more);
		if (st == ACE_EDEVICE)
			return st;
		if (st != ACE_OK) {	/* what is left of this file is lost */
			*row = (struct hf_row){ .number = r->number, .at = r->at, .file = &r->split->file[r->file] };
			bad_row(r, row, st == ACE_ENOMEM ? "too_large" : "bad_file");
			close_file(r);
			r->file++;
			r->number++;
			*more = true;
			return ACE_OK;
		}
		if (*more) {
			r->number++;
			r->at++;
			return ACE_OK;
		}
		close_file(r);
	}
	return ACE_OK;
}

enum status
hf_rows_seek(struct hf_rows *r, int64_t number, struct hf_row *row, bool *more)
{
	do {
		int64_t left = r->arrow ? r->batch - r->in_batch : 0, skip = number - r->number;
		if (left > 0 && skip > 0) {
			skip = skip < left ? skip : left;
			r->in_batch += skip;
			r->at += skip;
			r->number += skip;
		}
		ACE_TRY(hf_rows_next(r, row, more));
	} while (*more && row->number < number);
	return ACE_OK;
}
