/* SPDX-License-Identifier: Apache-2.0 */
/* config.toml: flat keys with texts, numbers, truth values and lists of them (TOML 1.0 without tables). */
#include "base/settings_parts.h"

#include "base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 4 << 20 };

struct toml {
	const char *path, *p, *end;
	int line;
	char *text;			/* the value read last; as large as the file */
	size_t n;
};

static enum status
bad(const struct toml *t, const char *what)
{
	return ace_fail(ACE_ECONFIG, "%s:%d: %s", t->path, t->line, what);
}

static void
blanks(struct toml *t)
{
	while (t->p < t->end && (*t->p == ' ' || *t->p == '\t' || *t->p == '\r'))
		t->p++;
}

/* Blanks, comments and line ends. */
static void
gap(struct toml *t)
{
	for (blanks(t); t->p < t->end && (*t->p == '#' || *t->p == '\n'); blanks(t)) {
		if (*t->p == '#')
			while (t->p < t->end && *t->p != '\n')
				t->p++;
		if (t->p < t->end) {
			t->line++;
			t->p++;
		}
	}
}

static bool
at(const struct toml *t, const char *what)
{
	size_t n = strlen(what);

	return (size_t)(t->end - t->p) >= n && memcmp(t->p, what, n) == 0;
}

static void
put_utf8(struct toml *t, unsigned long c)
{
	if (c < 0x80) {
		t->text[t->n++] = (char)c;
	} else if (c < 0x800) {
		t->text[t->n++] = (char)(0xC0 | c >> 6);
		t->text[t->n++] = (char)(0x80 | (c & 0x3F));
	} else {
		if (c >= 0x10000) {
			t->text[t->n++] = (char)(0xF0 | c >> 18);
			t->text[t->n++] = (char)(0x80 | (c >> 12 & 0x3F));
		} else {
			t->text[t->n++] = (char)(0xE0 | c >> 12);
		}
		t->text[t->n++] = (char)(0x80 | (c >> 6 & 0x3F));
		t->text[t->n++] = (char)(0x80 | (c & 0x3F));
	}
}

/* Behind a backslash. */
static enum status
escape(struct toml *t, bool many)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *found;
	char digits[9] = "", *stop;
	unsigned long c;
	int want;

	if (t->p >= t->end)
		return bad(t, "a text is not closed");
	found = strchr(from, *t->p);
	if (*t->p && found) {
		t->text[t->n++] = to[found - from];
		t->p++;
		return ACE_OK;
	}
	if (many && isspace((unsigned char)*t->p)) {	/* a line goes on in the next */
		while (t->p < t->end && isspace((unsigned char)*t->p))
			t->line += *t->p++ == '\n';
		return ACE_OK;
	}
	want = *t->p == 'u' ? 4 : *t->p == 'U' ? 8 : 0;
	if (!want || t->end - t->p <= want)
		return bad(t, "an escape that TOML does not have");
	memcpy(digits, t->p + 1, (size_t)want);
	c = strtoul(digits, &stop, 16);
	if (*stop || !isxdigit((unsigned char)*digits) || c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return bad(t, "an escape that is no character");
	put_utf8(t, c);
	t->p += want + 1;
	return ACE_OK;
}

/* A text in one or three quotes of either kind, into t->text. */
static enum status
quoted(struct toml *t)
{
	char q = *t->p, three[4] = { q, q, q, 0 };
	bool many = at(t, three);

	t->p += many ? 3 : 1;
	if (many && at(t, "\r\n"))
		t->p++;
	if (many && at(t, "\n")) {
		t->p++;
		t->line++;
	}
	for (;;) {
		if (t->p >= t->end || (!many && *t->p == '\n'))
			return bad(t, "a text is not closed");
		if (many ? at(t, three) : *t->p == q)
			break;
		if (*t->p == '\\' && q == '"') {
			t->p++;
			ACE_TRY(escape(t, many));
			continue;
		}
		t->line += *t->p == '\n';
		t->text[t->n++] = *t->p++;
	}
	t->p += many ? 3 : 1;
	return ACE_OK;
}

