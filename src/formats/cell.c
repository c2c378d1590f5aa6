/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/cell.h"

#include <string.h>

struct cell
cell_of_json(const cJSON *v)
{
	return (struct cell){ .json = v };
}

struct cell
cell_of_arrow(const struct ArrowSchema *s, const struct ArrowArray *a, int64_t row)
{
	return (struct cell){ .schema = s, .array = a, .row = row };
}

const char *
cell_kind_name(enum cell_kind k)
{
	static const char *const names[] = { "null", "true or false", "a whole number", "a number", "text", "bytes", "a list",
		"a struct", "of a type that is not read" };

	return names[k];
}

/* --- JSON --- */

static enum cell_kind
json_kind(const cJSON *v)
{
	if (cJSON_IsString(v))
		return CELL_TEXT;
	if (cJSON_IsNumber(v))
		return v->valuedouble > -9e15 && v->valuedouble < 9e15 && v->valuedouble == (double)(int64_t)v->valuedouble
			       ? CELL_INT
			       : CELL_FLOAT;
	if (cJSON_IsBool(v))
		return CELL_BOOL;
	if (cJSON_IsArray(v))
		return CELL_LIST;
	return cJSON_IsObject(v) ? CELL_STRUCT : CELL_NULL;
}

static const cJSON *
json_at(const cJSON *v, int64_t i)
{
	const cJSON *c = v->child;

	while (c && i-- > 0)
		c = c->next;
	return c;
}

/* --- Arrow --- */

static int64_t
load_i32(const void *p, int64_t i)
{
	int32_t x;

	memcpy(&x, (const char *)p + i * 4, 4);
	return x;
}

static int64_t
load_i64(const void *p, int64_t i)
{
	int64_t x;

	memcpy(&x, (const char *)p + i * 8, 8);
	return x;
}

static bool
bit(const void *p, int64_t i)
{
	return ((const unsigned char *)p)[i >> 3] >> (i & 7) & 1;
}

static int64_t
at(struct cell c)
{
	return c.array->offset + c.row;
}

static bool
is_null(struct cell c)
{
	if (c.schema->format[0] == 'n' || c.array->n_buffers < 1)
		return true;
	return c.array->null_count != 0 && c.array->buffers[0] && !bit(c.array->buffers[0], at(c));
}

static bool
is(struct cell c, const char *format)
{
	return strcmp(c.schema->format, format) == 0;
}

/* Elements of a list: the range of its child. */
static bool
list_range(struct cell c, int64_t *from, int64_t *n)
{
	int64_t i = at(c);

	if (c.array->n_children != 1 || c.schema->n_children != 1)
		return false;
	if (strncmp(c.schema->format, "+w:", 3) == 0) {
		*n = 0;
		for (const char *p = c.schema->format + 3; *p >= '0' && *p <= '9' && *n < INT32_MAX; p++)
			*n = 10 * *n + (*p - '0');
		*from = i * *n;
		return true;
	}
	if (c.array->n_buffers < 2 || !c.array->buffers[1])
		return false;
	if (is(c, "+L")) {
		*from = load_i64(c.array->buffers[1], i);
		*n = load_i64(c.array->buffers[1], i + 1) - *from;
	} else {
		*from = load_i32(c.array->buffers[1], i);
		*n = load_i32(c.array->buffers[1], i + 1) - *from;
	}
	return *n >= 0;
}

/* A value of "vu" or "vz": its length, then the value itself, or four bytes of it, and in which buffer and where it is. */
static bool
view(struct cell c, const char **text, size_t *size)
{
	const char *v;
	int64_t n, buffer;

	if (c.array->n_buffers < 3 || !c.array->buffers[1])
		return false;
	v = (const char *)c.array->buffers[1] + 16 * at(c);
	n = load_i32(v, 0);
	if (n < 0)
		return false;
	*size = (size_t)n;
	*text = v + 4;
	if (n <= 12)
		return true;
	buffer = load_i32(v, 2);
	if (buffer < 0 || buffer >= c.array->n_buffers - 3 || !c.array->buffers[2 + buffer])
		return false;
	*text = (const char *)c.array->buffers[2 + buffer] + load_i32(v, 3);
	return true;
}

