/* SPDX-License-Identifier: Apache-2.0 */
/* The part of YAML that cards of data sets are written in; anything else is refused, never guessed. */
#include "data/hf_parts.h"

#include <stdlib.h>
#include <string.h>

enum { NESTING = 16 };

struct yaml {
	const char *p, *end;		/* p: at the start of a line */
	bool bad;
};

/* Blanks before the next line that says something, which p is moved to; -1 at the end. *n: its length without blanks and
 * comments behind it. */
static int
peek(struct yaml *y, size_t *n)
{
	while (y->p < y->end) {
		const char *eol = memchr(y->p, '\n', (size_t)(y->end - y->p));
		size_t len = eol ? (size_t)(eol - y->p) : (size_t)(y->end - y->p), indent = 0;
		while (indent < len && y->p[indent] == ' ')
			indent++;
		*n = len - indent;
		while (*n > 0 && (y->p[indent + *n - 1] == ' ' || y->p[indent + *n - 1] == '\r'))
			--*n;
		if (*n > 0 && y->p[indent] != '#')
			return (int)indent;
		y->p += len + (eol != NULL);
	}
	return -1;
}

static void
skip_line(struct yaml *y)
{
	const char *eol = memchr(y->p, '\n', (size_t)(y->end - y->p));

	y->p = eol ? eol + 1 : y->end;
}

static cJSON *flow(const char **p, const char *end, int depth);

static void
blanks(const char **p, const char *end)
{
	while (*p < end && **p == ' ')
		++*p;
}

/* A scalar in a flow list: up to one of stops; quoted or plain. */
static cJSON *
scalar(const char **p, const char *end, const char *stops)
{
	const char *from = *p;
	size_t n = 0;
	char *text;
	cJSON *v;

	if (from < end && (*from == '"' || *from == '\'')) {
		const char *close = memchr(from + 1, *from, (size_t)(end - from - 1));
		if (!close)
			return NULL;
		n = (size_t)(close - from - 1);
		from++;
		*p = close + 1;
	} else {
		while (*p < end && !strchr(stops, **p))
			++*p;
		n = (size_t)(*p - from);
		while (n > 0 && from[n - 1] == ' ')
			n--;
		for (size_t i = 1; i < n; i++)
			if (from[i] == '#' && from[i - 1] == ' ') {
				n = i - 1;
				while (n > 0 && from[n - 1] == ' ')
					n--;
				break;
			}
	}
	text = strndup(from, n);
	v = text ? cJSON_CreateString(text) : NULL;
	free(text);
	return v;
}

static cJSON *
flow_list(const char **p, const char *end, int depth)
{
	char close = **p == '[' ? ']' : '}';
	cJSON *list = close == ']' ? cJSON_CreateArray() : cJSON_CreateObject();

	for (++*p;;) {
		cJSON *key = NULL, *v;
		blanks(p, end);
		if (*p < end && **p == close) {
			++*p;
			return list;
		}
		if (close == '}') {
			key = scalar(p, end, ":,}");
			blanks(p, end);
			if (!key || *p >= end || **p != ':') {
				cJSON_Delete(key);
				break;
			}
			++*p;
			blanks(p, end);
		}
		v = flow(p, end, depth + 1);
		if (v && key)
			cJSON_AddItemToObject(list, key->valuestring, v);
		else if (v)
			cJSON_AddItemToArray(list, v);
		cJSON_Delete(key);
		blanks(p, end);
		if (!v || *p >= end || (**p != ',' && **p != close))
			break;
		*p += **p == ',';
	}
	cJSON_Delete(list);
	return NULL;
}

static cJSON *
flow(const char **p, const char *end, int depth)
{
	if (depth > NESTING || *p >= end)
		return NULL;
	return **p == '[' || **p == '{' ? flow_list(p, end, depth) : scalar(p, end, ",]}");
}

/* A value that stands on the line of its key. */
static cJSON *
inline_value(const char *text, size_t n)
{
	const char *p = text, *end = text + n;
	cJSON *v;

	if (*p == '[' || *p == '{') {
		v = flow(&p, end, 0);
		blanks(&p, end);
		if (v && p < end && *p != '#') {
			cJSON_Delete(v);
			return NULL;
		}
		return v;
	}
	if (*p == '|' || *p == '>' || *p == '&' || *p == '*')
		return NULL;
	return scalar(&p, end, "");
}