/* A number or truth value, '_' between digits dropped. */
static enum status
bare(struct toml *t)
{
	size_t before = t->n;

	while (t->p < t->end && (isalnum((unsigned char)*t->p) || strchr("+-._", *t->p)) && *t->p) {
		if (*t->p != '_')
			t->text[t->n++] = *t->p;
		t->p++;
	}
	if (t->n == before)
		return bad(t, "wanted a value");
	t->text[t->n] = 0;
	if (isalpha((unsigned char)t->text[before]) && strcmp(t->text + before, "true") != 0 &&
	    strcmp(t->text + before, "false") != 0)
		return bad(t, "a text wants quotes");
	return ACE_OK;
}

/* A list of texts and numbers, as JSON into t->text. */
static enum status
list(struct toml *t)
{
	bool more = false;

	t->p++;
	t->text[t->n++] = '[';
	for (gap(t); !at(t, "]"); gap(t)) {
		size_t start;
		char *copy;
		if (more && !at(t, ","))
			return bad(t, "wanted , or ] in a list");
		if (more) {
			t->p++;
			gap(t);
			if (at(t, "]"))
				break;
			t->text[t->n++] = ',';
		}
		more = true;
		start = t->n;
		if (!at(t, "\"") && !at(t, "'")) {
			ACE_TRY(bare(t));
			continue;
		}
		ACE_TRY(quoted(t));
		copy = strndup(t->text + start, t->n - start);
		if (!copy)
			return ace_fail(ACE_ENOMEM, "%s: no memory", t->path);
		t->n = start;
		t->text[t->n++] = '"';
		for (const char *c = copy; *c; c++) {
			if (*c == '"' || *c == '\\')
				t->text[t->n++] = '\\';
			t->text[t->n++] = (unsigned char)*c < ' ' ? ' ' : *c;
		}
		t->text[t->n++] = '"';
		free(copy);
	}
	t->p++;
	t->text[t->n++] = ']';
	return ACE_OK;
}

static enum status
key_of(struct toml *t, char *key, size_t size)
{
	size_t n = 0;

	t->n = 0;
	if (at(t, "\"") || at(t, "'")) {
		ACE_TRY(quoted(t));
		t->text[t->n] = 0;
		snprintf(key, size, "%s", t->text);
	} else {
		while (t->p < t->end && (isalnum((unsigned char)*t->p) || *t->p == '_' || *t->p == '-') && n + 1 < size)
			key[n++] = *t->p++;
		key[n] = 0;
	}
	if (at(t, "["))
		return bad(t, "tables are not read; wanted flat keys, key = value");
	blanks(t);
	if (!*key || !at(t, "="))
		return bad(t, "wanted key = value");
	t->p++;
	blanks(t);
	t->n = 0;
	return ACE_OK;
}

static enum status
entry(struct toml *t, struct settings *s, struct given_list *l)
{
	const struct origin from = { FROM_FILE, t->path };
	char key[128], *expanded;
	enum status st;

	ACE_TRY(key_of(t, key, sizeof key));
	if (at(t, "\"") || at(t, "'"))
		ACE_TRY(quoted(t));
	else if (at(t, "["))
		ACE_TRY(list(t));
	else
		ACE_TRY(bare(t));
	t->text[t->n] = 0;
	blanks(t);
	if (t->p < t->end && *t->p != '\n' && *t->p != '#')
		return bad(t, "wanted the end of the line behind a value");
	ACE_TRY(settings_expand(t->text, t->path, key, &expanded));
	st = settings_key(s, l, key, expanded, &from);
	free(expanded);
	return st;
}

enum status
settings_read_toml(struct settings *s, struct given_list *l, const char *path)
{
	struct toml t = { .path = path, .line = 1 };
	enum status st = ACE_OK;
	char *data;
	size_t size;

	ACE_TRY(file_read(path, FILE_LIMIT, &data, &size));
	t.p = data;
	t.end = data + size;
	t.text = malloc(3 * size + 16);		/* a list grows by its escapes */
	if (!t.text)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	else if (strlen(data) != size)
		st = ace_fail(ACE_ECONFIG, "%s: holds a zero byte", path);
	for (gap(&t); st == ACE_OK && t.p < t.end; gap(&t))
		st = entry(&t, s, l);
	free(t.text);
	free(data);
	return st;
}
