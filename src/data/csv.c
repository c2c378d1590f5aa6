/* SPDX-License-Identifier: Apache-2.0 */
#include "data/csv.h"

#include "text/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct csv {
	FILE *f;
	char *path;
	int64_t line, began;		/* where reading is; where the record began */
	struct buffer text;		/* fields, each with its 0 */
	size_t start[CSV_FIELDS];
	const char *field[CSV_FIELDS];
	int n;
};

enum status
csv_open(struct csv **out, const char *path)
{
	static const char mark[3] = { '\xef', '\xbb', '\xbf' };
	struct csv *c = calloc(1, sizeof *c);
	char head[3];

	*out = NULL;
	if (!c || !(c->path = strdup(path))) {
		csv_close(c);
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	}
	c->f = fopen(path, "rbe");
	if (!c->f) {
		enum status st = ace_fail(errno == ENOENT ? ACE_ENOINPUT : ACE_EIO, "%s: %s", path, strerror(errno));
		csv_close(c);
		return st;
	}
	if (fread(head, 1, 3, c->f) != 3 || memcmp(head, mark, 3) != 0)
		rewind(c->f);
	c->line = 1;
	*out = c;
	return ACE_OK;
}

void
csv_close(struct csv *c)
{
	if (!c)
		return;
	if (c->f)
		fclose(c->f);
	buffer_free(&c->text);
	free(c->path);
	free(c);
}

int64_t
csv_line(const struct csv *c)
{
	return c->began;
}

static enum status
refuse(const struct csv *c, const char *what)
{
	return ace_fail(ACE_EDATA, "%s: line %lld: %s", c->path, (long long)c->began, what);
}

/* What stands between quotes; the opening one has been read. */
static enum status
quoted(struct csv *c)
{
	for (;;) {
		int ch = getc_unlocked(c->f);
		if (ch == EOF)
			return refuse(c, "a quote is opened and never closed");
		if (ch == '"') {
			int next = getc_unlocked(c->f);
			if (next != '"') {
				if (next != EOF)
					ungetc(next, c->f);
				return ACE_OK;
			}
		}
		if (ch == 0)
			return refuse(c, "a 0 byte: no text");
		c->line += ch == '\n';
		buffer_char(&c->text, (char)ch);
		if (c->text.len > CSV_RECORD)
			return refuse(c, "the record is larger than 16 MiB");
	}
}

/* One field and what ends it: ',' '\n' or EOF. */
static enum status
read_field(struct csv *c, int *end)
{
	int ch = getc_unlocked(c->f);

	if (ch == '"') {
		ACE_TRY(quoted(c));
		ch = getc_unlocked(c->f);
	}
	for (; ch != ',' && ch != '\n' && ch != EOF; ch = getc_unlocked(c->f)) {
		if (ch == 0)
			return refuse(c, "a 0 byte: no text");
		if (ch == '\r') {
			int next = getc_unlocked(c->f);
			if (next == '\n' || next == EOF) {
				ch = next;
				break;
			}
			ungetc(next, c->f);
		}
		buffer_char(&c->text, (char)ch);
		if (c->text.len > CSV_RECORD)
			return refuse(c, "the record is larger than 16 MiB");
	}
	c->line += ch == '\n';
	*end = ch;
	buffer_char(&c->text, 0);
	return ACE_OK;
}

enum status
csv_next(struct csv *c, int *n, const char *const **field)
{
	int end = EOF;

	*field = c->field;
	do {
		*n = 0;
		c->n = 0;
		c->began = c->line;
		buffer_clear(&c->text);
		do {
			if (c->n == CSV_FIELDS)
				return refuse(c, "more than 4096 fields");
			c->start[c->n++] = c->text.len;
			ACE_TRY(read_field(c, &end));
		} while (end == ',');
		if (ferror(c->f))
			return ace_fail(ACE_EIO, "%s: %s", c->path, strerror(errno));
		if (end == EOF && c->n == 1 && c->text.len == 1)
			return ACE_OK;
	} while (c->n == 1 && c->text.len == 1);
	if (!buffer_done(&c->text) || c->text.bad)
		return ace_fail(ACE_ENOMEM, "%s: no memory", c->path);
	for (int i = 0; i < c->n; i++)
		c->field[i] = c->text.data + c->start[i];
	*n = c->n;
	return ACE_OK;
}
