/* SPDX-License-Identifier: Apache-2.0 */
#include "text/lyric.h"

#include "base/file.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "text/bpe.h"
#include "text/chars.h"
#include "text/clean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lyric_model {
	struct bpe bpe;
	char hash[65];
};

static enum status
special(const struct lyric_model *m, const char *path, const char *text, int32_t *id)
{
	*id = trie_find(&m->bpe.special, text, strlen(text));
	return *id >= 0 ? ACE_OK : ace_fail(ACE_EDATA, "%s: added_tokens lacks %s", path, text);
}

enum status
lyric_open(struct lyric *l, const char *vocab)
{
	struct lyric_model *m = calloc(1, sizeof *m);
	enum status st;
	int32_t en;

	*l = (struct lyric){ .max_tokens = LYRIC_MAX };
	if (!m)
		return ace_fail(ACE_ENOMEM, "%s: no memory", vocab);
	st = bpe_open(&m->bpe, vocab);
	if (st != ACE_OK) {
		free(m);
		return st;
	}
	l->m = m;
	l->unknown = m->bpe.unknown;
	if ((st = special(m, vocab, "[START]", &l->start)) != ACE_OK ||
	    (st = special(m, vocab, "[SPACE]", &l->blank)) != ACE_OK ||
	    (st = special(m, vocab, "[en]", &en)) != ACE_OK || (st = sha256_file(vocab, m->hash)) != ACE_OK)
		lyric_close(l);
	return st;
}

void
lyric_close(struct lyric *l)
{
	if (!l)
		return;
	if (l->m)
		bpe_close(&l->m->bpe);
	free(l->m);
	l->m = NULL;
}

const char *
lyric_token(const struct lyric *l, int32_t id)
{
	const struct bpe *b = &l->m->bpe;

	return id >= 0 && id < b->size && b->token[id] ? b->token[id] : "?";
}

int
lyric_size(const struct lyric *l)
{
	return l->m->bpe.size;
}

const char *
lyric_hash(const struct lyric *l)
{
	return l->m->hash;
}

/* What a line takes: its parts are used again for the next. */
struct work {
	struct buffer clean, marked;
};

/* "[en]" and the cleaned text with every blank as [SPACE], to ids. */
static enum status
encode_line(const struct lyric *l, const char *lang, const char *text, size_t len, struct work *w, struct numbers *ids)
{
	size_t code = strcspn(lang, "-");
	const struct clean_rules *r = clean_rules_of(lang, code);

	if (!r)
		return ace_fail(ACE_EDATA, "lyrics in the language \"%s\" are not built, wanted en", lang);
	ACE_TRY(clean_line(r, text, len, &w->clean));
	buffer_clear(&w->marked);
	buffer_char(&w->marked, '[');
	buffer_add(&w->marked, lang, code);
	buffer_char(&w->marked, ']');
	for (size_t i = 0; i < w->clean.len; i++)
		if (w->clean.data[i] == ' ')
			buffer_str(&w->marked, "[SPACE]");
		else
			buffer_char(&w->marked, w->clean.data[i]);
	if (w->marked.bad)
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
	return bpe_encode(&l->m->bpe, w->marked.data, w->marked.len, ids);
}

static void
work_free(struct work *w)
{
	buffer_free(&w->clean);
	buffer_free(&w->marked);
}

enum status
lyric_line(const struct lyric *l, const char *lang, const char *text, size_t len, struct lyric_line *out)
{
	struct work w = { 0 };
	struct numbers ids = { 0 };
	size_t good = utf8_valid(text, len);
	enum status st;

	*out = (struct lyric_line){ 0 };
	if (good != len)
		return ace_fail(ACE_EDATA, "the line is not UTF-8 at byte %zu", good);
	st = encode_line(l, lang, text, len, &w, &ids);
	if (st == ACE_OK) {
		*out = (struct lyric_line){ w.clean.data, w.clean.len, ids.data, (int)ids.len };
		w.clean = (struct buffer){ 0 };
	} else {
		numbers_free(&ids);
	}
	work_free(&w);
	return st;
}

void
lyric_line_free(struct lyric_line *out)
{
	free(out->clean);
	free(out->id);
	*out = (struct lyric_line){ 0 };
}

/* "[", anything, "]". */
static bool
is_structure(const char *text, size_t len)
{
	return len > 0 && text[0] == '[' && memchr(text, ']', len);
}

static bool
has_foreign_letter(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i += utf8_len(text[i]))
		if ((unsigned char)text[i] >= 0x80 && char_is_letter(utf8_at(text + i)))
			return true;
	return false;
}

