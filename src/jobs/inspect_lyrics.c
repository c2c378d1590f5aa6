/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_lyrics.h"

#include "base/file.h"
#include "base/json.h"
#include "text/lyric.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 16 << 20 };

/* A line as it is shown. */
struct shown {
	int number;
	enum lyric_kind kind;
	struct lyric_line line;		/* empty when skipped or blank */
	int unknown;
	char *text, *tokens;		/* safe to print; owned */
};

static const char *const kinds[] = { "blank", "structure", "en", "skipped" };

/* text with control characters as \xNN, owned by the caller; NULL: memory ran out. */
static char *
printable(const char *text, size_t len)
{
	char *to = malloc(4 * len + 1), *p = to;

	for (size_t i = 0; to && i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			p += snprintf(p, 5, "\\x%02x", (unsigned)c);
		else
			*p++ = text[i];
	}
	if (to)
		*p = 0;
	return to;
}

/* Tokens by blanks, a blank itself as "_", unknown ones as "?". */
static char *
token_text(const struct lyric *l, const struct lyric_line *line)
{
	size_t size = 1;
	char *to, *p;

	for (int i = 0; i < line->n; i++)
		size += strlen(lyric_token(l, line->id[i])) + 1;
	p = to = malloc(size);
	for (int i = 0; to && i < line->n; i++) {
		int32_t id = line->id[i];
		const char *t = id == l->unknown ? "?" : id == l->blank ? "_" : lyric_token(l, id);
		p = stpcpy(stpcpy(p, i ? " " : ""), t);
	}
	if (to)
		*p = 0;
	return to;
}

static void
shown_free(struct shown *s)
{
	lyric_line_free(&s->line);
	free(s->text);
	free(s->tokens);
}

static enum status
show(const struct lyric *l, int number, const char *text, size_t len, struct shown *s)
{
	*s = (struct shown){ .number = number, .kind = lyric_kind_of(text, len) };
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (s->kind == LYRIC_STRUCTURE || s->kind == LYRIC_ENGLISH) {
		ACE_TRY(lyric_line(l, "en", text, len, &s->line));
		s->text = printable(s->line.clean, s->line.len);
	} else {
		s->text = printable(text, len);
	}
	s->tokens = token_text(l, &s->line);
	for (int i = 0; i < s->line.n; i++)
		s->unknown += s->line.id[i] == l->unknown;
	return s->text && s->tokens ? ACE_OK : ace_fail(ACE_ENOMEM, "line %d: no memory", number);
}

static double
percent(int part, int whole)
{
	return whole > 0 ? 100. * part / whole : 0;
}

static void
print_line(FILE *out, const struct shown *s)
{
	switch (s->kind) {
	case LYRIC_BLANK:
		return;
	case LYRIC_FOREIGN:
		fprintf(out, "%5d  %-9s      -        -  %s\n%35s(letters outside Basic Latin)\n", s->number,
			kinds[s->kind], s->text, "");
		return;
	case LYRIC_STRUCTURE:
	case LYRIC_ENGLISH:
		fprintf(out, "%5d  %-9s  %5d    %5d  %s\n%35s%s\n", s->number, kinds[s->kind], s->line.n,
			s->unknown, s->text, "", s->tokens);
		return;
	}
}

static void
print_head(FILE *out, const char *path, const struct lyric_ids *ids, int max)
{
	fprintf(out, "%s: lyrics, %d lines (%d structure, %d skipped), %d tokens, %d unknown (%.2f %%)\n", path,
		ids->lines, ids->structure, ids->skipped, ids->n, ids->unknown, percent(ids->unknown, ids->n));
	if (!ids->mask)
		fprintf(out, "no lyrics: trained as an instrumental\n");
	if (ids->cut)
		fprintf(out, "cut to %d tokens: what follows is not read\n", max);
	fprintf(out, "\n line  read as    tokens  unknown  cleaned text, tokens\n");
}

static cJSON *
json_line(const struct shown *s)
{
	cJSON *o = cJSON_CreateObject(), *ids;

	cJSON_AddNumberToObject(o, "line", s->number);
	cJSON_AddStringToObject(o, "read_as", kinds[s->kind]);
	cJSON_AddStringToObject(o, "text", s->text);
	cJSON_AddStringToObject(o, "tokens", s->tokens);
	cJSON_AddNumberToObject(o, "unknown", s->unknown);
	ids = cJSON_AddArrayToObject(o, "ids");
	for (int i = 0; i < s->line.n; i++)
		cJSON_AddItemToArray(ids, cJSON_CreateNumber(s->line.id[i]));
	return o;
}

static cJSON *
json_head(const char *path, const struct lyric_ids *ids)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "file", path);
	cJSON_AddStringToObject(o, "kind", "lyrics");
	cJSON_AddNumberToObject(o, "lines", ids->lines);
	cJSON_AddNumberToObject(o, "structure_lines", ids->structure);
	cJSON_AddNumberToObject(o, "skipped_lines", ids->skipped);
	cJSON_AddNumberToObject(o, "tokens", ids->n);
	cJSON_AddNumberToObject(o, "unknown_tokens", ids->unknown);
	cJSON_AddNumberToObject(o, "unknown_share", percent(ids->unknown, ids->n) / 100);
	cJSON_AddNumberToObject(o, "mask", ids->mask);
	cJSON_AddBoolToObject(o, "cut", ids->cut);
	return o;
}

/* Every line of text: printed to out, or appended to list. */
static enum status
each_line(FILE *out, cJSON *list, const struct lyric *l, const char *text, size_t len)
{
	int number = 1;

	for (size_t from = 0, n; from < len; from += n + 1) {
		const char *end = memchr(text + from, '\n', len - from);
		struct shown s;
		enum status st;
		n = end ? (size_t)(end - text) - from : len - from;
		st = show(l, number++, text + from, n, &s);
		if (st == ACE_OK && list)
			cJSON_AddItemToArray(list, json_line(&s));
		else if (st == ACE_OK)
			print_line(out, &s);
		shown_free(&s);
		if (st != ACE_OK)
			return st;
	}
	return ACE_OK;
}

static enum status
render(FILE *out, const char *path, const struct lyric *l, const char *text, size_t len, bool json)
{
	cJSON *root = NULL, *list = NULL;
	struct lyric_ids ids;
	enum status st = lyric_encode(l, text, len, &ids);

	if (st != ACE_OK)
		return ace_fail_prefix(st, "%s: ", path);
	if (json) {
		root = json_head(path, &ids);
		list = cJSON_AddArrayToObject(root, "content");
	} else {
		print_head(out, path, &ids, l->max_tokens);
	}
	st = ids.mask ? each_line(out, list, l, text, len) : ACE_OK;
	if (json && st == ACE_OK) {
		char *printed = cJSON_Print(root);
		if (printed)
			fprintf(out, "%s\n", printed);
		else
			st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
		cJSON_free(printed);
	}
	cJSON_Delete(root);
	lyric_ids_free(&ids);
	return st;
}

enum status
inspect_lyrics(FILE *out, const char *path, const char *vocab, int max_tokens, bool json)
{
	struct lyric l;
	enum status st;
	char *text, *from;
	size_t len;

	ACE_TRY(file_read(path, FILE_LIMIT, &text, &len));
	st = lyric_open(&l, vocab);
	if (st != ACE_OK) {
		free(text);
		return st;
	}
	if (max_tokens > 0)
		l.max_tokens = max_tokens;
	from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;	/* a byte order mark */
	st = render(out, path, &l, from, len - (size_t)(from - text), json);
	lyric_close(&l);
	free(text);
	return st;
}
