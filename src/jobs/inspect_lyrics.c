/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_lyrics.h"

#include "base/file.h"
#include "base/json.h"
#include "text/buffer.h"
#include "text/chars.h"
#include "text/segment.h"

#include <stdlib.h>
#include <string.h>

struct view {
	FILE *out;
	cJSON *list;			/* of lines; NULL: text is printed */
	const struct lyric *l;
	int segment;			/* per song: the last one that was shown */
	struct buffer text, clean, tokens;
};

static const char *const kinds[] = { "blank", "structure", "sung", "skipped" };

/* Control characters, and what a terminal would turn around or hide. */
static bool
is_hidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xad || (c >= 0xe0000 && c <= 0xe007f);
}

/* Append text that is safe to print. */
static void
add_printable(struct buffer *b, const char *text, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(text[i]);
		if (!is_hidden(utf8_at(text + i))) {
			buffer_add(b, text + i, n);
			continue;
		}
		for (size_t k = 0; k < n; k++) {
			char hex[8];
			snprintf(hex, sizeof hex, "\\x%02x", (unsigned)(unsigned char)text[i + k]);
			buffer_str(b, hex);
		}
	}
}

static enum status
set_printable(struct buffer *b, const char *text, size_t len)
{
	buffer_clear(b);
	add_printable(b, text, len);
	return buffer_done(b) ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");
}

/* Tokens by blanks, a blank itself as "_", unknown ones as "?". */
static int
set_tokens(struct view *w, const int32_t *id, int n)
{
	int unknown = 0;

	buffer_clear(&w->tokens);
	for (int i = 0; i < n; i++) {
		const char *t = id[i] == w->l->unknown ? "?" : id[i] == w->l->blank ? "_" : lyric_token(w->l, id[i]);
		unknown += id[i] == w->l->unknown;
		buffer_str(&w->tokens, i ? " " : "");
		buffer_str(&w->tokens, t);
	}
	return unknown;
}

static double
percent(int part, int whole)
{
	return whole > 0 ? 100. * part / whole : 0;
}

static cJSON *
json_segment(struct view *w, const struct segments *s, int i)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "language", s->seg[i].lang);
	if (set_printable(&w->clean, s->text.data + s->seg[i].from, s->seg[i].len) == ACE_OK)
		cJSON_AddStringToObject(o, "text", w->clean.data);
	cJSON_AddNumberToObject(o, "score", s->seg[i].score);
	return o;
}

static cJSON *
json_counts(const struct segments *s)
{
	cJSON *list = cJSON_CreateArray();

	for (int i = 0; i < s->counts; i++) {
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "language", s->count[i].lang);
		cJSON_AddNumberToObject(o, "characters", (double)s->count[i].chars);
		cJSON_AddItemToArray(list, o);
	}
	return list;
}

/* A line as it passes. */
static enum status
json_line(struct view *w, const struct lyric_shown *v)
{
	cJSON *o = cJSON_CreateObject(), *ids, *list;

	cJSON_AddItemToArray(w->list, o);
	cJSON_AddNumberToObject(o, "line", v->line);
	cJSON_AddStringToObject(o, "read_as", kinds[v->kind]);
	cJSON_AddStringToObject(o, "text", w->text.data);
	cJSON_AddStringToObject(o, "detected", v->detected);
	cJSON_AddStringToObject(o, "language", v->used);
	if (w->l->per_song) {
		cJSON_AddNumberToObject(o, "segment", v->segment + 1);
	} else if (v->segments) {
		cJSON_AddItemToObject(o, "counts", json_counts(v->segments));
		list = cJSON_AddArrayToObject(o, "segments");
		for (int i = 0; i < v->segments->n; i++)
			cJSON_AddItemToArray(list, json_segment(w, v->segments, i));
	}
	ACE_TRY(set_printable(&w->clean, v->clean, v->clean_len));
	cJSON_AddStringToObject(o, "clean", w->clean.data);
	cJSON_AddNumberToObject(o, "unknown", set_tokens(w, v->id, v->n));
	if (!buffer_done(&w->tokens))
		return ace_fail(ACE_ENOMEM, "line %d: no memory", v->line);
	cJSON_AddStringToObject(o, "tokens", w->tokens.data);
	if (v->why)
		cJSON_AddStringToObject(o, "why", v->why);
	ids = cJSON_AddArrayToObject(o, "ids");
	for (int i = 0; i < v->n; i++)
		cJSON_AddItemToArray(ids, cJSON_CreateNumber(v->id[i]));
	return ACE_OK;
}

/* Per song, what comes from another segment than the line before. */
static void
print_segment(struct view *w, const struct lyric_shown *v)
{
	const struct segment *g = &v->segments->seg[v->segment];

	if (w->segment == v->segment)
		return;
	w->segment = v->segment;
	fprintf(w->out, "       segment %d of %d: %s, score %.3f\n", v->segment + 1, v->segments->n, *g->lang ? g->lang : "\"\"",
	        g->score);
}

/* Per line, what a line was split into, when it is more than one stretch. */
static void
print_parts(struct view *w, const struct lyric_shown *v)
{
	const struct segments *s = v->segments;

	if (!s || s->n < 2)
		return;
	fprintf(w->out, "%37s", "");
	for (int i = 0; i < s->n; i++) {
		if (set_printable(&w->clean, s->text.data + s->seg[i].from, s->seg[i].len) == ACE_OK)
			fprintf(w->out, "%s[%s: %s]", i ? " " : "", s->seg[i].lang, w->clean.data);
	}
	fprintf(w->out, "\n");
}

