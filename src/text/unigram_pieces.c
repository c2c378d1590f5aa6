/* SPDX-License-Identifier: Apache-2.0 */
/* reading tokenizer.json: its list of pieces, which is nearly all of the file, apart from the rest */
#include "base/file.h"
#include "base/json.h"
#include "text/chars.h"
#include "text/unigram_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/utf8.h>

enum { FILE_LIMIT = 512 << 20 };

enum status
unigram_add_piece(struct unigram_model *m, const char *path, const char *piece, size_t len, double score)
{
	if (m->n_pieces == m->cap_pieces) {
		size_t cap = m->cap_pieces ? 2 * m->cap_pieces : 4096;
		double *more = realloc(m->score, cap * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory for the pieces", path);
		m->score = more;
		m->cap_pieces = cap;
	}
	if (!isfinite(score))
		return ace_fail(ACE_EDATA, "%s: the score of piece %zu is not a number", path, m->n_pieces);
	if (utf8_valid(piece, len) != len)
		return ace_fail(ACE_EDATA, "%s: piece %zu is not UTF-8", path, m->n_pieces);
	if (m->n_pieces >= INT32_MAX || !trie_add(&m->pieces, piece, len, (int32_t)m->n_pieces))
		return ace_fail(ACE_ENOMEM, "%s: no memory for piece %zu, or more than %d trie nodes", path,
				m->n_pieces, TRIE_NODES_MAX);
	m->score[m->n_pieces++] = score;
	return ACE_OK;
}

enum status
unigram_add_special(struct unigram_model *m, const char *path, const char *text, size_t len, int64_t id)
{
	if (len == 0 || utf8_valid(text, len) != len)
		return ace_fail(ACE_EDATA, "%s: the added token %lld is empty or not UTF-8", path, (long long)id);
	if (id < 0 || id >= INT32_MAX)
		return ace_fail(ACE_EDATA, "%s: the added token \"%s\" has id %lld", path, text, (long long)id);
	if (!trie_add(&m->added, text, len, (int32_t)id))
		return ace_fail(ACE_ENOMEM, "%s: no memory for the added tokens", path);
	if (id >= m->size)
		m->size = (int32_t)id + 1;
	return ACE_OK;
}

enum status
unigram_pieces_done(struct unigram_model *m, const char *path, int64_t unknown)
{
	double least = INFINITY;

	if (m->n_pieces == 0)
		return ace_fail(ACE_EDATA, "%s: no pieces in the model's vocab", path);
	if (unknown < 0 || (uint64_t)unknown >= m->n_pieces)
		return ace_fail(ACE_EDATA, "%s: unk_id is %lld, wanted 0 ... %zu", path, (long long)unknown,
				m->n_pieces - 1);
	for (size_t i = 0; i < m->n_pieces; i++)
		least = m->score[i] < least ? m->score[i] : least;
	m->unknown = (int32_t)unknown;
	m->unknown_score = least - 10;
	for (int i = 0; i < 256; i++) {
		char name[8];
		snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
		m->byte_id[i] = trie_find(&m->pieces, name, 6);
	}
	if ((int64_t)m->n_pieces > m->size)
		m->size = (int32_t)m->n_pieces;
	return ACE_OK;
}

static char *
blanks(char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* Behind the string that begins at p ('"'); end when it does not close. */
static char *
skip_string(char *p, char *end)
{
	for (p++; p < end; p++)
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	return end;
}

/* Behind the value that begins at p. */
static char *
skip_value(char *p, char *end)
{
	int depth = 0;

	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			if (depth == 0)
				return p;
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		if (depth < 0 || (depth == 0 && *p == ','))
			return p;
		p++;
		if (depth == 0 && (p[-1] == '}' || p[-1] == ']'))
			return p;
	}
	return end;
}

/* Narrow [*from, *to), an object's text, to its member's value. A guide through valid JSON; whether it is
 * valid, the strict reader says afterwards. */
static bool
find_member(char **from, char **to, const char *key)
{
	char *p = blanks(*from, *to), *end = *to;
	size_t n = strlen(key);

	if (p >= end || *p != '{')
		return false;
	for (p++; p < end; p++) {
		char *name = p = blanks(p, end), *value;
		if (p >= end || *p != '"')
			return false;
		p = blanks(skip_string(p, end), end);
		if (p >= end || *p != ':')
			return false;
		value = blanks(p + 1, end);
		p = skip_value(value, end);
		if ((size_t)(end - name) > n + 1 && memcmp(name + 1, key, n) == 0 && name[n + 1] == '"') {
			*from = value;
			*to = p;
			return true;
		}
		p = blanks(p, end);
		if (p >= end || *p != ',')
			return false;
	}
	return false;
}

static int
hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'f' ? c - 'a' + 10
			: c >= 'A' && c <= 'F' ? c - 'A' + 10
					       : -1;
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* One escape behind the backslash at *p -> UTF-8 at to; the bytes written, 0 when it is none. */
static size_t
unescape(char **p, const char *end, char *to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *k = *p < end && **p ? strchr(from, **p) : NULL;
	int c, low, n = 0;

	if (k) {
		++*p;
		*to = into[k - from];
		return 1;
	}
	if (*p >= end || **p != 'u' || (c = hex4(*p + 1, end)) < 0)
		return 0;
	*p += 5;
	if (c >= 0xd800 && c < 0xe000) {
		if (c >= 0xdc00 || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
			return 0;
		low = hex4(*p + 2, end);
		if (low < 0xdc00 || low >= 0xe000)
			return 0;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		*p += 6;
	}
	U8_APPEND_UNSAFE((uint8_t *)to, n, c);
	return (size_t)n;
}

/* The string at *p, its escapes undone in place; NULL when it is none. */
static char *
read_string(char **p, char *end, size_t *len)
{
	char *from = *p + 1, *q = from, *to = from;

	if (*p >= end || **p != '"')
		return NULL;
	while (q < end && *q != '"')
		if (*q == '\\') {
			size_t n = (q++, unescape(&q, end, to));
			if (n == 0)
				return NULL;
			to += n;
		} else {
			*to++ = *q++;
		}
	if (q >= end)
		return NULL;
	*p = q + 1;
	*len = (size_t)(to - from);
	return from;
}

enum status
unigram_read_vocab(struct unigram_model *m, const char *path, char *text, size_t len)
{
	char *end = text + len, *p = blanks(text, end);

	if (p >= end || *p != '[')
		return ace_fail(ACE_EDATA, "%s: the model's vocab is not a list of [piece, score]", path);
	p = blanks(p + 1, end);
	if (p < end && *p == ']')
		return ACE_OK;
	for (; p < end; p = blanks(p + 1, end)) {
		char *piece = NULL, *num = NULL;
		double score = 0;
		size_t n = 0;
		if (*p == '[') {
			p = blanks(p + 1, end);
			piece = read_string(&p, end, &n);
			p = blanks(p, end);
		}
		if (piece && p < end && *p == ',') {
			p = blanks(p + 1, end);
			score = p < end && (*p == '-' || (*p >= '0' && *p <= '9')) ? strtod(p, &num) : 0;
		}
		p = num ? blanks(num, end) : end;
		if (p >= end || *p != ']')
			return ace_fail(ACE_EDATA, "%s: entry %zu of the model's vocab is not [piece, score]",
					path, m->n_pieces);
		ACE_TRY(unigram_add_piece(m, path, piece, n, score));
		p = blanks(p + 1, end);
		if (p < end && *p == ']')
			return ACE_OK;
		if (p >= end || *p != ',')
			break;
	}
	return ace_fail(ACE_EDATA, "%s: the model's vocab breaks off behind entry %zu", path, m->n_pieces);
}

static enum status
read_model(struct unigram_model *m, const char *path, const cJSON *root)
{
	const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(model, "type");
	const cJSON *unknown = cJSON_GetObjectItemCaseSensitive(model, "unk_id");
	const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(model, "byte_fallback");
	const cJSON *v;
	int64_t id;

	if (!cJSON_IsObject(model))
		return ace_fail(ACE_EDATA, "%s: no object model, wanted a Unigram tokenizer", path);
	if (!cJSON_IsString(type) || strcmp(type->valuestring, "Unigram") != 0)
		return ace_fail(ACE_EDATA, "%s: the model's type is %s, wanted Unigram", path,
		                cJSON_IsString(type) ? type->valuestring : "not given");
	cJSON_ArrayForEach(v, model) if (strcmp(v->string, "type") != 0 && strcmp(v->string, "unk_id") != 0 &&
					 strcmp(v->string, "byte_fallback") != 0 &&
					 strcmp(v->string, "vocab") !=
						 0) return ace_fail(ACE_EDATA,
								    "%s: the model's member %s is not known",
								    path, v->string);
	if (!cJSON_IsNumber(unknown))
		return ace_fail(ACE_EDATA, "%s: the model's unk_id is not given", path);
	if (bytes && !cJSON_IsNull(bytes) && !cJSON_IsBool(bytes))
		return ace_fail(ACE_EDATA, "%s: the model's byte_fallback is neither true nor false", path);
	m->byte_fallback = cJSON_IsTrue(bytes);
	ACE_TRY(json_i64(model, path, "unk_id", -1, &id));
	return unigram_pieces_done(m, path, id);
}

enum status
unigram_read_json(struct unigram_model *m, const char *path)
{
	char *text, *from, *to;
	enum status st = ACE_OK;
	cJSON *root = NULL;
	size_t size;

	ACE_TRY(file_read(path, FILE_LIMIT, &text, &size));
	from = text;
	to = text + size;
	if (find_member(&from, &to, "model") && find_member(&from, &to, "vocab") && to - from >= 2) {
		size_t rest = (size_t)(text + size - to);
		st = unigram_read_vocab(m, path, from, (size_t)(to - from));
		from[0] = '[';
		from[1] = ']';
		memmove(from + 2, to, rest);
		size = (size_t)(from + 2 - text) + rest;
	}
	if (st == ACE_OK)
		st = json_parse(text, size, path, &root);
	free(text);
	if (st == ACE_OK)
		st = read_model(m, path, root);
	if (st == ACE_OK)
		st = unigram_read_pipeline(m, path, root);
	cJSON_Delete(root);
	return st;
}
