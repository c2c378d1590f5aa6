/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pinyin.h"

#include "base/file.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

enum {
	FILE_LIMIT = 8 << 20,
	CHARACTERS = 0x31400,		/* above all that are Chinese */
	READINGS = 92 * 92,
	PHRASE_BYTES = 4 * 10,		/* ten characters, so that one digit says which */
	NONE = 0xffff,
};

struct phrase {
	uint32_t text;			/* where in the pool: UTF-8, then place and reading of the others */
	uint8_t n, n_others;		/* bytes of text; characters that read otherwise than alone */
};

struct pinyin {
	char *file, *pool;		/* owned */
	const char **reading;		/* into file; owned */
	uint16_t *of;			/* of a character: its reading, NONE; owned */
	struct phrase *phrase;		/* in the order of their bytes; owned */
	size_t n_phrases, n_readings, n_pool;
};

static bool
is_chinese(uint32_t c)
{
	static const uint32_t range[][2] = {
	    {0x3007, 0x3007},	{0x3400, 0x4dbf},   {0x4e00, 0x9fff},	{0xe815, 0xe864},   {0xf900, 0xfaff},
	    {0x20000, 0x2a6df}, {0x2a703, 0x2b73f}, {0x2b740, 0x2b81d}, {0x2b825, 0x2bf6e}, {0x2c029, 0x2ce93},
	    {0x2d016, 0x2d016}, {0x2d11b, 0x2ebd9}, {0x2f80a, 0x2fa1f}, {0x300f7, 0x31288},
	};

	for (size_t i = 0; i < sizeof range / sizeof *range && c >= range[i][0]; i++)
		if (c <= range[i][1])
			return true;
	return false;
}

/* Two characters of 33 ... 126 without " and \ are a number; -1: they are none. */
static int
pair(const char *p)
{
	int v[2];

	for (int i = 0; i < 2; i++) {
		unsigned char c = (unsigned char)p[i];
		if (c < 33 || c > 126 || c == '"' || c == '\\')
			return -1;
		v[i] = c - 33 - (c > '"') - (c > '\\');
	}
	return v[0] * 92 + v[1];
}

/* "HEX PAIRS": readings of characters in a row. */
static bool
read_characters(struct pinyin *p, const char *line)
{
	char *end;
	unsigned long c = strtoul(line, &end, 16);

	if (end == line || *end++ != ' ' || c >= CHARACTERS)
		return false;
	for (; end[0] && end[1]; end += 2, c++) {
		int r = pair(end);
		if (c >= CHARACTERS || r < 0 || (size_t)r >= p->n_readings)
			return false;
		p->of[c] = (uint16_t)r;
	}
	return !*end;
}

/* Characters that read otherwise: a digit and a pair each. */
static bool
read_others(struct pinyin *p, struct phrase *f, const char *list)
{
	int before = -1;

	for (; *list; list += 3, f->n_others++) {
		int r = list[1] && list[2] ? pair(list + 1) : -1, at = list[0] - '0';
		if (r < 0 || (size_t)r >= p->n_readings || at <= before || at > 9)
			return false;
		before = at;
		p->pool[p->n_pool++] = (char)at;
		p->pool[p->n_pool++] = (char)(r >> 8);
		p->pool[p->n_pool++] = (char)(r & 0xff);
	}
	return true;
}

/* "SHARED REST" without a blank, perhaps a TAB and others: the next phrase. */
static bool
read_phrase(struct pinyin *p, const char *line)
{
	struct phrase *f = &p->phrase[p->n_phrases], *b = p->n_phrases ? f - 1 : NULL;
	size_t shared = 0, n = strcspn(line + 1, "\t"), i;
	const char *old = b ? p->pool + b->text : "";

	for (int k = line[0] - '0'; k > 0; k--)
		if (shared >= (b ? b->n : 0u))
			return false;
		else
			shared += utf8_len(old[shared]);
	if (line[0] < '0' || line[0] > '9' || n == 0 || shared + n > PHRASE_BYTES)
		return false;
	*f = (struct phrase){ .text = (uint32_t)p->n_pool, .n = (uint8_t)(shared + n) };
	memcpy(p->pool + f->text, old, shared);
	memcpy(p->pool + f->text + shared, line + 1, n);
	p->n_pool += f->n;
	for (i = 0; b && i < f->n && i < b->n && p->pool[f->text + i] == old[i];)
		i++;
	if (b && (i == f->n || (i < b->n && (unsigned char)p->pool[f->text + i] < (unsigned char)old[i])))
		return false;
	p->n_phrases++;
	return !line[1 + n] || read_others(p, f, line + 2 + n);
}

enum part { NO_PART, READING, CHARACTER, PHRASE };

static bool
read_line(struct pinyin *p, enum part part, char *line)
{
	switch (part) {
	case READING:
		if (p->n_readings == READINGS || !*line)
			return false;
		p->reading[p->n_readings++] = line;
		return true;
	case CHARACTER:
		return read_characters(p, line);
	case PHRASE:
		return read_phrase(p, line);
	case NO_PART:
		break;
	}
	return false;
}

