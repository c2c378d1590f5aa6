/* SPDX-License-Identifier: Apache-2.0 */
#include "data/caption_filter.h"

#include "base/file.h"
#include "base/json.h"
#include "text/buffer.h"
#include "text/chars.h"

#include <locale.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 20, ITEMS = 4096, GROUPS = 10 };

struct item {
	char *given, *what, *by;	/* by: "" when nothing takes its place */
	bool pattern;
	regex_t re;
};

struct caption_filter {
	struct item *item;
	int n;
	locale_t utf8;			/* 0: there is none; then a character is a byte */
};

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for caption_filter_list");
}

void
caption_filter_free(struct caption_filter *f)
{
	if (!f)
		return;
	for (int i = 0; i < f->n; i++) {
		if (f->item[i].pattern)
			regfree(&f->item[i].re);
		free(f->item[i].given);
		free(f->item[i].what);
		free(f->item[i].by);
	}
	if (f->utf8)
		freelocale(f->utf8);
	free(f->item);
	free(f);
}

const char *
caption_filter_item(const struct caption_filter *f, int i)
{
	return f && i >= 0 && i < f->n ? f->item[i].given : NULL;
}

/* --- reading --- */

/* \c, as POSIX writes it; what it knows by itself stays. False: it cannot be said there. */
static bool
put_escape(struct buffer *b, char c, bool inside)
{
	static const struct { char c; const char *inside, *outside; } known[] = {
		{ 'd', "0-9", "[0-9]" }, { 'D', NULL, "[^0-9]" }, { 'w', "[:alnum:]_", NULL }, { 's', "[:space:]", NULL },
		{ 'n', "\n", "\n" }, { 't', "\t", "\t" }, { 'r', "\r", "\r" },
	};
	char both[3] = { '\\', c, 0 };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].c == c && (inside || known[i].outside)) {
			buffer_str(b, inside ? known[i].inside ? known[i].inside : "" : known[i].outside);
			return !inside || known[i].inside;
		}
	if (inside && strchr("-^]WSbB", c))
		return false;
	buffer_str(b, inside ? both + 1 : both);
	return true;
}

/* As POSIX writes it. Lazy repeats are told of: there they would be greedy ones. */
static enum status
posix_pattern(const char *given, const char *what, struct buffer *b)
{
	bool inside = false, repeat = false;	/* in brackets; behind a repeat */

	for (const char *p = what; *p; p++) {
		if (*p == '\\' && p[1]) {
			if (!put_escape(b, *++p, inside))
				return ace_fail(ACE_EDATA, "\"%.80s\": \\%c within [...] is not known", given, *p);
			repeat = false;
			continue;
		}
		if (!inside && repeat && (*p == '?' || *p == '+'))
			return ace_fail(ACE_EDATA, "\"%.80s\": %c behind a repeat (lazy ones and the like) is not known", given, *p);
		repeat = !inside && strchr("*+?}", *p);
		buffer_char(b, *p);
		if (!inside && *p == '[') {
			inside = true;
			if (p[1] == '^')
				buffer_char(b, *++p);
			if (p[1] == ']')
				buffer_char(b, *++p);
		} else if (inside && *p == ']') {
			inside = false;
		}
	}
	return buffer_done(b) ? ACE_OK : no_memory();
}

static enum status
compile(struct caption_filter *f, struct item *it)
{
	struct buffer b = { 0 };
	enum status st = posix_pattern(it->given, it->what, &b);
	locale_t before = f->utf8 ? uselocale(f->utf8) : (locale_t)0;
	char why[120];

	if (st == ACE_OK) {
		int rc = regcomp(&it->re, b.data, REG_EXTENDED);
		it->pattern = rc == 0;
		if (rc != 0) {
			regerror(rc, &it->re, why, sizeof why);
			st = ace_fail(ACE_EDATA, "\"%.80s\": %s", it->given, why);
		}
	}
	if (before)
		uselocale(before);
	buffer_free(&b);
	return st;
}

/* s/WHAT/BY/ or s/WHAT/BY, with two or three /. */
static bool
is_exchange(const char *text, const char **by, size_t *what)
{
	const char *middle = strncmp(text, "s/", 2) == 0 ? strchr(text + 2, '/') : NULL, *last = middle ? strchr(middle + 1, '/') : NULL;

	if (!middle || middle == text + 2 || (last && last[1]))
		return false;
	*what = (size_t)(middle - text) - 2;
	*by = middle + 1;
	return true;
}