static enum status
print_line(struct view *w, const struct lyric_shown *v)
{
	char used[16];
	int unknown;

	if (w->l->per_song)
		print_segment(w, v);
	if (v->kind == LYRIC_BLANK)
		return ACE_OK;
	snprintf(used, sizeof used, "%s%s%s", v->kind == LYRIC_SKIPPED ? "-" : v->used, strcmp(v->used, v->detected) ? " <" : "",
	         strcmp(v->used, v->detected) ? v->detected : "");
	if (v->kind == LYRIC_SKIPPED) {
		fprintf(w->out, "%5d  %-9s %-8s      -        -  %s\n%37s(%s)\n", v->line, kinds[v->kind], used, w->text.data, "", v->why);
		return ACE_OK;
	}
	unknown = set_tokens(w, v->id, v->n);
	ACE_TRY(set_printable(&w->clean, v->clean, v->clean_len));
	if (!buffer_done(&w->tokens))
		return ace_fail(ACE_ENOMEM, "line %d: no memory", v->line);
	fprintf(w->out, "%5d  %-9s %-8s  %5d    %5d  %s\n%37s%s\n", v->line, kinds[v->kind], used, v->n, unknown, w->clean.data, "",
	        w->tokens.data);
	if (!w->l->per_song)
		print_parts(w, v);
	return ACE_OK;
}

static enum status
see(void *me, const struct lyric_shown *v)
{
	struct view *w = me;

	ACE_TRY(set_printable(&w->text, v->text, v->len));
	return w->list ? json_line(w, v) : print_line(w, v);
}

static void
print_head(FILE *out, const char *path, const struct lyric *l, const struct lyric_ids *ids)
{
	fprintf(out, "%s: lyrics read %s, %d lines (%d structure, %d skipped), %d tokens, %d unknown (%.2f %%)\n", path,
		l->per_song ? "per song" : "per line", ids->lines, ids->structure, ids->skipped, ids->n, ids->unknown,
		percent(ids->unknown, ids->n));
	if (ids->none)
		fprintf(out, "no lyrics: trained as an instrumental, mask %d\n", ids->mask);
	if (ids->cut)
		fprintf(out, "cut to %d tokens: what follows is not read\n", l->max_tokens);
	if (lyric_unknown_share(ids) > LYRIC_UNKNOWN_MOST)
		fprintf(out, "more than %.0f %% of the tokens are unknown: the model will not know what is sung there\n",
		        100 * LYRIC_UNKNOWN_MOST);
}

static void
json_end(cJSON *o, const char *path, const struct lyric *l, const struct lyric_ids *ids)
{
	cJSON_AddStringToObject(o, "file", path);
	cJSON_AddStringToObject(o, "kind", "lyrics");
	cJSON_AddStringToObject(o, "variant", l->per_song ? "per-song" : "per-line");
	cJSON_AddNumberToObject(o, "lines", ids->lines);
	cJSON_AddNumberToObject(o, "structure_lines", ids->structure);
	cJSON_AddNumberToObject(o, "skipped_lines", ids->skipped);
	cJSON_AddNumberToObject(o, "tokens", ids->n);
	cJSON_AddNumberToObject(o, "unknown_tokens", ids->unknown);
	cJSON_AddNumberToObject(o, "unknown_share", lyric_unknown_share(ids));
	cJSON_AddBoolToObject(o, "lyrics", !ids->none);
	cJSON_AddNumberToObject(o, "mask", ids->mask);
	cJSON_AddBoolToObject(o, "cut", ids->cut);
}

static enum status
render(FILE *out, const char *path, const struct lyric *l, const char *text, size_t len, bool json)
{
	char *lines = NULL;
	size_t size = 0;
	FILE *body = open_memstream(&lines, &size);	/* the sum of it comes first */
	struct view w = { .out = body, .l = l, .segment = -1 };
	cJSON *root = json ? cJSON_CreateObject() : NULL, *list = json ? cJSON_CreateArray() : NULL;
	struct lyric_ids ids;
	enum lyric_fault fault;
	enum status st;

	w.list = list;
	if (!body)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = lyric_encode_watched(l, text, len, &ids, &fault, see, &w);
	if (fclose(body) != 0 && st == ACE_OK)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	buffer_free(&w.text);
	buffer_free(&w.clean);
	buffer_free(&w.tokens);
	if (st != ACE_OK) {
		st = ace_fail_prefix(st, "%s: ", path);
	} else if (json) {
		char *printed;
		json_end(root, path, l, &ids);
		cJSON_AddItemToObject(root, "content", list);
		list = NULL;
		printed = cJSON_Print(root);
		if (printed)
			fprintf(out, "%s\n", printed);
		else
			st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
		cJSON_free(printed);
	} else {
		print_head(out, path, l, &ids);
		fprintf(out, "\n line  read as   language  tokens  unknown  cleaned text, tokens, stretches of other languages\n");
		fwrite(lines, 1, size, out);
	}
	free(lines);
	cJSON_Delete(root);
	cJSON_Delete(list);
	lyric_ids_free(&ids);
	return st;
}

enum status
inspect_lyrics(FILE *out, const char *path, const struct inspect_lyrics *how)
{
	struct lyric l;
	enum status st;
	char *text, *from;
	size_t len;

	ACE_TRY(file_read(path, LYRIC_BYTES_MAX, &text, &len));
	st = lyric_open(&l, &how->from);
	if (st != ACE_OK) {
		free(text);
		return st;
	}
	if (how->max_tokens > 0)
		l.max_tokens = how->max_tokens;
	l.per_song = how->per_song;
	from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? text + 3 : text;	/* a byte order mark */
	st = render(out, path, &l, from, len - (size_t)(from - text), how->json);
	lyric_close(&l);
	free(text);
	return st;
}