static enum status
read_file(struct pinyin *p, const char *path, size_t size)
{
	static const char *const heads[] = { "", "= readings", "= characters", "= phrases" };
	enum part part = NO_PART;
	char *end;
	int number = 1;

	for (char *line = p->file; line < p->file + size; line = end + 1, number++) {
		int k = 1;
		end = memchr(line, '\n', (size_t)(p->file + size - line));
		*end = 0;
		while (k < 4 && strcmp(line, heads[k]) != 0)
			k++;
		if (k < 4 && k == (int)part + 1)
			part = (enum part)k;
		else if (k < 4 || !read_line(p, part, line))
			return ace_fail(ACE_EDATA, "%s: line %d is no part of a pinyin table", path, number);
	}
	return part == PHRASE ? ACE_OK : ace_fail(ACE_EDATA, "%s: the list \"%s\" is missing", path, heads[part + 1]);
}

enum status
pinyin_open(struct pinyin **to, const char *path)
{
	struct pinyin *p = calloc(1, sizeof *p);
	enum status st = ACE_OK;
	size_t size, lines = 0;

	*to = NULL;
	if (!p)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if ((st = file_read(path, FILE_LIMIT, &p->file, &size)) != ACE_OK)
		goto bad;
	if (size == 0 || p->file[size - 1] != '\n' || memchr(p->file, 0, size) || utf8_valid(p->file, size) != size) {
		st = ace_fail(ACE_EDATA, "%s: not a pinyin table: no lines of UTF-8", path);
		goto bad;
	}
	for (size_t i = 0; i < size; i++)
		lines += p->file[i] == '\n';
	p->reading = malloc(READINGS * sizeof *p->reading);
	p->of = malloc(CHARACTERS * sizeof *p->of);
	p->phrase = malloc(lines * sizeof *p->phrase);
	p->pool = malloc(lines * PHRASE_BYTES + size);
	if (!p->reading || !p->of || !p->phrase || !p->pool) {
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
		goto bad;
	}
	for (size_t i = 0; i < CHARACTERS; i++)
		p->of[i] = NONE;
	if ((st = read_file(p, path, size)) != ACE_OK)
		goto bad;
	*to = p;
	return ACE_OK;
bad:
	pinyin_close(p);
	return st;
}

void
pinyin_close(struct pinyin *p)
{
	if (!p)
		return;
	free(p->file);
	free(p->pool);
	free(p->reading);
	free(p->of);
	free(p->phrase);
	free(p);
}

static void
write_character(const struct pinyin *p, struct buffer *out, const char *c)
{
	uint32_t u = utf8_at(c);

	if (u < CHARACTERS && p->of[u] != NONE) {
		buffer_str(out, p->reading[p->of[u]]);
	} else {
		buffer_add(out, c, utf8_len(*c));
		buffer_char(out, '5');
	}
}

static void
write_phrase(const struct pinyin *p, struct buffer *out, const struct phrase *f)
{
	const char *text = p->pool + f->text;
	const unsigned char *other = (const unsigned char *)text + f->n;
	int at = 0, k = 0;

	for (size_t i = 0; i < f->n; i += utf8_len(text[i]), at++)
		if (k < f->n_others && other[3 * k] == at) {
			buffer_str(out, p->reading[other[3 * k + 1] << 8 | other[3 * k + 2]]);
			k++;
		} else {
			write_character(p, out, text + i);
		}
}

/* Phrases that share their first bytes: [from, to), depth of them. */
struct range {
	size_t from, to, depth;
};

/* The first phrase of r whose next bytes are not below the n at c (past: are above them). */
static size_t
bound(const struct pinyin *p, const struct range *r, const char *c, size_t n, bool past)
{
	size_t from = r->from, to = r->to;

	while (from < to) {
		size_t mid = from + (to - from) / 2, left = p->phrase[mid].n - r->depth;
		int d = memcmp(p->pool + p->phrase[mid].text + r->depth, c, left < n ? left : n);
		if (d < 0 || (d == 0 && (left < n || past)))
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* Those that go on with the character c; false: none. */
static bool
narrow(const struct pinyin *p, struct range *r, const char *c)
{
	size_t n = utf8_len(*c), from = bound(p, r, c, n, false), to;

	to = bound(p, &(struct range){ from, r->to, r->depth }, c, n, true);
	if (from == to)
		return false;
	*r = (struct range){ from, to, r->depth + n };
	return true;
}

/* A run of Chinese characters, cut into the longest phrases from the left: as far as what is read begins some phrase. */
static void
write_run(const struct pinyin *p, struct buffer *out, const char *run, size_t len)
{
	for (size_t i = 0; i < len;) {
		struct range r = { 0, p->n_phrases, 0 };
		const struct phrase *f;
		while (i + r.depth < len && narrow(p, &r, run + i + r.depth))
			;
		f = r.depth ? &p->phrase[r.from] : NULL;
		if (f && f->n == r.depth) {
			write_phrase(p, out, f);
			i += r.depth;
			continue;
		}
		/* no phrase: one character, or what is left when the run ends inside one */
		for (size_t end = i + r.depth == len ? len : i + 1; i < end; i += utf8_len(run[i]))
			write_character(p, out, run + i);
	}
}

void
pinyin_write(const struct pinyin *p, struct buffer *text, struct buffer *spare)
{
	buffer_clear(spare);
	for (size_t i = 0, j; i < text->len; i = j) {
		bool chinese = is_chinese(utf8_at(text->data + i));
		j = i;
		do
			j += utf8_len(text->data[j]);
		while (j < text->len && is_chinese(utf8_at(text->data + j)) == chinese);
		if (chinese)
			write_run(p, spare, text->data + i, j - i);
		else
			buffer_add(spare, text->data + i, j - i);
	}
	buffer_swap(text, spare);
}