enum lyric_kind
lyric_kind_of(const char *text, size_t len)
{
	chars_strip(&text, &len, true, true, char_is_space);
	if (len == 0)
		return LYRIC_BLANK;
	if (is_structure(text, len))
		return LYRIC_STRUCTURE;
	return has_foreign_letter(text, len) ? LYRIC_FOREIGN : LYRIC_ENGLISH;
}

/* "write a ... song that genre is", in one line: a request that stands where lyrics should. */
static bool
is_request(const char *line, size_t len)
{
	static const char from[] = "write a ", to[] = " song that genre is";
	const char *p = memmem(line, len, from, strlen(from));

	return p && memmem(p + strlen(from), len - (size_t)(p - line) - strlen(from), to, strlen(to));
}

static bool
has_request(const char *text, size_t len)
{
	for (size_t from = 0, n; from < len; from += n + 1) {
		const char *end = memchr(text + from, '\n', len - from);
		n = end ? (size_t)(end - text) - from : len - from;
		if (is_request(text + from, n))
			return true;
	}
	return false;
}

/* One line; appends its ids and the break. */
static enum status
add_line(const struct lyric *l, const char *text, size_t len, int number, struct work *w, struct numbers *ids,
         struct numbers *skipped, struct lyric_ids *out)
{
	enum lyric_kind kind = lyric_kind_of(text, len);

	if (kind == LYRIC_BLANK) {
		numbers_add(ids, l->blank);
		return ACE_OK;
	}
	out->lines++;
	out->structure += kind == LYRIC_STRUCTURE;
	if (kind == LYRIC_FOREIGN) {
		numbers_add(skipped, number);
		return ACE_OK;
	}
	chars_strip(&text, &len, true, true, char_is_space);
	ACE_TRY(encode_line(l, "en", text, len, w, ids));
	numbers_add(ids, l->blank);
	return ACE_OK;
}

static int
line_of(const char *text, size_t at)
{
	int line = 1;

	for (size_t i = 0; i < at; i++)
		line += text[i] == '\n';
	return line;
}

enum status
lyric_encode(const struct lyric *l, const char *text, size_t len, struct lyric_ids *out)
{
	struct numbers ids = { 0 }, skipped = { 0 };
	size_t good = utf8_valid(text, len);
	struct work w = { 0 };
	enum status st = ACE_OK;
	int number = 1;

	*out = (struct lyric_ids){ 0 };
	if (good != len)
		return ace_fail(ACE_EDATA, "line %d is not UTF-8", line_of(text, good));
	out->mask = len > 0 && !has_request(text, len);
	numbers_add(&ids, out->mask ? l->start : LYRIC_NONE);
	for (size_t from = 0, n; out->mask && from <= len && st == ACE_OK; from += n + 1) {
		const char *end = from < len ? memchr(text + from, '\n', len - from) : NULL;
		n = end ? (size_t)(end - text) - from : len - from;
		st = add_line(l, text + from, n, number++, &w, &ids, &skipped, out);
	}
	work_free(&w);
	if (st == ACE_OK && (ids.bad || skipped.bad))
		st = ace_fail(ACE_ENOMEM, "no memory for lyrics of %zu bytes", len);
	out->id = ids.data;
	out->skipped_line = skipped.data;
	if (st != ACE_OK) {
		lyric_ids_free(out);
		return st;
	}
	out->skipped = (int)skipped.len;
	out->cut = ids.len > (size_t)l->max_tokens;
	out->n = out->cut ? l->max_tokens : (int)ids.len;
	for (int i = 0; i < out->n && out->mask; i++)
		out->unknown += out->id[i] == l->unknown;
	return ACE_OK;
}

void
lyric_ids_free(struct lyric_ids *out)
{
	if (!out)
		return;
	free(out->id);
	free(out->skipped_line);
	*out = (struct lyric_ids){ 0 };
}

void
lyric_warn(const struct lyric_ids *ids, const char *path)
{
	enum { NAMED = 8 };
	struct buffer b = { 0 };

	for (int i = 0; i < ids->skipped && i < NAMED; i++) {
		char text[16];
		snprintf(text, sizeof text, "%s%d", i ? ", " : "", ids->skipped_line[i]);
		buffer_str(&b, text);
	}
	if (ids->skipped > NAMED)
		buffer_str(&b, ", ...");
	if (ids->skipped > 0)
		msg_warn("%s: line%s %s skipped: letters outside Basic Latin (lyrics are built for English only)", path,
		         ids->skipped > 1 ? "s" : "", b.data ? b.data : "");
	buffer_free(&b);
}