/* A value of a dictionary in place of its number. */
static struct cell
resolved(struct cell c)
{
	struct cell number = c;
	struct ArrowSchema plain;
	int64_t i;

	if (!c.schema || !c.schema->dictionary || !c.array->dictionary || is_null(c))
		return c;
	plain = *c.schema;
	plain.dictionary = NULL;
	number.schema = &plain;
	if (!cell_int(number, &i) || i < 0 || i >= c.array->dictionary->length)
		return (struct cell){ 0 };
	return cell_of_arrow(c.schema->dictionary, c.array->dictionary, i);
}

static enum cell_kind
arrow_kind(struct cell c)
{
	const char *f = c.schema->format;

	if (is_null(c))
		return CELL_NULL;
	if (is(c, "u") || is(c, "U") || is(c, "vu"))
		return CELL_TEXT;
	if (is(c, "z") || is(c, "Z") || is(c, "vz"))
		return CELL_BYTES;
	if (is(c, "+s"))
		return CELL_STRUCT;
	if (is(c, "+l") || is(c, "+L") || is(c, "+m") || strncmp(f, "+w:", 3) == 0)
		return CELL_LIST;
	if (f[0] && !f[1] && strchr("cCsSiIlL", f[0]))
		return CELL_INT;
	if (is(c, "f") || is(c, "g"))
		return CELL_FLOAT;
	return is(c, "b") ? CELL_BOOL : CELL_OTHER;
}

/* --- either --- */

enum cell_kind
cell_kind(struct cell c)
{
	if (c.json)
		return json_kind(c.json);
	if (!c.schema || !c.array || c.row < 0 || c.row >= c.array->length)
		return CELL_NULL;
	if (c.schema->dictionary) {
		struct cell r = resolved(c);
		return r.schema && r.schema != c.schema ? cell_kind(r) : CELL_NULL;
	}
	return arrow_kind(c);
}

bool
cell_text(struct cell c, const char **text, size_t *size)
{
	enum cell_kind k = cell_kind(c);
	int64_t i, from, to;

	if (k != CELL_TEXT && k != CELL_BYTES)
		return false;
	if (c.json) {
		*text = c.json->valuestring;
		*size = strlen(*text);
		return true;
	}
	c = resolved(c);
	if (c.schema->format[0] == 'v')
		return view(c, text, size);
	i = at(c);
	if (c.array->n_buffers < 3 || !c.array->buffers[1])
		return false;
	if (is(c, "U") || is(c, "Z")) {
		from = load_i64(c.array->buffers[1], i);
		to = load_i64(c.array->buffers[1], i + 1);
	} else {
		from = load_i32(c.array->buffers[1], i);
		to = load_i32(c.array->buffers[1], i + 1);
	}
	if (from < 0 || to < from)
		return false;
	*text = c.array->buffers[2] ? (const char *)c.array->buffers[2] + from : "";
	*size = c.array->buffers[2] ? (size_t)(to - from) : 0;
	return true;
}

bool
cell_int(struct cell c, int64_t *x)
{
	const unsigned char *p;
	int64_t i;
	int wide;
	char f;

	if (cell_kind(c) != CELL_INT)
		return false;
	if (c.json) {
		*x = (int64_t)c.json->valuedouble;
		return true;
	}
	c = resolved(c);
	if (c.array->n_buffers < 2 || !c.array->buffers[1])
		return false;
	f = c.schema->format[0];
	i = at(c);
	wide = f == 'c' || f == 'C' ? 1 : f == 's' || f == 'S' ? 2 : f == 'i' || f == 'I' ? 4 : 8;
	p = (const unsigned char *)c.array->buffers[1] + i * wide;
	switch (f) {
	case 'c': *x = (signed char)*p; return true;
	case 'C': *x = *p; return true;
	case 's': { int16_t v; memcpy(&v, p, 2); *x = v; return true; }
	case 'S': { uint16_t v; memcpy(&v, p, 2); *x = v; return true; }
	case 'i': *x = load_i32(p, 0); return true;
	case 'I': { uint32_t v; memcpy(&v, p, 4); *x = v; return true; }
	default: *x = load_i64(p, 0); return f == 'l' || *x >= 0;	/* else above the largest */
	}
}