enum status
caption_filter_add(struct caption_filter **to, const char *text)
{
	struct caption_filter *f = *to ? *to : calloc(1, sizeof *f);
	struct item *more, *it;
	const char *by = "";
	size_t n = strlen(text);
	bool exchange;

	if (!f)
		return no_memory();
	if (!*to)
		f->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	*to = f;
	if (n == 0)
		return ACE_OK;
	if (f->n == ITEMS)
		return ace_fail(ACE_EDATA, "more than %d items", ITEMS);
	if (utf8_valid(text, n) < n)
		return ace_fail(ACE_EDATA, "an item is not UTF-8");
	more = realloc(f->item, (size_t)(f->n + 1) * sizeof *more);
	if (!more)
		return no_memory();
	f->item = more;
	it = &more[f->n++];
	exchange = is_exchange(text, &by, &n);
	*it = (struct item){ .given = strdup(text), .what = strndup(exchange ? text + 2 : text, n), .by = strndup(by, strcspn(by, "/")) };
	if (!it->given || !it->what || !it->by)
		return no_memory();
	return strpbrk(it->what, ".*+?[](){}^$|\\") ? compile(f, it) : ACE_OK;
}

static enum status
add_json(struct caption_filter **f, const char *path, const char *text, size_t size)
{
	cJSON *all = NULL;
	const cJSON *v;
	enum status st = json_parse(text, size, path, &all);

	if (st == ACE_OK && !cJSON_IsArray(all))
		st = ace_fail(ACE_EDATA, "wanted a list of texts");
	cJSON_ArrayForEach(v, (st == ACE_OK ? all : NULL)) {
		if (st == ACE_OK)
			st = cJSON_IsString(v) ? caption_filter_add(f, v->valuestring) : ace_fail(ACE_EDATA, "an item is no text");
	}
	cJSON_Delete(all);
	return st;
}

enum status
caption_filter_read(struct caption_filter **f, const char *path)
{
	size_t size, n = strlen(path);
	char *text;
	enum status st = ACE_OK;

	ACE_TRY(file_read(path, FILE_LIMIT, &text, &size));
	if (memchr(text, 0, size))
		st = ace_fail(ACE_EDATA, "a 0 byte: no text");
	else if (n > 5 && strcmp(path + n - 5, ".json") == 0)
		st = add_json(f, path, text, size);
	else
		for (char *line = text, *end; st == ACE_OK && line < text + size; line = end + 1) {
			end = line + strcspn(line, "\n");
			*end = 0;
			if (end > line && end[-1] == '\r')
				end[-1] = 0;
			st = caption_filter_add(f, line);
		}
	free(text);
	return st == ACE_OK || st == ACE_ENOMEM ? st : ace_fail_prefix(st, "%s: ", path);
}

/* --- using it --- */

static void
exchange_text(const struct item *it, const char *text, struct buffer *b)
{
	size_t n = strlen(it->what);

	for (const char *at; (at = strstr(text, it->what)); text = at + n) {
		buffer_add(b, text, (size_t)(at - text));
		buffer_str(b, it->by);
	}
	buffer_str(b, text);
}

/* What takes the place of a match: \0 to \9 are its groups. */
static void
put_by(const struct item *it, const char *text, const regmatch_t m[GROUPS], struct buffer *b)
{
	for (const char *p = it->by; *p; p++)
		if (*p == '\\' && p[1] >= '0' && p[1] <= '9') {
			int g = *++p - '0';
			if (m[g].rm_so >= 0)
				buffer_add(b, text + m[g].rm_so, (size_t)(m[g].rm_eo - m[g].rm_so));
		} else {
			buffer_char(b, *p);
		}
}

static void
exchange_matches(const struct item *it, const char *text, struct buffer *b)
{
	regmatch_t m[GROUPS];

	for (int flags = 0; regexec(&it->re, text, GROUPS, m, flags) == 0; flags = REG_NOTBOL) {
		size_t step = 0;
		buffer_add(b, text, (size_t)m[0].rm_so);
		put_by(it, text, m, b);
		text += m[0].rm_eo;
		if (m[0].rm_eo == m[0].rm_so && *text) {	/* of nothing: go on behind the next character */
			step = utf8_len(*text);
			buffer_add(b, text, step);
			text += step;
		}
		if (!*text)
			break;
	}
	buffer_str(b, text);
}

enum status
caption_filter_apply(const struct caption_filter *f, const char *text, char **out)
{
	struct buffer a = { 0 }, b = { 0 };
	locale_t before = f->utf8 ? uselocale(f->utf8) : (locale_t)0;

	buffer_str(&a, text);
	for (int i = 0; i < f->n && buffer_done(&a); i++) {
		buffer_clear(&b);
		if (f->item[i].pattern)
			exchange_matches(&f->item[i], a.data, &b);
		else
			exchange_text(&f->item[i], a.data, &b);
		buffer_swap(&a, &b);
	}
	if (before)
		uselocale(before);
	buffer_free(&b);
	*out = NULL;
	if (!buffer_done(&a)) {
		buffer_free(&a);
		return no_memory();
	}
	*out = a.data;
	return ACE_OK;
}