/* Where the ':' behind a key is; NULL: the line is no key. */
static const char *
colon(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] == ':' && (i + 1 == n || text[i + 1] == ' '))
			return text + i;
	return NULL;
}

static cJSON *block(struct yaml *y, int indent, int depth);

/* What belongs to a key or dash at indent whose line is over: the deeper lines, or a list at the same indent. */
static cJSON *
below(struct yaml *y, int indent, bool key, int depth)
{
	size_t n;
	int next = peek(y, &n);
	bool dash = next >= 0 && y->p[next] == '-' && (n == 1 || y->p[next + 1] == ' ');

	if (next > indent || (key && dash && next == indent))
		return block(y, next, depth + 1);
	return cJSON_CreateNull();
}

/* The member that begins at text (n bytes), whose line's content begins at column indent; y->p is at its line. */
static bool
member(struct yaml *y, cJSON *map, const char *text, size_t n, int indent, int depth)
{
	const char *c = colon(text, n), *v, *p = text;
	cJSON *key, *value;

	if (!c)
		return false;
	key = scalar(&p, c, "");
	for (v = c + 1; v < text + n && *v == ' '; v++)
		;
	skip_line(y);
	if (v < text + n && *v != '#')
		value = inline_value(v, (size_t)(text + n - v));
	else
		value = below(y, indent, true, depth);
	if (key && value && !cJSON_GetObjectItemCaseSensitive(map, key->valuestring))
		cJSON_AddItemToObject(map, key->valuestring, value);
	else
		cJSON_Delete(value);
	cJSON_Delete(key);
	return value != NULL;
}

static cJSON *
map_block(struct yaml *y, cJSON *map, int indent, int depth)
{
	size_t n;

	for (int at; (at = peek(y, &n)) >= indent;) {
		if (at > indent || y->p[at] == '-' || !member(y, map, y->p + at, n, indent, depth)) {
			cJSON_Delete(map);
			return NULL;
		}
	}
	return map;
}

static cJSON *
list_block(struct yaml *y, int indent, int depth)
{
	cJSON *list = cJSON_CreateArray(), *v;
	size_t n;

	for (int at; (at = peek(y, &n)) >= indent;) {
		const char *text = y->p + at + 1;
		int column = at + 1;
		if (at == indent && y->p[at] != '-')
			break;		/* the next key of the map around */
		if (at > indent || (n > 1 && y->p[at + 1] != ' '))
			goto bad;
		n--;
		for (; n > 0 && *text == ' '; text++, n--)
			column++;
		if (n > 0 && *text != '"' && *text != '[' && *text != '{' && colon(text, n)) {
			cJSON *map = cJSON_CreateObject();
			if (!member(y, map, text, n, column, depth + 1)) {
				cJSON_Delete(map);
				goto bad;
			}
			v = map_block(y, map, column, depth + 1);
		} else {
			skip_line(y);
			v = n > 0 ? inline_value(text, n) : below(y, indent, false, depth);
		}
		if (!v)
			goto bad;
		cJSON_AddItemToArray(list, v);
	}
	return list;
bad:
	cJSON_Delete(list);
	return NULL;
}

static cJSON *
block(struct yaml *y, int indent, int depth)
{
	size_t n;
	int at = peek(y, &n);

	if (depth > NESTING || at < 0)
		return NULL;
	if (y->p[at] == '-' && (n == 1 || y->p[at + 1] == ' '))
		return list_block(y, indent, depth);
	return map_block(y, cJSON_CreateObject(), indent, depth);
}

cJSON *
hf_yaml(const char *text, size_t n)
{
	struct yaml y = { .p = text, .end = text + n };
	size_t len;
	int indent = peek(&y, &len);
	cJSON *v = indent >= 0 && !memchr(text, 0, n) ? block(&y, indent, 0) : NULL;

	if (v && peek(&y, &len) >= 0) {
		cJSON_Delete(v);
		return NULL;
	}
	return v;
}