bool
cell_number(struct cell c, double *x)
{
	int64_t n;

	switch (cell_kind(c)) {
	case CELL_INT:
		if (!cell_int(c, &n))
			return false;
		*x = (double)n;
		return true;
	case CELL_BOOL:
	case CELL_FLOAT:
		if (c.json) {
			*x = cJSON_IsBool(c.json) ? cJSON_IsTrue(c.json) : c.json->valuedouble;
			return true;
		}
		c = resolved(c);
		if (c.array->n_buffers < 2 || !c.array->buffers[1])
			return false;
		if (is(c, "b")) {
			*x = bit(c.array->buffers[1], at(c));
		} else if (is(c, "f")) {
			float v;
			memcpy(&v, (const char *)c.array->buffers[1] + at(c) * 4, 4);
			*x = v;
		} else {
			memcpy(x, (const char *)c.array->buffers[1] + at(c) * 8, 8);
		}
		return true;
	case CELL_NULL:
	case CELL_TEXT:
	case CELL_BYTES:
	case CELL_LIST:
	case CELL_STRUCT:
	case CELL_OTHER:
		return false;
	}
	return false;
}

int64_t
cell_count(struct cell c)
{
	enum cell_kind k = cell_kind(c);
	int64_t from, n;

	if (k != CELL_LIST && k != CELL_STRUCT)
		return 0;
	if (c.json)
		return cJSON_GetArraySize(c.json);
	c = resolved(c);
	if (k == CELL_STRUCT)
		return c.schema->n_children < c.array->n_children ? c.schema->n_children : c.array->n_children;
	return list_range(c, &from, &n) ? n : 0;
}

struct cell
cell_element(struct cell c, int64_t i)
{
	int64_t from, n;

	if (cell_kind(c) != CELL_LIST || i < 0)
		return (struct cell){ 0 };
	if (c.json)
		return cell_of_json(json_at(c.json, i));
	c = resolved(c);
	if (!list_range(c, &from, &n) || i >= n)
		return (struct cell){ 0 };
	return cell_of_arrow(c.schema->children[0], c.array->children[0], from + i);
}

struct cell
cell_member_at(struct cell c, int64_t i, const char **name)
{
	*name = "";
	if (cell_kind(c) != CELL_STRUCT || i < 0 || i >= cell_count(c))
		return (struct cell){ 0 };
	if (c.json) {
		const cJSON *v = json_at(c.json, i);
		*name = v && v->string ? v->string : "";
		return cell_of_json(v);
	}
	c = resolved(c);
	*name = c.schema->children[i]->name ? c.schema->children[i]->name : "";
	return cell_of_arrow(c.schema->children[i], c.array->children[i], at(c));
}

/* n bytes of name. */
static struct cell
member(struct cell c, const char *name, size_t n)
{
	int64_t count;

	if (cell_kind(c) != CELL_STRUCT)
		return (struct cell){ 0 };
	if (c.json) {
		for (const cJSON *v = c.json->child; v; v = v->next)
			if (v->string && strlen(v->string) == n && memcmp(v->string, name, n) == 0)
				return cell_of_json(v);
		return (struct cell){ 0 };
	}
	count = cell_count(c);
	for (int64_t i = 0; i < count; i++) {
		const char *is_called;
		struct cell v = cell_member_at(c, i, &is_called);
		if (strlen(is_called) == n && memcmp(is_called, name, n) == 0)
			return v;
	}
	return (struct cell){ 0 };
}

struct cell
cell_member(struct cell c, const char *name)
{
	struct cell v = member(c, name, strlen(name));

	for (const char *dot = strchr(name, '.'); dot && cell_kind(v) == CELL_NULL; dot = strchr(dot + 1, '.')) {
		struct cell inner = member(c, name, (size_t)(dot - name));
		if (cell_kind(inner) == CELL_STRUCT)
			v = cell_member(inner, dot + 1);
	}
	return v;
}
